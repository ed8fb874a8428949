import CommandKit
import KernelJSON
import KernelStructures

/// How a query came to its result, and when an alert would have fired.
enum ExplanationViews {
    // MARK: Explanations

    static func explanation(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var lines: [String] = []
        try add(data["query"], depth: 0, to: &lines)
        let read = data["read"]
        lines.append(
            "read: \(counted(try read["series"].integer(), "series", "series")), "
                + "\(counted(try read["samples"].integer(), "sample")) in "
                + "\(counted(try read["chunks"].integer(), "chunk")) "
                + "of \(byteCountText(try read["bytes"].integer()))")
        for warning in try data["warnings"].array() { lines.append("warning: \(try warning.string())") }
        var view = View(.text(lines.map { $0 + "\n" }.joined(), json: .null))
        view.json = data.value
        return view
    }

    private static func add(_ part: JSONCursor, depth: Int, to lines: inout [String]) throws(JSONTypeError) {
        let indent = String(repeating: "  ", count: min(depth, 20))
        lines.append(indent + (try part["expression"].string()))
        if let windows = part["windows"].ifPresent {
            for window in try windows.array() { try add(window: window, indent + "  | ", to: &lines) }
            let count = try part["windowCount"].integer()
            let shown = try windows.array().count
            if count > shown { lines.append("\(indent)  | … and \(count - shown) more series") }
        }
        for element in try part["elements"].ifPresent?.array() ?? [] {
            let value = try element["value"].string()
            lines.append("\(indent)  = \(try title(element["labels"]))\(value)")
        }
        if let count = try part["elementCount"].ifPresent?.integer(), count == 0 {
            lines.append("\(indent)  = nothing")
        }
        for inner in try part["parts"].ifPresent?.array() ?? [] { try add(inner, depth: depth + 1, to: &lines) }
    }

    /// `{a="b"} `, or nothing.
    private static func title(_ labels: JSONCursor) throws(JSONTypeError) -> String {
        var pairs: [String] = []
        for (name, value) in try labels.members() { pairs.append("\(name)=\"\(try value.string())\"") }
        return pairs.isEmpty ? "" : "{\(pairs.joined(separator: ", "))} "
    }

    private static func add(window: JSONCursor, _ indent: String, to lines: inout [String]) throws(JSONTypeError) {
        let from = try moment(window["fromMilliseconds"])
        let through = try moment(window["throughMilliseconds"])
        let count = try window["sampleCount"].integer()
        lines.append("\(indent)\(try title(window["labels"]))")
        lines.append("\(indent)  \(counted(count, "sample")) from \(from) to \(through)")
        let samples = try window["samples"].array()
        if let first = samples.first, let last = samples.last {
            lines.append(
                "\(indent)  first \(try first[1].string()) at \(try moment(first[0])), "
                    + "last \(try last[1].string()) at \(try moment(last[0]))")
        }
        for reset in try window["resets"].ifPresent?.array() ?? [] {
            lines.append(
                "\(indent)  reset at \(try moment(reset["atMilliseconds"])): "
                    + "\(number(try reset["before"].number())) to \(number(try reset["after"].number()))")
        }
        if let drawn = window["extrapolation"].ifPresent {
            let correction = try drawn["correction"].number()
            lines.append(
                "\(indent)  difference \(number(try drawn["difference"].number()))"
                    + (correction > 0 ? ", \(number(correction)) added for resets" : "")
                    + ", in \(number(try drawn["sampledSeconds"].number()))s")
            lines.append(
                "\(indent)  drawn on by \(number(try drawn["startSeconds"].number()))s before and "
                    + "\(number(try drawn["endSeconds"].number()))s after: times \(number(try drawn["factor"].number()))"
            )
        }
        if let result = try window["result"].ifPresent?.string() { lines.append("\(indent)  gives \(result)") }
    }

    private static func number(_ value: Double) -> String { trimmedDecimal(value, places: 6) }

    private static func moment(_ cursor: JSONCursor) throws(JSONTypeError) -> String {
        let (nanoseconds, isTooFar) = try cursor.integer().multipliedReportingOverflow(by: 1_000_000)
        return LabTime(nanoseconds: isTooFar ? 0 : Int64(nanoseconds)).timeOfDay
    }

    // MARK: Alerts

    /// `AppIsDown instance=app:8080, job=app`: what tells alerts from one another comes first, and has the room.
    private static func names(_ labels: JSONCursor) throws(JSONTypeError) -> String {
        var alert = ""
        var instance: [String] = []
        var rest: [String] = []
        for (name, value) in try labels.members() {
            switch name {
            case "alertname": alert = try value.string()
            case "instance": instance = ["instance=\(try value.string())"]
            default: rest.append("\(name)=\(try value.string())")
            }
        }
        let pairs = (instance + rest).joined(separator: ", ")
        return [alert, pairs].filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// `2023-12-20T15:00:40Z` as `12-20 15:00:40`; programs get all of it.
    private static func clock(_ text: String) -> String {
        let parts = text.split(separator: "T", maxSplits: 1)
        guard parts.count == 2, parts[0].utf8.count == 10 else { return text }
        return "\(parts[0].dropFirst(5)) \(parts[1].prefix(8))"
    }

    static func backtest(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var rows: [[View.Cell]] = []
        for episode in try data["episodes"].array() {
            func cell(_ name: String) throws(JSONTypeError) -> View.Cell {
                guard let text = try episode[name].ifPresent?.string() else { return .none }
                return View.Cell(clock(text), json: .string(text))
            }
            rows.append([
                .text(try names(episode["labels"])), try cell("pendingAt"), try cell("firingAt"), try cell("endedAt"),
                .text(MetricsViews.short(try episode["peak"].string())),
            ])
        }
        let evaluations = try data["evaluations"].integer()
        var view = View(
            .table(
                .init(
                    [
                        .init("ALERT", key: "labels", flexible: true), .init("PENDING", key: "pendingAt"),
                        .init("FIRING", key: "firingAt"), .init("ENDED", key: "endedAt"),
                        .init("PEAK", key: "peak", right: true),
                    ], rows: rows, whenEmpty: "it would not have come")),
            .text("\(counted(evaluations, "evaluation"))\n", json: .null))
        view.json = data.value
        return view
    }

    static func alerts(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var rows: [[View.Cell]] = []
        for alert in try data["alerts"].array() {
            let state = try alert["state"].string()
            rows.append([
                .text(state, style: state == "firing" ? .bad : .warning), .text(try names(alert["labels"])),
                .text(clock(try alert["activeAt"].string())), .text(MetricsViews.short(try alert["value"].string())),
            ])
        }
        var view = View(
            .table(
                .init(
                    [
                        .init("STATE", key: "state"), .init("ALERT", key: "labels", flexible: true),
                        .init("SINCE", key: "activeAt"), .init("VALUE", key: "value", right: true),
                    ], rows: rows, whenEmpty: "no alerts")))
        view.json = data.value
        return view
    }
}
