import CCrypto

/// base64 (RFC 4648): bytes as 64 printable characters, three bytes in four of them.
///
/// Reading is strict: what two readers could take for different bytes is refused. There is one spelling for each byte
/// string: no blanks, no line ends, no bits behind the last byte, and padding exactly where the alphabet has it.
public enum Base64: Sendable {
    /// Section 4: `+` and `/`, padded with `=`.
    case standard
    /// Section 5, without padding, as JWTs have it: `-` and `_`.
    case url

    public func encode(_ bytes: some Collection<UInt8>) -> String {
        let bytes = Array(bytes)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: Self.pieceByteCount) {
            let piece = bytes[start..<min(bytes.count, start + Self.pieceByteCount)]
            // OpenSSL writes a zero behind the text.
            var encoded = [UInt8](repeating: 0, count: (piece.count + 2) / 3 * 4 + 1)
            let length = piece.withUnsafeBufferPointer {
                EVP_EncodeBlock(&encoded, $0.baseAddress, Int32($0.count))
            }
            text += encoded[..<Int(length)]
        }
        if self == .url {
            while text.last == UInt8(ascii: "=") { text.removeLast() }
            for index in text.indices { text[index] = Self.urlDigit(text[index]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil for what is no canonical base64 of this alphabet.
    public func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var digits = Array(text)
        if self == .url {
            guard digits.count % 4 != 1, digits.allSatisfy({ Self.isDigit($0, "-", "_") }) else { return nil }
            for index in digits.indices { digits[index] = Self.standardDigit(digits[index]) }
            while digits.count % 4 != 0 { digits.append(UInt8(ascii: "=")) }
        }
        let padding = digits.suffix(2).count { $0 == UInt8(ascii: "=") }
        guard digits.count % 4 == 0, digits.dropLast(padding).allSatisfy({ Self.isDigit($0, "+", "/") }) else {
            return nil
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3)
        for start in stride(from: 0, to: digits.count, by: Self.pieceByteCount / 3 * 4) {
            let piece = digits[start..<min(digits.count, start + Self.pieceByteCount / 3 * 4)]
            var decoded = [UInt8](repeating: 0, count: piece.count / 4 * 3)
            let length = piece.withUnsafeBufferPointer {
                EVP_DecodeBlock(&decoded, $0.baseAddress, Int32($0.count))
            }
            guard length == decoded.count else { return nil }
            bytes += decoded
        }
        bytes.removeLast(padding)
        // The bits of the last digit behind the last byte must be zero: then it is written as it was read.
        let tail = digits.suffix(4)
        let lastBytes = bytes.suffix(tail.isEmpty ? 0 : 3 - padding)
        return Base64.standard.encode(lastBytes).utf8.elementsEqual(tail) ? bytes : nil
    }

    public func decode(_ text: String) -> [UInt8]? { decode(text.utf8) }

    /// OpenSSL counts in 32 bits.
    private static let pieceByteCount = 3 << 20

    private static func isDigit(_ byte: UInt8, _ digit62: Unicode.Scalar, _ digit63: Unicode.Scalar) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: digit62), UInt8(ascii: digit63):
            true
        default: false
        }
    }

    private static func urlDigit(_ digit: UInt8) -> UInt8 {
        switch digit {
        case UInt8(ascii: "+"): UInt8(ascii: "-")
        case UInt8(ascii: "/"): UInt8(ascii: "_")
        default: digit
        }
    }

    private static func standardDigit(_ digit: UInt8) -> UInt8 {
        switch digit {
        case UInt8(ascii: "-"): UInt8(ascii: "+")
        case UInt8(ascii: "_"): UInt8(ascii: "/")
        default: digit
        }
    }
}

/// Hexadecimal (RFC 4648 section 8): two digits a byte.
public enum Hexadecimal {
    /// In lower case.
    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// In either case. Nil for an odd number of digits, and for anything that is no digit.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2)
        var high: UInt8?
        for character in text {
            guard let digit = digit(character) else { return nil }
            if let half = high {
                bytes.append(half << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }

    public static func decode(_ text: String) -> [UInt8]? { decode(text.utf8) }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
