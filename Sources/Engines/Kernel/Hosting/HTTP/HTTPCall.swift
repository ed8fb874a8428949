import KernelStructures
import KernelWire
import KernelWorld

/// One question to an HTTP server, with all that it takes to get an answer: redirects, retries, a deadline over
/// everything. The client side of the kit.
///
/// ## An everyday picture
///
/// An errand. Whoever is sent knows what to ask for, where, and by when to be back. If a note on the door says that the
/// office has moved, they go to the new place; if the door is locked, they come again a little later, each time a
/// little
/// more patiently, or when the note says so. At the hour that was agreed they come home, with or without.
///
/// ## How
///
/// ```
/// let call = HTTPCall(node, .init(url: try HTTPURL("http://registry:8500/v1/kv/a"))) { result in … }
/// call.start()
/// ```
///
/// `completion` is called once, never before `start` has returned, and not after `cancel`. The call lives until then;
/// nobody needs to hold it.
///
/// Each attempt has a connection of its own. What may be asked twice is asked again (RFC 9110 §9.2.2) when the
/// connection failed or the answer was one of `retry.statuses`, after `Retry-After` or a growing pause with chance in
/// it, unless the deadline would pass before. A redirect to another origin loses `Authorization` and `Cookie`.
///
/// ## Where it is wrong
///
/// A connection for each attempt costs a round trip; whoever asks one server again and again keeps them (`keeping`).
public final class HTTPCall {
    public struct Request: Sendable {
        public var method = "GET"
        public var url: HTTPURL
        /// Beyond `Host`, `Content-Length` and `Connection`. A `Host` here takes the place of the URL's.
        /// Those with characters that no field can have are not sent.
        public var fields: [(name: String, value: String)] = []
        public var body: [UInt8]?
        /// For everything together; nil for a caller that keeps its own time, and cancels.
        public var deadline: LabDuration? = .seconds(30)
        /// 0 gives redirects back as they are.
        public var redirectLimit = 0
        public var retry = RetryPolicy.never
        public var answer = Answer.collected(limitBytes: 1 << 20)
        /// What each connection begins with, before any request, and before TLS: a PROXY header.
        public var preamble: [UInt8] = []
        /// Where to connect to, where that is not what the URL says: a unix socket.
        public var destination: HostPort?
        /// It does the same once or twice, whatever its method: it carries a key, say.
        public var isRepeatable = false
        /// Whether it may be sent again when nobody knows whether it has arrived (RFC 9110 §9.2.2).
        var mayBeRepeated: Bool {
            isRepeatable || ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"].contains(method)
        }

        public init(_ method: String = "GET", url: HTTPURL) {
            self.method = method
            self.url = url
        }
    }

    /// What is wanted of an answer's body.
    public enum Answer: Sendable {
        /// The answer is complete with its head.
        case head
        /// All of it; a longer one is a failure.
        case collected(limitBytes: Int)
        /// Until it is enough, or longer than that, whatever comes then. Asked with the head alone first.
        case until(limitBytes: Int, isEnough: @Sendable (HTTPHead, [UInt8]) -> Bool)
        /// Read to its end and dropped.
        case ignored
    }

    /// When to ask again.
    public struct RetryPolicy: Sendable {
        /// Beyond the first.
        public var limit: Int
        public var statuses: Set<Int> = [429, 502, 503, 504]
        /// The pause before the second attempt is 0 to `firstPause`, before the third twice as long, and so on.
        public var firstPause = LabDuration.milliseconds(100)
        public var longestPause = LabDuration.seconds(10)

        public init(limit: Int) { self.limit = limit }
        public static let never = RetryPolicy(limit: 0)

        /// Full jitter, Brooker 2015.
        func pause(before attempt: Int, _ node: Node) -> LabDuration {
            let ceiling = min(longestPause, firstPause * (1 << min(attempt, 30)))
            return LabDuration(nanoseconds: node.draw { Int64($0.unit() * Double(max(.zero, ceiling).nanoseconds)) })
        }
    }

    public struct Response: Sendable {
        public let head: HTTPHead
        public let body: [UInt8]
        /// Whose answer it is, after redirects.
        public let url: HTTPURL
        public let attempts: Int
        public let redirects: Int

        public var status: Int { head.status }
        public var isSuccess: Bool { (200..<300).contains(head.status) }
        /// What an answer with an error says.
        public var problem: HTTPProblem {
            HTTPProblem(status: status, contentType: head.value(of: .contentType), body: body)
        }
    }

    public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        /// No connection could even be begun: an unknown host, no descriptors.
        case network(NetworkError)
        case refused
        case unreachable
        case deadline(LabDuration)
        case closed
        /// TLS: why there is none, in a sentence without an end.
        case security(String)
        case malformed(HTTPError)
        case tooLong(limitBytes: Int)
        case tooManyRedirects(Int)
        case redirect(HTTPURL.Malformed)

        public var description: String {
            switch self {
            case .network(let error): error.description
            case .refused: "connection refused"
            case .unreachable: "not reachable"
            case .deadline(let time): "no answer within \(time)"
            case .closed: "closed without an answer"
            case .security(let text): text
            case .malformed: "not an HTTP answer"
            case .tooLong(let limit): "an answer of more than \(byteCountText(limit))"
            case .tooManyRedirects(let count): "more than \(count) redirects"
            case .redirect(let error): "redirected to where nobody can go: \(error)"
            }
        }

