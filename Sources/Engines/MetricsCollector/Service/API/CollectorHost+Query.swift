import KernelHosting
import KernelJSON
import KernelStructures
import MetricsCollectorEngine
import PromQLEngine
import TimeSeriesEngine

// Queries: expressions evaluated at one time, or at many.
extension CollectorHost {
    var limits: QueryLimits {
        var limits = QueryLimits()
        limits.subqueryStepMilliseconds = max(1, configuration.evaluationInterval.nanoseconds / 1_000_000)
        return limits
    }

    /// The expression of the parameter `query`.
    func expression(_ request: APIRequest) throws(APIError) -> PromQLExpression {
        let text = try request.required("query")
        do throws(PromQLError) {
            return try PromQLExpression(parsing: text)
        } catch {
            throw .badData("invalid parameter \"query\": \(error)")
        }
    }

    func selectors(of query: String) throws(APIError) -> [[LabelMatcher]] {
        do throws(PromQLError) { return try PromQLExpression(parsing: query).selectors } catch {
            throw .badData("invalid parameter \"query\": \(error)")
        }
    }

    func query(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let expression = try expression(request)
        let time = try request.moment("time") ?? request.now
        let page = QueryPage(wantsStatistics: request.wantsStatistics, asksFrom: time, asksThrough: time, request.now)
        try answer(exchange, request) { [store] limits, giveWay throws(PromQLError) in
            page.bytes(of: try expression.evaluate(over: store, at: time, limits: limits), giveWay)
        }
    }

    func queryRange(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        guard let start = try request.moment("start") else {
            throw APIError.badData("invalid parameter \"start\": it is missing")
        }
        guard let end = try request.moment("end") else {
            throw APIError.badData("invalid parameter \"end\": it is missing")
        }
        if end < start {
            throw APIError.badData("invalid parameter \"end\": end timestamp must not be before start time")
        }
        guard let step = try request.duration("step") else {
            throw APIError.badData("invalid parameter \"step\": it is missing")
        }
        if step <= 0 {
            throw APIError.badData(
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a "
                    + "positive integer")
        }
        let expression = try expression(request)
        let page = QueryPage(wantsStatistics: request.wantsStatistics, asksFrom: start, asksThrough: end, request.now)
        try answer(exchange, request) { [store] limits, giveWay throws(PromQLError) in
            let result = try expression.evaluateRange(
                over: store, from: start, through: end, stepMilliseconds: step, limits: limits)
            return page.bytes(of: result, giveWay)
        }
    }

    func formatQuery(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        Self.answer(exchange, APIWriter.success(.string(try expression(request).formatted)))
    }

    /// Carries out a query and answers: at once if that takes a millisecond or so, otherwise in slices.
    func answer(
        _ exchange: HTTPExchange, _ request: APIRequest, type: String = "application/json",
        _ work: @escaping LongQueries.Work
    ) throws {
        var timeout = LongQueries.longestTime
        if let wanted = try request.duration("timeout"), wanted > 0 {
            timeout = min(timeout, .milliseconds(Int(clamping: min(wanted, 1_000_000_000))))
        }
        do throws(PromQLError) {
            return exchange.answer(bytes: try work(ShortTrial().limits(limits)) { true }, type: type)
        } catch {
            if error.kind != .timeout { throw APIError(error) }
        }
        try longQueries.add(exchange, timeout: timeout, limits: limits, type: type, work)
    }
}

/// What becomes of a query's result.
private struct QueryPage {
    let wantsStatistics: Bool
    /// Said where nothing was found: nil where the question is about a time that the collector knows.
    private let reason: String?

    /// Two clocks that say different days are no matter of drift.
    private static let farMilliseconds: Int64 = 86_400_000

    init(wantsStatistics: Bool, asksFrom start: Int64, asksThrough end: Int64, _ now: Int64) {
        self.wantsStatistics = wantsStatistics
        let isAhead = start.subtractingReportingOverflow(now).partialValue > Self.farMilliseconds
        let time = LabTime(nanoseconds: now.multipliedReportingOverflow(by: 1_000_000).partialValue)
        reason =
            !isAhead
            ? nil
            : "nothing was found, and the question is about a time to come: the collector's clock says \(time) (a lab "
                + "whose calendar says today: sdlab --epoch now)"
    }

    /// - Parameter giveWay: asked between rows; false ends it with a part that nobody will see.
    func bytes(of result: QueryResult, _ giveWay: () -> Bool) -> [UInt8] {
        APIWriter.success(
            { writer in
                writer.append(result.value, giveWay: giveWay)
                if wantsStatistics { writer.append(result.statistics) }
                writer.append("}")
            }, warnings: result.warnings + (result.value.isEmpty ? reason.map { [$0] } ?? [] : []))
    }
}

