import KernelRegularExpressions
import PromQLEngine
import TimeSeriesEngine

/// The stages of a pipeline.
extension LogParser {
    /// The next stage; nil where none begins, and before `unwrap`, which only ranges have.
    mutating func stage(_ count: Int) throws(LogQLError) -> LogStage? {
        guard case .symbol(let symbol) = current.kind else { return nil }
        if count >= Self.stageLimit, symbol != .rightParenthesis, symbol != .leftBracket {
            throw error("more than \(Self.stageLimit) stages")
        }
        if let operation = LineFilter.Operation(rawValue: symbol.rawValue) {
            try advance()
            return .lineFilter(try lineFilter(operation))
        }
        guard symbol == .pipe else { return nil }
        if try peek().text == "unwrap", try peek().kind == .identifier { return nil }
        try advance()
        if current.kind == .symbol(.leftParenthesis) { return .labelFilter(try labelFilter(1)) }
        guard current.kind == .identifier else { throw unexpected(expecting: "a stage or a label") }
        let word = current.text
        if Self.words.contains(word), try !isComparison(peek()) {
            try advance()
            return try stage(named: word)
        }
        return .labelFilter(try labelFilter(1))
    }

    private static let words: Set<String> = [
        "json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "decolorize", "drop", "keep",
        "search", "fields",
    ]

    private func isComparison(_ token: LogToken) -> Bool {
        switch token.kind {
        case .symbol(.assign), .symbol(.notEqual), .symbol(.matches), .symbol(.doesNotMatch), .symbol(.isEqual),
            .symbol(.less), .symbol(.atMost), .symbol(.greater), .symbol(.atLeast):
            // `| decolorize != "x"` is a stage and a filter of lines; no other stage can end here.
            !(current.text == "decolorize" || current.text == "unpack" || current.text == "json"
                || current.text == "logfmt")
        default: false
        }
    }

    private mutating func stage(named word: String) throws(LogQLError) -> LogStage {
        switch word {
        case "json": return .json(try extractions(isJSON: true))
        case "logfmt": return try logfmt()
        case "regexp": return .regexp(try regexp())
        case "pattern":
            let place = current.range.lowerBound
            return .pattern(try pattern(try string(), at: place, needsCapture: true))
        case "unpack": return .unpack
        case "line_format":
            let place = current.range.lowerBound
            return .lineFormat(try template(try string(), at: place))
        case "label_format": return .labelFormat(try assignments())
        case "decolorize": return .decolorize
        case "drop": return .drop(try selections())
        case "keep": return .keep(try selections())
        case "search":
            let place = current.range.lowerBound
            let text = try string()
            do throws(LogQLError) {
                return .search(try SearchQuery(parsing: text))
            } catch let problem {
                throw error("search: \(problem.description)", at: place)
            }
        default:
            var names = [try identifier()]
            while try take(.comma) { names.append(try identifier()) }
            return .fields(names)
        }
    }

    // MARK: Lines

    private mutating func lineFilter(_ operation: LineFilter.Operation) throws(LogQLError) -> LineFilter {
        var needles = [try needle(operation)]
        while current.kind == .identifier, current.text == "or" {
            switch try peek().kind {
            case .string: break
            case .identifier where try peek().text == "ip": break
            default: return LineFilter(operation: operation, needles: needles)
            }
            try advance()
            needles.append(try needle(operation))
        }
        return LineFilter(operation: operation, needles: needles)
    }

    private mutating func needle(_ operation: LineFilter.Operation) throws(LogQLError) -> LineFilter.Needle {
        if current.kind == .identifier, current.text == "ip" {
            guard operation == .contains || operation == .doesNotContain else {
                throw error("ip: wrong operator \(operation.rawValue); it takes |= and !=")
            }
            return .address(try address())
        }
        let place = current.range.lowerBound
        let text = try string()
        switch operation {
        case .contains, .doesNotContain: return .text(Array(text.utf8))
        case .matches, .doesNotMatch:
            return .expression(
                try expression(at: place) { () throws(RegularExpressionError) in try RegularExpression(text) })
        case .matchesPattern, .doesNotMatchPattern:
            return .pattern(try pattern(text, at: place, needsCapture: false))
        }
    }

