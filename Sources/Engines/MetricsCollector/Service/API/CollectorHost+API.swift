import KernelHosting
import KernelJSON
import KernelStructures
import MetricsCollectorEngine
import TimeSeriesEngine

// The HTTP API of Prometheus, version 1: the calls and their answers.
extension CollectorHost {
    private static let formLimitBytes = 10 << 20

    func mountAPI() {
        both("/api/v1/query") { host, request, exchange in try host.query(request, exchange) }
        both("/api/v1/query_range") { host, request, exchange in try host.queryRange(request, exchange) }
        both("/api/v1/format_query") { host, request, exchange in try host.formatQuery(request, exchange) }
        both("/api/v1/series") { host, request, exchange in try host.series(request, exchange) }
        both("/api/v1/labels") { host, request, exchange in try host.labelNames(request, exchange) }
        both("/api/v1/query_exemplars") { host, request, exchange in try host.exemplars(request, exchange) }
        get("/api/v1/label/{name}/values") { host, request, exchange in try host.labelValues(request, exchange) }
        get("/api/v1/metadata") { host, request, exchange in try host.metadata(request, exchange) }
        get("/api/v1/targets") { host, request, exchange in try host.targets(request, exchange) }
        get("/api/v1/targets/metadata") { host, request, exchange in try host.targetMetadata(request, exchange) }
        mountStatus()
        mountAdministration()
        mountFederation()
        mountRemoteWrite()
        mountRules()
    }

    /// A call of the API: what goes wrong is said as Prometheus says it.
    func on(
        _ method: String, _ path: String,
        _ handler: @escaping (CollectorHost, APIRequest, HTTPExchange) throws -> Void
    ) {
        router.on(method, path, body: .collected(limitBytes: Self.formLimitBytes)) { [unowned self] exchange in
            do {
                let request = try APIRequest(exchange, now: node.milliseconds)
                try handler(self, request, exchange)
            } catch {
                apiFailureCount += 1
                Self.answer(exchange, Self.apiError(error))
            }
            apiRequestCount += 1
        }
    }

    func get(_ path: String, _ handler: @escaping (CollectorHost, APIRequest, HTTPExchange) throws -> Void) {
        on("GET", path, handler)
    }

    private func both(_ path: String, _ handler: @escaping (CollectorHost, APIRequest, HTTPExchange) throws -> Void) {
        on("GET", path, handler)
        on("POST", path, handler)
    }

    static func apiError(_ error: any Error) -> APIError {
        switch error {
        case let error as APIError: error
        case let error as QueryableError: .execution("\(error)")
        default: .internalError("\(error)")
        }
    }

    static func answer(_ exchange: HTTPExchange, _ error: APIError) {
        exchange.answer(error.status, bytes: APIWriter.failure(error), type: "application/json")
    }

    static func answer(_ exchange: HTTPExchange, _ bytes: [UInt8]) {
        exchange.answer(200, bytes: bytes, type: "application/json")
    }

    // MARK: Series and labels

    private func series(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let lists = try request.matchers()
        if lists.isEmpty { throw APIError.badData("no match[] parameter provided") }
        let found = try store.series(lists, try request.selection())
        Self.answer(
            exchange,
            APIWriter.success { writer in
                writer.append("[")
                for (index, labels) in found.enumerated() {
                    if index > 0 { writer.append(",") }
                    writer.append(labels)
                }
                writer.append("]")
            })
    }

    private func labelNames(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let names = try store.labelNames(try request.matchers(), try request.selection())
        Self.answer(exchange, APIWriter.success(.array(names.map { .string($0) })))
    }

    private func labelValues(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let name = exchange.parameters["name"]
        guard RelabelRule.isLabelName(name) else { throw APIError.badData("invalid label name: \"\(name)\"") }
        let values = try store.labelValues(name, try request.matchers(), try request.selection())
        Self.answer(exchange, APIWriter.success(.array(values.map { .string($0) })))
    }

