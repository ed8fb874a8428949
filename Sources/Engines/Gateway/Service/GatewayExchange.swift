import GatewayEngine
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine
import RateLimiterService

/// The requests of one connection, one after the other: which route, who asks, may he, how often, and where to.
///
/// ```
///  head ─▶ route ─▶ credentials ─▶ (held, while somebody is asked) ─▶ limit ─▶ forwarded, put together, sent away
/// ```
final class GatewayExchange {
    unowned let host: GatewayHost
    /// The connection owns this object.
    unowned let connection: HTTPServerConnection
    /// What was in force when the request began.
    private(set) var rules: GatewayRules
    private(set) var live: LiveRoute?
    private(set) var match: RouteTable.Match?
    /// What it was looked up by, as long as it is under way.
    private(set) var path: [UInt8]?
    private(set) var identity: Identity?
    private(set) var requestID = ""
    /// Who is at the other end of the connection, as servers are told.
    private(set) lazy var clientHost = connection.clientEndpoint.host
    /// What the limit that was asked last has said, and its place among the limits.
    private(set) var decision: (made: RateLimiter.Decision, limit: Int)?
    private var forwarding: GatewayForwarding?
    private var aggregate: AggregateCall?
    var mirror: MirroredRequest?
    private var phase = Phase.idle
    var isRequestComplete = false
    /// Body bytes that came before it was decided where they go: at most one read of them, as reading pauses then.
    var early: [UInt8] = []
    private var bodyBytes = 0
    /// Tells answers of others, and timers, for a request that is over.
    private var serial = 0
    /// When all of the request has to be over, and one timer for all requests of the connection, which looks at it.
    private var deadline = LabTime.distantFuture
    private var timer: TimerID?
    private var timerTime = LabTime.distantFuture
    private var began = LabTime(nanoseconds: 0)
    private var attempted = LabTime(nanoseconds: 0)
    /// With servers, so far.
    private(set) var upstreamTime = LabDuration.zero
    private var isAttempting = false

    enum Phase { case idle, deciding, open, done }

    init(_ host: GatewayHost, _ connection: HTTPServerConnection) {
        self.host = host
        self.connection = connection
        rules = host.rules
    }

    var node: Node { host.node }
    private var now: LabTime { node.world.now }

    // MARK: The route

    func begin() {
        serial += 1
        phase = .deciding
        isRequestComplete = false
        early = []
        bodyBytes = 0
        live = nil
        match = nil
        identity = nil
        decision = nil
        upstreamTime = .zero
        rules = host.rules
        began = now
        let head = connection.head
        requestID = host.requestID(of: head, connection)
        if head.method == .connect { return refuse(501, "CONNECT is for forward proxies") }
        let request: RouteRequest
        do throws(CanonicalPath.Refusal) {
            request = try RouteRequest(head, allowsEncodedSlash: rules.configuration.allowsEncodedSlash)
        } catch {
            host.engine.countMalformed()
            return refuse(400, "\(error)", remedy: "write the path as it is meant")
        }
        path = request.path
        guard request.hasHost else {
            host.engine.countMalformed()
            return refuse(400, "Host is no host", remedy: "send the one that you ask: Host: api.example")
        }
        guard let match = rules.table.match(request) else { return refuseUnmatched(request) }
        let live = rules.routes[match.route]
        self.match = match
        self.live = live
        count { $0.requests += 1 }
        if request.preflightMethod != nil, let policy = live.crossOrigin { return answerPreflight(policy, live) }
        if case .length(let length) = head.body, length > live.route.bodyLimitBytes { return refuseBody(live) }
        if let limit = live.addressLimit, !isAdmitted(by: limit, host.anonymous(connection, rules), live) { return }
        authenticate(live, head)
    }

    private func refuseUnmatched(_ request: RouteRequest) {
        let methods = rules.table.methods(otherThanThatOf: request)
        let path = String(decoding: request.path.prefix(200), as: UTF8.self)
        host.unmatched("\(request.head.methodText) \(path)")
        if methods.isEmpty { return refuse(404, "no route is for \(request.head.methodText) \(path)") }
        // RFC 9110 §15.5.6: what it could have been.
        let list = methods.joined(separator: ", ")
        refuse(
            405, "no route is for \(request.head.methodText) \(path)", remedy: "there are \(list)",
            fields: [("Allow", list)])
    }

    private func refuseBody(_ live: LiveRoute) {
        refuse(413, "the body is larger than \(byteCountText(live.route.bodyLimitBytes))")
    }

