import KernelStructures
import KernelWire
import KernelWorld

/// One request over one connection, and its answer.
///
/// A kept connection may have been closed by its server while the request was on its way. That is nobody's failure, so
/// what may be repeated is sent once more, over a connection of its own (RFC 9112 §9.3.1).
///
/// It lives until it is over, or its connection's node is: the connection holds it, and lets go when its stream is
/// lost.
final class HTTPAttempt: HTTPClientDelegate {
    private let request: HTTPCall.Request
    /// What it carries of its trace.
    private let traceFields: [(name: String, value: String)]
    private var connection = HTTPClientConnection()
    /// Where the connection comes from, and goes to.
    private let kept: UpstreamServer?
    private var isReused = false
    private weak var node: Node?
    private var security: (any StreamSecurity)?
    private var completion: ((Result<(HTTPHead, [UInt8]), HTTPCall.Failure>) -> Void)?
    private var body: [UInt8] = []

    init(
        _ request: HTTPCall.Request, _ traceFields: [(name: String, value: String)], kept: UpstreamServer? = nil,
        completion: @escaping (Result<(HTTPHead, [UInt8]), HTTPCall.Failure>) -> Void
    ) {
        self.request = request
        self.traceFields = traceFields
        self.kept = kept
        self.completion = completion
    }

    func start(_ node: Node, _ security: (any StreamSecurity)?) {
        (self.node, self.security) = (node, security)
        guard let idle = kept?.takeIdle() else { return connect(node) }
        connection = idle
        isReused = true
        connection.context = self
        connection.delegate = self
        clientOpened(connection)
    }

    private func connect(_ node: Node) {
        connection.context = self
        connection.delegate = self
        do throws(HTTPCall.Failure) {
            try connection.connect(
                from: node, to: request.url, at: request.destination, security: security,
                introduction: request.preamble)
        } catch {
            connection.context = nil
            node.enqueue { [self] in finish(.failure(error)) }
        }
    }

    /// It waits for a descriptor of this process, and has asked nobody yet.
    var isHeldBack: Bool { connection.stream?.isHeldBack ?? false }

    func cancel() {
        completion = nil
        connection.abort()
        connection.context = nil
    }

    private func finish(_ result: Result<(HTTPHead, [UInt8]), HTTPCall.Failure>) {
        guard let completion else { return }
        self.completion = nil
        // A server that has not answered may still hold the connection: reset it, there is nothing to be polite about.
        if case .success = result {
            connection.context = nil
            if let kept { kept.keep(connection) } else { connection.close() }
        } else {
            connection.abort()
            connection.context = nil
        }
        completion(result)
    }

    private func succeed() { finish(.success((connection.head, body))) }

    // MARK: HTTPClientDelegate

    func clientOpened(_ client: HTTPClientConnection) {
        var bytes: [UInt8] = []
        HTTPWriter.requestLine(request.method, request.url.target, into: &bytes)
        let host = request.fields.first { $0.name.lowercased() == "host" }?.value
        HTTPWriter.field("Host", host ?? request.url.authority, into: &bytes)
        for (name, value) in request.fields
        where name.lowercased() != "host" && HTTPWriter.isSafeField(name: name, value: value) {
            HTTPWriter.field(name, value, into: &bytes)
        }
        for (name, value) in traceFields where !request.fields.contains(where: { $0.name.lowercased() == name }) {
            HTTPWriter.field(name, value, into: &bytes)
        }
        if let body = request.body {
            HTTPWriter.field("Content-Length", body.count, into: &bytes)
        } else if ["POST", "PUT", "PATCH"].contains(request.method) {
            HTTPWriter.field("Content-Length", 0, into: &bytes)
        }
        if kept == nil { HTTPWriter.field("Connection", "close", into: &bytes) }
        HTTPWriter.endHead(&bytes)
        client.begin(HTTPMethod(known: request.method))
        client.write(bytes)
        if let body = request.body, !body.isEmpty { client.write(body) }
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {
        guard client.head.status >= 200 else { return }
        switch request.answer {
        case .head: succeed()
        case .until(_, let isEnough): if isEnough(client.head, []) { succeed() }
        case .collected, .ignored: break
        }
    }

    func client(_ client: HTTPClientConnection, received bytes: UnsafeRawBufferPointer) {
        switch request.answer {
        case .head, .ignored: break
        case .collected(let limit):
            guard bytes.count <= limit - body.count else { return finish(.failure(.tooLong(limitBytes: limit))) }
            body.append(contentsOf: bytes)
        case .until(let limit, let isEnough):
            body.append(contentsOf: bytes.prefix(limit - body.count))
            if body.count == limit || isEnough(client.head, body) { succeed() }
        }
    }

    func clientReceivedEnd(_ client: HTTPClientConnection) {
        guard client.head.status >= 200 else { return }
        succeed()
    }

    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        if case .closed = failure, isReused, client.bytesOfResponse == 0, request.mayBeRepeated, let node {
            isReused = false
            client.context = nil
            connection = HTTPClientConnection()
            return connect(node)
        }
        finish(.failure(HTTPCall.Failure(failure, on: client)))
    }
}

extension HTTPClientConnection {
    /// Starts to connect to where a URL leads, or to `place`, over TLS if the URL says so.
    func connect(
        from node: Node, to url: HTTPURL, at place: HostPort? = nil, security: (any StreamSecurity)?,
        introduction: [UInt8] = []
    ) throws(HTTPCall.Failure) {
        if url.scheme == .https, security == nil { throw .security("https needs TLS, which is not set up here") }
        do throws(NetworkError) {
            try connect(
                from: node, to: place ?? url.destination, security: url.scheme == .https ? security : nil,
                introduction: introduction)
        } catch {
            throw .network(error)
        }
    }
}

extension HTTPCall.Failure {
    init(_ failure: HTTPClientFailure, on client: HTTPClientConnection) {
        switch failure {
        case .notConnected(.securityFailed), .closed(.securityFailed):
            self = .security(client.stream.layer?.failureText ?? "TLS failed")
        case .notConnected(.refused): self = .refused
        case .notConnected: self = .unreachable
        case .closed: self = .closed
        case .malformed(let error): self = .malformed(error)
        }
    }
}

extension HTTPMethod {
    /// The method of that name, in capital letters; `.other` for one without a case of its own.
    public init(known name: String) {
        switch name {
        case "GET": self = .get
        case "HEAD": self = .head
        case "POST": self = .post
        case "PUT": self = .put
        case "DELETE": self = .delete
        case "OPTIONS": self = .options
        case "PATCH": self = .patch
        case "TRACE": self = .trace
        case "CONNECT": self = .connect
        default: self = .other
        }
    }
}
