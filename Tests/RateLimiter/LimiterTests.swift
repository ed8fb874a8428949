import KernelStructures
import RateLimiterEngine
import Synchronization
import Testing

/// A clock that stands still until it is told otherwise; who sleeps moves it.
final class ManualClock: Clock, Sendable {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (a: Instant, b: Instant) -> Bool { a.offset < b.offset }
    }

    private let offset = Mutex(Duration.zero)
    var now: Instant { Instant(offset: offset.withLock { $0 }) }
    var minimumResolution: Duration { .nanoseconds(1) }
    func advance(by duration: Duration) { offset.withLock { $0 += duration } }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        offset.withLock { $0 = max($0, deadline.offset) }
        await Task.yield()
    }
}

@Suite struct LimiterTests {
    @Test("exactly 100 of 2,000 concurrent requests are admitted", arguments: RateLimitPolicy.Algorithm.allCases)
    func concurrent(algorithm: RateLimitPolicy.Algorithm) async throws {
        let limiter = try Limiter(algorithm, rate: 100, per: .seconds(3_600), burst: 100, clock: ManualClock())
        let admitted = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<2_000 { group.addTask { limiter.allow("k") } }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(admitted == 100)
        #expect(limiter.counters[0].hits == 2_000 && limiter.counters[0].overLimit == 1_900)
    }

    @Test("plain: now or not at all, and what to tell the client")
    func plain() throws {
        let clock = ManualClock()
        let limiter = try Limiter(.tokenBucket, rate: 10, burst: 20, clock: clock)
        for _ in 0..<20 { #expect(limiter.allow("alice")) }
        let decision = limiter.decide("alice")
        #expect(!decision.isAllowed && decision.remaining == 0 && decision.retryAfter == .milliseconds(100))
        #expect(limiter.allow("bob"))
        clock.advance(by: .milliseconds(100))
        #expect(limiter.allow("alice"))
        #expect(!limiter.allow("alice"))
    }

    @Test("async: waits until there is room, and gives up where there never will be")
    func waiting() async throws {
        let clock = ManualClock()
        let limiter = try Limiter(.gcra, rate: 10, burst: 2, clock: clock)
        let began = clock.now
        for _ in 0..<12 { try await limiter.acquire("k") }
        #expect(began.duration(to: clock.now) == .seconds(1))
        await #expect(throws: LimiterError.neverAdmitted(limit: 2)) { try await limiter.acquire("k", cost: 3) }
    }

    @Test("async: a leaky bucket holds each until its turn")
    func leaking() async throws {
        let clock = ManualClock()
        let limiter = try Limiter(.leakyBucket, rate: 10, burst: 20, clock: clock)
        let began = clock.now
        for _ in 0..<5 { #expect(limiter.allow("k")) }
        try await limiter.acquire("k")
        #expect(began.duration(to: clock.now) == .milliseconds(500))
    }

    @Test("a waiting caller that is cancelled has taken nothing")
    func cancelled() async throws {
        let limiter = try Limiter(.gcra, rate: 1, per: .seconds(3_600), burst: 1)
        #expect(limiter.allow("k"))
        let task = Task { try await limiter.acquire("k") }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(limiter.counters[0].withinLimit == 1)
    }
}
