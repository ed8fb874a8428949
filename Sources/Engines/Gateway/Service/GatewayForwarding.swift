import CircuitBreakerEngine
import GatewayEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine
import LoadBalancerService

/// A request on its way to one service: which of its servers, what is changed of the heads, and what is tried again.
final class GatewayForwarding: PooledExchange {
    /// It outlives its request, and so this; nil between two requests.
    private unowned var exchange: GatewayExchange?
    private var live: LiveRoute!
    private var cluster: ServiceCluster!
    private var attempts = 0
    private var permit: Permit?
    private var isExpired = false
    private var path: [UInt8]?
    private var dropsAuthorization = false
    private var trustsClient = false

    var serviceName: String { cluster?.name ?? "" }

    // MARK: The request

    /// - Parameter path: what servers are asked for; nil: as the client has it.
    func begin(
        _ exchange: GatewayExchange, _ live: LiveRoute, _ cluster: ServiceCluster, path: [UInt8]?, early: [UInt8],
        isComplete: Bool
    ) {
        self.exchange = exchange
        self.live = live
        self.cluster = cluster
        self.path = path
        attempts = 0
        permit = nil
        isExpired = false
        beginChoosing(Arrival(request: cluster.requestArrived(), source: exchange.connection.clientAddress))
        dropsAuthorization = exchange.dropsAuthorization
        trustsClient = exchange.rules.configuration.trustedProxies.trusts(exchange.connection.clientAddress)
        forward(exchange.connection, early: early, isComplete: isComplete)
    }

    /// The time for all of it is over.
    func timeOut() {
        isExpired = true
        leaveLine()
        expire()
    }

    override func choose() -> UpstreamChoice {
        switch cluster.choose(arrival, excluding: tried) {
        case .server(let slot, let permit):
            chose(slot)
            attempts += 1
            self.permit = permit
            return .server(cluster.servers[slot])
        case .wait(let ticket):
            cluster.wait(ticket, holding(ticket))
            return .wait
        case .open(let wait):
            fail(503, "the circuit of \(cluster.name) is open", retryAfter: wait)
            return .answered
        case .none(let text):
            fail(attempts == 0 ? 503 : 502, "\(cluster.name): \(text)", retryAfter: attempts == 0 ? .seconds(1) : nil)
            return .answered
        }
    }

    private func leaveLine() { if phase == .waiting, let ticket { cluster.stopWaiting(ticket) } }

    override func waitedTooLong() {
        fail(503, "no server of \(cluster.name) had room in time", retryAfter: .seconds(1))
    }

    // MARK: Attempts

    override func attemptBegan() {
        super.attemptBegan()
        // A second connection to the same server is another call.
        if permit == nil { permit = cluster.anotherPermit() }
        cluster.attemptBegan(slot)
        exchange?.attemptBegan()
    }

    override func answerBegan() { exchange?.answerBegan() }

    override func attemptEnded(_ attempt: UpstreamAttempt) {
        cluster.attemptEnded(
            slot, LoadBalancer.Outcome(attempt.outcome), permit, latency: attemptAge, request: arrival.request)
        permit = nil
        exchange?.attemptEnded()
    }

    override var keepsConnection: Bool { cluster.keepsConnections(slot) }
    override var security: (any StreamSecurity)? { cluster.security }

    override func recover(from failure: UpstreamFailure, mayRepeat: Bool) -> UpstreamRecovery {
        guard !isExpired, mayRepeat, attempts <= live.route.retries else { return .answer }
        // When all have failed it, they are asked again.
        if !cluster.hasCandidate(excluding: tried) { tried.removeAll(keepingCapacity: true) }
        arrival.attempt += 1
        exchange?.retried()
        return .again
    }

    override func wantsAnother(insteadOf status: Int) -> Bool {
        !isExpired && attempts <= live.route.retries && live.route.retryStatuses.contains(status)
    }

    override func refuse(_ status: Int, _ text: String, after failure: UpstreamFailure?) {
        switch failure {
        case nil: fail(status, text, retryAfter: nil)
        case .unresolved, .notConnected: fail(status, "\(cluster.name) cannot be reached", retryAfter: nil)
        case .timedOut:
            let limit = isExpired ? live.route.timeout : live.route.responseTimeout
            fail(504, "\(cluster.name) did not answer within \(limit)", retryAfter: nil)
        case .closed, .malformed, .status: fail(status, "\(cluster.name) gave no proper answer", retryAfter: nil)
        }
    }

