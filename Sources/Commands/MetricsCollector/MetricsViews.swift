import CommandKit
import KernelJSON
import KernelStructures
import TimeSeriesEngine

/// Answers of a collector as tables and curves.
enum MetricsViews {
    /// - Throws: `JSONTypeError` for what is no answer to the question.
    static func view(of question: MetricsQuestion, _ data: JSONCursor) throws(JSONTypeError) -> View {
        switch question {
        case .instant, .range: try result(data, question)
        case .exemplars: try exemplars(data)
        case .explain: try ExplanationViews.explanation(data)
        case .backtest: try ExplanationViews.backtest(data)
        case .alerts: try ExplanationViews.alerts(data)
        case .targets: try targets(data)
        case .labels, .labelValues: try words(data)
        case .series: try series(data)
        case .cardinality: try cardinality(data)
        }
    }

    // MARK: Results

    private static func result(_ data: JSONCursor, _ question: MetricsQuestion) throws(JSONTypeError) -> View {
        var view: View
        switch try data["resultType"].string() {
        case "matrix": view = try matrix(data["result"], question)
        case "vector":
            var rows: [(labels: [(String, String)], value: String)] = []
            for item in try data["result"].array() {
                let value = item["value"].value == nil ? "(histogram)" : try item["value"][1].string()
                rows.append((try labels(item["metric"]), value))
            }
            view = View(.table(table(rows)))
        default:
            let value = try data["result"][1].string()
            view = View(.text(value + "\n", json: .string(value)))
        }
        view.json = data.value
        return view
    }

    private static func labels(_ cursor: JSONCursor) throws(JSONTypeError) -> [(String, String)] {
        var labels: [(String, String)] = []
        for (name, value) in try cursor.members() { labels.append((name, try value.string())) }
        return labels
    }

    /// A column for each label that is not the same in all rows; what is the same stands in the title.
    private static func table(_ rows: [(labels: [(String, String)], value: String)]) -> View.Table {
        var names: [String] = []
        for row in rows { for (name, _) in row.labels where !names.contains(name) { names.append(name) } }
        names.sort()
        func value(_ row: (labels: [(String, String)], value: String), _ name: String) -> String {
            row.labels.first { $0.0 == name }?.1 ?? ""
        }
        var shown = rows.count < 2 ? names : names.filter { name in Set(rows.map { value($0, name) }).count > 1 }
        if shown.isEmpty, let first = names.first { shown = [first] }
        let columns = shown.map {
            View.Table.Column($0 == "__name__" ? "METRIC" : $0.uppercased(), key: $0, flexible: true)
        }
        return View.Table(
            columns + [.init("VALUE", key: "value", right: true)],
            rows: rows.map { row in shown.map { .text(value(row, $0)) } + [.text(short(row.value))] },
            whenEmpty: "no series")
    }

    /// Six significant digits, all of those before the point, and at most six behind it: more tells nobody anything.
    static func short(_ text: String) -> String {
        // Prometheus writes an alert's value as `0e+00`.
        let text = text.contains("e") ? Double(text).map { sampleText($0) } ?? text : text
        guard let value = Double(text), value.isFinite, abs(value) >= 0.001, abs(value) < 1e15, text.utf8.count > 7,
            value != value.rounded()
        else {
            return text
        }
        var places = 6
        var magnitude = abs(value)
        while magnitude >= 1, places > 0 {
            magnitude /= 10
            places -= 1
        }
        return trimmedDecimal(value, places: places)
    }

    // MARK: Exemplars

    /// What traces are called as labels of exemplars: by OpenTelemetry, and by older libraries.
    private static let traceLabels = ["trace_id", "traceID", "TraceID", "traceId"]

