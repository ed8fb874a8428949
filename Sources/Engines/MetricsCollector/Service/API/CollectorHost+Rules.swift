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
        try answer(exchange, request) { [store] limits, _ throws(PromQLError) in
            APIWriter.success(try expression.explained(over: store, at: time, limits: limits).json)
        }
    }

    private func backtest(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let end = try request.moment("end") ?? request.now
        let start = try request.moment("start") ?? end - 3_600_000
        let (rule, interval) = try alert(request)
        try answer(exchange, request) { [store] limits, _ throws(PromQLError) in
            let test = try AlertBacktest(
                rule, over: store, from: start, through: end, intervalMilliseconds: interval, limits: limits)
            return APIWriter.success(Self.json(test))
        }
    }

    /// The rule of the parameter `alert`, a name or an expression, and the milliseconds between its evaluations.
    private func alert(_ request: APIRequest) throws -> (RuleDefinition, intervalMilliseconds: Int64) {
        let name = try request.required("alert")
        for group in rules.groups {
            for rule in group.rules where rule.book != nil && rule.definition.name == name {
                return (rule.definition, group.definition.intervalMilliseconds)
            }
        }
        if let definition = try adHoc(name, hold: try request.duration("for")) {
            return (definition, max(1, configuration.evaluationInterval.nanoseconds / 1_000_000))
        }
        let names = rules.groups.flatMap { $0.rules.filter { $0.book != nil }.map(\.definition.name) }
        throw APIError.notFound(
            "there is no alert '\(name)'\(didYouMean(name, among: names)); alerts come from rule_files in the file of "
                + "--config, which goes with --lab; an expression is tried with --for 5s")
    }

    /// An expression that is tried as an alert would be, without a file; nil for what can only be meant as a name.
    ///
    /// - Parameter hold: how long it has to hold, in milliseconds; nil: nobody said, and a bare word is a name then.
    private func adHoc(_ text: String, hold: Int64?) throws(APIError) -> RuleDefinition? {
        let isWord = text.utf8.allSatisfy { $0 == 0x5F || $0 == 0x3A || $0 == 0x2D || isLetterOrDigit($0) }
        guard hold != nil || !isWord else { return nil }
        do throws(PromQLError) {
            return RuleDefinition(alert: text, try PromQLExpression(parsing: text), forMilliseconds: hold ?? 0)
        } catch {
            throw .badData("'\(text)' is neither an alert nor an expression: \(error)")
        }
    }

    private func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
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
