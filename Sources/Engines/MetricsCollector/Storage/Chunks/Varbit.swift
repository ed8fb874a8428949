/// Whole numbers in as few bits as their size asks for: so many ones as the size has steps, a zero, and the number
/// (Prometheus, `chunkenc/varbit.go`).
///
/// ```
/// varbit = 0 | 10 bits(3) | 110 bits(6) | 1110 bits(9) | 11110 bits(12) | 111110 bits(18)
///        | 1111110 bits(25) | 11111110 bits(56) | 11111111 bits(64)
/// ```
private let varbitSizes = [3, 6, 9, 12, 18, 25, 56]

extension BitWriter {
    mutating func append(varbit value: Int64) {
        let bits = UInt64(bitPattern: value)
        append(bits, fits: value == 0 ? 0 : nil) { value > -(1 << ($0 - 1)) && value <= 1 << ($0 - 1) }
    }

    mutating func append(varbit value: UInt64) {
        append(value, fits: value == 0 ? 0 : nil) { value >> UInt64($0) == 0 }
    }

    private mutating func append(_ bits: UInt64, fits zero: Int?, _ fits: (_ size: Int) -> Bool) {
        if zero != nil { return append(0, count: 1) }
        guard let step = varbitSizes.firstIndex(where: fits) else {
            append(0xFF, count: 8)
            return append(bits, count: 64)
        }
        let size = varbitSizes[step]
        append((1 << UInt64(step + 1) - 1) << 1, count: step + 2)
        append(bits & (1 << UInt64(size) - 1), count: size)
    }
}

extension BitReader {
    mutating func varbit() -> Int64 {
        let (bits, size) = varbitBits()
        guard size > 0, size < 64, bits > 1 << UInt64(size - 1) else { return Int64(bitPattern: bits) }
        return Int64(bits) - 1 << Int64(size)
    }

    mutating func unsignedVarbit() -> UInt64 { varbitBits().bits }

    private mutating func varbitBits() -> (bits: UInt64, size: Int) {
        var ones = 0
        while ones < 8, bit() { ones += 1 }
        if ones == 0 { return (0, 0) }
        let size = ones == 8 ? 64 : varbitSizes[ones - 1]
        return (bits(size), size)
    }
}
