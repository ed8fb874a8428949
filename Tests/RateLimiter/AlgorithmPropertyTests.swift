import KernelStructures
import RateLimiterEngine
import Testing

/// What each algorithm promises, over random traffic and random quotas.
@Suite struct AlgorithmPropertyTests {
    private struct Traffic {
        var random: SeededRandom
        var now = start

        /// Mostly volleys, some pauses, sometimes on the seam of a window.
        mutating func next(_ period: LabDuration) -> LabTime {
            switch random.below(10) {
            case 0...5: now += LabDuration(nanoseconds: Int64(random.below(Int(period.nanoseconds / 200) + 1)))
            case 6...7: now += LabDuration(nanoseconds: Int64(random.below(Int(period.nanoseconds) + 1)))
            case 8: break
            default:
                let rest = period.nanoseconds - now.nanoseconds % period.nanoseconds
                now += LabDuration(nanoseconds: rest - Int64(random.below(3)) + 1)
            }
            return now
        }
    }

    private func randomQuota(_ random: inout SeededRandom) -> Quota {
        let periods: [LabDuration] = [.milliseconds(7), .seconds(1), .seconds(60), LabDuration(nanoseconds: 1_000_003)]
        return quota(
            1 + random.below(40), per: periods[random.below(periods.count)], burst: 1 + random.below(60))
    }

    @Test("sliding log: never more than the limit in any trailing window, with as few entries as it likes")
    func slidingLog() {
        for seed in 1...60 as ClosedRange<UInt64> {
            var traffic = Traffic(random: SeededRandom(seed: seed))
            let quota = randomQuota(&traffic.random)
            let algorithm = SlidingLog(quota: quota, size: 1 + traffic.random.below(50))
            var state = algorithm.fresh(start)
            var admitted = Admissions()
            for _ in 0..<800 {
                let now = traffic.next(quota.period)
                let cost = 1 + traffic.random.below(3)
                if algorithm.assess(state, cost: Int64(cost), now).isAllowed {
                    algorithm.charge(&state, cost: Int64(cost), now)
                    admitted.add(now, cost: cost)
                }
                #expect(state.entries.count <= algorithm.size + 1)
            }
            #expect(admitted.times.count > 10)
            #expect(admitted.peak(within: quota.period) <= quota.count, "seed \(seed)")
        }
    }

    @Test("sliding log: beyond its size it is late by a grain at most")
    func slidingLogGrain() {
        let quota = quota(1_000, per: .seconds(10))
        let algorithm = SlidingLog(quota: quota, size: 100)
        #expect(algorithm.grain == .milliseconds(100))
        var state = algorithm.fresh(start)
        for index in 0..<1_000 {
            let now = start + .milliseconds(index)
            #expect(algorithm.assess(state, cost: 1, now).isAllowed)
            algorithm.charge(&state, cost: 1, now)
        }
        #expect(state.entries.count <= 101)
        let wait = algorithm.assess(state, cost: 1, start + .milliseconds(1_000)).retryAfter
        #expect(wait >= .milliseconds(9_000) && wait <= .milliseconds(9_000) + algorithm.grain)
    }

    @Test(
        "token bucket, GCRA, leaky bucket: burst + rate × t in any time t, and no more",
        arguments: [RateLimitPolicy.Algorithm.tokenBucket, .gcra, .leakyBucket])
    func buckets(algorithm: RateLimitPolicy.Algorithm) {
        for seed in 1...60 as ClosedRange<UInt64> {
            var traffic = Traffic(random: SeededRandom(seed: seed))
            let quota = randomQuota(&traffic.random)
            let ledger = Ledger.make(RateLimitPolicy("p", algorithm, quota))
            let key = SipHash.Digest(high: 1, low: 2)
            var admitted = Admissions()
            for _ in 0..<800 {
                let now = traffic.next(quota.period)
                let cost = 1 + traffic.random.below(3)
                if ledger.assess(key, cost: Int64(cost), now).isAllowed {
                    ledger.commit()
                    admitted.add(now, cost: cost)
                }
            }
            #expect(admitted.times.count > 5 || quota.burst < 3)
            #expect(admitted.keepsCurve(quota), "seed \(seed)")
        }
    }

