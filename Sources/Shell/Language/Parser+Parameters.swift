/// `${…}` and `$'…'`.
extension Parser {
    mutating func parameter(isQuoted: Bool) throws(SyntaxError) -> Word.Part {
        let start = position
        depth += 1
        defer { depth -= 1 }
        try checkDepth()
        advance(2)
        if current == "!" { throw SyntaxError(start, "${!…}, a variable named by another, is not known here") }
        if current == "#", peek(1) != "}", let length = try parameterLength(start) {
            return .parameter(length, isQuoted: isQuoted)
        }
        var name = parameterName()
        guard !name.isEmpty else {
            throw SyntaxError(start, "${ needs the name of a variable and a }", isIncomplete: current == nil)
        }
        if current == "[" { name = try matchName(name, start) }
        if current == "}" {
            advance()
            return name == "?" ? .status : .variable(name, isQuoted: isQuoted)
        }
        let operation = try parameterOperation(name, start, isQuoted: isQuoted)
        guard current == "}" else {
            throw SyntaxError(start, "an open ${\(name)", isIncomplete: current == nil)
        }
        advance()
        return .parameter(Parameter(name: name, operation: operation), isQuoted: isQuoted)
    }

    /// `BASH_REMATCH[1]`, the one array that there is: what the last `=~` has matched.
    private mutating func matchName(_ name: String, _ start: Position) throws(SyntaxError) -> String {
        guard name == "BASH_REMATCH" else { throw SyntaxError(start, "arrays are not known here: ${\(name)[") }
        advance()
        var digits = ""
        while let character = current, character.isASCII, character.isNumber {
            digits.append(character)
            advance()
        }
        guard current == "]", !digits.isEmpty, digits.count <= 3 else {
            throw SyntaxError(start, "${BASH_REMATCH[ needs a number and a ]", isIncomplete: current == nil)
        }
        advance()
        return "BASH_REMATCH[\(Int(digits) ?? 0)]"
    }

    /// `${#name}`; nil if the `#` is not about a length.
    private mutating func parameterLength(_ start: Position) throws(SyntaxError) -> Parameter? {
        let before = (index, line, column)
        advance()
        var name = parameterName()
        if current == "[", name == "BASH_REMATCH" { name = try matchName(name, start) }
        guard !name.isEmpty, current == "}" else {
            (index, line, column) = before
            return nil
        }
        advance()
        return Parameter(name: name, operation: .length)
    }

    private mutating func parameterName() -> String {
        let plain = name()
        if !plain.isEmpty { return plain }
        var digits = ""
        while let character = current, character.isASCII, character.isNumber {
            digits.append(character)
            advance()
        }
        if !digits.isEmpty { return digits }
        guard let character = current, "@*#?".contains(character) else { return "" }
        advance()
        return String(character)
    }

    private mutating func parameterOperation(
        _ name: String, _ start: Position, isQuoted: Bool
    ) throws(SyntaxError) -> Parameter.Operation {
        for (sign, kind) in Self.fallbacks where follows(sign) || follows(":" + sign) {
            let countsEmpty = current == ":"
            advance(countsEmpty ? 2 : 1)
            return .fallback(kind, try parameterWord(isQuoted: isQuoted, until: "}"), countsEmpty: countsEmpty)
        }
        switch current {
        case "#", "%":
            let sign = current!
            let isLongest = peek(1) == sign
            advance(isLongest ? 2 : 1)
            let pattern = try parameterWord(isQuoted: false, until: "}")
            return .removal(pattern, fromEnd: sign == "%", isLongest: isLongest)
        case "/": return try replacement()
        case ":": return try slice(start)
        case "^", ",":
            let sign = current!
            let isAll = peek(1) == sign
            advance(isAll ? 2 : 1)
            if current != "}" { throw SyntaxError(start, "${\(name)\(sign)…} with a pattern is not known here") }
            return .letterCase(isUpper: sign == "^", isAll: isAll)
        default:
            if let character = current { throw SyntaxError(start, "${\(name)\(character)…} is not known here") }
            throw SyntaxError(start, "an open ${\(name)", isIncomplete: true)
        }
    }

