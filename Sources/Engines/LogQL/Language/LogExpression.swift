import KernelRegularExpressions
import KernelStructures
import PromQLEngine
import TimeSeriesEngine

/// Which streams, and what becomes of each of their lines: `{app="web"} |= "error" | json | status >= 500`.
struct LogPipeline: Sendable {
    var matchers: [LabelMatcher] = []
    var stages: [LogStage] = []
}

/// A step on a line's way. Each may drop the line, change its text, or change its labels.
enum LogStage: Sendable {
    case lineFilter(LineFilter)
    /// Members as labels; all of them where no extraction is named.
    case json([LabelExtraction])
    case logfmt(isStrict: Bool, keepsEmpty: Bool, [LabelExtraction])
    case regexp(LineExpression)
    case pattern(LinePattern)
    case unpack
    case labelFilter(LabelFilter)
    case lineFormat(LabelTemplate)
    case labelFormat([LabelAssignment])
    case decolorize
    case drop([LabelSelection])
    case keep([LabelSelection])
    /// The lab's own: the seed's syntax as a stage, `| search "level:error AND timeout"`.
    case search(SearchQuery)
    /// The lab's own: these members of a JSON or logfmt line as labels.
    case fields([String])

    /// Whether lines behind it are still those that are stored, so that an index can help to find them.
    var keepsLine: Bool {
        switch self {
        case .lineFormat, .decolorize, .unpack: false
        default: true
        }
    }
}

/// `|= "a" or "b"`: what stands in the line itself.
struct LineFilter: Sendable {
    enum Operation: String, Sendable {
        case contains = "|="
        case doesNotContain = "!="
        case matches = "|~"
        case doesNotMatch = "!~"
        case matchesPattern = "|>"
        case doesNotMatchPattern = "!>"

        var isNegated: Bool { self == .doesNotContain || self == .doesNotMatch || self == .doesNotMatchPattern }
    }

    enum Needle: Sendable {
        case text([UInt8])
        case expression(RegularExpression)
        case pattern(LinePattern)
        case address(AddressPattern)
    }

    var operation: Operation
    /// One of them is enough; of a negated filter none may be there.
    var needles: [Needle]
}

/// `| json status="response.code"`: a label and where its value stands.
struct LabelExtraction: Sendable {
    var label: String
    var path: [JSONPathStep]
    /// As it was written.
    var source: String
}

/// `| label_format a=b, c="{{.d}}"`
struct LabelAssignment: Sendable {
    enum Source: Sendable {
        /// The label of that name, which ceases to be.
        case label(String)
        case template(LabelTemplate)
    }

    var label: String
    var source: Source
}

/// What `drop` and `keep` name: a label, or a label with a value.
struct LabelSelection: Sendable {
    var name: String
    var matcher: LabelMatcher?
}

/// `| status >= 500 and (method="GET" or latency > 10s)`
indirect enum LabelFilter: Sendable {
    enum Comparison: String, Sendable {
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case atMost = "<="
        case greater = ">"
        case atLeast = ">="
    }

    enum Quantity: Sendable {
        case number(Double)
        case durationNanoseconds(Int64)
        case bytes(Double)
    }

    case text(LabelMatcher)
    case quantity(name: String, Comparison, Quantity)
    case address(name: String, isEqual: Bool, AddressPattern)
    case all([LabelFilter])
    case any([LabelFilter])
}

/// `| unwrap duration(latency) | __error__=""`: the label that is a line's number.
struct Unwrap: Sendable {
    enum Conversion: String, Sendable {
        case none = ""
        case duration, bytes
        case durationSeconds = "duration_seconds"
    }

    var label: String
    var conversion: Conversion
    var filters: [LabelFilter] = []
}

/// A number from the lines of a stretch of time: `rate({app="web"} |= "error" [5m])`.
struct RangeAggregation: Sendable {
    enum Operation: String, Sendable, CaseIterable {
        case rate
        case rateCounter = "rate_counter"
        case countOverTime = "count_over_time"
        case bytesRate = "bytes_rate"
        case bytesOverTime = "bytes_over_time"
        case absentOverTime = "absent_over_time"
        case sumOverTime = "sum_over_time"
        case avgOverTime = "avg_over_time"
        case minOverTime = "min_over_time"
        case maxOverTime = "max_over_time"
        case firstOverTime = "first_over_time"
        case lastOverTime = "last_over_time"
        case stdvarOverTime = "stdvar_over_time"
        case stddevOverTime = "stddev_over_time"
        case quantileOverTime = "quantile_over_time"
    }

    var operation: Operation
    var pipeline: LogPipeline
    var unwrap: Unwrap?
    var rangeNanoseconds: Int64
    var offsetNanoseconds: Int64 = 0
    var hasOffset = false
    var grouping: Grouping?
    /// Of `quantile_over_time`.
    var quantile: Double = 0
}

/// `by (a, b)` or `without (a)`
struct Grouping: Sendable {
    var labels: [String]
    var isWithout: Bool
}

/// A number for each series at a moment.
struct MetricExpression: Sendable {
    indirect enum Node: Sendable {
        case number(Double)
        case range(RangeAggregation)
        /// `vector(1)`
        case vector(Double)
        case aggregation(String, parameter: Int?, Grouping?, MetricExpression)
        case binary(String, returnsBool: Bool, MetricMatching?, MetricExpression, MetricExpression)
        case labelReplace(MetricExpression, [String])
        case parentheses(MetricExpression)
    }

    var node: Node
    /// Levels of expressions, this one included: what walking over it costs of the stack.
    var depth = 1

    static let aggregations: Set<String> = [
        "sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "sort", "sort_desc",
        approximateTop,
    ]

    /// See `LogQLExpression.reachNanoseconds`.
    var reachNanoseconds: Int64 {
        switch node {
        case .number, .vector: return 0
        case .range(let range):
            let (sum, isTooLarge) = range.rangeNanoseconds.addingReportingOverflow(range.offsetNanoseconds)
            return isTooLarge ? 4_000_000_000_000_000_000 : min(max(0, sum), 4_000_000_000_000_000_000)
        case .aggregation(_, _, _, let inner), .labelReplace(let inner, _), .parentheses(let inner):
            return inner.reachNanoseconds
        case .binary(_, _, _, let left, let right): return max(left.reachNanoseconds, right.reachNanoseconds)
        }
    }

    /// Loki answers it from a sketch that may be wrong; exactly is near enough.
    static let approximateTop = "approx_topk"
}

/// `on (a) group_left (b)`
struct MetricMatching: Sendable {
    var isOn: Bool
    var labels: [String]
    /// `group_left` or `group_right`, empty for neither.
    var group = ""
    var included: [String] = []
}

/// A regular expression with names for its groups: `(?P<method>\w+) (?P<path>\S+)`.
struct LineExpression: Sendable {
    let expression: RegularExpression
    /// Label and number of the group.
    let groups: [(name: String, number: Int)]

    /// - Returns: the message instead, for what has no named group.
    init(_ pattern: String) throws(RegularExpressionError) {
        expression = try RegularExpression(pattern)
        var groups: [(name: String, number: Int)] = []
        var rest = pattern[...]
        while let open = rest.range(of: "(?P<") ?? rest.range(of: "(?<") {
            rest = rest[open.upperBound...]
            guard let close = rest.firstIndex(of: ">") else { break }
            let name = String(rest[..<close])
            if let number = expression.groupNumber(name) { groups.append((name, number)) }
        }
        self.groups = groups
    }
}

extension Substring {
    /// The first place of `text`.
    func range(of text: String) -> Range<Index>? { ranges(of: text).first }
}
