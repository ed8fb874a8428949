import KernelHosting
import KernelJSON
import LogModelEngine
import LogQLEngine
import TimeSeriesEngine

// What lines have in them: what Grafana's explorer of logs asks for.
extension LogQueryAPI {
    /// Lines that are looked at unless `line_limit` says otherwise.
    private static let lineLimit = 1_000

    func detectedFields(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let limit = try request.integer("limit", 1...DetectedFields.fieldLimit) ?? DetectedFields.fieldLimit
        try detect(request, exchange) { fields in
            exchange.answer(json: [
                "fields": .array(
                    fields.found.prefix(limit).map { field in
                        var members: [(key: String, value: JSONValue)] = [
                            ("label", .string(field.label)), ("type", .string(field.kind.rawValue)),
                            ("cardinality", .integer(field.cardinality)),
                            ("parsers", field.parsers.isEmpty ? .null : .array(field.parsers.map { .string($0) })),
                        ]
                        if !field.path.isEmpty { members.append(("jsonPath", .array(field.path.map { .string($0) }))) }
                        return .object(members)
                    }),
                "limit": .integer(limit),
            ])
        }
    }

    func detectedFieldValues(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let limit = try request.integer("limit", 1...DetectedFields.valueLimit) ?? DetectedFields.valueLimit
        let name = exchange.parameters["name"]
        try detect(request, exchange) { fields in
            let values = (fields[name]?.values ?? []).prefix(limit)
            exchange.answer(json: ["values": .array(values.map { .string($0) }), "limit": .integer(limit)])
        }
    }

    private func detect(
        _ request: LokiRequest, _ exchange: HTTPExchange, _ answer: @escaping (DetectedFields) -> Void
    ) throws {
        let (from, through) = try request.times()
        var asked = LogQLRequest(from: from, through: through)
        asked.limit = try request.integer("line_limit", 1...limits.entries) ?? min(Self.lineLimit, limits.entries)
        asked.isCategorized = true
        let expression = try request.expression()
        guard !expression.isMetric else {
            throw LokiProblem(400, "fields are those of lines, and a metric query has none")
        }
        let run = try LogQLRun(expression, over: try source(), asked, limits: limits)
        try inSlices(exchange, { try run.advance(lines: Self.linesOfSlice) }) { result in
            guard case .lines(let entries) = result.value else { return }
            var fields = DetectedFields()
            for entry in entries { fields.add(entry) }
            answer(fields)
        }
    }

    /// Names of labels with how many values each has.
    func detectedLabels(_ request: LokiRequest, _ exchange: HTTPExchange) throws {
        let (from, through) = try request.times()
        let streams = try source().streams(try request.selector(), from: from, through: through)
        var values: [String: Set<String>] = [:]
        for labels in streams { for (name, value) in labels.pairs { values[name, default: []].insert(value) } }
        let found = values.sorted { byteOrder($0.key, $1.key) < 0 }
        exchange.answer(json: [
            "detectedLabels": .array(
                found.map { ["label": .string($0.key), "cardinality": .integer($0.value.count)] })
        ])
    }
}
