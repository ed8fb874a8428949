import CircuitBreakerEngine
import KernelLoopback
import KernelStructures
import Synchronization
import Testing

@Suite struct LibraryTests {
    private func breaker(_ configuration: CircuitBreakerConfiguration = seedConfiguration) -> (
        CircuitBreaker, HandClock
    ) {
        let clock = HandClock()
        return (CircuitBreaker("b", configuration, clock: { clock.now }), clock)
    }

    @Test("errors and results that count, that do not, and that are ignored")
    func predicates() throws {
        var classifier = CallClassifier()
        classifier.ignoresError = { $0 is NotFound }
        classifier.recordsError = { !($0 is CallNotPermitted) }
        let breaker = CircuitBreaker("b", seedConfiguration, classifier: classifier)
        try? breaker.execute { throw Broken() }
        try? breaker.execute { throw NotFound() }
        try? breaker.execute { throw CallNotPermitted(name: "other", state: .open, retryAfter: nil) }
        let status = try breaker.execute(isFailure: { $0 >= 500 }) { 503 }
        _ = try breaker.execute(isFailure: { $0 >= 500 }) { 404 }
        #expect(status == 503)
        let counters = breaker.snapshot.counters
        #expect([counters.failures, counters.successes, counters.ignored] == [2, 2, 1])
    }

    @Test("a refusal says who, in which state, and for how long at least")
    func refusal() {
        let (breaker, clock) = breaker()
        for _ in 0..<5 { try? breaker.execute { throw Broken() } }
        clock.pass(.seconds(10))
        let error = #expect(throws: CallNotPermitted.self) { try breaker.execute { Issue.record("it was called") } }
        #expect(error == CallNotPermitted(name: "b", state: .open, retryAfter: .seconds(20)))
        #expect(error?.description == "circuit 'b' is OPEN and permits no call; try again in 20s")
    }

    @Test("a fallback answers refusals and failures, and is not counted")
    func fallback() throws {
        let (breaker, _) = breaker()
        for _ in 0..<8 {
            let answer = try breaker.execute { () throws -> String in
                throw Broken()
            } fallback: { _ in
                "cached"
            }
            #expect(answer == "cached")
        }
        let counters = breaker.snapshot.counters
        #expect([counters.failures, counters.rejected, counters.successes] == [5, 3, 0])
    }

