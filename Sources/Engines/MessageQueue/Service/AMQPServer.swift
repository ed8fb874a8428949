import KernelAMQP
import KernelHosting
import KernelStructures
import KernelWorld
import MessageQueueEngine

/// A port that speaks AMQP 0-9-1.
public final class AMQPServer: PortedServer {
    unowned let host: MessageQueueHost
    public let ports: ServerPorts
    public let tally = ConnectionTally()
    /// By the broker's number.
    private var connections: [UInt64: AMQPServerConnection] = [:]

    init(_ host: MessageQueueHost) {
        self.host = host
        ports = ServerPorts(node: host.node)
    }

    public var applicationProtocols: [String] { ["amqp"] }
    /// Deliveries come when there is something, and most methods have no answer.
    public var clientProtocol: String? { "AMQP" }
    public var answersRequests: Bool { false }

    public func arrived(_ stream: Stream) -> any StreamHandler {
        if let security = ports.security { stream.secure(with: security) }
        let now = host.node.world.now
        let session = host.broker.makeConnection(peer: "\(stream.remote)", now: now)
        let connection = AMQPServerConnection(stream, session: session, server: self)
        connections[session.number] = connection
        tally.opened(connections.count, now: now)
        host.settle()
        return connection
    }

    func connection(_ number: UInt64) -> AMQPServerConnection? { connections[number] }

    func forget(_ connection: AMQPServerConnection) {
        guard connections.removeValue(forKey: connection.session.number) != nil else { return }
        tally.closed(connection.stream)
        noteIdle()
    }

    public var openConnectionCount: Int { connections.count }
    /// The host has told them all to go.
    public func closeWhatIsIdle() {}
    public var isIdle: Bool { connections.isEmpty && host.isQuiet }
}

/// One client's connection: the stream on one side, the broker's session on the other.
final class AMQPServerConnection: StreamHandler {
    let stream: Stream
    let session: BrokerConnection
    private unowned let server: AMQPServer
    /// What has arrived while the session could not take it.
    private var ahead = ByteQueue()
    private var isOver = false

    init(_ stream: Stream, session: BrokerConnection, server: AMQPServer) {
        self.stream = stream
        self.session = session
        self.server = server
    }

    private var host: MessageQueueHost { server.host }
    private var now: LabTime { host.node.world.now }

    // MARK: StreamHandler

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if !ahead.isEmpty || session.isPaused {
            ahead.append(bytes)
        } else {
            let taken = session.receive(bytes, now: now)
            if taken < bytes.count { ahead.append(UnsafeRawBufferPointer(rebasing: bytes[taken...])) }
        }
        if session.isPaused { stream.pauseReading() }
        host.settle()
    }

    func streamEnded(_ stream: Stream) {
        // Nobody reads answers who has hung up.
        lost()
        stream.close()
    }

    func streamDrained(_ stream: Stream) {
        session.set(congested: false, now: now)
        flush()
        host.settle()
    }

    func stream(_ stream: Stream, closed reason: CloseReason) { lost() }

    func streamLost(_ stream: Stream) { isOver = true }

    private func lost() {
        guard !isOver else { return }
        isOver = true
        ahead.removeAll()
        session.lost(now: now)
        server.forget(self)
        host.settle()
    }

    // MARK: Output

    /// Sends what may leave, and goes on reading where that was put off.
    func flush() {
        guard !isOver else { return }
        let wasFull = session.isOutputFull
        // What the stream does not take yet stays with the session, which sees how much that is.
        if !stream.isCongested || session.isOver { session.writeOutput { stream.write($0) } }
        if session.isOver, !session.hasOutput {
            stream.close()
            return lost()
        }
        if stream.isCongested {
            if !session.isCongested { session.set(congested: true, now: now) }
        } else if wasFull {
            session.set(congested: false, now: now)
        }
        goOnReading()
    }

    private func goOnReading() {
        if session.isPaused { return stream.pauseReading() }
        while !ahead.isEmpty, !session.isPaused, !isOver {
            let taken = ahead.withUnsafeBytes { session.receive($0, now: now) }
            if taken == 0 { break }
            ahead.consume(taken)
        }
        if ahead.isEmpty { stream.resumeReading() }
    }
}
