import KernelCryptography
import KernelStructures
import KernelWire
import KernelWorld

/// The request and the answer that turn an HTTP connection into a WebSocket: RFC 6455 §4.
///
/// The key proves nothing but that both ends mean WebSocket: a cache or a form of another page that happens to send the
/// same fields cannot make up the answer.
enum WebSocketHandshake {
    static let version = "13"
    private static let suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// The value of `Sec-WebSocket-Accept` for a key.
    static func accept(_ key: String) -> String { Base64.standard.encode(MessageDigest.sha1.digest(of: key + suffix)) }

    /// What is wrong with a client's request; nil if nothing is.
    static func problem(_ head: HTTPHead) -> HTTPProblem? {
        guard head.method == .get, head.minorVersion == 1, head.listContains(.connection, "upgrade"),
            head.listContains(.upgrade, "websocket")
        else {
            return HTTPProblem(
                426, "a WebSocket begins here", remedy: "ask with Upgrade: websocket", field: "Upgrade", "websocket")
        }
        guard head.value(of: "Sec-WebSocket-Version") == version else {
            return HTTPProblem(
                426, "only version \(version) of WebSocket is spoken here", field: "Sec-WebSocket-Version", version)
        }
        guard let key = head.value(of: "Sec-WebSocket-Key"), Base64.standard.decode(key)?.count == 16 else {
            return HTTPProblem(400, "Sec-WebSocket-Key is not 16 bytes in base64")
        }
        return nil
    }

    /// The tokens of a field that may stand there several times.
    static func tokens(_ head: HTTPHead, _ name: String) -> [String] {
        head.values(of: name).flatMap { $0.split(separator: ",") }.map {
            String($0.filter { $0 != " " && $0 != "\t" })
        }
    }
}

extension HTTPExchange {
    /// Turns the connection into a WebSocket, or refuses in the right way: then nil.
    ///
    /// - Parameters:
    ///   - protocols: subprotocols that are spoken, the best first; one that the client offers is chosen.
    ///   - origins: pages that may connect; nil for all, and for clients that are no browsers.
    public func webSocket(
        protocols: [String] = [], origins: [String]? = nil, options: WebSocketConnection.Options = .init()
    ) -> WebSocketConnection? {
        if let problem = WebSocketHandshake.problem(head) {
            refuse(problem)
            return nil
        }
        if let origins, let origin = field("Origin"), !origins.contains(origin.lowercased()) {
            refuse(HTTPProblem(403, "pages of \(origin) may not connect here"))
            return nil
        }
        let socket = WebSocketConnection(node, .server, options)
        let lasting = LastingSocket(socket)
        guard router.began(lasting: lasting) else {
            refuse(HTTPProblem(503, "too many connections are open"))
            return nil
        }
        socket.onOver = { [router] in router.ended(lasting: lasting) }
        var answer: [UInt8] = []
        HTTPWriter.statusLine(101, into: &answer)
        HTTPWriter.field("Upgrade", "websocket", into: &answer)
        HTTPWriter.field("Connection", "Upgrade", into: &answer)
        HTTPWriter.field(
            "Sec-WebSocket-Accept", WebSocketHandshake.accept(field("Sec-WebSocket-Key") ?? ""), into: &answer)
        let offered = WebSocketHandshake.tokens(head, "Sec-WebSocket-Protocol")
        if let chosen = protocols.first(where: offered.contains) {
            HTTPWriter.field("Sec-WebSocket-Protocol", chosen, into: &answer)
        }
        HTTPWriter.endHead(&answer)
        guard let connection = takeConnection() else { return nil }
        let stream = connection.stream
        stream.write(answer)
        let rest = connection.upgrade(to: socket)
        socket.begin(stream)
        // The caller first says what it wants to hear.
        if !rest.isEmpty { node.enqueue { rest.withUnsafeBytes { socket.stream(stream, received: $0) } } }
        return socket
    }
}

