import KernelRegularExpressions
import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// LIKE, SIMILAR TO and regular expressions.
    static var patterns: Table {
        let cache = PatternCache()
        return Table(strict: [
            ("pg_like", { .integer(try LikePattern.matches($0.text(0), $0.text(1)) ? 1 : 0) }),
            (
                "pg_ilike",
                { .integer(try LikePattern.matches($0.text(0).lowercased(), $0.text(1).lowercased()) ? 1 : 0) }
            ),
            ("pg_like_escape", { .text(try LikePattern.escaped($0.text(0), by: $0.text(1))) }),
            ("pg_matches", { .integer(try cache.expression($0.text(1)).matches($0.text(0)) ? 1 : 0) }),
            ("pg_imatches", { .integer(try cache.expression($0.text(1), "i").matches($0.text(0)) ? 1 : 0) }),
            ("pg_similar", { .integer(try cache.expression($0.text(1)).matches($0.text(0)) ? 1 : 0) }),
            (
                "pg_similar_to_escape",
                { .text(LikePattern.similar($0.text(0), escape: $0.count > 1 ? $0.text(1) : "\\")) }
            ),
            (
                "pg_substring_match",
                { call in
                    let expression = try cache.expression(call.text(1))
                    guard let match = expression.firstMatch(in: call.text(0)) else { return .null }
                    guard let range = expression.groupCount > 0 ? match.groups.first ?? nil : match.range else {
                        return .null
                    }
                    return .text(part(call.text(0), range))
                }
            ),
            (
                "pg_regexp_substr",
                { call in
                    let match = try cache.expression(call.text(1)).firstMatch(in: call.text(0))
                    return match.map { .text(part(call.text(0), $0.range)) } ?? .null
                }
            ),
            ("pg_regexp_replace", { try replace($0, cache) }),
            (
                "pg_regexp_match",
                { call in
                    let expression = try cache.expression(call.text(1), call.count > 2 ? call.text(2) : "")
                    guard let match = expression.firstMatch(in: call.text(0)) else { return .null }
                    return .text(groups(call.text(0), match, expression))
                }
            ),
            (
                "pg_regexp_matches",
                { call in
                    let flags = call.count > 2 ? call.text(2) : ""
                    let expression = try cache.expression(call.text(1), flags.filter { $0 != "g" })
                    let found = expression.allMatches(in: call.text(0), limit: flags.contains("g") ? .max : 1)
                    return JSONItems.list(found.map { .text(groups(call.text(0), $0, expression)) })
                }
            ),
            ("pg_regexp_count", { .integer(Int64(try cache.expression($0.text(1)).allMatches(in: $0.text(0)).count)) }),
            (
                "pg_regexp_split_to_array",
                { call in
                    let parts = try split(call, cache)
                    return .text(PostgresValue.array(parts.map { .text($0) }, element: .text).text)
                }
            ),
            ("pg_regexp_split_to_table", { JSONItems.list(try split($0, cache).map { .text($0) }) }),
        ])
    }

    /// An array of what the groups have matched; of the whole match, if there are none.
    private static func groups(
        _ text: String, _ match: RegularExpression.Match, _ expression: RegularExpression
    ) -> String {
        let ranges = expression.groupCount > 0 ? match.groups : [match.range]
        let values = ranges.map { range in range.map { PostgresValue.text(part(text, $0)) } }
        return PostgresValue.array(values, element: .text).text
    }

    private static func part(_ text: String, _ range: Range<Int>) -> String {
        String(decoding: Array(text.utf8)[range], as: UTF8.self)
    }

    private static func split(_ call: FunctionCall, _ cache: PatternCache) throws(PostgresError) -> [String] {
        let text = call.text(0)
        var parts: [String] = []
        var start = 0
        for match in try cache.expression(call.text(1)).allMatches(in: text)
        where !match.range.isEmpty || match.range.lowerBound > start && match.range.lowerBound < text.utf8.count {
            parts.append(part(text, start..<match.range.lowerBound))
            start = match.range.upperBound
        }
        parts.append(part(text, start..<text.utf8.count))
        return parts
    }

    private static func replace(_ call: FunctionCall, _ cache: PatternCache) throws(PostgresError) -> SQLiteValue {
        let flags = call.count > 3 ? call.text(3) : ""
        let expression = try cache.expression(call.text(1), flags.filter { $0 != "g" })
        let text = Array(call.text(0).utf8)
        var result: [UInt8] = []
        var start = 0
        for match in expression.allMatches(in: call.text(0), limit: flags.contains("g") ? .max : 1) {
            result += text[start..<match.range.lowerBound]
            append(call.text(2), match, text, to: &result)
            start = match.range.upperBound
        }
        result += text[start...]
        return .text(String(decoding: result, as: UTF8.self))
    }

    /// `\1` is a group, `\&` the match.
    private static func append(
        _ template: String, _ match: RegularExpression.Match, _ text: [UInt8], to result: inout [UInt8]
    ) {
        var bytes = Array(template.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "\\"), let next = bytes.first else {
                result.append(byte)
                continue
            }
            bytes.removeFirst()
            switch next {
            case UInt8(ascii: "&"): result += text[match.range]
            case UInt8(ascii: "1")...UInt8(ascii: "9"):
                if let range = match[Int(next - 48)] { result += text[range] }
            default: result.append(next)
            }
        }
    }
}

