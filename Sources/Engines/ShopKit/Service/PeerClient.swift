import CircuitBreakerEngine
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import ResilienceEngine

/// The way from one service of the shop to another: its instances from the registry, and around every question a
/// timeout, a circuit breaker and retries.
///
/// Everything the shop's services ask one another may be asked twice; who asks for a change gives it a key. So a
/// question that was not answered is asked again, of the next instance, and only then does the caller hear of it.
public final class PeerClient {
    /// What is asked.
    public struct Question: Sendable {
        public var method = "GET"
        public var target: String
        public var fields: [(name: String, value: String)] = []
        public var body: [UInt8]?

        public init(_ method: String = "GET", _ target: String) {
            self.method = method
            self.target = target
        }

        public init(_ method: String, _ target: String, json: JSONValue) {
            self.init(method, target)
            fields = [("Content-Type", "application/json")]
            body = json.bytes()
        }

        public init(_ method: String, _ target: String, form: [(name: String, value: String?)]) {
            self.init(method, target)
            fields = [("Content-Type", "application/x-www-form-urlencoded")]
            body = Array(HTTPQuery.text(form).utf8.dropFirst())
        }
    }

    /// What was answered, whatever its status.
    public struct Answer: Sendable {
        public let status: Int
        public let body: [UInt8]
        public var isSuccess: Bool { (200..<300).contains(status) }
        /// Null for what is no JSON.
        public var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    }

    /// Nobody has answered, after all attempts; what was asked for may have happened.
    public struct Unanswered: Error, Sendable {
        /// For people.
        public let text: String
    }

    public typealias Completion = (Result<Answer, Unanswered>) -> Void

    private final class Pending {
        let question: Question
        var completion: Completion?
        var call: HTTPCall?
        var timer: TimerID?
        var answer: Answer?

        init(_ question: Question, _ completion: @escaping Completion) {
            self.question = question
            self.completion = completion
        }
    }

    public let name: String
    public private(set) var answeredCount = 0
    public private(set) var failedCount = 0
    /// The circuit has changed its state; for the worse (`isTrouble`) or the better.
    public var onChange: ((_ message: LogMessage, _ isTrouble: Bool) -> Void)?
    private let node: Node
    private let fixed: HostPort
    private var instances: [HostPort] = []
    private var turn = 0
    private var follower: ServiceFollower?
    private var calls: ResilientCalls
    /// The states that the last calls met, and how those ended: `.` well, `x` not, `-` refused, `?` too late to count.
    private var states = StateStrip()
    private var endings = StateStrip()
    private let connections: KeptConnections
    private var pending: [ResilientCalls.CallID: Pending] = [:]

    /// Questions under way at a time.
    public static let pendingLimit = 20_000
    private static let attemptTimeout = LabDuration.seconds(2)
    private static let bodyLimitBytes = 4 << 20

    init(_ node: Node, name: String, fixed: HostPort, registry: HostPort?) {
        self.node = node
        self.name = name
        self.fixed = fixed
        connections = KeptConnections(node)
        var configuration = ResilientCalls.Configuration()
        configuration.breaker = CircuitBreakerConfiguration(
            failureThreshold: 5, successThreshold: 2, timeout: .seconds(5), windowSize: 10)
        configuration.timeout = Self.attemptTimeout
        var retry = Retry.Configuration()
        retry.maxAttempts = 3
        retry.waitDuration = .milliseconds(100)
        retry.exponentialMaxWaitDuration = .seconds(1)
        configuration.retry = retry
        calls = ResilientCalls(configuration, now: node.world.now, random: node.draw { $0.fork("peer \(name)") })
        node.whenEnded { [weak self] in self?.letGo() }
        guard let registry else { return }
        let follower = ServiceFollower(node, service: name, registry: registry) { [weak self] found in
            self?.instances = found.filter { $0.status != "critical" }.map(\.destination)
        }
        self.follower = follower
        // Whoever happens to ask first does not ask for this: it is in nobody's trace.
        node.world.journal.withCause(0) { follower.start() }
    }

    /// Nobody is asked at present.
    public var isOpen: Bool { calls.breaker.state == .open }

    /// How long no question is sent any more; nil while they are. (An open circuit whose wait is over lets the next one
    /// through to try.)
    public var refusesFor: LabDuration? {
        guard isOpen, let wait = calls.breaker.retryAfter(now: node.world.now), wait > .zero else { return nil }
        return wait
    }

    // MARK: The circuit, for those who look

