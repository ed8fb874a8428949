import KernelRegularExpressions
import PromQLEngine
import TimeSeriesEngine

/// From text to query: recursive descent, with Loki's words for what is wrong.
///
/// How deep expressions may lie in one another is bounded, and so is whatever walks over them later.
struct LogParser {
    private var lexer: LogLexer
    private(set) var current: LogToken
    private var following: LogToken?
    /// Where the last token ended.
    private(set) var lastEnd = 0

    static let textLimitBytes = 65_536
    static let depthLimit = 80
    /// Stages of a pipeline.
    static let stageLimit = 200

    init(_ text: String) throws(LogQLError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.textLimitBytes else {
            throw LogQLError(.badRequest, "the query is longer than \(Self.textLimitBytes) bytes")
        }
        lexer = LogLexer(bytes)
        current = try lexer.next()
    }

    /// The whole text as one query.
    static func parse(_ text: String) throws(LogQLError) -> LogQLExpression.Root {
        var parser = try LogParser(text)
        let root: LogQLExpression.Root
        if try parser.startsSelector() {
            root = .log(try parser.pipeline(1))
        } else {
            root = .metric(try parser.metric(0, 1))
        }
        guard parser.current.kind == .end else { throw parser.unexpected() }
        return root
    }

    /// Whether a selector begins here, perhaps in parentheses.
    private func startsSelector() throws(LogQLError) -> Bool {
        var copy = self
        var depth = 0
        while copy.current.kind == .symbol(.leftParenthesis) {
            depth += 1
            try checkDepth(depth)
            try copy.advance()
        }
        guard copy.current.kind == .symbol(.leftBrace) else { return false }
        return true
    }

    // MARK: Tokens and errors

    mutating func advance() throws(LogQLError) {
        lastEnd = current.range.upperBound
        if let following {
            current = following
            self.following = nil
        } else {
            current = try lexer.next()
        }
    }

    mutating func peek() throws(LogQLError) -> LogToken {
        if let following { return following }
        let token = try lexer.next()
        following = token
        return token
    }

    /// Takes the symbol if it stands here.
    mutating func take(_ symbol: LogToken.Symbol) throws(LogQLError) -> Bool {
        guard current.kind == .symbol(symbol) else { return false }
        try advance()
        return true
    }

    /// Takes the word if it stands here.
    mutating func take(word: String) throws(LogQLError) -> Bool {
        guard current.kind == .identifier, current.text == word else { return false }
        try advance()
        return true
    }

    mutating func expect(_ symbol: LogToken.Symbol) throws(LogQLError) {
        guard try take(symbol) else { throw unexpected(expecting: symbol.rawValue) }
    }

    mutating func identifier() throws(LogQLError) -> String {
        guard current.kind == .identifier else { throw unexpected(expecting: "IDENTIFIER") }
        defer { lastEnd = current.range.upperBound }
        let name = current.text
        try advance()
        return name
    }

    mutating func string() throws(LogQLError) -> String {
        guard current.kind == .string else { throw unexpected(expecting: "STRING") }
        let text = current.text
        try advance()
        return text
    }

    func error(_ message: String, at place: Int? = nil) -> LogQLError {
        LogQLError(in: lexer.bytes, at: place ?? current.range.lowerBound, message)
    }

    func unexpected(expecting: String = "") -> LogQLError {
        error(
            "syntax error: unexpected \(current.description)" + (expecting.isEmpty ? "" : ", expecting \(expecting)"))
    }

    func checkDepth(_ depth: Int) throws(LogQLError) {
        if depth > Self.depthLimit { throw error("expression nested deeper than \(Self.depthLimit) levels") }
    }

    /// The result of `body`, whose regular expression stood at `place`.
    func expression<R>(
        at place: Int, _ body: () throws(RegularExpressionError) -> R
    ) throws(LogQLError) -> R {
        do throws(RegularExpressionError) {
            return try body()
        } catch let problem {
            throw error("error parsing regexp: \(problem)", at: place)
        }
    }

    // MARK: Selectors

    /// A selector with its stages, perhaps in parentheses. `unwrap` is not among them.
    mutating func pipeline(_ depth: Int) throws(LogQLError) -> LogPipeline {
        try checkDepth(depth)
        if try take(.leftParenthesis) {
            let inner = try pipeline(depth + 1)
            try expect(.rightParenthesis)
            return inner
        }
        let start = current.range.lowerBound
        var pipeline = LogPipeline(matchers: try selector())
        while let stage = try stage(pipeline.stages.count) { pipeline.stages.append(stage) }
        try checkSelector(pipeline, at: start)
        return pipeline
    }

    /// Of all streams only a search may ask: it has an index to find its lines by.
    func checkSelector(_ pipeline: LogPipeline, at place: Int) throws(LogQLError) {
        if pipeline.matchers.contains(where: { !$0.matchesEmpty }) { return }
        for case .search in pipeline.stages { return }
        throw error(
            "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
                + "For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will", at: place)
    }

    /// `{app="web", env!~"dev|test"}`
    mutating func selector() throws(LogQLError) -> [LabelMatcher] {
        try expect(.leftBrace)
        var matchers: [LabelMatcher] = []
        while current.kind != .symbol(.rightBrace) {
            let name = try identifier()
            guard let kind = matcherKind() else { throw unexpected(expecting: "= or != or =~ or !~") }
            try advance()
            let place = current.range.lowerBound
            let value = try string()
            matchers.append(
                try expression(at: place) { () throws(RegularExpressionError) in
                    try LabelMatcher(name, kind, value)
                })
            if try take(.comma) {
                guard current.kind == .identifier else { throw unexpected(expecting: "IDENTIFIER") }
                continue
            }
            guard current.kind == .symbol(.rightBrace) else { throw unexpected(expecting: "} or ,") }
        }
        try advance()
        return matchers
    }

    func matcherKind() -> LabelMatcher.Kind? {
        switch current.kind {
        case .symbol(.assign): .equal
        case .symbol(.notEqual): .notEqual
        case .symbol(.matches): .matches
        case .symbol(.doesNotMatch): .doesNotMatch
        default: nil
        }
    }

    /// `(a, b)`
    mutating func labelList() throws(LogQLError) -> [String] {
        try expect(.leftParenthesis)
        var labels: [String] = []
        while current.kind != .symbol(.rightParenthesis) {
            labels.append(try identifier())
            if try take(.comma) { continue }
            guard current.kind == .symbol(.rightParenthesis) else { throw unexpected(expecting: ", or )") }
        }
        try advance()
        return labels
    }

    /// A number with its sign.
    mutating func signedNumber() throws(LogQLError) -> Double {
        let isNegative = try take(.subtract)
        if !isNegative { _ = try take(.add) }
        guard current.kind == .number else { throw unexpected(expecting: "NUMBER") }
        guard let value = Double(current.text.hasPrefix(".") ? "0" + current.text : current.text), value.isFinite
        else { throw error("syntax error: \(quotedByGo(current.text)) is no number") }
        try advance()
        return isNegative ? -value : value
    }
}
