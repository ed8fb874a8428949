import DatabaseEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A port that speaks PostgreSQL's protocol. Answers leave at the end of each turn, behind one sync for all clients.
public final class DatabaseServer: PortedServer {
    public let node: Node
    let cluster: DatabaseCluster
    /// With TLS for clients that ask for it; others may go on without.
    public let ports: ServerPorts
    public let tally = ConnectionTally()
    private var connections: [UInt64: DatabaseClientConnection] = [:]
    private(set) var turns: CommitTurns<DatabaseClientConnection>!

    init(node: Node, cluster: DatabaseCluster, commit: @escaping (_ done: @escaping (String?) -> Void) -> Void) {
        self.node = node
        self.cluster = cluster
        ports = ServerPorts(node: node)
        turns = CommitTurns(node: node, commit: commit)
        turns.onQuiet = { [unowned self] in noteIdle() }
    }

    public var applicationProtocols: [String] { ["postgresql"] }
    public var clientProtocol: String? { "PostgreSQL's protocol" }

    public func arrived(_ stream: Stream) -> any StreamHandler {
        let connection = DatabaseClientConnection(stream, server: self)
        connections[stream.number] = connection
        tally.opened(connections.count, now: node.world.now)
        return connection
    }

    func forget(_ connection: DatabaseClientConnection) {
        guard connections.removeValue(forKey: connection.stream.number) != nil else { return }
        tally.closed(connection.stream)
        noteIdle()
    }

    public var openConnectionCount: Int { connections.count }
    /// Oldest first.
    var openConnections: [DatabaseClientConnection] {
        connections.values.sorted { $0.stream.number < $1.stream.number }
    }

    var isDraining: Bool { ports.isDraining }

    /// Idle sessions are told to go; those in a transaction may finish it.
    public func closeWhatIsIdle() { for connection in openConnections { connection.endIfIdle() } }

    public var isIdle: Bool { connections.isEmpty && turns.isQuiet }
}
