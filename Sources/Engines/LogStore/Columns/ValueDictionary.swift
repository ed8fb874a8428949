import Glibc

/// The different values of a column, in the order in which they came.
struct ValueDictionary {
    private let text: UnsafeRawBufferPointer
    private(set) var values: [Range<Int>] = []
    private var table = [Int16](repeating: -1, count: 1024)

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// The place of a value, which is added where it is new; nil when there are too many.
    mutating func place(of value: Range<Int>) -> UInt8? {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text[value] { hash = (hash ^ UInt64(byte)) &* 0x0100_0000_01B3 }
        var slot = Int((hash ^ hash >> 32) & 1023)
        while table[slot] >= 0 {
            let known = values[Int(table[slot])]
            if known.count == value.count, let base = text.baseAddress,
                memcmp(base + known.lowerBound, base + value.lowerBound, value.count) == 0
            {
                return UInt8(truncatingIfNeeded: table[slot])
            }
            slot = (slot + 1) & 1023
        }
        guard values.count < LineColumnWriter.dictionaryLimit else { return nil }
        table[slot] = Int16(values.count)
        values.append(value)
        return UInt8(truncatingIfNeeded: values.count - 1)
    }
}
