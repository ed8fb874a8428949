import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// The requests of one connection, one after the other: who asks, may he, and the answer.
///
/// ```
///  head ──▶ charges ──▶ decide ──▶ refused ──▶ 429
///            (rules)    (engine      └▶ admitted ──▶ (held back) ──▶ forwarded, or answered 200
///                     or store)
/// ```
final class LimitedExchange {
    unowned let host: RateLimiterHost
    /// The connection owns this object.
    unowned let connection: HTTPServerConnection
    /// What was in force when the request began.
    private var rules: LimiterRules
    /// Places in those rules.
    private(set) var charges: [RateLimiter.Charge] = []
    private(set) var decision = RateLimiter.Decision.unlimited
    private(set) var assessments: [Assessment] = []
    private var forwarding: LimitedForwarding?
    private var phase = Phase.idle
    private var isRequestComplete = false
    /// Body bytes that came before it was decided where they go: at most one read of them, as reading pauses then.
    private var early: [UInt8] = []
    /// Tells answers of the store, and timers, for a request that is over.
    private var serial = 0
    private var timer: TimerID?
    /// Whether the engine has to hear when this request is over.
    private var isCharged = false
    private lazy var addressKey = Array(connection.clientAddress.description.utf8)

    enum Phase { case idle, deciding, held, open, done }

    init(_ host: RateLimiterHost, _ connection: HTTPServerConnection) {
        self.host = host
        self.connection = connection
        rules = host.rules
    }

    private var node: Node { host.node }

    // MARK: Deciding

    func begin() {
        // Held for all that follows: each look at what is not owned costs two atomic operations, and this is a path of
        // a microsecond.
        let host = host
        serial += 1
        isRequestComplete = false
        isCharged = false
        phase = .deciding
        forwarding = nil
        early = []
        if rules !== host.rules { rules = host.rules }
        host.counters.requests += 1
        if rules.isSimple {
            if !charges.isEmpty { charges = [] }
            let (cost, now) = (rules.simpleCost, host.node.world.now)
            decision = addressKey.withUnsafeBytes { host.engine.decide(policy: 0, key: $0, cost: cost, now: now) }
            return decided(host)
        }
        charges = makeCharges()
        if charges.isEmpty {
            host.counters.exempt += 1
            decision = .unlimited
            assessments = []
            return proceed()
        }
        if rules.store != nil { askStore() } else { take(host.decideHere(charges, under: rules)) }
    }