    @Test("token bucket and GCRA decide alike, to the nanosecond")
    func sameDecisions() {
        for seed in 1...40 as ClosedRange<UInt64> {
            var traffic = Traffic(random: SeededRandom(seed: seed))
            let quota = randomQuota(&traffic.random)
            let bucket = TokenBucket(quota: quota)
            let gcra = GCRA(quota: quota)
            var a = bucket.fresh(start)
            var b = gcra.fresh(start)
            for step in 0..<2_000 {
                let now = traffic.next(quota.period)
                let cost = Int64(traffic.random.below(4))
                let first = bucket.assess(a, cost: cost, now)
                let second = gcra.assess(b, cost: cost, now)
                #expect(first == second, "seed \(seed), step \(step), \(quota)")
                if first.isAllowed {
                    bucket.charge(&a, cost: cost, now)
                    gcra.charge(&b, cost: cost, now)
                }
            }
        }
    }

    @Test("fixed window: at most the limit in each window, and up to twice that across a seam")
    func fixedWindow() {
        let algorithm = FixedWindow(quota: quota(10))
        var state = algorithm.fresh(start)
        var admitted = Admissions()
        for offset in [LabDuration.milliseconds(999), .milliseconds(1_001)] {
            for _ in 0..<30 where algorithm.assess(state, cost: 1, start + offset).isAllowed {
                algorithm.charge(&state, cost: 1, start + offset)
                admitted.add(start + offset)
            }
        }
        // This is what it is, and why it must not be called sliding.
        #expect(admitted.peak(within: .seconds(1)) == 20)
        #expect(admitted.times.filter { $0.time < start + .seconds(1) }.count == 10)
    }

    @Test(
        "nothing sold as sliding admits a burst at T−1 ms and another at T+1 ms",
        arguments: [
            RateLimitPolicy.Algorithm.slidingLog, .slidingCounter,
        ])
    func seam(algorithm: RateLimitPolicy.Algorithm) {
        let ledger = Ledger.make(policy(algorithm, 10))
        var admitted = Admissions()
        for offset in [LabDuration.milliseconds(999), .milliseconds(1_001)] {
            for _ in 0..<30 where ledger.assess(.init(high: 1, low: 1), cost: 1, start + offset).isAllowed {
                ledger.commit()
                admitted.add(start + offset)
            }
        }
        #expect(admitted.peak(within: .seconds(1)) == 10)
    }

    @Test("sliding counter: even traffic is counted right")
    func slidingCounter() {
        let algorithm = SlidingCounter(quota: quota(100))
        var state = algorithm.fresh(start)
        var admitted = Admissions()
        for step in 0..<10_000 {
            let now = start + .milliseconds(step)
            if algorithm.assess(state, cost: 1, now).isAllowed {
                algorithm.charge(&state, cost: 1, now)
                admitted.add(now)
            }
        }
        // Ten times the rate for ten seconds: a hundred a second, and a few more at first.
        #expect(admitted.times.count >= 900 && admitted.times.count <= 1_100)
        // As documented, by no more than a window's count at the worst.
        #expect(admitted.peak(within: .seconds(1)) <= 200)
    }

    @Test("leaky bucket: what comes in a volley goes out one at a time")
    func evenOutput() {
        let algorithm = LeakyBucket(quota: quota(10, burst: 20), isDelaying: true)
        var state = algorithm.fresh(start)
        var exits: [LabTime] = []
        for _ in 0..<30 {
            let assessment = algorithm.assess(state, cost: 1, start)
            if assessment.isAllowed {
                algorithm.charge(&state, cost: 1, start)
                exits.append(start + assessment.delay)
            }
        }
        #expect(exits.count == 20)
        #expect(zip(exits, exits.dropFirst()).allSatisfy { $1 - $0 == .milliseconds(100) })
    }

