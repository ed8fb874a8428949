import KernelStructures
import KernelWorld

/// How long requests that are passed on wait, in lab time.
public struct UpstreamTimeouts: Equatable, Sendable {
    /// For a connection.
    public var connect: LabDuration
    /// Without any byte from the server while it owes some.
    public var response: LabDuration
    /// For a connection that has switched protocols and on which neither side says anything.
    public var tunnel: LabDuration

    public init(
        connect: LabDuration = .seconds(5), response: LabDuration = .seconds(60), tunnel: LabDuration = .seconds(3_600)
    ) {
        self.connect = connect
        self.response = response
        self.tunnel = tunnel
    }
}

/// What all exchanges of a proxy share: its node, its timeouts, and the care of connections that wait for another use.
public final class UpstreamPool {
    public let node: Node
    /// For requests that begin from now on.
    public var timeouts: UpstreamTimeouts
    /// What clients are told of a server: "the backend", "the server behind".
    public let noun: String
    /// Servers that have unused connections, in the order in which they got the first.
    private var keeping: [UpstreamServer] = []
    private var isSweepScheduled = false
    private var scratch: [UInt8] = []

    /// Unused connections kept for each server.
    let idleLimit: Int
    /// How long one is kept: less than servers usually keep theirs. One is closed after it, and before twice of it.
    public static let idleTime = LabDuration.seconds(20)

    public init(node: Node, noun: String, timeouts: UpstreamTimeouts, idleLimit: Int = 256) {
        self.idleLimit = idleLimit
        self.node = node
        self.noun = noun
        self.timeouts = timeouts
    }

    func keeps(_ server: UpstreamServer) {
        keeping.append(server)
        if !isSweepScheduled { scheduleSweep() }
    }

    private func scheduleSweep() {
        isSweepScheduled = true
        node.after(Self.idleTime) { [self] in
            isSweepScheduled = false
            let limit = node.world.now - Self.idleTime
            for server in keeping { server.closeIdle(since: limit) }
            keeping.removeAll { $0.forgetIfUnused() }
            if !keeping.isEmpty { scheduleSweep() }
        }
    }

    // MARK: Scratch

    /// A buffer for composing a head in; the same one every time, unless it is in use.
    func takeScratch() -> [UInt8] {
        var buffer: [UInt8] = []
        swap(&buffer, &scratch)
        return buffer
    }

    func giveScratch(_ buffer: consuming [UInt8]) {
        buffer.removeAll(keepingCapacity: true)
        scratch = buffer
    }
}

/// A server behind a proxy, with the connections to it that are open and unused.
public final class UpstreamServer {
    public let destination: HostPort
    /// Weak: the pool knows the servers that keep something, and the two would hold each other, and the lab, for ever.
    private weak var pool: UpstreamPool?
    /// The most recently used is last.
    private var idle: [HTTPClientConnection] = []
    private var isKeeping = false
    private static let watch = IdleWatch()

    public init(_ destination: HostPort, in pool: UpstreamPool) {
        self.destination = destination
        self.pool = pool
    }

    /// Connections that are open and unused.
    public var idleCount: Int { idle.count }

    /// The connection that was used last, of those that can be used again.
    func takeIdle() -> HTTPClientConnection? {
        while let connection = idle.popLast() {
            if connection.isReusable { return connection }
            connection.close()
        }
        return nil
    }

    /// Keeps a connection for the next request, if that is of any use.
    func keep(_ connection: HTTPClientConnection) {
        guard let pool, connection.isReusable, idle.count < pool.idleLimit else { return connection.close() }
        connection.delegate = Self.watch
        connection.idleSince = pool.node.world.now
        idle.append(connection)
        guard !isKeeping else { return }
        isKeeping = true
        pool.keeps(self)
    }

    func closeIdle(since limit: LabTime) {
        let expired = idle.prefix { $0.idleSince <= limit }.count
        for connection in idle.prefix(expired) { connection.close() }
        idle.removeFirst(expired)
    }

    /// Whether nothing is kept; then the pool looks here no more.
    func forgetIfUnused() -> Bool {
        isKeeping = !idle.isEmpty
        return !isKeeping
    }

    /// Closes what is kept: the server is out of use.
    public func dropIdle() {
        for connection in idle { connection.close() }
        idle = []
    }

    /// Hears of unused connections that servers close. The connection knows by itself that it is of no use then.
    private final class IdleWatch: HTTPClientDelegate, Sendable {
        func clientReceivedHead(_ client: HTTPClientConnection) {}
        func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}
        func clientReceivedEnd(_ client: HTTPClientConnection) {}
        func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {}
    }
}
