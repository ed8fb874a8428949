/// A word of LogQL, with its place in the text.
struct LogToken: Sendable {
    enum Kind: Equatable, Sendable {
        case end
        case identifier
        case string
        case number
        case duration
        case bytes
        /// `--strict`, `--keep-empty`
        case flag
        case symbol(Symbol)
    }

    enum Symbol: String, Sendable, CaseIterable {
        // Longest first: the lexer takes the first that fits.
        case containsLine = "|="
        case matchesLine = "|~"
        case matchesPattern = "|>"
        case doesNotMatchPattern = "!>"
        case notEqual = "!="
        case doesNotMatch = "!~"
        case matches = "=~"
        case isEqual = "=="
        case atMost = "<="
        case atLeast = ">="
        case pipe = "|"
        case assign = "="
        case less = "<"
        case greater = ">"
        case leftParenthesis = "("
        case rightParenthesis = ")"
        case leftBrace = "{"
        case rightBrace = "}"
        case leftBracket = "["
        case rightBracket = "]"
        case comma = ","
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case modulo = "%"
        case power = "^"
    }

    var kind: Kind
    /// As it was written; of a string what it says.
    var text: String
    /// In bytes.
    var range: Range<Int>

    /// As Loki names it in an error.
    var description: String {
        switch kind {
        case .end: "$end"
        case .identifier:
            Self.keywords.contains(text) ? text : "IDENTIFIER"
        case .string: "STRING"
        case .number: "NUMBER"
        case .duration: "DURATION"
        case .bytes: "BYTES"
        case .flag: "PARSER_FLAG"
        case .symbol(let symbol): symbol.rawValue
        }
    }

    /// Words with a meaning of their own, which errors call by their names.
    private static let keywords: Set<String> = [
        "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "and", "or", "unless",
        "json", "logfmt", "regexp", "pattern", "unpack", "unwrap", "line_format", "label_format", "decolorize",
        "drop", "keep", "rate", "count_over_time", "sum", "avg", "min", "max", "count", "topk", "bottomk", "sort",
    ]
}
