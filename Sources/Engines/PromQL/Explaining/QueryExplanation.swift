import TimeSeriesEngine

/// How a query came to its result: every part with what it gave, and for ranges the samples that were in the window,
/// the resets that were seen, and how far the line was drawn on.
///
/// `rate` is the function that people believe least ("why 1.07 a second, when the counter went up by 60 in a minute?").
/// The answer lies in a few numbers, and here they are.
public struct QueryExplanation: Sendable {
    /// A part of the query.
    public struct Part: Sendable {
        /// As PromQL.
        public let text: String
        public let kind: PromQLExpression.Kind
        /// Its result: the first few elements of a vector, or the one number.
        public internal(set) var elements: [VectorElement] = []
        public internal(set) var elementCount = 0
        public internal(set) var string: String?
        /// Of range functions and selectors, the first few series.
        public internal(set) var windows: [Window] = []
        public internal(set) var windowCount = 0
        public internal(set) var parts: [Part] = []
    }

    /// What was looked at of one series.
    public struct Window: Sendable {
        public let labels: Labels
        /// Milliseconds since 1970, both included.
        public let from: Int64
        public let through: Int64
        public let sampleCount: Int
        /// The first and the last few.
        public let samples: [MatrixSeries.Sample]
        public internal(set) var resets: [Reset] = []
        public internal(set) var extrapolation: Extrapolation?
        /// Nil where the function gives nothing for the series.
        public internal(set) var result: Double?
    }

    /// A counter that began anew.
    public struct Reset: Equatable, Sendable {
        public let timestamp: Int64
        public let before: Double
        public let after: Double
    }

    public let root: Part
    /// When, in milliseconds since 1970.
    public let time: Int64
    /// What the query itself has read, without its explanation.
    public let statistics: QueryStatistics
    public let warnings: [String]

    static let elementLimit = 10
    static let windowLimit = 10
    static let sampleLimit = 12
    static let resetLimit = 20
}

extension PromQLExpression {
    /// The value at one moment, and how it came about.
    ///
    /// - Throws: `PromQLError`, as `evaluate`.
    public func explained(
        over queryable: any Queryable, at time: Int64, limits: QueryLimits = QueryLimits()
    ) throws(PromQLError) -> QueryExplanation {
        let result = try evaluate(over: queryable, at: time, limits: limits)
        let grid = TimeGrid(start: TimeGrid.clamped(time), step: 0, count: 1)
        let explainer = Explainer(evaluator: Evaluator(queryable, grid, limits), grid: grid)
        return QueryExplanation(
            root: try explainer.part(root), time: time, statistics: result.statistics, warnings: result.warnings)
    }
}

/// Evaluates every part of a query by itself.
private struct Explainer {
    let evaluator: Evaluator
    let grid: TimeGrid

    func part(_ expression: Expression) throws(PromQLError) -> QueryExplanation.Part {
        var part = QueryExplanation.Part(text: expression.text, kind: expression.kind)
        for child in expression.children {
            // What is in a subquery is evaluated at many moments, not at this one.
            if case .subquery = expression.node { break }
            part.parts.append(try self.part(child))
        }
        switch expression.node {
        case .range, .subquery: return part
        case .selector(let selector): try explain(selector, &part)
        case .call(let call):
            if case .range(let function) = call.function.body { try explain(function, call, &part) }
        default: break
        }
        try setResult(&part, expression)
        return part
    }

    private func setResult(_ part: inout QueryExplanation.Part, _ expression: Expression) throws(PromQLError) {
        switch try evaluator.instantValue(of: expression, at: grid.start) {
        case .scalar(let time, let value):
            part.elements = [VectorElement(labels: Labels(), timestamp: time, value: value)]
            part.elementCount = 1
        case .string(_, let text): part.string = text
        case .vector(let elements):
            part.elements = Array(elements.prefix(QueryExplanation.elementLimit))
            part.elementCount = elements.count
        case .matrix: break
        }
    }

