import TimeSeriesEngine

/// The samples of a window with histograms among them.
///
/// Functions of numbers see the numbers only; what counts or takes samples takes both kinds; rates, sums and means of
/// histograms are histograms, and none where both kinds are in the window.
struct MixedWindow {
    let column: SampleColumn
    let range: Range<Int>
    let from: Int64
    let through: Int64
    let rangeMilliseconds: Int64

    func evaluate(_ function: RangeFunction) -> MixedSample? {
        let histograms = column.histograms[range].compactMap(\.self)
        switch function {
        case .countOverTime: return .float(Double(range.count))
        case .presentOverTime: return .float(1)
        case .lastOverTime:
            guard let last = range.last else { return nil }
            return column.histograms[last].map { .histogram($0) } ?? .float(column.values[last])
        default: break
        }
        if histograms.isEmpty { return floats(function) }
        guard histograms.count == range.count else {
            switch function {
            case .rate, .increase, .delta, .sumOverTime, .avgOverTime, .irate, .idelta: return nil
            default: return floats(function)
            }
        }
        switch function {
        case .rate, .increase, .delta: return change(histograms, function).map { .histogram($0) }
        case .sumOverTime: return .histogram(sum(histograms))
        case .avgOverTime: return .histogram(sum(histograms).scaled(by: 1 / Double(histograms.count)))
        case .resets: return .float(Double(zip(histograms, histograms.dropFirst()).count { $1.isReset(since: $0) }))
        case .changes:
            return .float(Double(zip(histograms, histograms.dropFirst()).count { !$1.hasSameBuckets(as: $0) }))
        default: return nil
        }
    }

    private func sum(_ histograms: [NativeHistogram]) -> NativeHistogram {
        histograms.dropFirst().reduce(histograms[0]) { $0.adding($1) }
    }

    /// Functions of numbers alone, over the numbers of the window.
    private func floats(_ function: RangeFunction) -> MixedSample? {
        let kept = range.filter { column.histograms[$0] == nil }
        if kept.isEmpty { return nil }
        let timestamps = kept.map { column.timestamps[$0] }
        let values = kept.map { column.values[$0] }
        return timestamps.withUnsafeBufferPointer { timestamps in
            values.withUnsafeBufferPointer { values in
                var resets = ResetList()
                resets.find(in: values)
                let window = RangeWindow(
                    timestamps: timestamps, values: values, first: 0, from: from, through: through, time: through,
                    rangeMilliseconds: rangeMilliseconds)
                switch function {
                case .holtWinters, .predictLinear, .quantileOverTime: return nil
                default: return window.evaluate(function, 0, 0, &resets).map { .float($0) }
                }
            }
        }
    }

    private func change(_ histograms: [NativeHistogram], _ function: RangeFunction) -> NativeHistogram? {
        guard histograms.count >= 2, let first = histograms.first, let last = histograms.last else { return nil }
        let schema = histograms.map(\.schema).min() ?? last.schema
        var total = BucketedHistogram(last)
        total.reduce(to: schema)
        var result = total.histogram.adding(first.scaled(by: -1))
        if function != .delta {
            for (previous, current) in zip(histograms, histograms.dropFirst()) where current.isReset(since: previous) {
                result = result.adding(previous)
            }
        }
        let timestamps = column.timestamps[range]
        let (start, end, sampled) = Extrapolation.spread(
            first: timestamps[range.lowerBound], last: timestamps[range.upperBound - 1], count: range.count, from: from,
            through: through, counterStart: nil, change: 0)
        var factor = (sampled + start + end) / sampled
        if function == .rate { factor /= Double(rangeMilliseconds) / 1000 }
        result = result.scaled(by: factor)
        result.counterReset = .gauge
        return result
    }
}
