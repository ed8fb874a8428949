import TimeSeriesEngine

/// Which buckets the histograms of one chunk have: all the same, so that they can be packed one against the other.
struct HistogramLayout: Equatable {
    var schema: Int32 = 0
    var zeroThreshold = 0.0
    var positive: [NativeHistogram.Span] = []
    var negative: [NativeHistogram.Span] = []

    init() {}

    init(_ histogram: NativeHistogram) {
        schema = histogram.schema
        zeroThreshold = histogram.zeroThreshold
        positive = histogram.positiveSpans
        negative = histogram.negativeSpans
    }

    /// The indices of the buckets that spans stand for, rising. The spans are valid ones.
    static func indices(_ spans: [NativeHistogram.Span]) -> [Int32] {
        var indices: [Int32] = []
        var index: Int32 = 0
        for span in spans {
            index += span.offset
            for _ in 0..<span.length {
                indices.append(index)
                index += 1
            }
        }
        return indices
    }

    /// As few spans as can be for these indices, which rise.
    static func spans(_ indices: [Int32]) -> [NativeHistogram.Span] {
        var spans: [NativeHistogram.Span] = []
        var end: Int32 = 0
        for index in indices {
            if index == end, !spans.isEmpty {
                spans[spans.count - 1].length += 1
            } else {
                spans.append(.init(offset: index - end, length: 1))
            }
            end = index + 1
        }
        return spans
    }

    /// Buckets of some spans as those of others that cover them; what was not there has the count 0.
    static func spread(
        _ buckets: [Double], _ own: [NativeHistogram.Span], over spans: [NativeHistogram.Span]
    ) -> [Double] {
        if own == spans { return buckets }
        let places = indices(own)
        var next = 0
        return indices(spans).map { index in
            guard next < places.count, places[next] == index else { return 0 }
            defer { next += 1 }
            return buckets[next]
        }
    }

    /// What one side of a histogram means to one side of a chunk.
    ///
    /// - Parameters:
    ///   - last: the counts of the chunk's last histogram, in its spans.
    /// - Returns: the spans that cover both, and whether a count is less than before, or a bucket with counts is gone.
    static func union(
        _ spans: [NativeHistogram.Span], _ last: [Double], with own: [NativeHistogram.Span], _ buckets: [Double]
    ) -> (spans: [NativeHistogram.Span], hasShrunk: Bool) {
        if own == spans { return (spans, zip(buckets, last).contains { $0 < $1 }) }
        let here = indices(spans)
        let there = indices(own)
        var all: [Int32] = []
        var hasShrunk = false
        var (i, j) = (0, 0)
        while i < here.count || j < there.count {
            if j == there.count || i < here.count && here[i] < there[j] {
                if last[i] > 0 { hasShrunk = true }
                all.append(here[i])
                i += 1
            } else if i == here.count || there[j] < here[i] {
                all.append(there[j])
                j += 1
            } else {
                if buckets[j] < last[i] { hasShrunk = true }
                all.append(here[i])
                i += 1
                j += 1
            }
        }
        return (all.count == here.count ? spans : Self.spans(all), hasShrunk)
    }
}

extension NativeHistogram {
    /// What says that a series of histograms has ended.
    static let seriesEnd = {
        var histogram = NativeHistogram()
        histogram.sum = Staleness.marker
        return histogram
    }()

    /// Whether all counts are whole numbers that a `Double` holds exactly: those of a program that counts.
    var hasWholeCounts: Bool {
        func isWhole(_ count: Double) -> Bool { count >= 0 && count <= 0x1p53 && count == count.rounded() }
        return isWhole(count) && isWhole(zeroCount) && positiveBuckets.allSatisfy(isWhole)
            && negativeBuckets.allSatisfy(isWhole)
    }

    /// Each count's difference to the one before, as formats have whole ones.
    static func differences(_ buckets: [Double]) -> [Int64] {
        var last: Int64 = 0
        return buckets.map { bucket in
            let count = Int64(bucket)
            defer { last = count }
            return count - last
        }
    }

    /// The counts that have such differences.
    static func counts(_ differences: some Sequence<Int64>) -> [Double] {
        var total: Int64 = 0
        return differences.map { difference in
            total = total &+ difference
            return Double(total)
        }
    }
}
