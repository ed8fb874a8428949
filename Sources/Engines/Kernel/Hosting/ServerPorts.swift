import KernelStructures
import KernelWire
import KernelWorld

/// What every server of connections has at its door: the places where it listens, TLS, the connections whose PROXY
/// header is not complete yet, and whoever waits for the last connection to end.
public final class ServerPorts {
    private let node: Node
    /// TLS for connections that are made from here on; behind the PROXY header, where there is one.
    public var security: (any StreamSecurity)?
    private var listeners = ListenerSet()
    /// Connections whose PROXY header is not complete.
    private var arriving: [UInt64: ProxyProtocolAcceptor] = [:]
    public private(set) var isDraining = false
    private var drainCallbacks: [() -> Void] = []

    /// A connection that has come, with its PROXY header if it began with one, and what came behind that.
    public struct Arrival {
        public let stream: Stream
        public let header: ProxyHeader?
        /// Valid during the call. Under TLS there are none: they are its own.
        public let early: UnsafeRawBufferPointer
    }

    public init(node: Node) { self.node = node }

    /// Connections that are still introducing themselves.
    public var arrivingCount: Int { arriving.count }

    func listen(on port: UInt16, open: Int, accept: @escaping (Stream) -> any StreamHandler) throws(NetworkError) {
        listeners.add(try node.listen(on: port, accept: accept), open: open)
    }

    func listen(atPath path: String, open: Int, accept: @escaping (Stream) -> any StreamHandler) throws(NetworkError) {
        listeners.add(try node.listen(atPath: path, accept: accept), open: open)
    }

    /// Connections at a time; nil: any number.
    var connectionLimit: Int? { listeners.limit }
    func setConnectionLimit(_ limit: Int?, open: Int) { listeners.setLimit(limit, open: open) }
    /// So many connections are open now.
    func noteOpen(_ count: Int) { listeners.noteOpen(count) }

    /// A connection that begins at once.
    func begin(_ stream: Stream, _ make: (Arrival) -> any StreamHandler) -> any StreamHandler {
        if let security { stream.secure(with: security) }
        return make(Arrival(stream: stream, header: nil, early: UnsafeRawBufferPointer(start: nil, count: 0)))
    }

    /// A connection that begins with a PROXY header.
    ///
    /// - Parameters:
    ///   - handsOnEarly: whether the handler gets what came behind the header as if it came now, too.
    ///   - make: returns the handler, which is told `streamOpened` next.
    ///   - refused: the connection was aborted.
    func awaitHeader(
        _ stream: Stream, timeout: LabDuration = ProxyProtocolAcceptor.defaultTimeout, handsOnEarly: Bool,
        make: @escaping (Arrival) -> any StreamHandler, refused: @escaping (ProxyProtocolFailure) -> Void
    ) -> any StreamHandler {
        let acceptor = ProxyProtocolAcceptor(stream, timeout: timeout) { [unowned self] outcome in
            arriving[stream.number] = nil
            switch outcome {
            case .accepted(let header, let rest):
                let early = security == nil ? rest : UnsafeRawBufferPointer(start: nil, count: 0)
                let handler = make(Arrival(stream: stream, header: header, early: early))
                stream.setHandler(handler)
                if let security { return stream.secure(with: security, ahead: rest) }
                handler.streamOpened(stream)
                if handsOnEarly, !rest.isEmpty { handler.stream(stream, received: rest) }
            case .refused(let failure): refused(failure)
            }
        }
        arriving[stream.number] = acceptor
        return acceptor
    }

    func stopListening() { listeners.close() }

    /// Accepts nothing more, and turns away whoever is still introducing himself. Calls back from `noteIdle`.
    func beginDraining(_ whenIdle: @escaping () -> Void) {
        isDraining = true
        drainCallbacks.append(whenIdle)
        stopListening()
        for (_, acceptor) in arriving.sorted(by: { $0.key < $1.key }) { acceptor.cancel() }
        arriving = [:]
    }

    /// Tells those who wait for the end, each once, if this is it.
    ///
    /// - Parameter isIdle: asked only while somebody waits.
    func noteIdle(_ isIdle: @autoclosure () -> Bool) {
        guard isDraining, arriving.isEmpty, isIdle() else { return }
        let due = drainCallbacks
        drainCallbacks = []
        for callback in due { callback() }
    }
}

/// A server that has its ports in one piece.
public protocol PortedServer: ConnectionServer {
    var ports: ServerPorts { get }
    /// A connection has come.
    func arrived(_ stream: Stream) -> any StreamHandler
    /// Has connections close that have nothing under way, and those that have when it is done.
    func closeWhatIsIdle()
    /// Whether nothing is under way.
    var isIdle: Bool { get }
}

extension PortedServer {
    public func listen(on port: UInt16) throws(NetworkError) {
        try ports.listen(on: port, open: openConnectionCount) { [unowned self] stream in accepted(stream) }
    }

    public func listen(atPath path: String) throws(NetworkError) {
        try ports.listen(atPath: path, open: openConnectionCount) { [unowned self] stream in accepted(stream) }
    }

    private func accepted(_ stream: Stream) -> any StreamHandler {
        let handler = arrived(stream)
        if ports.connectionLimit != nil { ports.noteOpen(openConnectionCount) }
        return handler
    }

    public var connectionLimit: Int? {
        get { ports.connectionLimit }
        set { ports.setConnectionLimit(newValue, open: openConnectionCount) }
    }

    public var security: (any StreamSecurity)? {
        get { ports.security }
        set { ports.security = newValue }
    }

    public var isIdle: Bool { openConnectionCount == 0 }
    public func stopListening() { ports.stopListening() }

    public func drain(whenIdle: @escaping () -> Void) {
        ports.beginDraining(whenIdle)
        closeWhatIsIdle()
        noteIdle()
    }

    /// A connection has ended, or what was under way.
    public func noteIdle() {
        if ports.connectionLimit != nil { ports.noteOpen(openConnectionCount) }
        ports.noteIdle(isIdle)
    }
}
