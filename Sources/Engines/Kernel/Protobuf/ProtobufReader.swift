/// Protocol Buffers' wire format (protobuf.dev, "Encoding"), as far as every message shares it: numbered fields of four
/// shapes, one behind the other.
///
/// ```
/// field   = key value                     ; key: varint of number << 3 | shape
/// shape 0 = varint                        ; seven bits a byte, the lowest first, at most ten bytes
/// shape 1 = 8 bytes    shape 5 = 4 bytes  ; the lowest first
/// shape 2 = length bytes                  ; text, bytes, a message, numbers of one shape packed together
/// stream  = { length message }            ; "delimited": messages one behind the other
/// ```
///
/// An everyday picture: a parcel of labelled bags. Whoever does not know a label puts the bag aside and goes on, which
/// is why old readers understand new writers.
///
/// A reader is a view of bytes that somebody else holds; the messages inside are read by readers of their own, so
/// nothing is copied.
///
/// Where it is wrong: nothing in it says what the numbers mean, and an empty message is a right one of every kind.
public struct ProtobufReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    public var isAtEnd: Bool { position >= bytes.endIndex }

    /// The next field; nil at the end.
    public mutating func next() throws(ProtobufError) -> ProtobufField? {
        if isAtEnd { return nil }
        let key = try varint()
        guard let number = Int(exactly: key >> 3), number > 0, number <= ProtobufField.numberLimit else {
            throw .badNumber(key >> 3)
        }
        switch key & 7 {
        case 0: return ProtobufField(number: number, value: .varint(try varint()))
        case 1: return ProtobufField(number: number, value: .fixed64(try fixed(8)))
        case 2: return ProtobufField(number: number, value: .bytes(try lengthDelimited()))
        case 5: return ProtobufField(number: number, value: .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw .badShape(Int(key & 7))
        }
    }

    /// The next message of a stream of delimited ones; nil at the end.
    public mutating func nextDelimited() throws(ProtobufError) -> ProtobufReader? {
        isAtEnd ? nil : ProtobufReader(try lengthDelimited())
    }

    mutating func varint() throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.endIndex {
            let byte = bytes[position]
            position += 1
            // The tenth byte has room for one bit.
            if shift == 63, byte > 1 { throw .tooLong }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw .tooLong }
        }
        throw .truncated
    }

    mutating func fixed(_ count: Int) throws(ProtobufError) -> UInt64 {
        guard bytes.endIndex - position >= count else { throw .truncated }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += count
        return value
    }

    private mutating func lengthDelimited() throws(ProtobufError) -> ArraySlice<UInt8> {
        let length = try varint()
        guard length <= UInt64(bytes.endIndex - position) else { throw .truncated }
        defer { position += Int(length) }
        return bytes[position..<position + Int(length)]
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

    /// A text; what is not UTF-8 is refused.
    public func validText() throws(ProtobufError) -> String {
        guard let text = String(validating: try bytes(), as: UTF8.self) else { throw .notUTF8(number) }
        return text
    }

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

    /// Folded, so that small negative numbers stay short: sint32 and sint64.
    public func zigzag() throws(ProtobufError) -> Int64 { Self.unfolded(try integer()) }

    private static func unfolded(_ number: UInt64) -> Int64 {
        Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
    }

    public func double() throws(ProtobufError) -> Double {
        guard case .fixed64(let bits) = value else { throw .unexpected(number) }
        return Double(bitPattern: bits)
    }

    /// Folded numbers, one or packed together.
    public func forEachZigzag(_ body: (Int64) -> Void) throws(ProtobufError) {
        guard case .bytes(let bytes) = value else { return body(try zigzag()) }
        var reader = ProtobufReader(bytes)
        while !reader.isAtEnd { body(Self.unfolded(try reader.varint())) }
    }

    /// Doubles, one or packed together.
    public func forEachDouble(_ body: (Double) -> Void) throws(ProtobufError) {
        guard case .bytes(let bytes) = value else { return body(try double()) }
        var reader = ProtobufReader(bytes)
        while !reader.isAtEnd { body(Double(bitPattern: try reader.fixed(8))) }
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
    case notUTF8(Int)
    /// Messages within messages.
    case tooDeep
    /// More of something than anybody has.
    case tooMany(String, limit: Int)

    public var description: String {
        switch self {
        case .truncated: "the message ends within a field"
        case .tooLong: "a number has more than 64 bits"
        case .badNumber(let number): "no field has the number \(number)"
        case .badShape(let shape): "no field has the wire type \(shape)"
        case .unexpected(let number): "field \(number) has another wire type than it should"
        case .notUTF8(let number): "field \(number) is no UTF-8"
        case .tooDeep: "messages lie too deep within one another"
        case .tooMany(let what, let limit): "a message has more than \(limit) \(what)"
        }
    }
}
