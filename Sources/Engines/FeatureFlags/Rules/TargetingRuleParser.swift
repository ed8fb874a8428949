import KernelRegularExpressions
import KernelStructures

/// Reads a rule by recursive descent: one function a line of the grammar, one word ahead.
struct TargetingRuleParser {
    /// Parentheses and negations within one another.
    static let depthLimit = 64

    private var lexer: TargetingRuleLexer
    private var token: RuleToken
    private var place: Int
    private var depth = 0

    private static let keywords: Set<String> = ["and", "or", "not", "in", "true", "false"]
    private static let operators = [
        "contains", "startsWith", "endsWith", "matches", "before", "after", "within", "in", "not in",
    ]

    init(_ text: String) throws(TargetingRuleError) {
        lexer = try TargetingRuleLexer(text)
        (token, place) = try lexer.next()
    }

    /// The whole of it.
    mutating func rule() throws(TargetingRuleError) -> TargetingRule {
        if token == .end { throw error("there is nothing; write a rule such as user.country == \"US\"") }
        let rule = try anyOf()
        if token != .end {
            throw error("\(token.shown) does not go on with the rule; 'and', 'or' or its end would")
        }
        return rule
    }

    private func error(_ problem: String) -> TargetingRuleError { lexer.error(problem, at: place) }

    private mutating func advance() throws(TargetingRuleError) { (token, place) = try lexer.next() }

    private mutating func accept(_ words: RuleToken...) throws(TargetingRuleError) -> Bool {
        guard words.contains(token) else { return false }
        try advance()
        return true
    }

    // MARK: Logic

    private mutating func anyOf() throws(TargetingRuleError) -> TargetingRule {
        var rules = [try allOf()]
        while try accept(.word("or"), .symbol("||")) { rules.append(try allOf()) }
        return rules.count == 1 ? rules[0] : .any(rules)
    }

    private mutating func allOf() throws(TargetingRuleError) -> TargetingRule {
        var rules = [try one()]
        while try accept(.word("and"), .symbol("&&")) { rules.append(try one()) }
        return rules.count == 1 ? rules[0] : .all(rules)
    }

    private mutating func one() throws(TargetingRuleError) -> TargetingRule {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit { throw error("more than \(Self.depthLimit) parentheses within one another") }
        if try accept(.word("not"), .symbol("!")) { return .not(try one()) }
        let start = place
        if try accept(.symbol("(")) {
            let rule = try anyOf()
            guard try accept(.symbol(")")) else {
                if token == .end { throw lexer.error("this parenthesis is not closed", at: start) }
                throw error("expected ')', 'and' or 'or' instead of \(token.shown)")
            }
            return rule
        }
        return try comparison()
    }

    // MARK: Comparisons

    private mutating func comparison() throws(TargetingRuleError) -> TargetingRule {
        guard case .word(let word) = token, !Self.keywords.contains(word) else {
            throw error("expected a field such as user.country instead of \(token.shown)")
        }
        let field = try Self.field(word, lexer, place)
        try advance()
        switch token {
        case .symbol("=="), .symbol("!="): return try equality(field)
        case .symbol("<"), .symbol("<="), .symbol(">"), .symbol(">="): return try order(field)
        case .word("in"):
            try advance()
            return .constraint(FlagConstraint(field, .isIn, values: try list()))
        case .word("not"):
            try advance()
            guard try accept(.word("in")) else { throw error("expected 'in' behind 'not' instead of \(token.shown)") }
            return .constraint(FlagConstraint(field, .isNotIn, values: try list()))
        case .word(let word) where !Self.keywords.contains(word): return try named(word, field)
        default: return .constraint(FlagConstraint(field, .isIn, values: ["true"]))
        }
    }

    /// `user.country` is the property `country`; `user.id` and some others have places of their own.
    private static func field(
        _ word: String, _ lexer: TargetingRuleLexer, _ place: Int
    ) throws(TargetingRuleError) -> String {
        let name = word.hasPrefix("user.") ? String(word.dropFirst(5)) : word
        guard !name.isEmpty, !name.hasSuffix("."), !name.hasPrefix("."), word != "user" else {
            throw lexer.error("'\(word)' is no field; write one such as user.country", at: place)
        }
        switch name {
        case "id", "userId": return "userId"
        case "session", "sessionId": return "sessionId"
        case "ip", "remoteAddress": return "remoteAddress"
        case "now", "currentTime": return "currentTime"
        default: return name
        }
    }

