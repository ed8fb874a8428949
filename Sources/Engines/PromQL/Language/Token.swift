/// A word of the language, with its place in the text.
struct Token: Sendable {
    enum Kind: Equatable, Sendable {
        case end
        case identifier
        /// With a colon in it, which labels may not have.
        case metricIdentifier
        case string
        case number
        case duration
        case leftParenthesis, rightParenthesis, leftBrace, rightBrace, leftBracket, rightBracket
        case comma, colon, at
        /// `=` and `=~`, `!~`; `!=` is an operator.
        case assign, matchesExpression, doesNotMatchExpression
        case binary(BinaryOperator)
        case aggregation(AggregationOperator)
        case keyword(Keyword)
    }

    enum Keyword: String, Sendable, CaseIterable {
        case offset, by, without, on, ignoring
        case groupLeft = "group_left"
        case groupRight = "group_right"
        case bool, start, end
    }

    var kind: Kind
    /// As it was written; of a string what it says.
    var text: String
    /// In bytes.
    var range: Range<Int>

    /// As Prometheus names it in an error.
    var description: String {
        switch kind {
        case .end: "end of input"
        case .identifier: "identifier \(quotedByGo(text))"
        case .metricIdentifier: "metric identifier \(quotedByGo(text))"
        case .string: "string \(shortened)"
        case .number: "number \(shortened)"
        case .duration: "duration \(shortened)"
        case .leftParenthesis: "\"(\""
        case .rightParenthesis: "\")\""
        case .leftBrace: "\"{\""
        case .rightBrace: "\"}\""
        case .leftBracket: "\"[\""
        case .rightBracket: "\"]\""
        case .comma: "\",\""
        case .colon: "\":\""
        case .at: "<op:@>"
        case .assign: "\"=\""
        case .matchesExpression: "<op:=~>"
        case .doesNotMatchExpression: "<op:!~>"
        case .binary: "<op:\(text)>"
        case .aggregation: "<aggr:\(text)>"
        case .keyword: "<\(text)>"
        }
    }

    private var shortened: String {
        text.utf8.count > 10 ? quotedByGo(String(text.prefix(10))) + "..." : quotedByGo(text)
    }

    /// The keywords, which no capital letter hides.
    static func keyword(_ word: String) -> Kind? {
        let word = word.lowercased()
        if let keyword = Keyword(rawValue: word) { return .keyword(keyword) }
        if let aggregation = AggregationOperator(rawValue: word) { return .aggregation(aggregation) }
        switch word {
        case "and", "or", "unless", "atan2": return BinaryOperator(rawValue: word).map { .binary($0) }
        case "inf", "nan": return .number
        default: return nil
        }
    }
}

/// A text in quotation marks as Go's `%q` writes it.
public func quotedByGo(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        case "\n": out += "\\n"
        case "\r": out += "\\r"
        case "\t": out += "\\t"
        case _ where scalar.value < 0x20 || scalar.value == 0x7F:
            let digits = String(scalar.value, radix: 16)
            out += "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits
        default: out.unicodeScalars.append(scalar)
        }
    }
    return out + "\""
}
