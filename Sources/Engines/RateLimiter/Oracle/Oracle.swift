import KernelStructures

/// An exact count beside any algorithm, that says how often the algorithm was wrong.
///
/// ## The problem
///
/// Approximate limiters are chosen for their speed and trusted for their promise, and nobody compares the two. Users of
/// well-known proxies keep asking why a limit of 100 a minute let 140 through, or refused at 80. The only answer is to
/// count beside it, exactly, and to compare.
///
/// ## What it compares with
///
/// Each algorithm is held to what its name promises. Those with windows: never more than `count` in any trailing period
/// (a fixed window does not keep that, and the oracle shows by how much). Buckets: never more than burst + rate × t in
/// any time t. A *false allow* is a request that was admitted although, with all that had been admitted before, it
/// broke the promise; a *false deny* is one that was refused although it would have kept it. The reference follows what
/// really was admitted, so one mistake does not make the next decisions wrong as well.
///
/// It remembers every admitted request of a period, which is what limiters avoid, so it watches the first 1,000 keys
/// only and says how many requests it has not judged.
public struct Oracle: Sendable {
    public struct Verdicts: Equatable, Sendable {
        public var judged = 0
        public var falseAllows = 0
        public var falseDenies = 0
        public var notJudged = 0
        /// The most that was admitted in any trailing period, in cost (windows only).
        public var peak = 0
    }

    /// Keys of a policy that are watched.
    public static let keyLimit = 1_000

    /// By policy.
    public private(set) var verdicts: [Verdicts]
    private let references: [Reference?]
    private var keys: [[SipHash.Digest: Reference.State]]

    init(_ policies: [RateLimitPolicy]) {
        verdicts = policies.map { _ in Verdicts() }
        references = policies.map(Reference.init)
        keys = policies.map { _ in [:] }
    }

    mutating func judge(
        _ policy: Int, _ digest: SipHash.Digest, cost: Int, isAllowed: Bool, _ now: LabTime
    ) {
        guard let reference = references[policy], cost > 0 else { return }
        guard keys[policy][digest] != nil || keys[policy].count < Self.keyLimit else {
            verdicts[policy].notJudged += 1
            return
        }
        // Taken out, so that changing it copies nothing.
        var state = keys[policy].removeValue(forKey: digest) ?? Reference.State()
        let wouldAllow = reference.allows(&state, cost: cost, now)
        verdicts[policy].judged += 1
        if isAllowed {
            if !wouldAllow { verdicts[policy].falseAllows += 1 }
            reference.admit(&state, cost: cost, now)
            verdicts[policy].peak = max(verdicts[policy].peak, state.total)
        } else if wouldAllow {
            verdicts[policy].falseDenies += 1
        }
        keys[policy][digest] = state
    }
}

/// What a policy promises, checked without approximation.
struct Reference: Sendable {
    let quota: Quota
    let isWindowed: Bool

    struct State: Sendable {
        /// Admitted requests of the last period, oldest first, from `head` on.
        var times: [(time: LabTime, cost: Int)] = []
        var head = 0
        var total = 0
        /// What the bucket holds, in units; may be negative after a false allow. Nil while it is full.
        var level: Int128?
        var at = LabTime(nanoseconds: 0)
    }

    /// Nil for what has no promise about time.
    init?(_ policy: RateLimitPolicy) {
        if policy.algorithm == .concurrency { return nil }
        quota = policy.quota
        isWindowed = policy.algorithm.isWindowed
    }

    func allows(_ state: inout State, cost: Int, _ now: LabTime) -> Bool {
        if isWindowed {
            while state.head < state.times.count, state.times[state.head].time + quota.period <= now {
                state.total -= state.times[state.head].cost
                state.head += 1
            }
            if state.head > 1_000, state.head * 2 > state.times.count {
                state.times.removeFirst(state.head)
                state.head = 0
            }
            return state.total + cost <= quota.count
        }
        return level(state, now) >= Int128(cost) * Int128(quota.unitsPerToken)
    }

    private func level(_ state: State, _ now: LabTime) -> Int128 {
        let full = Int128(quota.burstUnits)
        guard let level = state.level else { return full }
        let elapsed = Int128(max(0, now.nanoseconds - state.at.nanoseconds))
        return min(full, level + elapsed * Int128(quota.unitsPerNanosecond))
    }

    func admit(_ state: inout State, cost: Int, _ now: LabTime) {
        if isWindowed {
            state.times.append((now, cost))
            state.total += cost
        } else {
            state.level = level(state, now) - Int128(cost) * Int128(quota.unitsPerToken)
            state.at = max(now, state.at)
        }
    }
}
