import CommandKit
import CommandServices
import ConnectionPoolEngine
import ConnectionPoolService
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension ConnectionPoolCommands {
    /// `pool-test --max-conns 10 --concurrent-users 50`
    static var poolTest: Command {
        let kind = ServiceKind("pool-test", node: "pool-test", port: .none)
        let description = CommandDescription(
            "pool-test", "users that share a pool of connections to a database", usage: "[FLAGS]",
            flags: kind.flags(workloadFlags + poolFlags),
            examples: [
                "pool-test --max-conns 10 --concurrent-users 50", "pool-test --concurrent-users 50 --leaks 0 &",
                "pool-test --db db:5432 --rounds forever --think 100ms &",
                "pool-test --db postgres://db:5432/postgres --query 20ms", "stats pool-test",
            ],
            group: .components, role: .service, tags: ["POOL"],
            details: """
                Each user borrows a connection, asks one query and gives it back; seven of 50
                forget the last part, unless --leaks says otherwise. Without --db it starts a
                database of its own, on a node called pool-db. Settings have HikariCP's names,
                defaults and floors, except that idle connections go after 5m, a connection
                counts as leaked after 60s, and none is kept ready.
                See also: holders, connpool, stats.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            let settings = try poolTestSettings(invocation)
            let ownPort = arguments.text("db") == nil ? arguments.port("db-port") ?? 5432 : nil
            return ServicePlan(stats: \.stats) { node, service in
                guard let ownPort else {
                    return PoolTest(node: node, settings: settings, database: nil, options: service.options)
                }
                let databaseNode = try invocation.process.startCompanion("pool-db")
                var settings = settings
                let host = invocation.session.isProcess ? "localhost" : databaseNode.name
                settings.database = .resp(HostPort(host: host, port: ownPort))
                var own = PoolDatabase.Settings(port: ownPort)
                own.connectLatency = arguments.duration("connect-latency") ?? own.connectLatency
                own.queryLatency = arguments.duration("latency") ?? own.queryLatency
                return PoolTest(
                    node: node, settings: settings, database: PoolDatabase(node: databaseNode, settings: own),
                    options: service.options)
            }
        }
    }

    private static var workloadFlags: [CommandDescription.Flag] {
        [
            .init("concurrent-users", nil, .integer(1...100_000), "how many users there are (50)"),
            .init("rounds", nil, .text("N"), "how often each borrows, or forever (1)"),
            .init("think", nil, .duration(allowsZero: true), "pause of a user between two rounds (0s)"),
            .init("leaks", nil, .integer(0...100_000), "users who never give theirs back (7 of 50)"),
            .init("query", nil, .duration(allowsZero: true), "how long a query takes (as the database likes)"),
            .init("command", nil, .text("WORDS"), "what each user asks instead: 'INCR visits'"),
            .init("transactions", nil, "queries are within transactions; every third user forgets to end his"),
            .init(
                "db", nil, .text("HOST:PORT|URL"),
                "a database that runs: pool-db, postgres://USER@HOST:PORT/DATABASE, or Redis with a --command"),
            .init("db-port", nil, .port, "where a database of its own listens (5432)"),
            .init("connect-latency", nil, .duration(allowsZero: true), "of its own database: a new session (1ms)"),
            .init("latency", nil, .duration(allowsZero: true), "of its own database: a query (20ms)"),
        ]
    }

    private static var poolFlags: [CommandDescription.Flag] {
        [
            .init("max-conns", nil, .integer(1...10_000), "maximumPoolSize (10)"),
            .init("min-idle", nil, .integer(0...10_000), "minimumIdle (0)"),
            .init("timeout", nil, .duration(allowsZero: true), "connectionTimeout (30s)"),
            .init("idle-timeout", nil, .duration(allowsZero: true), "idleTimeout (5m)"),
            .init("max-lifetime", nil, .duration(allowsZero: true), "maxLifetime (30m)"),
            .init("keepalive", nil, .duration(allowsZero: true), "keepaliveTime (2m)"),
            .init("validation-timeout", nil, .duration(), "validationTimeout (5s)"),
            .init("leak-threshold", nil, .duration(allowsZero: true), "leakDetectionThreshold (60s)"),
            .init("when-exhausted", nil, .choice(["block", "fail"]), "what a user meets who finds none (block)"),
            .init("unfair", nil, "whoever comes at the right moment overtakes the line"),
            .init("no-validation", nil, "idle connections are lent unseen"),
            .init("connects", nil, .integer(1...10_000), "connections opened at a time (1)"),
            .init("waiters", nil, .integer(0...1_000_000), "how many may wait (10000)"),
        ]
    }

    /// The database that `--db` names; until its own is started, where that will be.
    private static func database(_ invocation: Invocation) throws -> TestDatabase {
        let arguments = invocation.arguments
        guard let text = arguments.text("db") else { return .resp(HostPort(host: "pool-db", port: 5432)) }
        for flag in ["db-port", "connect-latency", "latency"] where arguments.text(flag) != nil {
            throw UsageError("pool-test: --\(flag) is for a database of its own; give either it or --db")
        }
        if PostgresURL.isOne(text) {
            let url: PostgresURL
            do throws(PostgresURL.Malformed) {
                url = try PostgresURL(text)
            } catch {
                throw UsageError("pool-test: --db: \(error)")
            }
            return .postgres(url, security: try url.security(in: invocation.session.world))
        }
        guard let destination = HostPort(parsing: text) else {
            throw UsageError(
                "pool-test: --db: '\(text)' is neither a HOST:PORT nor a postgres://USER@HOST:PORT/DATABASE")
        }
        return .resp(destination)
    }

    private static func poolTestSettings(_ invocation: Invocation) throws -> PoolTest.Settings {
        let arguments = invocation.arguments
        var settings = PoolTest.Settings(database: try database(invocation), pool: try poolConfiguration(arguments))
        settings.users = arguments.integer("concurrent-users") ?? 50
        settings.leaks = arguments.integer("leaks") ?? settings.users * 7 / 50
        if settings.leaks > settings.users {
            throw UsageError("pool-test: --leaks \(settings.leaks): there are only \(settings.users) users")
        }
        if let text = arguments.text("rounds") {
            if text == "forever" {
                settings.rounds = nil
            } else if let rounds = Int(text), rounds > 0 {
                settings.rounds = rounds
            } else {
                throw UsageError("pool-test: --rounds: '\(text)' is neither a number of 1 or more nor forever")
            }
        }
        settings.think = arguments.duration("think") ?? .zero
        let words = arguments.text("command").map { $0.split(separator: " ").map(String.init) }
        if words?.isEmpty == true { throw UsageError("pool-test: --command: it says nothing; QUERY, say") }
        if words != nil, arguments.text("query") != nil {
            throw UsageError("pool-test: --query is for QUERY; give either it or --command")
        }
        settings.question =
            words.map { .words($0) } ?? .query(milliseconds: arguments.duration("query").map { Int($0.milliseconds) })
        settings.failsFast = arguments.text("when-exhausted") == "fail"
        settings.isTransactional = arguments.has("transactions")
        return settings
    }

    private static func poolConfiguration(_ arguments: ParsedArguments) throws -> ConnectionPool.Configuration {
        var pool = ConnectionPool.Configuration()
        pool.poolName = arguments.text("name") ?? "pool-test"
        pool.maximumPoolSize = arguments.integer("max-conns") ?? 10
        pool.minimumIdle = arguments.integer("min-idle") ?? 0
        pool.connectionTimeout = arguments.duration("timeout") ?? pool.connectionTimeout
        pool.idleTimeout = arguments.duration("idle-timeout") ?? .seconds(300)
        pool.maxLifetime = arguments.duration("max-lifetime") ?? pool.maxLifetime
        pool.keepaliveTime = arguments.duration("keepalive") ?? pool.keepaliveTime
        pool.validationTimeout = arguments.duration("validation-timeout")
        pool.leakDetectionThreshold = arguments.duration("leak-threshold") ?? .seconds(60)
        pool.initializationFailTimeout = nil
        pool.isFair = !arguments.has("unfair")
        pool.testsOnBorrow = !arguments.has("no-validation")
        pool.connectingLimit = arguments.integer("connects") ?? 1
        pool.waiterLimit = arguments.integer("waiters") ?? pool.waiterLimit
        do throws(ConnectionPool.ConfigurationError) {
            try pool.validate()
        } catch {
            throw UsageError("pool-test: \(error)")
        }
        return pool
    }
}
