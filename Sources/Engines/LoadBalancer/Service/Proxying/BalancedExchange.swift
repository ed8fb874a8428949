import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// What the balancer decides for one request on its way (`UpstreamExchange`): the engine's choice of a server, the
/// client's mark, what is tried again, and the line in the log.
///
/// Most connections of most balancers are idle, and an idle one needs none of this: when a request is done, its
/// exchange goes back to the proxy and is used for the next request, whoever's that is.
final class BalancedExchange: PooledExchange {
    /// Nil between two requests, so that unused exchanges keep no proxy alive that keeps them.
    private(set) var proxy: HTTPProxy!
    private var forwardedFields: [UInt8] = []
    private var forwardedFor: (source: IPAddress, kinds: LoadBalancerConfiguration.ForwardedFields)?
    /// The server that the client's cookie names, as far as there is one.
    private(set) var markedServer: Int?
    /// When what happened, for the log.
    private(set) var times = RequestLog()
    /// What the last failure is called there.
    private var failureCode = "SC"
    /// What a server did that was reached, with its name in the log: nobody may say that none was.
    private var reached: (failure: UpstreamFailure, code: String)?
    /// An operator has cut it.
    var isKilled = false
    /// The request's line, to be written once its answer is.
    private var line: PendingLine?

    var host: LoadBalancerHost { proxy.host }
    private var now: LabTime { pool.node.world.now }

    // MARK: The request

    func begin(_ client: HTTPServerConnection, of proxy: HTTPProxy) {
        self.proxy = proxy
        prepareFields(for: client)
        isKilled = false
        reached = nil
        beginChoosing(Arrival(request: host.engine.requestArrived(), source: arrival.source))
        times = RequestLog(now: now, bytesBefore: client.stream.bytesSent)
        if client.method != .connect { proxy.readMarks(of: client, into: &arrival) }
        markedServer = arrival.sticky
        forward(client)
    }

    private func prepareFields(for client: HTTPServerConnection) {
        arrival.source = client.clientAddress
        arrival.sticky = nil
        let kinds = host.configuration.forwarded
        // The next client is often the same.
        if forwardedFor?.source != arrival.source || forwardedFor?.kinds != kinds {
            forwardedFor = (arrival.source, kinds)
            forwardedFields = kinds.lines(for: arrival.source.description, isSecure: client.isSecure)
        }
        // A header may claim what is no address.
        if client.proxyHeader != nil, client.clientEndpoint.endpoint == nil {
            forwardedFields = kinds.lines(for: client.clientEndpoint.host, isSecure: client.isSecure)
            forwardedFor = nil
        }
    }

    override func choose() -> UpstreamChoice {
        switch host.engine.choose(arrival, excluding: tried, now: now) {
        case .server(let slot):
            chose(slot)
            times.chosen = now
            return .server(proxy.servers[slot])
        case .wait(let ticket):
            times.ahead = host.engine.waitingCount - 1
            host.wait(ticket, holding(ticket))
            return .wait
        case .none(let reason):
            giveUp(reason)
            return .answered
        }
    }

    override func waitedTooLong() {
        host.engine.unserved()
        answer(
            503, "sQ", fields: [("Retry-After", "1")], "no backend had room in \(host.configuration.queue.timeout)")
    }

    // MARK: Attempts

    override func attemptBegan() {
        super.attemptBegan()
        times.connected = nil
        times.answered = nil
        host.engine.requestBegan(server: slot)
    }

    override func connected() { times.connected = now }
    override func answerBegan() { times.answered = now }

    override func attemptEnded(_ attempt: UpstreamAttempt) {
        host.engine.count(attempt.traffic, of: slot)
        host.requestEnded(
            slot, LoadBalancer.Outcome(attempt.outcome), latency: attemptAge, request: arrival.request)
    }

    override var keepsConnection: Bool { host.engine.servers[slot].keepsConnections }

    // MARK: Heads

    override var introduction: [UInt8] {
        guard let version = host.engine.servers[slot].settings.sendProxy else { return [] }
        return host.proxyHeader(version, client: client.clientEndpoint, balancer: client.receivingEndpoint).bytes
    }

    override var security: (any StreamSecurity)? { host.security.client(of: host.engine.servers[slot].settings) }

    override var rewritesFields: Bool { proxy.cookie != nil }

    /// The balancer's own cookie is between it and the client.
    override func rewrite(_ field: HTTPHead.Field, of head: HTTPHead, to out: inout [UInt8]) -> Bool {
        guard field.name == .cookie, let cookie = proxy.cookie else { return false }
        cookie.appendOthers(of: head.valueBytes(of: field), to: &out)
        return true
    }

    override func decorate(request out: inout [UInt8]) { out.append(contentsOf: forwardedFields) }

