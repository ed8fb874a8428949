import CircuitBreakerEngine
import KernelStructures
import ResilienceEngine
import Testing

/// The layers together: who sees what, in which order.
@Suite struct CompositionTests {
    /// Performs effects: attempts go to a list, timers to another, and the rest is written down.
    struct Caller {
        var calls: ResilientCalls
        var now = LabTime.documentedEpoch
        var underWay: [ResilientCalls.CallID] = []
        var timers: [(id: ResilientCalls.CallID, time: LabTime)] = []
        var log: [String] = []
        var attempts = 0
        var finished = 0
        var most = 0

        init(seed: UInt64 = 1, _ change: (inout ResilientCalls.Configuration) -> Void) {
            var configuration = ResilientCalls.Configuration()
            configuration.breaker = seedConfiguration
            change(&configuration)
            calls = ResilientCalls(configuration, now: now, random: SeededRandom(seed: seed))
        }

        mutating func perform(_ effects: [ResilientCalls.Effect]) {
            for effect in effects {
                switch effect {
                case .attempt(let id, let number, let permit, _):
                    attempts += 1
                    underWay.append(id)
                    most = max(most, underWay.count)
                    log.append("\(id.number): attempt \(number) \(permit.state.letter)")
                case .abandon(let id):
                    underWay.removeAll { $0 == id }
                    log.append("\(id.number): abandoned")
                case .counted(let id, _, let failure, _):
                    log.append("\(id.number): \(failure?.kind.rawValue ?? "success")")
                case .timer(let id, let time): timers.append((id, time))
                case .fallback(let id, let step, let failure):
                    log.append("\(id.number): fallback \(step) for \(failure.kind)")
                    perform(calls.fallbackEnded(id, nil, now: now))
                case .finish(let id, let failure):
                    finished += 1
                    log.append("\(id.number): \(failure?.kind.rawValue ?? "done")")
                case .changed(let change): log.append("\(change.to)")
                }
            }
        }

        @discardableResult mutating func begin(deadline: Deadline = .none) -> ResilientCalls.CallID {
            let (id, effects) = calls.begin(now: now, deadline: deadline)
            perform(effects)
            return id
        }

        mutating func end(_ outcome: ResilientCalls.Outcome, at index: Int = 0) {
            perform(calls.attemptEnded(underWay.remove(at: index), outcome, now: now))
        }

        mutating func fail() { end(.failure(.init(.failed))) }

        /// Timers fire on the way, in their order.
        mutating func pass(_ duration: LabDuration) {
            let target = now + duration
            while let next = timers.indices.min(by: { timers[$0].time < timers[$1].time }), timers[next].time <= target
            {
                let (id, time) = timers.remove(at: next)
                now = max(now, time)
                perform(calls.timerFired(id, now: now))
            }
            now = target
        }

        mutating func takeLog() -> [String] {
            defer { log = [] }
            return log
        }
    }

    private static func patient(_ configuration: inout ResilientCalls.Configuration) {
        var retry = Retry.Configuration()
        retry.jitter = .none
        retry.waitDuration = .seconds(1)
        configuration.retry = retry
    }

