import TimeSeriesEngine

/// One bucket with its bounds.
struct BoundedBucket: Equatable {
    var lower: Double
    var upper: Double
    var count: Double
}

extension NativeHistogram {
    /// All buckets from the lowest to the highest, the zero bucket among them if it holds anything. Where there are
    /// only positive observations it begins at zero, where there are only negative ones it ends there.
    var boundedBuckets: [BoundedBucket] {
        let lists = BucketedHistogram(self)
        var buckets: [BoundedBucket] = []
        for item in lists.negative.items.reversed() {
            buckets.append(
                BoundedBucket(
                    lower: -BucketedHistogram.bound(item.index, schema),
                    upper: -BucketedHistogram.bound(item.index - 1, schema), count: item.count))
        }
        if zeroCount > 0 {
            var zero = BoundedBucket(lower: -zeroThreshold, upper: zeroThreshold, count: zeroCount)
            if lists.negative.items.isEmpty, !lists.positive.items.isEmpty { zero.lower = 0 }
            if lists.positive.items.isEmpty, !lists.negative.items.isEmpty { zero.upper = 0 }
            buckets.append(zero)
        }
        for item in lists.positive.items {
            buckets.append(
                BoundedBucket(
                    lower: BucketedHistogram.bound(item.index - 1, schema),
                    upper: BucketedHistogram.bound(item.index, schema), count: item.count))
        }
        return buckets
    }

    /// The value below which this part of the observations lies, in proportion within a bucket.
    func quantile(_ quantile: Double) -> Double {
        if quantile < 0 { return -.infinity }
        if quantile > 1 { return .infinity }
        if count == 0 || quantile.isNaN { return .nan }
        var rank = quantile * count
        var seen = 0.0
        var last: BoundedBucket?
        for bucket in boundedBuckets {
            last = bucket
            seen += bucket.count
            if seen >= rank { break }
        }
        guard let last else { return .nan }
        // Observations of NaN are in no bucket.
        if seen < rank { return last.upper }
        rank -= seen - last.count
        return last.lower + (last.upper - last.lower) * (rank / last.count)
    }

    /// The part of the observations between two values.
    func fraction(from lower: Double, to upper: Double) -> Double {
        if count == 0 || lower.isNaN || upper.isNaN { return .nan }
        if lower >= upper { return 0 }
        return (rank(of: upper) - rank(of: lower)) / count
    }

    private func rank(of value: Double) -> Double {
        var rank = 0.0
        for bucket in boundedBuckets {
            if bucket.lower >= value { return min(rank, count) }
            if bucket.upper > value {
                return min(rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower), count)
            }
            rank += bucket.count
        }
        return count
    }

    /// As Prometheus writes a histogram: `{count:4, sum:7, (0.5,1]:1, (1,2]:3}`.
    public var text: String {
        var parts = ["count:\(numberText(count))", "sum:\(numberText(sum))"]
        for bucket in BucketedHistogram(self).histogram.rawBuckets where bucket.count != 0 {
            let isZero = bucket.lower == -zeroThreshold && bucket.upper == zeroThreshold
            let opening = isZero || bucket.lower < 0 ? "[" : "("
            let closing = isZero || bucket.lower >= 0 ? "]" : ")"
            let bounds = "\(numberText(bucket.lower)),\(numberText(bucket.upper))"
            parts.append("\(opening)\(bounds)\(closing):\(numberText(bucket.count))")
        }
        return "{\(parts.joined(separator: ", "))}"
    }

    /// As `boundedBuckets`, with the whole zero bucket.
    public var rawBuckets: [(lower: Double, upper: Double, count: Double)] {
        boundedBuckets.map { bucket in
            let isZero = bucket.lower <= 0 && bucket.upper >= 0
            return isZero
                ? (-zeroThreshold, zeroThreshold, bucket.count) : (bucket.lower, bucket.upper, bucket.count)
        }
    }
}