/// Compiled expressions: a query uses one for each row.
final class PatternCache {
    private var expressions: [String: RegularExpression] = [:]

    func expression(_ pattern: String, _ flags: String = "") throws(PostgresError) -> RegularExpression {
        let key = flags + "/" + pattern
        if let known = expressions[key] { return known }
        var options = RegularExpression.Options(
            ignoresCase: flags.contains("i"), matchesLines: flags.contains { "nm".contains($0) })
        options.dotMatchesNewline = !flags.contains { "np".contains($0) }
        let made: RegularExpression
        do throws(RegularExpressionError) {
            // Leading options, as in `(?i)` or `***=`.
            let isLiteral = pattern.hasPrefix("***=")
            made = try RegularExpression(
                isLiteral ? String(pattern.dropFirst(4)) : pattern, isLiteral ? .literal : .perl, options)
        } catch {
            throw PostgresError(.invalidRegularExpression, "invalid regular expression: \(error.problem)")
        }
        if expressions.count >= 64 { expressions = [:] }
        expressions[key] = made
        return made
    }
}

/// `%` is any text, `_` one character, `\` takes the meaning from what follows.
enum LikePattern {
    /// By code points, going back to the last `%` only: linear but for the product of both lengths.
    static func matches(_ text: String, _ pattern: String) throws(PostgresError) -> Bool {
        let text = Array(text.unicodeScalars)
        let pattern = try parse(pattern)
        var (place, token) = (0, 0)
        var retry: (token: Int, place: Int)?
        while place < text.count {
            if token < pattern.count, pattern[token] == .any {
                retry = (token, place)
                token += 1
            } else if token < pattern.count, pattern[token] == .one || pattern[token] == .exactly(text[place]) {
                place += 1
                token += 1
            } else if let last = retry {
                retry = (last.token, last.place + 1)
                place = last.place + 1
                token = last.token + 1
            } else {
                return false
            }
        }
        return pattern[token...].allSatisfy { $0 == .any }
    }

    private enum Token: Equatable {
        case any
        case one
        case exactly(Unicode.Scalar)
    }

    private static func parse(_ pattern: String) throws(PostgresError) -> [Token] {
        var tokens: [Token] = []
        var rest = pattern.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "%": if tokens.last != .any { tokens.append(.any) }
            case "_": tokens.append(.one)
            case "\\":
                guard let next = rest.popFirst() else {
                    throw PostgresError(.invalidEscapeSequence, "LIKE pattern must not end with escape character")
                }
                tokens.append(.exactly(next))
            default: tokens.append(.exactly(scalar))
            }
        }
        return tokens
    }

    /// The same pattern with a backslash in place of another escape character.
    static func escaped(_ pattern: String, by escape: String) throws(PostgresError) -> String {
        guard escape.unicodeScalars.count <= 1 else {
            throw PostgresError(
                .invalidEscapeSequence, "invalid escape string", hint: "Escape string must be empty or one character.")
        }
        var result = ""
        var isEscaped = false
        for scalar in pattern.unicodeScalars {
            if isEscaped {
                result += "\\" + String(scalar)
                isEscaped = false
            } else if scalar == escape.unicodeScalars.first {
                isEscaped = true
            } else {
                result += scalar == "\\" ? "\\\\" : String(scalar)
            }
        }
        return isEscaped ? result + "\\" : result
    }

    /// SIMILAR TO's pattern as a regular expression for the whole text.
    static func similar(_ pattern: String, escape: String) -> String {
        var result = "^(?:"
        var isEscaped = false
        for scalar in pattern.unicodeScalars {
            if isEscaped {
                result += "\\" + String(scalar)
                isEscaped = false
                continue
            }
            switch scalar {
            case escape.unicodeScalars.first: isEscaped = true
            case "%": result += ".*"
            case "_": result += "."
            case ".", "^", "$", "\\": result += "\\" + String(scalar)
            case "(": result += "(?:"
            default: result += String(scalar)
            }
        }
        return result + ")$"
    }
}
