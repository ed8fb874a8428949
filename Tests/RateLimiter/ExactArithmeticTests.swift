import KernelStructures
import RateLimiterEngine
import Testing

/// No rounding, no drift, no overflow.
@Suite struct ExactArithmeticTests {
    @Test(
        "float drift: at a billion steps of a third, the integer model and the engine agree to the token",
        arguments: [
            RateLimitPolicy.Algorithm.tokenBucket, .gcra, .leakyBucket,
        ])
    func noDrift(algorithm: RateLimitPolicy.Algorithm) {
        // 3 a second is 333,333,333.33… ns a token. Each is taken at the first nanosecond at which it is there, one by
        // one or nearly a million at once, a billion in all: what a rounded interval loses each time would add up to
        // minutes.
        let deep = 1_000_000
        let quota = quota(3, burst: deep)
        let ledger = Ledger.make(RateLimitPolicy("p", algorithm, quota))
        let key = SipHash.Digest(high: 1, low: 1)
        #expect(ledger.assess(key, cost: Int64(deep), start).isAllowed)
        ledger.commit()
        var taken: Int64 = 0
        var random = SeededRandom(seed: 1)
        while taken < 1_000_000_000 {
            let cost = random.chance(0.5) ? Int64(1 + random.below(3)) : Int64(deep - 1)
            taken += cost
            let now = start + LabDuration(nanoseconds: (taken * 1_000_000_000 + 2) / 3)
            let early = ledger.assess(key, cost: cost, now - LabDuration(nanoseconds: 1))
            let onTime = ledger.assess(key, cost: cost, now)
            guard !early.isAllowed, onTime.isAllowed else {
                Issue.record("\(cost) tokens up to \(taken) are not there when they should be")
                return
            }
            ledger.commit()
        }
    }

    @Test("odd rates and periods: after any time exactly as many tokens as the fraction says")
    func oddRates() {
        for (count, period) in [
            (7, LabDuration(nanoseconds: 13)), (999_983, .seconds(60)), (1, .seconds(86_400)), (3, .milliseconds(10)),
            (1_000_000_000, .seconds(1)),
        ] {
            let quota = quota(count, per: period, burst: min(1_000_000, count * 2))
            let bucket = TokenBucket(quota: quota)
            let empty = TokenBucket.State(level: 0, at: start)
            for step in 1...2_000 {
                let elapsed = period.nanoseconds / 97 * Int64(step) + Int64(step)
                let model = min(
                    Int128(quota.burst), Int128(elapsed) * Int128(count) / Int128(period.nanoseconds))
                let found = bucket.assess(empty, cost: 0, start + LabDuration(nanoseconds: elapsed)).remaining
                #expect(Int128(found) == model, "\(quota) after \(elapsed) ns")
            }
        }
    }

    @Test("quotas that 64 bits cannot count are refused with a reason, all others never overflow")
    func ranges() throws {
        #expect(throws: QuotaError.self) { try Quota(0, per: .seconds(1)) }
        #expect(throws: QuotaError.self) { try Quota(1, per: .zero) }
        #expect(throws: QuotaError.self) { try Quota(1, per: .seconds(1), burst: 0) }
        #expect(throws: QuotaError.self) { try Quota(1_000_000_001, per: .seconds(1)) }
        #expect(throws: QuotaError.self) { try Quota(999_983, per: .seconds(86_400), burst: 1_000_000) }
        #expect(throws: QuotaError.self) { try Quota(1, per: .infinite, burst: 2) }
        let extremes = [
            try Quota(1_000_000_000, per: .seconds(86_400 * 31)), try Quota(1, per: LabDuration(nanoseconds: 1)),
            try Quota(1, per: .seconds(86_400 * 366), burst: 70), try Quota(7, per: .seconds(86_400), burst: 20_000),
        ]
        for quota in extremes {
            for algorithm in timed {
                let ledger = Ledger.make(RateLimitPolicy("p", algorithm, quota))
                let key = SipHash.Digest(high: 1, low: 1)
                for time in [LabTime(nanoseconds: 1), start, LabTime(nanoseconds: .max / 2)] {
                    for cost in [Int64(1), Int64(quota.count), Int64(quota.burst), 1 << 40] {
                        if ledger.assess(key, cost: cost, time).isAllowed { ledger.commit() }
                    }
                }
            }
        }
    }

    @Test("more than there can ever be is refused for good, whatever the key has")
    func neverAdmitted() {
        for algorithm in timed {
            let limiter = limiter(policy(algorithm, 5))
            let decision = limiter.decide(policy: 0, key: "a", cost: 6, now: start)
            #expect(!decision.isAllowed && decision.retryAfter == .infinite)
            #expect(limiter.decide(policy: 0, key: "a", cost: 5, now: start).isAllowed)
        }
    }
}
