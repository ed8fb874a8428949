/// Metric queries: numbers made of lines.
extension LogParser {
    /// Operators by how strongly they bind; powers bind to the right, all others to the left.
    private func precedence(_ token: LogToken) -> (name: String, precedence: Int)? {
        switch token.kind {
        case .identifier where token.text == "or": ("or", 1)
        case .identifier where token.text == "and" || token.text == "unless": (token.text, 2)
        case .symbol(.isEqual), .symbol(.notEqual), .symbol(.less), .symbol(.atMost), .symbol(.greater),
            .symbol(.atLeast):
            (token.text, 3)
        case .symbol(.add), .symbol(.subtract): (token.text, 4)
        case .symbol(.multiply), .symbol(.divide), .symbol(.modulo): (token.text, 5)
        case .symbol(.power): (token.text, 6)
        default: nil
        }
    }

    mutating func metric(_ minimum: Int, _ depth: Int) throws(LogQLError) -> MetricExpression {
        try checkDepth(depth)
        var left = try primary(depth)
        while let (name, precedence) = precedence(current), precedence >= minimum {
            let place = current.range.lowerBound
            try advance()
            let returnsBool = try take(word: "bool")
            let matching = try matching()
            let right = try metric(precedence + (name == "^" ? 0 : 1), depth + 1)
            if precedence <= 2 {
                for (side, operand) in [("left", left), ("right", right)] {
                    guard case .number(let value) = operand.unwrapped.node else { continue }
                    throw error(
                        "unexpected literal for \(side) leg of logical/set binary operation (\(name)): "
                            + MetricExpression.text(value), at: place)
                }
            }
            left = MetricExpression(
                node: .binary(name, returnsBool: returnsBool, matching, left, right),
                depth: max(left.depth, right.depth) + 1)
            try checkDepth(left.depth)
        }
        return left
    }

    private mutating func matching() throws(LogQLError) -> MetricMatching? {
        guard current.kind == .identifier, current.text == "on" || current.text == "ignoring" else { return nil }
        var matching = MetricMatching(isOn: current.text == "on", labels: [])
        try advance()
        matching.labels = try labelList()
        if current.kind == .identifier, current.text == "group_left" || current.text == "group_right" {
            matching.group = current.text
            try advance()
            if current.kind == .symbol(.leftParenthesis) { matching.included = try labelList() }
        }
        return matching
    }

    private mutating func primary(_ depth: Int) throws(LogQLError) -> MetricExpression {
        switch current.kind {
        case .number, .symbol(.subtract), .symbol(.add):
            return MetricExpression(node: .number(try signedNumber()))
        case .symbol(.leftParenthesis):
            try advance()
            let inner = try metric(0, depth + 1)
            try expect(.rightParenthesis)
            return MetricExpression(node: .parentheses(inner), depth: inner.depth + 1)
        case .identifier: return try call(depth)
        default: throw unexpected()
        }
    }

    private mutating func call(_ depth: Int) throws(LogQLError) -> MetricExpression {
        let name = current
        if let operation = RangeAggregation.Operation(rawValue: name.text) {
            try advance()
            return MetricExpression(node: .range(try range(operation, at: name.range.lowerBound, depth)))
        }
        if MetricExpression.aggregations.contains(name.text) {
            try advance()
            return try aggregation(name.text, at: name.range.lowerBound, depth)
        }
        switch name.text {
        case "vector":
            try advance()
            try expect(.leftParenthesis)
            let value = try signedNumber()
            try expect(.rightParenthesis)
            return MetricExpression(node: .vector(value))
        case "label_replace":
            try advance()
            try expect(.leftParenthesis)
            let operand = try metric(0, depth + 1)
            var texts: [String] = []
            for _ in 0..<4 {
                try expect(.comma)
                texts.append(try string())
            }
            try expect(.rightParenthesis)
            return MetricExpression(node: .labelReplace(operand, texts), depth: operand.depth + 1)
        default: throw unexpected()
        }
    }

    // MARK: Vector aggregations

    private mutating func grouping() throws(LogQLError) -> Grouping? {
        guard current.kind == .identifier, current.text == "by" || current.text == "without" else { return nil }
        let isWithout = current.text == "without"
        try advance()
        return Grouping(labels: try labelList(), isWithout: isWithout)
    }

    private mutating func aggregation(
        _ name: String, at place: Int, _ depth: Int
    ) throws(LogQLError) -> MetricExpression {
        var grouping = try grouping()
        try expect(.leftParenthesis)
        var parameter: Int?
        if name == "topk" || name == "bottomk" || name == MetricExpression.approximateTop {
            let start = current.range.lowerBound
            let value = try signedNumber()
            guard let count = Int(exactly: value), count > 0, count <= 1_000_000 else {
                let rule = value > 0 ? "a whole number, 1000000 at most" : "greater than 0"
                throw error(
                    "invalid parameter (must be \(rule)) \(name)(\(MetricExpression.text(value)))", at: start)
            }
            parameter = count
            try expect(.comma)
        }
        let operand = try metric(0, depth + 1)
        try expect(.rightParenthesis)
        if grouping == nil { grouping = try self.grouping() }
        if grouping != nil, name.hasPrefix("sort") || name == MetricExpression.approximateTop {
            throw error("grouping not allowed for \(name) aggregation", at: place)
        }
        return MetricExpression(
            node: .aggregation(name, parameter: parameter, grouping, operand), depth: operand.depth + 1)
    }

