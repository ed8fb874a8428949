/// One value of a type that the lab's programs know, apart from how it travels: `encode` writes it as text, or in the
/// binary layout of the type's `…send` function, and the initializers read both.
///
/// NULL is no value: where there may be one, there is a `PostgresValue?`.
public enum PostgresValue: Equatable, Sendable {
    case bool(Bool)
    case int2(Int16)
    case int4(Int32)
    case int8(Int64)
    case oid(UInt32)
    case float4(Float)
    case float8(Double)
    case numeric(PostgresNumeric)
    /// Every type that is its text in both formats: text, varchar, bpchar, name, json, unknown.
    case text(String)
    case bytea([UInt8])
    case date(PostgresDate)
    case timestamp(PostgresTimestamp)
    /// A moment. The lab's sessions live in UTC.
    case timestamptz(PostgresTimestamp)
    /// Its text; the binary layout has a version number before it.
    case jsonb(String)
    case uuid(PostgresUUID)
    /// One dimension, counted from 1.
    case array([PostgresValue?], element: PostgresOID)

    /// - Throws: what the type's input function would: 22P02, 22003, 22007, 22008 for text, 22P03 or 08P01 for binary.
    public init(_ bytes: [UInt8], _ format: PostgresFormat, type: PostgresOID) throws(PostgresError) {
        switch format {
        case .text: try self.init(text: try PostgresText.decode(bytes), type: type)
        case .binary: try self.init(binary: bytes, type: type)
        }
    }

    public func encode(_ format: PostgresFormat, into bytes: inout [UInt8]) {
        switch format {
        case .text: encodeText(into: &bytes)
        case .binary: encodeBinary(into: &bytes)
        }
    }

    public func encoded(_ format: PostgresFormat) -> [UInt8] {
        var bytes: [UInt8] = []
        encode(format, into: &bytes)
        return bytes
    }
}

/// 128 bits.
public struct PostgresUUID: Hashable, Sendable {
    /// The first eight bytes, as a number in network order.
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}
