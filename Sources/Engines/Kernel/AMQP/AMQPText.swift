/// Short strings as Swift has texts, whatever bytes a client sends.
///
/// Names are UTF-8. What a publisher writes into a property need not be: many send the sixteen bytes of a UUID as a
/// correlation id, and get them back. A byte that is part of no character becomes one of the private characters
/// U+EF80…U+EFFF, and that byte again when it is written. Those characters themselves, should somebody send them, are
/// taken for three such bytes: so any bytes come back as they were, and two texts are the same if their bytes are.
/// (MirBSD's OPTU-8/16 and Python's `surrogateescape` do the same with other characters.)
enum AMQPText {
    private static let base: UInt32 = 0xEF00
    /// With which the UTF-8 of all private characters of use here begins.
    private static let mark: UInt8 = 0xEE

    static func isPlain(_ text: String) -> Bool { !text.utf8.contains(mark) }

    static func decoded(_ raw: UnsafeRawBufferPointer) -> String {
        if !raw.contains(mark), let text = String(validating: raw, as: UTF8.self) { return text }
        var result = ""
        var position = 0
        while position < raw.count {
            if let (scalar, width) = scalar(raw, at: position) {
                result.unicodeScalars.append(scalar)
                position += width
            } else {
                if let stand = Unicode.Scalar(base + UInt32(raw[position])) { result.unicodeScalars.append(stand) }
                position += 1
            }
        }
        return result
    }

    /// The character that begins there; nil if none does, or one that stands for a byte.
    private static func scalar(_ raw: UnsafeRawBufferPointer, at position: Int) -> (Unicode.Scalar, width: Int)? {
        for width in 1...4 where position + width <= raw.count {
            let bytes = UnsafeRawBufferPointer(rebasing: raw[position..<position + width])
            guard let text = String(validating: bytes, as: UTF8.self), let scalar = text.unicodeScalars.first else {
                continue
            }
            return byte(scalar) == nil ? (scalar, width) : nil
        }
        return nil
    }

    private static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
        (0xEF80...0xEFFF).contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value - base) : nil
    }

    /// The bytes that such a text was made of.
    static func encoded(_ text: String) -> [UInt8] {
        if isPlain(text) { return Array(text.utf8) }
        var result: [UInt8] = []
        for scalar in text.unicodeScalars {
            if let byte = byte(scalar) {
                result.append(byte)
            } else {
                result += UTF8.encode(scalar).map(Array.init) ?? []
            }
        }
        return result
    }
}