        /// Whether the server cannot have seen the request.
        var isBeforeRequest: Bool { self == .refused || self == .unreachable }
        var mayPass: Bool { isBeforeRequest || self == .closed }
    }

    let node: Node
    private(set) var request: Request
    private let security: (any StreamSecurity)?
    private let connections: KeptConnections?
    private var completion: ((Result<Response, Failure>) -> Void)?
    /// Its connection holds it while it lasts, and it holds this call.
    private weak var attempt: HTTPAttempt?
    private var attempts = 0
    /// The span that it is asked within, if it is asked within any: by default the one that runs on its node when it
    /// starts.
    public var parent: ActiveSpan?
    /// Of the present attempt.
    private var span: ActiveSpan?
    private var redirects = 0
    private var startedAt = LabTime.distantFuture
    private var deadlineTimer: TimerID?
    private var pauseTimer: TimerID?

    /// - Parameters:
    ///   - security: TLS for `https`, which nobody is asked over without it.
    ///   - connections: where connections of plain HTTP come from and go to; without, each is closed after its answer.
    public init(
        _ node: Node, _ request: Request, security: (any StreamSecurity)? = nil,
        keeping connections: KeptConnections? = nil,
        completion: @escaping (Result<Response, Failure>) -> Void
    ) {
        self.node = node
        self.request = request
        self.security = security
        self.connections = connections
        self.completion = completion
    }

    public func start() {
        startedAt = node.world.now
        if node.world.spans.isRecording { parent = parent ?? node.world.spans.current(on: node) }
        if let deadline = request.deadline {
            waitUntil(deadline)
        }
        begin()
    }

    private func waitUntil(_ deadline: LabDuration) {
        deadlineTimer = node.after(deadline) { [self] in
            // One that has not begun yet, for want of a descriptor here, says nothing about the server.
            if attempt?.isHeldBack == true { waitUntil(deadline) } else { finish(.failure(.deadline(deadline))) }
        }
    }

    /// Nobody wants the answer any more.
    public func cancel() {
        completion = nil
        stop()
    }

    private func begin() {
        attempts += 1
        if let parent, !parent.isOver {
            let path = request.url.target.prefix { $0 != "?" }
            span = .calling(
                request.method, String(path), to: request.url.destination, on: node, attempt: attempts, within: parent)
        }
        let isPlain = request.url.scheme == .http && request.preamble.isEmpty
        let kept = isPlain ? connections?.server(request.destination ?? request.url.destination) : nil
        let attempt = HTTPAttempt(request, span?.fields ?? [], kept: kept) { [self] result in ended(result) }
        self.attempt = attempt
        attempt.start(node, security)
    }

    private func ended(_ result: Result<(HTTPHead, [UInt8]), Failure>) {
        guard completion != nil else { return }
        attempt = nil
        guard let span else { return conclude(result) }
        self.span = nil
        switch result {
        case .success((let head, _)): span.wasAnswered(head.status)
        case .failure(let failure): span.fail("\(failure)")
        }
        span.end { conclude(result) }
    }

    private func conclude(_ result: Result<(HTTPHead, [UInt8]), Failure>) {
        switch result {
        case .failure(let failure):
            let isSafe = failure.isBeforeRequest || (failure.mayPass && request.mayBeRepeated)
            if isSafe, retry(after: nil) { return }
            finish(.failure(failure))
        case .success((let head, let body)):
            if redirect(head) { return }
            if request.mayBeRepeated, request.retry.statuses.contains(head.status) {
                let field = head.value(of: "Retry-After")
                let wish = field.flatMap { LabDuration(parsingRetryAfter: $0, now: node.wallClock) }
                if retry(after: wish) { return }
            }
            finish(
                .success(
                    Response(head: head, body: body, url: request.url, attempts: attempts, redirects: redirects)))
        }
    }

    // MARK: Again

    /// - Returns: false if that was the last attempt, or there is no time for another.
    private func retry(after wish: LabDuration?) -> Bool {
        guard attempts <= request.retry.limit else { return false }
        let pause = wish ?? request.retry.pause(before: attempts - 1, node)
        if let deadline = request.deadline, node.world.now - startedAt + pause >= deadline { return false }
        pauseTimer = node.after(pause) { [self] in
            pauseTimer = nil
            begin()
        }
        return true
    }

    private func redirect(_ head: HTTPHead) -> Bool {
        guard request.redirectLimit > 0, let location = head.value(of: .location),
            let method = HTTPRedirect.method(after: head.status, of: request.method)
        else { return false }
        guard redirects < request.redirectLimit else {
            finish(.failure(.tooManyRedirects(request.redirectLimit)))
            return true
        }
        do throws(HTTPURL.Malformed) {
            let url = try request.url.resolving(location)
            redirects += 1
            turn(to: url, method)
            // Not from within the last attempt's callback.
            node.enqueue { [self] in if completion != nil { begin() } }
        } catch {
            finish(.failure(.redirect(error)))
        }
        return true
    }

    private func turn(to url: HTTPURL, _ method: String) {
        var lost: Set<String> = []
        if method != request.method {
            request.body = nil
            lost.formUnion(["content-type", "content-length", "content-encoding", "content-language"])
        }
        if !url.hasSameOrigin(as: request.url) { lost.formUnion(["authorization", "cookie", "host"]) }
        request.fields.removeAll { lost.contains($0.name.lowercased()) }
        request.method = method
        request.url = url
    }

    // MARK: The end

    private func finish(_ result: Result<Response, Failure>) {
        guard let completion else { return }
        self.completion = nil
        stop()
        completion(result)
    }

    private func stop() {
        node.cancel(deadlineTimer)
        node.cancel(pauseTimer)
        deadlineTimer = nil
        pauseTimer = nil
        attempt?.cancel()
        attempt = nil
        span?.fail("nobody waited for the answer any more")
        span?.end()
        span = nil
        parent = nil
    }
}
