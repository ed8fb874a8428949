import LogModelEngine
import PromQLEngine
import TimeSeriesEngine

/// LogQL: questions about lines.
///
/// ## The problem
///
/// A hundred services write ten thousand lines a second, each in a form of its own. At three in the morning somebody
/// wants the one line that explains it all, and the next day somebody wants to know how often it came, by service, all
/// last week. The first question reads much and shows little; the second must not even keep what it has read.
///
/// ## An everyday picture
///
/// A sorting office. Sacks of letters (*streams*) are labelled by where they came from, so most of them need not be
/// opened. What is opened goes over a belt with stations (*stages*): one throws away what does not say "urgent", the
/// next reads the sender off the envelope and writes it on a tag, the next looks at the tags. At the end of the belt
/// either the letters are laid out in the order of their dates, or somebody makes strokes on a sheet with a column for
/// each hour, and the letters are gone.
///
/// ## How
///
/// `LogParser` makes a plan of the text: conditions on labels, stages, and perhaps arithmetic on top. The seed's own
/// syntax (`level:error AND timeout`) is a stage like any other, so there is one plan and one way to carry it out. From
/// the stages a `LogHint` is derived, by which the store leaves out what cannot have such lines. `LogQLRun` pulls chunk
/// after chunk through the stages and stops now and then, so that a long query is a row of short ones to whoever else
/// uses the loop. Numbers are gathered by `RangeFold`, which keeps a few figures for each stretch of time between two
/// edges of windows, never the lines. What stands above (sums by label, quotients of two series) is PromQL's business
/// and is done by its evaluator.
///
/// The language is Loki's (its documentation of LogQL; errors in its words).
///
/// ## Where it is wrong
///
/// The hint takes it that nobody writes plain letters as escapes: a JSON line with `"\u0065rror"` for `error` may be
/// left out by the store where `| json | level="error"` asks for it. Windows have edges at whole milliseconds.
public struct LogQLExpression: Sendable, CustomStringConvertible {
    enum Root: Sendable {
        case log(LogPipeline)
        case metric(MetricExpression)
    }

    let root: Root

    /// - Throws: `LogQLError` with the place of what is wrong.
    public init(parsing text: String) throws(LogQLError) { root = try LogParser.parse(text) }

    /// From the seed's syntax, `level:error AND service:payment`.
    ///
    /// - Throws: `LogQLError` with the place of what is wrong.
    public init(searching text: String) throws(LogQLError) {
        root = .log(LogPipeline(stages: [.search(try SearchQuery(parsing: text))]))
    }

    /// From either: what begins with a selector or a function is LogQL, and so is a sum of numbers (`1+1`, which
    /// clients ask to see whether somebody is there); everything else is a search.
    public init(anyOf text: String) throws(LogQLError) {
        if Self.isLogQL(text) || Self.isArithmetic(text) && (try? LogParser.parse(text)) != nil {
            try self.init(parsing: text)
        } else {
            try self.init(searching: text)
        }
    }

    /// Numbers with something between them. A minus or a slash counts only between blanks: `2024-01-15` and `1/2` are
    /// things to look for, as `404` is.
    private static func isArithmetic(_ text: String) -> Bool {
        guard text.utf8.allSatisfy({ $0 &- 48 < 10 || " .()+-*/%^".utf8.contains($0) }),
            text.utf8.contains(where: { $0 &- 48 < 10 })
        else { return false }
        return text.utf8.contains { "+*%^".utf8.contains($0) } || text.contains(" - ") || text.contains(" / ")
    }

    /// Whether a text is meant as LogQL.
    public static func isLogQL(_ text: String) -> Bool {
        let text = text.drop { $0.isWhitespace || $0 == "(" }
        guard let first = text.first else { return false }
        if first == "{" || first == "#" { return true }
        let word = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let isFunction =
            MetricExpression.aggregations.contains(String(word))
            || RangeAggregation.Operation(rawValue: String(word)) != nil
            || word == "vector" || word == "label_replace"
        let rest = text.dropFirst(word.count).drop { $0.isWhitespace }
        return isFunction && (rest.first == "(" || rest.hasPrefix("by") || rest.hasPrefix("without"))
    }

    /// Whether it gives numbers instead of lines.
    public var isMetric: Bool {
        if case .metric = root { return true }
        return false
    }

    /// Whether it reads members of its lines as labels: whoever does wants to see more of them than their messages.
    public var parsesLines: Bool {
        guard case .log(let pipeline) = root else { return false }
        return pipeline.stages.contains { stage in
            switch stage {
            case .json, .logfmt, .regexp, .pattern, .unpack, .fields: true
            default: false
            }
        }
    }

    /// How far before its own time it looks: the longest range with its offset; 0 for lines. Nanoseconds.
    public var reachNanoseconds: Int64 {
        if case .metric(let metric) = root { return metric.reachNanoseconds }
        return 0
    }

    /// The expression in the one form for all its spellings, on one line.
    public var description: String {
        switch root {
        case .log(let pipeline): pipeline.text
        case .metric(let metric): metric.text
        }
    }

    /// As `description`, over several lines where it is long: what `format_query` answers.
    public var formatted: String {
        switch root {
        case .log(let pipeline): pipeline.pretty()
        case .metric(let metric): metric.pretty()
        }
    }
}

/// A selector by itself, as `match[]` has it: `{app=~"web.*"}`.
public enum LogQLSelector {
    /// - Throws: `LogQLError` for what is no selector.
    public static func parse(_ text: String) throws(LogQLError) -> [LabelMatcher] {
        var parser = try LogParser(text)
        let matchers = try parser.selector()
        guard parser.current.kind == .end else { throw parser.unexpected() }
        return matchers
    }
}