    @Test("a retry after retryAfter passes, one a nanosecond earlier does not", arguments: timed)
    func retryAfter(algorithm: RateLimitPolicy.Algorithm) {
        var denials = 0
        for seed in 1...40 as ClosedRange<UInt64> {
            var traffic = Traffic(random: SeededRandom(seed: seed))
            let quota = randomQuota(&traffic.random)
            var policy = RateLimitPolicy("p", algorithm, quota)
            policy.logSize = 10
            let ledger = Ledger.make(policy)
            let key = SipHash.Digest(high: 7, low: 7)
            for _ in 0..<400 {
                let now = traffic.next(quota.period)
                let cost = Int64(1 + traffic.random.below(3))
                let assessment = ledger.assess(key, cost: cost, now)
                if assessment.isAllowed {
                    #expect(assessment.retryAfter == .zero)
                    ledger.commit()
                    continue
                }
                let most = algorithm.isWindowed ? quota.count : quota.burst
                guard assessment.retryAfter < .infinite else {
                    #expect(cost > Int64(most))
                    continue
                }
                denials += 1
                #expect(assessment.retryAfter > .zero)
                #expect(ledger.assess(key, cost: cost, now + assessment.retryAfter).isAllowed)
                let early = now + assessment.retryAfter - LabDuration(nanoseconds: 1)
                #expect(!ledger.assess(key, cost: cost, early).isAllowed, "seed \(seed)")
            }
        }
        #expect(denials > 500)
    }

    @Test("after resetAfter everything is there again", arguments: timed)
    func resetAfter(algorithm: RateLimitPolicy.Algorithm) {
        for seed in 1...20 as ClosedRange<UInt64> {
            var traffic = Traffic(random: SeededRandom(seed: seed))
            let quota = randomQuota(&traffic.random)
            let ledger = Ledger.make(RateLimitPolicy("p", algorithm, quota))
            let key = SipHash.Digest(high: 7, low: 7)
            for _ in 0..<200 {
                let now = traffic.next(quota.period)
                let assessment = ledger.assess(key, cost: 1, now)
                if assessment.isAllowed { ledger.commit() }
                let rested = ledger.assess(key, cost: 0, now + assessment.resetAfter)
                #expect(rested.remaining == rested.limit, "seed \(seed)")
            }
        }
    }

    @Test("a key known only to be in debt is never better off than any that rests by then", arguments: timed)
    func indebted(algorithm: RateLimitPolicy.Algorithm) {
        func check<A: LimitingAlgorithm>(_ algorithm: A, _ quota: Quota, _ traffic: inout Traffic) {
            var state = algorithm.fresh(traffic.now)
            for _ in 0..<200 {
                let now = traffic.next(quota.period)
                if algorithm.assess(state, cost: 1, now).isAllowed { algorithm.charge(&state, cost: 1, now) }
                let rests = algorithm.restsAt(state)
                if rests <= now { continue }
                let debtor = algorithm.indebted(until: rests, now)
                for step in 0...4 {
                    let later = now + LabDuration(nanoseconds: (rests - now).nanoseconds / 4 * Int64(step))
                    #expect(
                        algorithm.assess(debtor, cost: 0, later).remaining
                            <= algorithm.assess(state, cost: 0, later).remaining)
                }
                let rested = algorithm.assess(state, cost: 0, rests)
                #expect(rested.remaining == rested.limit)
            }
        }
        for seed in 1...20 as ClosedRange<UInt64> {
            var traffic = Traffic(random: SeededRandom(seed: seed))
            let quota = randomQuota(&traffic.random)
            switch algorithm {
            case .tokenBucket: check(TokenBucket(quota: quota), quota, &traffic)
            case .gcra: check(GCRA(quota: quota), quota, &traffic)
            case .leakyBucket: check(LeakyBucket(quota: quota, isDelaying: true), quota, &traffic)
            case .fixedWindow: check(FixedWindow(quota: quota), quota, &traffic)
            case .slidingLog: check(SlidingLog(quota: quota), quota, &traffic)
            case .slidingCounter: check(SlidingCounter(quota: quota), quota, &traffic)
            case .concurrency: break
            }
        }
    }
}
