import TimeSeriesEngine

/// From text to expression: recursive descent, operators by their precedence.
///
/// The errors are Prometheus's, word for word where its grammar has words for them. How deep expressions may lie in
/// one another is bounded, and so is whatever walks over them later.
struct Parser {
    private var lexer: Lexer
    private(set) var current: Token
    private var following: Token?
    /// Aggregations whose arguments are being read: where no other words fit, an error is in one of them.
    private var aggregations = 0
    /// Where the last token ended.
    private(set) var lastEnd = 0

    static let textLimitBytes = 100_000
    static let depthLimit = 200

    init(_ text: String) throws(PromQLError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.textLimitBytes else {
            throw PromQLError(.badData, "the query is longer than \(Self.textLimitBytes) bytes")
        }
        lexer = Lexer(bytes)
        current = try lexer.next()
    }

    /// The whole text as one expression, whose types fit.
    static func parse(_ text: String) throws(PromQLError) -> Expression {
        var parser = try Parser(text)
        if parser.current.kind == .end {
            throw parser.error("no expression found in input", at: 0..<0)
        }
        let expression = try parser.expression(0, 1)
        guard parser.current.kind == .end else { throw parser.unexpected() }
        _ = try parser.checkedKind(of: expression)
        return expression
    }

    // MARK: Tokens and errors

    mutating func advance() throws(PromQLError) {
        lastEnd = current.range.upperBound
        if let following {
            current = following
            self.following = nil
        } else {
            current = try lexer.next()
        }
    }

    mutating func peek() throws(PromQLError) -> Token {
        if let following { return following }
        let token = try lexer.next()
        following = token
        return token
    }

    /// Takes the token if it is of that kind.
    mutating func take(_ kind: Token.Kind) throws(PromQLError) -> Bool {
        guard current.kind == kind else { return false }
        try advance()
        return true
    }

    func error(_ message: String, at range: Range<Int>) -> PromQLError {
        PromQLError(parsing: lexer.bytes, at: range, message)
    }

    func unexpected(in context: String = "", expected: String = "") -> PromQLError {
        let context = context.isEmpty && aggregations > 0 ? "aggregation" : context
        return error(
            "unexpected \(current.description)" + (context.isEmpty ? "" : " in \(context)")
                + (expected.isEmpty ? "" : ", expected \(expected)"), at: current.range)
    }

    func checkDepth(_ depth: Int) throws(PromQLError) {
        if depth > Self.depthLimit {
            throw error("expression nested deeper than \(Self.depthLimit) levels", at: current.range)
        }
    }

    // MARK: Expressions

    mutating func expression(_ minimum: Int, _ depth: Int) throws(PromQLError) -> Expression {
        var left = try unary(depth)
        while case .binary(let operation) = current.kind, operation.precedence >= minimum {
            var binary = Binary(operation: operation, place: current.range, left: left, right: left)
            try advance()
            if operation.isSetOperator { binary.matching.cardinality = .manyToMany }
            try modifiers(&binary)
            let isRightBound = operation == .power
            binary.right = try expression(operation.precedence + (isRightBound ? 0 : 1), depth + 1)
            left = Expression(
                node: .binary(binary), range: left.range.lowerBound..<binary.right.range.upperBound,
                depth: max(left.depth, binary.right.depth) + 1)
            try checkDepth(left.depth)
        }
        return left
    }

    private mutating func unary(_ depth: Int) throws(PromQLError) -> Expression {
        try checkDepth(depth)
        guard current.kind == .binary(.subtract) || current.kind == .binary(.add) else { return try postfix(depth) }
        let start = current.range.lowerBound
        let isNegative = current.kind == .binary(.subtract)
        try advance()
        let operand = try expression(BinaryOperator.power.precedence, depth + 1)
        let range = start..<operand.range.upperBound
        if case .number(let value) = operand.node {
            return Expression(node: .number(isNegative ? -value : value), range: range)
        }
        return Expression(
            node: .unary(isNegative: isNegative, operand), range: range, depth: operand.depth + 1)
    }

    /// `bool`, `on (…)`, `ignoring (…)`, `group_left (…)`, `group_right (…)`
    private mutating func modifiers(_ binary: inout Binary) throws(PromQLError) {
        if try take(.keyword(.bool)) { binary.returnsBool = true }
        guard current.kind == .keyword(.on) || current.kind == .keyword(.ignoring) else { return }
        binary.hasMatching = true
        binary.matching.isOn = current.kind == .keyword(.on)
        try advance()
        binary.matching.labels = try groupingLabels()
        guard current.kind == .keyword(.groupLeft) || current.kind == .keyword(.groupRight) else { return }
        binary.matching.cardinality = current.kind == .keyword(.groupLeft) ? .manyToOne : .oneToMany
        try advance()
        if current.kind == .leftParenthesis { binary.matching.included = try groupingLabels() }
    }

    mutating func groupingLabels() throws(PromQLError) -> [String] {
        guard try take(.leftParenthesis) else { throw unexpected(in: "grouping opts", expected: "\"(\"") }
        var labels: [String] = []
        while current.kind != .rightParenthesis {
            guard isLabel(current) else { throw unexpected(in: "grouping opts", expected: "label") }
            labels.append(current.text)
            try advance()
            if try take(.comma) { continue }
            guard current.kind == .rightParenthesis else {
                throw unexpected(in: "grouping opts", expected: "\",\" or \")\"")
            }
        }
        try advance()
        return labels
    }

    private func isLabel(_ token: Token) -> Bool {
        switch token.kind {
        case .identifier, .keyword, .aggregation: true
        case .binary(let operation): operation.isSetOperator || operation == .atan2
        default: false
        }
    }

