import PromQLEngine

/// Cuts the text of a query into tokens.
///
/// Whether `10m` is a duration and `10MB` a size is seen from the letters behind the digits; what is neither is an
/// error at its place. Nothing else depends on where a token stands.
struct LogLexer {
    let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func byte(_ distance: Int = 0) -> UInt8? {
        offset + distance < bytes.count ? bytes[offset + distance] : nil
    }

    func error(_ message: String, at place: Int) -> LogQLError { LogQLError(in: bytes, at: place, message) }

    private func text(from start: Int) -> String { String(decoding: bytes[start..<offset], as: UTF8.self) }

    mutating func next() throws(LogQLError) -> LogToken {
        skipSpaceAndComments()
        let start = offset
        guard let first = byte() else { return LogToken(kind: .end, text: "", range: start..<start) }
        switch first {
        case UInt8(ascii: "\""), UInt8(ascii: "`"): return try string(first)
        case _ where Self.isLetter(first):
            while let next = byte(), Self.isLetter(next) || Self.isDigit(next) { offset += 1 }
            return LogToken(kind: .identifier, text: text(from: start), range: start..<offset)
        case _ where Self.isDigit(first) || first == UInt8(ascii: ".") && byte(1).map(Self.isDigit) == true:
            return try number()
        case UInt8(ascii: "-") where byte(1) == UInt8(ascii: "-") && byte(2).map(Self.isLetter) == true:
            offset += 2
            while let next = byte(), Self.isLetter(next) || next == UInt8(ascii: "-") { offset += 1 }
            return LogToken(kind: .flag, text: text(from: start), range: start..<offset)
        default: return try symbol()
        }
    }

    private mutating func skipSpaceAndComments() {
        while let byte = byte() {
            if byte == UInt8(ascii: "#") {
                while let next = self.byte(), next != UInt8(ascii: "\n") { offset += 1 }
            } else if byte == 0x20 || (0x09...0x0D).contains(byte) {
                offset += 1
            } else {
                return
            }
        }
    }

    private mutating func symbol() throws(LogQLError) -> LogToken {
        let start = offset
        for symbol in LogToken.Symbol.allCases where bytes[start...].starts(with: symbol.rawValue.utf8) {
            offset += symbol.rawValue.utf8.count
            return LogToken(kind: .symbol(symbol), text: symbol.rawValue, range: start..<offset)
        }
        let character = String(decoding: bytes[start...].prefix(4), as: UTF8.self).first.map(String.init) ?? ""
        throw error("syntax error: unexpected character \(quotedByGo(character))", at: start)
    }

    // MARK: Numbers

    private mutating func number() throws(LogQLError) -> LogToken {
        let start = offset
        skipDigits()
        // An exponent is no unit: 1e3, 1E-3.
        if let letter = byte(), letter | 0x20 == UInt8(ascii: "e"), let next = byte(1) {
            let hasSign = next == UInt8(ascii: "+") || next == UInt8(ascii: "-")
            if Self.isDigit(next) || hasSign && byte(2).map(Self.isDigit) == true {
                offset += 2
                skipDigits()
            }
        }
        guard let letter = byte(), Self.isLetter(letter) || letter >= 0x80 else {
            return LogToken(kind: .number, text: text(from: start), range: start..<offset)
        }
        while let next = byte(), Self.isLetter(next) || Self.isDigit(next) || next == UInt8(ascii: ".") || next >= 0x80
        {
            offset += 1
        }
        let text = text(from: start)
        if GoDuration.parse(text) != nil { return LogToken(kind: .duration, text: text, range: start..<offset) }
        if ByteSize.parse(text) != nil { return LogToken(kind: .bytes, text: text, range: start..<offset) }
        throw error("syntax error: \(quotedByGo(text)) is neither a number, nor a duration, nor a size", at: start)
    }

    private mutating func skipDigits() {
        while let next = byte(), Self.isDigit(next) || next == UInt8(ascii: ".") { offset += 1 }
    }

    // MARK: Strings

    /// A text between `"` or backquotes; between the latter nothing is escaped.
    private mutating func string(_ quote: UInt8) throws(LogQLError) -> LogToken {
        let start = offset
        offset += 1
        let isRaw = quote == UInt8(ascii: "`")
        var content: [UInt8] = []
        while let next = byte(), isRaw || next != UInt8(ascii: "\n") {
            offset += 1
            if next == quote {
                return LogToken(kind: .string, text: String(decoding: content, as: UTF8.self), range: start..<offset)
            }
            if next == UInt8(ascii: "\\"), !isRaw {
                try escape(into: &content, stringStart: start)
            } else {
                content.append(next)
            }
        }
        throw error("literal not terminated", at: start)
    }

    private mutating func escape(into content: inout [UInt8], stringStart: Int) throws(LogQLError) {
        let start = offset - 1
        guard let letter = byte() else { throw error("literal not terminated", at: stringStart) }
        offset += 1
        switch letter {
        case UInt8(ascii: "a"): content.append(7)
        case UInt8(ascii: "b"): content.append(8)
        case UInt8(ascii: "f"): content.append(12)
        case UInt8(ascii: "n"): content.append(10)
        case UInt8(ascii: "r"): content.append(13)
        case UInt8(ascii: "t"): content.append(9)
        case UInt8(ascii: "v"): content.append(11)
        case UInt8(ascii: "\\"), UInt8(ascii: "\""): content.append(letter)
        case UInt8(ascii: "x"): content.append(UInt8(truncatingIfNeeded: try hexadecimal(2, from: start)))
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            let value = try hexadecimal(letter == UInt8(ascii: "u") ? 4 : 8, from: start)
            guard let scalar = Unicode.Scalar(value) else { throw error("invalid char escape", at: start) }
            content += String(scalar).utf8
        default: throw error("invalid char escape", at: start)
        }
    }

    private mutating func hexadecimal(_ count: Int, from start: Int) throws(LogQLError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let next = byte(), let digit = Character(Unicode.Scalar(next)).hexDigitValue else {
                throw error("invalid char escape", at: start)
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }

    static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
    }
    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
