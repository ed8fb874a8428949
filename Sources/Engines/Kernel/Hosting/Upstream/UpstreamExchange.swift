import KernelStructures
import KernelWire
import KernelWorld

/// One request on its way through a proxy to a server, and the response on its way back.
///
/// ## The problem
///
/// A load balancer, a rate limiter and a gateway differ in what they decide: who gets the request, who may ask at all,
/// what is added to it. What they *do* with a request is the same, and full of traps: a server closes a kept connection
/// at the moment it is used; a client uploads faster than the server reads; an answer comes before its request is
/// complete; a body breaks off in the middle. Here it stands once, and a subclass decides.
///
/// ## An everyday picture
///
/// A hotel's concierge who takes orders for the restaurants around. He keeps a few telephone lines open. If a line
/// turns out to be dead he dials again, and nobody is to blame for it. If the cook hangs up after "once more, please?",
/// he repeats an order that does no harm when it is cooked twice, and no other. A guest who dictates slowly does not
/// make the cook late.
///
/// ## How
///
/// ```
///         choose            opened             head
///   idle ──▶ ┬─ waiting ─▶ ┬─ connecting ──▶ sent ──▶ responding ──▶ idle
///            └─────────────┘      │            │
///                  ▲              │ failed     │ failed, and may be repeated
///                  └──────────────┴────────────┘
/// ```
///
/// Bodies are streamed both ways: whoever cannot write pauses whoever reads. A request is sent a second time only if
/// the first cannot have done anything, or if doing it twice is the same as doing it once and all of its body is at
/// hand (`ReplayBuffer`):
///
/// | what happened                                            | sent again?                                    |
/// |----------------------------------------------------------|------------------------------------------------|
/// | the connection was never made                            | if the policy says so                          |
/// | a kept connection was closed without a byte of answer    | yes, to the same server, on a fresh connection |
/// | a fresh one was, or no answer in time, or a 5xx:         |                                                |
/// | … an idempotent request whose body was kept              | if the policy says so                          |
/// | … any other request                                      | no: 502 or 504; it may have been done          |
/// | after the first byte of the answer                       | no; before it is passed on 502, after it a cut |
///
/// Requests that could not be repeated never travel on a kept connection, because a server may close such a connection
/// at the very moment it is used.
///
/// A subclass is the policy; it overrides what stands under *Policy* below. Objects are made to be used again: when a
/// request is over (`ended`), the exchange can take the next, whoever's that is.
///
/// ## Where it is wrong
///
/// A server may have done what a POST asked for before it broke off; the client is told 502 and cannot know. And the
/// deadline for a server is one for each byte, not for the whole: one byte a minute keeps a request alive.
open class UpstreamExchange {
    public final let pool: UpstreamPool
    /// Whose request it is; nil between two requests.
    public private(set) final var client: HTTPServerConnection!
    /// The server that has the request, or had it last.
    public private(set) final var server: UpstreamServer?
    /// The connection to it.
    public private(set) final var upstream: HTTPClientConnection?
    public internal(set) final var phase = Phase.idle
    /// Whether the connection in use had served a request before this one.
    public private(set) final var isReused = false
    /// Whether all of the request has arrived.
    public private(set) final var isRequestComplete = false
    final var timeouts: UpstreamTimeouts
    final var body = ReplayBuffer()
    /// A kept connection had been closed; the same server is asked again.
    final var isSecondTry = false
    /// Of the present attempt, if the request is part of a trace that somebody records.
    private(set) final var span: ActiveSpan?
    private final var attemptCount = 0
    /// What the connection in use had carried before.
    private final var carriedBefore = (sent: 0, received: 0)
    /// The response's head, while nothing behind it has been looked at.
    final var pendingHead: [UInt8]?
    /// Gathers what it is written while one piece of the response is looked at.
    final var corked: Stream?
    final var deadline = LabTime.distantFuture
    final var timer: TimerID?
    /// When the timer fires, while there is one.
    final var timerTime = LabTime.distantFuture

    public enum Phase: Sendable { case idle, waiting, connecting, sent, responding }

    public init(_ pool: UpstreamPool) {
        self.pool = pool
        timeouts = pool.timeouts
    }

    // MARK: Policy

    /// Decides who gets the next attempt.
    open func choose() -> UpstreamChoice { preconditionFailure("an exchange's policy chooses") }

    /// An attempt at a server begins: a connection is taken or made.
    open func attemptBegan() {}

    /// The attempt is over; every `attemptBegan` is followed by one of these.
    open func attemptEnded(_ attempt: UpstreamAttempt) {}

    /// An attempt has failed: what now? Called after its `attemptEnded`.
    ///
    /// - Parameter mayRepeat: whether the request may be sent again at all; `.again` is for no other.
    open func recover(from failure: UpstreamFailure, mayRepeat: Bool) -> UpstreamRecovery { .answer }