    // MARK: What stands first

    mutating func primary(_ depth: Int) throws(PromQLError) -> Expression {
        let token = current
        switch token.kind {
        case .number:
            try advance()
            return Expression(node: .number(try number(token)), range: token.range)
        case .string:
            try advance()
            return Expression(node: .string(token.text), range: token.range)
        case .leftParenthesis:
            try advance()
            let inner = try expression(0, depth + 1)
            guard current.kind == .rightParenthesis else { throw unexpected() }
            try advance()
            return Expression(
                node: .parentheses(inner), range: token.range.lowerBound..<lastEnd, depth: inner.depth + 1)
        case .leftBrace: return try selector(named: nil)
        case .aggregation:
            switch try peek().kind {
            case .leftParenthesis, .keyword(.by), .keyword(.without): return try aggregation(depth)
            default: return try selector(named: token)
            }
        case .identifier:
            if try peek().kind == .leftParenthesis { return try call(depth) }
            return try selector(named: token)
        case .metricIdentifier, .keyword(.by), .keyword(.without), .keyword(.offset), .keyword(.start), .keyword(.end),
            .binary(.and), .binary(.or), .binary(.unless):
            return try selector(named: token)
        default: throw unexpected()
        }
    }

    /// As Go reads it: `0x1F`, `017` and `1_000` whole, all others as floats.
    private func number(_ token: Token) throws(PromQLError) -> Double {
        var problem = "invalid syntax"
        let text = token.text.lowercased()
        if text == "inf" { return .infinity }
        if text == "nan" { return .nan }
        if text.hasPrefix("0x") {
            if let value = Int64(text.dropFirst(2), radix: 16) { return Double(value) }
        } else {
            if text.utf8.count > 1, text.hasPrefix("0"), let value = Int64(text, radix: 8) { return Double(value) }
            // `2.` and `.5` are none to Swift.
            let parts = text.split(separator: "e", maxSplits: 1, omittingEmptySubsequences: false)
            var mantissa = String(parts[0])
            if mantissa.hasPrefix(".") { mantissa = "0" + mantissa }
            if mantissa.hasSuffix(".") { mantissa += "0" }
            let whole = parts.count > 1 ? mantissa + "e" + parts[1] : mantissa
            if let value = Double(whole) {
                if value.isFinite { return value }
                problem = "value out of range"
            }
        }
        throw error(
            "error parsing number: strconv.ParseFloat: parsing \(quotedByGo(token.text)): \(problem)",
            at: token.range)
    }

    // MARK: Calls

    private var startsExpression: Bool {
        switch current.kind {
        case .number, .string, .leftParenthesis, .leftBrace, .aggregation, .identifier, .metricIdentifier,
            .keyword(.by), .keyword(.without), .keyword(.offset), .keyword(.start), .keyword(.end), .binary(.and),
            .binary(.or), .binary(.unless), .binary(.add), .binary(.subtract):
            true
        default: false
        }
    }

    private mutating func arguments(_ depth: Int) throws(PromQLError) -> [Expression] {
        try advance()
        var arguments: [Expression] = []
        while current.kind != .rightParenthesis {
            arguments.append(try expression(0, depth + 1))
            let comma = current
            if try take(.comma) {
                if !startsExpression {
                    throw error("trailing commas not allowed in function call args", at: comma.range)
                }
                continue
            }
            guard current.kind == .rightParenthesis else { throw unexpected() }
        }
        try advance()
        return arguments
    }

    private mutating func call(_ depth: Int) throws(PromQLError) -> Expression {
        let name = current
        guard let function = PromQLFunction.named[name.text] else {
            throw error("unknown function with name \(quotedByGo(name.text))", at: name.range)
        }
        try advance()
        let arguments = try arguments(depth)
        return Expression(
            node: .call(Call(function: function, arguments: arguments)), range: name.range.lowerBound..<lastEnd,
            depth: (arguments.map(\.depth).max() ?? 0) + 1)
    }

    private mutating func aggregation(_ depth: Int) throws(PromQLError) -> Expression {
        guard case .aggregation(let operation) = current.kind else { throw unexpected() }
        let start = current.range.lowerBound
        try advance()
        var grouping: [String] = []
        var isWithout = false
        var hasGrouping = false
        if current.kind != .leftParenthesis {
            hasGrouping = true
            isWithout = current.kind == .keyword(.without)
            try advance()
            grouping = try groupingLabels()
        }
        guard current.kind == .leftParenthesis else { throw unexpected(in: "aggregation") }
        aggregations += 1
        var arguments = try arguments(depth)
        aggregations -= 1
        if !hasGrouping, current.kind == .keyword(.by) || current.kind == .keyword(.without) {
            isWithout = current.kind == .keyword(.without)
            try advance()
            grouping = try groupingLabels()
        }
        let range = start..<lastEnd
        let wanted = operation.parameterKind == nil ? 1 : 2
        if arguments.isEmpty { throw error("no arguments for aggregate expression provided", at: range) }
        guard arguments.count == wanted, let operand = arguments.popLast() else {
            throw error(
                "wrong number of arguments for aggregate expression provided, expected \(wanted), got "
                    + "\(arguments.count)",
                at: range)
        }
        let aggregation = Aggregation(
            operation: operation, parameter: arguments.first, operand: operand, grouping: grouping, isWithout: isWithout
        )
        return Expression(
            node: .aggregation(aggregation), range: range,
            depth: max(operand.depth, arguments.first?.depth ?? 0) + 1)
    }
}
