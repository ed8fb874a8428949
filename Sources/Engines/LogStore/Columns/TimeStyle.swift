import Glibc
import KernelStructures

/// How a program writes times: `2024-01-15T10:30:00.123Z`. Where a line says the entry's own time, nothing has to be
/// kept of that.
struct TimeStyle: Equatable {
    /// `T` or a blank.
    let separator: UInt8
    /// Digits of a second's fraction, 0 to 9.
    let digits: Int
    /// None, `Z` or `+00:00`.
    let suffix: Int

    private static let suffixes: [[UInt8]] = [[], [UInt8(ascii: "Z")], Array("+00:00".utf8)]
    static let lengthLimit = 35
    /// Up to the second.
    static let secondBytes = 19

    init?(separator: UInt8, digits: Int, suffix: Int) {
        guard separator == UInt8(ascii: "T") || separator == UInt8(ascii: " "), (0...9).contains(digits),
            Self.suffixes.indices.contains(suffix)
        else { return nil }
        self.separator = separator
        self.digits = digits
        self.suffix = suffix
    }

    /// From an example; nil where it does not look like a time.
    init?(_ text: UnsafeRawBufferPointer) {
        guard (Self.secondBytes...Self.lengthLimit).contains(text.count), text[4] == UInt8(ascii: "-"),
            text[13] == UInt8(ascii: ":")
        else { return nil }
        var place = Self.secondBytes
        var digits = 0
        if place < text.count, text[place] == UInt8(ascii: ".") {
            place += 1
            while place < text.count, text[place] &- 0x30 < 10 {
                digits += 1
                place += 1
            }
            if digits == 0 { return nil }
        }
        guard let suffix = Self.suffixes.firstIndex(where: { $0.elementsEqual(text[place...]) }) else { return nil }
        self.init(separator: text[10], digits: digits, suffix: suffix)
    }

    var length: Int { Self.secondBytes + (digits > 0 ? digits + 1 : 0) + Self.suffixes[suffix].count }

    /// Years with four digits, from 1970 on. Seconds.
    private static let seconds: Range<Int64> = 0..<253_402_300_800

    /// Writes a time, `length` bytes; false for one that has no such form.
    ///
    /// - Parameter time: nanoseconds since 1970.
    func write(_ time: Int64, into out: UnsafeMutablePointer<UInt8>) -> Bool {
        let second = time / 1_000_000_000
        guard time >= 0, Self.seconds.contains(second) else { return false }
        let (day, clock) = second.quotientAndRemainder(dividingBy: 86_400)
        let date = CivilDate(dayNumber: Int(day))
        Self.put(Int64(date.year), 4, out)
        out[4] = UInt8(ascii: "-")
        Self.put(Int64(date.month), 2, out + 5)
        out[7] = UInt8(ascii: "-")
        Self.put(Int64(date.day), 2, out + 8)
        out[10] = separator
        Self.put(clock / 3600, 2, out + 11)
        out[13] = UInt8(ascii: ":")
        Self.put(clock / 60 % 60, 2, out + 14)
        out[16] = UInt8(ascii: ":")
        Self.put(clock % 60, 2, out + 17)
        var place = Self.secondBytes
        if digits > 0 {
            out[place] = UInt8(ascii: ".")
            var fraction = time % 1_000_000_000
            for _ in digits..<9 { fraction /= 10 }
            Self.put(fraction, digits, out + place + 1)
            place += digits + 1
        }
        for byte in Self.suffixes[suffix] {
            out[place] = byte
            place += 1
        }
        return true
    }

    @inline(__always)
    private static func put(_ number: Int64, _ digits: Int, _ out: UnsafeMutablePointer<UInt8>) {
        var rest = number
        var place = digits
        while place > 0 {
            place -= 1
            out[place] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}