    private func exemplars(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let lists = try selectors(of: try request.required("query"))
        let selection = try request.selection()
        let found = store.exemplars.select(lists, selection.from...selection.through)
        Self.answer(
            exchange,
            APIWriter.success { writer in
                writer.append("[")
                for (index, (series, list)) in found.enumerated() {
                    writer.append(index > 0 ? ",{\"seriesLabels\":" : "{\"seriesLabels\":")
                    writer.append(series)
                    writer.append(",\"exemplars\":[")
                    for (index, exemplar) in list.enumerated() {
                        writer.append(index > 0 ? ",{\"labels\":" : "{\"labels\":")
                        writer.append(exemplar.labels)
                        writer.append(",\"value\":\"\(sampleText(exemplar.value))\",\"timestamp\":")
                        writer.append(time: exemplar.timestamp)
                        writer.append("}")
                    }
                    writer.append("]}")
                }
                writer.append("]")
            })
    }

    // MARK: Metadata

    private func metadata(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let limit = try request.integer("limit") ?? .max
        let wanted = request["metric"]
        var found: [String: [TargetScraper.Metadata]] = [:]
        for loop in manager.loops {
            for (name, metadata) in loop.scraper.metadata where wanted == nil || wanted == name {
                if found[name]?.contains(metadata) != true { found[name, default: []].append(metadata) }
            }
        }
        let members = found.sorted { byteOrder($0.key, $1.key) < 0 }.prefix(limit).map { name, all in
            (key: name, value: JSONValue.array(all.map(\.json)))
        }
        Self.answer(exchange, APIWriter.success(.object(members)))
    }

    private func targetMetadata(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let limit = try request.integer("limit") ?? .max
        let matchers = try request["match_target"].map { try selectors(of: $0)[0] } ?? []
        let wanted = request["metric"]
        var rows: [JSONValue] = []
        for loop in manager.loops where matchers.allSatisfy({ $0.matches(loop.target.labels) }) {
            for (name, metadata) in loop.scraper.metadata.sorted(by: { byteOrder($0.key, $1.key) < 0 })
            where wanted == nil || wanted == name {
                guard rows.count < limit, case .object(let members) = metadata.json else { continue }
                rows.append(
                    .object(
                        [("target", loop.target.labels.json)]
                            + (wanted == nil ? [(key: "metric", value: JSONValue.string(name))] : []) + members))
            }
        }
        Self.answer(exchange, APIWriter.success(.array(rows)))
    }

    // MARK: Targets

    private func targets(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let state = request["state"] ?? "any"
        var members: [(key: String, value: JSONValue)] = []
        let pool = request["scrapePool"]
        let active = manager.loops.filter { pool == nil || $0.target.job == pool }
        members.append(("activeTargets", .array(state == "dropped" ? [] : active.map(Self.target))))
        members.append(
            (
                "droppedTargets",
                .array(
                    state == "active" ? [] : manager.droppedTargets.map { .object([("discoveredLabels", $0.json)]) })
            ))
        Self.answer(exchange, APIWriter.success(.object(members)))
    }

    private static func target(_ loop: ScrapeLoop) -> JSONValue {
        let outcome = loop.lastOutcome
        return .object([
            ("discoveredLabels", loop.target.discovered.json), ("labels", loop.target.labels.json),
            ("scrapePool", .string(loop.target.job)), ("scrapeUrl", .string(loop.target.url)),
            ("globalUrl", .string(loop.target.url)), ("lastError", .string(outcome?.error ?? "")),
            ("lastScrape", .string(loop.lastTime?.description ?? "0001-01-01T00:00:00Z")),
            ("lastScrapeDuration", .number(loop.lastDuration.seconds)),
            ("health", .string(outcome.map { $0.isUp ? "up" : "down" } ?? "unknown")),
            ("scrapeInterval", .string("\(loop.target.interval)")),
            ("scrapeTimeout", .string("\(loop.target.timeout)")),
        ])
    }
}

extension TargetScraper.Metadata {
    var json: JSONValue {
        .object([("type", .string(type.rawValue)), ("help", .string(help)), ("unit", .string(unit))])
    }
}

extension Labels {
    var json: JSONValue { .object(pairs.map { ($0.name, .string($0.value)) }) }
}
