import KernelHosting
import KernelService
import KernelStructures
import KernelWire
import KernelWorld

/// A database with nothing in it, for pools to connect to: what it has is latency, sessions and limits.
///
/// It speaks RESP, so `redis-cli` can look around. A connection's first answer takes `connectLatency` (a process is
/// started, a password is checked); `QUERY` takes `queryLatency`, or as long as it is told, and occupies one of its
/// cores for that time; `BEGIN` opens a transaction that is the session's until it ends.
public final class PoolDatabase: Service, RESPService {
    public struct Settings: Sendable {
        public var port: UInt16
        public var connectLatency = LabDuration.milliseconds(1)
        public var queryLatency = LabDuration.milliseconds(20)
        /// Queries that are worked on at a time; more wait. Nil: any number.
        public var cores: Int?
        public var connectionLimit = 100
        public init(port: UInt16) { self.port = port }
    }

    private final class Session {
        var isReady = false
        var isInTransaction = false
    }

    public let runtime: ServiceRuntime
    public let settings: Settings
    private var server: RESPServer!
    public private(set) var queryCount = 0
    public private(set) var acceptedCount = 0
    public private(set) var mostConnections = 0
    private var busyCores = 0
    private var queue = RingQueue<() -> Void>()

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: nil, options: options)
        self.settings = settings
        var resp = RESPServerOptions()
        resp.connectionLimit = settings.connectionLimit
        resp.serverName = "pool-db"
        server = RESPServer(node: node, commands: commands, service: self, options: resp)
    }

    public func prepare() { runtime.add(server, on: settings.port) }

    public var connectionCount: Int { server.openConnectionCount }
    public var rejectedCount: Int { server.rejectedCount }

    public var statistics: [Statistic] {
        [
            .init("connections", connectionCount, .gauge("pool_db_sessions", "Sessions that are open")),
            .init(
                "most_at_a_time", mostConnections, .gauge("pool_db_sessions_max", "The most that were open at a time")),
            .init("accepted", acceptedCount, .counter("pool_db_sessions_total", "Sessions so far")),
            .init("refused", rejectedCount, .counter("pool_db_refused_total", "Sessions that were one too many")),
            .init("queries", queryCount, .counter("pool_db_queries_total", "Queries so far")),
        ]
    }

    // MARK: Sessions

    public func connectionOpened(_ connection: RESPServerConnection) {
        connection.context = Session()
        acceptedCount += 1
        mostConnections = max(mostConnections, server.openConnectionCount)
    }

    /// RESET rolls back what is open.
    public func connectionReset(_ connection: RESPServerConnection) { session(connection).isInTransaction = false }

    private func session(_ connection: RESPServerConnection) -> Session { connection.context as! Session }

    /// Runs a command, after what a new session costs if it is the first.
    private func serve(_ connection: RESPServerConnection, _ answer: @escaping () -> Void) {
        let session = session(connection)
        if session.isReady || settings.connectLatency == .zero {
            session.isReady = true
            return answer()
        }
        connection.suspend()
        node.after(settings.connectLatency) {
            session.isReady = true
            answer()
            connection.resume()
        }
    }

    private func query(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        var time = settings.queryLatency
        if arguments.count > 1 {
            guard let milliseconds = arguments.integer(1), (0...86_400_000).contains(milliseconds) else {
                return connection.reply.error("ERR QUERY takes milliseconds, 0 to 86400000, not '\(arguments.text(1))'")
            }
            time = .milliseconds(milliseconds)
        }
        queryCount += 1
        if time == .zero, settings.cores == nil { return connection.reply.ok() }
        connection.suspend()
        occupy { [self] in
            node.after(time) { [self] in
                connection.reply.ok()
                connection.resume()
                release()
            }
        }
    }

    private func occupy(_ work: @escaping () -> Void) {
        if let cores = settings.cores, busyCores >= cores { return queue.append(work) }
        busyCores += 1
        work()
    }

    private func release() {
        busyCores -= 1
        if let next = queue.popFirst() {
            busyCores += 1
            next()
        }
    }

    private func transaction(_ connection: RESPServerConnection, opens: Bool) {
        let session = session(connection)
        guard session.isInTransaction != opens else {
            return connection.reply.error(
                opens ? "ERR a transaction is open already" : "ERR there is no transaction in progress")
        }
        session.isInTransaction = opens
        connection.reply.ok()
    }

    private var commands: [RESPCommand] {
        func command(
            _ name: String, _ arity: Int, _ summary: String,
            _ action: @escaping (PoolDatabase, RESPServerConnection, RESPArguments) -> Void
        ) -> RESPCommand {
            RESPCommand(name, arity: arity, group: "pool", summary) { [unowned self] connection, arguments in
                action(self, connection, arguments)
            }
        }
        return [
            command("ping", 1, "Answer, after the cost of a new session if this is its first request") {
                database, connection, _ in
                database.serve(connection) { connection.reply.raw("+PONG\r\n") }
            },
            command("query", -1, "Work for as long as a query takes, or for so many milliseconds") {
                $0.query($1, $2)
            },
            command("begin", 1, "Open a transaction") { database, connection, _ in
                database.transaction(connection, opens: true)
            },
            command("commit", 1, "End the transaction") { database, connection, _ in
                database.transaction(connection, opens: false)
            },
            command("rollback", 1, "Undo the transaction") { database, connection, _ in
                database.transaction(connection, opens: false)
            },
            command("session", 1, "Say whether a transaction is open: idle or open") { database, connection, _ in
                connection.reply.bulk(database.session(connection).isInTransaction ? "open" : "idle")
            },
        ]
    }
}
