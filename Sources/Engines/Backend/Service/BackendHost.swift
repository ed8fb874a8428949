import BackendEngine
import KernelHosting
import KernelService
import KernelStructures
import KernelWire
import KernelWorld

/// A web server for others to stand in front of: says who it is, and misbehaves on request.
///
/// | path              | answer                                                   |
/// |-------------------|----------------------------------------------------------|
/// | `/health`         | 200 `OK`, whatever `--status` says elsewhere              |
/// | `/status/503`     | that status                                              |
/// | `/delay/200ms`    | the usual answer, that much later                        |
/// | `/bytes/1048576`  | that many bytes                                          |
/// | `/early-hints/2`  | the usual answer, after as many 103s                     |
/// | `/echo`           | the request as it arrived: line, fields, body            |
/// | `/metrics`        | what it counts, for Prometheus                           |
/// | anything else     | `Response from NAME`                                     |
///
/// To every method but CONNECT, which is for proxies, and TRACE, which shows what nobody should see: these get 405.
public final class BackendHost: Service, HTTPService {
    public struct Settings: Sendable {
        public var name: String
        public var port: UInt16
        /// How long it thinks before each answer.
        public var latency = LabDuration.zero
        public var status = 200
        /// The body of the usual answer; nil for `Response from NAME`.
        public var body: String?
        /// What it answers to one request after another, instead of the usual; see `AnswerPlan`.
        public var answers: AnswerPlan?
        /// Bytes of a request's body that are accepted.
        public var bodyLimitBytes = Int.max
        /// Whom it asks before it answers; nil: nobody.
        public var dependency: Dependency?
        /// How it registers itself; nil: it does not.
        public var registration: ServiceRegistration.Settings?

        public init(name: String, port: UInt16) {
            self.name = name
            self.port = port
        }
    }

    public let runtime: ServiceRuntime
    public let settings: Settings
    private var server: HTTPServer!
    private let usual: PreparedResponse
    /// Requests answered so far.
    public private(set) var requestCount = 0
    private var answers: AnswerPlan?
    private var registration: ServiceRegistration?
    /// Called when it has taken itself off the registry.
    private var whenDeregistered: (() -> Void)?

    /// What a request needs between its head and its answer.
    private final class Pending {
        var echo: [UInt8]?
        var bytesToSend = 0
        var bodyBytes = 0
    }

