import KernelStructures

/// One policy's keys, whatever its algorithm.
///
/// A decision is two calls, `assess` and then `commit` or nothing, so that a request under several policies can be
/// charged by all of them or by none. What `assess` found out is kept until the next one.
///
/// The calls are closures over a table of one algorithm rather than methods of a generic subclass: closures are
/// compiled once for each algorithm, a generic class's overridden methods only once for all, which costs five times as
/// much.
package final class Ledger {
    /// Looks, and keeps in mind what it saw. Changes no key.
    private let assessing: (SipHash.Digest, Int64, LabTime) -> Assessment
    private let committing: () -> Void
    private let releasing: (SipHash.Digest, Int64) -> Void
    private let measuring: () -> Measure
    private let forgetting: () -> Void

    struct Measure {
        var keyCount: Int
        var evicted = 0
        var byteCount: Int
    }

    private init<Algorithm>(_ table: LedgerOf<Algorithm>, extraBytes: @escaping () -> Int = { 0 }) {
        assessing = { table.assess($0, cost: $1, $2) }
        committing = { table.commit() }
        releasing = { _, _ in }
        measuring = {
            Measure(
                keyCount: table.table.count, evicted: table.table.evicted,
                byteCount: table.table.byteCount + extraBytes())
        }
        forgetting = { table.removeAll() }
    }

    private init(_ concurrency: ConcurrencyLedger) {
        assessing = { concurrency.assess($0, cost: $1, $2) }
        committing = { concurrency.commit() }
        releasing = { concurrency.release($0, cost: $1) }
        measuring = { Measure(keyCount: concurrency.keyCount, byteCount: concurrency.byteCount) }
        forgetting = { concurrency.removeAll() }
    }

    package func assess(_ digest: SipHash.Digest, cost: Int64, _ now: LabTime) -> Assessment {
        assessing(digest, cost, now)
    }
    /// Charges what was last assessed.
    package func commit() { committing() }
    /// A request that was charged has been answered. Only the concurrency limit cares.
    func release(_ digest: SipHash.Digest, cost: Int64) { releasing(digest, cost) }
    func removeAll() { forgetting() }
    var keyCount: Int { measuring().keyCount }
    /// Keys in use that had to go.
    var evicted: Int { measuring().evicted }
    var byteCount: Int { measuring().byteCount }

    package static func make(_ policy: RateLimitPolicy) -> Ledger {
        let quota = policy.quota
        let limit = policy.keyLimit
        switch policy.algorithm {
        case .tokenBucket: return Ledger(LedgerOf(TokenBucket(quota: quota), keyLimit: limit))
        case .gcra: return Ledger(LedgerOf(GCRA(quota: quota), keyLimit: limit))
        case .leakyBucket:
            return Ledger(LedgerOf(LeakyBucket(quota: quota, isDelaying: policy.isDelaying), keyLimit: limit))
        case .fixedWindow: return Ledger(LedgerOf(FixedWindow(quota: quota), keyLimit: limit))
        case .slidingCounter: return Ledger(LedgerOf(SlidingCounter(quota: quota), keyLimit: limit))
        case .slidingLog:
            let table = LedgerOf(SlidingLog(quota: quota, size: policy.logSize), keyLimit: limit)
            return Ledger(table) {
                table.table.slots.reduce(0) { $0 + $1.state.entries.capacity * MemoryLayout<SlidingLog.Entry>.stride }
            }
        case .concurrency: return Ledger(ConcurrencyLedger(limit: quota.burst, keyLimit: limit))
        }
    }
}

/// The keys of one algorithm.
final class LedgerOf<Algorithm: LimitingAlgorithm> {
    /// May be exchanged between two decisions: states mean the same under another quota (`CL.THROTTLE`).
    @exclusivity(unchecked) var algorithm: Algorithm
    @exclusivity(unchecked) private(set) var table: KeyTable<Algorithm>
    @exclusivity(unchecked) private var digest = SipHash.Digest(high: 0, low: 0)
    @exclusivity(unchecked) private var place: Int?
    @exclusivity(unchecked) private var cost: Int64 = 0
    @exclusivity(unchecked) private var time = LabTime(nanoseconds: 0)

    init(_ algorithm: Algorithm, keyLimit: Int) {
        self.algorithm = algorithm
        table = KeyTable(capacity: keyLimit)
    }

    func assess(_ digest: SipHash.Digest, cost: Int64, _ now: LabTime) -> Assessment {
        self.digest = digest
        self.cost = cost
        time = now
        place = table.find(digest)
        guard let place else { return algorithm.assess(table.arrival(digest, algorithm, now), cost: cost, now) }
        return algorithm.assess(table.slots[place].state, cost: cost, now)
    }

    func commit() {
        // Who only looks leaves no trace: not even in a log, where it would make an entry last longer.
        if cost == 0 { return }
        if let place {
            table.update(place) { algorithm.charge(&$0, cost: cost, time) }
        } else {
            var state = table.arrival(digest, algorithm, time)
            algorithm.charge(&state, cost: cost, time)
            table.insert(digest, state, algorithm, time)
        }
    }

    func removeAll() { table.removeAll() }
}
