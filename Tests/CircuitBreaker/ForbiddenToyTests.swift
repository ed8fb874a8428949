import CircuitBreakerEngine
import KernelLoopback
import KernelStructures
import Synchronization
import Testing

/// What toy breakers get wrong, each shut out by name.
@Suite struct ForbiddenToyTests {
    @Test("counters that only grow: five failures among a thousand calls do not open it")
    func cumulativeCounters() {
        var story = Story()
        for _ in 0..<5 { story.call("x" + String(repeating: ".", count: 200)) }
        #expect(story.engine.state == .closed)
        #expect(story.engine.counters.failures == 5)
    }

    @Test("one success wipes the slate: failures before it still count")
    func successDoesNotClear() {
        var story = Story()
        #expect(story.call("xx.x.xx") == "CCCCCCC")
        #expect(story.engine.state == .open)
    }

    @Test(
        "everybody rushes in at half-open: of a thousand at once exactly so many are let through",
        arguments: [1, 3, 10])
    func thousandAtOnce(permitted: Int) {
        var configuration = CircuitBreakerConfiguration()
        configuration.permittedNumberOfCallsInHalfOpenState = permitted
        let clock = HandClock()
        let breaker = CircuitBreaker("b", configuration, clock: { clock.now })
        breaker.order(.open)
        clock.pass(.seconds(60))
        let passed = Atomic<Int>(0)
        let refused = Atomic<Int>(0)
        let waiting = Atomic<Int>(0)
        // Each of four threads asks 250 times before any call ends.
        HostWorkers.run(count: 4, jobs: 4) { _ in
            waiting.add(1, ordering: .relaxed)
            while waiting.load(ordering: .relaxed) < 4 {}
            var permits: [OpenCall] = []
            for _ in 0..<250 {
                if let permit = breaker.tryAcquire() {
                    permits.append(OpenCall(permit))
                    passed.add(1, ordering: .relaxed)
                } else {
                    refused.add(1, ordering: .relaxed)
                }
            }
            waiting.add(1, ordering: .relaxed)
            while waiting.load(ordering: .relaxed) < 8 {}
            for permit in permits { permit.succeed() }
        }
        #expect(passed.load(ordering: .relaxed) == permitted)
        #expect(refused.load(ordering: .relaxed) == 1000 - permitted)
        #expect(breaker.state == .closed)
    }

    @Test("permits leak: ten thousand cancelled trial calls, and it still recovers")
    func cancelledTrials() {
        var story = Story()
        story.becomeReadyToTry()
        #expect(story.call(String(repeating: "c", count: 10_000)) == String(repeating: "H", count: 10_000))
        #expect(story.engine.trialsUnderWay == 0)
        #expect(story.call("..") == "HH")
        #expect(story.engine.state == .closed)
    }

