import CircuitBreakerEngine
import CommandKit
import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ResilienceEngine
import ShellSession

/// Asks a service again and again through all layers of protection, and says what came of it: one line a request.
///
/// The layers decide (`ResilientCalls`); this program does what they say: it makes attempts, sets timers and prints.
final class CircuitTestProgram: Program, Component {
    struct Settings {
        let url: HTTPURL
        var requests = 100
        /// From the end of one request to the beginning of the next.
        var interval = LabDuration.milliseconds(750)
        var parallel = 1
        var calls = ResilientCalls.Configuration()
        var fallback: String?
        var isVerbose = false
        /// Where breakers for the same service tell each other what they have found.
        var share: SharedCircuit.Settings?
        /// For /metrics.
        var metricsPort: UInt16?

        init(url: HTTPURL) { self.url = url }

        /// Whether somebody has said after how many failures it opens.
        var hasChosenThreshold = false

        /// What makes the test pointless: too few attempts to open the circuit by any number of failures.
        var complaint: String? {
            guard hasChosenThreshold, let threshold = calls.breaker.failureThreshold else { return nil }
            let attempts = requests.multipliedReportingOverflow(by: calls.retry?.maxAttempts ?? 1)
            guard !attempts.overflow, attempts.partialValue < threshold else { return nil }
            return "\(counted(requests, "request")) cannot fail \(threshold) times: the circuit will not open"
        }
    }

    let process: Process
    let settings: Settings
    var calls: ResilientCalls
    private var attempts: [ResilientCalls.CallID: CircuitAttempt] = [:]
    private var numbers: [ResilientCalls.CallID: Int] = [:]
    private var timers: [ResilientCalls.CallID: TimerID] = [:]
    var lines: CircuitTestLines
    /// Slow calls that the breaker had counted before.
    private var slowCalls = 0
    private var begun = 0
    /// The next round is being begun, or its time is set.
    private var isArranged = false
    private var deadlineTimer: TimerID?
    private var shared: SharedCircuit?
    /// The port for /metrics, and what it answers.
    private var metrics: (server: HTTPServer, router: HTTPRouter)?

    init(_ process: Process, _ settings: Settings) {
        self.process = process
        self.settings = settings
        let node = process.node
        calls = ResilientCalls(
            settings.calls, now: node.world.now, random: node.draw { $0.fork("circuit-test") })
        lines = CircuitTestLines(configuration: settings.calls.breaker, fallback: settings.fallback)
    }

    private var node: Node { process.node }
    private var now: LabTime { node.world.now }

    func start() {
        do throws(NetworkError) { try serveMetrics() } catch {
            process.complain("\(error)")
            return process.exit(1)
        }
        if let share = settings.share { join(share) }
        if let complaint = settings.complaint { process.complain(complaint) }
        nextRound()
    }

    private func serveMetrics() throws(NetworkError) {
        guard let port = settings.metricsPort else { return }
        let router = HTTPRouter()
        router.on("GET", "/metrics") { [unowned self] exchange in
            let format = ExpositionFormat.negotiated(accept: exchange.field("Accept"))
            var page = MetricWriter(format)
            CircuitBreakerMetrics.collect([snapshot(ofBreaker: settings.url.host)], into: &page)
            exchange.answer(200, bytes: page.finish(), type: format.contentType)
        }
        let server = HTTPServer(node: node, service: router)
        try server.listen(on: port)
        metrics = (server, router)
    }

    private func join(_ share: SharedCircuit.Settings) {
        let circuit = SharedCircuit(
            node: node, settings: share, name: settings.url.destination.description,
            owner: "\(process.name)-\(process.number)")
        shared = circuit
        circuit.onFinding = { [unowned self] finding, remaining in
            report(calls.adopt(finding, remaining: remaining, now: now))
        }
        circuit.onBar = { [unowned self] in calls.awaitTrialLease($0) }
        circuit.state = { [unowned self] in (calls.breaker.state, calls.breaker.openUntil) }
        circuit.start()
    }

    private func nextRound() {
        isArranged = true
        let first = begun + 1
        begun = min(settings.requests, begun + settings.parallel)
        for number in first...begun {
            let (id, effects) = calls.begin(now: now)
            numbers[id] = number
            perform(effects)
        }
        isArranged = false
        arrangeNext()
    }

