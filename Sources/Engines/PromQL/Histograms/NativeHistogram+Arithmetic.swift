import Glibc
import TimeSeriesEngine

/// The buckets of one side of a histogram as a list, which is easier to calculate with than spans.
struct BucketList: Equatable {
    /// Rising indices; a bucket of index i ends at base^i.
    var items: [(index: Int, count: Double)] = []

    init() {}

    init(_ spans: [NativeHistogram.Span], _ counts: [Double]) {
        var index = 0
        var next = 0
        for span in spans {
            index += Int(span.offset)
            for _ in 0..<span.length {
                guard next < counts.count else { return }
                items.append((index, counts[next]))
                index += 1
                next += 1
            }
        }
    }

    static func == (left: BucketList, right: BucketList) -> Bool {
        left.items.elementsEqual(right.items) { $0.index == $1.index && $0.count == $1.count }
    }

    var spans: [NativeHistogram.Span] {
        var spans: [NativeHistogram.Span] = []
        var expected = 0
        for (position, item) in items.enumerated() {
            if position > 0, item.index == expected {
                spans[spans.count - 1].length += 1
            } else {
                spans.append(
                    NativeHistogram.Span(offset: Int32(clamping: item.index - expected), length: 1))
            }
            expected = item.index + 1
        }
        return spans
    }

    /// As a schema with fewer buckets has them.
    func reduced(by levels: Int) -> BucketList {
        guard levels > 0 else { return self }
        var result = BucketList()
        for item in items {
            let index = ((item.index - 1) >> min(levels, 62)) + 1
            if let last = result.items.last, last.index == index {
                result.items[result.items.count - 1].count += item.count
            } else {
                result.items.append((index, item.count))
            }
        }
        return result
    }

    func adding(_ other: BucketList) -> BucketList {
        var result = BucketList()
        var own = items[...]
        var others = other.items[...]
        while let a = own.first ?? others.first, let b = others.first ?? own.first {
            if own.isEmpty || !others.isEmpty && b.index < a.index {
                result.items.append(b)
                others.removeFirst()
            } else if others.isEmpty || a.index < b.index {
                result.items.append(a)
                own.removeFirst()
            } else {
                result.items.append((a.index, a.count + b.count))
                own.removeFirst()
                others.removeFirst()
            }
        }
        return result
    }

    func scaled(by factor: Double) -> BucketList {
        var result = self
        for index in result.items.indices { result.items[index].count *= factor }
        return result
    }

    /// Without the buckets that hold nothing.
    var compacted: BucketList {
        var result = self
        result.items.removeAll { $0.count == 0 }
        return result
    }
}

/// A histogram whose buckets are lists.
struct BucketedHistogram {
    var plain: NativeHistogram
    var positive: BucketList
    var negative: BucketList

    init(_ histogram: NativeHistogram) {
        plain = histogram
        positive = BucketList(histogram.positiveSpans, histogram.positiveBuckets)
        negative = BucketList(histogram.negativeSpans, histogram.negativeBuckets)
    }

    var histogram: NativeHistogram {
        var histogram = plain
        let positive = positive.compacted
        let negative = negative.compacted
        histogram.positiveSpans = positive.spans
        histogram.positiveBuckets = positive.items.map(\.count)
        histogram.negativeSpans = negative.spans
        histogram.negativeBuckets = negative.items.map(\.count)
        return histogram
    }

    mutating func reduce(to schema: Int32) {
        let levels = Int(plain.schema) - Int(schema)
        guard levels > 0 else { return }
        positive = positive.reduced(by: levels)
        negative = negative.reduced(by: levels)
        plain.schema = schema
    }

    /// Where a bucket ends.
    static func bound(_ index: Int, _ schema: Int32) -> Double {
        if schema <= 0 { return scalbn(1, Int32(clamping: index << min(-Int(schema), 8))) }
        let parts = 1 << min(Int(schema), 16)
        let whole = index >= 0 ? index / parts : (index - parts + 1) / parts
        return scalbn(exp2(Double(index - whole * parts) / Double(parts)), Int32(clamping: whole))
    }

