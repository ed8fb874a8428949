import KernelStructures
import RateLimiterEngine

/// A decision, its key's hash and its counters included. Memory a key is a test's matter: at most 64 bytes.
let rateLimiterBenchmarks: [Benchmark] =
    RateLimitPolicy.Algorithm.allCases.filter { $0 != .concurrency }.map { algorithm in
        Benchmark("limiter", "\(algorithm.rawValue), one key", barNanoseconds: 100, threads: [1]) {
            // The log is as long as a limit of 100 makes it.
            let limiter = limiterForBench(algorithm, rate: algorithm == .slidingLog ? 100 : 1_000_000)
            let step: Int64 = algorithm == .slidingLog ? 10_000_000 : 1_000
            return decisions(limiter, keys: 1, step: step)
        }
    } + [
        Benchmark("limiter", "gcra, refused", barNanoseconds: 100, threads: [1]) {
            let limiter = limiterForBench(.gcra, rate: 1)
            return { count, _ in
                let key = Array("203.0.113.7".utf8)
                key.withUnsafeBytes { key in
                    for _ in 0..<count { keep(limiter.decide(policy: 0, key: key, now: .documentedEpoch).isAllowed) }
                }
            }
        },
        Benchmark("limiter", "gcra, 1,000 keys", barNanoseconds: 100, threads: [1]) {
            decisions(limiterForBench(.gcra, rate: 1_000_000), keys: 1_000, step: 1_000)
        },
        Benchmark("limiter", "gcra, 100,000 keys (out of the cache)", threads: [1]) {
            decisions(limiterForBench(.gcra, rate: 100), keys: 100_000, step: 1_000)
        },
        Benchmark("limiter", "gcra, a new key each time", threads: [1]) {
            let limiter = limiterForBench(.gcra, rate: 100)
            return { count, _ in
                var time = LabTime.documentedEpoch
                for index in 0..<count {
                    time = time + LabDuration(nanoseconds: 1_000)
                    withUnsafeBytes(of: UInt64(index)) {
                        keep(limiter.decide(policy: 0, key: $0, now: time).isAllowed)
                    }
                }
            }
        },
        Benchmark("limiter", "two policies, all or nothing", barAllocations: nil, threads: [1]) {
            let quota = quotaForBench(1_000_000)
            let limiter = RateLimiter(
                [RateLimitPolicy("a", .gcra, quota), RateLimitPolicy("b", .fixedWindow, quota)],
                random: SeededRandom(seed: 1))
            return { count, _ in
                let charges = [RateLimiter.Charge(policy: 0, key: "203.0.113.7"), .init(policy: 1, key: "alice")]
                var time = LabTime.documentedEpoch
                for _ in 0..<count {
                    time = time + LabDuration(nanoseconds: 1_000)
                    keep(limiter.decide(charges, now: time).isAllowed)
                }
            }
        },
        Benchmark("limiter", "Limiter.allow, its lock and clock included", barNanoseconds: 250) {
            let limiter = Limiter([RateLimitPolicy("default", .gcra, quotaForBench(1_000_000_000))])
            return { count, _ in for _ in 0..<count { keep(limiter.allow("203.0.113.7")) } }
        },
    ]

private func quotaForBench(_ rate: Int) -> Quota {
    do { return try Quota(rate, per: .seconds(1)) } catch { fatalError("\(error)") }
}

private func limiterForBench(_ algorithm: RateLimitPolicy.Algorithm, rate: Int) -> RateLimiter {
    RateLimiter([RateLimitPolicy("default", algorithm, quotaForBench(rate))], random: SeededRandom(seed: 1))
}

/// Decisions about so many keys in turn, a step of time apart.
private func decisions(_ limiter: RateLimiter, keys: Int, step: Int64) -> (Int, Int) -> Void {
    let names = (0..<keys).map { Array("203.0.\($0 / 256).\($0 % 256)".utf8) }
    return { count, _ in
        var time = LabTime.documentedEpoch
        var index = 0
        for _ in 0..<count {
            time = time + LabDuration(nanoseconds: step)
            index += 1
            if index == names.count { index = 0 }
            names[index].withUnsafeBytes { keep(limiter.decide(policy: 0, key: $0, now: time).isAllowed) }
        }
    }
}
