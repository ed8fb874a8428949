import KernelStructures
import KernelWire
import KernelWorld

/// A port for protocols that have no server of their own: it accepts, reads PROXY headers where they are required, adds
/// TLS, and knows which connections are open.
public final class StreamServer: ConnectionServer {
    public let node: Node
    public let tally = ConnectionTally()
    /// TLS for connections that are made from here on; behind the PROXY header, where there is one.
    public var security: (any StreamSecurity)?
    /// Whether connections that are made from here on begin with a PROXY header.
    public var proxyProtocol = ProxyProtocolMode.off
    /// A connection was aborted because it did not begin with the PROXY header that it must begin with.
    public var onRefusal: ((Stream, ProxyProtocolFailure) -> Void)?

    private let accept: (Stream, ProxyHeader?, _ early: [UInt8]) -> any StreamHandler
    private var listeners = ListenerSet()
    private var streams: [UInt64: Stream] = [:]
    /// Connections whose PROXY header is not complete.
    private var arriving: [UInt64: ProxyProtocolAcceptor] = [:]
    private var draining = DrainWatch()

    /// - Parameter accept: returns the handler of a new connection, which is told `streamOpened` next, and calls
    ///   `ended` once when the connection is over. The early bytes came behind the PROXY header, and are not shown
    ///   again.
    public init(
        node: Node, accept: @escaping (_ stream: Stream, _ header: ProxyHeader?, _ early: [UInt8]) -> any StreamHandler
    ) {
        self.node = node
        self.accept = accept
    }

    public func listen(on port: UInt16) throws(NetworkError) {
        listeners.add(
            try node.listen(on: port) { [unowned self] stream in arrived(stream) }, open: openConnectionCount)
    }

    public func listen(atPath path: String) throws(NetworkError) {
        listeners.add(
            try node.listen(atPath: path) { [unowned self] stream in arrived(stream) }, open: openConnectionCount)
    }

    public var openConnectionCount: Int { streams.count + arriving.count }
    /// The open ones, oldest first.
    public var openStreams: [Stream] { streams.values.sorted { $0.number < $1.number } }

    private func arrived(_ stream: Stream) -> any StreamHandler {
        if proxyProtocol == .required { return awaitHeader(stream) }
        if let security { stream.secure(with: security) }
        return begin(stream, nil, [])
    }

    private func begin(_ stream: Stream, _ header: ProxyHeader?, _ early: [UInt8]) -> any StreamHandler {
        streams[stream.number] = stream
        tally.opened(streams.count, now: node.world.now)
        listeners.noteOpen(openConnectionCount)
        return accept(stream, header, early)
    }

    private func awaitHeader(_ stream: Stream) -> ProxyProtocolAcceptor {
        let acceptor = ProxyProtocolAcceptor(stream) { [unowned self] outcome in
            arriving[stream.number] = nil
            switch outcome {
            case .accepted(let header, let rest):
                let handler = begin(stream, header, security == nil ? Array(rest) : [])
                stream.setHandler(handler)
                if let security { return stream.secure(with: security, ahead: rest) }
                handler.streamOpened(stream)
            case .refused(let failure):
                onRefusal?(stream, failure)
                noteIdle()
            }
        }
        arriving[stream.number] = acceptor
        listeners.noteOpen(openConnectionCount)
        return acceptor
    }

    /// A connection is over.
    public func ended(_ stream: Stream) {
        guard streams.removeValue(forKey: stream.number) != nil else { return }
        tally.closed(stream)
        noteIdle()
    }

    public func stopListening() { listeners.close() }

    public var connectionLimit: Int? {
        get { listeners.limit }
        set { listeners.setLimit(newValue, open: openConnectionCount) }
    }

    /// Only the protocol knows when a connection is idle: those that are open end by themselves.
    public func drain(whenIdle: @escaping () -> Void) {
        draining.begin(whenIdle)
        stopListening()
        for (_, acceptor) in arriving.sorted(by: { $0.key < $1.key }) { acceptor.cancel() }
        arriving = [:]
        noteIdle()
    }

    private func noteIdle() {
        listeners.noteOpen(openConnectionCount)
        guard draining.isDraining, openConnectionCount == 0 else { return }
        for callback in draining.take() { callback() }
    }
}