    /// Leave to ask, or none: a browser goes by the fields alone.
    private func answerPreflight(_ policy: CrossOriginPolicy, _ live: LiveRoute) {
        var head: [UInt8] = []
        HTTPWriter.statusLine(204, into: &head)
        let origin = connection.head.value(of: "Origin") ?? ""
        let policy = live.crossOrigin(for: origin) ?? policy
        let methods = live.route.methods.isEmpty ? live.route.crossOrigin?.methods ?? [] : live.route.methods
        for (name, value) in policy.preflightFields(for: origin, methods) {
            HTTPWriter.field(name, value, into: &head)
        }
        answer(&head, status: 204, body: [])
    }

    // MARK: Who

    private func authenticate(_ live: LiveRoute, _ head: HTTPHead) {
        let methods = live.route.access.methods
        // Who nobody is matters to limits alone.
        if methods.isEmpty {
            return identified(.success(live.needsSubject ? host.anonymous(connection, rules) : .nobody))
        }
        let takesBearer = methods.contains(.jwt) || methods.contains(.introspection)
        let keyField = methods.contains(.apiKey) ? rules.configuration.apiKeys?.field : nil
        switch Credential.read(head, bearer: takesBearer, apiKeyField: keyField) {
        case .none:
            identified(.failure(takesBearer ? .missingToken : .missingKey(keyField ?? "X-API-Key")))
        case .malformed(let text): identified(.failure(.malformed(text)))
        case .malformedKey(let text): identified(.failure(.malformedKey(text)))
        case .apiKey(let key): identified(consumer(ofKey: key))
        case .bearer(let token):
            if methods.contains(.jwt), let tokens = rules.tokens {
                if let result = tokens.verify(token) { return identified(result) }
                wait { tokens.wait(token, completion: $0) }
            } else if let introspector = rules.introspector {
                wait { introspector.verify(token, completion: $0) }
            } else {
                identified(.failure(.undecided("nobody can check tokens")))
            }
        }
    }

    /// Until it is known who asks, a body stays where it is.
    private func wait(_ ask: (_ completion: @escaping (Result<Identity, AccessRefusal>) -> Void) -> Void) {
        let asked = serial
        var isDecided = false
        ask { [weak self] result in
            isDecided = true
            guard let self, serial == asked, phase == .deciding else { return }
            identified(result)
        }
        if !isDecided, connection.bodyFraming != .none { connection.pauseBody() }
    }

    private func consumer(ofKey key: [UInt8]) -> Result<Identity, AccessRefusal> {
        guard let owner = rules.apiKeys?.owner(of: key, now: node.wallClock) else { return .failure(.unknownKey) }
        var identity = Identity(subject: "key:" + owner.name)
        identity.scopes = owner.scopes
        if let field = rules.configuration.apiKeys?.consumerField { identity.tell(field, owner.name) }
        return .success(identity)
    }

    /// Whether the token is nobody's business but the gateway's.
    var dropsAuthorization: Bool {
        guard let methods = live?.route.access.methods else { return false }
        return methods.contains(.introspection)
            || methods.contains(.jwt) && rules.configuration.jwt?.forwardsToken != true
    }
    var usesAPIKeys: Bool { live?.route.access.methods.contains(.apiKey) ?? false }

    private func identified(_ result: Result<Identity, AccessRefusal>) {
        guard let live else { return }
        switch result {
        case .failure(let refusal): deny(refusal)
        case .success(let identity):
            self.identity = identity
            if let refusal = live.route.access.refusal(of: identity) { return deny(refusal) }
            if let limit = live.limit, !isAdmitted(by: limit, identity, live) { return }
            proceed(live)
        }
    }

    private func deny(_ refusal: AccessRefusal) {
        count { $0.denied += 1 }
        host.denied(
            refusal, "\(connection.head.methodText) \(String(decoding: (path ?? []).prefix(200), as: UTF8.self))")
        var head: [UInt8] = []
        HTTPWriter.statusLine(refusal.status, into: &head)
        if let challenge = refusal.challenge { HTTPWriter.field("WWW-Authenticate", challenge, into: &head) }
        if let seconds = refusal.retryAfterSeconds { HTTPWriter.field("Retry-After", seconds, into: &head) }
        HTTPWriter.field("Content-Type", "application/json", into: &head)
        answer(&head, status: refusal.status, body: Array((refusal.body + "\n").utf8))
    }

    // MARK: How often

    /// Charges a request to somebody's account, and answers it if that is empty.
    private func isAdmitted(by limit: Int, _ identity: Identity, _ live: LiveRoute) -> Bool {
        let charge = RateLimiter.Charge(policy: limit, key: identity.subject)
        let decision = host.limiter.decide([charge], under: rules.policies, now: now)
        self.decision = (decision, limit)
        if decision.isAllowed { return true }
        count { $0.limited += 1 }
        host.limited(identity.subject, live.route.name)
        var head: [UInt8] = []
        HTTPWriter.statusLine(429, into: &head)
        RateLimitFields.appendRetryAfter(decision, to: &head)
        HTTPWriter.field("Content-Type", "application/json", into: &head)
        let wait = RateLimitFields.seconds(decision.retryAfter)
        let body = "{\"error\": \"Rate limit exceeded\", \"retry_after\": \(wait)}\n"
        answer(&head, status: 429, body: Array(body.utf8))
        return false
    }

