import KernelRegularExpressions
import PromQLEngine
import TimeSeriesEngine

/// The text of `line_format` and `label_format`: `{{.method}} {{.path | ToLower}}`, in Go's language of templates with
/// the functions that Loki documents.
struct LabelTemplate: Sendable {
    private let template: TextTemplate

    var source: String { template.source }

    init(parsing text: String) throws(LogQLError) {
        do throws(AlertTemplate.Failure) {
            template = try TextTemplate(text)
        } catch {
            throw LogQLError(.badRequest, error.description)
        }
    }

    /// - Throws: with what a function says of its arguments.
    func text(_ line: LineState) throws(AlertTemplate.Failure) -> String {
        try template.text(LabelVocabulary(line: line))
    }
}

/// What names in a template mean: fields are labels, and one that is not there is empty.
private struct LabelVocabulary: TemplateVocabulary {
    typealias Failure = AlertTemplate.Failure

    let line: LineState

    var dot: TemplateValue { .labels(line.labels) }
    var variables: [(name: String, value: TemplateValue)] { [] }
    func member(_ name: String) -> TemplateValue? { .text(line.value(of: name) ?? "") }

    func call(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
        switch name {
        case "__line__": return .text(String(decoding: line.line, as: UTF8.self))
        case "__timestamp__": return .number(Double(line.timestamp))
        default: break
        }
        if let value = try GoFunctions.call(name, arguments) { return value }
        if let value = try LineFunctions.text(name, arguments) { return .text(value) }
        if let value = try LineFunctions.number(name, arguments) { return .number(value) }
        if let value = try LineFunctions.truth(name, arguments) { return .truth(value) }
        throw Failure(description: "function \"\(name)\" not defined")
    }
}

/// Loki's own functions, most of which are Masterminds/sprig's.
private enum LineFunctions {
    typealias Failure = AlertTemplate.Failure

    private static func check(_ name: String, _ arguments: [TemplateValue], _ count: Int) throws(Failure) {
        guard arguments.count == count else {
            throw Failure(
                description: "wrong number of args for \(name): want \(count) got \(arguments.count)")
        }
    }

