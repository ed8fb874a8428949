import CommandKit
import CommandServices
import KernelStructures
import KernelWire
import MetricsCollectorEngine
import ShellSession

extension MetricsCollectorCommands {
    /// `metrics query 'rate(http_requests_total[1m])'`
    static var metrics: Command {
        let description = CommandDescription(
            "metrics", "asks a metrics collector", operates: false, subcommands: metricsSubcommands, group: .clients,
            details: """
                The server may be a real Prometheus as well. Expressions are PromQL; put them in
                quotation marks, because of their own. An exemplar is one request of those
                that a bucket has counted, with its trace; trace ID draws that.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let server = arguments.endpoint("server") ?? HostPort(host: "localhost", port: MetricsCollector.defaultPort)
            let question = try question(arguments, now: invocation.process.node.wallClock)
            return .running(
                ServerQuestion(
                    invocation.process, "GET", question.target, at: server,
                    whenRefused: "no collector answers at \(server); start one: metrics-collector --lab",
                    fields: [("Accept", "application/json")], timeout: arguments.duration("timeout") ?? .seconds(30)
                ) { response throws(CommandFailure) in
                    let view = try question.view(of: response, from: server)
                    return invocation.process.text(of: view, for: arguments)
                })
        }
    }

    private static func question(_ arguments: ParsedArguments, now: LabTime) throws -> MetricsQuestion {
        let words = arguments.arguments
        switch arguments.verb {
        case "query":
            let end = try moment(arguments, now)
            if arguments.has("exemplars") {
                if arguments.has("step") {
                    throw UsageError("metrics query: --exemplars come one by one; leave --step out")
                }
                let range = arguments.duration("range") ?? .seconds(3600)
                return .exemplars(words[0], from: (end ?? now) - range, through: end ?? now)
            }
            guard let range = arguments.duration("range") else { return .instant(words[0], at: end) }
            let step = arguments.duration("step") ?? max(.seconds(1), LabDuration(nanoseconds: range.nanoseconds / 60))
            return .range(words[0], from: (end ?? now) - range, through: end ?? now, step: step)
        case "explain": return .explain(words[0], at: try moment(arguments, now))
        case "backtest":
            return .backtest(
                words[0], hold: arguments.duration("for"), from: now - (arguments.duration("from") ?? .seconds(3600)),
                through: now)
        case "alerts": return .alerts
        case "targets": return .targets
        case "labels": return words.isEmpty ? .labels : .labelValues(words[0])
        case "series": return .series(words[0])
        default: return .cardinality(limit: arguments.integer("limit") ?? 10)
        }
    }

    /// `--time`: RFC 3339, seconds since 1970, or `-5m` from now.
    private static func moment(_ arguments: ParsedArguments, _ now: LabTime) throws(UsageError) -> LabTime? {
        guard let text = arguments.text("time") else { return nil }
        if let time = LabTime(parsing: text) { return time }
        if text.hasPrefix("-"), let back = LabDuration(parsing: text.dropFirst()) { return now - back }
        if let seconds = Double(text), abs(seconds) < 9e9 {
            return LabTime(nanoseconds: Int64(seconds * 1000) * 1_000_000)
        }
        throw UsageError("metrics query: --time: '\(text)'? write -5m, 2023-12-20T15:00:00Z, or seconds since 1970")
    }

    private typealias Flag = CommandDescription.Flag

    private static var metricsSubcommands: [Subcommand] {
        let common: [Flag] = [
            .init("server", "s", .endpoint, "where the collector is (localhost:\(MetricsCollector.defaultPort))"),
            .init("timeout", nil, .duration(), "how long to wait for its answer (30s)"), CommonFlags.glyphs,
            CommonFlags.json,
        ]
        let one = CommandDescription.Arguments([.text], 1...1)
        return [
            .init(
                "query", "evaluates an expression",
                usage: "EXPRESSION [--time TIME] [--range TIME [--step TIME]|--exemplars]",
                flags: [
                    .init("time", nil, .text("TIME"), "when: -5m, RFC 3339 or seconds since 1970 (now)"),
                    .init("range", "r", .duration(), "draws the values of that time until then"),
                    .init("step", nil, .duration(), "time between two values (a sixtieth of the range)"),
                    .init("exemplars", "x", "requests that its series have counted, by their traces (of 1h)"),
                ] + common, arguments: one,
                examples: [
                    "metrics query up", "metrics query 'sum by (path) (rate(http_requests_total[1m]))'",
                    "metrics query 'rate(http_requests_total[1m])' --range 10m",
                    "metrics query 'http_request_duration_seconds_bucket' --exemplars",
                ]),
            .init(
                "explain", "how an expression comes to its result: samples, resets, extrapolation",
                usage: "EXPRESSION [--time TIME]",
                flags: [.init("time", nil, .text("TIME"), "when: -5m, RFC 3339 or seconds since 1970 (now)")] + common,
                arguments: one, examples: ["metrics explain 'rate(http_requests_total[1m])'"]),
            .init(
                "backtest", "when an alert would have fired, by what is stored",
                usage: "ALERT|EXPRESSION [--for TIME] [--from TIME]",
                flags: [
                    .init("for", nil, .duration(allowsZero: true), "of an expression: how long it has to hold (0s)"),
                    .init("from", nil, .duration(), "how far back (1h)"),
                ] + common, arguments: one,
                examples: ["metrics backtest AppIsDown --from 6h", "metrics backtest 'up == 0' --for 5s"]),
            .init("alerts", "what is pending or firing", flags: common, examples: ["metrics alerts"]),
            .init("targets", "what it scrapes, and how that goes", flags: common, examples: ["metrics targets"]),
            .init(
                "labels", "the names of labels, or the values of one", usage: "[NAME]", flags: common,
                arguments: .init([.text], 0...1), examples: ["metrics labels", "metrics labels job"]),
            .init(
                "series", "the series that a selector finds", usage: "SELECTOR", flags: common, arguments: one,
                examples: ["metrics series 'up{job=\"app\"}'"]),
            .init(
                "cardinality", "which metrics and labels have the most series", usage: "[--limit N]",
                flags: [.init("limit", "n", .integer(1...1000), "rows of each list (10)")] + common,
                examples: ["metrics cardinality"]),
        ]
    }
}

/// What is asked of a collector.
enum MetricsQuestion {
    case instant(String, at: LabTime?)
    case range(String, from: LabTime, through: LabTime, step: LabDuration)
    case exemplars(String, from: LabTime, through: LabTime)
    case explain(String, at: LabTime?)
    case backtest(String, hold: LabDuration?, from: LabTime, through: LabTime)
    case alerts
    case targets
    case labels
    case labelValues(String)
    case series(String)
    case cardinality(limit: Int)

    /// Path and query.
    var target: String {
        switch self {
        case .instant(let expression, let time):
            "/api/v1/query" + HTTPQuery.text([("query", expression), ("time", time.map(Self.seconds))])
        case .range(let expression, let from, let through, let step):
            "/api/v1/query_range"
                + HTTPQuery.text([
                    ("query", expression), ("start", Self.seconds(from)), ("end", Self.seconds(through)),
                    ("step", "\(step.seconds)"),
                ])
        case .exemplars(let expression, let from, let through):
            "/api/v1/query_exemplars"
                + HTTPQuery.text([
                    ("query", expression), ("start", Self.seconds(from)), ("end", Self.seconds(through)),
                ])
        case .explain(let expression, let time):
            "/api/v1/explain" + HTTPQuery.text([("query", expression), ("time", time.map(Self.seconds))])
        case .backtest(let alert, let hold, let from, let through):
            "/api/v1/backtest"
                + HTTPQuery.text([
                    ("alert", alert), ("for", hold.map { "\($0.seconds)" }), ("start", Self.seconds(from)),
                    ("end", Self.seconds(through)),
                ])
        case .alerts: "/api/v1/alerts"
        case .targets: "/api/v1/targets?state=active"
        case .labels: "/api/v1/labels"
        case .labelValues(let name): "/api/v1/label/\(PercentCoding.encode(name))/values"
        case .series(let selector): "/api/v1/series" + HTTPQuery.text([("match[]", selector)])
        case .cardinality(let limit): "/api/v1/status/tsdb?limit=\(limit)"
        }
    }

    private static func seconds(_ time: LabTime) -> String {
        let milliseconds = time.nanoseconds / 1_000_000
        return fixedDecimal(Double(milliseconds) / 1000, places: 3)
    }
}