    /// `ip("10.0.0.0/8")`
    private mutating func address() throws(LogQLError) -> AddressPattern {
        try advance()
        try expect(.leftParenthesis)
        let place = current.range.lowerBound
        let text = try string()
        guard let pattern = AddressPattern(parsing: text) else {
            throw error(
                "ip: invalid pattern \(quotedByGo(text)): write an address, a range a-b, or a block a/bits", at: place)
        }
        try expect(.rightParenthesis)
        return pattern
    }

    private func pattern(_ text: String, at place: Int, needsCapture: Bool) throws(LogQLError) -> LinePattern {
        do throws(LogQLError) {
            return try LinePattern(parsing: text, needsCapture: needsCapture)
        } catch let problem {
            throw error("invalid pattern: \(problem.description)", at: place)
        }
    }

    private func template(_ text: String, at place: Int) throws(LogQLError) -> LabelTemplate {
        do throws(LogQLError) {
            return try LabelTemplate(parsing: text)
        } catch let problem {
            throw error("invalid template: \(problem.description)", at: place)
        }
    }

    // MARK: Parsers

    private mutating func extractions(isJSON: Bool) throws(LogQLError) -> [LabelExtraction] {
        var found: [LabelExtraction] = []
        while current.kind == .identifier {
            let label = try identifier()
            var place = current.range.lowerBound
            var source = label
            if try take(.assign) {
                place = current.range.lowerBound
                source = try string()
            }
            if isJSON {
                guard let path = JSONPathStep.parse(source) else {
                    throw error("cannot parse expression [\(source)]: write a.b, a[0] or a[\"b c\"]", at: place)
                }
                found.append(LabelExtraction(label: label, path: path, source: source))
            } else {
                found.append(LabelExtraction(label: label, path: [.member(source)], source: source))
            }
            guard try take(.comma) else { break }
            guard current.kind == .identifier else { throw unexpected(expecting: "IDENTIFIER") }
        }
        return found
    }

    private mutating func logfmt() throws(LogQLError) -> LogStage {
        var isStrict = false
        var keepsEmpty = false
        while current.kind == .flag {
            switch current.text {
            case "--strict": isStrict = true
            case "--keep-empty": keepsEmpty = true
            default: throw error("syntax error: logfmt knows --strict and --keep-empty, not \(current.text)")
            }
            try advance()
        }
        return .logfmt(isStrict: isStrict, keepsEmpty: keepsEmpty, try extractions(isJSON: false))
    }

    private mutating func regexp() throws(LogQLError) -> LineExpression {
        let place = current.range.lowerBound
        let text = try string()
        let line = try expression(at: place) { () throws(RegularExpressionError) in try LineExpression(text) }
        if line.groups.isEmpty { throw error("at least one named capture must be supplied", at: place) }
        for (index, group) in line.groups.enumerated() {
            guard isLabelName(group.name) else {
                throw error("invalid extracted label name \(quotedByGo(group.name))", at: place)
            }
            if line.groups[..<index].contains(where: { $0.name == group.name }) {
                throw error("duplicate extracted label name \(quotedByGo(group.name))", at: place)
            }
        }
        return line
    }

    // MARK: Labels

    private mutating func assignments() throws(LogQLError) -> [LabelAssignment] {
        var found: [LabelAssignment] = []
        repeat {
            let place = current.range.lowerBound
            let label = try identifier()
            if found.contains(where: { $0.label == label }) {
                throw error(
                    "multiple label name '\(label)' not allowed in a single format operation", at: place)
            }
            try expect(.assign)
            if current.kind == .identifier {
                found.append(LabelAssignment(label: label, source: .label(try identifier())))
            } else {
                let place = current.range.lowerBound
                found.append(
                    LabelAssignment(label: label, source: .template(try template(try string(), at: place))))
            }
        } while try take(.comma)
        return found
    }

