/// Reads Protocol Buffers' wire format (protobuf.dev, "Encoding"): fields in any order, each with its number and kind.
///
/// ```
/// message = { key value }      ; key = number × 8 + kind, a varint
/// value   = varint             ; kind 0
///         | 8 bytes            ; kind 1, the lowest first
///         | length(varint) bytes   ; kind 2: text, bytes, messages, packed numbers
///         | 4 bytes            ; kind 5
/// ```
///
/// What one does not know is skipped; a field that stands there twice counts the last time. A reader is a view of bytes
/// that somebody else holds; the messages inside are read by readers of their own, so nothing is copied.
struct ProtobufReader {
    struct Malformed: Error, Equatable {
        let position: Int
    }

    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case bytes(UnsafeRawBufferPointer)
        case fixed32(UInt32)
    }

    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var malformed: Malformed { Malformed(position: position) }

    var isAtEnd: Bool { position >= bytes.count }

    /// The next field; nil at the end.
    mutating func next() throws(Malformed) -> (number: Int, value: Value)? {
        guard position < bytes.count else { return nil }
        let key = try varint()
        guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw malformed }
        let number = Int(key >> 3)
        switch key & 7 {
        case 0: return (number, .varint(try varint()))
        case 1: return (number, .fixed64(try fixed(8)))
        case 2: return (number, .bytes(try lengthDelimited()))
        case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw malformed
        }
    }

    mutating func varint() throws(Malformed) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard position < bytes.count else { throw malformed }
            let byte = bytes[position]
            position += 1
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
        }
        throw malformed
    }

    private mutating func fixed(_ count: Int) throws(Malformed) -> UInt64 {
        guard bytes.count - position >= count else { throw malformed }
        var result: UInt64 = 0
        for index in (0..<count).reversed() { result = result << 8 | UInt64(bytes[position + index]) }
        position += count
        return result
    }

    /// Bytes behind their length.
    mutating func lengthDelimited() throws(Malformed) -> UnsafeRawBufferPointer {
        let length = try varint()
        guard length <= UInt64(bytes.count - position) else { throw malformed }
        defer { position += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(length)])
    }
}

extension ProtobufReader.Value {
    typealias Malformed = ProtobufReader.Malformed

    func double() throws(Malformed) -> Double {
        guard case .fixed64(let bits) = self else { throw Malformed(position: 0) }
        return Double(bitPattern: bits)
    }

    func unsigned() throws(Malformed) -> UInt64 {
        guard case .varint(let number) = self else { throw Malformed(position: 0) }
        return number
    }

    func signed() throws(Malformed) -> Int64 { Int64(bitPattern: try unsigned()) }

    /// Folded, so that small negative numbers stay short: sint32 and sint64.
    func zigzag() throws(Malformed) -> Int64 { Self.unfolded(try unsigned()) }

    static func unfolded(_ number: UInt64) -> Int64 {
        Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
    }

    func message() throws(Malformed) -> ProtobufReader {
        guard case .bytes(let bytes) = self else { throw Malformed(position: 0) }
        return ProtobufReader(bytes)
    }

    /// Text; what is no UTF-8 is refused.
    func text() throws(Malformed) -> String {
        guard case .bytes(let bytes) = self, let text = String(validating: bytes, as: UTF8.self) else {
            throw Malformed(position: 0)
        }
        return text
    }

    /// Folded numbers, one or packed together.
    func zigzags(_ add: (Int64) -> Void) throws(Malformed) {
        guard case .bytes(let bytes) = self else { return add(try zigzag()) }
        var reader = ProtobufReader(bytes)
        while !reader.isAtEnd { add(Self.unfolded(try reader.varint())) }
    }

    /// Doubles, one or packed together.
    func doubles(_ add: (Double) -> Void) throws(Malformed) {
        guard case .bytes(let bytes) = self else { return add(try double()) }
        guard bytes.count % 8 == 0 else { throw Malformed(position: 0) }
        for offset in stride(from: 0, to: bytes.count, by: 8) {
            add(Double(bitPattern: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))))
        }
    }
}

/// Writes what a `ProtobufReader` reads.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    init() {}

    mutating func append(varint number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func key(_ number: Int, _ kind: UInt64) { append(varint: UInt64(number) << 3 | kind) }

    mutating func append(_ number: Int, _ value: UInt64) {
        key(number, 0)
        append(varint: value)
    }

    mutating func append(_ number: Int, _ value: Int64) { append(number, UInt64(bitPattern: value)) }

    mutating func append(_ number: Int, zigzag value: Int64) {
        key(number, 0)
        append(folded: value)
    }

    /// A number without a field's, as packed fields have them.
    mutating func append(folded value: Int64) { append(varint: UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

    mutating func append(_ number: Int, _ value: Double) {
        key(number, 1)
        append(fixed: value)
    }

    mutating func append(fixed value: Double) {
        Swift.withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ number: Int, _ value: String) {
        key(number, 2)
        append(varint: UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    mutating func append(_ number: Int, _ body: (inout ProtobufWriter) -> Void) {
        var message = ProtobufWriter()
        body(&message)
        key(number, 2)
        append(varint: UInt64(message.bytes.count))
        bytes.append(contentsOf: message.bytes)
    }
}