    /// Whether another server is to be asked instead of passing this status of 500 or more on. The request may be
    /// repeated; what happens then is up to `recover`, which must not choose `.answer`.
    open func wantsAnother(insteadOf status: Int) -> Bool { false }

    /// Whether the connection that has just served this request is to be kept for another.
    open var keepsConnection: Bool { true }

    /// What a fresh connection begins with, before everything else: a PROXY header.
    open var introduction: [UInt8] { [] }

    /// How a fresh connection is secured; nil: not at all.
    open var security: (any StreamSecurity)? { nil }

    /// Whether `rewrite` is to be asked about the fields of requests.
    open var rewritesFields: Bool { false }

    /// Writes a field of the request in another way, or not at all; false if it is to pass as it is.
    open func rewrite(_ field: HTTPHead.Field, of head: HTTPHead, to out: inout [UInt8]) -> Bool { false }

    /// What a server is asked for in place of the request's own target; nil: as it came.
    open var target: [UInt8]? { nil }

    /// Whether `rewrite(responseField:…)` is to be asked about the fields of final responses.
    open var rewritesResponseFields: Bool { false }

    /// Writes a field of a final response in another way, or not at all; false if it is to pass as it is.
    open func rewrite(responseField field: HTTPHead.Field, of head: HTTPHead, to out: inout [UInt8]) -> Bool { false }

    /// Adds fields to a request.
    open func decorate(request out: inout [UInt8]) {
        HTTPWriter.field("X-Forwarded-For", client.clientEndpoint.host, into: &out)
    }

    /// Adds fields to a final response.
    open func decorate(response out: inout [UInt8]) {}

    /// The request's head is about to be sent: there is a connection.
    open func connected() {}

    /// A final response has begun.
    open func answerBegan() {}

    /// A response is complete, or a 101 has made a tunnel of both connections. Its `attemptEnded` is still to come.
    open func answered(_ status: Int) {}

    /// An attempt is about to fail; its connection is still there to look at.
    open func willFail(_ failure: UpstreamFailure) {}

    /// The response has begun and cannot be finished; the client's connection is about to be cut.
    open func willCut(_ status: Int) {}

    /// The client went away, in whatever `phase` it is. An attempt that is under way ends afterwards.
    open func willAbandon() {}

    /// Answers in a server's place: 501 to CONNECT, 502 or 504 after a failure.
    open func refuse(_ status: Int, _ text: String, after failure: UpstreamFailure?) { respond(status, text) }

    /// The request is about to have its answer whole: the client's connection may take its next request.
    open func released() {}

    /// The exchange may be used for another request.
    open func ended() {}

    // MARK: The request

    /// Takes a request whose head has arrived.
    ///
    /// - Parameters:
    ///   - early: what of its body has arrived as well.
    ///   - isComplete: whether that is all.
    public final func forward(_ client: HTTPServerConnection, early: [UInt8] = [], isComplete: Bool = false) {
        self.client = client
        timeouts = pool.timeouts
        body.reset()
        if !early.isEmpty { early.withUnsafeBytes { body.hold($0) } }
        isRequestComplete = isComplete
        isSecondTry = false
        attemptCount = 0
        // RFC 9110 §9.3.6: it asks for a tunnel to wherever it likes. Only a forward proxy gives that.
        if client.method == .connect { return refuse(501, "CONNECT is for forward proxies", after: nil) }
        next()
    }

    /// Asks the policy who gets the next attempt: at first, and when a request that waited may go on.
    public final func next() {
        switch choose() {
        case .server(let server):
            self.server = server
            start(on: server)
        case .wait:
            phase = .waiting
            pauseBody()
        case .answered: break
        }
    }

    /// A request that waited need not any longer, or has waited for too long: the policy says what is next.
    public final func stopWaiting() { if phase == .waiting { phase = .idle } }

    private final func start(on server: UpstreamServer) {
        attemptBegan()
        if isRepeatable, let connection = server.takeIdle() {
            isReused = true
            beginSpan()
            use(connection)
            sendHead()
        } else {
            connect()
        }
    }

    /// Whether the whole request can be sent twice, as far as its head tells.
    private final var isRepeatable: Bool {
        guard client.method.isIdempotent else { return false }
        switch client.bodyFraming {
        case .none: return true
        case .length(let length): return length <= ReplayBuffer.limitBytes
        case .chunked, .untilClose: return false
        }
    }

