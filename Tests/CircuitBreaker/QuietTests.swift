import CircuitBreakerEngine
import KernelLoopback
import KernelStructures
import Synchronization
import Testing

/// Quick successes that are counted beside the engine: nobody may notice.
@Suite("Quick successes") struct QuietTests {
    /// The library and the engine, with the same calls at the same times.
    private struct Pair {
        let clock = HandClock()
        let library: CircuitBreaker
        var engine: BreakerEngine

        init(_ configuration: CircuitBreakerConfiguration) {
            library = CircuitBreaker("b", configuration, clock: { [clock] in clock.now }, seed: 7)
            engine = BreakerEngine(configuration, now: clock.now, random: SeededRandom(seed: 7))
        }

        mutating func call(_ outcome: CallClassifier.Outcome, lasting duration: LabDuration) {
            let permit = library.tryAcquire()
            let other = engine.tryAcquire(now: clock.now).permit
            #expect((permit == nil) == (other == nil))
            clock.pass(duration)
            if let permit { permit.onResult(outcome) }
            guard let other else { return }
            switch outcome {
            case .success: _ = engine.onSuccess(other, now: clock.now)
            case .failure: _ = engine.onFailure(other, now: clock.now)
            case .ignored: _ = engine.release(other, now: clock.now)
            }
        }

        mutating func compare(_ place: Int) {
            _ = engine.advance(now: clock.now)
            let (one, other) = (library.snapshot, BreakerSnapshot("b", engine, now: clock.now))
            #expect(one.state == other.state && one.tally == other.tally, "step \(place)")
            #expect(one.counters == other.counters, "step \(place)")
            #expect(one.history.count == other.history.count && one.retryAfter == other.retryAfter, "step \(place)")
        }
    }

    @Test("whatever happens in between, the library says what the engine alone would", arguments: 0..<40)
    func sameAsEngine(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowSize = 1 + random.below(12)
        configuration.minimumNumberOfCalls = 1 + random.below(configuration.slidingWindowSize)
        configuration.slidingWindowType = seed % 2 == 1 ? .timeBased : .countBased
        configuration.slowCallDurationThreshold = .milliseconds(100)
        configuration.slowCallRateThreshold = 80
        configuration.waitDurationInOpenState = .seconds(1)
        if seed % 3 == 0 { configuration.failureThreshold = 1 + random.below(configuration.minimumNumberOfCalls) }
        var pair = Pair(configuration)
        for step in 0..<300 {
            switch random.below(20) {
            case 0..<9:
                // Long rows, so that the window is full of them.
                for _ in 0..<(1 + random.below(30)) { pair.call(.success, lasting: .milliseconds(random.below(100))) }
            case 9..<13: pair.call(.failure, lasting: .milliseconds(random.below(200)))
            case 13: pair.call(.success, lasting: .milliseconds(99 + random.below(4)))
            case 14: pair.call(.ignored, lasting: .milliseconds(5))
            case 15: pair.clock.pass(.milliseconds(random.below(1500)))
            case 16:
                configuration.slowCallDurationThreshold = .milliseconds(50 + random.below(100))
                configuration.slidingWindowSize = max(configuration.minimumNumberOfCalls, 1 + random.below(12))
                try pair.library.reconfigure(configuration)
                pair.engine.reconfigure(configuration, now: pair.clock.now)
            case 17:
                let state: CircuitState = [.closed, .disabled, .metricsOnly, .open][random.below(4)]
                pair.library.order(state)
                _ = pair.engine.order(state, now: pair.clock.now)
            default:
                pair.library.order(.closed)
                _ = pair.engine.order(.closed, now: pair.clock.now)
            }
            pair.compare(step)
        }
    }

    @Test("a permit of before a change is late, however quiet it is now") func late() {
        let breaker = CircuitBreaker("b", seedConfiguration)
        for _ in 0..<20 { breaker.tryAcquire()?.onSuccess() }
        let old = breaker.tryAcquire()
        breaker.order(.open)
        breaker.order(.closed)
        for _ in 0..<20 { breaker.tryAcquire()?.onSuccess() }
        if let old { old.onSuccess() }
        #expect(breaker.snapshot.counters.late == 1 && breaker.snapshot.counters.successes == 40)
    }

