import LogModelEngine
import PromQLEngine
import TimeSeriesEngine

/// A metric query: range aggregations over lines, and what PromQL makes of them.
///
/// What stands above the range aggregations is the same language as Prometheus's: sums by label, comparisons, series
/// that find one another by `on` and `group_left`. So each aggregation becomes a series of its own (a *leaf*, which a
/// selector names that nobody else can write), and the rest of the text goes to `PromQLExpression`.
final class MetricPlan {
    private var leaves: [RangeLeaf] = []
    private var next = 0
    private let expression: PromQLExpression
    /// Milliseconds since 1970.
    private let times: [Int64]
    private let isInstant: Bool
    private let stepMilliseconds: Int64

    init(
        _ metric: MetricExpression, _ source: any LogSource, _ request: LogQLRequest, _ limits: LogQLLimits,
        _ statistics: inout LogStatistics
    ) throws(LogQLError) {
        isInstant = request.stepNanoseconds == 0
        stepMilliseconds = max(1, request.stepNanoseconds / 1_000_000)
        times = try Self.times(request, limits)
        var builder = PromQLText()
        let text = builder.text(of: metric, grouping: nil)
        do throws(PromQLError) {
            expression = try PromQLExpression(parsing: text)
        } catch {
            throw LogQLError.invalid(error.message)
        }
        for (aggregation, grouping) in builder.leaves {
            leaves.append(
                try RangeLeaf(aggregation, grouping: grouping, source, times: times, limits, &statistics))
        }
    }

    private static func times(_ request: LogQLRequest, _ limits: LogQLLimits) throws(LogQLError) -> [Int64] {
        let end = request.through / 1_000_000
        guard request.stepNanoseconds != 0 else { return [end] }
        let start = request.from / 1_000_000
        let step = request.stepNanoseconds / 1_000_000
        guard step > 0 else {
            throw LogQLError(
                .badRequest,
                "zero or negative query resolution step widths are not accepted. Try a positive integer")
        }
        guard start <= end else {
            throw LogQLError(.badRequest, "end timestamp must not be before or equal to start time")
        }
        guard (end - start) / step < Int64(max(1, limits.steps)) else {
            throw LogQLError(
                .badRequest,
                "exceeded maximum resolution of \(limits.steps) points per time series. Try increasing the value of "
                    + "the step parameter")
        }
        return Array(stride(from: start, through: end, by: Int(step)))
    }

    /// - Returns: whether that was all.
    func advance(_ lines: Int, _ statistics: inout LogQLStatistics) throws(LogQLError) -> Bool {
        var left = lines
        while next < leaves.count {
            guard left > 0, try leaves[next].advance(&left, &statistics) else { return false }
            next += 1
        }
        return true
    }

    func value() throws(LogQLError) -> QueryValue {
        let queryable = LeafSeries(leaves.map { $0.results() }, times: times)
        var limits = QueryLimits()
        // A value counts at its own moment only.
        limits.lookbackMilliseconds = 0
        limits.steps = times.count
        do throws(PromQLError) {
            if isInstant { return try expression.evaluate(over: queryable, at: times[0], limits: limits).value }
            return try expression.evaluateRange(
                over: queryable, from: times[0], through: times[times.count - 1],
                stepMilliseconds: stepMilliseconds, limits: limits
            ).value
        } catch {
            throw LogQLError(error)
        }
    }
}

/// Writes a metric query as PromQL, with selectors in the places of range aggregations.
private struct PromQLText {
    private(set) var leaves: [(RangeAggregation, Grouping?)] = []

    static let leafLabel = "__leaf__"

    /// - Parameter grouping: which labels a sum directly around it leaves.
    mutating func text(of metric: MetricExpression, grouping: Grouping?) -> String {
        switch metric.node {
        case .number(let value): return value < 0 ? "(\(MetricExpression.text(value)))" : MetricExpression.text(value)
        case .vector(let value): return "vector(\(MetricExpression.text(value)))"
        case .range(let range):
            leaves.append((range, range.operation.addsUp ? grouping : nil))
            return "{\(Self.leafLabel)=\"\(leaves.count - 1)\"}"
        case .aggregation(let name, let parameter, let own, let operand):
            // Whoever only adds up needs no series for each of a million request ids.
            let wanted = name == "sum" ? own ?? Grouping(labels: [], isWithout: false) : nil
            let inner = text(of: operand, grouping: wanted)
            let name = name == MetricExpression.approximateTop ? "topk" : name
            return name + (own.map { " \($0.text) " } ?? "") + "(" + (parameter.map { "\($0), " } ?? "") + inner + ")"
        case .binary(let name, let returnsBool, let matching, let left, let right):
            let leftText = text(of: left, grouping: nil)
            let rightText = text(of: right, grouping: nil)
            return "(\(leftText)) \(name)" + (returnsBool ? " bool" : "") + (matching.map { " \($0.text)" } ?? "")
                + " (\(rightText))"
        case .labelReplace(let operand, let texts):
            let inner = text(of: operand, grouping: nil)
            return "label_replace(\(inner), \(texts.map(quotedByGo).joined(separator: ", ")))"
        case .parentheses(let inner): return "(\(text(of: inner, grouping: grouping)))"
        }
    }
}

extension RangeAggregation.Operation {
    /// Whether the sum over series is the value of all their lines together.
    fileprivate var addsUp: Bool {
        switch self {
        case .rate, .countOverTime, .bytesRate, .bytesOverTime, .sumOverTime: true
        default: false
        }
    }
}

/// What range aggregations have given, as PromQL reads series.
private struct LeafSeries: Queryable {
    private let leaves: [[(labels: Labels, values: [Double?])]]
    private let times: [Int64]

    init(_ leaves: [[(labels: Labels, values: [Double?])]], times: [Int64]) {
        self.leaves = leaves
        self.times = times
    }

    func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries] {
        guard let leaf = matchers.first(where: { $0.name == PromQLText.leafLabel }).flatMap({ Int($0.value) }),
            leaves.indices.contains(leaf)
        else { return [] }
        return leaves[leaf].map { SelectedSeries(labels: $0.labels, source: Column(times: times, values: $0.values)) }
    }

    private struct Column: SampleSource {
        let times: [Int64]
        let values: [Double?]

        func read(into column: inout SampleColumn) throws(QueryableError) {
            for (time, value) in zip(times, values) {
                if let value { column.append(time, value) }
            }
        }
    }
}
