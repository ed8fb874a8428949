/// Protocol Buffers' wire format (protobuf.dev, "Encoding"), as far as every message shares it: numbered fields of four
/// shapes, one behind the other.
///
/// ```
/// field   = key value                     ; key: varint of number << 3 | shape
/// shape 0 = varint                        ; seven bits a byte, the lowest first, at most ten bytes
/// shape 1 = 8 bytes    shape 5 = 4 bytes  ; the lowest first
/// shape 2 = length bytes                  ; text, bytes, a message
/// ```
///
/// An everyday picture: a parcel of labelled bags. Whoever does not know a label puts the bag aside and goes on, which
/// is why old readers understand new writers.
///
/// Where it is wrong: nothing in it says what the numbers mean, and an empty message is a right one of every kind.
public struct ProtobufReader {
    private var rest: ArraySlice<UInt8>

    public init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field; nil at the end.
    public mutating func next() throws(ProtobufError) -> ProtobufField? {
        if rest.isEmpty { return nil }
        let key = try varint()
        guard let number = Int(exactly: key >> 3), number > 0, number <= ProtobufField.numberLimit else {
            throw .badNumber(key >> 3)
        }
        switch key & 7 {
        case 0: return ProtobufField(number: number, value: .varint(try varint()))
        case 1: return ProtobufField(number: number, value: .fixed64(try fixed(8)))
        case 2:
            let length = try varint()
            guard length <= UInt64(rest.count) else { throw .truncated }
            let bytes = rest.prefix(Int(length))
            rest = rest.dropFirst(Int(length))
            return ProtobufField(number: number, value: .bytes(bytes))
        case 5: return ProtobufField(number: number, value: .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw .badShape(Int(key & 7))
        }
    }

    private mutating func varint() throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = rest.popFirst() {
            // The tenth byte has room for one bit.
            if shift == 63, byte > 1 { throw .tooLong }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw .tooLong }
        }
        throw .truncated
    }

    private mutating func fixed(_ count: Int) throws(ProtobufError) -> UInt64 {
        guard rest.count >= count else { throw .truncated }
        var value: UInt64 = 0
        for (index, byte) in rest.prefix(count).enumerated() { value |= UInt64(byte) << UInt64(8 * index) }
        rest = rest.dropFirst(count)
        return value
    }
}

/// One field of a message.
public struct ProtobufField {
    public let number: Int
    public let value: Value

    public enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(ArraySlice<UInt8>)
    }

    /// The highest number that a field can have.
    public static let numberLimit = 536_870_911

    /// A text; what is not UTF-8 becomes U+FFFD.
    public func text() throws(ProtobufError) -> String { String(decoding: try bytes(), as: UTF8.self) }

    public func message() throws(ProtobufError) -> ProtobufReader { ProtobufReader(try bytes()) }

    public func bytes() throws(ProtobufError) -> ArraySlice<UInt8> {
        guard case .bytes(let bytes) = value else { throw .unexpected(number) }
        return bytes
    }

    /// A number of any shape.
    public func integer() throws(ProtobufError) -> UInt64 {
        switch value {
        case .varint(let value), .fixed64(let value): return value
        case .fixed32(let value): return UInt64(value)
        case .bytes: throw .unexpected(number)
        }
    }

    public func signed() throws(ProtobufError) -> Int64 { Int64(bitPattern: try integer()) }

    public func double() throws(ProtobufError) -> Double {
        guard case .fixed64(let bits) = value else { throw .unexpected(number) }
        return Double(bitPattern: bits)
    }
}

/// Why bytes are no message.
public enum ProtobufError: Error, Equatable, Sendable, CustomStringConvertible {
    /// They end within a field.
    case truncated
    /// A number of more than 64 bits.
    case tooLong
    case badNumber(UInt64)
    case badShape(Int)
    /// The field has another shape than its message says.
    case unexpected(Int)
    /// Messages within messages.
    case tooDeep

    public var description: String {
        switch self {
        case .truncated: "the message ends within a field"
        case .tooLong: "a number has more than 64 bits"
        case .badNumber(let number): "no field has the number \(number)"
        case .badShape(let shape): "no field has the wire type \(shape)"
        case .unexpected(let number): "field \(number) has another wire type than it should"
        case .tooDeep: "messages lie too deep within one another"
        }
    }
}

/// Writes messages. A number that is zero and a text that is empty are left out, as proto3 has it.
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

    public mutating func varint(_ number: Int, _ value: UInt64, always: Bool = false) {
        if value == 0, !always { return }
        key(number, 0)
        append(varint: value)
    }

    public mutating func fixed64(_ number: Int, _ value: UInt64, always: Bool = false) {
        if value == 0, !always { return }
        key(number, 1)
        append(value, byteCount: 8)
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
}
