import Glibc
import TimeSeriesEngine

/// Sums, means, extremes and spreads of groups, one series after another into a row of accumulators a group.
struct AggregationFold {
    private let operation: AggregationOperator
    private var result: StepMatrix
    /// Samples so far; of sums whether there were any floats.
    private var counts: [Double]
    /// Means, for the spread.
    private var means: [Double] = []

    init(_ operation: AggregationOperator, _ groups: [Labels], steps: Int) {
        self.operation = operation
        result = StepMatrix(steps: steps)
        for labels in groups { _ = result.appendRow(labels) }
        counts = Array(repeating: 0, count: result.values.count)
        if operation == .stddev || operation == .stdvar { means = counts }
    }

    mutating func add(_ source: StepMatrix, row: Int, to group: Int) {
        let from = row * source.steps
        let to = group * source.steps
        for step in 0..<source.steps {
            let value = source.values[from + step]
            guard StepMatrix.isPresent(value) else { continue }
            if let histogram = source.histogram(from + step) {
                add(histogram, to + step)
            } else if result.hasHistograms, result.histograms[to + step] != nil {
                mixed.insert(to + step)
            } else {
                add(value, to + step)
            }
        }
    }

    @inline(__always)
    private mutating func add(_ value: Double, _ place: Int) {
        let isFirst = counts[place] == 0
        counts[place] += 1
        switch operation {
        case .sum: result.values[place] = isFirst ? value : result.values[place] + value
        case .avg: if isFirst { result.values[place] = value } else { addToMean(value, place) }
        case .min:
            if isFirst || result.values[place] > value || result.values[place].isNaN { result.values[place] = value }
        case .max:
            if isFirst || result.values[place] < value || result.values[place].isNaN { result.values[place] = value }
        case .count, .countValues: result.values[place] = counts[place]
        case .group: result.values[place] = 1
        case .stddev, .stdvar:
            if isFirst {
                means[place] = value
                result.values[place] = 0
            } else {
                let delta = value - means[place]
                means[place] += delta / counts[place]
                result.values[place] += delta * (value - means[place])
            }
        case .topk, .bottomk, .quantile: break
        }
    }

    /// A running mean, which does not overflow where a sum would; an infinite one stays what it is.
    private mutating func addToMean(_ value: Double, _ place: Int) {
        let mean = result.values[place]
        if mean.isInfinite {
            if value.isInfinite, (mean > 0) == (value > 0) { return }
            if value.isFinite { return }
        }
        result.values[place] = mean + (value / counts[place] - mean / counts[place])
    }

    /// Histograms have sums and means, and can be counted. What has both kinds in it has no sum.
    private mutating func add(_ histogram: NativeHistogram, _ place: Int) {
        switch operation {
        case .count, .countValues, .group:
            counts[place] += 1
            result.values[place] = operation == .group ? 1 : counts[place]
        case .sum, .avg:
            if let sum = result.histogram(place) {
                result.set(sum.adding(histogram), at: place)
            } else if counts[place] == 0 {
                result.set(histogram, at: place)
            } else {
                mixed.insert(place)
            }
            counts[place] += 1
        default: break
        }
    }

    /// Places with floats and histograms.
    private var mixed: Set<Int> = []

    func finished() -> StepMatrix {
        var result = result
        for place in result.values.indices where counts[place] > 0 {
            switch operation {
            case .stdvar: result.values[place] /= counts[place]
            case .stddev: result.values[place] = (result.values[place] / counts[place]).squareRoot()
            default: break
            }
        }
        guard result.hasHistograms else { return result }
        for place in result.values.indices {
            if mixed.contains(place) {
                result.histograms[place] = nil
                result.values[place] = StepMatrix.absent
            } else if operation == .avg, let histogram = result.histograms[place] {
                result.histograms[place] = histogram.scaled(by: 1 / counts[place])
            }
        }
        return result
    }
}

/// The samples that `topk` and `bottomk` keep: a heap with the one at its root that would go first.
///
/// Which of equal values stays depends on the heap's shape, so it is exactly that of Go's `container/heap`.
struct BoundedHeap {
    private var items: [(value: Double, row: Int)] = []
    private let limit: Int
    private let keepsLargest: Bool

    init(limit: Int, keepsLargest: Bool) {
        self.limit = limit
        self.keepsLargest = keepsLargest
    }

    /// Whether `a` goes before `b`; NaN always goes first.
    private func isBefore(_ a: Double, _ b: Double) -> Bool {
        if a.isNaN { return true }
        return keepsLargest ? a < b : a > b
    }

    mutating func offer(_ value: Double, _ row: Int) {
        if items.count == limit {
            guard let first = items.first, isBefore(first.value, value) else { return }
            if limit == 1 {
                items[0] = (value, row)
                return
            }
            items.swapAt(0, limit - 1)
            items.removeLast()
            sink()
        }
        items.append((value, row))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isBefore(items[child].value, items[parent].value) else { break }
            items.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < items.count else { return }
            if child + 1 < items.count, isBefore(items[child + 1].value, items[child].value) { child += 1 }
            guard isBefore(items[child].value, items[parent].value) else { return }
            items.swapAt(parent, child)
            parent = child
        }
    }

    /// The best first; NaN last.
    func sorted() -> [(value: Double, row: Int)] {
        guard items.count <= 12 else { return items.sorted { !$0.value.isNaN && isBefore($1.value, $0.value) } }
        // As Go sorts a few: by insertion, which turns those that are no numbers round.
        var sorted = items
        for end in sorted.indices.dropFirst() {
            var place = end
            while place > 0, isBefore(sorted[place - 1].value, sorted[place].value) {
                sorted.swapAt(place, place - 1)
                place -= 1
            }
        }
        return sorted
    }
}

/// Quantiles of a handful of values, between two of them in proportion.
public enum Quantile {
    /// Of `values`, which are sorted by it; NaN counts as the smallest.
    public static func of(_ values: inout [Double], _ quantile: Double) -> Double {
        if values.isEmpty || quantile.isNaN { return .nan }
        if quantile < 0 { return -.infinity }
        if quantile > 1 { return .infinity }
        values.sort { $0.isNaN ? !$1.isNaN : $0 < $1 }
        let rank = quantile * Double(values.count - 1)
        let lower = max(0, min(values.count - 1, Int(rank.rounded(.down))))
        let upper = min(values.count - 1, lower + 1)
        let weight = rank - rank.rounded(.down)
        return values[lower] * (1 - weight) + values[upper] * weight
    }
}
