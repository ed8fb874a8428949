import KernelRegularExpressions
import TimeSeriesEngine

/// Selectors, and what may stand behind them: a range, a subquery, `offset`, `@`.
extension Parser {
    mutating func selector(named name: Token?) throws(PromQLError) -> Expression {
        var selector = VectorSelector()
        let start = current.range.lowerBound
        if let name {
            selector.name = name.text
            try advance()
        }
        if try take(.leftBrace) { selector.matchers = try matchers() }
        let range = start..<lastEnd
        if let name {
            for matcher in selector.matchers where matcher.name == Labels.metricNameLabel {
                throw error(
                    "metric name must not be set twice: \(quotedByGo(name.text)) or \(quotedByGo(matcher.value))",
                    at: range)
            }
            selector.matchers.append(.equal(Labels.metricNameLabel, name.text))
        }
        if selector.matchers.allSatisfy(\.matchesEmpty) {
            throw error("vector selector must contain at least one non-empty matcher", at: range)
        }
        return Expression(node: .selector(selector), range: range)
    }

    /// Up to the closing brace, which is taken, too.
    private mutating func matchers() throws(PromQLError) -> [LabelMatcher] {
        var matchers: [LabelMatcher] = []
        while current.kind != .rightBrace {
            guard current.kind == .identifier else {
                throw unexpected(in: "label matching", expected: "identifier or \"}\"")
            }
            let name = current
            try advance()
            guard let kind = matcherKind else {
                throw unexpected(in: "label matching", expected: "label matching operator")
            }
            try advance()
            guard current.kind == .string else { throw unexpected(in: "label matching", expected: "string") }
            let value = current
            do throws(RegularExpressionError) {
                matchers.append(try LabelMatcher(name.text, kind, value.text))
            } catch {
                throw self.error(
                    "error parsing regexp: \(error)", at: name.range.lowerBound..<value.range.upperBound)
            }
            try advance()
            if try take(.comma) { continue }
            guard current.kind == .rightBrace else {
                throw unexpected(in: "label matching", expected: "\",\" or \"}\"")
            }
        }
        try advance()
        return matchers
    }

    private var matcherKind: LabelMatcher.Kind? {
        switch current.kind {
        case .assign: .equal
        case .binary(.notEqual): .notEqual
        case .matchesExpression: .matches
        case .doesNotMatchExpression: .doesNotMatch
        default: nil
        }
    }

    // MARK: Behind an expression

    mutating func postfix(_ depth: Int) throws(PromQLError) -> Expression {
        var expression = try primary(depth)
        while true {
            switch current.kind {
            case .leftBracket: expression = try bracketed(expression)
            case .keyword(.offset): expression = try offset(expression)
            case .at: expression = try anchored(expression)
            default: return expression
            }
            try checkDepth(depth + expression.depth)
        }
    }

    /// `[5m]`, `[1h:5m]`, `[1h:]`
    private mutating func bracketed(_ inner: Expression) throws(PromQLError) -> Expression {
        let bracket = current.range
        try advance()
        guard current.kind == .duration else { throw unexpected(in: "subquery selector", expected: "duration") }
        let range = try duration()
        if try take(.colon) {
            var subquery = Subquery(inner: inner, rangeMilliseconds: range)
            if current.kind == .duration { subquery.stepMilliseconds = try duration() }
            guard try take(.rightBracket) else {
                throw unexpected(
                    in: "subquery selector", expected: subquery.stepMilliseconds == nil ? "duration or \"]\"" : "\"]\"")
            }
            return Expression(
                node: .subquery(subquery), range: inner.range.lowerBound..<lastEnd, depth: inner.depth + 1)
        }
        guard try take(.rightBracket) else {
            throw unexpected(in: "subquery or range", expected: "\":\" or \"]\"")
        }
        let place = bracket.lowerBound..<lastEnd
        guard case .selector(let selector) = inner.node else {
            throw error("ranges only allowed for vector selectors", at: place)
        }
        if selector.shift.hasOffset { throw error("no offset modifiers allowed before range", at: place) }
        if selector.shift.anchor != nil { throw error("no @ modifiers allowed before range", at: place) }
        return Expression(
            node: .range(selector, milliseconds: range), range: inner.range.lowerBound..<lastEnd, depth: 2)
    }

