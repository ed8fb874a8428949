import KernelStructures

extension Parser {
    // MARK: Words

    var isInParentheses: Bool { parenthesisDepth > 0 }

    /// Whether an unquoted character ends a word here; `plain` is the unquoted text right before it.
    ///
    /// - Parameter open: parentheses of a regular expression that are open.
    func endsWord(_ character: Character, after plain: String, open: Int) -> Bool {
        switch wordKind {
        case .command: break
        case .conditional:
            if character == "<" { return !follows("<(") }
            return character.isWhitespace || ">)".contains(character) || follows("&&") || follows("||")
        case .expression: return open == 0 && (character.isWhitespace || character == ")" || follows("&&"))
        }
        if character.isWhitespace || character == ";" { return true }
        if character == ")" { return isInParentheses }
        if character == "&" { return follows("&&") }
        if character == "|" { return !(plain.last == "}" && peek(1) == "{") }
        if character == ">" { return plain.last != "-" && !follows(">(") }
        if character == "<" { return !follows("<->") && !follows("<(") }
        return false
    }

    mutating func word() throws(SyntaxError) -> Word {
        let start = position
        var parts: [Word.Part] = []
        var plain = ""
        var open = 0
        /// Parentheses of a pattern, `@(a|b)`, that are open.
        var groups = 0
        func flush() {
            if !plain.isEmpty {
                parts.append(.text(plain, isQuoted: false))
                plain = ""
            }
        }
        while let character = current,
            groups > 0 ? !character.isLineEnd : !endsWord(character, after: plain, open: open)
        {
            switch character {
            case "'", "\"", "\\", "`", "$":
                if let found = try quotedOrExpanded(isQuoted: false) {
                    flush()
                    parts += found
                } else if character == "$" {
                    plain.append("$")
                }
            case "(" where wordKind != .expression && (groups > 0 || opensGroup(after: plain)),
                ")" where groups > 0:
                groups += character == "(" ? 1 : -1
                plain.append(character)
                advance()
            case "<" where groups > 0:
                plain.append(character)
                advance()
            case "<" where wordKind != .expression && follows("<("):
                flush()
                parts.append(.file(try substitution(position)))
            case ">" where wordKind == .command && groups == 0 && follows(">("):
                flush()
                parts.append(.sink(try substitution(position)))
            case "<" where wordKind == .command:
                plain += "<->"
                advance(3)
            default:
                if wordKind == .expression { open += character == "(" ? 1 : character == ")" ? -1 : 0 }
                plain.append(character)
                advance()
            }
        }
        flush()
        if parts.isEmpty { throw unexpected() }
        return Word(parts: parts, position: start)
    }

    /// Whether the `(` that stands here begins alternatives of a pattern, `@(a|b)`, that end on the line.
    private func opensGroup(after plain: String) -> Bool {
        guard let sign = plain.last, "?*+@!".contains(sign) else { return false }
        var open = 0
        var place = index
        while place < text.count, !text[place].isLineEnd {
            if text[place] == "(" { open += 1 } else if text[place] == ")" { open -= 1 }
            if open == 0 { return true }
            place += 1
        }
        return false
    }

    /// What a quote, a backslash, a backquote or a `$` outside of quotes begins; nil if it is nothing but itself, or a
    /// line that goes on.
    mutating func quotedOrExpanded(isQuoted: Bool) throws(SyntaxError) -> [Word.Part]? {
        let start = position
        switch current {
        case "'": return [try singleQuoted()]
        case "\"":
            advance()
            let quoted = try quotedText(until: "\"")
            return quoted.parts.isEmpty ? [.text("", isQuoted: true)] : quoted.parts
        case "`": return [try backquoted(isQuoted: isQuoted)]
        case "$": return try dollar(isQuoted: isQuoted).map { [$0] }
        default:
            advance()
            guard let escaped = current else {
                throw SyntaxError(start, "nothing follows '\\'", isIncomplete: true)
            }
            advance()
            return escaped.isLineEnd ? nil : [.text(String(escaped), isQuoted: true)]
        }
    }

    mutating func singleQuoted() throws(SyntaxError) -> Word.Part {
        let start = position
        advance()
        var text = ""
        while let character = current, character != "'" {
            text.append(character)
            advance()
        }
        guard current == "'" else { throw SyntaxError(start, "an open ' quote", isIncomplete: true) }
        advance()
        return .text(text, isQuoted: true)
    }

    /// Text in which `$` and `\` have their meaning, up to a closing quote or to the end.
    mutating func quotedText(until end: Character?) throws(SyntaxError) -> Word {
        let start = position
        var parts: [Word.Part] = []
        var text = ""
        // A double quote is nothing special in a here-document, so neither is one behind a backslash.
        let escapable = end == nil ? "$\\`" : "$\"\\`"
        func flush() {
            if !text.isEmpty {
                parts.append(.text(text, isQuoted: true))
                text = ""
            }
        }
        while let character = current, character != end {
            if character == "\\", let next = peek(1), escapable.contains(next) || next.isLineEnd {
                advance(2)
                if !next.isLineEnd { text.append(next) }
            } else if character == "$" {
                if let part = try dollar(isQuoted: true) {
                    flush()
                    parts.append(part)
                } else {
                    text.append("$")
                }
            } else if character == "`" {
                flush()
                parts.append(try backquoted(isQuoted: true))
            } else {
                text.append(character)
                advance()
            }
        }
        flush()
        if end != nil {
            guard current == end else { throw SyntaxError(start, "an open \" quote", isIncomplete: true) }
            advance()
        }
        return Word(parts: parts, position: start)
    }