    override func decorate(response out: inout [UInt8]) {
        if let cookie = proxy.cookie, markedServer != slot {
            cookie.append(server: host.engine.servers[slot].name, to: &out)
        }
    }

    // MARK: Failures

    override func willFail(_ failure: UpstreamFailure) {
        if case .malformed(let error) = failure { noteBadResponse(error) }
        let hasBegun = phase == .responding
        failureCode =
            switch failure {
            case .unresolved, .notConnected: failure == .notConnected(.timedOut) ? "sC" : "SC"
            case .closed, .status: hasBegun ? "SD" : "SH"
            case .malformed: hasBegun ? "PD" : "PH"
            case .timedOut: hasBegun ? "sD" : "sH"
            }
        switch failure {
        case .unresolved, .notConnected: break
        case .closed, .status, .malformed, .timedOut: reached = (failure, failureCode)
        }
    }

    override func recover(from failure: UpstreamFailure, mayRepeat: Bool) -> UpstreamRecovery {
        let conditions = host.configuration.retryOn
        let isWanted =
            switch failure {
            case .unresolved, .notConnected: conditions.connectFailure
            case .closed: mayRepeat && conditions.emptyResponse
            case .timedOut: mayRepeat && conditions.responseTimeout && hasAlternative
            case .status: true
            case .malformed: false
            }
        guard isWanted else { return .answer }
        // To another server, if any attempt is left and the budget has one.
        guard tried.count <= host.configuration.retries else {
            giveUp(.noServer)
            return .answered
        }
        // For another server instead of an answer it was taken before that was given up.
        let isPaid = if case .status = failure { true } else { false }
        guard isPaid || host.engine.mayRetry(now: now) else {
            host.engine.unserved()
            answer(503, failureCode, "a backend failed, and the retry budget is spent")
            return .answered
        }
        host.engine.retried(after: slot)
        arrival.attempt += 1
        return .again
    }

    override func wantsAnother(insteadOf status: Int) -> Bool {
        // What the server has answered is better than nothing: without a budget it goes to the client as it is.
        host.configuration.retryOn.statuses.contains(status) && hasAlternative && host.engine.mayRetry(now: now)
    }

    private var hasAlternative: Bool {
        tried.count <= host.configuration.retries && host.engine.hasCandidate(excluding: tried)
    }

    /// Every server that could be asked has failed, or there is none.
    private func giveUp(_ reason: DecisionLog.Reason) {
        host.engine.unserved()
        if reason != .lineIsFull, let reached {
            // As HAProxy has it: 503 is for those who could not be asked, 502 and 504 for those who did not answer.
            return answer(reached.failure.gatewayStatus, reached.code, reached.failure.text(pool.noun))
        }
        let text =
            switch reason {
            case .lineIsFull: "every backend is full, and so is the queue"
            case .mayNotMove: "your backend is not available"
            default: tried.isEmpty ? "no backend is in the pool" : "no backend could be reached"
            }
        let retryAfter = max(1, Int(host.configuration.healthCheck.interval.seconds))
        let code = reason == .lineIsFull ? "RQ" : tried.isEmpty ? "SC" : failureCode
        answer(503, code, fields: tried.isEmpty ? [("Retry-After", "\(retryAfter)")] : [], text)
    }

    override func refuse(_ status: Int, _ text: String, after failure: UpstreamFailure?) {
        switch failure {
        case nil: answer(status, "PR", text)
        case .unresolved, .notConnected: answer(status, failureCode, "the backend could not be reached")
        default: answer(status, failureCode, text)
        }
    }

    // MARK: Ends

    /// The balancer answers the request itself.
    private func answer(_ status: Int, _ code: String, fields: [(String, String)] = [], _ text: String) {
        line = pendingLine(code, status: status)
        respond(status, fields: fields, text)
    }

    override func answered(_ status: Int) {
        line = pendingLine("--", status: status)
        guard status == 101 else { return }
        // What the tunnel carries is not the answer's.
        line?.write()
        line = nil
    }

    override func willCut(_ status: Int) { pendingLine(failureCode, status: status)?.write() }

    override func willAbandon() {
        let blame = isKilled ? "K" : "C"
        if phase == .waiting {
            pendingLine("\(blame)Q", status: nil)?.write()
            if let ticket { host.stopWaiting(ticket) }
        } else {
            let isData = phase == .responding || phase == .sent && !isRequestComplete
            pendingLine(
                blame + (phase == .connecting ? "C" : isData ? "D" : "H"),
                status: phase == .responding ? upstream?.head.status : nil)?.write()
        }
    }

    override func released() { client.context = nil }

    override func ended() {
        line?.write()
        line = nil
        let last = proxy
        proxy = nil
        last?.giveBack(self)
    }
}
