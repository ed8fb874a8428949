import KernelStructures

/// Reads a number of the exposition formats: what Go's `ParseFloat` takes, but no hexadecimal and no underscores.
///
/// Most values are short decimals. If the digits fit 53 bits and the power of ten is at most 22, both are exact
/// `Double`s, and one division or multiplication gives the nearest one (Clinger 1990, the fast path); anything else
/// goes to the library.
enum NumberText {
    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// Bytes of a number; longer ones are none.
    private static let byteLimit = 1024

    static func double(_ text: UnsafeRawBufferPointer) -> Double? {
        if let quick = quick(text) { return quick }
        return slow(text)
    }

    private static func quick(_ text: UnsafeRawBufferPointer) -> Double? {
        var index = 0
        var isNegative = false
        if index < text.count, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+") {
            isNegative = text[index] == UInt8(ascii: "-")
            index += 1
        }
        guard text.count - index > 0, text.count - index <= 17 else { return nil }
        var mantissa: UInt64 = 0
        var scale = 0
        var hasPoint = false
        var digitCount = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
                continue
            }
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            mantissa = mantissa &* 10 &+ UInt64(digit)
            digitCount += 1
            if hasPoint { scale += 1 }
        }
        guard digitCount > 0, mantissa < 1 << 53 else { return nil }
        let size = scale == 0 ? Double(mantissa) : Double(mantissa) / powers[scale]
        return isNegative ? -size : size
    }

    private static func slow(_ text: UnsafeRawBufferPointer) -> Double? {
        guard !text.isEmpty, text.count <= byteLimit else { return nil }
        for byte in text {
            switch byte {
            case UInt8(ascii: "p"), UInt8(ascii: "P"), UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "_"):
                return nil
            case UInt8(ascii: "("), 0x80...: return nil
            default: break
            }
        }
        let word = String(decoding: text, as: UTF8.self)
        switch word.lowercased() {
        case "nan", "+nan", "-nan": return word.lowercased() == "nan" ? .ordinaryNaN : nil
        case "inf", "+inf", "infinity", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        default: break
        }
        guard let last = text.last, last != UInt8(ascii: "e"), let value = Double(word) else { return nil }
        // Go refuses what is out of range; infinity is written out.
        return value.isInfinite ? nil : value
    }

    /// Whole milliseconds of text 0.0.4, or of a duration in whole digits.
    static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        var index = 0
        var isNegative = false
        if index < text.count, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+") {
            isNegative = text[index] == UInt8(ascii: "-")
            index += 1
        }
        guard index < text.count else { return nil }
        var value: Int64 = 0
        while index < text.count {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = product.addingReportingOverflow(Int64(digit))
            if isTooLarge || overflows { return nil }
            value = sum
            index += 1
        }
        return isNegative ? -value : value
    }
}

extension Double {
    /// The NaN of parsers and calculations: see `Staleness`.
    static var ordinaryNaN: Double { Double(bitPattern: 0x7FF8_0000_0000_0001) }
}