    /// What a `$` begins; nil, with only the `$` taken, if it begins nothing.
    mutating func dollar(isQuoted: Bool) throws(SyntaxError) -> Word.Part? {
        let start = position
        if follows("$((") {
            advance(3)
            return .arithmetic(try arithmeticText(try arithmeticSource(start, "$(("), at: start, sign: "$"))
        }
        if follows("$(") { return .output(try substitution(start), isQuoted: isQuoted) }
        if follows("$["), let end = oldSum() {
            let source = String(text[(index + 2)..<end])
            while index <= end { advance() }
            return .arithmetic(try arithmeticText(source, at: start, sign: "$"))
        }
        if follows("${") { return try parameter(isQuoted: isQuoted) }
        guard let next = peek(1) else {
            advance()
            return nil
        }
        switch next {
        case "?":
            advance(2)
            return .status
        case "#", "@", "*", "!":
            advance(2)
            return .variable(String(next), isQuoted: isQuoted)
        case "$":
            advance(2)
            return .variable("$", isQuoted: isQuoted)
        case "-":
            advance(2)
            return .variable("-", isQuoted: isQuoted)
        case _ where next.isASCII && next.isNumber:
            advance(2)
            return .variable(String(next), isQuoted: isQuoted)
        case "'" where !isQuoted:
            advance()
            return try escapedQuoted()
        case "\"" where !isQuoted:
            // For the host's translations, of which there are none: a quote like any other.
            advance(2)
            let quoted = try quotedText(until: "\"")
            return .group(quoted.parts.isEmpty ? [.text("", isQuoted: true)] : quoted.parts)
        default:
            advance()
            let name = name()
            return name.isEmpty ? nil : .variable(name, isQuoted: isQuoted)
        }
    }

    /// `$[1+2]`, bash's older form: the place of its `]` where it has one on the line.
    private func oldSum() -> Int? {
        var open = 0
        var place = index + 1
        while place < text.count, !text[place].isLineEnd {
            if text[place] == "[" { open += 1 }
            if text[place] == "]" {
                open -= 1
                if open == 0 { return place }
            }
            place += 1
        }
        return nil
    }

    mutating func substitution(_ start: Position) throws(SyntaxError) -> Script {
        advance(2)
        let around = (wordKind, isDocument)
        (wordKind, isDocument) = (.command, false)
        parenthesisDepth += 1
        let script = try script(until: [")"])
        parenthesisDepth -= 1
        (wordKind, isDocument) = around
        guard current == ")" else { throw SyntaxError(start, "an open $(", isIncomplete: true) }
        advance()
        return script.resolvingDocuments(finishedDocuments)
    }

    /// `` `…` ``: in it a backslash only quotes itself, a `$` and a backquote, and within quotes a quote.
    mutating func backquoted(isQuoted: Bool) throws(SyntaxError) -> Word.Part {
        let start = position
        advance()
        let inside = position
        var text: [Character] = []
        while let character = current, character != "`" {
            if character == "\\", let next = peek(1), "$`\\".contains(next) || isQuoted && next == "\"" { advance() }
            text.append(current!)
            advance()
        }
        guard current == "`" else { throw SyntaxError(start, "an open `", isIncomplete: true) }
        advance()
        depth += 1
        defer { depth -= 1 }
        var parser = Parser(text, inside, depth: depth)
        let script = try parser.script(until: [])
        guard parser.index == parser.text.count else { throw parser.unexpected() }
        if let open = parser.pendingDocuments.first { throw parser.unfinished(open) }
        return .output(script.resolvingDocuments(parser.finishedDocuments), isQuoted: isQuoted)
    }

    /// The text up to the `))` that ends a sum; the parser stands behind its `((`.
    mutating func arithmeticSource(_ start: Position, _ opening: String) throws(SyntaxError) -> String {
        var expression = ""
        var open = 0
        while let character = current, open > 0 || !follows("))") {
            if character == "(" { open += 1 } else if character == ")" { open -= 1 }
            if open < 0 { throw SyntaxError(start, "\(opening) ends with a single )") }
            expression.append(character)
            advance()
        }
        guard follows("))") else { throw SyntaxError(start, "an open \(opening)", isIncomplete: true) }
        advance(2)
        return expression
    }

    /// A sum; what `$` and quotes in it stand for is known only when it is computed.
    func arithmeticText(_ text: String, at start: Position, sign: String = "") throws(SyntaxError) -> ArithmeticText {
        if text.contains(where: { "$`\"\\".contains($0) }) {
            try checkDepth()
            var parser = Parser(Array(text.filter { $0 != "\"" }), start, depth: depth + 1)
            return .word(try parser.quotedText(until: nil))
        }
        do throws(Arithmetic.Failure) {
            return .parsed(try Arithmetic(text))
        } catch {
            throw SyntaxError(start, "\(sign)((\(Arithmetic.quoted(text)))): \(error.text)")
        }
    }

    func expandingBraces(_ word: Word) throws(SyntaxError) -> [Word] {
        do throws(BraceExpansion.Failure) {
            return try BraceExpansion.expand(word)
        } catch {
            throw SyntaxError(word.position, error.text)
        }
    }
}
