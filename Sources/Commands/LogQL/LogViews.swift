import CommandKit
import KernelJSON
import KernelStructures
import LogQLEngine
import TimeSeriesEngine

/// Answers of a store of logs, for people.
enum LogViews {
    /// - Throws: `JSONTypeError` for what is no answer to the question.
    static func view(of question: LogQuestion, _ data: JSONCursor, now: LabTime) throws(JSONTypeError) -> View {
        if question.kind == .patterns { return try patterns(data) }
        var view: View
        if question.explains {
            view = try explanation(data["stats"], question)
        } else {
            switch question.kind {
            case .lines:
                // The newest were asked for; they are read from the oldest on.
                let lines = try entries(data["result"], isBackward: true)
                let shown = lines.isEmpty ? nothing(question, now: now) : text(lines, question, now: now)
                view = View(.text(shown, json: .null))
            case .count(let field): view = View(.text(try counts(data["result"], field), json: .null))
            case .statistics: view = try totals(data, question)
            default: view = try numbers(data)
            }
            if question.showsStatistics { view.parts.append(.text(try cost(data["stats"]), json: .null)) }
        }
        view.json = data.value
        return view
    }

    // MARK: Lines

    /// The lines of an answer, from the oldest on. Those of one time are in the order in which they came: a stream's as
    /// it was answered, those of the lab's nodes by the numbers of their events.
    ///
    /// - Parameter isBackward: whether each stream's newest line stands first.
    static func entries(_ result: JSONCursor, isBackward: Bool) throws(JSONTypeError) -> [LogQLEntry] {
        var entries: [(entry: LogQLEntry, event: Int)] = []
        for stream in try result.array() {
            let pairs = try Self.pairs(stream["stream"])
            let common = Labels(pairs)
            let isOfLab = common["job"] == "lab"
            var own: [(entry: LogQLEntry, event: Int)] = []
            for item in try stream["values"].array() {
                guard let time = Int64(try item[0].string()) else { throw item[0].error("no time in nanoseconds") }
                var labels = common
                var event = 0
                if let parts = item[2].ifPresent {
                    let metadata = try parts["structuredMetadata"].ifPresent.map(Self.pairs) ?? []
                    let parsed = try parts["parsed"].ifPresent.map(Self.pairs) ?? []
                    labels = Labels(pairs + metadata + parsed)
                    if isOfLab { event = metadata.first { $0.0 == "event" }.flatMap { Int($0.1) } ?? 0 }
                }
                let entry = LogQLEntry(labels: labels, timestamp: time, line: Array(try item[1].string().utf8))
                own.append((entry, event))
            }
            entries += isBackward ? own.reversed() : own
        }
        return entries.indices.sorted { left, right in
            let (one, other) = (entries[left], entries[right])
            return (one.entry.timestamp, one.event, left) < (other.entry.timestamp, other.event, right)
        }.map { entries[$0].entry }
    }

    private static func pairs(_ object: JSONCursor) throws(JSONTypeError) -> [(String, String)] {
        var pairs: [(String, String)] = []
        for (name, value) in try object.members() { pairs.append((name, try value.string())) }
        return pairs
    }

    /// Said of a search that has found nothing: where it has looked may be the reason.
    private static func nothing(_ question: LogQuestion, now: LabTime) -> String {
        // The answer was on its way for a moment.
        let isUpToNow = now - question.through < .seconds(60)
        let length = isUpToNow ? question.through - question.from : now - question.from
        let end = isUpToNow ? "" : " up to \((now - question.through).rounded) ago"
        return "no lines of the last \(length.rounded)\(end) have it; --from looks further back\n"
    }

    /// `[10:30:00] payment: Connection refused`; with the date where that is another day.
    static func text(_ entries: [LogQLEntry], _ question: LogQuestion, now: LabTime) -> String {
        let today = CivilTime(now)
        var text = ""
        for entry in entries {
            let time = CivilTime(LabTime(nanoseconds: entry.timestamp))
            let isToday = time.year == today.year && time.month == today.month && time.day == today.day
            let date = isToday ? "" : "\(padded(time.year, 4))-\(padded(time.month, 2))-\(padded(time.day, 2)) "
            text += "[\(date)\(padded(time.hour, 2)):\(padded(time.minute, 2)):\(padded(time.second, 2))] "
            if question.showsLabels {
                text += "\(entry.labels) \(shown(entry.text))\n"
            } else {
                let summary = EntrySummary(entry)
                let message = question.expression.parsesLines ? entry.text : summary.message
                text += (summary.origin.isEmpty ? "" : summary.origin + ": ") + shown(message) + "\n"
            }
        }
        return text
    }