    /// Widens the zero bucket to `threshold`, or to the end of the bucket that lies across it and holds something.
    mutating func widenZero(to threshold: Double) {
        guard threshold > plain.zeroThreshold else { return }
        plain.zeroThreshold = threshold
        for _ in 0..<2 {
            for isPositive in [true, false] {
                var list = isPositive ? positive : negative
                list.items.removeAll { item in
                    guard Self.bound(item.index - 1, plain.schema) < plain.zeroThreshold else { return false }
                    plain.zeroCount += item.count
                    if item.count != 0 {
                        plain.zeroThreshold = max(plain.zeroThreshold, Self.bound(item.index, plain.schema))
                    }
                    return true
                }
                if isPositive { positive = list } else { negative = list }
            }
        }
    }

    /// Makes both comparable: the coarser schema, the wider zero bucket.
    static func align(_ left: inout BucketedHistogram, _ right: inout BucketedHistogram) {
        let schema = min(left.plain.schema, right.plain.schema)
        left.reduce(to: schema)
        right.reduce(to: schema)
        for _ in 0..<64 where left.plain.zeroThreshold != right.plain.zeroThreshold {
            let threshold = max(left.plain.zeroThreshold, right.plain.zeroThreshold)
            left.widenZero(to: threshold)
            right.widenZero(to: threshold)
        }
    }
}

extension NativeHistogram {
    func adding(_ other: NativeHistogram) -> NativeHistogram {
        var left = BucketedHistogram(self)
        var right = BucketedHistogram(other)
        BucketedHistogram.align(&left, &right)
        left.positive = left.positive.adding(right.positive)
        left.negative = left.negative.adding(right.negative)
        left.plain.zeroCount += right.plain.zeroCount
        left.plain.count += other.count
        left.plain.sum += other.sum
        if counterReset != other.counterReset { left.plain.counterReset = .unknown }
        return left.histogram
    }

    func scaled(by factor: Double) -> NativeHistogram {
        var result = self
        result.count *= factor
        result.sum *= factor
        result.zeroCount *= factor
        for index in result.positiveBuckets.indices { result.positiveBuckets[index] *= factor }
        for index in result.negativeBuckets.indices { result.negativeBuckets[index] *= factor }
        if factor < 0 { result.counterReset = .gauge }
        return result
    }

    /// Whether all that was observed is the same, however the spans are laid.
    func hasSameBuckets(as other: NativeHistogram) -> Bool {
        let left = BucketedHistogram(self)
        let right = BucketedHistogram(other)
        return schema == other.schema && zeroThreshold == other.zeroThreshold && zeroCount == other.zeroCount
            && count == other.count && (sum == other.sum || sum.isNaN && other.sum.isNaN)
            && left.positive.compacted == right.positive.compacted
            && left.negative.compacted == right.negative.compacted
    }

    /// Whether the counts have begun anew since `previous`.
    func isReset(since previous: NativeHistogram) -> Bool {
        switch counterReset {
        case .reset: return true
        case .notReset: return false
        case .unknown, .gauge: break
        }
        if count < previous.count || schema > previous.schema || zeroThreshold < previous.zeroThreshold { return true }
        let now = BucketedHistogram(self)
        var before = BucketedHistogram(previous)
        before.reduce(to: schema)
        before.widenZero(to: zeroThreshold)
        if before.plain.zeroThreshold != zeroThreshold || zeroCount < before.plain.zeroCount { return true }
        return Self.hasShrunk(now.positive, before.positive) || Self.hasShrunk(now.negative, before.negative)
    }

    private static func hasShrunk(_ now: BucketList, _ before: BucketList) -> Bool {
        now.adding(before.scaled(by: -1)).items.contains { $0.count < 0 }
    }
}
