/// `${…}` and `$'…'`.
extension Parser {
    mutating func parameter(isQuoted: Bool) throws(SyntaxError) -> Word.Part {
        let start = position
        depth += 1
        defer { depth -= 1 }
        try checkDepth()
        advance(2)
        if current == "!", let next = peek(1),
            next == "_" || next.isASCII && (next.isLetter || next.isNumber) || "#@*".contains(next) && peek(2) == "}"
        {
            return .parameter(try indirection(start, isQuoted: isQuoted), isQuoted: isQuoted)
        }
        if current == "#", peek(1) != "}", let length = try parameterLength(start) {
            return .parameter(length, isQuoted: isQuoted)
        }
        var name = parameterName()
        guard !name.isEmpty else {
            throw SyntaxError(start, "${ needs the name of a variable and a }", isIncomplete: current == nil)
        }
        var key: Word?
        if current == "[" { (name, key) = try subscripted(name, start) }
        if current == "}" {
            advance()
            if let key {
                return .parameter(Parameter(name: name, key: key, operation: .value), isQuoted: isQuoted)
            }
            return name == "?" ? .status : .variable(name, isQuoted: isQuoted)
        }
        let operation = try parameterOperation(name, start, isQuoted: isQuoted)
        guard current == "}" else {
            throw SyntaxError(start, "an open ${\(name)", isIncomplete: current == nil)
        }
        advance()
        return .parameter(Parameter(name: name, key: key, operation: operation), isQuoted: isQuoted)
    }

    /// `${!x}`, `${!a[@]}`, `${!x*}`
    private mutating func indirection(_ start: Position, isQuoted: Bool) throws(SyntaxError) -> Parameter {
        advance()
        var name = parameterName()
        var operation = Parameter.Operation.indirect(nil)
        var key: Word?
        if current == "[" {
            (name, key) = try subscripted(name, start)
            if name.hasSuffix("[@]") || name.hasSuffix("[*]") { operation = .keys }
        } else if let sign = current, sign == "*" || sign == "@", peek(1) == "}" {
            advance()
            operation = .names
            name += String(sign)
        }
        if current != "}", case .indirect = operation {
            operation = .indirect(try parameterOperation("!" + name, start, isQuoted: isQuoted))
        }
        guard current == "}" else {
            throw SyntaxError(start, "an open ${!\(name)", isIncomplete: current == nil)
        }
        advance()
        return Parameter(name: name, key: key, operation: operation)
    }

    /// `[…]` behind a name. One that is plain becomes a part of the name, `a[3]`, `a[@]`; others are expanded first.
    mutating func subscripted(_ name: String, _ start: Position) throws(SyntaxError) -> (
        String, Word?
    ) {
        let text = try subscriptSource(name, start)
        if text == "@" || text == "*"
            || !text.isEmpty && text.count < 16 && text.allSatisfy({ $0.isASCII && $0.isNumber })
        {
            return ("\(name)[\(Int(text).map(String.init) ?? text)]", nil)
        }
        depth += 1
        defer { depth -= 1 }
        try checkDepth()
        var parser = Parser(Array(text), start, depth: depth)
        let word = try parser.subscriptWord()
        return (name, word)
    }

    /// A subscript's text with its quotes taken away and its variables seen.
    private mutating func subscriptWord() throws(SyntaxError) -> Word {
        let start = position
        var parts: [Word.Part] = []
        var plain = ""
        func flush() {
            if !plain.isEmpty {
                parts.append(.text(plain, isQuoted: true))
                plain = ""
            }
        }
        while let character = current {
            if "'\"\\`$".contains(character), let found = try quotedOrExpanded(isQuoted: false) {
                flush()
                parts += found
            } else if character != "$" {
                plain.append(character)
                advance()
            } else {
                plain.append("$")
            }
        }
        flush()
        return Word(parts: parts, position: start)
    }

    /// What stands between the brackets; the parser stands at the first of them.
    private mutating func subscriptSource(_ name: String, _ start: Position) throws(SyntaxError) -> String {
        advance()
        var text = ""
        var open = 0
        var quote: Character?
        while let character = current, open > 0 || quote != nil || character != "]" {
            if let end = quote {
                if character == end { quote = nil }
            } else if character == "'" || character == "\"" {
                quote = character
            } else if character == "[" {
                open += 1
            } else if character == "]" {
                open -= 1
            }
            if character.isLineEnd { break }
            text.append(character)
            advance()
        }
        guard current == "]", !text.isEmpty else {
            throw SyntaxError(start, "\(name)[ needs a subscript and a ]", isIncomplete: current == nil)
        }
        advance()
        return text
    }

    /// `${#name}`; nil if the `#` is not about a length.
    private mutating func parameterLength(_ start: Position) throws(SyntaxError) -> Parameter? {
        let before = (index, line, column)
        advance()
        var name = parameterName()
        var key: Word?
        if current == "[", !name.isEmpty { (name, key) = try subscripted(name, start) }
        guard !name.isEmpty, current == "}" else {
            (index, line, column) = before
            return nil
        }
        advance()
        return Parameter(name: name, key: key, operation: .length)
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
        guard let character = current, "@*#?-$".contains(character) else { return "" }
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
        case "^", ",", "~":
            let sign = current!
            let isAll = peek(1) == sign
            advance(isAll ? 2 : 1)
            let pattern = current == "}" ? nil : try parameterWord(isQuoted: false, until: "}")
            return .letterCase(Parameter.LetterCase(rawValue: sign) ?? .upper, isAll: isAll, pattern)
        case "@":
            guard let letter = peek(1), "QUuLEAaKkP".contains(letter), peek(2) == "}" else {
                throw SyntaxError(start, "${\(name)@…} is not known here; there are @Q @U @u @L @E @A @K @k @P @a")
            }
            advance(2)
            return .transformation(letter)
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
        func flush() {
            if !plain.isEmpty {
                parts.append(.text(plain, isQuoted: isQuoted))
                plain = ""
            }
        }
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
