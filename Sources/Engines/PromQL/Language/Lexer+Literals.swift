/// Numbers, durations and strings.
extension Lexer {
    /// A number (`1.5e3`, `0x1F`), or a duration (`1h30m`), which begins like one.
    mutating func numberOrDuration() throws(PromQLError) -> Token {
        let start = offset
        if scanNumber() { return Token(kind: .number, text: text(from: start), range: start..<offset) }
        if scanUnits() { return Token(kind: .duration, text: text(from: start), range: start..<offset) }
        throw error("bad number or duration syntax: \(quotedByGo(text(from: start)))", at: start)
    }

    /// What must stand behind `[`.
    mutating func durationInBrackets() throws(PromQLError) -> Token {
        let start = offset
        if scanNumber() { throw error("missing unit character in duration", at: start) }
        guard scanUnits() else {
            throw error("bad duration syntax: \(quotedByGo(text(from: start)))", at: start)
        }
        return Token(kind: .duration, text: text(from: start), range: start..<offset)
    }

    private mutating func skipDigits(isHexadecimal: Bool = false) {
        while let byte = byte(),
            Self.isDigit(byte)
                || isHexadecimal && (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "f")
        { offset += 1 }
    }

    private mutating func scanNumber() -> Bool {
        var isHexadecimal = false
        if byte() == UInt8(ascii: "0"), byte(1).map({ $0 | 0x20 }) == UInt8(ascii: "x") {
            isHexadecimal = true
            offset += 2
        }
        skipDigits(isHexadecimal: isHexadecimal)
        if byte() == UInt8(ascii: ".") {
            offset += 1
            skipDigits(isHexadecimal: isHexadecimal)
        }
        if !isHexadecimal, byte().map({ $0 | 0x20 }) == UInt8(ascii: "e") {
            offset += 1
            if byte() == UInt8(ascii: "+") || byte() == UInt8(ascii: "-") { offset += 1 }
            skipDigits()
        }
        return byte().map(Self.isAlphanumeric) != true
    }

    /// The rest of a duration behind its first number. What does not belong there is taken, too, for the error.
    private mutating func scanUnits() -> Bool {
        var isFirst = true
        repeat {
            skipDigits()
            guard let unit = byte(), (isFirst ? "smhdwy" : "smhdw").utf8.contains(unit) else { return false }
            isFirst = false
            offset += 1
            if byte() == UInt8(ascii: "s") { offset += 1 }
        } while byte().map(Self.isDigit) == true
        guard let next = byte(), Self.isAlphanumeric(next) else { return true }
        offset += 1
        return false
    }

    // MARK: Strings

    /// A text between `"`, `'` or backquotes; between the last nothing is escaped.
    mutating func string() throws(PromQLError) -> Token {
        let start = offset
        guard let quote = byte() else { throw error("unterminated quoted string") }
        offset += 1
        var content: [UInt8] = []
        let isRaw = quote == UInt8(ascii: "`")
        while let byte = byte(), isRaw || byte != UInt8(ascii: "\n") {
            offset += 1
            if byte == quote {
                return Token(
                    kind: .string, text: String(decoding: content, as: UTF8.self), range: start..<offset)
            }
            if byte == UInt8(ascii: "\\"), !isRaw {
                try escape(quote, from: start, into: &content)
            } else {
                content.append(byte)
            }
        }
        throw error(isRaw ? "unterminated raw string" : "unterminated quoted string", at: start)
    }

    private mutating func escape(
        _ quote: UInt8, from start: Int, into content: inout [UInt8]
    ) throws(PromQLError) {
        guard let byte = byte() else { throw error("escape sequence not terminated", at: start) }
        let simple: [UInt8: UInt8] = [
            UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10,
            UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9, UInt8(ascii: "v"): 11, UInt8(ascii: "\\"): 92, quote: quote,
        ]
        if let meant = simple[byte] {
            offset += 1
            return content.append(meant)
        }
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            let value = try digits(3, radix: 8, from: start)
            guard value <= 255 else { throw error("escape sequence is an invalid Unicode code point", at: start) }
            content.append(UInt8(value))
        case UInt8(ascii: "x"):
            offset += 1
            content.append(UInt8(truncatingIfNeeded: try digits(2, radix: 16, from: start)))
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            offset += 1
            let value = try digits(byte == UInt8(ascii: "u") ? 4 : 8, radix: 16, from: start)
            guard let scalar = Unicode.Scalar(value) else {
                throw error("escape sequence is an invalid Unicode code point", at: start)
            }
            content += String(scalar).utf8
        default: throw error("unknown escape sequence \(codePoint())", at: start)
        }
    }

    private mutating func digits(
        _ count: Int, radix: UInt32, from start: Int
    ) throws(PromQLError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let byte = byte() else { throw error("escape sequence not terminated", at: start) }
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, digit < radix else {
                throw error("illegal character \(codePoint()) in escape sequence", at: start)
            }
            value = value &* radix &+ UInt32(digit)
            offset += 1
        }
        return value
    }

    /// `U+0071 'q'`, as Go's `%#U`.
    private func codePoint() -> String {
        guard let scalar = scalar() else { return "U+0000" }
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits + " '\(scalar)'"
    }
}
