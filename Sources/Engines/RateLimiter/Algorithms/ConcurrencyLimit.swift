import KernelStructures

/// Concurrency limit: not how often, but how many at a time.
///
/// ## An everyday picture
///
/// The changing rooms of a shop: six cabins. Nobody asks how many customers came today. Who finds all cabins taken
/// waits until somebody comes out.
///
/// ## Why it stands beside the others
///
/// A rate says nothing about how long requests take. At 10 a second, requests of 10 ms need no more than one worker,
/// and requests of a minute need six hundred. When a server becomes slow, a rate limit goes on admitting what it can no
/// longer carry; a concurrency limit admits less by itself, because nothing comes out.
///
/// ## Where it is wrong
///
/// It depends on being told that a request is over. Each admitted request must be released exactly once, also when its
/// client has gone away. And nobody can say when a place will be free: `retryAfter` is a guess of one second.
final class ConcurrencyLedger {
    private let limit: Int
    private let keyLimit: Int
    /// Requests under way. Keys without any are not in here, so this is never larger than what really is under way.
    @exclusivity(unchecked) private var underWay: [SipHash.Digest: Int] = [:]
    @exclusivity(unchecked) private var digest = SipHash.Digest(high: 0, low: 0)
    @exclusivity(unchecked) private var cost = 0

    init(limit: Int, keyLimit: Int) {
        self.limit = limit
        self.keyLimit = keyLimit
    }

    func assess(_ digest: SipHash.Digest, cost: Int64, _ now: LabTime) -> Assessment {
        self.digest = digest
        self.cost = Int(clamping: cost)
        let used = underWay[digest]
        let count = used ?? 0
        let hasPlace = used != nil || underWay.count < keyLimit
        let isAllowed = hasPlace && self.cost <= limit - count
        return Assessment(
            isAllowed: isAllowed, limit: limit, remaining: max(0, limit - count - (isAllowed ? self.cost : 0)),
            retryAfter: isAllowed ? .zero : self.cost > limit ? .infinite : .seconds(1),
            resetAfter: count == 0 && !isAllowed ? .zero : .seconds(1))
    }

    func commit() { if cost > 0 { underWay[digest, default: 0] += cost } }

    func release(_ digest: SipHash.Digest, cost: Int64) {
        guard let count = underWay[digest] else { return }
        underWay[digest] = count > cost ? count - Int(cost) : nil
    }

    var keyCount: Int { underWay.count }
    var byteCount: Int { underWay.capacity * (MemoryLayout<SipHash.Digest>.stride + MemoryLayout<Int>.stride) }
    func removeAll() { underWay.removeAll() }
}
