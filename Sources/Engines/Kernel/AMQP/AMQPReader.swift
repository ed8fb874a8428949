/// Reads arguments of methods, properties and field tables: integers in network order, texts behind their length. Every
/// step is checked, and nothing is reserved that is not there.
public struct AMQPReader {
    private let bytes: UnsafeRawBufferPointer
    public private(set) var position = 0

    /// How deep tables and arrays may stand within one another.
    static let depthLimit = 32

    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    public var remaining: Int { bytes.count - position }
    public var isAtEnd: Bool { position == bytes.count }

    private static let short = AMQPFailure(.syntaxError, "the arguments end too early")

    public func expectEnd(of id: AMQPMethodID) throws(AMQPFailure) {
        if !isAtEnd { throw AMQPFailure(.syntaxError, "\(remaining) bytes too many in \(id.name)", method: id) }
    }

    public mutating func octet() throws(AMQPFailure) -> UInt8 {
        guard position < bytes.count else { throw Self.short }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws(AMQPFailure) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw Self.short }
        defer { position += MemoryLayout<T>.size }
        return T(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    public mutating func short() throws(AMQPFailure) -> UInt16 { try integer(UInt16.self) }
    public mutating func long() throws(AMQPFailure) -> UInt32 { try integer(UInt32.self) }
    public mutating func longLong() throws(AMQPFailure) -> UInt64 { try integer(UInt64.self) }

    /// The next `count` bytes, where they are.
    public mutating func take(_ count: Int) throws(AMQPFailure) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw Self.short }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// A name of at most 255 bytes, which must be UTF-8.
    public mutating func shortString() throws(AMQPFailure) -> String {
        let raw = try take(Int(try octet()))
        guard String(validating: raw, as: UTF8.self) != nil else {
            throw AMQPFailure(.frameError, "Malformed UTF-8 in shortstr")
        }
        return AMQPText.decoded(raw)
    }

    /// A text of at most 255 bytes, whatever they are: they come out again as they came in.
    public mutating func anyShortString() throws(AMQPFailure) -> String {
        AMQPText.decoded(try take(Int(try octet())))
    }

    public mutating func longString() throws(AMQPFailure) -> [UInt8] {
        Array(try take(Int(try long())))
    }

    public mutating func table() throws(AMQPFailure) -> AMQPTable { try table(depth: 0) }

    private mutating func table(depth: Int) throws(AMQPFailure) -> AMQPTable {
        guard depth < Self.depthLimit else { throw AMQPFailure(.syntaxError, "tables nested too deeply") }
        let length = try long()
        let end = try end(ofLength: length)
        var table = AMQPTable()
        while position < end {
            let name = try anyShortString()
            table.fields.append(.init(name, try value(depth: depth)))
        }
        guard position == end else { throw AMQPFailure(.syntaxError, "a table that is longer than its length") }
        return table
    }

    private func end(ofLength length: UInt32) throws(AMQPFailure) -> Int {
        guard Int(length) <= remaining else { throw Self.short }
        return position + Int(length)
    }

    private mutating func value(depth: Int) throws(AMQPFailure) -> AMQPValue {
        let tag = try octet()
        switch tag {
        case UInt8(ascii: "t"): return .boolean(try octet() != 0)
        case UInt8(ascii: "b"): return .int8(Int8(bitPattern: try octet()))
        case UInt8(ascii: "B"): return .uint8(try octet())
        case UInt8(ascii: "s"): return .int16(Int16(bitPattern: try short()))
        case UInt8(ascii: "u"): return .uint16(try short())
        case UInt8(ascii: "I"): return .int32(Int32(bitPattern: try long()))
        case UInt8(ascii: "i"): return .uint32(try long())
        case UInt8(ascii: "l"), UInt8(ascii: "L"): return .int64(Int64(bitPattern: try longLong()))
        case UInt8(ascii: "f"): return .float(Float(bitPattern: try long()))
        case UInt8(ascii: "d"): return .double(Double(bitPattern: try longLong()))
        case UInt8(ascii: "D"): return .decimal(scale: try octet(), value: Int32(bitPattern: try long()))
        case UInt8(ascii: "S"): return .string(try longString())
        case UInt8(ascii: "x"): return .bytes(try longString())
        case UInt8(ascii: "T"): return .timestamp(try longLong())
        case UInt8(ascii: "V"): return .void
        case UInt8(ascii: "F"): return .table(try table(depth: depth + 1))
        case UInt8(ascii: "A"):
            guard depth < Self.depthLimit else { throw AMQPFailure(.syntaxError, "arrays nested too deeply") }
            let length = try long()
            let end = try end(ofLength: length)
            var elements: [AMQPValue] = []
            while position < end { elements.append(try value(depth: depth + 1)) }
            guard position == end else { throw AMQPFailure(.syntaxError, "an array that is longer than its length") }
            return .array(elements)
        default: throw AMQPFailure(.syntaxError, "a field of unknown type \(tag)")
        }
    }
}
