/// Cuts the text of a query into tokens.
///
/// What a character means depends on where it stands: between braces a word is a label, between brackets a number must
/// have a unit and a colon separates a subquery's range from its step, elsewhere a colon belongs to a name. So the
/// lexer remembers what is open, and says itself when something is never closed.
struct Lexer {
    let bytes: [UInt8]
    var offset = 0
    private var parenthesisDepth = 0
    private var isInBraces = false
    private var isInBrackets = false
    private var hasColon = false
    private var expectsDuration = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func byte(_ distance: Int = 0) -> UInt8? { offset + distance < bytes.count ? bytes[offset + distance] : nil }

    func error(_ message: String, at start: Int? = nil) -> PromQLError {
        PromQLError(parsing: bytes, at: (start ?? offset)..<max(start ?? offset, offset), message)
    }

    func text(from start: Int) -> String { String(decoding: bytes[start..<offset], as: UTF8.self) }

    mutating func next() throws(PromQLError) -> Token {
        skipSpaceAndComments()
        if expectsDuration {
            expectsDuration = false
            return try durationInBrackets()
        }
        return try isInBraces ? nextInBraces() : nextOutside()
    }

    private mutating func skipSpaceAndComments() {
        while let byte = byte() {
            if byte == UInt8(ascii: "#") {
                while let next = self.byte(), next != UInt8(ascii: "\n") { offset += 1 }
            } else if Self.isSpace(byte) {
                offset += 1
            } else {
                return
            }
        }
    }

    private mutating func take(_ kind: Token.Kind, _ length: Int = 1) -> Token {
        let start = offset
        offset += length
        return Token(kind: kind, text: text(from: start), range: start..<offset)
    }

    private mutating func end() throws(PromQLError) -> Token {
        if parenthesisDepth != 0 { throw error("unclosed left parenthesis") }
        if isInBrackets { throw error("unclosed left bracket") }
        return Token(kind: .end, text: "", range: offset..<offset)
    }

    private mutating func nextOutside() throws(PromQLError) -> Token {
        guard let byte = byte() else { return try end() }
        switch byte {
        case UInt8(ascii: ","): return take(.comma)
        case UInt8(ascii: "*"): return take(.binary(.multiply))
        case UInt8(ascii: "/"): return take(.binary(.divide))
        case UInt8(ascii: "%"): return take(.binary(.modulo))
        case UInt8(ascii: "+"): return take(.binary(.add))
        case UInt8(ascii: "-"): return take(.binary(.subtract))
        case UInt8(ascii: "^"): return take(.binary(.power))
        case UInt8(ascii: "@"): return take(.at)
        case UInt8(ascii: "="): return try equals()
        case UInt8(ascii: "!"):
            guard self.byte(1) == UInt8(ascii: "=") else { throw unexpected(after: "!") }
            return take(.binary(.notEqual), 2)
        case UInt8(ascii: "<"):
            return self.byte(1) == UInt8(ascii: "=") ? take(.binary(.atMost), 2) : take(.binary(.less))
        case UInt8(ascii: ">"):
            return self.byte(1) == UInt8(ascii: "=") ? take(.binary(.atLeast), 2) : take(.binary(.greater))
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"): return try string()
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "["),
            UInt8(ascii: "]"):
            return try bracket(byte)
        case UInt8(ascii: ":") where isInBrackets:
            if hasColon { throw error("unexpected colon ':'") }
            hasColon = true
            return take(.colon)
        case _ where Self.isAlpha(byte) || byte == UInt8(ascii: ":"): return word()
        case _ where Self.isDigit(byte): return try numberOrDuration()
        case UInt8(ascii: ".") where self.byte(1).map(Self.isDigit) == true: return try numberOrDuration()
        default: throw error("unexpected character: \(quotedCharacter())")
        }
    }

    private mutating func equals() throws(PromQLError) -> Token {
        switch byte(1) {
        case UInt8(ascii: "="): return take(.binary(.equal), 2)
        case UInt8(ascii: "~"): throw unexpected(after: "=")
        default: return take(.assign)
        }
    }

    private mutating func bracket(_ byte: UInt8) throws(PromQLError) -> Token {
        switch byte {
        case UInt8(ascii: "("):
            parenthesisDepth += 1
            return take(.leftParenthesis)
        case UInt8(ascii: ")"):
            parenthesisDepth -= 1
            let token = take(.rightParenthesis)
            if parenthesisDepth < 0 { throw error("unexpected right parenthesis ')'") }
            return token
        case UInt8(ascii: "{"):
            isInBraces = true
            return take(.leftBrace)
        case UInt8(ascii: "}"): throw error("unexpected character: '}'")
        case UInt8(ascii: "["):
            if isInBrackets { throw error("unexpected left bracket '['") }
            isInBrackets = true
            hasColon = false
            expectsDuration = true
            return take(.leftBracket)
        default:
            if !isInBrackets { throw error("unexpected right bracket ']'") }
            isInBrackets = false
            return take(.rightBracket)
        }
    }

    private mutating func nextInBraces() throws(PromQLError) -> Token {
        guard let byte = byte() else { throw error("unexpected end of input inside braces") }
        switch byte {
        case UInt8(ascii: ","): return take(.comma)
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"): return try string()
        case UInt8(ascii: "="):
            return self.byte(1) == UInt8(ascii: "~") ? take(.matchesExpression, 2) : take(.assign)
        case UInt8(ascii: "!"):
            switch self.byte(1) {
            case UInt8(ascii: "~"): return take(.doesNotMatchExpression, 2)
            case UInt8(ascii: "="): return take(.binary(.notEqual), 2)
            default: throw unexpected(after: "!", " inside braces")
            }
        case UInt8(ascii: "{"): throw error("unexpected left brace '{'")
        case UInt8(ascii: "}"):
            isInBraces = false
            return take(.rightBrace)
        case _ where Self.isAlpha(byte):
            let start = offset
            while let next = self.byte(), Self.isAlphanumeric(next) { offset += 1 }
            return Token(kind: .identifier, text: text(from: start), range: start..<offset)
        default: throw error("unexpected character inside braces: \(quotedCharacter())")
        }
    }

    private mutating func word() -> Token {
        let start = offset
        while let byte = byte(), Self.isAlphanumeric(byte) || byte == UInt8(ascii: ":") { offset += 1 }
        let word = text(from: start)
        let kind = Token.keyword(word) ?? (word.utf8.contains(UInt8(ascii: ":")) ? .metricIdentifier : .identifier)
        return Token(kind: kind, text: word, range: start..<offset)
    }

    private mutating func unexpected(after character: String, _ place: String = "") -> PromQLError {
        let start = offset
        offset += 1
        return error("unexpected character after '\(character)'\(place): \(quotedCharacter())", at: start)
    }

    /// The character here as Go's `%q` writes a rune.
    func quotedCharacter() -> String {
        guard let scalar = scalar() else { return "'\\x00'" }
        switch scalar {
        case "'": return "'\\''"
        case "\\": return "'\\\\'"
        case "\n": return "'\\n'"
        default: return "'\(scalar)'"
        }
    }

    /// The character that begins here.
    func scalar() -> Unicode.Scalar? {
        offset < bytes.count ? String(decoding: bytes[offset...].prefix(4), as: UTF8.self).unicodeScalars.first : nil
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    static func isAlpha(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
    }
    static func isAlphanumeric(_ byte: UInt8) -> Bool { isAlpha(byte) || isDigit(byte) }
}
