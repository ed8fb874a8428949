import KernelStructures

/// What keys that were put out of a full table still owe, roughly: never less than they do.
///
/// Two rows of times. An evicted key leaves, in one place of each row, the time at which it will be at rest, unless a
/// later one stands there. A newcomer owes at most what the earlier of its two places says. It may be a stranger that
/// has to wait for another's debt; it is never the debtor that goes free. A count-min sketch (Cormode, Muthukrishnan
/// 2005) with the maximum in place of the sum.
struct DebtSketch {
    private var first: [Int64] = []
    private var second: [Int64] = []
    private let width: Int

    init(capacity: Int) { width = min(65_536, max(256, capacity / 4)) }

    private func places(_ digest: SipHash.Digest) -> (Int, Int) {
        (
            Int(truncatingIfNeeded: digest.low.multipliedFullWidth(by: UInt64(width)).high),
            Int(truncatingIfNeeded: (digest.low &* 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: UInt64(width)).high)
        )
    }

    mutating func note(_ digest: SipHash.Digest, until time: LabTime) {
        if first.isEmpty {
            first = Array(repeating: .min, count: width)
            second = first
        }
        let (a, b) = places(digest)
        first[a] = max(first[a], time.nanoseconds)
        second[b] = max(second[b], time.nanoseconds)
    }

    /// When a key that has no place is at rest at the latest; nil if it is now.
    func debt(of digest: SipHash.Digest, _ now: LabTime) -> LabTime? {
        if first.isEmpty { return nil }
        let (a, b) = places(digest)
        let time = LabTime(nanoseconds: min(first[a], second[b]))
        return time > now ? time : nil
    }

    var byteCount: Int { (first.count + second.count) * MemoryLayout<Int64>.stride }
}
