/// Writes messages that a `ProtobufReader` reads. A number that is zero and a text that is empty are left out, as
/// proto3 has it, unless the message distinguishes them from what is absent (`always`).
public struct ProtobufWriter {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    private mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func key(_ number: Int, _ shape: UInt64) { append(varint: UInt64(number) << 3 | shape) }

    private mutating func append(_ value: UInt64, byteCount: Int) {
        for index in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }

    private static func folded(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }

    public mutating func varint(_ number: Int, _ value: UInt64, always: Bool = false) {
        if value == 0, !always { return }
        key(number, 0)
        append(varint: value)
    }

    /// Folded, so that small negative numbers stay short: sint32 and sint64.
    public mutating func zigzag(_ number: Int, _ value: Int64, always: Bool = false) {
        varint(number, Self.folded(value), always: always)
    }

    public mutating func fixed64(_ number: Int, _ value: UInt64, always: Bool = false) {
        if value == 0, !always { return }
        key(number, 1)
        append(value, byteCount: 8)
    }

    /// Zero is left out, and -0 is not zero here.
    public mutating func double(_ number: Int, _ value: Double, always: Bool = false) {
        fixed64(number, value.bitPattern, always: always)
    }

    public mutating func fixed32(_ number: Int, _ value: UInt32) {
        if value == 0 { return }
        key(number, 5)
        append(UInt64(value), byteCount: 4)
    }

    public mutating func text(_ number: Int, _ value: String, always: Bool = false) {
        if value.isEmpty, !always { return }
        key(number, 2)
        append(varint: UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    public mutating func bytes(_ number: Int, _ value: [UInt8], always: Bool = false) {
        if value.isEmpty, !always { return }
        key(number, 2)
        append(varint: UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// A message within this one; written even if it is empty.
    public mutating func message(_ number: Int, _ body: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        body(&inner)
        bytes(number, inner.bytes, always: true)
    }

    /// Folded numbers, packed together; nothing if there are none.
    public mutating func zigzags(_ number: Int, _ values: [Int64]) {
        var inner = ProtobufWriter()
        for value in values { inner.append(varint: Self.folded(value)) }
        bytes(number, inner.bytes)
    }

    /// Doubles, packed together; nothing if there are none.
    public mutating func doubles(_ number: Int, _ values: [Double]) {
        var inner = ProtobufWriter()
        for value in values { inner.append(value.bitPattern, byteCount: 8) }
        bytes(number, inner.bytes)
    }

    /// A whole message behind its length, as a stream of them has it.
    public mutating func delimited(_ message: [UInt8]) {
        append(varint: UInt64(message.count))
        bytes.append(contentsOf: message)
    }
}
