/// Counts of observations by size, in buckets of a native histogram: what one has counted at one moment, and a sketch
/// of which quantiles are asked.
///
/// A quantile is as exact as the bucket is narrow in which it lies, wherever that is: within a part of the value, not
/// of the ranks. (Masson, Rim, Lee: "DDSketch", VLDB 2019; its buckets are any, these are powers of 2^(2^-schema), so
/// that two sketches can be added whatever became of them.)
public struct ExponentialBuckets: Equatable, Sendable {
    public struct Bucket: Equatable, Sendable {
        public let index: Int
        public var count: UInt64

        public init(index: Int, count: UInt64) {
            self.index = index
            self.count = count
        }
    }

    /// One of `ExponentialScale.schemas`.
    public internal(set) var schema: Int
    /// Observations of at most this distance from zero are in the zero bucket.
    public internal(set) var zeroThreshold: Double
    public internal(set) var zeroCount: UInt64 = 0
    /// By rising index, those that hold something; the negative ones by their distance from zero.
    public internal(set) var positive: [Bucket] = []
    public internal(set) var negative: [Bucket] = []
    public internal(set) var sum = 0.0

    public init(schema: Int, zeroThreshold: Double) {
        self.schema = schema
        self.zeroThreshold = zeroThreshold
    }

    /// Of all buckets.
    public var count: UInt64 {
        let sides = positive.reduce(0) { $0 &+ $1.count } &+ negative.reduce(0) { $0 &+ $1.count }
        return zeroCount &+ sides
    }

    public var bucketCount: Int { positive.count + negative.count }

    // MARK: Adding

    /// Adds an observation that is a number; beyond `bucketLimit` buckets they become wider, as far as they can.
    mutating func add(_ value: Double, bucketLimit: Int) {
        sum += value
        if abs(value) <= zeroThreshold {
            zeroCount &+= 1
            return
        }
        let index = ExponentialScale.index(of: abs(value), schema: schema)
        if value > 0 { Self.add(1, index, to: &positive) } else { Self.add(1, index, to: &negative) }
        while bucketCount > bucketLimit, halve() {}
    }

    private static func add(_ count: UInt64, _ index: Int, to buckets: inout [Bucket]) {
        var low = 0
        var high = buckets.count
        while low < high {
            let middle = (low + high) / 2
            if buckets[middle].index < index { low = middle + 1 } else { high = middle }
        }
        if low < buckets.count, buckets[low].index == index {
            buckets[low].count &+= count
        } else {
            buckets.insert(Bucket(index: index, count: count), at: low)
        }
    }

    /// Adds another sketch with the same zero bucket; the result is as coarse as the coarser one.
    mutating func add(_ other: ExponentialBuckets, bucketLimit: Int) {
        var other = other
        while schema > other.schema, halve() {}
        while other.schema > schema, other.halve() {}
        for bucket in other.positive { Self.add(bucket.count, bucket.index, to: &positive) }
        for bucket in other.negative { Self.add(bucket.count, bucket.index, to: &negative) }
        zeroCount &+= other.zeroCount
        sum += other.sum
        while bucketCount > bucketLimit, halve() {}
    }

    // MARK: Fewer buckets

    /// Makes one bucket of each two neighbours.
    ///
    /// - Returns: false if they are as wide as they can be.
    @discardableResult
    mutating func halve() -> Bool {
        guard schema > ExponentialScale.schemas.lowerBound else { return false }
        schema -= 1
        positive = Self.halved(positive)
        negative = Self.halved(negative)
        return true
    }

    private static func halved(_ buckets: [Bucket]) -> [Bucket] {
        var result: [Bucket] = []
        for bucket in buckets {
            let index = ExponentialScale.widened(bucket.index, by: 1)
            if result.last?.index == index {
                result[result.count - 1].count &+= bucket.count
            } else {
                result.append(Bucket(index: index, count: bucket.count))
            }
        }
        return result
    }

    /// Widens the zero bucket by the bucket nearest to it, if it does not become wider than `limit`.
    ///
    /// - Returns: whether it has.
    mutating func widenZero(upTo limit: Double) -> Bool {
        let nearest = [positive.first?.index, negative.first?.index].compactMap { $0 }.min()
        guard let nearest else { return false }
        let end = ExponentialScale.upperBound(of: nearest, schema: schema)
        guard end > zeroThreshold, end <= limit else { return false }
        zeroThreshold = end
        if positive.first?.index == nearest { zeroCount &+= positive.removeFirst().count }
        if negative.first?.index == nearest { zeroCount &+= negative.removeFirst().count }
        return true
    }

    // MARK: Asking

    /// The value that this part of the observations does not exceed, from 0 to 1; nil if there are none.
    ///
    /// It differs from an observed value by at most (b - 1) / (b + 1) of it, where b is the growth of a bucket.
    public func quantile(_ part: Double) -> Double? {
        let count = self.count
        guard count > 0, part >= 0, part <= 1 else { return nil }
        var rest = UInt64((part * Double(count - 1)).rounded(.down))
        for bucket in negative.reversed() {
            if rest < bucket.count { return -middle(of: bucket.index) }
            rest -= bucket.count
        }
        if rest < zeroCount { return 0 }
        rest -= zeroCount
        for bucket in positive {
            if rest < bucket.count { return middle(of: bucket.index) }
            rest -= bucket.count
        }
        return positive.last.map { middle(of: $0.index) } ?? 0
    }

    /// As far, in parts of it, from the bucket's one end as from the other.
    private func middle(of index: Int) -> Double {
        let lower = ExponentialScale.upperBound(of: index - 1, schema: schema)
        let upper = ExponentialScale.upperBound(of: index, schema: schema)
        return upper.isFinite ? 2 * lower / (lower / upper + 1) : upper
    }
}