    /// - Returns: nil for a function that gives no text.
    static func text(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> String? {
        if let value = try ofOne(name, arguments) { return value }
        if let value = try ofTwo(name, arguments) { return value }
        switch name {
        case "Replace", "replace":
            let isOld = name == "Replace"
            try check(name, arguments, isOld ? 4 : 3)
            // Go's takes the text first, sprig's last.
            let text = isOld ? arguments[0].text : arguments[2].text
            let old = isOld ? arguments[1].text : arguments[0].text
            let new = isOld ? arguments[2].text : arguments[1].text
            return replaced(text, old, new, limit: isOld ? try whole(arguments[3]) : -1)
        case "substr":
            try check(name, arguments, 3)
            let characters = Array(arguments[2].text)
            let start = max(0, try whole(arguments[0]))
            let end = try whole(arguments[1])
            guard start < characters.count else { return "" }
            return String(characters[start..<max(start, end < 0 ? characters.count : min(end, characters.count))])
        case "regexReplaceAll", "regexReplaceAllLiteral":
            try check(name, arguments, 3)
            return try regexReplaced(
                arguments[0].text, arguments[1].text, arguments[2].text, isLiteral: name.hasSuffix("Literal"))
        case "default":
            try check(name, arguments, 2)
            return arguments[1].isTrue ? arguments[1].text : arguments[0].text
        default: return nil
        }
    }

    private static func ofOne(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> String? {
        let value: (String) -> String
        switch name {
        case "ToLower", "lower": value = { $0.lowercased() }
        case "ToUpper", "upper": value = { $0.uppercased() }
        case "TrimSpace", "trim": value = { trimmed($0) { $0.isWhitespace } }
        case "title": value = titled
        case "urlencode": value = { PercentText.encoded($0) }
        case "urldecode": value = { PercentText.decoded($0) ?? $0 }
        default: return nil
        }
        try check(name, arguments, 1)
        return value(arguments[0].text)
    }

    private static func ofTwo(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> String? {
        // Go's take the text first, sprig's last.
        let isOld = name.first?.isUppercase ?? false
        let value: (String, String) -> String
        switch name {
        case "Trim", "trimAll": value = { text, set in trimmed(text) { set.contains($0) } }
        case "TrimLeft": value = { text, set in String(text.drop { set.contains($0) }) }
        case "TrimRight": value = { text, set in trimmedEnd(text) { set.contains($0) } }
        case "TrimPrefix", "trimPrefix":
            value = { text, end in text.hasPrefix(end) ? String(text.dropFirst(end.count)) : text }
        case "TrimSuffix", "trimSuffix":
            value = { text, end in text.hasSuffix(end) ? String(text.dropLast(end.count)) : text }
        case "trunc":
            try check(name, arguments, 2)
            let count = try whole(arguments[0])
            let text = arguments[1].text
            return String(count < 0 ? text.suffix(count == .min ? .max : -count) : text.prefix(count))
        case "indent", "nindent":
            try check(name, arguments, 2)
            let blanks = String(repeating: " ", count: max(0, min(try whole(arguments[0]), 1000)))
            let lines = arguments[1].text.split(separator: "\n", omittingEmptySubsequences: false)
            return (name == "nindent" ? "\n" : "") + lines.map { blanks + $0 }.joined(separator: "\n")
        case "alignLeft", "alignRight":
            try check(name, arguments, 2)
            return aligned(arguments[1].text, max(0, min(try whole(arguments[0]), 10_000)), isLeft: name == "alignLeft")
        default: return nil
        }
        try check(name, arguments, 2)
        return isOld
            ? value(arguments[0].text, arguments[1].text) : value(arguments[1].text, arguments[0].text)
    }

    private static func aligned(_ text: String, _ width: Int, isLeft: Bool) -> String {
        let count = text.count
        if count >= width { return String(isLeft ? text.prefix(width) : text.suffix(width)) }
        let blanks = String(repeating: " ", count: width - count)
        return isLeft ? text + blanks : blanks + text
    }

    // MARK: Numbers and truths

    static func number(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> Double? {
        switch name {
        case "add", "addf", "mul", "mulf", "max", "maxf", "min", "minf":
            guard !arguments.isEmpty else { throw Failure(description: "wrong number of args for \(name)") }
            var values: [Double] = []
            for argument in arguments { values.append(try argument.number()) }
            if name.hasPrefix("add") { return values.reduce(0, +) }
            if name.hasPrefix("mul") { return values.reduce(1, *) }
            return name.hasPrefix("max") ? values.max() : values.min()
        case "sub", "subf", "div", "divf", "mod":
            try check(name, arguments, 2)
            let left = try arguments[0].number()
            let right = try arguments[1].number()
            if name.hasPrefix("sub") { return left - right }
            if name == "divf" { return left / right }
            guard right != 0 else { throw Failure(description: "error calling \(name): division by zero") }
            let quotient = (left / right).rounded(.towardZero)
            return name == "div" ? quotient : left - quotient * right
        case "ceil", "floor", "float64", "int":
            try check(name, arguments, 1)
            let value = try arguments[0].number()
            switch name {
            case "ceil": return value.rounded(.up)
            case "floor": return value.rounded(.down)
            case "int": return value.rounded(.towardZero)
            default: return value
            }
        case "round":
            try check(name, arguments, 2)
            var factor = 1.0
            for _ in 0..<max(0, min(try whole(arguments[1]), 15)) { factor *= 10 }
            return (try arguments[0].number() * factor).rounded() / factor
        case "count":
            try check(name, arguments, 2)
            return Double(try expression(arguments[0].text).allMatches(in: arguments[1].text).count)
        case "bytes":
            try check(name, arguments, 1)
            guard let bytes = ByteSize.parse(arguments[0].text) else {
                throw Failure(description: "error calling bytes: \(quotedByGo(arguments[0].text)) is no size")
            }
            return bytes
        case "duration", "duration_seconds":
            try check(name, arguments, 1)
            guard let nanoseconds = GoDuration.parse(arguments[0].text) else {
                throw Failure(description: "error calling \(name): \(quotedByGo(arguments[0].text)) is no duration")
            }
            return Double(nanoseconds) / 1e9
        default: return nil
        }
    }

    static func truth(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> Bool? {
        switch name {
        case "contains", "hasPrefix", "hasSuffix":
            try check(name, arguments, 2)
            let (what, text) = (arguments[0].text, arguments[1].text)
            return name == "contains"
                ? what.isEmpty || text[...].range(of: what) != nil
                : name == "hasPrefix" ? text.hasPrefix(what) : text.hasSuffix(what)
        case "eq": return nil
        default: return nil
        }
    }

    // MARK: Texts

    private static func whole(_ value: TemplateValue) throws(Failure) -> Int {
        guard let number = Int(exactly: try value.number().rounded(.towardZero)) else {
            throw Failure(description: "\(value.text) is no whole number")
        }
        return number
    }

    private static func expression(_ pattern: String) throws(Failure) -> RegularExpression {
        do throws(RegularExpressionError) {
            return try RegularExpression(pattern)
        } catch {
            throw Failure(description: "error parsing regexp: \(error)")
        }
    }

    private static func regexReplaced(
        _ pattern: String, _ text: String, _ replacement: String, isLiteral: Bool
    ) throws(Failure) -> String {
        let expression = try expression(pattern)
        let replacement =
            isLiteral
            ? replacement.split(separator: "$", omittingEmptySubsequences: false)
                .joined(separator: "$$") : replacement
        do throws(RegularExpressionError) {
            return expression.replacing(in: text, with: try RegularExpressionReplacement(replacement, for: expression))
        } catch {
            throw Failure(description: error.description)
        }
    }

    /// The first `limit` occurrences; all of them below zero.
    private static func replaced(_ text: String, _ old: String, _ new: String, limit: Int) -> String {
        guard !old.isEmpty else { return text }
        var out = ""
        var rest = text[...]
        var count = 0
        while limit < 0 || count < limit, let found = rest.range(of: old) {
            out += rest[..<found.lowerBound]
            out += new
            rest = rest[found.upperBound...]
            count += 1
        }
        return out + rest
    }

    private static func trimmed(_ text: String, _ isLeftOut: (Character) -> Bool) -> String {
        trimmedEnd(String(text.drop(while: isLeftOut)), isLeftOut)
    }

    private static func trimmedEnd(_ text: String, _ isLeftOut: (Character) -> Bool) -> String {
        var rest = text[...]
        while let last = rest.last, isLeftOut(last) { rest = rest.dropLast() }
        return String(rest)
    }

    private static func titled(_ text: String) -> String {
        var isStart = true
        var out = ""
        for character in text {
            out += isStart ? character.uppercased() : String(character)
            isStart = character.isWhitespace
        }
        return out
    }
}

/// `application/x-www-form-urlencoded`, as Go's `url.QueryEscape` has it.
private enum PercentText {
    static func encoded(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            if LogLexer.isLetter(byte) || LogLexer.isDigit(byte) || "-.~".utf8.contains(byte) {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else if byte == 0x20 {
                out += "+"
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                out += "%" + (digits.utf8.count < 2 ? "0" : "") + digits
            }
        }
        return out
    }

    /// Nil for a percent sign without two digits.
    static func decoded(_ text: String) -> String? {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                out.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            out.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: out, as: UTF8.self)
    }
}
