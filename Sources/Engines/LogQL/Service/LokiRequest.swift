import KernelHosting
import KernelStructures
import KernelWire
import LogModelEngine
import LogQLEngine
import TimeSeriesEngine

/// The parameters of a request to Loki's API, from its query and its form.
struct LokiRequest {
    private var items: [HTTPQuery.Item] = []
    /// Nanoseconds since 1970.
    let now: Int64
    /// Whether Grafana has asked for labels by where they come from.
    let isCategorized: Bool

    init(_ exchange: HTTPExchange, now: Int64) throws {
        self.now = now
        let flags = exchange.field("X-Loki-Response-Encoding-Flags")?.split(separator: ",") ?? []
        isCategorized = flags.contains { $0.drop { $0 == " " } == Self.categorizeLabels }
        items = try exchange.query().items
        let type = exchange.field("Content-Type")?.lowercased() ?? ""
        if exchange.method == .post, type.hasPrefix("application/x-www-form-urlencoded") {
            items = try exchange.form().items + items
        }
    }

    static let categorizeLabels = "categorize-labels"

    subscript(name: String) -> String? {
        items.first { $0.name == name }.flatMap { $0.value.isEmpty ? nil : $0.value }
    }

    func all(_ names: [String]) -> [String] { items.filter { names.contains($0.name) }.map(\.value) }

    /// The query, in either syntax.
    func expression() throws -> LogQLExpression {
        guard let text = self["query"] else { throw LokiProblem(400, "the parameter query is missing") }
        return try LogQLExpression(anyOf: text)
    }

    /// The selector in `query`; all streams where there is none.
    func selector() throws -> [LabelMatcher] {
        guard let text = self["query"], text != "{}" else { return [] }
        return try LogQLSelector.parse(text)
    }

    /// Nanoseconds since 1970 as a whole number, seconds with a fraction or with ten digits at most, or RFC 3339.
    func moment(_ name: String) throws -> Int64? {
        guard let text = self[name] else { return nil }
        if let whole = Int64(text) {
            // Ten digits are seconds, until the year 2262.
            if text.utf8.count > 10 { return whole }
            let (nanoseconds, isTooLarge) = whole.multipliedReportingOverflow(by: 1_000_000_000)
            return isTooLarge ? Int64.max : nanoseconds
        }
        if let seconds = Double(text), seconds.isFinite, abs(seconds) < 9e9 {
            return Int64((seconds * 1e6).rounded()) * 1000
        }
        if let time = LabTime(parsing: text) { return time.nanoseconds }
        throw LokiProblem(
            400, "could not parse '\(name)' parameter: \"\(text)\" is no time; write nanoseconds, seconds or RFC 3339")
    }

    /// Seconds, or a duration such as `1m30s`; in nanoseconds.
    func duration(_ name: String) throws -> Int64? {
        guard let text = self[name] else { return nil }
        if let seconds = Double(text), seconds.isFinite, abs(seconds) < 9e9 { return Int64(seconds * 1e9) }
        if let milliseconds = try? PrometheusDuration.parse(text), milliseconds < 9_000_000_000_000 {
            return milliseconds * 1_000_000
        }
        throw LokiProblem(400, "could not parse '\(name)' parameter: \"\(text)\" is no duration")
    }

    /// The end of windows that are to have what came at this very moment: they end at whole milliseconds.
    var endOfNow: Int64 { (now + 999_999) / 1_000_000 * 1_000_000 }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws -> Int? {
        guard let text = self[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw LokiProblem(
                400,
                "could not parse '\(name)' parameter: \"\(text)\" is no number from \(range.lowerBound) to "
                    + "\(range.upperBound)")
        }
        return number
    }

    /// `start`, `end` and `since`: the last hour where they are absent, with what came at this very moment, although an
    /// end does not belong to its range.
    func times() throws -> (from: Int64, through: Int64) {
        let limit: Int64 = 4_000_000_000_000_000_000
        let through = min(max(try moment("end") ?? now + 1, -limit), limit)
        // Bounded, so that no difference leaves 64 bits.
        let since = min(max(0, try duration("since") ?? 3_600_000_000_000), limit)
        let from = min(max(try moment("start") ?? through - since, -limit), limit)
        guard from <= through else {
            throw LokiProblem(400, "end timestamp must not be before or equal to start time")
        }
        return (from, through)
    }

    /// Of lines, or of numbers at each step.
    func range() throws -> LogQLRequest {
        let (from, through) = try times()
        var request = LogQLRequest(from: from, through: through)
        // As Loki has it: 250 points, and at least a second between them.
        let step = try duration("step") ?? max(1, (through - from) / 1_000_000_000 / 250) * 1_000_000_000
        guard step > 0 else {
            throw LokiProblem(
                400, "zero or negative query resolution step widths are not accepted. Try a positive integer")
        }
        request.stepNanoseconds = step
        request.limit = try integer("limit", 0...Int.max) ?? 100
        request.direction = try direction()
        request.isCategorized = isCategorized
        return request
    }

    private func direction() throws -> LogMerge.Direction {
        switch self["direction"]?.lowercased() {
        case nil, "backward": .backward
        case "forward": .forward
        case let other?:
            throw LokiProblem(400, "invalid direction '\(other)'; it is forward or backward")
        }
    }
}