    private mutating func selections() throws(LogQLError) -> [LabelSelection] {
        var found: [LabelSelection] = []
        repeat {
            let name = try identifier()
            guard let kind = matcherKind(), try peek().kind == .string else {
                found.append(LabelSelection(name: name))
                continue
            }
            try advance()
            found.append(LabelSelection(name: name, matcher: try matcher(name, kind)))
        } while try take(.comma)
        return found
    }

    private mutating func matcher(
        _ name: String, _ kind: LabelMatcher.Kind
    ) throws(LogQLError) -> LabelMatcher {
        let place = current.range.lowerBound
        let value = try string()
        return try expression(at: place) { () throws(RegularExpressionError) in
            try LabelMatcher(name, kind, value)
        }
    }

    // MARK: Label filters

    /// `or` binds least; `and`, a comma and nothing at all mean the same.
    mutating func labelFilter(_ depth: Int) throws(LogQLError) -> LabelFilter {
        try checkDepth(depth)
        var alternatives = [try conjunction(depth)]
        while try take(word: "or") { alternatives.append(try conjunction(depth)) }
        return alternatives.count == 1 ? alternatives[0] : .any(alternatives)
    }

    private mutating func conjunction(_ depth: Int) throws(LogQLError) -> LabelFilter {
        var conditions = [try condition(depth)]
        while true {
            var isJoined = try take(word: "and")
            if !isJoined { isJoined = try take(.comma) }
            if isJoined {
                conditions.append(try condition(depth))
            } else if current.kind == .symbol(.leftParenthesis)
                || current.kind == .identifier && current.text != "or" && current.text != "offset"
            {
                conditions.append(try condition(depth))
            } else {
                return conditions.count == 1 ? conditions[0] : .all(conditions)
            }
        }
    }

    private mutating func condition(_ depth: Int) throws(LogQLError) -> LabelFilter {
        if try take(.leftParenthesis) {
            let inner = try labelFilter(depth + 1)
            try expect(.rightParenthesis)
            return inner
        }
        let name = try identifier()
        let kind = matcherKind()
        let comparison: LabelFilter.Comparison
        switch current.kind {
        case .symbol(.assign), .symbol(.isEqual): comparison = .equal
        case .symbol(let symbol):
            guard let other = LabelFilter.Comparison(rawValue: symbol.rawValue) ?? (kind == nil ? nil : .equal) else {
                throw unexpected(expecting: "a comparison")
            }
            comparison = other
        default: throw unexpected(expecting: "a comparison")
        }
        try advance()
        if current.kind == .string {
            guard let kind else { throw unexpected(expecting: "NUMBER or DURATION or BYTES") }
            return .text(try matcher(name, kind))
        }
        if current.kind == .identifier, current.text == "ip" {
            guard kind == .equal || kind == .notEqual else { throw unexpected(expecting: "STRING") }
            return .address(name: name, isEqual: kind == .equal, try address())
        }
        if kind == .matches || kind == .doesNotMatch { throw unexpected(expecting: "STRING") }
        return .quantity(name: name, comparison, try quantity())
    }

    private mutating func quantity() throws(LogQLError) -> LabelFilter.Quantity {
        let text = current.text
        if current.kind == .duration, let nanoseconds = GoDuration.parse(text) {
            try advance()
            return .durationNanoseconds(nanoseconds)
        }
        if current.kind == .bytes, let bytes = ByteSize.parse(text) {
            try advance()
            return .bytes(bytes)
        }
        switch current.kind {
        case .number, .symbol(.subtract), .symbol(.add): break
        default: throw unexpected(expecting: "STRING or NUMBER or DURATION or BYTES")
        }
        if current.kind == .symbol(.subtract), try peek().kind == .duration {
            try advance()
            guard case .durationNanoseconds(let nanoseconds) = try quantity() else { throw unexpected() }
            return .durationNanoseconds(-nanoseconds)
        }
        return .number(try signedNumber())
    }
}

/// Letters, digits and `_`, no digit first.
func isLabelName(_ name: String) -> Bool {
    guard let first = name.utf8.first, LogLexer.isLetter(first) else { return false }
    return name.utf8.allSatisfy { LogLexer.isLetter($0) || LogLexer.isDigit($0) }
}