    private mutating func equality(_ field: String) throws(TargetingRuleError) -> TargetingRule {
        let isEqual = token == .symbol("==")
        try advance()
        if case .number(let number) = token {
            try advance()
            return .constraint(FlagConstraint(field, .numberEqual, value: number, isInverted: !isEqual))
        }
        let value = try value("behind \(isEqual ? "==" : "!=")")
        return .constraint(FlagConstraint(field, isEqual ? .isIn : .isNotIn, values: [value]))
    }

    private mutating func order(_ field: String) throws(TargetingRuleError) -> TargetingRule {
        guard case .symbol(let symbol) = token else { throw error("expected a comparison") }
        try advance()
        let start = place
        switch token {
        case .number(let number):
            try advance()
            let operators: [String: FlagOperator] = [
                "<": .numberLess, "<=": .numberLessOrEqual, ">": .numberGreater, ">=": .numberGreaterOrEqual,
            ]
            return .constraint(FlagConstraint(field, operators[symbol] ?? .numberEqual, value: number))
        case .text(let text):
            try advance()
            if SemanticVersion(parsing: text) != nil {
                let operators: [String: FlagOperator] = [
                    "<": .versionLess, "<=": .versionLessOrEqual, ">": .versionGreater, ">=": .versionGreaterOrEqual,
                ]
                return .constraint(FlagConstraint(field, operators[symbol] ?? .versionEqual, value: text))
            }
            guard LabTime(parsing: text) != nil else {
                throw lexer.error("\"\(text)\" has no order: only numbers, versions and times have one", at: start)
            }
            // Times are only before or after one another: "not after" is "before, or at that very moment".
            switch symbol {
            case "<": return .constraint(FlagConstraint(field, .dateBefore, value: text))
            case ">": return .constraint(FlagConstraint(field, .dateAfter, value: text))
            default: throw lexer.error("times are compared with < and >, or before and after", at: start)
            }
        default: throw error("expected a number, a version or a time behind '\(symbol)' instead of \(token.shown)")
        }
    }

    private mutating func named(_ word: String, _ field: String) throws(TargetingRuleError) -> TargetingRule {
        let wordPlace = place
        let table: [String: FlagOperator] = [
            "contains": .contains, "startsWith": .startsWith, "endsWith": .endsWith, "matches": .matches,
            "before": .dateBefore, "after": .dateAfter, "within": .isInNetwork,
        ]
        guard let found = table[word] else {
            let hint = didYouMean(word, among: Self.operators)
            throw lexer.error("'\(word)' is no comparison\(hint)", at: wordPlace)
        }
        try advance()
        let start = place
        guard case .text(let text) = token else {
            throw error("expected a text in quotes behind '\(word)' instead of \(token.shown)")
        }
        try advance()
        switch found {
        case .matches:
            do throws(RegularExpressionError) { _ = try RegularExpression(text) } catch {
                throw lexer.error("\(error)", at: start)
            }
        case .dateBefore, .dateAfter:
            guard LabTime(parsing: text) != nil else {
                throw lexer.error("\"\(text)\" is no time such as \"2023-12-20T15:00:00Z\"", at: start)
            }
        case .isInNetwork:
            guard AddressBlock(parsing: text) != nil else {
                throw lexer.error("\"\(text)\" is no network such as \"10.0.0.0/8\"", at: start)
            }
        default: break
        }
        return .constraint(
            found.takesList ? FlagConstraint(field, found, values: [text]) : FlagConstraint(field, found, value: text))
    }

    // MARK: Values

    private mutating func value(_ wherever: String) throws(TargetingRuleError) -> String {
        let value: String
        switch token {
        case .text(let text), .number(let text): value = text
        case .word("true"): value = "true"
        case .word("false"): value = "false"
        case .word(let word): throw error("expected a value \(wherever); text stands in quotes: \"\(word)\"")
        default: throw error("expected a value \(wherever) instead of \(token.shown)")
        }
        try advance()
        return value
    }

    private mutating func list() throws(TargetingRuleError) -> [String] {
        guard try accept(.symbol("[")) else {
            throw error("expected a list such as [\"US\", \"CA\"] instead of \(token.shown)")
        }
        var values = [try value("in the list")]
        while try accept(.symbol(",")) { values.append(try value("in the list")) }
        guard try accept(.symbol("]")) else { throw error("expected ',' or ']' instead of \(token.shown)") }
        return values
    }
}
