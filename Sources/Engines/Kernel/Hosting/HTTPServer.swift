import KernelStructures
import KernelWire
import KernelWorld

/// A port that speaks HTTP: hands each connection to the service, and knows which are open.
public final class HTTPServer {
    public let node: Node
    private var listeners: [Listener] = []
    private unowned let service: any HTTPService
    /// TLS for connections that are made from here on; behind the PROXY header, where there is one.
    public var security: (any StreamSecurity)?
    public var options: HTTPServerOptions { didSet { common = HTTPServerCommon(options) } }
    private var common: HTTPServerCommon
    private var connections: [UInt64: HTTPServerConnection] = [:]
    public var connectionCount: Int { tally.connections }
    public let tally = ConnectionTally()
    /// Connections whose PROXY header is not complete.
    private var arriving: [UInt64: ProxyProtocolAcceptor] = [:]

    public init(node: Node, service: any HTTPService, options: HTTPServerOptions = HTTPServerOptions()) {
        self.node = node
        self.service = service
        self.options = options
        common = HTTPServerCommon(options)
    }

    public func listen(on port: UInt16) throws(NetworkError) {
        listeners.append(try node.listen(on: port) { [unowned self] stream in accept(stream) })
    }

    /// On a unix socket of the machine, too.
    public func listen(atPath path: String) throws(NetworkError) {
        listeners.append(try node.listen(atPath: path) { [unowned self] stream in accept(stream) })
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
            case .refused(let failure): service.connectionRefused(stream, failure)
            }
        }
        arriving[stream.number] = acceptor
        return acceptor
    }

    /// Those whose PROXY header is still to come included.
    public var openConnectionCount: Int { connections.count + arriving.count }
    /// The open ones, oldest first.
    public var openConnections: [HTTPServerConnection] {
        connections.values.sorted { $0.stream.number < $1.stream.number }
    }
    public var hasBusyConnections: Bool { connections.values.contains { $0.isBusy } }

    /// To be called from the service's `connectionClosed`.
    public func forget(_ connection: HTTPServerConnection) {
        if connections.removeValue(forKey: connection.stream.number) != nil { tally.closed(connection.stream) }
    }

    /// Accepts nothing more and closes what is idle; what is busy closes after its response.
    public func drain() {
        for listener in listeners { listener.close() }
        listeners = []
        for (_, acceptor) in arriving.sorted(by: { $0.key < $1.key }) { acceptor.cancel() }
        arriving = [:]
        for connection in connections.values.sorted(by: { $0.stream.number < $1.stream.number }) {
            connection.closeWhenIdle()
        }
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
    private var spareHeads: [HTTPHead] = []

    private static let spareLimit = 256

    init(_ options: HTTPServerOptions) { self.options = options }

    func takeHead() -> HTTPHead { spareHeads.popLast() ?? HTTPHead() }

    func giveHead(_ head: HTTPHead) { if spareHeads.count < Self.spareLimit { spareHeads.append(head) } }
}
