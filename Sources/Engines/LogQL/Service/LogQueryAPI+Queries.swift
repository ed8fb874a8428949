import KernelHosting
import KernelJSON
import KernelStructures
import LogModelEngine
import LogQLEngine
import TimeSeriesEngine

// Queries for lines and numbers.
extension LogQueryAPI {
    func query(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let expression = try request.expression()
        guard expression.isMetric else {
            throw LokiProblem(
                400,
                "log queries are not supported as an instant query type, please change your query to a range query type"
            )
        }
        let time = try request.moment("time") ?? request.endOfNow
        try run(expression, LogQLRequest(from: time, through: time), exchange)
    }

    func queryRange(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        try run(try request.expression(), try request.range(), exchange)
    }

    private func run(_ expression: LogQLExpression, _ asked: LogQLRequest, _ exchange: HTTPExchange) throws {
        let began = node.wallClock
        let source = try source()
        let run = try LogQLRun(expression, over: source, asked, limits: limits)
        try inSlices(exchange, { try run.advance(lines: Self.linesOfSlice) }) { [node] result in
            let seconds = (node.wallClock - began).seconds
            let warnings = source.warnings(from: asked.from - expression.reachNanoseconds, through: asked.through)
            let bytes = LokiAnswer.bytes(
                of: result, seconds: seconds, isCategorized: asked.isCategorized, warnings: warnings)
            exchange.answer(bytes: bytes, type: "application/json")
        }
    }

    func formatQuery(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        Self.succeed(exchange, .string(try request.expression().formatted))
    }

    func patterns(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let expression = try request.expression()
        var asked = try request.range()
        asked.stepNanoseconds = try request.duration("step") ?? 10_000_000_000
        let run = try LogPatternRun(expression, over: try source(), asked, limits: limits)
        try inSlices(exchange, { try run.advance(lines: Self.linesOfSlice) }) { found in
            Self.succeed(
                exchange,
                .array(
                    found.patterns.prefix(500).map { pattern in
                        let samples: [JSONValue] = pattern.samples.map {
                            [.integer(Int($0.time / 1_000_000_000)), .integer($0.count)]
                        }
                        return [
                            "pattern": .string(pattern.text), "count": .integer(pattern.count),
                            "samples": .array(samples),
                        ]
                    }))
        }
    }

    static func succeed(_ exchange: HTTPExchange, _ data: JSONValue, warnings: [String] = []) {
        var members: [(key: String, value: JSONValue)] = [("status", "success")]
        if !warnings.isEmpty { members.append(("warnings", .array(warnings.map { .string($0) }))) }
        exchange.answer(json: .object(members + [("data", data)]))
    }

    // MARK: Labels

    func labels(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let (from, through) = try request.times()
        let source = try source()
        let names = try source.labelNames(try request.selector(), from: from, through: through)
        Self.succeed(
            exchange, .array(names.map { .string($0) }), warnings: source.warnings(from: from, through: through))
    }

    func labelValues(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let (from, through) = try request.times()
        let source = try source()
        let values = try source.labelValues(
            exchange.parameters["name"], try request.selector(), from: from, through: through)
        Self.succeed(
            exchange, .array(values.map { .string($0) }), warnings: source.warnings(from: from, through: through))
    }

    func series(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let (from, through) = try request.times()
        let selectors = request.all(["match[]", "match"])
        guard !selectors.isEmpty, selectors.count <= 100 else {
            throw LokiProblem(400, "series wants match[], once to 100 times")
        }
        var found: Set<Labels> = []
        for text in selectors {
            let matchers = text == "{}" ? [] : try LogQLSelector.parse(text)
            found.formUnion(try source().streams(matchers, from: from, through: through))
        }
        Self.succeed(
            exchange, .array(found.sorted().map(\.json)),
            warnings: try source().warnings(from: from, through: through))
    }

    func indexStatistics(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let (from, through) = try request.times()
        let chunks = try chunks(try request.selector(), from, through)
        exchange.answer(json: [
            "streams": .integer(Set(chunks.map(\.labels)).count), "chunks": .integer(chunks.count),
            "entries": .integer(chunks.reduce(0) { $0 + $1.entryCount }),
            "bytes": .integer(chunks.reduce(0) { $0 + $1.byteCount }),
        ])
    }

    /// Bytes of lines by stream, or by the labels in `targetLabels`; the largest first.
    func volume(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let (from, through) = try request.times()
        let wanted = request["targetLabels"]?.split(separator: ",").map(String.init)
        var volumes: [Labels: Int] = [:]
        for chunk in try chunks(try request.selector(), from, through) {
            let labels = wanted.map { names in Labels(names.map { ($0, chunk.labels[$0]) }) } ?? chunk.labels
            volumes[labels, default: 0] += chunk.byteCount
        }
        let limit = try request.integer("limit", 1...5_000) ?? 100
        let largest = volumes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(limit)
        Self.succeed(
            exchange,
            [
                "resultType": "vector",
                "result": .array(
                    largest.map {
                        [
                            "metric": $0.key.json,
                            "value": [.integer(Int(through / 1_000_000_000)), .string("\($0.value)")],
                        ]
                    }),
            ])
    }

    private func chunks(_ matchers: [LabelMatcher], _ from: Int64, _ through: Int64) throws -> [LogChunk] {
        var statistics = LogStatistics()
        return try source().select(LogSelection(matchers, from: from, through: through), &statistics)
    }
}

extension Labels {
    var json: JSONValue { .object(pairs.map { ($0.name, .string($0.value)) }) }
}
