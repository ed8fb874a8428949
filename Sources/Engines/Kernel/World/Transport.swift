import KernelStructures

/// What carries bytes between ends: memory with a stated cost, or the kernel's loopback sockets.
///
/// A transport knows nothing of faults, freezing or journals; those sit above it, in `Stream` and `Network`, and so
/// act the same on every transport.
public protocol Transport: AnyObject {
    /// Called once, before anything else.
    func attach(to network: Network)
    /// Whether every name and address is the host's: true for a tool that runs as a process of its own.
    var isWholeHost: Bool { get }
    /// The address of the lab's `number`-th service node, from 1.
    func address(ofNode number: Int) -> IPAddress
    /// Starts accepting for `listener` and sets its `transport`.
    func listen(_ listener: Listener) throws(NetworkError)
    /// The same for a unix socket of the machine, where there are such things.
    func listen(_ listener: Listener, atPath path: String) throws(NetworkError)
    /// Begins to connect `stream` to its remote end, sets its transport, and later calls `transportOpened` or
    /// `transportFailed` on it.
    func connect(_ stream: Stream)
    /// The same for a unix socket of the machine, where there are such things.
    func connect(_ stream: Stream, toPath path: String)
    /// Takes a socket's port and sets its transport.
    ///
    /// - Returns: the port in the lab: one that was free where it asked for 0.
    func bind(_ socket: DatagramSocket) throws(NetworkError) -> UInt16
    /// Brings a datagram to another of the lab's sockets.
    func carry(_ datagram: Datagram, to socket: DatagramSocket)
    /// Lab time from one end to the other.
    var hopLatency: LabDuration { get }
    /// A node that had lost power is back: whatever its peers still hold open towards it is reset.
    func powerReturned(to node: Node)
    /// Whether something is under way between the lab's own ends that no timer stands for.
    var isBusy: Bool { get }
    /// Stops waiting for what is under way: it did not come within any reasonable time.
    func forgetFlight()
    /// Finds a host that is not part of the lab; nil if there is no such host, or nothing outside can be reached.
    func resolveOutside(_ host: String) -> IPAddress?
    func shutDown()
}

extension Transport {
    public func connect(_ stream: Stream, toPath path: String) { stream.transportFailed(.unreachable) }

    public func listen(_ listener: Listener, atPath path: String) throws(NetworkError) {
        throw .system("\(path): a unix socket needs sockets of the machine; give a port, or use --net loopback")
    }
}

/// A transport's half of one end of a connection.
public protocol StreamTransport: AnyObject {
    /// Takes as many bytes as fit and returns their number. Fewer than offered means that `transportWritable` will be
    /// called on the stream once there is room.
    ///
    /// - Parameter cause: the journal event that the bytes are; whoever hears of them acts because of it.
    func send(_ bytes: UnsafeRawBufferPointer, cause: UInt64) -> Int
    /// Sends the end of this direction; nothing is sent after it.
    func sendEnd(cause: UInt64)
    func setReading(_ isReading: Bool)
    /// Lets go of the connection. No call reaches the stream afterwards.
    func close(_ manner: CloseManner)
}

public enum CloseManner: Sendable {
    /// As `close(2)`: an end to the peer, or a reset if bytes were left unread.
    case orderly
    /// A reset to the peer.
    case reset
    /// Nothing at all: the peer is left waiting.
    case silently
}

/// A transport's half of a listener.
public protocol ListenerTransport: AnyObject {
    /// While false, connections wait in the backlog.
    func setAccepting(_ isAccepting: Bool)
    /// - Parameter silently: stay bound and accept nothing, so that nobody is refused.
    func close(silently: Bool)
}

/// A port that a node accepts connections on.
public final class Listener {
    public let node: Node
    /// The port as the lab knows it; 0 for a unix socket.
    public let port: UInt16
    /// The port that clients outside use, where it differs: the user may not bind the other one.
    public var mappedPort: UInt16?
    /// Whether `localhost:port` leads here.
    public internal(set) var ownsLocalhost = false
    public var transport: (any ListenerTransport)?
    public private(set) var accept: ((Stream) -> any StreamHandler)?

    /// Leaves connections that come in the backlog, until it is false again.
    public var isPaused = false {
        didSet { if isPaused != oldValue { updateAccepting() } }
    }

    init(node: Node, port: UInt16, accept: @escaping (Stream) -> any StreamHandler) {
        self.node = node
        self.port = port
        self.accept = accept
    }

    func updateAccepting() { transport?.setAccepting(!node.isFrozen && !isPaused) }

    public var endpoint: Endpoint { Endpoint(node.address, port) }

    /// Stops accepting; connections that are open stay open.
    public func close() { node.world.network.close(self) }

    func detach() { accept = nil }
}

/// Why a connection could not be made, or ended.
public enum NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
    case unresolved(host: String)
    case addressInUse(Endpoint)
    case notPermitted(Endpoint)
    case tooManyNodes(Int)
    /// This process has no descriptor or port left: nobody else's failure.
    case exhausted(String)
    case datagramTooLarge(byteCount: Int)
    case system(String)

    public var description: String {
        switch self {
        case .unresolved(let host): "could not resolve host: \(host)"
        case .addressInUse(let endpoint): "\(endpoint) is in use"
        case .notPermitted(let endpoint): "\(endpoint): permission denied"
        case .tooManyNodes(let limit): "no more than \(limit) nodes"
        case .datagramTooLarge(let count):
            "a datagram holds at most \(DatagramSocket.sizeLimitBytes) bytes, not \(count)"
        case .exhausted(let text), .system(let text): text
        }
    }
}

/// How a connection ended, as its handler hears it.
public enum CloseReason: String, Sendable {
    /// Both sides sent their end.
    case finished
    case refused
    /// No answer within what TCP allows.
    case timedOut
    case reset
    case unreachable
    /// The layer, TLS, could not be set up or was broken; `Stream.layer` knows why.
    case securityFailed = "TLS failed"
}