    @Test("retry is outside of the breaker: each attempt is counted in it")
    func retryOutsideBreaker() {
        var caller = Caller { Self.patient(&$0) }
        caller.begin()
        caller.fail()
        caller.pass(.seconds(1))
        caller.fail()
        caller.pass(.seconds(2))
        caller.end(.success)
        #expect(
            caller.log == [
                "1: attempt 1 C", "1: failed", "1: attempt 2 C", "1: failed", "1: attempt 3 C", "1: success", "1: done",
            ])
        #expect(caller.calls.breaker.counters.failures == 2)
        #expect(caller.calls.breaker.counters.successes == 1)
    }

    @Test("an open circuit ends the retrying: nobody hammers it")
    func openEndsRetrying() {
        var caller = Caller {
            Self.patient(&$0)
            $0.breaker.failureThreshold = 2
        }
        caller.begin()
        caller.fail()
        caller.pass(.seconds(1))
        caller.fail()
        caller.pass(.seconds(10))
        #expect(caller.log.suffix(2) == ["1: failed", "1: notPermitted"])
        #expect(caller.attempts == 2)
        #expect(caller.finished == 1)
    }

    @Test("a timeout is inside of the breaker: it is a failure, and what still comes is ignored")
    func timeoutInsideBreaker() {
        var caller = Caller { $0.timeout = .seconds(2) }
        let id = caller.begin()
        caller.pass(.seconds(2))
        #expect(caller.log == ["1: attempt 1 C", "1: abandoned", "1: timedOut", "1: timedOut"])
        #expect(caller.calls.breaker.counters.failures == 1)
        caller.perform(caller.calls.attemptEnded(id, .success, now: caller.now))
        #expect(caller.log.count == 4)
    }

    @Test("an attempt that took too long is tried again, as one that failed is")
    func timeoutIsRetried() {
        var caller = Caller {
            Self.patient(&$0)
            $0.timeout = .seconds(2)
        }
        caller.begin()
        caller.pass(.seconds(3))
        #expect(caller.log == ["1: attempt 1 C", "1: abandoned", "1: timedOut", "1: attempt 2 C"])
        caller.end(.success)
        #expect(caller.finished == 1 && caller.log.last == "1: done")
    }

    @Test("what succeeds fills the budget that retries come from")
    func successesFillTheBudget() {
        var caller = Caller {
            Self.patient(&$0)
            $0.retry?.budget = RetryBudget.Configuration()
            $0.retry?.budget?.maxTokens = 2
            $0.retry?.budget?.tokenRatioThousandths = 1000
        }
        // Half a glass: nobody tries again.
        caller.begin()
        caller.fail()
        caller.pass(.seconds(9))
        #expect(caller.attempts == 1 && caller.calls.retry?.budget?.tokens == 1)
        for _ in 0..<2 {
            caller.begin()
            caller.end(.success)
        }
        #expect(caller.calls.retry?.budget?.tokens == 2)
    }

    @Test("a timer that is out of date does nothing")
    func staleTimers() {
        var caller = Caller {
            Self.patient(&$0)
            $0.timeout = .seconds(2)
        }
        caller.begin()
        caller.pass(.seconds(1))
        caller.fail()
        // The second attempt begins at 2 s, when the first one's timeout would have been.
        caller.pass(.milliseconds(1500))
        #expect(caller.underWay.count == 1)
        caller.end(.success)
        caller.pass(.seconds(100))
        #expect(caller.log.last == "1: done")
        #expect(caller.calls.breaker.counters.failures == 1)
    }

    @Test("a full bulkhead is not the service's failure, and gives the trial's permit back")
    func bulkheadInsideBreaker() {
        var caller = Caller {
            $0.bulkhead = .init()
            $0.bulkhead!.maxConcurrentCalls = 1
        }
        caller.begin()
        for _ in 0..<10 { caller.begin() }
        #expect(caller.calls.breaker.state == .closed)
        #expect(caller.calls.breaker.counters.failures == 0)
        #expect(caller.calls.breaker.counters.ignored == 10)
        #expect(caller.log.count { $0.hasSuffix("bulkheadFull") } == 10)
        caller.end(.success)
        caller.begin()
        #expect(caller.underWay.count == 1)
    }

    @Test("a call that waits for a place is not slow for it, and one that waits too long was never made")
    func waitingIsNotSlow() {
        var caller = Caller {
            $0.breaker.slowCallDurationThreshold = .seconds(1)
            $0.bulkhead = .init()
            $0.bulkhead!.maxConcurrentCalls = 1
            $0.bulkhead!.queueCapacity = 2
            $0.bulkhead!.maxWaitDuration = .seconds(10)
        }
        caller.begin()
        caller.begin()
        caller.begin()
        caller.pass(.seconds(5))
        caller.end(.success)
        #expect(caller.calls.breaker.counters.slowSuccesses == 1)
        caller.pass(.seconds(5))
        #expect(caller.log.last == "3: bulkheadTimeout")
        caller.pass(.milliseconds(-4500))
        caller.end(.success)
        #expect(caller.calls.breaker.counters.slowSuccesses == 1)
        #expect(caller.calls.breaker.counters.ignored == 1)
    }

    @Test("those who stood in line when the circuit opened do not run into it")
    func queueAndOpenCircuit() {
        var caller = Caller {
            $0.breaker.failureThreshold = 1
            $0.bulkhead = .init()
            $0.bulkhead!.maxConcurrentCalls = 1
            $0.bulkhead!.queueCapacity = 100
        }
        for _ in 0..<50 { caller.begin() }
        caller.fail()
        #expect(caller.attempts == 1)
        #expect(caller.finished == 50)
        #expect(caller.calls.bulkhead?.runningCount == 0)
        #expect(caller.calls.openCount == 0)
    }

    @Test("fallback is outermost: it answers refusals, timeouts and the end of all attempts", arguments: 0..<3)
    func fallbackOutermost(which: Int) {
        var caller = Caller {
            Self.patient(&$0)
            $0.retry!.maxAttempts = 2
            $0.timeout = .seconds(1)
            $0.fallbacks = FallbackChain([.init("cache")])
        }
        switch which {
        case 0: caller.perform(caller.calls.order(.forcedOpen, now: caller.now))
        default: break
        }
        caller.begin()
        if which == 1 {
            caller.fail()
            caller.pass(.seconds(1))
            caller.fail()
        } else if which == 2 {
            caller.pass(.seconds(3))
        }
        let kind = ["notPermitted", "failed", "timedOut"][which]
        #expect(caller.log.suffix(2) == ["1: fallback 0 for \(kind)", "1: done"])
        #expect(caller.finished == 1)
    }

    @Test("a step that fails itself hands over to the next, and the first failure is what is reported in the end")
    func fallbackFails() {
        var configuration = ResilientCalls.Configuration()
        configuration.breaker = seedConfiguration
        configuration.fallbacks = FallbackChain([.init("cache"), .init("default")])
        let now = LabTime.documentedEpoch
        var calls = ResilientCalls(configuration, now: now, random: SeededRandom(seed: 1))
        let (id, _) = calls.begin(now: now)
        let ended = calls.attemptEnded(id, .failure(.init(.failed, "status 503")), now: now)
        guard case .fallback(_, 0, _)? = ended.last else {
            Issue.record("\(ended)")
            return
        }
        let second = calls.fallbackEnded(id, .init(.failed, "no cache"), now: now)
        guard case .fallback(_, 1, _)? = second.last else {
            Issue.record("\(second)")
            return
        }
        let third = calls.fallbackEnded(id, .init(.failed, "no default"), now: now)
        guard case .finish(_, let failure)? = third.last else {
            Issue.record("\(third)")
            return
        }
        #expect(failure?.text == "status 503")
    }

    @Test("a caller's deadline ends an attempt, and no attempt begins that it would not see the end of")
    func callersDeadline() {
        var caller = Caller {
            Self.patient(&$0)
            $0.timeout = .seconds(10)
        }
        caller.begin(deadline: Deadline(in: .seconds(3), from: caller.now))
        caller.pass(.seconds(3))
        #expect(caller.log == ["1: attempt 1 C", "1: abandoned", "1: timedOut", "1: timedOut"])
    }

    @Test("a caller's deadline ends the wait for a place, and a call that comes too late is not made")
    func callersDeadlineInLine() {
        var caller = Caller {
            $0.bulkhead = .init()
            $0.bulkhead!.maxConcurrentCalls = 1
            $0.bulkhead!.queueCapacity = 5
            $0.bulkhead!.maxWaitDuration = .seconds(10)
        }
        caller.begin()
        let deadline = Deadline(in: .seconds(3), from: caller.now)
        caller.begin(deadline: deadline)
        caller.pass(.seconds(3))
        #expect(caller.takeLog().last == "2: bulkheadTimeout")
        #expect(caller.calls.bulkhead?.waitingCount == 0)
        caller.begin(deadline: deadline)
        #expect(caller.takeLog() == ["3: timedOut"])
        #expect(caller.attempts == 1)
        #expect(caller.calls.breaker.counters.failures == 0)
    }

    @Test("whatever happens, every call ends once, and all places and permits come back", arguments: 0..<30)
    func randomLives(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var caller = Caller(seed: seed) {
            if random.chance(0.7) { Self.patient(&$0) }
            if random.chance(0.7) { $0.timeout = .seconds(2) }
            if random.chance(0.7) {
                $0.bulkhead = .init()
                $0.bulkhead!.maxConcurrentCalls = 1 + random.below(4)
                $0.bulkhead!.queueCapacity = random.below(4)
            }
            if random.chance(0.5) { $0.fallbacks = FallbackChain([.init("cache", handles: [.notPermitted])]) }
            $0.breaker.waitDurationInOpenState = .seconds(3)
            $0.breaker.maxWaitDurationInHalfOpenState = .seconds(20)
        }
        var begun = 0
        var cancelled = 0
        var open: [ResilientCalls.CallID] = []
        for _ in 0..<1000 {
            switch random.below(8) {
            case 0...2:
                begun += 1
                open.append(caller.begin())
            case 3, 4: if !caller.underWay.isEmpty { caller.end(.success, at: random.below(caller.underWay.count)) }
            case 5:
                if !caller.underWay.isEmpty {
                    caller.end(.failure(.init(.failed)), at: random.below(caller.underWay.count))
                }
            case 6:
                if random.chance(0.1), let id = open.randomChoice(&random) {
                    let before = caller.calls.openCount
                    caller.perform(caller.calls.cancel(id, now: caller.now))
                    cancelled += before - caller.calls.openCount
                }
            default: caller.pass(.milliseconds(random.below(1500)))
            }
            #expect(caller.calls.openCount == begun - caller.finished - cancelled)
            if let bulkhead = caller.calls.bulkhead {
                #expect(bulkhead.runningCount == caller.underWay.count)
                #expect(bulkhead.runningCount <= bulkhead.configuration.maxConcurrentCalls)
            }
        }
        // Whoever is still under way succeeds; those that wait or pause get their turn.
        for _ in 0..<1000 where caller.calls.openCount > 0 {
            while !caller.underWay.isEmpty { caller.end(.success) }
            caller.pass(.seconds(1))
        }
        #expect(caller.calls.openCount == 0)
        #expect(caller.calls.breaker.trialsUnderWay == 0)
        #expect(caller.calls.bulkhead?.runningCount ?? 0 == 0)
        #expect(caller.calls.bulkhead?.waitingCount ?? 0 == 0)
    }
}

extension Array {
    fileprivate func randomChoice(_ random: inout SeededRandom) -> Element? {
        isEmpty ? nil : self[random.below(count)]
    }
}
