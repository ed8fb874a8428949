import KernelStructures

/// Any bytes as a text, and back, without a loss.
///
/// Most of what comes is UTF-8. A byte that is none becomes a character of its own, from the last ones of the private
/// area: U+10FF80 to U+10FFFF for the bytes 0x80 to 0xFF. Where those characters themselves come, they are taken for
/// bytes that are no text, so that all bytes come back as they were. Python's `surrogateescape` is the same idea.
enum ByteText {
    private static let base: UInt32 = 0x10FF00

    /// The bytes as a text.
    static func decode(_ bytes: ArraySlice<UInt8>) -> String {
        // 0xF4 begins the highest characters only; it hardly ever stands in a text.
        let isPlain = bytes.withUnsafeBufferPointer { buffer in !buffer.contains(0xF4) }
        if isPlain, let text = String(validating: bytes, as: UTF8.self) { return text }
        var result = String.UnicodeScalarView()
        var iterator = bytes.makeIterator()
        var decoder = UTF8.ForwardParser()
        var place = bytes.startIndex
        func escape(_ range: Range<Int>) {
            for byte in bytes[range] {
                result.append(byte < 0x80 ? UnicodeScalar(byte) : UnicodeScalar(base + UInt32(byte)) ?? "\u{FFFD}")
            }
        }
        while true {
            switch decoder.parseScalar(from: &iterator) {
            case .valid(let units):
                let scalar = UTF8.decode(units)
                let end = place + units.count
                if scalar.value >= base + 0x80 { escape(place..<end) } else { result.append(scalar) }
                place = end
            case .error(let length):
                escape(place..<(place + length))
                place += length
            case .emptyInput: return String(result)
            }
        }
    }

    /// The bytes of a text.
    static func encode(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard bytes.contains(0xF4) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for scalar in text.unicodeScalars {
            if scalar.value >= base + 0x80 {
                result.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                result += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
            }
        }
        return result
    }

    /// A byte as it stands in such a text; several of them may make a character: `joined`.
    static func character(_ byte: UInt8) -> Character {
        Character(byte < 0x80 ? UnicodeScalar(byte) : UnicodeScalar(base + UInt32(byte)) ?? "\u{FFFD}")
    }

    /// The text with bytes that make a character together as that character.
    static func joined(_ text: String) -> String {
        text.utf8.contains(0xF4) ? decode(encode(text)[...]) : text
    }
}
