import KernelStructures

extension Parser {
    // MARK: Words

    var isInSubstitution: Bool { substitutionDepth > 0 }

    /// Whether an unquoted character ends a word here; `plain` is the unquoted text right before it.
    func endsWord(_ character: Character, after plain: String) -> Bool {
        if character.isWhitespace || character == ";" { return true }
        if character == ")" { return isInSubstitution }
        if character == "&" { return follows("&&") }
        if character == "|" { return !(plain.last == "}" && peek(1) == "{") }
        if character == ">" { return plain.last != "-" }
        if character == "<" { return !follows("<->") }
        return false
    }

    mutating func word() throws(SyntaxError) -> Word {
        let start = position
        var parts: [Word.Part] = []
        var plain = ""
        func flush() { if !plain.isEmpty { parts.append(.text(plain, isQuoted: false)); plain = "" } }
        while let character = current, !endsWord(character, after: plain) {
            switch character {
            case "'":
                flush()
                parts.append(try singleQuoted())
            case "\"":
                flush()
                advance()
                let quoted = try quotedText(until: "\"")
                parts += quoted.parts.isEmpty ? [.text("", isQuoted: true)] : quoted.parts
            case "\\":
                advance()
                guard let escaped = current else {
                    throw SyntaxError(start, "nothing follows '\\'", isIncomplete: true)
                }
                advance()
                if escaped.isNewline { continue }
                flush()
                parts.append(.text(String(escaped), isQuoted: true))
            case "$":
                if let part = try dollar(isQuoted: false) {
                    flush()
                    parts.append(part)
                } else {
                    plain.append("$")
                }
            case "<":
                plain += "<->"
                advance(3)
            default:
                plain.append(character)
                advance()
            }
        }
        flush()
        if parts.isEmpty { throw unexpected() }
        return Word(parts: parts, position: start)
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
        let escapable = end == nil ? "$\\" : "$\"\\"
        func flush() { if !text.isEmpty { parts.append(.text(text, isQuoted: true)); text = "" } }
        while let character = current, character != end {
            if character == "\\", let next = peek(1), escapable.contains(next) || next.isNewline {
                advance(2)
                if !next.isNewline { text.append(next) }
            } else if character == "$" {
                if let part = try dollar(isQuoted: true) {
                    flush()
                    parts.append(part)
                } else {
                    text.append("$")
                }
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
        if follows("$((") { return .arithmetic(try arithmetic(start)) }
        if follows("$(") { return .output(try substitution(start), isQuoted: isQuoted) }
        if follows("$?") {
            advance(2)
            return .status
        }
        if follows("${") {
            advance(2)
            let name = name()
            guard current == "}", !name.isEmpty else {
                throw SyntaxError(start, "${ needs the name of a variable and a }", isIncomplete: current == nil)
            }
            advance()
            return .variable(name, isQuoted: isQuoted)
        }
        advance()
        let name = name()
        return name.isEmpty ? nil : .variable(name, isQuoted: isQuoted)
    }

    mutating func substitution(_ start: Position) throws(SyntaxError) -> Script {
        advance(2)
        substitutionDepth += 1
        let script = try script(until: [")"])
        substitutionDepth -= 1
        guard current == ")" else { throw SyntaxError(start, "an open $(", isIncomplete: true) }
        advance()
        return script
    }

    mutating func arithmetic(_ start: Position) throws(SyntaxError) -> Arithmetic {
        advance(3)
        var expression = ""
        var open = 0
        while let character = current, open > 0 || !follows("))") {
            if character == "(" { open += 1 } else if character == ")" { open -= 1 }
            expression.append(character)
            advance()
        }
        guard follows("))") else { throw SyntaxError(start, "an open $((", isIncomplete: true) }
        advance(2)
        do throws(Arithmetic.Failure) {
            return try Arithmetic(expression)
        } catch {
            throw SyntaxError(start, "$((\(expression))): \(error.text)")
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
