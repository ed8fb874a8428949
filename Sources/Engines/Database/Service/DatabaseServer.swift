import DatabaseEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A port that speaks PostgreSQL's protocol. Answers leave at the end of each turn, behind one sync for all clients.
public final class DatabaseServer: ConnectionServer {
    public let node: Node
    let cluster: DatabaseCluster
    /// Clients that ask for TLS get it, if there is any; others may go on without.
    public var security: (any StreamSecurity)?
    public let tally = ConnectionTally()
    private var listeners: [Listener] = []
    private var whenIdle: [() -> Void] = []
    private(set) var isDraining = false
    private var connections: [UInt64: DatabaseClientConnection] = [:]
    private(set) var turns: CommitTurns<DatabaseClientConnection>!

    init(node: Node, cluster: DatabaseCluster, commit: @escaping (_ done: @escaping (String?) -> Void) -> Void) {
        self.node = node
        self.cluster = cluster
        turns = CommitTurns(node: node, commit: commit)
        turns.onQuiet = { [unowned self] in noteIdle() }
    }

    public var applicationProtocols: [String] { ["postgresql"] }

    public func listen(on port: UInt16) throws(NetworkError) {
        listeners.append(try node.listen(on: port) { [unowned self] stream in accept(stream) })
    }

    public func listen(atPath path: String) throws(NetworkError) {
        listeners.append(try node.listen(atPath: path) { [unowned self] stream in accept(stream) })
    }

    private func accept(_ stream: Stream) -> any StreamHandler {
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

    public func stopListening() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    /// Idle sessions are told to go; those in a transaction may finish it.
    public func drain(whenIdle: @escaping () -> Void) {
        isDraining = true
        self.whenIdle.append(whenIdle)
        stopListening()
        for connection in openConnections { connection.endIfIdle() }
        noteIdle()
    }

    private func noteIdle() {
        guard isDraining, connections.isEmpty, turns.isQuiet else { return }
        let callbacks = whenIdle
        whenIdle = []
        for callback in callbacks { callback() }
    }
}
