import LogModelEngine
import PromQLEngine
import TimeSeriesEngine

/// One range aggregation at work: it looks at every line in its windows once, in whatever order the chunks come, and
/// keeps figures only.
final class RangeLeaf {
    let aggregation: RangeAggregation
    private let grouping: Grouping?
    private let limits: LogQLLimits
    private let leading: Int
    private let hint: LogHint
    private let panes: PaneTable
    /// The first and the last nanosecond in any window.
    private let from: Int64
    private let last: Int64
    private var chunks: [LogChunk]
    private var nextChunk = 0
    private let source: any LogSource

    private var places: [Labels: Int] = [:]
    private var series: [Series] = []
    /// Figures that are held, against the limit.
    private var figures = 0

    private struct Series {
        /// When the first line came.
        var first = Int64.max
        var figures: [Int: RangeFigures] = [:]
        /// For quantiles, which figures do not tell.
        var values: [Int: [Double]] = [:]
    }

    /// - Parameters:
    ///   - grouping: what of the labels is wanted by whoever adds the series up; nil for all.
    ///   - times: of the evaluations, milliseconds since 1970.
    init(
        _ aggregation: RangeAggregation, grouping: Grouping?, _ source: any LogSource, times: [Int64],
        _ limits: LogQLLimits, _ statistics: inout LogStatistics
    ) throws(LogQLError) {
        self.aggregation = aggregation
        self.grouping = aggregation.grouping ?? grouping
        self.source = source
        self.limits = limits
        leading = aggregation.pipeline.leadingFilters
        hint = aggregation.pipeline.hint
        let ends = times.map { $0 * 1_000_000 - aggregation.offsetNanoseconds }
        panes = PaneTable(ends: ends, range: aggregation.rangeNanoseconds)
        // Windows are (T - range, T].
        from = (panes.edges.first ?? 0) + 1
        last = panes.edges.last ?? 0
        chunks = try source.chunks(aggregation.pipeline, from, last + 1, limits, &statistics)
    }

    /// - Returns: whether that was all.
    func advance(_ lines: inout Int, _ statistics: inout LogQLStatistics) throws(LogQLError) -> Bool {
        while nextChunk < chunks.count {
            guard lines > 0 else { return false }
            let block: LogBlock
            do throws(LogSourceError) {
                block = try source.read(chunks[nextChunk], &statistics.source)
            } catch {
                throw LogQLError(error)
            }
            nextChunk += 1
            lines -= block.count
            try add(block, &statistics)
        }
        return true
    }

    // MARK: Lines

    private func add(_ block: LogBlock, _ statistics: inout LogQLStatistics) throws(LogQLError) {
        let start = block.firstIndex(notBefore: from)
        let end = block.firstIndex(notBefore: last + 1)
        guard start < end else { return }
        /// Of lines whose labels are the stream's.
        var ordinary: Int?
        var near = 0
        var failure: LogQLError?
        for index in LogSieve.lines(hint, block, in: start..<end) {
            let time = block.timestamps[index]
            guard let pane = panes.pane(time, near: near) else { continue }
            near = pane
            let sample: Sample? = block.withLine(index) { line in
                aggregation.pipeline.withPassed(line, block, index, leading) { state in
                    self.sample(of: &state, &failure)
                }
            }
            if let failure { throw failure }
            guard let sample else { continue }
            statistics.linesPassed += 1
            let place: Int
            if let labels = sample.labels {
                place = try self.place(labels)
            } else if let ordinary {
                place = ordinary
            } else {
                place = try self.place(grouped(block.labels))
                ordinary = place
            }
            try put(sample.value, time, pane, place)
        }
    }

    private struct Sample {
        var value: Double
        /// Nil where they are the stream's.
        var labels: Labels?
    }

    private func sample(of state: inout LineState, _ failure: inout LogQLError?) -> Sample? {
        var value = 1.0
        if let unwrap = aggregation.unwrap {
            guard let number = unwrap.value(&state) else { return nil }
            value = number
            for filter in unwrap.filters where !filter.isPassed(&state) { return nil }
        } else if aggregation.operation == .bytesOverTime || aggregation.operation == .bytesRate {
            value = Double(state.withLine(\.count))
        }
        if !state.error.isEmpty {
            failure = Self.pipelineError(state)
            return nil
        }
        if let unwrap = aggregation.unwrap { state.set(unwrap.label, "") }
        let isOrdinary = state.own.isEmpty && state.metadata.isEmpty
        return Sample(value: value, labels: isOrdinary ? nil : grouped(state.labels))
    }

    /// In Loki's words, because they say what helps.
    private static func pipelineError(_ state: LineState) -> LogQLError {
        LogQLError(
            .execution,
            """
            pipeline error: '\(state.error)' for series: '\(state.labels)'.
            Use a label filter to intentionally skip this error. (e.g | __error__!="\(state.error)").
            To skip all potential errors you can match empty errors.(e.g __error__="")
            The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )
            """)
    }

    private func grouped(_ labels: Labels) -> Labels {
        guard let grouping else { return labels }
        return labels.filter { name in
            grouping.labels.contains { $0.utf8.count == name.count && name.elementsEqual($0.utf8) }
                != grouping.isWithout
        }
    }