    private static let fallbacks: [(String, Parameter.Fallback)] = [
        ("-", .use), ("=", .assign), ("?", .complain), ("+", .alternative),
    ]

    private mutating func replacement() throws(SyntaxError) -> Parameter.Operation {
        advance()
        var kind = Parameter.Replacement.first
        switch current {
        case "/": kind = .all
        case "#": kind = .atStart
        case "%": kind = .atEnd
        default: break
        }
        if kind != .first { advance() }
        // As in bash, a pattern may begin with a slash where all matches are meant: `${x////-}`.
        let takesSlash = kind == .all && current == "/"
        let pattern = try parameterWord(isQuoted: false, until: "/}", beginsWithEnd: takesSlash)
        var new = Word(parts: [], position: position)
        if current == "/" {
            advance()
            new = try parameterWord(isQuoted: false, until: "}")
        }
        return .replacement(pattern, with: new, kind)
    }

    private mutating func slice(_ start: Position) throws(SyntaxError) -> Parameter.Operation {
        advance()
        var pieces = [""]
        var open = 0
        while let character = current, character != "}" || open > 0 {
            if character == ":", open == 0, pieces.count == 1 {
                pieces.append("")
            } else {
                if "({".contains(character) { open += 1 } else if ")}".contains(character) { open -= 1 }
                pieces[pieces.count - 1].append(character)
            }
            advance()
        }
        return .slice(
            try arithmeticText(pieces[0], at: start), pieces.count == 2 ? try arithmeticText(pieces[1], at: start) : nil
        )
    }

    /// A word inside `${…}`: blanks belong to it, and `end` does not.
    ///
    /// - Parameters:
    ///   - isQuoted: whether the whole stands in double quotes: then single quotes mean nothing.
    ///   - beginsWithEnd: whether the first character belongs to the word, whatever it is.
    private mutating func parameterWord(
        isQuoted: Bool, until end: String, beginsWithEnd: Bool = false
    ) throws(SyntaxError) -> Word {
        let start = position
        var parts: [Word.Part] = []
        var plain = ""
        if beginsWithEnd, let character = current {
            plain.append(character)
            advance()
        }
        func flush() { if !plain.isEmpty { parts.append(.text(plain, isQuoted: isQuoted)); plain = "" } }
        while let character = current, !end.contains(character) {
            let isSpecial = "\"\\`$".contains(character) || character == "'" && !isQuoted
            // In double quotes a backslash only quotes what is special there, and the closing brace.
            let isPlainBackslash = character == "\\" && isQuoted && !(peek(1).map { "$`\"\\}\n".contains($0) } ?? true)
            if character == "$", isQuoted, !isDocument, peek(1) == "'" {
                flush()
                advance()
                parts.append(try escapedQuoted())
            } else if isSpecial, !isPlainBackslash {
                if let found = try quotedOrExpanded(isQuoted: isQuoted) {
                    flush()
                    parts += found
                } else if character == "$" {
                    plain.append("$")
                }
            } else {
                plain.append(character)
                advance()
            }
        }
        flush()
        return Word(parts: parts, position: start)
    }

    /// `$'…'` with C's escapes.
    mutating func escapedQuoted() throws(SyntaxError) -> Word.Part {
        let start = position
        advance()
        var text = ""
        while let character = current, character != "'" {
            text.append(character)
            advance()
            if character == "\\", let next = current {
                text.append(next)
                advance()
            }
        }
        guard current == "'" else { throw SyntaxError(start, "an open ' quote", isIncomplete: true) }
        advance()
        return .text(String(decoding: EscapeSequences.resolve(text, .quoted), as: UTF8.self), isQuoted: true)
    }
}
