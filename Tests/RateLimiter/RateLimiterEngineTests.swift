import KernelStructures
import RateLimiterEngine
import Testing

@Suite struct RateLimiterEngineTests {
    @Test("several policies: all or nothing")
    func allOrNothing() {
        let limiter = limiter(
            policy(.tokenBucket, 10, name: "address"), policy(.fixedWindow, 3, per: .seconds(60), name: "user"))
        let charges = [RateLimiter.Charge(policy: 0, key: "10.0.0.1"), RateLimiter.Charge(policy: 1, key: "alice")]
        for _ in 0..<3 { #expect(limiter.decide(charges, now: start).isAllowed) }
        for _ in 0..<50 {
            let decision = limiter.decide(charges, now: start)
            #expect(!decision.isAllowed && decision.deciding == 1 && decision.retryAfter == .seconds(60))
        }
        // Fifty refusals later the address has lost nothing but the three that passed.
        #expect(limiter.look(policy: 0, key: "10.0.0.1", cost: 0, now: start).remaining == 7)
        #expect(limiter.counters[0].refusedByOthers == 50 && limiter.counters[1].overLimit == 50)
    }

    @Test("several refuse: the longest wait counts")
    func longestWait() {
        let limiter = limiter(policy(.gcra, 1, name: "a"), policy(.gcra, 1, per: .seconds(9), name: "b"))
        let charges = [RateLimiter.Charge(policy: 0, key: "k"), RateLimiter.Charge(policy: 1, key: "k")]
        #expect(limiter.decide(charges, now: start).isAllowed)
        let decision = limiter.decide(charges, now: start)
        #expect(decision.retryAfter == .seconds(9) && decision.deciding == 1)
        #expect(limiter.decide(charges, now: start + .seconds(9)).isAllowed)
    }

    @Test(
        "denied requests consume nothing: a client that keeps knocking gets in when its time has come", arguments: timed
    )
    func knocking(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 4, per: .seconds(8)))
        for _ in 0..<4 { #expect(limiter.decide(policy: 0, key: "k", now: start).isAllowed) }
        let wait = limiter.decide(policy: 0, key: "k", now: start).retryAfter
        for step in 1..<100 {
            let now = start + LabDuration(nanoseconds: wait.nanoseconds / 100 * Int64(step))
            #expect(!limiter.decide(policy: 0, key: "k", cost: 1, now: now).isAllowed)
        }
        #expect(limiter.decide(policy: 0, key: "k", now: start + wait).isAllowed)
    }

