import TimeSeriesEngine

/// What a query may cost, and what it is to assume.
public struct QueryLimits: Sendable {
    /// Samples that it may read and hold in its intermediate results, all together.
    public var samples = 50_000_000
    /// Series that one selector may find.
    public var series = 1_000_000
    /// Points of a drawing.
    public var steps = 11_000
    /// For how long a sample counts that no other one follows.
    public var lookbackMilliseconds: Int64 = 300_000
    /// Of subqueries that name no step.
    public var subqueryStepMilliseconds: Int64 = 60_000
    /// Asked after every 20,000 pieces of work or so (samples, places of a result), with how many there were since it
    /// was asked last; true ends the query with an error of the kind `timeout`. Whoever has to serve others meanwhile
    /// may do so before it answers.
    public var isExpired: (@Sendable (_ work: Int) -> Bool)?

    public init() {}
}

/// The answer to a query.
public enum QueryValue: Equatable, Sendable {
    /// At a moment in milliseconds since 1970.
    case scalar(Int64, Double)
    case string(Int64, String)
    /// In the order in which the query gives them.
    case vector([VectorElement])
    /// In the order of their labels.
    case matrix([MatrixSeries])
}

/// One series at one moment.
public struct VectorElement: Equatable, Sendable {
    public var labels: Labels
    /// Milliseconds since 1970.
    public var timestamp: Int64
    public var value: Double
    /// Instead of the value.
    public var histogram: NativeHistogram?

    public init(labels: Labels, timestamp: Int64, value: Double, histogram: NativeHistogram? = nil) {
        self.labels = labels
        self.timestamp = timestamp
        self.value = value
        self.histogram = histogram
    }
}

/// One series with its samples, in rising order of their times.
public struct MatrixSeries: Equatable, Sendable {
    public struct Sample: Equatable, Sendable {
        /// Milliseconds since 1970.
        public var timestamp: Int64
        public var value: Double
        /// Instead of the value.
        public var histogram: NativeHistogram?
    }

    public var labels: Labels
    public var samples: [Sample]
}

/// What a query has cost.
public struct QueryStatistics: Equatable, Sendable {
    public var seriesSelected = 0
    /// Decoded from the store, markers of staleness included.
    public var samplesRead = 0
    public var chunksRead = 0
    public var bytesRead = 0
    /// The widths of the windows of thinned copies that have answered, in milliseconds.
    public var tierMilliseconds: Set<Int64> = []
    /// Places of intermediate results.
    public var cells = 0

    public init() {}
}

public struct QueryResult: Equatable, Sendable {
    public var value: QueryValue
    /// What Prometheus would show beside the result.
    public var warnings: [String] = []
    public var statistics: QueryStatistics
}

extension PromQLExpression {
    /// The value at one moment, in milliseconds since 1970.
    ///
    /// - Throws: `PromQLError`: `execution` where the series do not fit the query or a limit is exceeded; `timeout`.
    public func evaluate(
        over queryable: any Queryable, at time: Int64, limits: QueryLimits = QueryLimits()
    ) throws(PromQLError) -> QueryResult {
        let time = TimeGrid.clamped(time)
        let evaluator = Evaluator(queryable, TimeGrid(start: time, step: 0, count: 1), limits)
        let value = try evaluator.instantValue(of: root, at: time)
        return QueryResult(value: value, warnings: evaluator.warnings, statistics: evaluator.statistics)
    }

    /// The values at `from`, `from + stepMilliseconds`, … up to `through`.
    ///
    /// - Throws: `PromQLError`: `badData` for an expression that gives no number or vector, a step of no length, and
    ///   too many steps; otherwise as `evaluate`.
    public func evaluateRange(
        over queryable: any Queryable, from: Int64, through: Int64, stepMilliseconds: Int64,
        limits: QueryLimits = QueryLimits()
    ) throws(PromQLError) -> QueryResult {
        guard kind == .scalar || kind == .vector else {
            throw PromQLError(
                .badData,
                "invalid expression type \(quotedByGo(kind.documented)) for range query, must be Scalar or instant "
                    + "Vector"
            )
        }
        guard stepMilliseconds > 0 else {
            throw PromQLError(
                .badData,
                "zero or negative query resolution step widths are not accepted. Try a positive integer")
        }
        let from = TimeGrid.clamped(from)
        let through = TimeGrid.clamped(through)
        guard from <= through else { throw PromQLError(.badData, "end timestamp must not be before start time") }
        let steps = (through - from) / stepMilliseconds
        guard steps < Int64(max(1, limits.steps)) else {
            throw PromQLError(
                .badData,
                "exceeded maximum resolution of \(limits.steps) points per timeseries. Try decreasing the query "
                    + "resolution (?step=XX)")
        }
        let grid = TimeGrid(start: from, step: stepMilliseconds, count: Int(steps) + 1)
        let evaluator = Evaluator(queryable, grid, limits)
        let value = try evaluator.rangeValue(of: root)
        return QueryResult(value: value, warnings: evaluator.warnings, statistics: evaluator.statistics)
    }
}
