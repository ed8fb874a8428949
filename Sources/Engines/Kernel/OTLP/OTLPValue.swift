import KernelCryptography
import KernelJSON
import KernelProtobuf
import KernelTelemetry

/// The value of an attribute, or the body of a log record: OTLP's AnyValue.
public indirect enum OTLPValue: Equatable, Sendable {
    case empty
    case text(String)
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case bytes([UInt8])
    case array([OTLPValue])
    case map([OTLPAttribute])

    /// Values within values.
    static let depthLimit = 16
    /// Of an array or a map; the rest is dropped.
    static let elementLimit = 1024

    public init(_ value: Span.Value) {
        switch value {
        case .text(let text): self = .text(text)
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        }
    }

    /// As people read it: a text as it is, anything else as JSON.
    public var text: String {
        switch self {
        case .empty: ""
        case .text(let text): text
        default: plainJSON.text(.compact)
        }
    }

    /// As anybody else's JSON: without the names of kinds. Bytes are base64.
    public var plainJSON: JSONValue {
        switch self {
        case .empty: .null
        case .text(let text): .string(text)
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(Int(value))
        case .number(let value): .number(value)
        case .bytes(let bytes): .string(Base64.standard.encode(bytes))
        case .array(let elements): .array(elements.map(\.plainJSON))
        case .map(let members): .object(members.map { ($0.key, $0.value.plainJSON) })
        }
    }

    // MARK: Protocol Buffers

    init(_ reader: ProtobufReader, depth: Int = 0) throws(ProtobufError) {
        if depth > Self.depthLimit { throw .tooDeep }
        var reader = reader
        self = .empty
        while let field = try reader.next() {
            switch field.number {
            case 1: self = .text(try field.text())
            case 2: self = .bool(try field.integer() != 0)
            case 3: self = .integer(try field.signed())
            case 4: self = .number(try field.double())
            case 5: self = .array(try Self.elements(try field.message(), depth + 1))
            case 6:
                var members = OTLPAttributes(limit: Self.elementLimit)
                var inner = try field.message()
                while let member = try inner.next() {
                    if member.number == 1 { try members.append(try member.message(), depth: depth + 1) }
                }
                self = .map(members.all)
            case 7: self = .bytes(Array(try field.bytes()))
            default: break
            }
        }
    }

    private static func elements(_ reader: ProtobufReader, _ depth: Int) throws(ProtobufError) -> [OTLPValue] {
        var reader = reader
        var elements: [OTLPValue] = []
        while let field = try reader.next() {
            guard field.number == 1, elements.count < elementLimit else { continue }
            elements.append(try OTLPValue(try field.message(), depth: depth))
        }
        return elements
    }

    func write(to writer: inout ProtobufWriter) {
        switch self {
        case .empty: break
        case .text(let text): writer.text(1, text, always: true)
        case .bool(let value): writer.varint(2, value ? 1 : 0, always: true)
        case .integer(let value): writer.varint(3, UInt64(bitPattern: value), always: true)
        case .number(let value): writer.fixed64(4, value.bitPattern, always: true)
        case .array(let elements):
            writer.message(5) { inner in for element in elements { inner.message(1) { element.write(to: &$0) } } }
        case .map(let members):
            writer.message(6) { inner in for member in members { inner.message(1) { member.write(to: &$0) } } }
        case .bytes(let bytes): writer.bytes(7, bytes, always: true)
        }
    }

    // MARK: JSON

    init(_ value: JSONCursor, depth: Int = 0) throws {
        if depth > Self.depthLimit { throw value.error("values lie too deep within one another") }
        self = .empty
        // Of the few kinds there is one; null stands for none.
        guard let value = value.ifPresent else { return }
        for (name, member) in try value.members() where member.ifPresent != nil {
            switch name {
            case "stringValue": self = .text(try member.string())
            case "boolValue": self = .bool(try member.bool())
            case "intValue": self = .integer(try member.signed64())
            case "doubleValue": self = .number(try member.double())
            case "bytesValue":
                guard let bytes = Base64.standard.decode(try member.string()) else {
                    throw member.error("expected base64")
                }
                self = .bytes(bytes)
            case "arrayValue":
                let elements = try member["values"].ifPresent?.array() ?? []
                self = .array(
                    try elements.prefix(Self.elementLimit).map { try OTLPValue($0, depth: depth + 1) })
            case "kvlistValue":
                var members = OTLPAttributes(limit: Self.elementLimit)
                for element in try member["values"].ifPresent?.array() ?? [] {
                    try members.append(element, depth: depth + 1)
                }
                self = .map(members.all)
            default: break
            }
        }
    }

    public var json: JSONValue {
        switch self {
        case .empty: .object([])
        case .text(let text): ["stringValue": .string(text)]
        case .bool(let value): ["boolValue": .bool(value)]
        case .integer(let value): ["intValue": .string(String(value))]
        case .number(let value): ["doubleValue": Self.json(value)]
        case .bytes(let bytes): ["bytesValue": .string(Base64.standard.encode(bytes))]
        case .array(let elements): ["arrayValue": ["values": .array(elements.map(\.json))]]
        case .map(let members): ["kvlistValue": ["values": .array(members.map(\.json))]]
        }
    }

    /// What JSON has no numbers for is text (protobuf's JSON mapping).
    private static func json(_ value: Double) -> JSONValue {
        if value.isFinite { return .number(value) }
        return .string(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
    }

    public static func == (a: OTLPValue, b: OTLPValue) -> Bool {
        switch (a, b) {
        case (.empty, .empty): true
        case (.text(let a), .text(let b)): a == b
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b || a.isNaN && b.isNaN
        case (.bytes(let a), .bytes(let b)): a == b
        case (.array(let a), .array(let b)): a == b
        case (.map(let a), .map(let b)): a == b
        default: false
        }
    }
}

/// A name with a value.
public struct OTLPAttribute: Equatable, Sendable {
    public var key: String
    public var value: OTLPValue

    public init(_ key: String, _ value: OTLPValue) {
        self.key = key
        self.value = value
    }

    func write(to writer: inout ProtobufWriter) {
        writer.text(1, key)
        writer.message(2) { value.write(to: &$0) }
    }

    var json: JSONValue { ["key": .string(key), "value": value.json] }
}

/// Attributes as they are read, and not more of them than a limit.
struct OTLPAttributes {
    private(set) var all: [OTLPAttribute] = []
    private(set) var droppedCount = 0
    let limit: Int

    /// Of a span, a record, a resource …
    init(limit: Int = 128) { self.limit = limit }

    mutating func append(_ reader: ProtobufReader, depth: Int = 0) throws(ProtobufError) {
        guard all.count < limit else {
            droppedCount += 1
            return
        }
        var reader = reader
        var attribute = OTLPAttribute("", .empty)
        while let field = try reader.next() {
            switch field.number {
            case 1: attribute.key = try field.text()
            case 2: attribute.value = try OTLPValue(try field.message(), depth: depth)
            default: break
            }
        }
        all.append(attribute)
    }

    mutating func append(_ value: JSONCursor, depth: Int = 0) throws {
        guard all.count < limit else {
            droppedCount += 1
            return
        }
        all.append(
            OTLPAttribute(
                try value["key"].ifPresent?.string() ?? "", try OTLPValue(value["value"], depth: depth)))
    }

    /// Of the member `attributes`.
    init(of value: JSONCursor) throws {
        self.init()
        for element in try value["attributes"].ifPresent?.array() ?? [] { try append(element) }
    }
}

extension [OTLPAttribute] {
    func write(_ number: Int, to writer: inout ProtobufWriter) {
        for attribute in self { writer.message(number) { attribute.write(to: &$0) } }
    }

    var json: JSONValue { .array(map(\.json)) }
}

extension JSONCursor {
    /// A whole number of 64 bits with a sign: a number, or text, as protobuf's JSON mapping has both.
    func signed64() throws -> Int64 {
        if case .string(let text)? = value, let number = Int64(text) { return number }
        return Int64(try integer())
    }

    /// One without a sign.
    func unsigned64() throws -> UInt64 {
        switch value {
        case .string(let text)?:
            if let number = UInt64(text) { return number }
            throw error("expected a whole number")
        case .unsigned(let number)?: return number
        default: return UInt64(try integer(in: 0...Int.max))
        }
    }

    /// A number, which may be written as text where it is none of JSON's.
    func double() throws -> Double {
        guard case .string(let text)? = value else { return try number() }
        switch text {
        case "NaN": return .nan
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        default:
            if let number = Double(text) { return number }
            throw error("expected a number")
        }
    }
}