    /// The sample that each series gave, if any.
    private func explain(_ selector: VectorSelector, _ part: inout QueryExplanation.Part) throws(PromQLError) {
        let lookback = evaluator.lookback
        let range = Expression(node: .range(selector, milliseconds: lookback), range: 0..<0)
        let through = evaluator.reference(selector.shift, grid.start)
        var windows: [QueryExplanation.Window] = []
        var count = 0
        try evaluator.forEachSeries(of: range, grid, function: "") { labels, _ in
            count += 1
            if windows.count < QueryExplanation.windowLimit {
                windows.append(window(labels, 0..<evaluator.column.count, through - lookback, through))
            }
        }
        part.windows = windows
        part.windowCount = count
    }

    private func explain(
        _ function: RangeFunction, _ call: Call, _ part: inout QueryExplanation.Part
    ) throws(PromQLError) {
        var numbers: [Double] = []
        for (index, argument) in call.arguments.enumerated() where index != function.rangeArgument {
            numbers.append(try evaluator.scalar(argument, grid).first ?? .nan)
        }
        guard let argument = call.arguments[safe: function.rangeArgument] else { return }
        var windows: [QueryExplanation.Window] = []
        var count = 0
        try evaluator.forEachSeries(of: argument, grid, function: call.function.name) { labels, source in
            let through = evaluator.reference(source.shift, grid.start)
            let from = through - source.rangeMilliseconds
            var cursor = WindowCursor()
            cursor.move(evaluator.column.timestamps, from: from, through: through)
            guard cursor.first < cursor.last else { return }
            count += 1
            guard windows.count < QueryExplanation.windowLimit else { return }
            var window = window(labels, cursor.first..<cursor.last, from, through)
            if evaluator.column.histograms.isEmpty {
                fill(&window, function, cursor.first..<cursor.last, source.rangeMilliseconds, numbers)
            }
            windows.append(window)
        }
        part.windows = windows
        part.windowCount = count
    }

    private func window(
        _ labels: Labels, _ range: Range<Int>, _ from: Int64, _ through: Int64
    ) -> QueryExplanation.Window {
        let column = evaluator.column
        let half = QueryExplanation.sampleLimit / 2
        let shown = range.count <= 2 * half ? Array(range) : Array(range.prefix(half)) + Array(range.suffix(half))
        let samples = shown.map { index in
            MatrixSeries.Sample(
                timestamp: column.timestamps[index], value: column.values[index],
                histogram: column.histograms.isEmpty ? nil : column.histograms[index])
        }
        return QueryExplanation.Window(
            labels: labels, from: from, through: through, sampleCount: range.count, samples: samples)
    }

    private func fill(
        _ window: inout QueryExplanation.Window, _ function: RangeFunction, _ range: Range<Int>,
        _ rangeMilliseconds: Int64, _ numbers: [Double]
    ) {
        let column = evaluator.column
        var resets: [QueryExplanation.Reset] = []
        let isCounter = function == .rate || function == .increase || function == .irate || function == .resets
        for index in range.dropFirst() where isCounter && column.values[index] < column.values[index - 1] {
            if resets.count == QueryExplanation.resetLimit { break }
            resets.append(
                QueryExplanation.Reset(
                    timestamp: column.timestamps[index], before: column.values[index - 1], after: column.values[index]))
        }
        var list = ResetList()
        var extrapolation: Extrapolation?
        var result: Double?
        column.timestamps.withUnsafeBufferPointer { timestamps in
            column.values.withUnsafeBufferPointer { values in
                list.find(in: values)
                let samples = RangeWindow(
                    timestamps: UnsafeBufferPointer(rebasing: timestamps[range]),
                    values: UnsafeBufferPointer(rebasing: values[range]), first: range.lowerBound, from: window.from,
                    through: window.through, time: grid.start, rangeMilliseconds: rangeMilliseconds)
                if function == .rate || function == .increase || function == .delta {
                    extrapolation = samples.extrapolated(function, &list)
                }
                result = samples.evaluate(
                    function, numbers.first ?? 0, numbers.count > 1 ? numbers[1] : 0, &list)
            }
        }
        window.resets = resets
        window.extrapolation = extrapolation
        window.result = result
    }
}
