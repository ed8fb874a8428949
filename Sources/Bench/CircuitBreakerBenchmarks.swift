import CircuitBreakerEngine
import KernelStructures
import KernelWorld

/// A call through a breaker: closed, and refused. The machine's clock is read twice for a call, coarsely for a refusal.
let circuitBreakerBenchmarks: [Benchmark] = [
    Benchmark("breaker", "closed: tryAcquire, onSuccess", barNanoseconds: 150) {
        let breaker = CircuitBreaker("b", .init())
        return { count, _ in
            for _ in 0..<count { breaker.tryAcquire()?.onSuccess() }
        }
    },
    Benchmark("breaker", "closed: execute { }", barNanoseconds: 150) {
        let breaker = CircuitBreaker("b", .init())
        return { count, _ in
            for index in 0..<count { keep(try? breaker.execute { index }) }
        }
    },
    Benchmark("breaker", "closed, TIME_BASED: execute { }", barNanoseconds: 150) {
        var configuration = CircuitBreakerConfiguration()
        configuration.slidingWindowType = .timeBased
        let breaker = CircuitBreaker("b", configuration)
        return { count, _ in
            for index in 0..<count { keep(try? breaker.execute { index }) }
        }
    },
    Benchmark("breaker", "open: tryAcquire refuses", barNanoseconds: 50) {
        let breaker = CircuitBreaker("b", .init())
        breaker.order(.open)
        return { count, _ in
            var refused = 0
            for _ in 0..<count { if breaker.tryAcquire() == nil { refused += 1 } }
            keep(refused)
        }
    },
    Benchmark("breaker", "open: execute { } throws", barAllocations: 1) {
        let breaker = CircuitBreaker("b", .init())
        breaker.order(.open)
        return { count, _ in
            for index in 0..<count { keep(try? breaker.execute { index }) }
        }
    },
    Benchmark("breaker", "the engine alone: acquire, success", threads: [1]) {
        return { count, _ in
            var engine = BreakerEngine(.init(), now: .documentedEpoch)
            var now = LabTime.documentedEpoch
            for _ in 0..<count {
                now.nanoseconds += 100
                let permit = engine.tryAcquire(now: now).permit!
                keep(engine.onSuccess(permit, now: now).isLate)
            }
        }
    },
    Benchmark("breaker", "the window alone, of a million calls", threads: [1]) {
        return { count, _ in
            var window = CountWindow(size: 1_000_000)
            for index in 0..<count { window.record(index & 7 == 0 ? .failed : []) }
            keep(window.tally)
        }
    },
]
