/// Reads what `LogBatchWriter` and `RecordWriter` write, in place: nil for everything that is not there. The bytes must
/// outlive it.
struct RawRecordReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }
    var remaining: Int { bytes.count - position }

    mutating func byte() -> UInt8? {
        guard position < bytes.count else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func unsigned() -> UInt64? {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard let byte = byte(), shift < 63 || byte <= 1 else { return nil }
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
        }
        return nil
    }

    /// No count and no place is above that.
    static let numberLimit: UInt64 = 1 << 48

    /// A count or a place: not above what counting on from it could overflow.
    mutating func number() -> Int? {
        guard let value = unsigned(), value < Self.numberLimit else { return nil }
        return Int(value)
    }

    mutating func signed() -> Int64? {
        guard let folded = unsigned() else { return nil }
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    /// Bytes behind their length.
    mutating func data() -> UnsafeRawBufferPointer? {
        guard let count = number() else { return nil }
        return take(count)
    }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, count <= remaining else { return nil }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }
}
