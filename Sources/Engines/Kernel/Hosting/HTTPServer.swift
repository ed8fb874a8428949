import KernelStructures
import KernelWire
import KernelWorld

/// A port that speaks HTTP: hands each connection to the service, and knows which are open.
public final class HTTPServer: PortedServer {
    public let node: Node
    public let ports: ServerPorts
    private unowned let service: any HTTPService
    /// A change is for connections that come after it: those that are open keep what they began with.
    public var options: HTTPServerOptions { didSet { common = HTTPServerCommon(options, self) } }
    private var common: HTTPServerCommon
    private var connections: [UInt64: HTTPServerConnection] = [:]
    public var connectionCount: Int { tally.connections }
    public let tally = ConnectionTally()

    public init(node: Node, service: any HTTPService, options: HTTPServerOptions = HTTPServerOptions()) {
        self.node = node
        self.service = service
        self.options = options
        ports = ServerPorts(node: node)
        common = HTTPServerCommon(options, nil)
        common.server = self
    }

    public func arrived(_ stream: Stream) -> any StreamHandler {
        guard options.proxyProtocol == .required else { return ports.begin(stream, begin) }
        return ports.awaitHeader(
            stream, timeout: options.proxyHeaderTimeout, handsOnEarly: true, make: { [unowned self] in begin($0) },
            refused: { [unowned self] failure in
                service.connectionRefused(stream, failure)
                noteIdle()
            })
    }

    private func begin(_ arrival: ServerPorts.Arrival) -> any StreamHandler {
        let stream = arrival.stream
        let connection = HTTPServerConnection(stream, service: service, common: common, tally: tally)
        if let header = arrival.header { connection.claim = ProxyClaim(header) }
        connections[stream.number] = connection
        tally.opened(connections.count, now: node.world.now)
        return connection
    }

    public var applicationProtocols: [String] { ["http/1.1"] }

    /// Those whose PROXY header is still to come included.
    public var openConnectionCount: Int { connections.count + ports.arrivingCount }
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

    public func closeWhatIsIdle() { for connection in openConnections { connection.closeWhenIdle() } }
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
/// the heads of requests and answers, of which only those need any that are busy.
final class HTTPServerCommon {
    let options: HTTPServerOptions
    /// As with the service: it outlives its connections. Nil for a connection without a server.
    unowned var server: HTTPServer?
    private var spareHeads: [HTTPHead] = []
    /// How an answer begins in this second: most have the same status as the one before them.
    private var start: (status: Int, second: Int64, bytes: [UInt8], lineBytes: Int) = (0, .min, [], 0)
    /// Memory for the next answer's head.
    private var spareAnswer: [UInt8] = []

    private static let spareLimit = 256

    init(_ options: HTTPServerOptions, _ server: HTTPServer?) {
        self.options = options
        self.server = server
    }

    func takeHead() -> HTTPHead { spareHeads.popLast() ?? HTTPHead() }

    func giveHead(_ head: HTTPHead) { if spareHeads.count < Self.spareLimit { spareHeads.append(head) } }

    /// Status line, `Server` and `Date` of an answer, in memory that comes back by `giveAnswer`.
    ///
    /// - Parameter lines: appends what is to stand behind the status line at once.
    func takeAnswer(_ status: Int, _ world: World, _ lines: (inout [UInt8]) -> Void = { _ in }) -> [UInt8] {
        let second = world.now.unixSeconds
        if start.status != status || start.second != second {
            let bytes = HTTPServerConnection.headStart(status, date: world.dateField, server: options.serverName)
            // The status line ends with the first line feed.
            start = (status, second, bytes, (bytes.firstIndex(of: 10) ?? -1) + 1)
        }
        var head: [UInt8] = []
        swap(&head, &spareAnswer)
        head.append(contentsOf: start.bytes[..<start.lineBytes])
        lines(&head)
        head.append(contentsOf: start.bytes[start.lineBytes...])
        return head
    }

    func giveAnswer(_ head: inout [UInt8]) {
        guard head.capacity <= Self.spareAnswerBytes else { return }
        head.removeAll(keepingCapacity: true)
        swap(&head, &spareAnswer)
    }

    private static let spareAnswerBytes = 16 << 10
}