    // MARK: Where to

    private func proceed(_ live: LiveRoute) {
        phase = .open
        switch live.route.action {
        case .redirect(let redirection): redirect(redirection)
        case .aggregate(let aggregate):
            let call = AggregateCall(aggregate, live.parts, self)
            self.aggregate = call
            call.start()
        case .forward(let shares):
            guard let share = live.stickyShare(connection.head, identity) ?? host.engine.pick(shares) else {
                return refuse(503, "no share has a weight")
            }
            startMirror(live)
            let forwarding = live.makeForwarding()
            self.forwarding = forwarding
            let held = early
            early = []
            setDeadline(live.route.timeout)
            let cluster = live.targets[share]
            forwarding.begin(
                self, live, cluster, path: serverPath(live, cluster), early: held, isComplete: isRequestComplete)
        }
    }

    private func setDeadline(_ timeout: LabDuration) {
        deadline = now + timeout
        if timer != nil, timerTime <= deadline { return }
        node.cancel(timer)
        armTimer()
    }

    private func armTimer() {
        timerTime = deadline
        // Not weakly: a weak reference slows each retain of what is on the way of every request.
        timer = node.after(deadline - now) { [self] in checkDeadline() }
    }

    private func checkDeadline() {
        timer = nil
        guard deadline < .distantFuture else { return }
        if now < deadline { return armTimer() }
        deadline = .distantFuture
        forwarding?.timeOut()
    }

    // MARK: The body

    func receive(_ body: UnsafeRawBufferPointer) {
        bodyBytes += body.count
        if let live, bodyBytes > live.route.bodyLimitBytes, phase == .open || phase == .deciding {
            return overflow(live)
        }
        switch phase {
        case .open:
            mirror?.receive(body)
            forwarding?.receive(body)
        case .deciding: early.append(contentsOf: body)
        case .idle, .done: break
        }
    }

    /// A body in chunks has turned out to be too large.
    private func overflow(_ live: LiveRoute) {
        forwarding?.close()
        forwarding = nil
        aggregate?.cancel()
        if connection.hasBegunResponse {
            over()
            connection.abort()
        } else {
            refuseBody(live)
        }
    }

    func requestEnded() {
        isRequestComplete = true
        guard phase == .open else { return }
        sendMirror()
        forwarding?.endBody()
    }

    func drained() { forwarding?.clientDrained() }

    // MARK: The course of it

    func attemptBegan() {
        attempted = now
        isAttempting = true
    }

    func attemptEnded() {
        if isAttempting { upstreamTime += now - attempted }
        isAttempting = false
    }

    /// With servers, so far, one that is being asked now included.
    var upstreamSoFar: LabDuration { isAttempting ? upstreamTime + (now - attempted) : upstreamTime }

    func answerBegan() {}

    /// Since the request began.
    var age: LabDuration { now - began }

    func retried() { count { $0.retried += 1 } }

    func count(_ body: (inout Gateway.RouteCounters) -> Void) {
        guard let live else { return }
        host.engine.count(live.index, live.route.name, body)
    }

    /// The answer has its end, or is about to have it.
    func willAnswer(_ status: Int, isFailure: Bool) {
        guard let live else { return }
        let upstream = upstreamSoFar
        count {
            $0.answers[min(5, max(1, status / 100))] += 1
            if isFailure { $0.failed += 1 }
        }
        live.total.observe(now - began, within: connection.span)
        guard case .forward(let shares) = live.route.action, forwarding != nil else { return }
        live.upstream.observe(upstream, within: connection.span)
        host.passed(
            to: forwardedTo(shares), upstream: upstream,
            decision: decision?.limit == live.limit ? decision?.made : nil, status: status, isFailure: isFailure)
    }

    private func forwardedTo(_ shares: [Route.Share]) -> String {
        shares.count == 1 ? shares[0].service : forwarding?.serviceName ?? shares[0].service
    }

    /// The request has been answered, or its client has gone.
    func over() {
        deadline = .distantFuture
        forwarding = nil
        aggregate = nil
        mirror = nil
        path = nil
        phase = .done
    }

    func abandon() {
        serial += 1
        forwarding?.close()
        aggregate?.cancel()
        over()
    }

    /// The connection is over.
    func close() {
        abandon()
        node.cancel(timer)
        timer = nil
    }
}
