import CircuitBreakerEngine
import Glibc
import KernelStructures
import Testing

/// Every history of up to eight steps, compared with the model after each step. The engine is a value, so the tree of
/// histories is walked by copying it.
@Suite struct ExhaustiveTests {
    /// Eight steps; six in a build without optimization, unless SDLAB_LONG asks for all.
    static let depth: Int = {
        #if DEBUG
            return getenv("SDLAB_LONG") == nil ? 6 : 8
        #else
            return 8
        #endif
    }()

    /// Small numbers, so that eight steps reach every state.
    static let configurations: [(name: String, rules: CircuitBreakerConfiguration)] = {
        var counts = CircuitBreakerConfiguration(
            failureThreshold: 2, successThreshold: 2, timeout: .seconds(2), windowSize: 3)
        counts.permittedNumberOfCallsInHalfOpenState = 2
        counts.maxWaitDurationInHalfOpenState = .seconds(1)
        var rates = CircuitBreakerConfiguration()
        rates.slidingWindowSize = 3
        rates.minimumNumberOfCalls = 2
        rates.permittedNumberOfCallsInHalfOpenState = 2
        rates.waitDurationInOpenState = .seconds(1)
        rates.slowCallDurationThreshold = .milliseconds(500)
        rates.slowCallRateThreshold = 60
        rates.maxWaitDurationInHalfOpenState = .zero
        var seconds = rates
        seconds.slidingWindowType = .timeBased
        seconds.slidingWindowSize = 2
        seconds.maxWaitDurationInHalfOpenState = .seconds(2)
        var one = CircuitBreakerConfiguration(
            failureThreshold: 1, successThreshold: 1, timeout: .seconds(1), windowSize: 1)
        one.slowCallDurationThreshold = .milliseconds(500)
        one.slowCallRateThreshold = 100
        return [("counts", counts), ("rates", rates), ("seconds", seconds), ("one", one)]
    }()

    /// One point in the tree: engine and model after the same history.
    struct Point {
        var engine: BreakerEngine
        var model: BreakerModel
        var now = LabTime.documentedEpoch
        /// Calls under way, the oldest first.
        var underWay: [(number: Int, permit: Permit)] = []
        var begun = 0
        var history = ""

        init(_ rules: CircuitBreakerConfiguration) {
            engine = BreakerEngine(rules, now: .documentedEpoch)
            model = BreakerModel(rules: rules)
        }

        mutating func begin() {
            begun += 1
            let permit = engine.tryAcquire(now: now).permit
            let mayPass = model.begin(begun, now)
            if (permit != nil) != mayPass { disagree("permits \(permit != nil), the model \(mayPass)") }
            if let permit { underWay.append((begun, permit)) }
        }

        mutating func end(at index: Int, failed: Bool?) {
            let (number, permit) = underWay.remove(at: index)
            let slow = now - permit.startedAt > engine.configuration.slowCallDurationThreshold
            let lateBefore = model.late
            let reaction =
                switch failed {
                case nil: engine.release(permit, now: now)
                case true?: engine.onFailure(permit, now: now)
                case false?: engine.onSuccess(permit, now: now)
                }
            model.end(number, failed: failed, slow: slow, now)
            if reaction.isLate != (model.late > lateBefore) { disagree("late \(reaction.isLate)") }
            if (reaction.change != nil)
                != (engine.history.last?.time == now && engine.generation == model.epoch
                    && reaction.change == engine.history.last)
            {
                disagree("reports \(String(describing: reaction.change))")
            }
        }

        mutating func pass(_ time: LabDuration) { now = now + time }

        mutating func compare() {
            if engine.state != model.state { disagree("is \(engine.state), the model \(model.state)") }
            if engine.generation != model.epoch { disagree("changed \(engine.generation) times, not \(model.epoch)") }
            if engine.counters.late != model.late { disagree("\(engine.counters.late) late, not \(model.late)") }
            if engine.counters.rejected != model.rejected { disagree("\(engine.counters.rejected) rejected") }
            if engine.trialsUnderWay != model.trials.count { disagree("\(engine.trialsUnderWay) trials under way") }
            let tally = engine.currentTally(now: now)
            let calls = model.state == .closed ? model.window(now) : model.state == .halfOpen ? model.calls : nil
            guard let calls else { return }
            if tally.calls != calls.count || tally.failures != calls.count(where: \.failed)
                || tally.slowCalls != calls.count(where: \.slow)
                || tally.slowFailures != calls.count(where: { $0.slow && $0.failed })
            {
                disagree("counts \(tally), the model \(calls)")
            }
        }

        func disagree(_ what: String) { Issue.record("after \(history): the engine \(what)") }
    }

    @Test("one call after another: every sequence of outcomes agrees with the model", arguments: configurations)
    func sequences(name: String, rules: CircuitBreakerConfiguration) {
        var count = 0
        var states: Set<CircuitState> = []
        func walk(_ point: Point, _ depth: Int) {
            count += 1
            states.insert(point.engine.state)
            if depth == 0 { return }
            for step in ["ok", "fail", "cancel", "slow", "wait"] {
                var next = point
                next.history += " \(step)"
                if step == "wait" {
                    next.pass(.seconds(1))
                } else {
                    next.begin()
                    if step == "slow" { next.pass(.milliseconds(600)) }
                    if !next.underWay.isEmpty {
                        next.end(at: 0, failed: step == "cancel" ? nil : step == "fail")
                    }
                }
                next.compare()
                walk(next, depth - 1)
            }
        }
        walk(Point(rules), Self.depth)
        #expect(states == [.closed, .open, .halfOpen], "\(name): the walk is too short to show anything")
        #expect(count == (0...Self.depth).reduce(0) { sum, length in sum + power(5, length) })
    }

    private func power(_ base: Int, _ exponent: Int) -> Int {
        (0..<exponent).reduce(1) { product, _ in product * base }
    }

    @Test(
        "calls that overlap: every interleaving of beginnings and ends agrees with the model", arguments: configurations
    )
    func interleavings(name: String, rules: CircuitBreakerConfiguration) {
        var sawLate = false
        var sawOvershoot = false
        func walk(_ point: Point, _ depth: Int) {
            sawLate = sawLate || point.model.late > 0
            sawOvershoot = sawOvershoot || point.engine.state == .open && point.underWay.count > 1
            if depth == 0 { return }
            func branch(_ step: String, _ body: (inout Point) -> Void) {
                var next = point
                next.history += " \(step)"
                body(&next)
                next.compare()
                walk(next, depth - 1)
            }
            branch("begin") { $0.begin() }
            branch("wait") { $0.pass(.seconds(1)) }
            if point.underWay.isEmpty { return }
            for failed in [false, true, nil] {
                let word = failed.map { $0 ? "fail" : "ok" } ?? "cancel"
                branch("oldest-\(word)") { $0.end(at: 0, failed: failed) }
                if point.underWay.count > 1 {
                    branch("newest-\(word)") { $0.end(at: $0.underWay.count - 1, failed: failed) }
                }
            }
        }
        walk(Point(rules), Self.depth)
        #expect(sawLate)
        #expect(sawOvershoot)
    }
}
