import RateLimiterEngine
import Testing

/// What the README shows of the library: the lines between the marks, compiled and run.
@Suite struct UsageTests {
    @Test("the usage in the README does what it says")
    func usage() async throws {
        var served: [String] = []
        func serve(_ request: String) { served.append(request) }
        func refuse(retryAfter: Double) { served.append("refused") }

        // usage begins
        let limiter = try Limiter(.tokenBucket, rate: 10, per: .seconds(1), burst: 20)

        // Plain: now or not at all.
        if limiter.allow("alice") { serve("a") }

        // With what to tell the client.
        let decision = limiter.decide("alice", cost: 5)
        if decision.isAllowed { serve("b") } else { refuse(retryAfter: decision.retryAfter.seconds) }

        // Async: waits until there is room.
        try await limiter.acquire("alice")
        serve("c")

        // Several policies, all or nothing.
        let strict = try Quota(100, per: .seconds(3_600))
        let both = Limiter([
            RateLimitPolicy("address", .gcra, try Quota(10, per: .seconds(1))),
            RateLimitPolicy("user", .slidingLog, strict),
        ])
        if both.decide([.init(policy: 0, key: "10.0.0.1"), .init(policy: 1, key: "alice")]).isAllowed { serve("d") }
        // usage ends

        #expect(served == ["a", "b", "c", "d"])
        #expect(decision.remaining >= 14)
        #expect(both.counters.map(\.withinLimit) == [1, 1])
    }
}