    /// Bytes that `/bytes/N` hands over at a time.
    private static let pieceBytes = 64 * 1024
    private static let echoPath = Array("/echo".utf8)
    private static let metricsPath = Array("/metrics".utf8)
    /// Bytes of a body that `/echo` repeats.
    private static let echoLimitBytes = 64 * 1024

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: nil, options: options)
        self.settings = settings
        answers = settings.answers
        usual = PreparedResponse(
            status: settings.status, body: Array((settings.body ?? "Response from \(settings.name)\n").utf8))
        var limits = HTTPServerOptions()
        limits.limits.bodyBytes = settings.bodyLimitBytes
        server = HTTPServer(node: node, service: self, options: limits)
    }

    public func prepare() { runtime.add(server, on: settings.port) }

    public func opened() {
        guard let registration = settings.registration else { return }
        let own = ServiceRegistration(node, registration)
        own.onTrouble = { [node] text in node.log("REG", "\(node.name) \(text)", level: .warning) }
        self.registration = own
        own.start()
    }

    /// Before it stops to answer: whoever still comes has not heard yet.
    public func willDrain() {
        registration?.stop { [weak self] in
            guard let self else { return }
            registration = nil
            whenDeregistered?()
            whenDeregistered = nil
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        if registration == nil { done() } else { whenDeregistered = done }
    }

    public var statistics: [Statistic] {
        [
            .init("backend", settings.name),
            .init("requests", requestCount, .counter("backend_requests_total", "Requests so far")),
        ]
    }

    // MARK: HTTPService

    public func requestBegan(_ connection: HTTPServerConnection) {
        connection.context = nil
        if connection.bodyFraming != .none { connection.sendContinue() }
        if connection.withTarget({ $0.starts(with: Self.echoPath) }), connection.head.path == "/echo" {
            let pending = Pending()
            pending.echo = connection.head.bytes
            connection.context = pending
        }
    }

    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        guard let pending = connection.context as? Pending else { return }
        let room = Self.echoLimitBytes - pending.bodyBytes
        pending.echo?.append(contentsOf: body.prefix(max(0, room)))
        pending.bodyBytes += body.count
    }

    public func requestEnded(_ connection: HTTPServerConnection) {
        // What it says of its health is `/health`'s own affair here: a case may want it to lie.
        if connection.withTarget({ $0.starts(with: Self.metricsPath) }), runtime.answer(connection) { return }
        requestCount += 1
        if connection.method == .connect || connection.method == .trace { return refuse(connection) }
        if answers != nil, !Self.isSpecial(connection.head.path) { return answerAsPlanned(connection) }
        if settings.latency == .zero, settings.dependency == nil, connection.withTarget({ $0.count == 1 }) {
            return connection.respond(usual)
        }
        answer(connection, connection.head.path)
    }

    private func refuse(_ connection: HTTPServerConnection) {
        connection.respond(
            status: 405, fields: [("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")],
            body: "\(connection.head.methodText) makes no sense here\n")
    }

    private func answer(_ connection: HTTPServerConnection, _ path: String) {
        let parts = path.split(separator: "/", maxSplits: 1).map(String.init)
        var delay = settings.latency
        if parts.count == 2, parts[0] == "delay" {
            guard let extra = LabDuration(parsing: parts[1]) else {
                return connection.respond(status: 400, body: "'\(parts[1])' is not a duration such as 200ms\n")
            }
            delay += extra
        }
        if delay > .zero {
            node.after(delay) { [self] in finish(connection, parts) }
        } else {
            finish(connection, parts)
        }
    }

    /// Paths that mean the same whatever is planned.
    private static func isSpecial(_ path: String) -> Bool {
        ["health", "echo", "status", "bytes", "early-hints"].contains(path.split(separator: "/").first ?? "")
    }

    private func answerAsPlanned(_ connection: HTTPServerConnection) {
        let step = answers!.next()
        let delay = settings.latency + step.delay
        guard delay > .zero else { return give(step.answer, connection) }
        node.after(delay) { [self] in give(step.answer, connection) }
    }

    private func give(_ answer: AnswerPlan.Answer, _ connection: HTTPServerConnection) {
        guard !connection.stream.isClosed else { return }
        switch answer {
        case .usual: connection.respond(usual)
        case .early:
            hint(connection, 1)
            connection.respond(usual)
        case .status(let status): connection.respond(status: status, body: "\(status) \(HTTPStatus.reason(status))\n")
        case .close: connection.abort()
        case .nothing: break
        }
    }

    private func finish(_ connection: HTTPServerConnection, _ parts: [String]) {
        switch (parts.first, parts.dropFirst().first) {
        case ("health", nil):
            connection.respond(status: 200, body: "OK\n")
        case ("echo", nil):
            connection.respond(status: 200, body: (connection.context as? Pending)?.echo ?? [])
        case ("status", let code?):
            guard let status = Int(code), (200...599).contains(status) else {
                return connection.respond(status: 400, body: "'\(code)' is not a status of 200 to 599\n")
            }
            connection.respond(status: status, body: "\(status) \(HTTPStatus.reason(status))\n")
        case ("bytes", let text?):
            guard let count = parseByteCount(text) else {
                return connection.respond(status: 400, body: "'\(text)' is not a number of bytes\n")
            }
            let pending = Pending()
            pending.bytesToSend = count
            connection.context = pending
            connection.beginResponse(status: 200, fields: [("Content-Type", "application/octet-stream")], length: count)
            sendPieces(connection, pending)
        case ("early-hints", let text?):
            guard let count = Int(text), (1...Self.hintLimit).contains(count) else {
                return connection.respond(status: 400, body: "'\(text)' is not a number of 1 to \(Self.hintLimit)\n")
            }
            hint(connection, count)
            connection.respond(usual)
        default:
            if let dependency = settings.dependency {
                ask(dependency, for: connection)
            } else {
                answerAsUsual(connection)
            }
        }
    }

    func answerAsUsual(_ connection: HTTPServerConnection) { connection.respond(usual) }

    private func hint(_ connection: HTTPServerConnection, _ count: Int) {
        for _ in 0..<count { connection.writeInterim(Self.hint, status: 103) }
    }

    /// RFC 8297.
    private static let hint = Array(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n".utf8)
    private static let hintLimit = 100

    private func sendPieces(_ connection: HTTPServerConnection, _ pending: Pending) {
        guard connection.context as? Pending === pending else { return }
        var rest = Self.piecesPerTurn
        while pending.bytesToSend > 0, !connection.isCongested, !connection.stream.isClosed {
            if rest == 0 {
                // Others have their turn, and the news that the client has left: nothing else may slow this down.
                return node.enqueue { [weak self] in self?.sendPieces(connection, pending) }
            }
            rest -= 1
            let count = min(pending.bytesToSend, Self.pieceBytes)
            pending.bytesToSend -= count
            connection.writeBody(Self.piece.count == count ? Self.piece : Array(Self.piece.prefix(count)))
        }
        if pending.bytesToSend == 0 { connection.endResponse() }
    }

    private static let piecesPerTurn = 64
    private static let piece = [UInt8](repeating: UInt8(ascii: "x"), count: pieceBytes)

    public func responseDrained(_ connection: HTTPServerConnection) {
        if let pending = connection.context as? Pending, pending.bytesToSend > 0 { sendPieces(connection, pending) }
    }
}
