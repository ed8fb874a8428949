/// The number by which PostgreSQL knows a type: a row of `pg_type`. Those of the built-in types never change.
public struct PostgresOID: RawRepresentable, Hashable, Sendable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public init(integerLiteral value: UInt32) { rawValue = value }

    /// Where a client leaves a parameter's type to the server.
    public static let unspecified: PostgresOID = 0
    public static let bool: PostgresOID = 16
    public static let bytea: PostgresOID = 17
    /// One byte, `"char"` with the quotes: what the catalogue is full of.
    public static let char: PostgresOID = 18
    public static let name: PostgresOID = 19
    public static let int8: PostgresOID = 20
    public static let int2: PostgresOID = 21
    public static let int2vector: PostgresOID = 22
    public static let int4: PostgresOID = 23
    public static let regproc: PostgresOID = 24
    public static let text: PostgresOID = 25
    public static let oid: PostgresOID = 26
    public static let xid: PostgresOID = 28
    public static let oidvector: PostgresOID = 30
    public static let json: PostgresOID = 114
    public static let float4: PostgresOID = 700
    public static let float8: PostgresOID = 701
    /// What a literal is while nobody has said its type.
    public static let unknown: PostgresOID = 705
    public static let bpchar: PostgresOID = 1042
    public static let varchar: PostgresOID = 1043
    public static let date: PostgresOID = 1082
    public static let time: PostgresOID = 1083
    public static let timestamp: PostgresOID = 1114
    public static let timestamptz: PostgresOID = 1184
    public static let interval: PostgresOID = 1186
    public static let numeric: PostgresOID = 1700
    public static let regclass: PostgresOID = 2205
    public static let regtype: PostgresOID = 2206
    public static let void: PostgresOID = 2278
    public static let uuid: PostgresOID = 2950
    public static let jsonb: PostgresOID = 3802
    /// Values of several columns together.
    public static let record: PostgresOID = 2249
    public static let regnamespace: PostgresOID = 4089

    public static let boolArray: PostgresOID = 1000
    public static let byteaArray: PostgresOID = 1001
    public static let charArray: PostgresOID = 1002
    public static let nameArray: PostgresOID = 1003
    public static let int2Array: PostgresOID = 1005
    public static let int4Array: PostgresOID = 1007
    public static let textArray: PostgresOID = 1009
    public static let bpcharArray: PostgresOID = 1014
    public static let varcharArray: PostgresOID = 1015
    public static let int8Array: PostgresOID = 1016
    public static let float4Array: PostgresOID = 1021
    public static let float8Array: PostgresOID = 1022
    public static let oidArray: PostgresOID = 1028
    public static let timestampArray: PostgresOID = 1115
    public static let dateArray: PostgresOID = 1182
    public static let timestamptzArray: PostgresOID = 1185
    public static let numericArray: PostgresOID = 1231
    public static let uuidArray: PostgresOID = 2951

    /// Its name as error messages spell it (`format_type`): `integer`, `timestamp with time zone`.
    public var typeName: String { Self.catalogue[self]?.name ?? "type \(rawValue)" }

    /// Its name in the catalogue (`pg_type.typname`): `int4`, `timestamptz`. Nil for a type that is not built in here.
    public var catalogueName: String? { Self.catalogue[self]?.short }

    /// Bytes of a value (`pg_type.typlen`); -1 if that differs from value to value.
    public var byteCount: Int16 { Self.catalogue[self]?.byteCount ?? -1 }

    /// What an array of this type holds; nil if this is none.
    public var element: PostgresOID? { Self.elements[self] }

    /// The type of an array of this.
    public var array: PostgresOID? { Self.arrays[self] }

    public var description: String { Self.catalogue[self]?.short ?? "\(rawValue)" }

    private struct Row: Sendable {
        let short: String
        let name: String
        let byteCount: Int16
    }

    private static let catalogue: [PostgresOID: Row] = {
        let scalars: [(PostgresOID, String, String, Int16)] = [
            (bool, "bool", "boolean", 1), (bytea, "bytea", "bytea", -1), (char, "char", "\"char\"", 1),
            (name, "name", "name", 64), (int8, "int8", "bigint", 8), (int2, "int2", "smallint", 2),
            (int2vector, "int2vector", "int2vector", -1), (int4, "int4", "integer", 4),
            (regproc, "regproc", "regproc", 4), (text, "text", "text", -1), (oid, "oid", "oid", 4),
            (xid, "xid", "xid", 4), (oidvector, "oidvector", "oidvector", -1), (json, "json", "json", -1),
            (float4, "float4", "real", 4), (float8, "float8", "double precision", 8),
            (unknown, "unknown", "unknown", -2), (bpchar, "bpchar", "character", -1),
            (varchar, "varchar", "character varying", -1), (date, "date", "date", 4),
            (time, "time", "time without time zone", 8), (timestamp, "timestamp", "timestamp without time zone", 8),
            (timestamptz, "timestamptz", "timestamp with time zone", 8), (interval, "interval", "interval", 16),
            (numeric, "numeric", "numeric", -1), (regclass, "regclass", "regclass", 4),
            (regtype, "regtype", "regtype", 4), (void, "void", "void", 4), (uuid, "uuid", "uuid", 16),
            (jsonb, "jsonb", "jsonb", -1), (record, "record", "record", -1),
            (regnamespace, "regnamespace", "regnamespace", 4),
        ]
        var rows: [PostgresOID: Row] = [:]
        for (oid, short, name, count) in scalars {
            rows[oid] = Row(short: short, name: name, byteCount: count)
            guard let array = arrays[oid] else { continue }
            rows[array] = Row(short: "_" + short, name: name + "[]", byteCount: -1)
        }
        return rows
    }()

    private static let arrays: [PostgresOID: PostgresOID] = [
        bool: boolArray, bytea: byteaArray, char: charArray, name: nameArray, int2: int2Array, int4: int4Array,
        text: textArray, bpchar: bpcharArray, varchar: varcharArray, int8: int8Array, float4: float4Array,
        float8: float8Array, oid: oidArray, timestamp: timestampArray, date: dateArray,
        timestamptz: timestamptzArray, numeric: numericArray, uuid: uuidArray, json: 199, jsonb: 3807, time: 1183,
        interval: 1187, regclass: 2210, regtype: 2211,
    ]

    private static let elements = Dictionary(uniqueKeysWithValues: arrays.map { ($0.value, $0.key) })
}

/// How a value travels: as people read it, or as bytes of a fixed layout.
public enum PostgresFormat: Int16, Sendable {
    case text = 0
    case binary = 1
}
