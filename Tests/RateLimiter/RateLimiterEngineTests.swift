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

    @Test("a shadow among several refuses nobody, and what it would refuse takes nothing from it")
    func shadowAmongOthers() {
        let limiter = limiter(
            policy(.tokenBucket, 1, name: "trial") { $0.isShadow = true }, policy(.gcra, 100, name: "real"))
        let charges = [RateLimiter.Charge(policy: 0, key: "k"), RateLimiter.Charge(policy: 1, key: "k")]
        for second in 0..<3 {
            let decisions = (0..<4).map {
                limiter.decide(charges, now: start + .seconds(second) + .milliseconds(300 * $0))
            }
            #expect(
                decisions.map(\.isAllowed) == [true, true, true, true] && decisions.allSatisfy { $0.deciding == 1 })
            #expect(decisions.map(\.isOverShadow) == [false, true, true, true], "second \(second)")
        }
        #expect(limiter.counters[0].shadowOverLimit == 9 && limiter.counters[0].withinLimit == 3)
        #expect(limiter.counters[1].withinLimit == 12)
    }

    @Test("who only looks leaves no trace: no key, and no entry that would last longer", arguments: timed)
    func looking(algorithm: RateLimitPolicy.Algorithm) {
        let (looked, other) = (limiter(policy(algorithm, 3)), limiter(policy(algorithm, 3)))
        for _ in 0..<5 { #expect(looked.decide(policy: 0, key: "k", cost: 0, now: start).isAllowed) }
        #expect(looked.keyCount(policy: 0) == 0)
        for limiter in [looked, other] {
            for _ in 0..<3 { #expect(limiter.decide(policy: 0, key: "k", now: start).isAllowed) }
        }
        for step in 0..<100 { _ = looked.decide(policy: 0, key: "k", cost: 0, now: start + .milliseconds(10 * step)) }
        let later = start + .milliseconds(999)
        #expect(looked.look(policy: 0, key: "k", now: later) == other.look(policy: 0, key: "k", now: later))
    }

    @Test("another limiter gets on top what is left, if that is less than it asks for")
    func takingMoreThanThereIs() {
        let limiter = limiter(policy(.tokenBucket, 10, per: .seconds(60)))
        let charge = [RateLimiter.Charge(policy: 0, key: "k", cost: 3)]
        let first = limiter.take(charge, extras: [4], now: start)
        #expect(first.granted == [4] && first.assessments[0].isAllowed && first.assessments[0].remaining == 3)
        let second = limiter.take([RateLimiter.Charge(policy: 0, key: "k")], extras: [9], now: start)
        #expect(second.granted == [2] && second.assessments[0].remaining == 0)
        let third = limiter.take([RateLimiter.Charge(policy: 0, key: "k")], extras: [9], now: start)
        #expect(third.granted == [0] && !third.assessments[0].isAllowed)
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

    @Test("what began before a reload is counted to its rule where that stands now, and to none if it is gone")
    func countedAfterReload() {
        let limiter = limiter(policy(.gcra, 9, name: "a"), policy(.gcra, 9, name: "b"))
        let before = limiter.policySet
        let charge = [RateLimiter.Charge(policy: 0, key: "k")]
        limiter.reload([policy(.gcra, 9, name: "b"), policy(.gcra, 9, name: "a")])
        #expect(limiter.decide(charge, under: before, now: start).isAllowed)
        #expect(limiter.counters.map(\.hits) == [0, 1])
        limiter.reload([policy(.gcra, 9, name: "b")])
        #expect(limiter.decide(charge, under: before, now: start).isAllowed)
        #expect(limiter.counters.map(\.hits) == [0])
    }

    @Test("a place that was taken before a reload is given back to its rule, not to the one that stands there now")
    func placeAfterReload() {
        let places = policy(.concurrency, 1, burst: 1, name: "places")
        let limiter = limiter(policy(.gcra, 9, name: "a"), places)
        let before = limiter.policySet
        let charge = [RateLimiter.Charge(policy: 1, key: "k")]
        #expect(limiter.decide(charge, now: start).isAllowed)
        limiter.reload([places, policy(.gcra, 9, name: "a")])
        let again = [RateLimiter.Charge(policy: 0, key: "k")]
        #expect(!limiter.decide(again, now: start).isAllowed)
        limiter.finished(charge, under: before)
        #expect(limiter.decide(again, now: start).isAllowed)
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

    @Test("throttle: whoever is deep in debt under a large quota owes a smaller one no more than all of it")
    func smallerQuota() throws {
        let limiter = limiter()
        let key = Array("k".utf8)
        #expect(limiter.throttle(key, try Quota(1, per: .seconds(60), burst: 100), cost: 100, now: start).isAllowed)
        let small = try Quota(1, per: .seconds(1), burst: 2)
        let refused = limiter.throttle(key, small, cost: 1, now: start)
        #expect(!refused.isAllowed && refused.remaining == 0)
        #expect(refused.retryAfter == .seconds(1) && refused.resetAfter == .seconds(2))
    }

    @Test("a log that has room for each request forgets each exactly a period later")
    func exactLog() {
        let limiter = limiter(policy(.slidingLog, 3))
        let moments = [0, 1, 2].map { start + .milliseconds($0) }
        for moment in moments { #expect(limiter.decide(policy: 0, key: "k", now: moment).isAllowed) }
        for moment in moments {
            let late = moment + .seconds(1)
            #expect(!limiter.decide(policy: 0, key: "k", now: late - LabDuration(nanoseconds: 1)).isAllowed)
            #expect(limiter.decide(policy: 0, key: "k", now: late).isAllowed)
        }
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
