import KernelStructures

/// One policy's keys, whatever its algorithm.
///
/// A decision is two calls, `assess` and then `commit` or nothing, so that a request under several policies can be
/// charged by all of them or by none. What `assess` found out is kept until the next one.
package class Ledger {
    /// Looks, and keeps in mind what it saw. Changes no key.
    package func assess(_ digest: SipHash.Digest, cost: Int64, _ now: LabTime) -> Assessment {
        preconditionFailure("abstract")
    }
    /// Charges what was last assessed.
    package func commit() { preconditionFailure("abstract") }
    /// A request that was charged has been answered. Only the concurrency limit cares.
    func release(_ digest: SipHash.Digest, cost: Int64) {}
    var keyCount: Int { 0 }
    var evicted: Int { 0 }
    var byteCount: Int { 0 }
    func removeAll() {}

    package static func make(_ policy: RateLimitPolicy) -> Ledger {
        let quota = policy.quota
        let limit = policy.keyLimit
        switch policy.algorithm {
        case .tokenBucket: return LedgerOf(TokenBucket(quota: quota), keyLimit: limit)
        case .gcra: return LedgerOf(GCRA(quota: quota), keyLimit: limit)
        case .leakyBucket: return LedgerOf(LeakyBucket(quota: quota, isDelaying: policy.isDelaying), keyLimit: limit)
        case .fixedWindow: return LedgerOf(FixedWindow(quota: quota), keyLimit: limit)
        case .slidingLog: return LedgerOf(SlidingLog(quota: quota, size: policy.logSize), keyLimit: limit)
        case .slidingCounter: return LedgerOf(SlidingCounter(quota: quota), keyLimit: limit)
        case .concurrency: return ConcurrencyLedger(limit: quota.burst, keyLimit: limit)
        }
    }
}

package final class LedgerOf<Algorithm: LimitingAlgorithm>: Ledger {
    /// May be exchanged between two decisions: states mean the same under another quota (`CL.THROTTLE`).
    var algorithm: Algorithm
    private(set) var table: KeyTable<Algorithm>
    private var digest = SipHash.Digest(high: 0, low: 0)
    private var place: Int?
    private var cost: Int64 = 0
    private var time = LabTime(nanoseconds: 0)

    init(_ algorithm: Algorithm, keyLimit: Int) {
        self.algorithm = algorithm
        table = KeyTable(capacity: keyLimit)
    }

    package override func assess(_ digest: SipHash.Digest, cost: Int64, _ now: LabTime) -> Assessment {
        self.digest = digest
        self.cost = cost
        time = now
        place = table.find(digest)
        guard let place else { return algorithm.assess(table.arrival(digest, algorithm, now), cost: cost, now) }
        return algorithm.assess(table.slots[place].state, cost: cost, now)
    }

    package override func commit() {
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

    override var keyCount: Int { table.count }
    override var evicted: Int { table.evicted }
    override var byteCount: Int {
        guard let log = table as? KeyTable<SlidingLog> else { return table.byteCount }
        return table.byteCount
            + log.slots.reduce(0) { $0 + $1.state.entries.capacity * MemoryLayout<SlidingLog.Entry>.stride }
    }
    override func removeAll() { table.removeAll() }
}
