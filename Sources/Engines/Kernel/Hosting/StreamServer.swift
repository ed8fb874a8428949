import KernelStructures
import KernelWire
import KernelWorld

/// A port for protocols that have no server of their own: it accepts, reads PROXY headers where they are required, adds
/// TLS, and knows which connections are open.
public final class StreamServer: PortedServer {
    public let node: Node
    public let ports: ServerPorts
    public let tally = ConnectionTally()
    /// Whether connections that are made from here on begin with a PROXY header.
    public var proxyProtocol = ProxyProtocolMode.off
    /// A connection was aborted because it did not begin with the PROXY header that it must begin with.
    public var onRefusal: ((Stream, ProxyProtocolFailure) -> Void)?

    /// The server is to end: connections on which nothing is under way are to be closed.
    public var onDrain: (() -> Void)?

    public let clientProtocol: String?
    private let accept: (Stream, ProxyHeader?, _ early: [UInt8]) -> any StreamHandler
    private var streams: [UInt64: Stream] = [:]

    /// - Parameters:
    ///   - clientProtocol: by its common name; nil where it is HTTP, or nobody knows.
    ///   - accept: returns the handler of a new connection, which is told `streamOpened` next, and calls `ended` once
    ///     when the connection is over. The early bytes came behind the PROXY header, and are not shown again.
    public init(
        node: Node, clientProtocol: String? = nil,
        accept: @escaping (_ stream: Stream, _ header: ProxyHeader?, _ early: [UInt8]) -> any StreamHandler
    ) {
        self.node = node
        self.clientProtocol = clientProtocol
        self.accept = accept
        ports = ServerPorts(node: node)
    }

    public var openConnectionCount: Int { streams.count + ports.arrivingCount }
    /// The open ones, oldest first.
    public var openStreams: [Stream] { streams.values.sorted { $0.number < $1.number } }

    public func arrived(_ stream: Stream) -> any StreamHandler {
        guard proxyProtocol == .required else { return ports.begin(stream, begin) }
        return ports.awaitHeader(stream, handsOnEarly: false, make: { [unowned self] in begin($0) }) {
            [unowned self] failure in
            onRefusal?(stream, failure)
            noteIdle()
        }
    }

    private func begin(_ arrival: ServerPorts.Arrival) -> any StreamHandler {
        streams[arrival.stream.number] = arrival.stream
        tally.opened(streams.count, now: node.world.now)
        return accept(arrival.stream, arrival.header, Array(arrival.early))
    }

    /// A connection is over.
    public func ended(_ stream: Stream) {
        guard streams.removeValue(forKey: stream.number) != nil else { return }
        tally.closed(stream)
        noteIdle()
    }

    /// Only the protocol knows when a connection is idle; without `onDrain`, those that are open end by themselves.
    public func closeWhatIsIdle() { onDrain?() }
}