    @Test("cost: one request of five is as five of one", arguments: timed)
    func cost(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 10))
        #expect(limiter.decide(policy: 0, key: "k", cost: 5, now: start).remaining == 5)
        for _ in 0..<5 { #expect(limiter.decide(policy: 0, key: "k", now: start).isAllowed) }
        #expect(!limiter.decide(policy: 0, key: "k", now: start).isAllowed)
        // A cost of nothing only looks.
        let looked = limiter.decide(policy: 0, key: "k", cost: 0, now: start)
        #expect(looked.isAllowed && looked.remaining == 0)
    }

    @Test("a wall clock that jumps an hour back and forth refunds nothing and locks nobody out", arguments: timed)
    func clockJumps(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 10, per: .seconds(10)))
        var now = start
        var admitted = 0
        for round in 0..<20 {
            now += .milliseconds(1)
            // Back by an hour in the odd rounds, forth again in the even ones.
            if round > 0 { now = round % 2 == 1 ? now - .seconds(3_600) : now + .seconds(3_600) }
            for _ in 0..<20 where limiter.decide(policy: 0, key: "k", now: now).isAllowed { admitted += 1 }
        }
        #expect(admitted == 10, "twenty milliseconds have passed")
        #expect(limiter.clockStepsBack == 10)
        // Time goes on all the same: after the period, still an hour behind, it is let in again.
        now = now - .seconds(3_600)
        _ = limiter.decide(policy: 0, key: "k", now: now)
        #expect(limiter.decide(policy: 0, key: "k", now: now + .seconds(20)).isAllowed)
    }

    @Test("a shadow policy counts and refuses nobody")
    func shadow() {
        let limiter = limiter(policy(.gcra, 2) { $0.isShadow = true })
        for index in 0..<5 {
            let decision = limiter.decide(policy: 0, key: "k", now: start)
            #expect(decision.isAllowed && decision.isOverShadow == (index >= 2))
        }
        #expect(limiter.counters[0].shadowOverLimit == 3 && limiter.counters[0].overLimit == 0)
        // It goes on as if it had refused: the next second has two again.
        let later = (0..<5).map { _ in limiter.decide(policy: 0, key: "k", now: start + .seconds(1)).isOverShadow }
        #expect(later == [false, false, true, true, true])
    }

    @Test("near the limit is what leaves less than a fifth")
    func nearLimit() {
        let limiter = limiter(policy(.fixedWindow, 10))
        for _ in 0..<12 { _ = limiter.decide(policy: 0, key: "k", now: start) }
        let counters = limiter.counters[0]
        #expect(counters.hits == 12 && counters.withinLimit == 10 && counters.overLimit == 2)
        // 1 and 0 were left after the ninth and the tenth.
        #expect(counters.nearLimit == 2)
    }

    @Test("keys are apart: one that takes all leaves the others theirs", arguments: timed)
    func isolation(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 5))
        for _ in 0..<1_000 { _ = limiter.decide(policy: 0, key: "greedy", now: start) }
        for index in 0..<100 {
            for _ in 0..<5 { #expect(limiter.decide(policy: 0, key: "k\(index)", now: start).isAllowed) }
        }
    }

    @Test("concurrency: so many at a time, and each that ends makes room for one")
    func concurrency() {
        let limiter = limiter(policy(.concurrency, 1, burst: 3))
        let charge = [RateLimiter.Charge(policy: 0, key: "k")]
        for _ in 0..<3 { #expect(limiter.decide(charge, now: start).isAllowed) }
        #expect(!limiter.decide(charge, now: start + .seconds(3_600)).isAllowed)
        limiter.finished(charge)
        #expect(limiter.decide(charge, now: start).isAllowed)
        #expect(!limiter.decide(charge, now: start).isAllowed)
        for _ in 0..<10 { limiter.finished(charge) }
        #expect(limiter.keyCount(policy: 0) == 0)
    }

    @Test("reload: a policy that stays as it is keeps its keys, others begin anew")
    func reload() {
        let limiter = limiter(policy(.gcra, 1, per: .seconds(60), name: "a"), policy(.gcra, 1, name: "b"))
        for index in 0...1 { #expect(limiter.decide(policy: index, key: "k", now: start).isAllowed) }
        limiter.reload([policy(.gcra, 2, name: "b"), policy(.gcra, 1, per: .seconds(60), name: "a")])
        #expect(!limiter.decide(policy: 1, key: "k", now: start).isAllowed)
        #expect(limiter.decide(policy: 0, key: "k", now: start).isAllowed)
        #expect(limiter.counters[1].hits == 2)
    }

    @Test("throttle: limit is burst + 1, and the answers are those of redis-cell's documentation")
    func throttle() throws {
        let limiter = limiter()
        let quota = try Quota(30, per: .seconds(60), burst: 16)
        let first = limiter.throttle(Array("user123".utf8), quota, cost: 1, now: start)
        #expect(first.isAllowed && first.limit == 16 && first.remaining == 15 && first.resetAfter == .seconds(2))
        for _ in 0..<15 { #expect(limiter.throttle(Array("user123".utf8), quota, cost: 1, now: start).isAllowed) }
        let refused = limiter.throttle(Array("user123".utf8), quota, cost: 1, now: start)
        #expect(!refused.isAllowed && refused.retryAfter == .seconds(2) && refused.resetAfter == .seconds(32))
    }

    @Test("the same requests under the same seed give the same decisions, whatever else the seed decides")
    func seeds() {
        func run(_ seed: UInt64) -> [Bool] {
            let limiter = limiter(policy(.gcra, 3), seed: seed)
            return (0..<500).map {
                limiter.decide(policy: 0, key: "k\($0 % 7)", now: start + .milliseconds($0)).isAllowed
            }
        }
        #expect(run(1) == run(1))
        #expect(run(1) == run(2))
    }
}