    // MARK: Range aggregations

    private mutating func range(
        _ operation: RangeAggregation.Operation, at place: Int, _ depth: Int
    ) throws(LogQLError) -> RangeAggregation {
        try expect(.leftParenthesis)
        var quantile = 0.0
        if operation == .quantileOverTime {
            quantile = try signedNumber()
            try expect(.comma)
        }
        var range = try logRange(operation, depth + 1, isInner: false)
        range.quantile = quantile
        try expect(.rightParenthesis)
        range.grouping = try grouping()
        try check(range, at: place)
        return range
    }

    /// `{…} | stages [5m] offset 1m`, also with the stages behind, and in parentheses.
    private mutating func logRange(
        _ operation: RangeAggregation.Operation, _ depth: Int, isInner: Bool
    ) throws(LogQLError) -> RangeAggregation {
        try checkDepth(depth)
        var range = RangeAggregation(operation: operation, pipeline: LogPipeline(), rangeNanoseconds: 0)
        let start = current.range.lowerBound
        if try take(.leftParenthesis) {
            range = try logRange(operation, depth + 1, isInner: true)
            try expect(.rightParenthesis)
        } else {
            range.pipeline.matchers = try selector()
        }
        try stagesAndUnwrap(&range)
        if current.kind == .symbol(.leftBracket) {
            try advance()
            let nanoseconds = try duration()
            guard nanoseconds > 0 else { throw error("a range has a length") }
            guard range.rangeNanoseconds == 0 else { throw error("a range has one duration") }
            range.rangeNanoseconds = nanoseconds
            try expect(.rightBracket)
            if try take(word: "offset") {
                let isNegative = try take(.subtract)
                let offset = try duration()
                range.offsetNanoseconds = isNegative ? -offset : offset
                range.hasOffset = true
            }
            try stagesAndUnwrap(&range)
        }
        guard isInner || range.rangeNanoseconds > 0 else { throw unexpected(expecting: "[") }
        try checkSelector(range.pipeline, at: start)
        return range
    }

    /// At most 50 years, so that no sum of times leaves 64 bits.
    private mutating func duration() throws(LogQLError) -> Int64 {
        guard current.kind == .duration, let nanoseconds = GoDuration.parse(current.text) else {
            throw unexpected(expecting: "DURATION")
        }
        guard nanoseconds <= 1_576_800_000_000_000_000 else { throw error("a duration is 50 years at most") }
        try advance()
        return nanoseconds
    }

    private mutating func stagesAndUnwrap(_ range: inout RangeAggregation) throws(LogQLError) {
        while range.unwrap == nil, let stage = try stage(range.pipeline.stages.count) {
            range.pipeline.stages.append(stage)
        }
        guard current.kind == .symbol(.pipe) else { return }
        if range.unwrap == nil {
            guard try peek().text == "unwrap" else { return }
            try advance()
            try advance()
            range.unwrap = try unwrap()
        }
        // Behind it conditions only: `| __error__=""`.
        while current.kind == .symbol(.pipe), range.unwrap?.filters.count ?? 0 < Self.stageLimit {
            try advance()
            range.unwrap?.filters.append(try labelFilter(1))
        }
    }

    private mutating func unwrap() throws(LogQLError) -> Unwrap {
        let name = try identifier()
        guard current.kind == .symbol(.leftParenthesis) else { return Unwrap(label: name, conversion: .none) }
        guard let conversion = Unwrap.Conversion(rawValue: name), conversion != .none else {
            throw error("syntax error: unexpected \(name), expecting duration, duration_seconds or bytes")
        }
        try advance()
        let label = try identifier()
        try expect(.rightParenthesis)
        return Unwrap(label: label, conversion: conversion)
    }

    /// What fits what, in Loki's words.
    private func check(_ range: RangeAggregation, at place: Int) throws(LogQLError) {
        let name = range.operation.rawValue
        if range.grouping != nil {
            switch range.operation {
            case .avgOverTime, .stddevOverTime, .stdvarOverTime, .quantileOverTime, .maxOverTime, .minOverTime,
                .firstOverTime, .lastOverTime:
                break
            default: throw error("grouping not allowed for \(name) aggregation", at: place)
            }
        }
        let isOfLines: Bool
        switch range.operation {
        case .countOverTime, .bytesRate, .bytesOverTime: isOfLines = true
        case .rate, .absentOverTime: return
        default: isOfLines = false
        }
        if range.unwrap != nil, isOfLines { throw error("invalid aggregation \(name) with unwrap", at: place) }
        if range.unwrap == nil, !isOfLines { throw error("invalid aggregation \(name) without unwrap", at: place) }
    }
}

extension MetricExpression {
    /// What is left when the parentheses around it are taken away.
    var unwrapped: MetricExpression {
        var expression = self
        while case .parentheses(let inner) = expression.node { expression = inner }
        return expression
    }
}
