import TimeSeriesEngine

/// How `rate`, `increase` and `delta` find what passed in a window whose first and last moment nobody has measured.
///
/// The samples say what passed between the first and the last of them. If those lie near the window's ends (no further
/// than 1.1 times the mean distance between samples), the line is drawn on to the ends; otherwise the series is taken
/// to have begun or ended half a distance beyond its samples. A counter is never drawn on below zero. (Prometheus 2.42,
/// `promql/functions.go`, extrapolatedRate.)
public struct Extrapolation: Equatable, Sendable {
    /// Last minus first.
    public var difference: Double
    /// What is added for counters that have begun anew.
    public var correction: Double
    /// Between the first and the last sample.
    public var sampledSeconds: Double
    /// How far the line is drawn on at both ends.
    public var startSeconds: Double
    public var endSeconds: Double
    /// What corrected differences are multiplied with; for rates it has the division by the range in it.
    public var factor: Double
    /// The corrected difference times the factor.
    public var result: Double

    /// - Parameters:
    ///   - timestamps: of the first and the last sample.
    ///   - value: of the first sample, for counters; nil if the line may pass below zero.
    public static func spread(
        first: Int64, last: Int64, count: Int, from: Int64, through: Int64, counterStart value: Double?, change: Double
    ) -> (start: Double, end: Double, sampled: Double) {
        var toStart = Double(first - from) / 1000
        let toEnd = Double(through - last) / 1000
        let sampled = Double(last - first) / 1000
        let distance = sampled / Double(count - 1)
        if let value, change > 0, value >= 0 {
            let toZero = sampled * (value / change)
            if toZero < toStart { toStart = toZero }
        }
        let threshold = distance * 1.1
        return (toStart < threshold ? toStart : distance / 2, toEnd < threshold ? toEnd : distance / 2, sampled)
    }
}

extension RangeWindow {
    func extrapolated(_ function: RangeFunction, _ resets: inout ResetList) -> Extrapolation? {
        guard count >= 2 else { return nil }
        let isCounter = function != .delta
        let last = count - 1
        let difference = values[last] - values[0]
        // Added up in Prometheus's order, so that the last digit is the same.
        var change = difference
        if isCounter {
            for place in resets.inside(first, first + count) { change += values[place - 1 - first] }
        }
        let (start, end, sampled) = Extrapolation.spread(
            first: timestamps[0], last: timestamps[last], count: count, from: from, through: through,
            counterStart: isCounter ? values[0] : nil, change: change)
        var factor = (sampled + start + end) / sampled
        if function == .rate { factor /= Double(rangeMilliseconds) / 1000 }
        return Extrapolation(
            difference: difference, correction: change - difference, sampledSeconds: sampled, startSeconds: start,
            endSeconds: end, factor: factor, result: change * factor)
    }
}