    private func place(_ labels: Labels) throws(LogQLError) -> Int {
        if let place = places[labels] { return place }
        guard series.count < limits.series else {
            throw LogQLError(
                .limit,
                "maximum number of series (\(limits.series)) reached for a single query; consider reducing query "
                    + "cardinality by adding more specific stream selectors, reducing the time range, or aggregating "
                    + "results with functions like sum(), count() or topk()")
        }
        places[labels] = series.count
        series.append(Series())
        return series.count - 1
    }

    private func put(_ value: Double, _ time: Int64, _ pane: Int, _ place: Int) throws(LogQLError) {
        if time < series[place].first { series[place].first = time }
        if aggregation.operation == .quantileOverTime {
            figures += 1
            series[place].values[pane, default: []].append(value)
        } else {
            let before = series[place].figures.count
            series[place].figures[pane, default: RangeFigures()].add(value, at: time)
            figures += series[place].figures.count - before
        }
        guard figures <= limits.figures else {
            throw LogQLError(
                .limit,
                "the query would hold more than \(limits.figures) figures at a time; ask for fewer series, less time "
                    + "or a longer step")
        }
    }

    // MARK: Results

    /// Each series with its values, one an evaluation, nil where it has none; in the order of their first lines.
    func results() -> [(labels: Labels, values: [Double?])] {
        if aggregation.operation == .absentOverTime { return [absence()] }
        var results: [(labels: Labels, values: [Double?])] = []
        let order = places.sorted { (series[$0.value].first, $0.key) < (series[$1.value].first, $1.key) }
        for (labels, place) in order {
            results.append(
                (labels, aggregation.operation == .quantileOverTime ? quantiles(series[place]) : folded(series[place])))
        }
        return results
    }

    private func folded(_ series: Series) -> [Double?] {
        let present = series.figures.sorted { $0.key < $1.key }
        var next = 0
        var sliding = SlidingFigures()
        return panes.windows.map { window in
            while next < present.count, present[next].key < window.upperBound {
                sliding.push(present[next].key, present[next].value)
                next += 1
            }
            sliding.drop(before: window.lowerBound)
            return value(of: sliding.total, through: panes.edges[window.upperBound])
        }
    }

    private func value(of figures: RangeFigures, through end: Int64) -> Double? {
        guard figures.count > 0 else { return nil }
        let seconds = Double(aggregation.rangeNanoseconds) / 1e9
        switch aggregation.operation {
        case .countOverTime: return figures.count
        case .rate: return figures.sum / seconds
        case .bytesRate: return figures.sum / seconds
        case .bytesOverTime, .sumOverTime: return figures.sum
        case .avgOverTime: return figures.sum / figures.count
        case .minOverTime: return figures.minimum
        case .maxOverTime: return figures.maximum
        case .firstOverTime: return figures.first
        case .lastOverTime: return figures.last
        case .stdvarOverTime: return figures.squares / figures.count
        case .stddevOverTime: return (figures.squares / figures.count).squareRoot()
        case .rateCounter: return counterRate(figures, through: end, seconds)
        case .quantileOverTime, .absentOverTime: return nil
        }
    }

    /// As PromQL's `rate` draws the line on to the window's ends.
    private func counterRate(_ figures: RangeFigures, through end: Int64, _ seconds: Double) -> Double? {
        guard figures.count >= 2, figures.lastTime > figures.firstTime else { return nil }
        let change = figures.last - figures.first + figures.correction
        let through = end / 1_000_000
        let (start, tail, sampled) = Extrapolation.spread(
            first: figures.firstTime / 1_000_000, last: figures.lastTime / 1_000_000, count: Int(figures.count),
            from: through - aggregation.rangeNanoseconds / 1_000_000, through: through,
            counterStart: figures.first, change: change)
        guard sampled > 0 else { return nil }
        return change * ((sampled + start + tail) / sampled) / seconds
    }

    private func quantiles(_ series: Series) -> [Double?] {
        let present = series.values.keys.sorted()
        var first = 0
        var last = 0
        return panes.windows.map { window in
            while first < present.count, present[first] < window.lowerBound { first += 1 }
            last = max(last, first)
            while last < present.count, present[last] < window.upperBound { last += 1 }
            guard first < last else { return nil }
            var values = present[first..<last].flatMap { series.values[$0] ?? [] }
            return Quantile.of(&values, aggregation.quantile)
        }
    }

    /// One where no series has anything; its labels are what the selector says they would be.
    private func absence() -> (labels: Labels, values: [Double?]) {
        let present = Set(series.flatMap(\.figures.keys)).sorted()
        var next = 0
        let values = panes.windows.map { window -> Double? in
            while next < present.count, present[next] < window.lowerBound { next += 1 }
            return next < present.count && present[next] < window.upperBound ? nil : 1
        }
        let matchers = aggregation.pipeline.matchers
        let known = matchers.filter { matcher in
            matcher.kind == .equal && matchers.count { byteOrder($0.name, matcher.name) == 0 } == 1
        }
        return (Labels(known.map { ($0.name, $0.value) }), values)
    }
}

extension Unwrap {
    /// The line's number; nil for a line without the label. What is no number marks the line with an error.
    func value(_ state: inout LineState) -> Double? {
        guard let text = state.value(of: label) else { return nil }
        let number: Double?
        switch conversion {
        case .none: number = LabelFilter.Quantity.number(text)
        case .duration, .durationSeconds: number = GoDuration.parse(text).map { Double($0) / 1e9 }
        case .bytes: number = ByteSize.parse(text)
        }
        if let number { return number }
        state.fail("SampleExtractionErr", "\(quotedByGo(text)) of label \(label) is no number")
        return 0
    }
}