    private func makeCharges() -> [RateLimiter.Charge] {
        let head = connection.head
        let configuration = rules.configuration
        if !configuration.exempt.isEmpty {
            let path = RequestPath.normalized(head)
            if configuration.exempt.contains(where: { path == $0 || path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") })
            {
                return []
            }
        }
        let peer = connection.clientAddress
        let isFromProxy = configuration.trustedProxies.trusts(peer)
        var client: String?
        func address() -> String {
            if let client { return client }
            let forwarded = head.fields.filter { $0.name == .xForwardedFor }.map { head.valueBytes(of: $0) }
            let found = configuration.trustedProxies.client(peer: peer, forwarded: forwarded)
            let text = found.key(ipv6Prefix: configuration.ipv6Prefix)
            client = text
            return text
        }
        var charges: [RateLimiter.Charge] = []
        for (index, rule) in configuration.rules.enumerated() where rule.concerns(head) {
            var cost = rule.cost
            if let name = rule.costHeader, isFromProxy, let text = head.value(of: name), let stated = Int(text),
                (1...RateLimitRule.costLimit).contains(stated)
            {
                cost = stated
            }
            charges.append(.init(policy: index, key: rule.key.bytes(of: head, address: address()), cost: cost))
        }
        return charges
    }

    private func askStore() {
        let asked = serial
        // Until the answer is there, a body stays where it is.
        if connection.bodyFraming != .none { connection.pauseBody() }
        host.decide(charges, under: rules) { [weak self] verdict in
            guard let self, serial == asked, phase == .deciding else { return }
            goOn { take(verdict) }
        }
    }

    private func take(_ verdict: LimiterVerdict) {
        switch verdict {
        case .unknown:
            host.counters.refused += 1
            phase = .done
            connection.respond(
                status: 503, fields: [("Retry-After", "1")], body: "503 Service Unavailable: the quota is not known\n")
        case .decided(let decision, let charges, let assessments, let isCharged):
            self.decision = decision
            self.charges = charges
            self.assessments = assessments
            self.isCharged = isCharged
            decided(host)
        }
    }

    private func decided(_ host: RateLimiterHost) {
        guard decision.isAllowed else { return refuse(host) }
        guard decision.delay > .zero else { return proceed() }
        guard host.heldCount < RateLimiterHost.heldLimit else {
            host.counters.overloaded += 1
            phase = .done
            return connection.respond(
                status: 503, fields: [("Retry-After", "1")], body: "503 Service Unavailable: too many requests wait\n")
        }
        phase = .held
        host.heldCount += 1
        host.counters.delayed += 1
        if connection.bodyFraming != .none { connection.pauseBody() }
        timer = node.after(decision.delay) { [self] in
            timer = nil
            host.heldCount -= 1
            goOn { proceed() }
        }
    }

    /// What comes after a wait: an answer, or the way on; then the body may come, unless it has to wait still or its
    /// reading is the affair of whoever sends it on.
    ///
    /// An answer can be the end of the connection, and of the last that holds it: of a client that has said good-bye
    /// already. It must be there until this is over.
    private func goOn(_ step: () -> Void) {
        withExtendedLifetime(connection) {
            step()
            if phase != .held, forwarding == nil { connection.resumeBody() }
        }
    }

    // MARK: Admitted

    private func proceed() {
        phase = .open
        host.counters.admitted += 1
        if let upstream = rules.upstream {
            let forwarding = upstream.makeForwarding(for: self)
            self.forwarding = forwarding
            let held = early
            early = []
            forwarding.forward(connection, early: held, isComplete: isRequestComplete)
        } else if connection.method == .connect {
            over()
            connection.respond(status: 501, body: "501 Not Implemented: CONNECT is for forward proxies\n")
        } else if isRequestComplete {
            answer()
        } else if connection.bodyFraming != .none {
            connection.sendContinue()
        }
    }

    func receive(_ body: UnsafeRawBufferPointer) {
        switch phase {
        case .open: forwarding?.receive(body)
        case .deciding, .held: if rules.upstream != nil { early.append(contentsOf: body) }
        case .idle, .done: break
        }
    }

    func requestEnded() {
        isRequestComplete = true
        guard phase == .open else { return }
        if let forwarding { forwarding.endBody() } else { answer() }
    }

    func drained() { forwarding?.clientDrained() }

    private func answer() {
        let node = node
        over()
        connection.respond(status: 200) { appendQuota(to: &$0, node) }
    }

    /// The request has been answered, or its client has gone.
    func over() {
        if isCharged { host.engine.finished(charges, under: rules.policies) }
        isCharged = false
        forwarding = nil
        phase = .done
    }

    func abandon() {
        serial += 1
        if phase == .held {
            node.cancel(timer)
            timer = nil
            host.heldCount -= 1
        }
        forwarding?.abandon()
        over()
    }

    // MARK: Refused

    private func refuse(_ host: RateLimiterHost) {
        host.counters.refused += 1
        phase = .done
        let (connection, node) = (connection, host.node)
        var body: [UInt8] = []
        if connection.hasField(.accept), QuotaProblem.isWanted(connection.head) {
            let violated = charges.isEmpty ? [rules.configuration.rules[0].policy.name] : violatedNames
            body = Array(QuotaProblem.body(violated: violated, retryAfter: decision.retryAfter).utf8)
        }
        connection.respond(status: 429, body: body) { head in
            RateLimitFields.appendRetryAfter(decision, to: &head)
            appendQuota(to: &head, node)
            if !body.isEmpty { HTTPWriter.field("Content-Type", QuotaProblem.contentType, into: &head) }
        }
    }

    private var violatedNames: [String] {
        zip(charges, assessments).filter { !$1.isAllowed && !policy($0).isShadow }.map { policy($0.0).name }
    }

    private func policy(_ charge: RateLimiter.Charge) -> RateLimitPolicy {
        rules.configuration.rules[charge.policy].policy
    }

    // MARK: Fields

    /// What the response says of the quota.
    func appendQuota(to head: inout [UInt8], _ node: Node) {
        let families = rules.configuration.families
        guard decision.limit < .max, families != .none else { return }
        if families != .rateLimit {
            let index = charges.isEmpty ? 0 : charges[decision.deciding].policy
            RateLimitFields.appendCustomary(
                decision, limit: rules.shown[index].limit, wall: node.wallClock, to: &head)
        }
        if families != .xRateLimit { appendStandard(to: &head) }
    }

    private func appendStandard(to head: inout [UInt8]) {
        if charges.isEmpty {
            head.append(contentsOf: rules.policyLine)
            head.append(utf8: "RateLimit: ")
            let simple = Assessment(
                isAllowed: decision.isAllowed, limit: decision.limit, remaining: decision.remaining,
                retryAfter: decision.retryAfter, resetAfter: decision.resetAfter)
            RateLimitFields.appendItem(simple, start: rules.shown[0].itemStart, partitionKey: nil, to: &head)
            head.append(utf8: "\r\n")
            return
        }
        let shows = self.rules.configuration.showsPartitionKey
        let rules = self.rules.configuration.rules
        // A shadow is nobody's business but the operator's.
        let shown = zip(charges, assessments).filter { !rules[$0.0.policy].policy.isShadow }
        if shown.isEmpty { return }
        let items = shown.map {
            RateLimitFields.policyItem(rules[$0.0.policy].policy, partitionKey: shows ? $0.0.key : nil)
        }
        HTTPWriter.field("RateLimit-Policy", items.joined(separator: ", "), into: &head)
        head.append(utf8: "RateLimit: ")
        for (index, (charge, assessment)) in shown.enumerated() {
            if index > 0 { head.append(utf8: ", ") }
            RateLimitFields.appendItem(
                assessment, start: self.rules.shown[charge.policy].itemStart,
                partitionKey: shows ? charge.key : nil, to: &head)
        }
        head.append(utf8: "\r\n")
    }
}
