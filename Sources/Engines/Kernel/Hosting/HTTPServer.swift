import KernelStructures
import KernelWire
import KernelWorld

/// A port that speaks HTTP: hands each connection to the service, and knows which are open.
public final class HTTPServer: ConnectionServer {
    public let node: Node
    private var listeners = ListenerSet()
    private unowned let service: any HTTPService
    /// TLS for connections that are made from here on; behind the PROXY header, where there is one.
    public var security: (any StreamSecurity)?
    /// A change is for connections that come after it: those that are open keep what they began with.
    public var options: HTTPServerOptions { didSet { common = HTTPServerCommon(options, self) } }
    private var common: HTTPServerCommon
    private var connections: [UInt64: HTTPServerConnection] = [:]
    public var connectionCount: Int { tally.connections }
    public let tally = ConnectionTally()
    /// Connections whose PROXY header is not complete.
    private var arriving: [UInt64: ProxyProtocolAcceptor] = [:]
    private var draining = DrainWatch()

    public init(node: Node, service: any HTTPService, options: HTTPServerOptions = HTTPServerOptions()) {
        self.node = node
        self.service = service
        self.options = options
        common = HTTPServerCommon(options, nil)
        common.server = self
    }

    public func listen(on port: UInt16) throws(NetworkError) {
        listeners.add(
            try node.listen(on: port) { [unowned self] stream in accept(stream) }, open: openConnectionCount)
    }

    /// On a unix socket of the machine, too.
    public func listen(atPath path: String) throws(NetworkError) {
        listeners.add(
            try node.listen(atPath: path) { [unowned self] stream in accept(stream) }, open: openConnectionCount)
    }

    private func accept(_ stream: Stream) -> any StreamHandler {
        if options.proxyProtocol == .required { return awaitHeader(stream) }
        if let security { stream.secure(with: security) }
        return begin(stream)
    }

    private func begin(_ stream: Stream) -> HTTPServerConnection {
        let connection = HTTPServerConnection(stream, service: service, common: common, tally: tally)
        connections[stream.number] = connection
        tally.opened(connections.count, now: node.world.now)
        listeners.noteOpen(openConnectionCount)
        return connection
    }

    private func awaitHeader(_ stream: Stream) -> ProxyProtocolAcceptor {
        let acceptor = ProxyProtocolAcceptor(stream, timeout: options.proxyHeaderTimeout) { [unowned self] outcome in
            arriving[stream.number] = nil
            switch outcome {
            case .accepted(let header, let rest):
                let connection = begin(stream)
                connection.claim = ProxyClaim(header)
                stream.setHandler(connection)
                if let security { return stream.secure(with: security, ahead: rest) }
                connection.streamOpened(stream)
                if !rest.isEmpty { connection.stream(stream, received: rest) }
            case .refused(let failure):
                service.connectionRefused(stream, failure)
                noteIdle()
            }
        }
        arriving[stream.number] = acceptor
        listeners.noteOpen(openConnectionCount)
        return acceptor
    }

    public var applicationProtocols: [String] { ["http/1.1"] }

    /// Those whose PROXY header is still to come included.
    public var openConnectionCount: Int { connections.count + arriving.count }
    /// The open ones, oldest first.
    public var openConnections: [HTTPServerConnection] {
        connections.values.sorted { $0.stream.number < $1.stream.number }
    }
    public var hasBusyConnections: Bool { connections.values.contains { $0.isBusy } }

    /// A connection is over, and its service has heard of it.
    func ended(_ connection: HTTPServerConnection) {
        guard connections.removeValue(forKey: connection.stream.number) != nil else { return }
        tally.closed(connection.stream)
        noteIdle()
    }

    public func stopListening() { listeners.close() }

    public var connectionLimit: Int? {
        get { listeners.limit }
        set { listeners.setLimit(newValue, open: openConnectionCount) }
    }

    public func drain(whenIdle: @escaping () -> Void) {
        draining.begin(whenIdle)
        stopListening()
        for (_, acceptor) in arriving.sorted(by: { $0.key < $1.key }) { acceptor.cancel() }
        arriving = [:]
        for connection in openConnections { connection.closeWhenIdle() }
        noteIdle()
    }

    private func noteIdle() {
        listeners.noteOpen(openConnectionCount)
        guard draining.isDraining, openConnectionCount == 0 else { return }
        for callback in draining.take() { callback() }
    }
}

/// A response that is given many times: composed once for each second, because of its `Date`.
public final class PreparedResponse {
    public let status: Int
    public let contentType: String
    public let body: [UInt8]
    private var composed: [UInt8] = []
    private var second = Int64.min

    public init(status: Int, contentType: String = "text/plain", body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    func bytes(at world: World, server: String?) -> [UInt8] {
        if second == world.now.unixSeconds { return composed }
        second = world.now.unixSeconds
        composed = HTTPServerConnection.headStart(status, date: world.dateField, server: server)
        if !body.isEmpty { HTTPWriter.field("Content-Type", contentType, into: &composed) }
        if status != 204, status != 304 { HTTPWriter.field("Content-Length", body.count, into: &composed) }
        HTTPWriter.endHead(&composed)
        if status != 204, status != 304 { composed.append(contentsOf: body) }
        return composed
    }
}

/// What all connections of a server share, so that an idle one holds as little as it can: the options, and memory for
/// the heads of requests, of which only those need any that are busy.
final class HTTPServerCommon {
    let options: HTTPServerOptions
    /// As with the service: it outlives its connections. Nil for a connection without a server.
    unowned var server: HTTPServer?
    private var spareHeads: [HTTPHead] = []

    private static let spareLimit = 256

    init(_ options: HTTPServerOptions, _ server: HTTPServer?) {
        self.options = options
        self.server = server
    }

    func takeHead() -> HTTPHead { spareHeads.popLast() ?? HTTPHead() }

    func giveHead(_ head: HTTPHead) { if spareHeads.count < Self.spareLimit { spareHeads.append(head) } }
}
