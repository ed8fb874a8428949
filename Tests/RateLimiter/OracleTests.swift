import KernelStructures
import RateLimiterEngine
import Testing

@Suite struct OracleTests {
    /// Random volleys of a few keys.
    private func run(_ algorithm: RateLimitPolicy.Algorithm, seed: UInt64 = 1) -> Oracle.Verdicts {
        let limiter = limiter(policy(algorithm, 20, burst: 20))
        limiter.startOracle()
        var random = SeededRandom(seed: seed)
        var now = start
        for _ in 0..<20_000 {
            now += random.chance(0.02) ? .milliseconds(random.below(900)) : .milliseconds(random.below(20))
            _ = limiter.decide(policy: 0, key: "k\(random.below(4))", now: now)
        }
        return limiter.oracle!.verdicts[0]
    }

    @Test(
        "exact algorithms are never wrong",
        arguments: [
            RateLimitPolicy.Algorithm.slidingLog, .tokenBucket, .gcra, .leakyBucket,
        ])
    func exact(algorithm: RateLimitPolicy.Algorithm) {
        let verdicts = run(algorithm)
        #expect(verdicts.judged == 20_000 && verdicts.falseAllows == 0 && verdicts.falseDenies == 0)
    }

    @Test("a fixed window and a sliding counter are wrong, and the oracle says how often")
    func approximate() {
        let fixed = run(.fixedWindow)
        #expect(fixed.falseAllows > 100 && fixed.peak > 20 && fixed.peak <= 40)
        let counter = run(.slidingCounter)
        #expect(counter.falseAllows + counter.falseDenies > 0)
        #expect(counter.falseAllows < fixed.falseAllows && counter.peak < fixed.peak)
    }

    @Test("a log that is too short for its limit refuses too much and admits nothing wrongly")
    func shortLog() {
        let limiter = limiter(policy(.slidingLog, 50) { $0.logSize = 5 })
        limiter.startOracle()
        for step in 0..<5_000 { _ = limiter.decide(policy: 0, key: "k", now: start + .milliseconds(step * 7)) }
        #expect(limiter.oracle!.verdicts[0].falseAllows == 0)
        #expect(limiter.oracle!.verdicts[0].falseDenies > 0)
    }

    @Test("the past under another policy: who would have been refused, and who admitted")
    func replay() {
        let limiter = limiter(policy(.fixedWindow, 10))
        limiter.startRecording()
        for offset in [999, 1_001] {
            for _ in 0..<15 { _ = limiter.decide(policy: 0, key: "k", now: start + .milliseconds(offset)) }
        }
        let same = ArrivalReplay(limiter.recording!.all, of: 0, under: policy(.fixedWindow, 10))
        #expect(same.allowed == 20 && same.denied == 10 && same.newlyAllowed == 0 && same.newlyDenied == 0)
        let log = ArrivalReplay(limiter.recording!.all, of: 0, under: policy(.slidingLog, 10))
        #expect(log.allowed == 10 && log.newlyDenied == 10 && log.verdicts.falseAllows == 0)
    }
}