extension QueryValue {
    fileprivate var isEmpty: Bool {
        switch self {
        case .vector(let elements): elements.isEmpty
        case .matrix(let series): series.isEmpty
        case .scalar, .string: false
        }
    }
}

extension APIRequest {
    fileprivate var wantsStatistics: Bool { self["stats"]?.isEmpty == false }
}

extension APIError {
    init(_ error: PromQLError) {
        switch error.kind {
        case .badData: self = .badData("\(error)")
        case .execution: self = .execution("\(error)")
        case .timeout: self = .timeout("\(error)")
        case .canceled: self = .canceled("\(error)")
        }
    }
}

extension APIWriter {
    /// `{"resultType":…,"result":…`, without the brace at the end. Rows stand on lines of their own, for those who read
    /// them in a terminal.
    mutating func append(_ value: QueryValue, giveWay: () -> Bool) {
        switch value {
        case .scalar(let time, let number):
            append("{\"resultType\":\"scalar\",\"result\":")
            appendPoint(time, number)
        case .string(let time, let text):
            append("{\"resultType\":\"string\",\"result\":[")
            append(time: time)
            append(",")
            append(text: text)
            append("]")
        case .vector(let elements):
            append("{\"resultType\":\"vector\",\"result\":[")
            for (index, element) in elements.enumerated() {
                append(element, isFirst: index == 0)
                if index % 1024 == 1023, !giveWay() { return }
            }
            append(elements.isEmpty ? "]" : "\n]")
        case .matrix(let series):
            append("{\"resultType\":\"matrix\",\"result\":[")
            var written = 0
            for (index, one) in series.enumerated() {
                append(one, isFirst: index == 0)
                written += one.samples.count + 1
                if written > 4096 {
                    if !giveWay() { return }
                    written = 0
                }
            }
            append(series.isEmpty ? "]" : "\n]")
        }
    }

    private mutating func append(_ element: VectorElement, isFirst: Bool) {
        append(isFirst ? "\n{\"metric\":" : ",\n{\"metric\":")
        append(element.labels)
        if let histogram = element.histogram {
            append(",\"histogram\":")
            appendPoint(element.timestamp, histogram)
        } else {
            append(",\"value\":")
            appendPoint(element.timestamp, element.value)
        }
        append("}")
    }

    private mutating func append(_ series: MatrixSeries, isFirst: Bool) {
        append(isFirst ? "\n{\"metric\":" : ",\n{\"metric\":")
        append(series.labels)
        var isBegun = false
        for sample in series.samples where sample.histogram == nil {
            append(isBegun ? "," : ",\"values\":[")
            isBegun = true
            appendPoint(sample.timestamp, sample.value)
        }
        if isBegun { append("]") }
        isBegun = false
        for sample in series.samples {
            guard let histogram = sample.histogram else { continue }
            append(isBegun ? "," : ",\"histograms\":[")
            isBegun = true
            appendPoint(sample.timestamp, histogram)
        }
        append(isBegun ? "]}" : "}")
    }

    private mutating func appendPoint(_ time: Int64, _ histogram: NativeHistogram) {
        append("[")
        append(time: time)
        append(",{\"count\":\"\(sampleText(histogram.count))\",\"sum\":\"\(sampleText(histogram.sum))\"")
        var isBegun = false
        for bucket in histogram.rawBuckets where bucket.count != 0 {
            append(isBegun ? "," : ",\"buckets\":[")
            isBegun = true
            // Which ends belong to it: 0 the upper, 1 the lower, 3 both.
            let ends = bucket.lower < 0 && bucket.upper > 0 ? 3 : bucket.upper <= 0 ? 1 : 0
            append("[\(ends),\"\(sampleText(bucket.lower))\",\"\(sampleText(bucket.upper))\",")
            append("\"\(sampleText(bucket.count))\"]")
        }
        append(isBegun ? "]}]" : "}]")
    }

    /// What a query has cost, as `stats=all` asks for it.
    mutating func append(_ statistics: QueryStatistics) {
        append(",\"stats\":{\"timings\":{},\"samples\":{\"totalQueryableSamples\":\(statistics.samplesRead),")
        append("\"peakSamples\":\(statistics.cells)},\"storage\":{\"series\":\(statistics.seriesSelected),")
        append("\"chunks\":\(statistics.chunksRead),\"bytes\":\(statistics.bytesRead)")
        if !statistics.tierMilliseconds.isEmpty {
            let names = statistics.tierMilliseconds.sorted().map { "\"\(PrometheusDuration.text($0))\"" }
            append(",\"tiers\":[\(names.joined(separator: ","))]")
        }
        append("}}")
    }
}
