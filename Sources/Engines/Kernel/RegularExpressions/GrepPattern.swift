/// Rewrites a pattern of `grep` or `grep -E` for RE2.
///
/// The differences (POSIX.1-2017 chapter 9, and GNU's additions): in basic patterns the operators `( ) { } | + ?` have
/// a backslash, `*` at the beginning and `^`, `$` in the middle mean themselves; in both a backslash in brackets means
/// itself, `{,3}` begins at zero, `\<` and `\>` are a word's ends, and a backslash before a letter that needs none is
/// nothing. Words' ends become `\b`, which is the same wherever a word stands behind or before them.
struct GrepPattern {
    private let pattern: String
    private let isBasic: Bool
    private var rest: Substring
    private var out = ""
    /// Whether nothing stands before this place that could be repeated or that `^` could not stand behind.
    private var isAtStart = true

    static func translate(_ pattern: String, isBasic: Bool) throws(RegularExpressionError) -> String {
        var translation = GrepPattern(pattern: pattern, isBasic: isBasic, rest: pattern[...])
        while let character = translation.rest.popFirst() { try translation.translate(character) }
        return translation.out
    }

    private init(pattern: String, isBasic: Bool, rest: Substring) {
        self.pattern = pattern
        self.isBasic = isBasic
        self.rest = rest
    }

    private func error(_ problem: String) -> RegularExpressionError {
        let place = pattern.distance(from: pattern.startIndex, to: rest.startIndex)
        return RegularExpressionError(pattern: pattern, problem: problem, character: max(1, place))
    }

    private mutating func translate(_ character: Character) throws(RegularExpressionError) {
        switch character {
        case "\\": return try translateEscape()
        case "[": try translateBrackets()
        case "(", ")", "{", "}", "|", "+", "?":
            if isBasic { out += "\\\(character)" } else { return translateOperator(character) }
        case "*" where isBasic && isAtStart: out += "\\*"
        case "^" where isBasic && !isAtStart: out += "\\^"
        case "^":
            out += "^"
            return
        case "$" where isBasic && !isAtEnd: out += "\\$"
        default: out.append(character)
        }
        isAtStart = false
    }

    /// Whether a basic pattern's `$` here is the end of a line.
    private var isAtEnd: Bool { rest.isEmpty || rest.hasPrefix("\\)") || rest.hasPrefix("\\|") }

    private mutating func translateOperator(_ character: Character) {
        out.append(character)
        isAtStart = character == "(" || character == "|"
        if character == "{", rest.first == "," { out += "0" }
    }

    private mutating func translateEscape() throws(RegularExpressionError) {
        guard let character = rest.popFirst() else { throw error("a backslash at the end") }
        switch character {
        case "(", ")", "{", "}", "|", "+", "?":
            if isBasic { return translateOperator(character) }
            out += "\\\(character)"
        case "w", "W", "s", "S", "d", "D", "b", "B": out += "\\\(character)"
        case "<", ">": out += "\\b"
        case "1"..."9": throw error("\\\(character) repeats what a group matched, which takes no linear time")
        case _ where character.isASCII && !character.isLetter && !character.isNumber: out += "\\\(character)"
        default: out.append(character)
        }
        isAtStart = false
    }

    /// `[…]`, whose first `]` means itself.
    private mutating func translateBrackets() throws(RegularExpressionError) {
        let problem = error("missing ]")
        out += "["
        if rest.first == "^" { out.append(rest.removeFirst()) }
        var isFirst = true
        while let character = rest.popFirst() {
            switch character {
            case "]" where !isFirst:
                out += "]"
                return
            case "[" where rest.first == ":": try copyClass()
            case "[" where rest.first == "." || rest.first == "=": try translateElement()
            case "]", "[", "\\", "^": out += "\\\(character)"
            default: out.append(character)
            }
            isFirst = false
        }
        throw problem
    }

    /// `[:alpha:]`
    private mutating func copyClass() throws(RegularExpressionError) {
        guard let end = rest.ranges(of: ":]").first else { throw error("missing :]") }
        out += "[" + rest[..<end.upperBound]
        rest = rest[end.upperBound...]
    }

    /// `[.x.]` and `[=x=]`, which are x where no language says otherwise.
    private mutating func translateElement() throws(RegularExpressionError) {
        let sign = rest.removeFirst()
        guard let end = rest.ranges(of: "\(sign)]").first else { throw error("missing \(sign)]") }
        let name = rest[..<end.lowerBound]
        guard name.count == 1, let character = name.first else { throw error("'\(name)' is no single character") }
        out += character.isASCII && !character.isLetter && !character.isNumber ? "\\\(character)" : "\(character)"
        rest = rest[end.upperBound...]
    }
}