    @Test("an asynchronous fallback, and none for a task that is cancelled")
    func asynchronousFallback() async throws {
        let (breaker, _) = breaker()
        for _ in 0..<7 {
            let answer = try await breaker.execute { () async throws -> String in
                throw Broken()
            } fallback: { error in
                await Task.yield()
                return error is CallNotPermitted ? "open" : "failed"
            }
            #expect(answer == (breaker.snapshot.counters.rejected > 0 ? "open" : "failed"))
        }
        #expect(breaker.snapshot.counters.rejected == 2)
        breaker.order(.closed)
        let task = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                let answer: Void? = try? await breaker.execute {
                    try await Task.sleep(for: .seconds(3600))
                } fallback: { _ in
                }
                return answer == nil
            }
            group.cancelAll()
            return await group.next()
        }
        #expect(task == true)
    }

    @Test("what a cancelled task's call ends with, whatever it is, says nothing about the service")
    func cancelledWithAnotherError() async {
        let (breaker, _) = breaker()
        let task = Task {
            try await breaker.execute {
                await Task.yield()
                withUnsafeCurrentTask { $0?.cancel() }
                throw Broken()
            }
        }
        await #expect(throws: Broken.self) { try await task.value }
        let counters = breaker.snapshot.counters
        #expect([counters.failures, counters.successes, counters.ignored] == [0, 0, 1])
    }

    @Test("events: each kind once, in order, and none without reason")
    func events() {
        let (breaker, clock) = breaker()
        let seen = Mutex<[String]>([])
        breaker.onEvent { event in
            let text =
                switch event {
                case .success: "ok"
                case .failure(_, let error): error is Broken ? "failed" : "?"
                case .ignored: "ignored"
                case .notPermitted: "refused"
                case .late: "late"
                case .stateChange(let change): "\(change.from) > \(change.to)"
                case .thresholdExceeded: "exceeded"
                }
            seen.withLock { $0.append(text) }
        }
        let slow = breaker.tryAcquire()!
        _ = try? breaker.execute { 1 }
        for _ in 0..<5 { try? breaker.execute { throw Broken() } }
        try? breaker.execute {}
        slow.onSuccess()
        clock.pass(.seconds(30))
        breaker.tryAcquire()?.release()
        breaker.order(.metricsOnly)
        for _ in 0..<5 { try? breaker.execute { throw Broken() } }
        let failed = Array(repeating: "failed", count: 5)
        #expect(
            seen.withLock { $0 }
                == ["ok"] + failed + ["closed > open", "refused", "late", "open > halfOpen", "ignored"]
                + ["halfOpen > metricsOnly"] + failed + ["exceeded"])
    }

    @Test("hooks for single kinds")
    func hooks() {
        let (breaker, _) = breaker()
        let counts = Mutex([0, 0, 0])
        breaker.onSuccess { _ in counts.withLock { $0[0] += 1 } }
        breaker.onFailure { _, _ in counts.withLock { $0[1] += 1 } }
        breaker.onStateChange { _ in counts.withLock { $0[2] += 1 } }
        for _ in 0..<3 { try? breaker.execute {} }
        for _ in 0..<7 { try? breaker.execute { throw Broken() } }
        #expect(counts.withLock { $0 } == [3, 5, 1])
    }

    @Test("the gate agrees with the engine in every state", arguments: CircuitState.allCases)
    func gate(state: CircuitState) {
        let (breaker, clock) = breaker()
        breaker.order(state)
        let passes = state != .open && state != .forcedOpen
        var met: CircuitState?
        if let permit = breaker.tryAcquire() {
            met = permit.state
            permit.onSuccess()
        }
        #expect(met == (passes ? state : nil))
        let counters = breaker.snapshot.counters
        #expect(counters.late == 0)
        #expect(counters.successes == (passes && state != .disabled ? 1 : 0))
        #expect(counters.rejected == (passes ? 0 : 1))
        clock.pass(.seconds(1_000_000))
        #expect((breaker.tryAcquire()?.state != nil) == (state != .forcedOpen))
    }

    @Test("asynchronous calls: results, errors, and the caller's actor")
    @MainActor func asynchronous() async throws {
        let (breaker, _) = breaker()
        var count = 0
        let result = try await breaker.execute {
            await Task.yield()
            MainActor.assertIsolated()
            count += 1
            return count
        }
        #expect(result == 1)
        await #expect(throws: Broken.self) {
            try await breaker.execute { () async throws in
                await Task.yield()
                throw Broken()
            }
        }
        #expect(breaker.snapshot.counters.failures == 1)
        #expect(breaker.snapshot.counters.successes == 1)
    }

    @Test("many threads: every call is counted once, whatever the circuit does meanwhile")
    func threads() {
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowSize = 20
        configuration.minimumNumberOfCalls = 10
        configuration.permittedNumberOfCallsInHalfOpenState = 3
        configuration.waitDurationInOpenState = .microseconds(50)
        configuration.maxWaitDurationInHalfOpenState = .seconds(60)
        let clock = HandClock()
        let breaker = CircuitBreaker("b", configuration, clock: { clock.now })
        let callsPerThread = 50_000
        let trialsInside = Atomic<Int>(0)
        let mostTrials = Atomic<Int>(0)
        let changes = Mutex<[Transition]>([])
        breaker.onStateChange { change in changes.withLock { $0.append(change) } }
        HostWorkers.run(count: 4, jobs: 4) { thread in
            var random = SeededRandom(seed: UInt64(thread))
            for _ in 0..<callsPerThread {
                clock.pass(.microseconds(1))
                guard let permit = breaker.tryAcquire() else { continue }
                if permit.state == .halfOpen {
                    let now = trialsInside.add(1, ordering: .acquiringAndReleasing).newValue
                    mostTrials.max(now, ordering: .relaxed)
                    trialsInside.subtract(1, ordering: .acquiringAndReleasing)
                }
                switch random.below(20) {
                case 0: permit.release()
                case 1...9: permit.onError(Broken())
                default: permit.onSuccess()
                }
            }
        }
        let snapshot = breaker.snapshot
        let counters = snapshot.counters
        let sum = counters.successes + counters.failures + counters.ignored + counters.rejected + counters.late
        #expect(sum == 4 * callsPerThread)
        #expect(counters.rejected > 0 && counters.late >= 0 && counters.ignored > 0)
        #expect(mostTrials.load(ordering: .relaxed) <= 3)
        // Each generation once, each from where the one before went, and all three states.
        let ordered = changes.withLock { $0 }.sorted { $0.generation < $1.generation }
        #expect(ordered.map(\.generation) == Array(1...ordered.count))
        for (before, after) in zip(ordered, ordered.dropFirst()) { #expect(before.to == after.from) }
        #expect(Set(ordered.map(\.to)) == [.open, .halfOpen, .closed])
    }

    @Test("with the machine's own clock it opens, refuses and comes back")
    func ownClock() {
        var configuration = seedConfiguration
        configuration.waitDurationInOpenState = .milliseconds(20)
        let breaker = CircuitBreaker("b", configuration)
        for _ in 0..<5 { try? breaker.execute { throw Broken() } }
        var refusals = 0
        while true {
            if let permit = breaker.tryAcquire() {
                #expect(permit.state == .halfOpen)
                permit.onSuccess()
                break
            }
            refusals += 1
        }
        #expect(refusals > 0)
        breaker.tryAcquire()?.onSuccess()
        #expect(breaker.state == .closed)
    }

    @Test("with automatic transition the state that is read is the one that is due")
    func automaticState() {
        var configuration = seedConfiguration
        configuration.automaticTransitionFromOpenToHalfOpenEnabled = true
        let (breaker, clock) = breaker(configuration)
        breaker.order(.open)
        clock.pass(.seconds(29))
        #expect(breaker.state == .open)
        clock.pass(.seconds(1))
        #expect(breaker.state == .halfOpen)
    }

    // MARK: Registry

    @Test("one breaker a name, with its group's configuration, changed for all at once")
    func registry() throws {
        let registry = CircuitBreakerRegistry(seedConfiguration)
        var strict = seedConfiguration
        strict.failureThreshold = 1
        try registry.configure("strict", strict)
        let made = Mutex<[String]>([])
        registry.onBreakerMade { breaker in made.withLock { $0.append(breaker.name) } }
        let first = registry.breaker("users")
        #expect(registry.breaker("users") === first)
        let orders = registry.breaker("orders", group: "strict")
        try? orders.execute { throw Broken() }
        try? first.execute { throw Broken() }
        #expect(orders.state == .open)
        #expect(first.state == .closed, "one key's failures are not another's")
        try registry.configure(CircuitBreakerRegistry.defaultGroup, strict)
        try? first.execute { throw Broken() }
        #expect(first.state == .open)
        #expect(registry.breakers.map(\.name) == ["orders", "users"])
        #expect(made.withLock { $0 } == ["users", "orders"])
        #expect(registry.metrics.contains("name=\"orders\",state=\"open\"} 1"))
        strict.failureThreshold = 0
        #expect(throws: CircuitBreakerConfigurationError.self) { try registry.configure("strict", strict) }
    }

    @Test("keys from outside do not fill the memory, and circuits that are open are not forgotten")
    func registryLimit() {
        let registry = CircuitBreakerRegistry(seedConfiguration, limit: 100)
        registry.breaker("broken").order(.forcedOpen)
        let busy = registry.breaker("busy")
        for number in 0..<10_000 {
            _ = registry.breaker("key-\(number)")
            if number % 50 == 0 { #expect(registry.breaker("busy") === busy) }
        }
        #expect(registry.breakers.count == 100)
        #expect(registry.breaker("broken").state == .forcedOpen)
    }

    @Test("one name asked for on many threads is one breaker")
    func registryThreads() {
        let registry = CircuitBreakerRegistry(seedConfiguration)
        let seen = Mutex<Set<ObjectIdentifier>>([])
        HostWorkers.run(count: 4, jobs: 4) { _ in
            for number in 0..<1000 {
                let breaker = registry.breaker("key-\(number)")
                seen.withLock { _ = $0.insert(ObjectIdentifier(breaker)) }
            }
        }
        #expect(seen.withLock { $0.count } == 1000)
    }
}
