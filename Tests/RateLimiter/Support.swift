import KernelStructures
import RateLimiterEngine

let start = LabTime.documentedEpoch

func quota(_ count: Int, per period: LabDuration = .seconds(1), burst: Int? = nil) -> Quota {
    do { return try Quota(count, per: period, burst: burst) } catch { fatalError("\(error)") }
}

func policy(
    _ algorithm: RateLimitPolicy.Algorithm, _ count: Int, per period: LabDuration = .seconds(1), burst: Int? = nil,
    name: String = "default", _ change: (inout RateLimitPolicy) -> Void = { _ in }
) -> RateLimitPolicy {
    var policy = RateLimitPolicy(name, algorithm, quota(count, per: period, burst: burst))
    change(&policy)
    return policy
}

func limiter(_ policies: RateLimitPolicy..., seed: UInt64 = 1) -> RateLimiter {
    RateLimiter(policies, random: SeededRandom(seed: seed))
}

/// All algorithms that know time.
let timed = RateLimitPolicy.Algorithm.allCases.filter { $0 != .concurrency }

/// Times of admitted requests, and how to look for the worst stretch among them.
struct Admissions {
    private(set) var times: [(time: LabTime, cost: Int)] = []

    mutating func add(_ time: LabTime, cost: Int = 1) { times.append((time, cost)) }

    /// The most that was admitted within any `period`, both ends taken together being less than it.
    func peak(within period: LabDuration) -> Int {
        var peak = 0
        var sum = 0
        var first = 0
        for (time, cost) in times {
            sum += cost
            while times[first].time + period <= time {
                sum -= times[first].cost
                first += 1
            }
            peak = max(peak, sum)
        }
        return peak
    }

    /// Whether every stretch of time t holds at most burst + rate × t. Without looking at all pairs: the largest excess
    /// over the rate so far is what the next one must stay below.
    func keepsCurve(_ quota: Quota) -> Bool {
        // sum(i...j) × upt − upn × (t_j − t_i) ≤ burst × upt for all i ≤ j.
        var lowest = Int128.max
        var sum: Int128 = 0
        let upt = Int128(quota.period.nanoseconds)
        let upn = Int128(quota.count)
        for (time, cost) in times {
            let at = upn * Int128(time.nanoseconds - start.nanoseconds)
            lowest = min(lowest, sum * upt - at)
            sum += Int128(cost)
            if sum * upt - at - lowest > Int128(quota.burst) * upt { return false }
        }
        return true
    }
}

func += (time: inout LabTime, duration: LabDuration) { time = time + duration }
