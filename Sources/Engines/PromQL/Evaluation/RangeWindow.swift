import TimeSeriesEngine

/// The samples of one series in one window; at least one.
struct RangeWindow {
    let timestamps: UnsafeBufferPointer<Int64>
    let values: UnsafeBufferPointer<Double>
    /// The place of its first sample among those of the series.
    let first: Int
    /// The window's bounds, in milliseconds since 1970.
    let from: Int64
    let through: Int64
    /// When the query is evaluated.
    let time: Int64
    let rangeMilliseconds: Int64
    /// How many samples the values are sums of; nil where each is one.
    var weight: Double?

    var count: Int { values.count }

    /// Nil where the function has no result for so few samples.
    func evaluate(
        _ function: RangeFunction, _ number: Double, _ second: Double, _ resets: inout ResetList
    ) -> Double? {
        switch function {
        case .rate, .increase, .delta: extrapolated(function, &resets)?.result
        case .irate: instantRate(isRate: true)
        case .idelta: instantRate(isRate: false)
        case .resets: Double(resets.inside(first, first + count).count)
        case .changes: changes()
        case .deriv: count < 2 ? nil : regression(at: timestamps[0]).slope
        case .predictLinear: predicted(number)
        case .holtWinters: smoothed(number, second)
        case .avgOverTime: weight.map { sum() / $0 } ?? mean()
        case .sumOverTime: sum()
        case .countOverTime: weight ?? Double(count)
        case .presentOverTime: 1
        case .lastOverTime: values[count - 1]
        case .minOverTime: extreme { $0 > $1 }
        case .maxOverTime: extreme { $0 < $1 }
        case .stdvarOverTime: variance()
        case .stddevOverTime: variance().squareRoot()
        case .quantileOverTime: quantile(number)
        }
    }

    private func quantile(_ quantile: Double) -> Double {
        var copy = Array(values)
        return Quantile.of(&copy, quantile)
    }

    private func extreme(_ isWorse: (Double, Double) -> Bool) -> Double {
        var best = values[0]
        for value in values where isWorse(best, value) || best.isNaN { best = value }
        return best
    }

    private func changes() -> Double {
        var count = 0
        var previous = values[0]
        for value in values {
            if value != previous, !(value.isNaN && previous.isNaN) { count += 1 }
            previous = value
        }
        return Double(count)
    }

    private func instantRate(isRate: Bool) -> Double? {
        guard count >= 2 else { return nil }
        let last = values[count - 1]
        let previous = values[count - 2]
        // A counter that has begun anew counts from zero.
        let difference = isRate && last < previous ? last : last - previous
        let interval = timestamps[count - 1] - timestamps[count - 2]
        guard interval != 0 else { return nil }
        return isRate ? difference / (Double(interval) / 1000) : difference
    }

    // MARK: Sums that lose nothing

    private func sum() -> Double {
        var sum = CompensatedSum()
        for value in values { sum.add(value) }
        return sum.total
    }

    private func mean() -> Double {
        var mean = CompensatedSum()
        var count = 0.0
        for value in values {
            count += 1
            if mean.sum.isInfinite {
                if value.isInfinite, (mean.sum > 0) == (value > 0) { continue }
                if value.isFinite { continue }
            }
            mean.add(value / count - mean.sum / count)
        }
        return mean.total
    }

    private func variance() -> Double {
        var mean = CompensatedSum()
        var squares = CompensatedSum()
        var count = 0.0
        for value in values {
            count += 1
            let delta = value - (mean.sum + mean.rest)
            mean.add(delta / count)
            squares.add(delta * (value - (mean.sum + mean.rest)))
        }
        return (squares.sum + squares.rest) / count
    }

    // MARK: Lines through the samples

    /// The least squares' line: its slope a second, and its value at `intercept`.
    func regression(at intercept: Int64) -> (slope: Double, value: Double) {
        var n = 0.0
        var x = CompensatedSum()
        var y = CompensatedSum()
        var xy = CompensatedSum()
        var squares = CompensatedSum()
        var isConstant = true
        for index in 0..<count {
            let value = values[index]
            if value != values[0] { isConstant = false }
            n += 1
            let distance = Double(timestamps[index] - intercept) / 1000
            x.add(distance)
            y.add(value)
            xy.add(distance * value)
            squares.add(distance * distance)
        }
        if isConstant { return values[0].isInfinite ? (.nan, .nan) : (0, values[0]) }
        let (sumX, sumY) = (x.sum + x.rest, y.sum + y.rest)
        let covariance = xy.sum + xy.rest - sumX * sumY / n
        let variance = squares.sum + squares.rest - sumX * sumX / n
        let slope = covariance / variance
        return (slope, sumY / n - slope * sumX / n)
    }

    private func predicted(_ seconds: Double) -> Double? {
        guard count >= 2 else { return nil }
        let (slope, value) = regression(at: time)
        return slope * seconds + value
    }

    /// Double exponential smoothing (Holt and Winters).
    private func smoothed(_ smoothing: Double, _ trendFactor: Double) -> Double? {
        guard count >= 2 else { return nil }
        var older = 0.0
        var level = values[0]
        var trend = values[1] - values[0]
        for index in 1..<count {
            if index > 1 { trend = trendFactor * (level - older) + (1 - trendFactor) * trend }
            let next = smoothing * values[index] + (1 - smoothing) * (level + trend)
            older = level
            level = next
        }
        return level
    }
}

/// A sum that keeps what rounding takes away (Kahan's, as Neumaier improved it).
struct CompensatedSum {
    var sum = 0.0
    var rest = 0.0

    @inline(__always)
    mutating func add(_ value: Double) {
        let next = sum + value
        rest += sum.magnitude >= value.magnitude ? (sum - next) + value : (value - next) + sum
        sum = next
    }

    var total: Double { sum.isInfinite ? sum : sum + rest }
}