private final class LastingSocket: LastingExchange {
    private let socket: WebSocketConnection
    init(_ socket: WebSocketConnection) { self.socket = socket }
    func endForDrain() { socket.close(.goingAway, "the server stops") }
}

/// Connects to a server that speaks WebSocket.
public final class WebSocketCall: HTTPClientDelegate {
    private let node: Node
    private let url: HTTPURL
    private let fields: [(name: String, value: String)]
    private let options: WebSocketConnection.Options
    private let security: (any StreamSecurity)?
    private var completion: ((Result<WebSocketConnection, HTTPCall.Failure>) -> Void)?
    private let connection = HTTPClientConnection()
    private var key = ""
    private var timer: TimerID?
    private var own: WebSocketCall?

    /// - Parameters:
    ///   - url: `http` and `https` stand for `ws` and `wss`.
    ///   - fields: `Sec-WebSocket-Protocol`, `Origin`, `Authorization` …
    public init(
        _ node: Node, _ url: HTTPURL, fields: [(name: String, value: String)] = [],
        options: WebSocketConnection.Options = .init(), security: (any StreamSecurity)? = nil,
        completion: @escaping (Result<WebSocketConnection, HTTPCall.Failure>) -> Void
    ) {
        self.node = node
        self.url = url
        self.fields = fields
        self.options = options
        self.security = security
        self.completion = completion
    }

    /// - Parameter deadline: for connection and handshake.
    public func start(deadline: LabDuration = .seconds(10)) {
        own = self
        connection.delegate = self
        key = Base64.standard.encode(node.draw { random in (0..<16).map { _ in UInt8(random.below(256)) } })
        timer = node.after(deadline) { [self] in finish(.failure(.deadline(deadline))) }
        do throws(HTTPCall.Failure) {
            try connection.connect(from: node, to: url, security: security)
        } catch {
            node.enqueue { [self] in finish(.failure(error)) }
        }
    }

    public func cancel() {
        completion = nil
        node.cancel(timer)
        connection.abort()
        own = nil
    }

    private func finish(_ result: Result<WebSocketConnection, HTTPCall.Failure>) {
        guard let completion else { return }
        self.completion = nil
        node.cancel(timer)
        if case .failure = result { connection.abort() }
        completion(result)
        own = nil
    }

    public func clientOpened(_ client: HTTPClientConnection) {
        var bytes: [UInt8] = []
        HTTPWriter.requestLine("GET", url.target, into: &bytes)
        HTTPWriter.field("Host", url.authority, into: &bytes)
        HTTPWriter.field("Upgrade", "websocket", into: &bytes)
        HTTPWriter.field("Connection", "Upgrade", into: &bytes)
        HTTPWriter.field("Sec-WebSocket-Key", key, into: &bytes)
        HTTPWriter.field("Sec-WebSocket-Version", WebSocketHandshake.version, into: &bytes)
        for (name, value) in fields where HTTPWriter.isSafeField(name: name, value: value) {
            HTTPWriter.field(name, value, into: &bytes)
        }
        HTTPWriter.endHead(&bytes)
        client.begin(.get)
        client.write(bytes)
    }

    public func clientReceivedHead(_ client: HTTPClientConnection) {
        let head = client.head
        if head.status < 200, head.status != 101 { return }
        guard head.status == 101 else {
            return finish(.failure(.malformed(HTTPError(502, "the answer was \(head.status), not a WebSocket"))))
        }
        guard head.listContains(.upgrade, "websocket"), head.listContains(.connection, "upgrade"),
            head.value(of: "Sec-WebSocket-Accept") == WebSocketHandshake.accept(key)
        else { return finish(.failure(.malformed(HTTPError(502, "the answer is not one to this handshake")))) }
        let socket = WebSocketConnection(node, .client, options)
        let stream = client.stream!
        client.upgrade(to: socket)
        socket.begin(stream)
        finish(.success(socket))
    }

    public func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}
    public func clientReceivedEnd(_ client: HTTPClientConnection) {}

    public func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        finish(.failure(HTTPCall.Failure(failure, on: client)))
    }
}