    func snapshot(as name: String) -> BreakerSnapshot { BreakerSnapshot(name, calls.breaker, now: node.world.now) }
    var strips: (states: String, endings: String) { (states.text, endings.text) }
    func order(_ state: CircuitState) { perform(calls.order(state, now: node.world.now)) }
    func reconfigure(_ configuration: CircuitBreakerConfiguration) {
        calls.reconfigure(breaker: configuration, now: node.world.now)
    }

    // MARK: Questions

    /// - Parameter exchange: on whose behalf it is asked: its request's name goes along. (Its trace goes by itself.)
    public func ask(_ question: Question, for exchange: HTTPExchange? = nil, _ completion: @escaping Completion) {
        guard pending.count < Self.pendingLimit else {
            return completion(.failure(Unanswered(text: "\(pending.count) questions are under way")))
        }
        var question = question
        if let value = exchange?.field("X-Request-Id") { question.fields.append(("X-Request-Id", value)) }
        let (id, effects) = calls.begin(now: node.world.now)
        pending[id] = Pending(question, completion)
        perform(effects)
    }

    func stop() {
        follower?.stop()
        for (_, one) in pending.sorted(by: { $0.key.number < $1.key.number }) { one.call?.cancel() }
        connections.close()
        letGo()
    }

    private func letGo() {
        pending = [:]
        onChange = nil
    }

    // MARK: Effects

    private func perform(_ effects: [ResilientCalls.Effect]) {
        for effect in effects {
            switch effect {
            case .attempt(let id, _, _, let change):
                say(change)
                attempt(id)
            case .abandon(let id):
                pending[id]?.call?.cancel()
                pending[id]?.call = nil
            case .timer(let id, let time): arm(id, time)
            case .finish(let id, let failure): finish(id, failure)
            case .counted(_, let permit, let failure, let reaction):
                states.append(permit.state.letter)
                endings.append(reaction.isLate ? "?" : failure == nil ? "." : "x")
                say(reaction.change)
            case .changed(let transition): say(transition)
            case .fallback: break
            }
        }
    }

    private func say(_ transition: Transition?) {
        guard let transition else { return }
        let reason = "\(transition.reason)"
        onChange?(
            "Circuit to \(name): \(transition.from.rawValue) → \(transition.to.rawValue) (\(reason))",
            transition.to == .open || transition.to == .forcedOpen)
    }

    private func arm(_ id: ResilientCalls.CallID, _ time: LabTime) {
        guard let one = pending[id] else { return }
        node.cancel(one.timer)
        one.timer = node.after(max(.zero, time - node.world.now)) { [weak self] in
            guard let self else { return }
            perform(calls.timerFired(id, now: node.world.now))
        }
    }

    private func attempt(_ id: ResilientCalls.CallID) {
        guard let one = pending[id] else { return }
        let place = instances.isEmpty ? fixed : instances[turn % instances.count]
        turn = (turn + 1) % 1_000_000
        var request = HTTPCall.Request(
            one.question.method, url: HTTPURL(host: place.host, port: place.port, target: one.question.target))
        request.fields = one.question.fields
        request.body = one.question.body
        // The engine keeps the time.
        request.deadline = nil
        request.isRepeatable = true
        request.answer = .collected(limitBytes: Self.bodyLimitBytes)
        let call = HTTPCall(node, request, keeping: connections) { [weak self] result in self?.ended(id, result) }
        one.call = call
        call.start()
    }

    private func ended(_ id: ResilientCalls.CallID, _ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        guard let one = pending[id] else { return }
        one.call = nil
        let outcome: ResilientCalls.Outcome
        switch result {
        case .failure(let failure): outcome = .failure(CallFailure(.failed, failure.description))
        case .success(let response):
            one.answer = Answer(status: response.status, body: response.body)
            outcome =
                CallClassifier.classify(httpStatus: response.status) == .failure
                ? .failure(CallFailure(.failed, "status \(response.status)")) : .success
        }
        perform(calls.attemptEnded(id, outcome, now: node.world.now))
    }

    private func finish(_ id: ResilientCalls.CallID, _ failure: CallFailure?) {
        guard let one = pending.removeValue(forKey: id) else { return }
        node.cancel(one.timer)
        one.call?.cancel()
        if let failure {
            failedCount += 1
            if failure.kind == .notPermitted {
                states.append(calls.breaker.state.letter)
                endings.append("-")
            }
            one.completion?(.failure(Unanswered(text: failure.text)))
        } else if let answer = one.answer {
            answeredCount += 1
            one.completion?(.success(answer))
        }
    }
}
