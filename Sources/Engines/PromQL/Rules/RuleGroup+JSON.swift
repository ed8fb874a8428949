import KernelJSON
import KernelStructures
import TimeSeriesEngine

/// Groups and alerts as Prometheus's API gives them (`/api/v1/rules`, `/api/v1/alerts`), and as Alertmanager takes
/// them.
extension RuleGroup {
    /// A member of `data.groups`.
    public var json: JSONValue {
        .object([
            ("name", .string(definition.name)), ("file", .string(definition.file)),
            ("rules", .array(rules.map(\.json))),
            ("interval", .number(Double(definition.intervalMilliseconds) / 1000)),
            ("limit", .integer(definition.limit)), ("evaluationTime", .number(0)),
            ("lastEvaluation", .string(Alert.timeText(lastEvaluation ?? 0))),
        ])
    }

    /// The members of `data.alerts`: what is pending or firing.
    public var activeAlerts: [Alert] {
        rules.flatMap { ($0.book?.alerts ?? []).filter { $0.state != .inactive } }
    }
}

extension RuleGroup.Rule {
    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        if let book {
            members += [
                ("state", .string(Self.state(of: book.alerts))), ("name", .string(definition.name)),
                ("query", .string(definition.expression.description)),
                ("duration", .number(Double(book.forMilliseconds) / 1000)),
                ("keepFiringFor", .number(Double(book.keepFiringForMilliseconds) / 1000)),
                ("labels", .object(definition.labels.map { ($0.name, .string($0.template.source)) })),
                ("annotations", .object(definition.annotations.map { ($0.name, .string($0.template.source)) })),
                ("alerts", .array(book.alerts.filter { $0.state != .inactive }.map(\.json))),
            ]
        } else {
            members += [
                ("name", .string(definition.name)), ("query", .string(definition.expression.description)),
            ]
            if !definition.labels.isEmpty {
                members.append(("labels", .object(definition.labels.map { ($0.name, .string($0.template.source)) })))
            }
        }
        members.append(("health", .string(error != nil ? "err" : lastEvaluation == nil ? "unknown" : "ok")))
        if let error { members.append(("lastError", .string(error))) }
        members += [
            ("evaluationTime", .number(0)), ("lastEvaluation", .string(Alert.timeText(lastEvaluation ?? 0))),
            ("type", .string(book == nil ? "recording" : "alerting")),
        ]
        return .object(members)
    }

    /// The worst of its alerts' states.
    private static func state(of alerts: [Alert]) -> String {
        alerts.contains { $0.state == .firing }
            ? "firing" : alerts.contains { $0.state == .pending } ? "pending" : "inactive"
    }
}

extension Alert {
    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("labels", .object(labels.pairs.map { ($0.name, .string($0.value)) })),
            ("annotations", .object(annotations.map { ($0.name, .string($0.text)) })),
            ("state", .string(state.rawValue)), ("activeAt", .string(Self.timeText(activeAt))),
        ]
        if let keepFiringSince { members.append(("keepFiringSince", .string(Self.timeText(keepFiringSince)))) }
        members.append(("value", .string(Self.valueText(value))))
        return .object(members)
    }

    /// `1e+00`: Go's shortest with an exponent, as this API has it.
    private static func valueText(_ value: Double) -> String {
        guard value.isFinite else { return GoFormat.plain(value) }
        if value == 0 { return "0e+00" }
        var bytes: [UInt8] = value < 0 ? [UInt8(ascii: "-")] : []
        ShortestDecimal(value.magnitude).appendScientific(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A member of the list that Alertmanager's API v2 takes (`POST /api/v2/alerts`).
    ///
    /// - Parameter generatorURL: where the expression can be seen.
    public func notification(generatorURL: String) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("annotations", .object(annotations.map { ($0.name, .string($0.text)) }))
        ]
        if let end = resolvedAt ?? validUntil { members.append(("endsAt", .string(Self.timeText(end)))) }
        members += [
            ("startsAt", .string(Self.timeText(firedAt ?? activeAt))), ("generatorURL", .string(generatorURL)),
            ("labels", .object(labels.pairs.map { ($0.name, .string($0.value)) })),
        ]
        return .object(members)
    }

    /// RFC 3339, in UTC; the beginning of time for 0.
    static func timeText(_ milliseconds: Int64) -> String {
        if milliseconds == 0 { return "0001-01-01T00:00:00Z" }
        let (nanoseconds, isTooFar) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        return LabTime(nanoseconds: isTooFar ? (milliseconds < 0 ? .min : .max) : nanoseconds).description
    }
}
