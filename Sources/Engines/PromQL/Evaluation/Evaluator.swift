import TimeSeriesEngine

/// Walks over an expression and gives its value at all steps of a grid.
///
/// One evaluator serves one query. Parts that do not depend on the step (`@`) are evaluated once.
final class Evaluator {
    let queryable: any Queryable
    /// Of the whole query: what `@ start()` and `@ end()` mean within subqueries, too.
    let query: TimeGrid
    let limits: QueryLimits
    var warnings: [String] = []
    var statistics = QueryStatistics()
    /// Used again for every series that is read.
    var column = SampleColumn()
    private var sinceCheck = 0

    init(_ queryable: any Queryable, _ query: TimeGrid, _ limits: QueryLimits) {
        self.queryable = queryable
        self.query = query
        self.limits = limits
    }

    enum Value {
        /// One number a step.
        case scalar([Double])
        case string(String)
        case vector(StepMatrix)
    }

    // MARK: Limits

    /// Bounded, so that no time less it leaves 64 bits.
    var lookback: Int64 { min(max(0, limits.lookbackMilliseconds), 1 << 50) }

    /// Counts places of a result before they are made.
    func charge(rows: Int, steps: Int) throws(PromQLError) {
        let (cells, isTooMany) = rows.multipliedReportingOverflow(by: steps)
        guard !isTooMany, cells <= limits.samples - statistics.cells - statistics.samplesRead else {
            throw PromQLError.tooManySamples
        }
        statistics.cells += cells
    }

    /// Counts samples that were read.
    func chargeRead() throws(PromQLError) {
        statistics.samplesRead += column.count
        statistics.chunksRead += column.chunksRead
        statistics.bytesRead += column.bytesRead
        statistics.tierMilliseconds.formUnion(column.tierMilliseconds)
        if statistics.samplesRead > limits.samples - statistics.cells { throw PromQLError.tooManySamples }
        try checkTime(column.count)
    }

    /// Looks at the deadline after every so many pieces of work.
    func checkTime(_ work: Int) throws(PromQLError) {
        sinceCheck += 1 + work
        if sinceCheck < 20_000 { return }
        defer { sinceCheck = 0 }
        if limits.isExpired?(sinceCheck) == true { throw PromQLError.timedOut }
    }

    // MARK: Expressions

    func evaluate(_ expression: Expression, _ grid: TimeGrid) throws(PromQLError) -> Value {
        try checkTime(grid.count)
        // For what the expression itself makes of numbers; rows are counted where they are made.
        try charge(rows: 1, steps: grid.count)
        if grid.count > 1, isInvariant(expression) {
            let once = TimeGrid(start: grid.start, step: 0, count: 1)
            switch try evaluateVarying(expression, once) {
            case .scalar(let values):
                return .scalar(Array(repeating: values.first ?? .nan, count: grid.count))
            case .string(let text): return .string(text)
            case .vector(let matrix):
                try charge(rows: matrix.rows, steps: grid.count)
                return .vector(matrix.broadcast(to: grid.count))
            }
        }
        return try evaluateVarying(expression, grid)
    }

    private func evaluateVarying(_ expression: Expression, _ grid: TimeGrid) throws(PromQLError) -> Value {
        switch expression.node {
        case .number(let value): return .scalar(Array(repeating: value, count: grid.count))
        case .string(let text): return .string(text)
        case .parentheses(let inner): return try evaluate(inner, grid)
        case .selector(let selector): return .vector(try samples(of: selector, grid, asTimestamps: false))
        case .range, .subquery: throw PromQLError.execution("a range vector has no value of its own here")
        case .unary(let isNegative, let operand):
            let value = try evaluate(operand, grid)
            return isNegative ? try negated(value) : value
        case .binary(let binary): return try evaluate(binary, grid)
        case .aggregation(let aggregation): return .vector(try evaluate(aggregation, grid))
        case .call(let call): return try evaluate(call, grid)
        }
    }