    /// The next requests come when all are back, and the interval has passed.
    private func arrangeNext() {
        guard numbers.isEmpty, !isArranged, process.isRunning else { return }
        guard begun < settings.requests else {
            write(lines.summary)
            process.session.endedBreakers.note(self, name: settings.url.host, owner: process.name, at: now)
            return process.exit(0)
        }
        isArranged = true
        node.after(settings.interval) { [self] in nextRound() }
    }

    // MARK: Effects

    private func perform(_ effects: [ResilientCalls.Effect]) {
        for effect in effects {
            switch effect {
            case .attempt(let id, let number, let permit, let change):
                if number > 1, settings.isVerbose { write("Request \(numbers[id]!): attempt \(number)") }
                attempt(id, permit, change)
            case .abandon(let id): attempts.removeValue(forKey: id)?.stop()
            case .counted(let id, let permit, let failure, let reaction):
                let counters = calls.breaker.counters
                let slow = counters.slowSuccesses + counters.slowFailures
                lines.counted(
                    id, permit, failure, reaction, calls.breaker.currentTally(now: now), isSlow: slow > slowCalls)
                slowCalls = slow
                if let change = reaction.change { log(change) }
            case .timer(let id, let time): setTimer(id, time)
            case .fallback(let id, _, let failure):
                lines.fallingBack(id, failure)
                report(calls.fallbackEnded(id, nil, now: now))
            case .finish(let id, let failure): finish(id, failure)
            case .changed(let change): log(change)
            }
        }
        watchDeadline()
    }

    private func report(_ effects: [ResilientCalls.Effect]) {
        perform(effects)
        arrangeNext()
    }

    /// A call has one timer at most.
    private func setTimer(_ id: ResilientCalls.CallID, _ time: LabTime) {
        node.cancel(timers[id])
        timers[id] = node.after(max(.zero, time - now)) { [self] in report(calls.timerFired(id, now: now)) }
    }

    private func attempt(_ id: ResilientCalls.CallID, _ permit: Permit, _ change: Transition?) {
        if let change {
            log(change)
            write(lines.trying(numbers[id]!, change))
        }
        let attempt = CircuitAttempt(node, settings.url) { [self] outcome in
            attempts[id] = nil
            report(calls.attemptEnded(id, outcome, now: now))
        }
        attempts[id] = attempt
        attempt.start()
    }

    private func finish(_ id: ResilientCalls.CallID, _ failure: CallFailure?) {
        guard let number = numbers.removeValue(forKey: id) else { return }
        node.cancel(timers.removeValue(forKey: id))
        let line = lines.line(number, id, failure, state: calls.breaker.state, isVerbose: settings.isVerbose)
        write(line)
    }

    private func write(_ line: String?) { if let line { process.output.write(line + "\n") } }

    private func log(_ change: Transition) {
        shared?.changed(change)
        lines.changed(change)
        let wait = change.wait.map { " for \($0)" } ?? ""
        node.log(
            "CB",
            "\(settings.url.host): \(change.from.rawValue) -> \(change.to.rawValue)\(wait), because \(change.reason.description)",
            level: .debug)
    }

    /// Half-open gives up by itself, though nobody calls.
    private func watchDeadline() {
        node.cancel(deadlineTimer)
        deadlineTimer = nil
        let deadline = calls.nextDeadline
        guard deadline != .distantFuture, process.isRunning else { return }
        deadlineTimer = node.after(max(.zero, deadline - now)) { [self] in report(calls.advance(now: now)) }
    }

    // MARK: Component

    var kind: String { "circuit-test" }
    var stats: View? {
        View(BreakerViews.record(snapshot(ofBreaker: settings.url.host), strips: strips(ofBreaker: "")))
    }
}

extension CircuitTestProgram: BreakerHolder {
    var breakerNames: [String] { [settings.url.host] }

    func snapshot(ofBreaker name: String) -> BreakerSnapshot {
        BreakerSnapshot(name, calls.breaker, now: process.node.world.now)
    }

    func strips(ofBreaker name: String) -> (states: String, endings: String) {
        (lines.states.text, lines.endings.text)
    }

    func order(_ state: CircuitState, ofBreaker name: String) {
        report(calls.order(state, now: now))
    }

    func reconfigure(_ configuration: CircuitBreakerConfiguration, breaker name: String) {
        calls.reconfigure(breaker: configuration, now: now)
        lines.configuration = configuration
        report([])
    }
}
