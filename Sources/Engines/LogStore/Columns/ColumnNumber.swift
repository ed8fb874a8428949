/// Numbers as lines have them: only such as can be written again exactly as they stood there.
enum ColumnNumber {
    private static let digitLimit = 18

    /// `-12.50` is -1250 with two decimals.
    static func parse(_ text: UnsafeRawBufferPointer) -> (value: Int64, decimals: Int)? {
        var place = 0
        let isNegative = text.first == UInt8(ascii: "-")
        if isNegative { place = 1 }
        guard text.count > place, text.count - place <= digitLimit + 1 else { return nil }
        var value: Int64 = 0
        var digits = 0
        var point = -1
        let start = place
        while place < text.count {
            let byte = text[place]
            if byte == UInt8(ascii: "."), point < 0, digits > 0 {
                point = place
            } else {
                guard byte &- 0x30 < 10, digits < digitLimit else { return nil }
                value = value * 10 + Int64(byte - 0x30)
                digits += 1
            }
            place += 1
        }
        let whole = (point < 0 ? text.count : point) - start
        guard whole >= 1, whole == 1 || text[start] != UInt8(ascii: "0"), point != text.count - 1 else { return nil }
        if isNegative, value == 0 { return nil }
        return (isNegative ? -value : value, point < 0 ? 0 : text.count - point - 1)
    }

    /// Appends it as it stood there. `decimals` is 0 to 18.
    static func write(_ value: Int64, decimals: Int, to out: inout [UInt8]) {
        if value < 0 { out.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 48) { buffer in
            var place = 48
            var written = 0
            repeat {
                place -= 1
                buffer[place] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
                written += 1
                if written == decimals {
                    place -= 1
                    buffer[place] = UInt8(ascii: ".")
                }
            } while rest > 0 || written <= decimals
            out.append(contentsOf: buffer[place...])
        }
    }

    @inline(__always)
    static func hexadecimal(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte - 0x30 }
        return byte &- 0x61 < 6 ? byte - 0x61 + 10 : nil
    }
}
