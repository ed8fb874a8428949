/// A value of a field table, with the type that it has on the wire.
///
/// The types are RabbitMQ's, which differ from the specification's text where its clients always did
/// (`s` is a 16-bit number, `l` a 64-bit one, `x` bytes).
public enum AMQPValue: Equatable, Sendable {
    case boolean(Bool)
    case int8(Int8)
    case uint8(UInt8)
    case int16(Int16)
    case uint16(UInt16)
    case int32(Int32)
    case uint32(UInt32)
    case int64(Int64)
    case float(Float)
    case double(Double)
    case decimal(scale: UInt8, value: Int32)
    /// A text, usually UTF-8; whatever the client sent.
    case string([UInt8])
    case bytes([UInt8])
    /// Seconds since 1970.
    case timestamp(UInt64)
    case table(AMQPTable)
    case array([AMQPValue])
    case void

    public static func string(_ text: String) -> AMQPValue { .string(AMQPText.encoded(text)) }

    /// The letter that announces it.
    var tag: UInt8 {
        let letter: Unicode.Scalar =
            switch self {
            case .boolean: "t"
            case .int8: "b"
            case .uint8: "B"
            case .int16: "s"
            case .uint16: "u"
            case .int32: "I"
            case .uint32: "i"
            case .int64: "l"
            case .float: "f"
            case .double: "d"
            case .decimal: "D"
            case .string: "S"
            case .bytes: "x"
            case .timestamp: "T"
            case .table: "F"
            case .array: "A"
            case .void: "V"
            }
        return UInt8(ascii: letter)
    }

    /// What RabbitMQ's error texts call its type.
    public var typeName: String {
        switch self {
        case .boolean: "bool"
        case .int8: "byte"
        case .uint8: "unsignedbyte"
        case .int16: "short"
        case .uint16: "unsignedshort"
        case .int32: "signedint"
        case .uint32: "unsignedint"
        case .int64: "long"
        case .float: "float"
        case .double: "double"
        case .decimal: "decimal"
        case .string: "longstr"
        case .bytes: "binary"
        case .timestamp: "timestamp"
        case .table: "table"
        case .array: "array"
        case .void: "void"
        }
    }

    /// A whole number of any width; nil for everything else.
    public var integer: Int? {
        switch self {
        case .int8(let number): Int(number)
        case .uint8(let number): Int(number)
        case .int16(let number): Int(number)
        case .uint16(let number): Int(number)
        case .int32(let number): Int(number)
        case .uint32(let number): Int(number)
        case .int64(let number): Int(number)
        case .timestamp(let seconds): Int(exactly: seconds)
        default: nil
        }
    }

    /// A text that is UTF-8; nil for everything else.
    public var text: String? {
        switch self {
        case .string(let raw), .bytes(let raw): String(validating: raw, as: UTF8.self)
        default: nil
        }
    }

    public var boolean: Bool? { if case .boolean(let flag) = self { flag } else { nil } }
    public var table: AMQPTable? { if case .table(let table) = self { table } else { nil } }
    public var array: [AMQPValue]? { if case .array(let elements) = self { elements } else { nil } }

    /// Whether both mean the same, whatever the width of numbers: what decides whether arguments are equivalent.
    public func isEquivalent(to other: AMQPValue) -> Bool {
        if let number = integer, let otherNumber = other.integer { return number == otherNumber }
        if let text, let otherText = other.text { return text == otherText }
        return self == other
    }
}

/// A field table: names with typed values, in the order in which they were written.
public struct AMQPTable: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    public var fields: [Field]

    public struct Field: Equatable, Sendable {
        /// At most 255 bytes on the wire.
        public let name: String
        public var value: AMQPValue

        public init(_ name: String, _ value: AMQPValue) {
            self.name = name
            self.value = value
        }
    }

    public init() { fields = [] }
    public init(dictionaryLiteral elements: (String, AMQPValue)...) { fields = elements.map { Field($0, $1) } }

    public var isEmpty: Bool { fields.isEmpty }

    /// The first of that name. Setting it replaces that one, or adds one at the end; nil removes all of that name.
    public subscript(name: String) -> AMQPValue? {
        get { fields.first { $0.name == name }?.value }
        set {
            guard let newValue else { return fields.removeAll { $0.name == name } }
            if let index = fields.firstIndex(where: { $0.name == name }) {
                fields[index].value = newValue
            } else {
                fields.append(Field(name, newValue))
            }
        }
    }

    /// As it stands on the wire, its length first.
    public var encoded: [UInt8] {
        var writer = AMQPWriter()
        writer.append(table: self)
        return writer.bytes
    }

    /// - Throws: `AMQPFailure` if the bytes are not exactly one table.
    public init(encoded bytes: [UInt8]) throws(AMQPFailure) {
        var result = Result<AMQPTable, AMQPFailure>.success([:])
        bytes.withUnsafeBytes { raw in
            do throws(AMQPFailure) {
                var reader = AMQPReader(raw)
                let table = try reader.table()
                if !reader.isAtEnd { throw AMQPFailure(.syntaxError, "bytes behind a table") }
                result = .success(table)
            } catch { result = .failure(error) }
        }
        self = try result.get()
    }
}
