import KernelStructures
import KernelWire
import LogQLEngine

/// What is asked of a store of logs, and how its API is asked.
struct LogQuestion {
    enum Kind: Equatable {
        case lines
        case numbers
        /// By a field, or all in one.
        case count(String?)
        case patterns
        case statistics
    }

    let expression: LogQLExpression
    /// As it was typed.
    let text: String
    let from: LabTime
    let through: LabTime
    /// Whether it is to be everything until now: what comes at this very moment belongs to it.
    var isOpenEnded = false
    var kind = Kind.lines
    var limit = 1_000
    /// Between two values of a metric query; nil for one value.
    var step: LabDuration?
    var explains = false
    var showsStatistics = false
    var showsLabels = false

    init(expression: LogQLExpression, text: String, from: LabTime, through: LabTime) {
        self.expression = expression
        self.text = text
        self.from = from
        self.through = through
    }

    /// Has labels that only single lines have told apart from their stream's: an answer keeps the order of a stream's
    /// lines, and of lines with different labels it would not.
    static let fieldsForOrder: [(name: String, value: String)] = [
        ("X-Loki-Response-Encoding-Flags", "categorize-labels")
    ]

    static func isField(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(48...57).contains(first) else { return false }
        return name.utf8.allSatisfy { $0 == 0x5F || (48...57).contains($0) || (97...122).contains($0 | 0x20) }
    }

    /// Path and query.
    var target: String {
        let range: [(name: String, value: String?)] = [
            ("start", String(from.nanoseconds)), ("end", String(end)),
        ]
        switch kind {
        case .lines:
            return "/loki/api/v1/query_range"
                + HTTPQuery.text(
                    [("query", text)] + range + [("limit", String(limit)), ("direction", "backward")])
        case .numbers:
            guard let step else { return instant(text) }
            return "/loki/api/v1/query_range"
                + HTTPQuery.text([("query", text)] + range + [("step", fixedDecimal(step.seconds, places: 3))])
        case .count(let field): return instant(countQuery(field))
        case .patterns: return "/loki/api/v1/patterns" + HTTPQuery.text([("query", text)] + range)
        case .statistics: return instant(countQuery(nil, "count_over_time"))
        }
    }

    /// Ranges of lines stop before their end.
    private var end: Int64 { isOpenEnded ? through.nanoseconds + 1 : through.nanoseconds }
    /// Windows stop at their end, which is a whole millisecond.
    private var windowEnd: Int64 {
        isOpenEnded ? (through.nanoseconds + 999_999) / 1_000_000 * 1_000_000 : through.nanoseconds
    }

    /// Where those who follow ask.
    var tailTarget: String {
        "/loki/api/v1/tail"
            + HTTPQuery.text([
                ("query", text), ("start", String(from.nanoseconds)), ("limit", String(limit)),
            ])
    }

    private func instant(_ query: String) -> String {
        "/loki/api/v1/query" + HTTPQuery.text([("query", query), ("time", String(windowEnd))])
    }

    /// The lines counted, as a metric query.
    private func countQuery(_ field: String?, _ function: String = "count_over_time") -> String {
        let milliseconds = max(1, (windowEnd - from.nanoseconds) / 1_000_000)
        let lines = expression.description
        guard let field else { return "sum(\(function)(\(lines) [\(milliseconds)ms]))" }
        // A query in LogQL with a parser has its labels already, and a real Loki does not know `fields`.
        if LogQLExpression.isLogQL(text), lines.contains("| json") || lines.contains("| logfmt") {
            return "sum by (\(field)) (\(function)(\(lines) [\(milliseconds)ms]))"
        }
        return "sum by (\(field)) (\(function)(\(lines) | fields \(field) [\(milliseconds)ms]))"
    }
}