    private mutating func duration() throws(PromQLError) -> Int64 {
        let token = current
        try advance()
        switch PromQLDuration.parse(token.text) {
        case .success(0): throw error("duration must be greater than 0", at: token.range)
        case .success(let milliseconds): return milliseconds
        case .failure(let failure): throw error(failure.message, at: token.range)
        }
    }

    private mutating func offset(_ expression: Expression) throws(PromQLError) -> Expression {
        try advance()
        let isNegative = current.kind == .binary(.subtract)
        if isNegative { try advance() }
        guard current.kind == .duration else { throw unexpected(in: "offset", expected: "duration") }
        let milliseconds = try duration()
        return try shifted(expression, "offset modifier") { shift in
            if shift.hasOffset { return "offset may not be set multiple times" }
            shift.hasOffset = true
            shift.offsetMilliseconds = isNegative ? -milliseconds : milliseconds
            return nil
        }
    }

    private mutating func anchored(_ expression: Expression) throws(PromQLError) -> Expression {
        try advance()
        let anchor: TimeShift.Anchor
        switch current.kind {
        case .keyword(.start), .keyword(.end):
            anchor = current.kind == .keyword(.start) ? .start : .end
            try advance()
            guard try take(.leftParenthesis) else { throw unexpected(in: "@", expected: "timestamp") }
            guard try take(.rightParenthesis) else { throw unexpected(in: "@", expected: "timestamp") }
        default: anchor = .milliseconds(try timestamp(expression))
        }
        return try shifted(expression, "@ modifier") { shift in
            if shift.anchor != nil { return "@ <timestamp> may not be set multiple times" }
            shift.anchor = anchor
            return nil
        }
    }

    /// Seconds since 1970, with a sign.
    private mutating func timestamp(_ expression: Expression) throws(PromQLError) -> Int64 {
        let isNegative = current.kind == .binary(.subtract)
        if isNegative || current.kind == .binary(.add) { try advance() }
        guard current.kind == .number else { throw unexpected(in: "@", expected: "timestamp") }
        let value = try primary(1)
        guard case .number(var seconds) = value.node else { throw unexpected(in: "@", expected: "timestamp") }
        if isNegative { seconds = -seconds }
        guard seconds.isFinite, abs(seconds) < 0x1p63 else {
            throw error("timestamp out of bounds for @ modifier: \(fixedText(seconds))", at: expression.range)
        }
        return TimeGrid.clamped(Int64(max(-9e18, min(9e18, (seconds * 1000).rounded()))))
    }

    private func fixedText(_ value: Double) -> String {
        value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : GoFormat.fixed(value, digits: 6)
    }

    /// The expression with its shift changed by `change`, which says what is wrong with that.
    private func shifted(
        _ expression: Expression, _ what: String, _ change: (inout TimeShift) -> String?
    ) throws(PromQLError) -> Expression {
        var expression = expression
        let problem: String?
        switch expression.node {
        case .selector(var selector):
            problem = change(&selector.shift)
            expression.node = .selector(selector)
        case .range(var selector, let milliseconds):
            problem = change(&selector.shift)
            expression.node = .range(selector, milliseconds: milliseconds)
        case .subquery(var subquery):
            problem = change(&subquery.shift)
            expression.node = .subquery(subquery)
        default:
            problem =
                "\(what) must be preceded by an instant vector selector or range vector selector or a subquery"
        }
        if let problem { throw error(problem, at: expression.range) }
        expression.range = expression.range.lowerBound..<lastEnd
        return expression
    }
}