    /// The largest first: who asks wants to know what became of the slow ones.
    private static func exemplars(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var found: [(series: [(String, String)], labels: [(String, String)], value: Double, time: Double)] = []
        for item in try data.array() {
            let series = try labels(item["seriesLabels"])
            for exemplar in try item["exemplars"].array() {
                let value = Double(try exemplar["value"].string()) ?? .nan
                found.append((series, try labels(exemplar["labels"]), value, try exemplar["timestamp"].number()))
            }
        }
        found.sort { ($0.value, $0.time) > ($1.value, $1.time) }
        var names: [String] = []
        for row in found { for (name, _) in row.series where !names.contains(name) { names.append(name) } }
        func value(_ row: [(String, String)], _ name: String) -> String { row.first { $0.0 == name }?.1 ?? "" }
        let shown = names.sorted().filter { name in
            name == "le" || Set(found.map { value($0.series, name) }).count > 1
        }
        let rows = found.map { row -> [View.Cell] in
            let trace = row.labels.first { traceLabels.contains($0.0) }?.1
            let other = row.labels.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ", ")
            let time = LabTime(nanoseconds: Int64((min(max(row.time, 0), 9e9) * 1000).rounded()) * 1_000_000)
            return [View.Cell(time.timeOfDay, json: .string(time.description))]
                + shown.map { .text(value(row.series, $0)) }
                + [.text(short(sampleText(row.value))), .text(trace ?? other)]
        }
        var view = View(
            .table(
                .init(
                    [.init("TIME", key: "time")]
                        + shown.map {
                            .init($0 == "__name__" ? "METRIC" : $0.uppercased(), key: $0, flexible: $0 != "le")
                        } + [.init("VALUE", key: "value", right: true), .init("TRACE", key: "trace_id")],
                    rows: rows,
                    whenEmpty: "no exemplars: they are kept of requests that are traced, by pages in OpenMetrics")))
        view.json = data.value
        return view
    }

    // MARK: Curves

    private static let curveLimit = 8

    private static func matrix(_ result: JSONCursor, _ question: MetricsQuestion) throws(JSONTypeError) -> View {
        var view = View()
        let all = try result.array()
        if all.isEmpty { return View(.text("no series\n", json: .array([]))) }
        for item in all.prefix(curveLimit) {
            let labels = try labels(item["metric"])
            var points: [(time: Double, value: Double)] = []
            for point in try item["values"].array() {
                points.append((try point[0].number(), Double(try point[1].string()) ?? .nan))
            }
            view.parts.append(.text(title(labels) + "\n", json: .null))
            view.parts.append(
                Plot(.block).view(columns(points, question), moment: axis(question)) { trimmedDecimal($0, places: 3) })
        }
        if all.count > curveLimit {
            view.parts.append(
                .text("… and \(all.count - curveLimit) more; add a condition, or sum them\n", json: .null))
        }
        return view
    }

    /// When a column is; with the date where the range is longer than a day.
    private static func axis(_ question: MetricsQuestion) -> ((Int) -> String)? {
        guard case .range(_, let from, let through, let step) = question, step > .zero else { return nil }
        let isLong = through - from > .seconds(86_400)
        return { column in
            let time = from + step * column
            return isLong ? String(time.description.prefix(16)).replacing("T", with: " ") : time.timeOfDay
        }
    }

    /// A value for each of at most sixty moments; where there is none, nothing is drawn.
    private static func columns(_ points: [(time: Double, value: Double)], _ question: MetricsQuestion) -> [Double] {
        guard case .range(_, let from, let through, let step) = question, step > .zero else {
            return points.map(\.value)
        }
        let count = Int((through - from).nanoseconds / step.nanoseconds) + 1
        guard count > 0, count <= 100_000 else { return points.map(\.value) }
        var values = Array(repeating: Double.nan, count: count)
        let start = Double(from.nanoseconds / 1_000_000) / 1000
        for point in points {
            let index = ((point.time - start) / step.seconds).rounded()
            if index >= 0, index < Double(count) { values[Int(index)] = point.value }
        }
        return values
    }

    private static func title(_ labels: [(String, String)]) -> String {
        let name = labels.first { $0.0 == "__name__" }?.1 ?? ""
        let rest = labels.filter { $0.0 != "__name__" }.map { "\($0.0)=\"\($0.1)\"" }
        return rest.isEmpty ? (name.isEmpty ? "{}" : name) : "\(name){\(rest.joined(separator: ", "))}"
    }

    // MARK: Lists

    private static func words(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var words: [String] = []
        for item in try data.array() { words.append(try item.string()) }
        return View(.text(words.map { $0 + "\n" }.joined(), json: .array(words.map { .string($0) })))
    }

    private static func series(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var lines: [String] = []
        for item in try data.array() { lines.append(title(try labels(item))) }
        var view = View(.text(lines.map { $0 + "\n" }.joined(), json: .null))
        view.json = data.value
        return view
    }

    private static func targets(_ data: JSONCursor) throws(JSONTypeError) -> View {
        var rows: [[View.Cell]] = []
        for item in try data["activeTargets"].array() {
            let health = try item["health"].string()
            let labels = item["labels"]
            rows.append([
                .text(try labels["job"].string()), .text(try labels["instance"].string()),
                .text(health, style: health == "up" ? .good : health == "down" ? .bad : .plain),
                .text(try item["scrapeUrl"].string()),
                .text(try item["lastError"].string()),
            ])
        }
        return View(
            .table(
                .init(
                    [
                        .init("JOB", key: "job", flexible: true), .init("INSTANCE", key: "instance", flexible: true),
                        .init("HEALTH", key: "health"), .init("URL", key: "url", flexible: true),
                        .init("ERROR", key: "error", flexible: true),
                    ], rows: rows, whenEmpty: "no targets")))
    }

    private static func cardinality(_ data: JSONCursor) throws(JSONTypeError) -> View {
        let head = data["headStats"]
        var view = View(
            .record([
                .init("series", key: "series", .integer(try head["numSeries"].integer())),
                .init("chunks", key: "chunks", .integer(try head["chunkCount"].integer())),
                .init("label pairs", key: "label_pairs", .integer(try head["numLabelPairs"].integer())),
            ]))
        let lists = [
            ("METRIC", "SERIES", "seriesCountByMetricName"), ("LABEL", "VALUES", "labelValueCountByLabelName"),
            ("LABEL", "BYTES", "memoryInBytesByLabelName"), ("PAIR", "SERIES", "seriesCountByLabelValuePair"),
        ]
        for (name, count, key) in lists {
            var rows: [[View.Cell]] = []
            for row in try data[key].array() {
                rows.append([.text(try row["name"].string()), .integer(try row["value"].integer())])
            }
            view.parts.append(
                .table(
                    .init(
                        [.init(name, key: "name", flexible: true), .init(count, key: "value", right: true)], rows: rows,
                        whenEmpty: "nothing")))
        }
        view.json = data.value
        return view
    }
}
