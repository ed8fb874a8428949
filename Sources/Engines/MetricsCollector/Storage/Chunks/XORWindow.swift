/// How a number differs from the one before: the bits of both, one XOR the other, of which most are zeros (Gorilla,
/// §4.1.2). The window says which bits of the last difference were none.
///
/// ```
/// xor = 0                                       ; the same value
///     | 10 meaningful bits                      ; within the window of the one before
///     | 11 leading(5) length(6) meaningful bits ; 64 bits have the length 0
/// ```
struct XORWindow {
    /// 0xFF before there is a window.
    private var leading: UInt8 = 0xFF
    private var trailing: UInt8 = 0

    @inline(__always)
    mutating func append(_ value: Double, after last: Double, to writer: inout BitWriter) {
        let difference = value.bitPattern ^ last.bitPattern
        if difference == 0 { return writer.append(0, count: 1) }
        let newLeading = min(31, UInt8(difference.leadingZeroBitCount))
        let newTrailing = UInt8(difference.trailingZeroBitCount)
        if leading != 0xFF, newLeading >= leading, newTrailing >= trailing {
            writer.append(0b10, count: 2)
            return writer.append(difference >> UInt64(trailing), count: 64 - Int(leading) - Int(trailing))
        }
        leading = newLeading
        trailing = newTrailing
        let length = 64 - Int(leading) - Int(trailing)
        writer.append(0b11 << 11 | UInt64(leading) << 6 | UInt64(length & 63), count: 13)
        writer.append(difference >> UInt64(trailing), count: length)
    }

    /// Makes `bits` the next number's.
    ///
    /// - Returns: false if the window is none, so that what is read is damaged.
    @inline(__always)
    mutating func read(_ bits: inout UInt64, _ reader: inout BitReader) -> Bool {
        guard reader.bit() else { return true }
        if reader.bit() {
            leading = UInt8(truncatingIfNeeded: reader.bits(5))
            let length = Int(reader.bits(6))
            let rest = 64 - Int(leading) - (length == 0 ? 64 : length)
            if rest < 0 { return false }
            trailing = UInt8(rest)
        } else if leading == 0xFF {
            return false
        }
        bits ^= reader.bits(64 - Int(leading) - Int(trailing)) << UInt64(trailing)
        return true
    }
}
