import CircuitBreakerEngine
import KernelStructures
import Testing

@Suite struct BreakerBehaviourTests {
    @Test("the documented session: closed, five failures, open for 30 s, two successes, closed")
    func documented() {
        var story = Story()
        #expect(story.call("..xxxxx") == "CCCCCCC")
        #expect(story.call("....") == "----")
        story.pass(.seconds(30) - LabDuration(nanoseconds: 1))
        #expect(story.call(".") == "-")
        story.pass(LabDuration(nanoseconds: 1))
        #expect(story.call("...") == "HHC")
        #expect(story.engine.history.map(\.to) == [.open, .halfOpen, .closed])
        #expect(
            story.engine.history.map(\.reason.description) == [
                "5 of the last 7 calls failed", "the wait was over", "2 trial calls succeeded",
            ])
    }

    @Test("a failure in half-open opens it again, and what was counted before it closed is forgotten after")
    func reopening() {
        var story = Story()
        story.becomeReadyToTry()
        #expect(story.call(".x.") == "HH-")
        #expect(story.engine.history.last?.reason == .trialFailed(successes: 1))
        story.pass(.seconds(30))
        #expect(story.call("..xxxx") == "HHCCCC")
        #expect(story.engine.state == .closed, "four failures since it closed")
    }

    @Test("rates: half of the trial calls decide, when all of them are back")
    func trialRates() {
        var configuration = CircuitBreakerConfiguration()
        configuration.permittedNumberOfCallsInHalfOpenState = 4
        for (outcomes, state) in [("x...", CircuitState.closed), ("xx..", .open), (".xxx", .open), ("....", .closed)] {
            var story = Story(configuration)
            _ = story.engine.order(.open, now: story.now)
            story.pass(.seconds(60))
            #expect(story.call(outcomes) == "HHHH")
            #expect(story.engine.state == state, "\(outcomes)")
        }
    }

    @Test("slow calls open it though none fails, and a slow trial does not close it")
    func slowCalls() {
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowSize = 4
        configuration.slowCallDurationThreshold = .seconds(1)
        configuration.slowCallRateThreshold = 50
        configuration.permittedNumberOfCallsInHalfOpenState = 2
        var story = Story(configuration)
        story.call(".s.")
        #expect(story.engine.state == .closed)
        story.call("s")
        #expect(story.engine.history.last?.reason == .slowCallRate(slow: 2, calls: 4))
        story.pass(.seconds(60))
        #expect(story.call(".s") == "HH")
        #expect(story.engine.state == .open)
        #expect(story.engine.counters.slowSuccesses == 3)
    }

    @Test("a call is slow if it takes longer than the threshold, not as long")
    func slowBoundary() {
        var configuration = CircuitBreakerConfiguration()
        configuration.slowCallDurationThreshold = .seconds(1)
        for (extra, slow) in [(0, 0), (1, 1)] {
            var story = Story(configuration)
            let permit = story.engine.tryAcquire(now: story.now).permit!
            story.pass(.seconds(1) + LabDuration(nanoseconds: Int64(extra)))
            _ = story.engine.onSuccess(permit, now: story.now)
            #expect(story.engine.counters.slowSuccesses == slow)
        }
    }

    // MARK: Calls that outlive their state

    @Test("overshoot: calls under way when it opens end late, and neither keep it open nor close it")
    func overshoot() {
        var story = Story()
        let permits = (0..<20).map { _ in story.engine.tryAcquire(now: story.now).permit! }
        for permit in permits[..<5] { _ = story.engine.onFailure(permit, now: story.now) }
        #expect(story.engine.state == .open)
        let opened = story.engine.openUntil
        for permit in permits[5..<10] {
            #expect(story.engine.onFailure(permit, now: story.now) == Reaction(isLate: true))
        }
        #expect(story.engine.openUntil == opened, "late failures prolong nothing")
        story.pass(.seconds(30))
        let trial = story.engine.tryAcquire(now: story.now).permit!
        for permit in permits[10...] { #expect(story.engine.onFailure(permit, now: story.now).isLate) }
        #expect(story.engine.state == .halfOpen, "late failures say nothing about now")
        #expect(story.engine.tryAcquire(now: story.now).permit == nil, "a late call gives back no trial's place")
        _ = story.engine.onSuccess(trial, now: story.now)
        #expect(story.call(".") == "H")
        #expect(story.engine.state == .closed)
        #expect(story.engine.counters.late == 15)
    }

    @Test("a trial call of the half-open before last is late as well")
    func generations() {
        var story = Story()
        story.becomeReadyToTry()
        let old = story.engine.tryAcquire(now: story.now).permit!
        story.pass(.seconds(30))
        #expect(story.call(".") == "-", "it waited in vain, and opened")
        story.pass(.seconds(30))
        let trial = story.engine.tryAcquire(now: story.now).permit!
        #expect(story.engine.onFailure(old, now: story.now).isLate)
        #expect(story.engine.state == .halfOpen)
        _ = story.engine.onSuccess(trial, now: story.now)
        #expect(story.engine.trialsUnderWay == 0)
    }

    // MARK: Stuck in half-open

    @Test("stuck: a trial call that never returns ends half-open after maxWaitDurationInHalfOpenState")
    func stuckHalfOpen() {
        var configuration = seedConfiguration
        configuration.maxWaitDurationInHalfOpenState = .seconds(10)
        var story = Story(configuration)
        story.becomeReadyToTry()
        let lost = story.engine.tryAcquire(now: story.now).permit!
        #expect(story.engine.nextDeadline == story.now + .seconds(10))
        story.pass(.seconds(10) - LabDuration(nanoseconds: 1))
        #expect(story.engine.advance(now: story.now) == nil)
        story.pass(LabDuration(nanoseconds: 1))
        let change = story.engine.advance(now: story.now)
        #expect(change?.to == .open)
        #expect(change?.reason == .trialTimedOut(underWay: 1))
        story.pass(.seconds(30))
        #expect(story.call("..") == "HH")
        #expect(story.engine.state == .closed)
        #expect(story.engine.onSuccess(lost, now: story.now).isLate)
    }

    @Test("stuck: without a limit it waits for ever, as resilience4j does by default")
    func unlimitedWait() {
        var configuration = seedConfiguration
        configuration.maxWaitDurationInHalfOpenState = .zero
        var story = Story(configuration)
        story.becomeReadyToTry()
        let trial = story.engine.tryAcquire(now: story.now).permit!
        story.pass(.seconds(1_000_000))
        #expect(story.call("...") == "---")
        _ = story.engine.onSuccess(trial, now: story.now)
        #expect(story.call(".") == "H")
    }

    @Test("a circuit that nobody calls does not reopen: there is nothing that it waits for")
    func quietHalfOpen() {
        var story = Story()
        story.becomeReadyToTry()
        #expect(story.call(".") == "H")
        story.pass(.seconds(100_000))
        #expect(story.engine.nextDeadline == .distantFuture)
        #expect(story.call(".") == "H")
        #expect(story.engine.state == .closed)
    }

    @Test("no more trial calls than could be needed")
    func needlessTrials() {
        var configuration = seedConfiguration
        configuration.permittedNumberOfCallsInHalfOpenState = 100
        var story = Story(configuration)
        story.becomeReadyToTry()
        let permits = (0..<10).compactMap { _ in story.engine.tryAcquire(now: story.now).permit }
        #expect(permits.count == 2)
        _ = story.engine.release(permits[0], now: story.now)
        #expect(story.engine.tryAcquire(now: story.now).permit != nil)
    }

    @Test(
        "a trial that succeeded and one that is under way are two of those that are needed", arguments: [true, false])
    func succeededAndUnderWay(wantsSuccesses: Bool) throws {
        var configuration = seedConfiguration
        configuration.permittedNumberOfCallsInHalfOpenState = 2
        if !wantsSuccesses {
            configuration.successThreshold = nil
            configuration.failureRateThreshold = 50
        }
        var story = Story(configuration)
        story.becomeReadyToTry()
        #expect(story.call(".") == "H")
        let second = try #require(story.engine.tryAcquire(now: story.now).permit)
        #expect(story.engine.tryAcquire(now: story.now).permit == nil, "a third could change nothing")
        #expect(story.engine.trialsUnderWay == 1)
        #expect(story.engine.onSuccess(second, now: story.now).change?.to == .closed)
    }

    @Test("stuck: whoever comes back gives those that are still out another whole wait")
    func waitsFromTheLastThatCame() throws {
        var configuration = seedConfiguration
        configuration.permittedNumberOfCallsInHalfOpenState = 3
        configuration.successThreshold = 3
        configuration.maxWaitDurationInHalfOpenState = .seconds(10)
        var story = Story(configuration)
        story.becomeReadyToTry()
        let trials = try (0..<3).map { _ in try #require(story.engine.tryAcquire(now: story.now).permit) }
        story.pass(.seconds(8))
        _ = story.engine.onSuccess(trials[0], now: story.now)
        #expect(story.engine.nextDeadline == story.now + .seconds(10))
        story.pass(.seconds(9))
        #expect(story.engine.advance(now: story.now) == nil && story.engine.state == .halfOpen)
        story.pass(.seconds(1))
        #expect(story.engine.advance(now: story.now)?.reason == .trialTimedOut(underWay: 2))
    }

    // MARK: Waits

    @Test("backoff: each opening waits longer, up to the limit, and a closing begins anew")
    func backoff() {
        var configuration = seedConfiguration
        configuration.exponentialBackoffMultiplier = 2
        configuration.exponentialMaxWaitDurationInOpenState = .seconds(100)
        var story = Story(configuration)
        story.call("xxxxx")
        var waits: [Double] = []
        for _ in 0..<4 {
            waits.append((story.engine.openUntil - story.now).seconds)
            story.now = story.engine.openUntil
            story.call("x")
        }
        #expect(waits == [30, 60, 100, 100])
        story.now = story.engine.openUntil
        story.call("..xxxxx")
        #expect(story.engine.openUntil - story.now == .seconds(30))
    }

    @Test("jitter: waits differ, stay within the factor, and are spread over it")
    func jitter() {
        var configuration = seedConfiguration
        configuration.randomizedWaitFactor = 0.5
        var story = Story(configuration)
        let waits = (0..<1000).map { _ -> Double in
            story.engine.order(.open, now: story.now).wait!.seconds
        }
        #expect(waits.allSatisfy { (15...45).contains($0) })
        #expect(waits.min()! < 16 && waits.max()! > 44)
        #expect(abs(waits.reduce(0, +) / 1000 - 30) < 1.2, "four standard errors")
        #expect(Set(waits).count > 990)
    }

    @Test("automatic transition: due at the end of the wait with nobody calling, and only if it is enabled")
    func automaticTransition() {
        for isAutomatic in [true, false] {
            var configuration = seedConfiguration
            configuration.automaticTransitionFromOpenToHalfOpenEnabled = isAutomatic
            var story = Story(configuration)
            story.call("xxxxx")
            #expect(story.engine.nextDeadline == (isAutomatic ? story.now + .seconds(30) : .distantFuture))
            story.pass(.seconds(30))
            #expect(story.engine.advance(now: story.now)?.to == (isAutomatic ? .halfOpen : nil))
            #expect(story.call(".") == "H")
        }
    }

    // MARK: Orders and configuration

    @Test("DISABLED lets all pass and counts nothing; FORCED_OPEN lets none, ever; METRICS_ONLY counts and only tells")
    func orders() {
        var story = Story()
        _ = story.engine.order(.disabled, now: story.now)
        #expect(story.call("xxxxxxxxxc") == "dddddddddd")
        #expect(story.engine.counters == BreakerEngine.Counters())
        _ = story.engine.order(.forcedOpen, now: story.now)
        story.pass(.seconds(1_000_000))
        #expect(story.call("...") == "---")
        _ = story.engine.order(.metricsOnly, now: story.now)
        #expect(story.call("xxxx") == "mmmm")
        let permit = story.engine.tryAcquire(now: story.now).permit!
        #expect(
            story.engine.onFailure(permit, now: story.now)
                == Reaction(exceeded: .failureCount(5, calls: 5)))
        #expect(story.engine.state == .metricsOnly)
        #expect(story.engine.currentTally(now: story.now).failures == 5)
        _ = story.engine.order(.closed, now: story.now)
        #expect(story.call("xxxxx.") == "CCCCC-")
    }

    @Test("a new configuration acts at once and keeps what is in the window")
    func reconfiguring() {
        var story = Story()
        story.call("xxxx")
        var configuration = seedConfiguration
        configuration.failureThreshold = 3
        story.engine.reconfigure(configuration, now: story.now)
        #expect(story.engine.state == .closed)
        #expect(story.engine.currentTally(now: story.now).failures == 4)
        story.call("x")
        #expect(story.engine.history.last?.reason == .failureCount(5, calls: 5))
        story.pass(.seconds(5))
        configuration.waitDurationInOpenState = .seconds(10)
        story.engine.reconfigure(configuration, now: story.now)
        #expect(story.engine.openUntil == story.now + .seconds(5), "counted from when it opened")
    }

    @Test("a new configuration in half-open cannot leave it stuck")
    func reconfiguringHalfOpen() {
        var configuration = CircuitBreakerConfiguration()
        configuration.permittedNumberOfCallsInHalfOpenState = 10
        var story = Story(configuration)
        _ = story.engine.order(.open, now: story.now)
        story.pass(.seconds(60))
        #expect(story.call(".....") == "HHHHH")
        configuration.permittedNumberOfCallsInHalfOpenState = 3
        story.engine.reconfigure(configuration, now: story.now)
        #expect(story.call("...") == "HHH")
        #expect(story.engine.state == .closed)
    }

    @Test("without a threshold for trials, the first failure of one decides")
    func trialsWithoutThreshold() {
        var configuration = seedConfiguration
        configuration.successThreshold = nil
        configuration.permittedNumberOfCallsInHalfOpenState = 2
        var story = Story(configuration)
        story.becomeReadyToTry()
        #expect(story.call("x") == "H")
        #expect(story.engine.state == .open)
        story.pass(.seconds(30))
        #expect(story.call("..") == "HH")
        #expect(story.engine.state == .closed)
    }

    @Test("history is bounded, and its newest changes are the last")
    func history() {
        var story = Story()
        for _ in 0..<100 { _ = story.engine.order(.open, now: story.now) }
        #expect(story.engine.history.count == BreakerEngine.historyLimit)
        #expect(story.engine.history.last?.generation == 100)
    }
}
