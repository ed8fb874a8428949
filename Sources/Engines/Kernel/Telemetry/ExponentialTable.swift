import Synchronization

/// The counts of an exponential histogram by bucket: a table with open addresses whose places are atomic words, so that
/// any thread counts in it without a lock. (Knuth, TAOCP 6.4, algorithm L.)
///
/// ```
/// place = key(8) count(8)        ; key = 0: free.  index (32 bits) × 4 + negative × 2 + 1
/// ```
///
/// A place that has got its key keeps it until `clear`, which nobody may call while others count.
///
/// Unchecked: what is not atomic changes only in `clear` and `prepare`.
final class ExponentialTable: @unchecked Sendable {
    private let keys: UnsafeMutablePointer<Atomic<UInt64>>
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>
    private let capacity: Int
    private let shift: UInt64
    /// Places that have a key.
    let bucketCount = Atomic<Int>(0)
    let zeroCount = Atomic<UInt64>(0)
    let sum = AtomicDouble()
    /// Observations that have been counted here from beginning to end; see `ExponentialHistogram`.
    let finished = Atomic<UInt64>(0)
    private(set) var schema: Int
    private(set) var zeroThreshold: Double
    /// Whether there are wider buckets than these.
    var canShrink: Bool { schema > ExponentialScale.schemas.lowerBound }

    /// - Parameter bucketLimit: a third more fit in, so that those who count meanwhile find a place; and always as many
    ///   as there are by the coarsest schema, where nothing can be done any more.
    init(bucketLimit: Int, schema: Int, zeroThreshold: Double) {
        var bits: UInt64 = 9
        while 1 << bits < bucketLimit + bucketLimit / 3 + 1 { bits += 1 }
        capacity = 1 << bits
        shift = 64 - bits
        keys = .allocate(capacity: capacity)
        counts = .allocate(capacity: capacity)
        for index in 0..<capacity {
            (keys + index).initialize(to: Atomic(0))
            (counts + index).initialize(to: Atomic(0))
        }
        self.schema = schema
        self.zeroThreshold = zeroThreshold
    }

    deinit {
        keys.deinitialize(count: capacity)
        counts.deinitialize(count: capacity)
        keys.deallocate()
        counts.deallocate()
    }

    /// Buckets of one side by the coarsest schema: the powers of two of all numbers, by sixteens, and infinity.
    static let coarsestCount = (1074 + 1024) / 16 + 2

    /// How its buckets lie from now on; it must be empty, and nobody may count.
    func prepare(schema: Int, zeroThreshold: Double) {
        self.schema = schema
        self.zeroThreshold = zeroThreshold
    }

    /// Counts an observation, which is a number.
    ///
    /// - Returns: false if there was no place for its bucket; nothing is counted then.
    func count(_ value: Double) -> Bool {
        if abs(value) <= zeroThreshold {
            zeroCount.wrappingAdd(1, ordering: .relaxed)
        } else {
            let index = ExponentialScale.index(of: abs(value), schema: schema)
            guard add(1, index: index, isNegative: value < 0) else { return false }
        }
        sum.add(value)
        return true
    }

    private func add(_ amount: UInt64, index: Int, isNegative: Bool) -> Bool {
        let key = UInt64(UInt32(truncatingIfNeeded: index)) << 2 | (isNegative ? 2 : 0) | 1
        var place = Int((key &* 0x9E37_79B9_7F4A_7C15) >> shift)
        for _ in 0..<capacity {
            var present = keys[place].load(ordering: .relaxed)
            if present == 0 {
                let (isExchanged, found) = keys[place].compareExchange(expected: 0, desired: key, ordering: .relaxed)
                if isExchanged { bucketCount.wrappingAdd(1, ordering: .relaxed) }
                present = isExchanged ? key : found
            }
            if present == key {
                counts[place].wrappingAdd(amount, ordering: .relaxed)
                return true
            }
            place = (place + 1) & (capacity - 1)
        }
        return false
    }

    /// Adds what another table had, whose buckets are as wide or narrower, and whose zero bucket is as wide or
    /// narrower.
    ///
    /// - Returns: what has found no place.
    func add(_ other: ExponentialBuckets) -> ExponentialBuckets? {
        var rest = ExponentialBuckets(schema: other.schema, zeroThreshold: other.zeroThreshold)
        zeroCount.wrappingAdd(other.zeroCount, ordering: .relaxed)
        for (buckets, isNegative) in [(other.positive, false), (other.negative, true)] {
            for bucket in buckets {
                let index = ExponentialScale.widened(bucket.index, by: other.schema - schema)
                // A bucket counts as zero if all of it does, and the zero bucket ends where one does.
                if ExponentialScale.upperBound(of: bucket.index, schema: other.schema) <= zeroThreshold {
                    zeroCount.wrappingAdd(bucket.count, ordering: .relaxed)
                } else if !add(bucket.count, index: index, isNegative: isNegative) {
                    if isNegative { rest.negative.append(bucket) } else { rest.positive.append(bucket) }
                }
            }
        }
        sum.add(other.sum)
        return rest.positive.isEmpty && rest.negative.isEmpty ? nil : rest
    }

    /// What is counted; exact only while nobody counts.
    var content: ExponentialBuckets {
        var content = ExponentialBuckets(schema: schema, zeroThreshold: zeroThreshold)
        content.zeroCount = zeroCount.load(ordering: .relaxed)
        content.sum = sum.value
        for place in 0..<capacity {
            let key = keys[place].load(ordering: .relaxed)
            let count = counts[place].load(ordering: .relaxed)
            guard key != 0, count > 0 else { continue }
            let bucket = ExponentialBuckets.Bucket(
                index: Int(Int32(bitPattern: UInt32(truncatingIfNeeded: key >> 2))), count: count)
            if key & 2 == 0 { content.positive.append(bucket) } else { content.negative.append(bucket) }
        }
        content.positive.sort { $0.index < $1.index }
        content.negative.sort { $0.index < $1.index }
        return content
    }

    /// Forgets all; nobody may count.
    func clear() {
        for place in 0..<capacity {
            keys[place].store(0, ordering: .relaxed)
            counts[place].store(0, ordering: .relaxed)
        }
        bucketCount.store(0, ordering: .relaxed)
        zeroCount.store(0, ordering: .relaxed)
        sum.set(0)
    }
}
