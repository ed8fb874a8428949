import CircuitBreakerEngine
import KernelStructures
import ResilienceEngine
import Synchronization
import TestSupport
import Testing

/// The bulkhead and the retry as programs use them.
@Suite struct AsyncTests {
    private struct Broken: Error, Equatable { var number = 0 }

    /// What several tasks count and write down.
    private final class Notes: Sendable {
        let running = Atomic(0)
        let most = Atomic(0)
        let isDone = Atomic(false)
        let times = Mutex<[Duration]>([])
    }

    private func bulkhead(_ places: Int, queue: Int, _ clock: ManualClock) -> AsyncBulkhead<ManualClock> {
        var configuration = Bulkhead.Configuration()
        configuration.maxConcurrentCalls = places
        configuration.queueCapacity = queue
        configuration.maxWaitDuration = .seconds(1)
        return AsyncBulkhead(configuration, clock: clock)
    }

    /// Lets other tasks run until it is so.
    private func until(_ condition: () -> Bool) async { while !condition() { await Task.yield() } }

    @Test("bulkhead: never more than its places run at a time, and all get their turn", .timeLimit(.minutes(5)))
    func places() async throws {
        let bulkhead = bulkhead(3, queue: 200, ManualClock())
        let notes = Notes()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    try await bulkhead.execute {
                        notes.most.max(notes.running.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
                        await Task.yield()
                        notes.running.subtract(1, ordering: .relaxed)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(notes.most.load(ordering: .relaxed) == 3 && bulkhead.runningCount == 0 && bulkhead.waitingCount == 0)
    }

    @Test(
        "bulkhead: who finds the line full, waits too long or is cancelled is refused, and takes no place with him",
        .timeLimit(.minutes(5)))
    func refusals() async throws {
        let clock = ManualClock()
        let bulkhead = bulkhead(1, queue: 2, clock)
        let notes = Notes()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await bulkhead.execute { while !notes.isDone.load(ordering: .relaxed) { await Task.yield() } }
            }
            await until { bulkhead.runningCount == 1 }
            let impatient = Task { try await bulkhead.execute {} }
            await until { bulkhead.waitingCount == 1 && clock.sleeperCount == 1 }
            let cancelled = Task { try await bulkhead.execute {} }
            await until { bulkhead.waitingCount == 2 && clock.sleeperCount == 2 }
            await #expect(throws: BulkheadRefusal.full) { try await bulkhead.execute {} }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            #expect(bulkhead.waitingCount == 1)
            clock.advance(by: .seconds(1))
            await #expect(throws: BulkheadRefusal.timedOut(.seconds(1))) { try await impatient.value }
            #expect(bulkhead.waitingCount == 0 && bulkhead.runningCount == 1)
            notes.isDone.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
        #expect(bulkhead.runningCount == 0)
        #expect(try await bulkhead.execute { "free again" } == "free again")
    }

    @Test("bulkhead: a call that throws gives its place back")
    func throwing() async throws {
        let bulkhead = bulkhead(1, queue: 0, ManualClock())
        for _ in 0..<3 { await #expect(throws: Broken()) { try await bulkhead.execute { throw Broken() } } }
        #expect(bulkhead.runningCount == 0)
    }

    @Test("retry: pauses that grow, then the last error; a success ends it", .timeLimit(.minutes(5)))
    func pauses() async throws {
        let clock = ManualClock()
        var configuration = Retry.Configuration()
        configuration.maxAttempts = 4
        configuration.waitDuration = .seconds(1)
        configuration.jitter = .none
        configuration.budget = nil
        let retry = AsyncRetry(configuration, clock: clock)
        let notes = Notes()
        let fail: @Sendable (Int) async throws -> Int = { success in
            try await retry.execute { attempt in
                notes.times.withLock { $0.append(clock.now.offset) }
                if attempt == success { return attempt }
                throw Broken(number: attempt)
            }
        }
        let all = Task { try await fail(9) }
        for pause in [1, 2, 4] {
            await until { clock.sleeperCount == 1 }
            clock.advance(by: .seconds(pause))
        }
        await #expect(throws: Broken(number: 4)) { try await all.value }
        #expect(notes.times.withLock { $0 } == [.zero, .seconds(1), .seconds(3), .seconds(7)])
        #expect(try await fail(1) == 1)
    }

    @Test(
        "retry: nobody tries again against an open circuit, a full bulkhead, a cancelled task or his own judgement",
        .timeLimit(.minutes(5)))
    func notAgain() async throws {
        let clock = ManualClock()
        let retry = AsyncRetry(clock: clock)
        let errors: [any Error] = [
            CallNotPermitted(name: "a", state: .open, retryAfter: nil), BulkheadRefusal.full, CancellationError(),
        ]
        for error in errors {
            var count = 0
            await #expect(throws: (any Error).self) {
                try await retry.execute { _ in
                    count += 1; throw error
                }
            }
            #expect(count == 1, "\(error)")
        }
        var count = 0
        await #expect(throws: Broken()) {
            try await retry.execute(mayPass: { _ in false }) { _ in
                count += 1; throw Broken()
            }
        }
        #expect(count == 1)
        let cancelled = Task { try await retry.execute { _ in throw Broken() } }
        await until { clock.sleeperCount == 1 }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
    }

    @Test("retry: what the service asks for is a pause's least, and the budget is one for all", .timeLimit(.minutes(5)))
    func budget() async throws {
        let clock = ManualClock()
        var configuration = Retry.Configuration()
        configuration.maxAttempts = 2
        configuration.budget?.maxTokens = 4
        let retry = AsyncRetry(configuration, clock: clock)
        let first = Task { try await retry.execute(retryAfter: { _ in .seconds(60) }) { _ in throw Broken() } }
        await until { clock.sleeperCount == 1 }
        clock.advance(by: .seconds(59))
        #expect(clock.sleeperCount == 1)
        clock.advance(by: .seconds(1))
        await #expect(throws: Broken()) { try await first.value }
        // Two of four tokens are gone: half a glass is no retry.
        var count = 0
        await #expect(throws: Broken()) {
            try await retry.execute { _ in
                count += 1; throw Broken()
            }
        }
        #expect(count == 1 && retry.budget?.tokens == 1)
    }
}
