import KernelStructures
import KernelWire
import KernelWorld

/// What a RESP server does for its clients beyond reading requests and writing replies.
public protocol RESPService: AnyObject {
    /// The turn of the loop is over: every request that had arrived has been carried out, and the replies wait. Make
    /// durable what has to be, then call `done` once, now or later; with a text, the replies of commands that write
    /// become that error, because what they promised is not true.
    ///
    /// This is what makes group commit: however many clients wrote in this turn, one sync serves them all. What
    /// arrives before `done` belongs to the next turn.
    func commit(_ server: RESPServer, done: @escaping (_ failure: String?) -> Void)
    /// Asked before each command if `RESPServerOptions.asksAdmission`. To refuse, write an error and return false.
    func admit(_ connection: RESPServerConnection, _ command: RESPCommand, _ arguments: RESPArguments) -> Bool
    /// The same before a command is queued for EXEC, which cannot be carried out any more if this says false.
    func mayQueue(_ connection: RESPServerConnection, _ command: RESPCommand, _ arguments: RESPArguments) -> Bool
    func connectionOpened(_ connection: RESPServerConnection)
    /// The connection is over. Called once.
    func connectionClosed(_ connection: RESPServerConnection)
    /// What the connection had collected or watched is void: RESET, or an EXEC that could not be read.
    func connectionReset(_ connection: RESPServerConnection)
    /// It spoke HTTP and was cut off: see `RESPServerConnection.isOfHTTP`.
    func connectionSpokeHTTP(_ connection: RESPServerConnection)
}

extension RESPService {
    public func commit(_ server: RESPServer, done: @escaping (String?) -> Void) { done(nil) }
    public func admit(_ connection: RESPServerConnection, _ command: RESPCommand, _ arguments: RESPArguments) -> Bool {
        true
    }
    public func mayQueue(
        _ connection: RESPServerConnection, _ command: RESPCommand, _ arguments: RESPArguments
    ) -> Bool { true }
    public func connectionOpened(_ connection: RESPServerConnection) {}
    public func connectionClosed(_ connection: RESPServerConnection) {}
    public func connectionReset(_ connection: RESPServerConnection) {}
    public func connectionSpokeHTTP(_ connection: RESPServerConnection) {}
}

public struct RESPServerOptions: Sendable {
    public var limits = RESPLimits()
    /// Connections at a time; more are told so and closed: `maxclients`.
    public var connectionLimit = 10_000
    /// A connection that has been silent for so long (lab time) is closed: `timeout`. Infinite: never.
    public var idleTimeout = LabDuration.infinite
    /// Bytes of replies that may wait for a client to take them before no more of its requests are carried out.
    public var outputBytes = 1 << 20
    /// Whether the service wants to be asked before each command.
    public var asksAdmission = false
    /// What HELLO and INFO call this server, and the version of Redis whose commands and replies it has.
    public var serverName = "redis"
    public var compatibleVersion = "7.0.15"
    /// What HELLO says of it: `standalone` or `cluster`.
    public var mode = "standalone"

    public init() {}
}

/// A port that speaks RESP: it reads requests, finds their commands, and sends replies at the end of each turn.
///
/// What every such server has in common (PING, HELLO, CLIENT, COMMAND …) it does itself; the rest is the service's.
///
/// ```
///  requests of all clients that arrived in this turn ──▶ commands ──▶ replies, kept back
///                                                          end of the turn ──▶ commit ──▶ replies leave
/// ```
public final class RESPServer: PortedServer {
    public let node: Node
    public var clientProtocol: String? { "RESP" }
    public internal(set) var options: RESPServerOptions
    public let table: RESPCommandTable
    public let startedAt: LabTime
    unowned let service: any RESPService
    public let ports: ServerPorts
    private var connections: [Int: RESPServerConnection] = [:]
    private var connectionNumber = 0
    public let tally = ConnectionTally()
    public internal(set) var commandCount = 0
    public internal(set) var errorCount = 0
    public private(set) var rejectedCount = 0
    private let turns: CommitTurns<RESPServerConnection>
    /// Turns that had something to send.
    public var turnCount: Int { turns.turnCount }
    /// While clients are kept waiting: `CLIENT PAUSE`.
    var pause: RESPPause?

    /// - Parameter commands: the service's own. One that has the name of a standard command takes its place.
    public init(
        node: Node, commands: [RESPCommand], service: any RESPService,
        options: RESPServerOptions = RESPServerOptions()
    ) {
        self.node = node
        self.service = service
        self.options = options
        ports = ServerPorts(node: node)
        startedAt = node.world.now
        var finishTurn: (@escaping (String?) -> Void) -> Void = { $0(nil) }
        turns = CommitTurns(node: node) { finishTurn($0) }
        let own = Set(commands.map(\.name))
        table = RESPCommandTable(commands + Self.standardCommands.filter { !own.contains($0.name) })
        finishTurn = { [unowned self] done in self.service.commit(self, done: done) }
        turns.onQuiet = { [unowned self] in noteIdle() }
    }

    public func arrived(_ stream: Stream) -> any StreamHandler { ports.begin(stream, begin) }

    private func begin(_ arrival: ServerPorts.Arrival) -> any StreamHandler {
        let stream = arrival.stream
        guard connections.count < options.connectionLimit else {
            rejectedCount += 1
            return RESPRefusal("-ERR max number of clients reached\r\n")
        }
        connectionNumber += 1
        let connection = RESPServerConnection(stream, number: connectionNumber, server: self)
        connections[connectionNumber] = connection
        tally.opened(connections.count, now: node.world.now)
        service.connectionOpened(connection)
        return connection
    }

    /// The open ones, oldest first.
    public var openConnections: [RESPServerConnection] { connections.values.sorted { $0.number < $1.number } }
    public var openConnectionCount: Int { connections.count }

    func forget(_ connection: RESPServerConnection) {
        guard connections.removeValue(forKey: connection.number) != nil else { return }
        tally.closed(connection.stream)
        service.connectionClosed(connection)
        noteIdle()
    }

    /// What has arrived of requests is answered; a command that waits for something may finish.
    public func closeWhatIsIdle() {
        unpause()
        for connection in openConnections { connection.closeAfterReplies() }
    }

    /// Idle is a server without connections that has no commit under way.
    public var isIdle: Bool { connections.isEmpty && turns.isQuiet }

    public var connectionsReceived: Int { tally.connections }

    public func setConnectionLimit(_ count: Int) { options.connectionLimit = count }

    /// For connections that are made from here on.
    public func setIdleTimeout(_ timeout: LabDuration) { options.idleTimeout = timeout }

    /// CONFIG RESETSTAT
    public func resetStatistics() {
        commandCount = 0
        errorCount = 0
        rejectedCount = 0
        turns.resetCount()
        for command in table.commands { command.forgetCounts() }
    }

    // MARK: Turns

    /// A connection has replies, or an end, to send when this turn is over.
    func note(_ connection: RESPServerConnection) { turns.note(connection) }

    /// Something was written that needs a commit, though no reply waits for it: an expiry, for instance.
    public func noteWork() { turns.noteWork() }
}

/// One connection too many: it hears why, and is closed.
private final class RESPRefusal: StreamHandler {
    private let text: String
    init(_ text: String) { self.text = text }

    func streamOpened(_ stream: Stream) {
        stream.write(text)
        stream.close()
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
}
