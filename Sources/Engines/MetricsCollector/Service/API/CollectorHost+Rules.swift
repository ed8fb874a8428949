import KernelHosting
import KernelJSON
import KernelStructures
import MetricsCollectorEngine
import PromQLEngine
import TimeSeriesEngine

// Rules and alerts, how a query came to its result, and when an alert would have fired.
extension CollectorHost {
    func mountRules() {
        get("/api/v1/rules") { host, request, exchange in
            let wanted = request["type"]
            let groups = host.rules.groups.map { $0.json }.map { wanted == nil ? $0 : Self.only(wanted, $0) }
            Self.answer(exchange, APIWriter.success(.object([("groups", .array(groups))])))
        }
        get("/api/v1/alerts") { host, _, exchange in
            let alerts = host.rules.groups.flatMap(\.activeAlerts).map(\.json)
            Self.answer(exchange, APIWriter.success(.object([("alerts", .array(alerts))])))
        }
        get("/api/v1/alertmanagers") { host, _, exchange in
            let active = host.configuration.alertmanagers.map { manager -> JSONValue in
                .object([("url", .string("http://\(manager)/api/v2/alerts"))])
            }
            Self.answer(
                exchange,
                APIWriter.success(
                    .object([("activeAlertmanagers", .array(active)), ("droppedAlertmanagers", .array([]))])))
        }
        // The lab's own: Prometheus has no such calls.
        get("/api/v1/explain") { host, request, exchange in try host.explain(request, exchange) }
        get("/api/v1/backtest") { host, request, exchange in try host.backtest(request, exchange) }
    }

    /// A group with its rules of one type: `alert` or `record`.
    private static func only(_ type: String?, _ group: JSONValue) -> JSONValue {
        guard case .object(let members) = group else { return group }
        let kind = type == "alert" ? "alerting" : "recording"
        return .object(
            members.map { key, value in
                guard key == "rules", case .array(let rules) = value else { return (key, value) }
                return (key, .array(rules.filter { $0["type"] == .string(kind) }))
            })
    }

    private func explain(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let expression = try expression(request)
        let time = try request.moment("time") ?? request.now
        let explanation = try evaluated { () throws(PromQLError) in
            try expression.explained(over: store, at: time, limits: limits)
        }
        Self.answer(exchange, APIWriter.success(explanation.json))
    }

    private func backtest(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let name = try request.required("alert")
        let end = try request.moment("end") ?? request.now
        let start = try request.moment("start") ?? end - 3_600_000
        for group in rules.groups {
            for rule in group.rules where rule.book != nil && rule.definition.name == name {
                let interval = group.definition.intervalMilliseconds
                let test = try evaluated { () throws(PromQLError) in
                    try AlertBacktest(
                        rule.definition, over: store, from: start, through: end, intervalMilliseconds: interval,
                        limits: limits)
                }
                return Self.answer(exchange, APIWriter.success(Self.json(test)))
            }
        }
        let names = rules.groups.flatMap { $0.rules.filter { $0.book != nil }.map(\.definition.name) }
        throw APIError.notFound("there is no alert '\(name)'\(didYouMean(name, among: names))")
    }

    private static func json(_ test: AlertBacktest) -> JSONValue {
        func moment(_ milliseconds: Int64?) -> JSONValue {
            milliseconds.map { .string(LabTime(nanoseconds: $0 &* 1_000_000).description) } ?? .null
        }
        let episodes = test.episodes.map { episode -> JSONValue in
            .object([
                ("labels", episode.labels.json), ("pendingAt", moment(episode.pendingAt)),
                ("firingAt", moment(episode.firingAt)), ("endedAt", moment(episode.endedAt)),
                ("peak", .string(sampleText(episode.peak))),
            ])
        }
        return .object([
            ("episodes", .array(episodes)), ("evaluations", .integer(test.evaluations)),
            ("samplesRead", .integer(test.statistics.samplesRead)),
        ])
    }
}