    private func fail(_ status: Int, _ text: String, retryAfter: LabDuration?) {
        guard let exchange else { return respond(status, text) }
        let answer = exchange.problem(status, text, remedy: nil, retryAfter: retryAfter)
        exchange.willAnswer(status, isFailure: true)
        respond(status, fields: answer.fields, contentType: HTTPProblem.contentType, body: answer.body)
    }

    // MARK: Heads

    override var target: [UInt8]? {
        guard let path else { return nil }
        let query = client.head.targetBytes.drop { $0 != UInt8(ascii: "?") }
        return path + query
    }

    override var rewritesFields: Bool { true }

    override func rewrite(_ field: HTTPHead.Field, of head: HTTPHead, to out: inout [UInt8]) -> Bool {
        switch field.name {
        case .host:
            guard let host = live.route.hostRewrite else { return false }
            HTTPWriter.field("Host", host, into: &out)
            return true
        case .xForwardedFor, .forwarded: return !trustsClient
        case .authorization where dropsAuthorization: return true
        case .other: return takesOther(field, of: head)
        default: return live.route.requestEdits.takesAny && live.route.requestEdits.takes(field, of: head)
        }
    }

    /// What only the gateway may say, what only the gateway may know, and what the route wants gone.
    private func takesOther(_ field: HTTPHead.Field, of head: HTTPHead) -> Bool {
        if head.isNamed(field, "X-Request-Id") { return true }
        if head.isNamed(field, "X-Forwarded-Proto") || head.isNamed(field, "X-Forwarded-Host") {
            return !trustsClient
        }
        guard let exchange else { return false }
        if let keys = exchange.rules.configuration.apiKeys, exchange.usesAPIKeys, head.isNamed(field, keys.field) {
            return true
        }
        let name = head.line(of: field).prefix { $0 != UInt8(ascii: ":") }
        if exchange.rules.identityFields.contains(name) { return true }
        return live.route.requestEdits.takesAny && live.route.requestEdits.takes(field, of: head)
    }

    override func decorate(request out: inout [UInt8]) {
        guard let exchange else { return }
        HTTPWriter.field("X-Forwarded-For", exchange.clientHost, into: &out)
        if !trustsClient {
            HTTPWriter.field("X-Forwarded-Proto", client.isSecure ? "https" : "http", into: &out)
            let head = client.head
            if let host = head.fields.first(where: { $0.name == .host }) {
                out.append(utf8: "X-Forwarded-Host: ")
                out.append(contentsOf: head.valueBytes(of: host))
                out.append(utf8: "\r\n")
            }
        }
        HTTPWriter.field("X-Request-Id", exchange.requestID, into: &out)
        if let identity = exchange.identity { out.append(contentsOf: identity.lines) }
        out.append(contentsOf: live.route.requestEdits.lines)
    }

    override var rewritesResponseFields: Bool { live.takesResponseFields }

    override func rewrite(responseField field: HTTPHead.Field, of head: HTTPHead, to out: inout [UInt8]) -> Bool {
        if live.crossOrigin != nil, field.name == .other {
            // Two who answer a browser's question give it no answer.
            let name = head.line(of: field).prefix { $0 != UInt8(ascii: ":") }
            if name.count > 15, name.prefix(15).elementsEqual("access-control-".utf8, by: { $0 | 0x20 == $1 | 0x20 }) {
                return true
            }
        }
        return live.route.responseEdits.takes(field, of: head)
    }

    override func decorate(response out: inout [UInt8]) { exchange?.appendFields(to: &out, isFromServer: true) }

    // MARK: Ends

    override func answered(_ status: Int) { exchange?.willAnswer(status, isFailure: false) }
    override func willCut(_ status: Int) { exchange?.willAnswer(status, isFailure: true) }
    override func willAbandon() { leaveLine() }
    override func released() { exchange?.over() }

    override func ended() {
        let last = live
        exchange = nil
        live = nil
        cluster = nil
        path = nil
        last?.giveBack(self)
    }
}