    func vector(_ expression: Expression, _ grid: TimeGrid) throws(PromQLError) -> StepMatrix {
        guard case .vector(let matrix) = try evaluate(expression, grid) else {
            throw PromQLError.execution("expected an instant vector")
        }
        return matrix
    }

    func scalar(_ expression: Expression, _ grid: TimeGrid) throws(PromQLError) -> [Double] {
        guard case .scalar(let values) = try evaluate(expression, grid) else {
            throw PromQLError.execution("expected a scalar")
        }
        return values
    }

    func string(_ expression: Expression) throws(PromQLError) -> String {
        guard case .string(let text) = expression.unwrapped.node else {
            throw PromQLError.execution("expected a string")
        }
        return text
    }

    private func negated(_ value: Value) throws(PromQLError) -> Value {
        switch value {
        case .scalar(let values): return .scalar(values.map { -$0 })
        case .string: return value
        case .vector(var matrix):
            for row in 0..<matrix.rows { matrix.labels[row] = matrix.labels[row].withoutMetricName }
            if matrix.hasSameLabels { throw PromQLError.sameLabels }
            for place in matrix.values.indices where StepMatrix.isPresent(matrix.values[place]) {
                matrix.values[place] = -matrix.values[place]
                if let histogram = matrix.histogram(place) { matrix.histograms[place] = histogram.scaled(by: -1) }
            }
            return .vector(matrix)
        }
    }

    /// Whether the value is the same at all steps and worth being found once: everything in it has an `@`.
    private func isInvariant(_ expression: Expression) -> Bool {
        switch expression.node {
        case .number, .string: false
        default: hasNoTime(expression)
        }
    }

    private func hasNoTime(_ expression: Expression) -> Bool {
        switch expression.node {
        case .number, .string: return true
        case .selector(let selector), .range(let selector, _): return selector.shift.anchor != nil
        case .subquery(let subquery): return subquery.shift.anchor != nil
        case .call(let call) where call.function.dependsOnTime: return false
        default:
            for child in expression.children where !hasNoTime(child) { return false }
            return true
        }
    }

    // MARK: Whole queries

    func instantValue(of root: Expression, at time: Int64) throws(PromQLError) -> QueryValue {
        if root.kind == .matrix { return .matrix(try matrixSeries(of: root.unwrapped, at: time)) }
        switch try evaluate(root, query) {
        case .scalar(let values): return .scalar(time, values.first ?? .nan)
        case .string(let text): return .string(time, text)
        case .vector(let matrix):
            var elements: [VectorElement] = []
            elements.reserveCapacity(matrix.rows)
            for row in 0..<matrix.rows where StepMatrix.isPresent(matrix.values[row]) {
                elements.append(
                    VectorElement(
                        labels: matrix.labels[row], timestamp: time, value: matrix.values[row],
                        histogram: matrix.histogram(row)))
            }
            return .vector(elements)
        }
    }

    func rangeValue(of root: Expression) throws(PromQLError) -> QueryValue {
        var matrix: StepMatrix
        switch try evaluate(root, query) {
        case .scalar(let values):
            matrix = StepMatrix(steps: query.count)
            matrix.labels = [Labels()]
            matrix.values = values
        case .string: throw PromQLError.execution("a string has no values in time")
        case .vector(let result): matrix = result
        }
        var series: [MatrixSeries] = []
        for row in matrix.labels.indices.sorted(by: { matrix.labels[$0] < matrix.labels[$1] }) {
            try checkTime(matrix.steps)
            var samples: [MatrixSeries.Sample] = []
            for step in 0..<matrix.steps {
                let place = row * matrix.steps + step
                guard StepMatrix.isPresent(matrix.values[place]) else { continue }
                samples.append(
                    MatrixSeries.Sample(
                        timestamp: query.time(step), value: matrix.values[place], histogram: matrix.histogram(place)))
            }
            if !samples.isEmpty { series.append(MatrixSeries(labels: matrix.labels[row], samples: samples)) }
        }
        return .matrix(series)
    }
}