    /// Nothing in a line moves the cursor or changes colours.
    private static func shown(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                out.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            } else {
                out.append(scalar)
            }
        }
        return String(out)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 && scalar != "\t" || (0x7F...0x9F).contains(scalar.value)
    }

    // MARK: Counts

    /// ```
    /// service      | count
    /// -------------|------
    /// payment      | 147
    /// ```
    /// In the order in which the values came up first.
    private static func counts(_ result: JSONCursor, _ field: String?) throws(JSONTypeError) -> String {
        var rows: [(name: String, count: String)] = []
        for item in try result.array() {
            let name = try field.map { (field) throws(JSONTypeError) in try item["metric"][field].ifPresent?.string() }
            rows.append(((name ?? nil) ?? "(none)", try item["value"][1].string()))
        }
        guard let field else { return (rows.first?.count ?? "0") + "\n" }
        let width = max(12, field.count, rows.map(\.name.count).max() ?? 0)
        func row(_ left: String, _ right: String) -> String {
            left + String(repeating: " ", count: max(0, width - left.count)) + " | " + right + "\n"
        }
        return row(field, "count") + String(repeating: "-", count: width + 1) + "|------\n"
            + rows.map { row(shown($0.name), $0.count) }.joined()
    }

    private static func totals(_ data: JSONCursor, _ question: LogQuestion) throws(JSONTypeError) -> View {
        let lines = try data["result"].array().first.map { (item) throws(JSONTypeError) in try item["value"][1].string()
        }
        let summary = data["stats"]["summary"]
        return View(
            .record([
                .init("lines", key: "lines", .text(lines ?? "0")),
                .init("lines read", key: "linesRead", .integer(try summary["totalLinesProcessed"].integer())),
                .init(
                    "bytes read", key: "bytesRead", .text(byteCountText(try summary["totalBytesProcessed"].integer()))),
            ]))
    }

    // MARK: Numbers

    private static func numbers(_ data: JSONCursor) throws(JSONTypeError) -> View {
        let type = try data["resultType"].string()
        if type == "scalar" {
            let value = try data["result"][1].string()
            return View(.text(value + "\n", json: .string(value)))
        }
        var rows: [[View.Cell]] = []
        for item in try data["result"].array() {
            var pairs: [(String, String)] = []
            for (name, value) in try item["metric"].members() { pairs.append((name, try value.string())) }
            let series = Labels(pairs).description
            let points = type == "matrix" ? try item["values"].array() : [item["value"]]
            for point in points {
                let time = LabTime(nanoseconds: Int64(min(9e9, max(-9e9, try point[0].number())) * 1000) * 1_000_000)
                var cells: [View.Cell] = [.text(series), .text(try point[1].string())]
                if type == "matrix" { cells.insert(.text(time.timeOfDay), at: 1) }
                rows.append(cells)
            }
        }
        var columns: [View.Table.Column] = [
            .init("SERIES", key: "series", flexible: true), .init("VALUE", key: "value", right: true),
        ]
        if type == "matrix" { columns.insert(.init("TIME", key: "time"), at: 1) }
        return View(.table(.init(columns, rows: rows, whenEmpty: "no series")))
    }

    private static func patterns(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var rows: [[View.Cell]] = []
        for item in try data.array() {
            var count = 0
            for sample in try item["samples"].array() { count &+= try sample[1].integer(in: 0...1 << 40) }
            rows.append([.integer(count), .text(shown(try item["pattern"].string()))])
        }
        return View(
            .table(
                .init(
                    [.init("COUNT", key: "count", right: true), .init("PATTERN", key: "pattern", flexible: true)],
                    rows: rows, whenEmpty: "no lines")))
    }

    // MARK: What it has cost

    private static func explanation(_ stats: JSONCursor, _ question: LogQuestion) throws(JSONTypeError) -> View {
        let summary = stats["summary"]
        var fields: [View.Field] = [.init("query", key: "query", .text(question.expression.description))]
        if let index = stats["index"].ifPresent {
            let counts: [(String, String)] = [
                ("streams", "streams"), ("chunks considered", "chunks"), ("  skipped by time", "skippedByTime"),
                ("  skipped by label", "skippedByLabel"), ("  skipped by index", "skippedByIndex"),
                ("  read", "chunksRead"), ("  of these in memory", "chunksInMemory"),
            ]
            for (name, key) in counts { fields.append(.init(name, key: key, .integer(try index[key].integer()))) }
            for (name, key) in [("stored bytes read", "storedBytesRead"), ("index bytes read", "indexBytesRead")] {
                fields.append(.init(name, key: key, .text(byteCountText(try index[key].integer()))))
            }
        }
        fields += [
            .init(
                "line bytes looked at", key: "lineBytes",
                .text(byteCountText(try summary["totalBytesProcessed"].integer()))),
            .init("lines looked at", key: "lines", .integer(try summary["totalLinesProcessed"].integer())),
            .init(
                "lines that passed", key: "passed",
                .integer(try summary["totalPostFilterLines"].ifPresent?.integer() ?? 0)),
        ]
        return View(.record(fields))
    }

    private static func cost(_ stats: JSONCursor) throws(JSONTypeError) -> String {
        let summary = stats["summary"]
        let store = stats["querier"]["store"]
        let returned = try summary["totalEntriesReturned"].integer()
        let lines = try summary["totalLinesProcessed"].integer()
        let bytes = byteCountText(try summary["totalBytesProcessed"].integer())
        let chunks = try store["totalChunksDownloaded"].integer()
        let all = counted(try store["totalChunksRef"].integer(), "chunk")
        return "\(returned) of \(lines) lines, \(bytes) in \(chunks) of \(all)\n"
    }
}