    @Test("a call of another second, or that nobody wants beside the engine, is not counted there") func wanted() {
        let successes = QuickSuccesses()
        #expect(!successes.add(.zero, second: 5) { true }, "before anybody has said which second it is")
        successes.collect(second: 5) { _, _ in Issue.record("there is nothing yet") }
        #expect(successes.add(.milliseconds(3), second: 5) { true })
        #expect(!successes.add(.milliseconds(3), second: 5) { false })
        #expect(!successes.add(.milliseconds(3), second: 6) { true })
        var collected: [Int64: Int] = [:]
        successes.collect(second: 6) { collected[$1, default: 0] += $0 }
        #expect(collected == [5: 1] && successes.total.calls == 1)
    }

    @Test("of two threads no call is lost, and none is counted twice", arguments: [0, 1, 50], [false, true])
    func twoThreads(failuresInThousand: Int, isOfTime: Bool) {
        var configuration = CircuitBreakerConfiguration()
        if isOfTime {
            configuration.slidingWindowType = .timeBased
            configuration.slidingWindowSize = 3600
        }
        // Failures count, and never open it.
        configuration.failureRateThreshold = 100
        let breaker = CircuitBreaker("b", configuration)
        let heard = Atomic<Int>(0)
        breaker.onSuccess { _ in heard.add(1, ordering: .relaxed) }
        let count = 50_000
        let snapshots = Atomic<Int>(0)
        HostWorkers.run(count: 2, jobs: 2) { thread in
            for index in 0..<count {
                guard let permit = breaker.tryAcquire() else { continue }
                permit.onResult((index * 7 + thread) % 1000 < failuresInThousand ? .failure : .success)
                if index % 1000 == 0 {
                    let counters = breaker.snapshot.counters
                    // Each call is seen whole: what the calls took is there if they are.
                    if counters.successes + counters.failures <= 2 * count { snapshots.add(1, ordering: .relaxed) }
                }
            }
        }
        let snapshot = breaker.snapshot
        let failures = 2 * count / 1000 * failuresInThousand
        #expect(snapshot.counters.failures == failures && snapshot.counters.successes == 2 * count - failures)
        #expect(snapshot.counters.rejected == 0 && snapshot.counters.late == 0 && snapshot.state == .closed)
        #expect(snapshot.tally.calls == (isOfTime ? 2 * count : configuration.slidingWindowSize))
        #expect(heard.load(ordering: .relaxed) == 2 * count - failures && snapshots.load(ordering: .relaxed) == 100)
    }

    @Test("what threads count while the seconds pass is in the seconds in which it was")
    func seconds() {
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowType = .timeBased
        configuration.slidingWindowSize = 10
        let clock = HandClock()
        let breaker = CircuitBreaker("b", configuration, clock: { clock.now })
        for second in 1...25 {
            HostWorkers.run(count: 2, jobs: 2) { _ in
                for _ in 0..<100 * second { breaker.tryAcquire()?.onSuccess() }
            }
            let first = max(1, second - 9)
            #expect(breaker.snapshot.tally.calls == (first...second).reduce(0) { $0 + 200 * $1 }, "second \(second)")
            clock.pass(.seconds(1))
        }
    }

    @Test("after a storm of successes exactly so many failures open it as before")
    func failuresAfterStorm() {
        let breaker = CircuitBreaker("b", seedConfiguration)
        HostWorkers.run(count: 2, jobs: 2) { _ in
            for _ in 0..<10_000 { breaker.tryAcquire()?.onSuccess() }
        }
        for _ in 0..<4 { breaker.tryAcquire()?.onResult(.failure) }
        #expect(breaker.state == .closed)
        breaker.tryAcquire()?.onResult(.failure)
        #expect(breaker.state == .open)
    }
}