    @Test("permits leak: a permit that nobody gives back is given back by its end of life")
    func droppedPermits() {
        let clock = HandClock()
        let breaker = CircuitBreaker("b", seedConfiguration, clock: { clock.now })
        breaker.order(.open)
        clock.pass(.seconds(30))
        for _ in 0..<10_000 { #expect(breaker.tryAcquire()?.state == .halfOpen) }
        breaker.tryAcquire()?.onSuccess()
        breaker.tryAcquire()?.onSuccess()
        #expect(breaker.state == .closed)
    }

    @Test("permits leak: a task that is cancelled in the middle of its trial call gives its permit back")
    func cancelledTasks() async {
        let clock = HandClock()
        let breaker = CircuitBreaker("b", seedConfiguration, clock: { clock.now })
        breaker.order(.open)
        clock.pass(.seconds(30))
        for _ in 0..<100 {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await #expect(throws: CancellationError.self) {
                        try await breaker.execute { try await Task.sleep(for: .seconds(3600)) }
                    }
                }
                while breaker.snapshot.trialsUnderWay == 0 { await Task.yield() }
                group.cancelAll()
            }
        }
        #expect(breaker.state == .halfOpen)
        #expect(breaker.snapshot.trialsUnderWay == 0)
        #expect(breaker.snapshot.counters.ignored == 100)
        #expect(breaker.snapshot.counters.failures == 0)
    }

    @Test("the lock is held during the call: calls run at the same time, and one within another")
    func lockDuringCall() throws {
        let breaker = CircuitBreaker("b")
        let inside = Atomic<Int>(0)
        // Each call ends only when both are inside.
        HostWorkers.run(count: 2, jobs: 2) { _ in
            _ = try? breaker.execute {
                inside.add(1, ordering: .relaxed)
                while inside.load(ordering: .relaxed) < 2 {}
            }
        }
        #expect(inside.load(ordering: .relaxed) == 2)
        #expect(try breaker.execute { try breaker.execute { breaker.state } } == .closed)
    }

    @Test("the lock is held while listeners are told: a listener may use the breaker")
    func lockDuringEvents() {
        let breaker = CircuitBreaker("b", seedConfiguration)
        let seen = Mutex<[CircuitState]>([])
        breaker.onStateChange { _ in seen.withLock { $0.append(breaker.state) } }
        for _ in 0..<5 { try? breaker.execute { throw Broken() } }
        #expect(seen.withLock { $0 } == [.open])
    }

    @Test("wall clock: time is what it is told, and a day passes when somebody says so")
    func clockIsInjected() {
        var configuration = seedConfiguration
        configuration.waitDurationInOpenState = .seconds(86_400)
        let clock = HandClock()
        let breaker = CircuitBreaker("b", configuration, clock: { clock.now })
        for _ in 0..<5 { try? breaker.execute { throw Broken() } }
        clock.pass(.seconds(86_400) - LabDuration(nanoseconds: 1))
        #expect(breaker.tryAcquire()?.state == nil)
        clock.pass(LabDuration(nanoseconds: 1))
        #expect(breaker.tryAcquire()?.state == .halfOpen)
    }

    @Test("4xx is taken for a failure: the service answered", arguments: [200, 301, 400, 401, 404, 409, 422, 429, 499])
    func clientErrors(status: Int) {
        #expect(CallClassifier.classify(httpStatus: status) == .success)
    }

    @Test("5xx is a failure", arguments: [500, 502, 503, 504, 599])
    func serverErrors(status: Int) {
        #expect(CallClassifier.classify(httpStatus: status) == .failure)
    }

    @Test("refused calls are counted in the window: a thousand of them change no rate")
    func rejectedCalls() {
        var configuration = CircuitBreakerConfiguration()
        configuration.permittedNumberOfCallsInHalfOpenState = 2
        var story = Story(configuration)
        _ = story.engine.order(.open, now: story.now)
        #expect(story.call(String(repeating: "x", count: 1000)) == String(repeating: "-", count: 1000))
        #expect(story.engine.counters.rejected == 1000)
        #expect(story.engine.currentTally(now: story.now).calls == 0)
        #expect(story.engine.counters.failures == 0)
        story.pass(.seconds(60))
        #expect(story.call("..") == "HH")
        #expect(story.engine.state == .closed)
    }

    @Test("tiny samples: one failure of one call is 100 %, and means nothing")
    func minimumNumberOfCalls() {
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowSize = 100
        configuration.minimumNumberOfCalls = 10
        var story = Story(configuration)
        story.call("xxxxxxxxx")
        #expect(story.engine.state == .closed)
        #expect(story.engine.failureRate(now: story.now) == nil)
        story.call(".")
        #expect(story.engine.state == .open, "nine of ten")
    }
}

/// A permit in a list: what cannot be copied cannot lie in an array.
final class OpenCall {
    private var permit: CallPermit?
    init(_ permit: consuming CallPermit) { self.permit = consume permit }
    func succeed() { permit.take()?.onSuccess() }
}