    final func connect() {
        guard let server else { return }
        if span == nil { beginSpan() }
        isReused = false
        phase = .connecting
        pauseBody()
        let connection = HTTPClientConnection()
        use(connection)
        do throws(NetworkError) {
            try connection.connect(
                from: pool.node, to: server.destination, security: security, introduction: introduction)
            setDeadline(timeouts.connect)
        } catch {
            pool.node.enqueue { [self] in
                if upstream === connection, phase == .connecting { failed(.unresolved(error)) }
            }
        }
    }

    private final func beginSpan() {
        guard let parent = client.span, let server else { return }
        attemptCount += 1
        let head = client.head
        span = .calling(
            head.methodText, String(decoding: head.targetPath, as: UTF8.self), to: server.destination, on: pool.node,
            attempt: attemptCount, within: parent)
    }

    private final func endSpan(_ outcome: UpstreamAttempt.Outcome) {
        guard let span else { return }
        self.span = nil
        switch outcome {
        case .answered(let status): span.wasAnswered(status)
        case .failed(let failure): span.fail(failure.text(pool.noun))
        case .abandoned: span.fail("the client went away")
        case .stale: span.fail("the kept connection had been closed")
        }
        span.end()
    }

    private final func use(_ connection: HTTPClientConnection) {
        upstream = connection
        connection.delegate = self
        carriedBefore = connection.carried
    }

    private final func pauseBody() { if client.bodyFraming != .none { client.pauseBody() } }

    final func sendHead() {
        guard let upstream else { return }
        phase = .sent
        connected()
        setDeadline(timeouts.response)
        upstream.begin(client.method)
        var bytes = pool.takeScratch()
        ForwardedHead.append(request: client.head, of: self, to: &bytes)
        decorate(request: &bytes)
        HTTPWriter.endHead(&bytes)
        upstream.write(bytes)
        pool.giveScratch(bytes)
        if !body.bytes.isEmpty {
            body.bytes.withUnsafeBytes { upstream.write(body: $0, inChunks: client.bodyFraming == .chunked) }
            body.sent(mayRepeat: client.method.isIdempotent)
        }
        if isRequestComplete { endForwarding() }
        // Last, as it may bring more of the body at once.
        if !upstream.stream.isCongested { client.resumeBody() }
    }

    /// A piece of the request's body has arrived.
    public final func receive(_ piece: UnsafeRawBufferPointer) {
        switch phase {
        case .connecting, .waiting: body.hold(piece)
        case .sent, .responding:
            guard let upstream else { return }
            setDeadline(timeouts.response)
            body.sent(piece, mayRepeat: phase == .sent && client.method.isIdempotent)
            upstream.write(body: piece, inChunks: client.bodyFraming == .chunked)
            if upstream.stream.isCongested { client.pauseBody() }
        case .idle: break
        }
    }

    /// All of the request has arrived.
    public final func endBody() {
        isRequestComplete = true
        if phase == .sent || phase == .responding { endForwarding() }
    }

    private final func endForwarding() {
        guard client.bodyFraming == .chunked, let upstream else { return }
        var trailers: [UInt8] = []
        HTTPTrailers.append(forwarding: client.trailers, of: client.head, to: &trailers)
        upstream.endChunks(trailers: trailers)
    }

    // MARK: The end

    /// The client went away.
    public final func abandon() {
        guard phase != .idle else { return }
        willAbandon()
        dropPendingHead()
        upstream?.abort()
        if phase == .waiting { phase = .idle } else { end(.abandoned) }
    }

    /// The client's connection is over.
    public final func close() {
        abandon()
        pool.node.cancel(timer)
        timer = nil
    }

    /// The attempt at the present server is over.
    final func end(_ outcome: UpstreamAttempt.Outcome) {
        guard phase != .idle else { return }
        let carried = upstream?.carried ?? carriedBefore
        let attempt = UpstreamAttempt(
            outcome: outcome, phase: phase, isReused: isReused, bytesSent: carried.sent - carriedBefore.sent,
            bytesReceived: carried.received - carriedBefore.received)
        phase = .idle
        upstream = nil
        deadline = .distantFuture
        endSpan(outcome)
        attemptEnded(attempt)
    }

    /// The request is answered: `finish` says the last of it to the client.
    final func conclude(_ finish: (HTTPServerConnection) -> Void) {
        released()
        let client = client!
        finish(client)
        self.client = nil
        ended()
    }

    /// Answers the request in a server's place.
    public final func respond(_ status: Int, fields: [(String, String)] = [], _ text: String) {
        let body = Array("\(status) \(HTTPStatus.reason(status)): \(text)\n".utf8)
        respond(status, fields: fields, contentType: "text/plain", body: body)
    }

    /// The same with a body of any kind.
    public final func respond(_ status: Int, fields: [(String, String)], contentType: String, body: [UInt8]) {
        phase = .idle
        conclude { $0.respond(status: status, fields: fields, contentType: contentType, body: body) }
    }
}
