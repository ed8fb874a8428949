import KernelWire

/// A type with what narrows it: `varchar(20)` is `varchar` with a modifier of 24.
public struct DataType: Hashable, Sendable {
    public var oid: PostgresOID
    /// `pg_attribute.atttypmod`: -1 for none; the length plus 4 for texts; precision and scale plus 4 for numeric;
    /// digits of a second for times.
    public var modifier: Int32

    public init(_ oid: PostgresOID, modifier: Int32 = -1) {
        self.oid = oid
        self.modifier = modifier
    }

    public static let bool = DataType(.bool)
    public static let int4 = DataType(.int4)
    public static let int8 = DataType(.int8)
    public static let text = DataType(.text)
    public static let unknown = DataType(.unknown)

    /// As messages and `\d` spell it: `character varying(20)`, `numeric(10,2)`, `integer[]`.
    public var name: String { Self.name(oid, modifier) }

    static func name(_ oid: PostgresOID, _ modifier: Int32) -> String {
        if let element = oid.element, modifier >= 0 { return name(element, modifier) + "[]" }
        guard modifier >= 0 else { return oid.typeName }
        switch oid {
        case .varchar, .bpchar: return modifier < 4 ? oid.typeName : "\(oid.typeName)(\(modifier - 4))"
        case .numeric:
            guard let (precision, scale) = numericDigits(modifier) else { return oid.typeName }
            return "numeric(\(precision),\(scale))"
        case .timestamp: return "timestamp(\(modifier)) without time zone"
        case .timestamptz: return "timestamp(\(modifier)) with time zone"
        case .time: return "time(\(modifier)) without time zone"
        default: return oid.typeName
        }
    }

    /// Precision and scale of a numeric's modifier.
    static func numericDigits(_ modifier: Int32) -> (precision: Int, scale: Int)? {
        guard modifier >= 4 else { return nil }
        let packed = modifier - 4
        // The scale is a number of eleven bits with a sign.
        let scale = Int(packed & 0x7FF)
        return (Int(packed >> 16 & 0xFFFF), scale >= 1024 ? scale - 2048 : scale)
    }

    static func numericModifier(precision: Int, scale: Int) -> Int32 { Int32(precision << 16 | (scale & 0x7FF)) + 4 }
}

/// What types have in common (`pg_type.typcategory`): within a category values turn into one another by themselves.
enum TypeCategory: Character, Sendable {
    case array = "A"
    case boolean = "B"
    case dateTime = "D"
    case numeric = "N"
    case string = "S"
    case timespan = "T"
    case user = "U"
    case unknown = "X"
    case pseudo = "P"
    case internalKind = "Z"
}

extension PostgresOID {
    var category: TypeCategory {
        switch self {
        case .bool: .boolean
        case .int2, .int4, .int8, .float4, .float8, .numeric, .oid, .regclass, .regtype, .regproc: .numeric
        case .text, .varchar, .bpchar, .name: .string
        case .date, .time, .timestamp, .timestamptz: .dateTime
        case .interval: .timespan
        case .unknown: .unknown
        case .void: .pseudo
        case .char: .internalKind
        case .int2vector, .oidvector: .array
        default: element == nil ? .user : .array
        }
    }

    /// Which of its category is taken when any would do (`pg_type.typispreferred`).
    var isPreferred: Bool { [.bool, .float8, .oid, .text, .timestamptz, .interval].contains(self) }

    /// What an array, or a vector of the catalogue, holds.
    var listElement: PostgresOID? { self == .int2vector ? .int2 : self == .oidvector ? .oid : element }

    var isInteger: Bool { self == .int2 || self == .int4 || self == .int8 }
    var isFloat: Bool { self == .float4 || self == .float8 }
    var isNumber: Bool { isInteger || isFloat || self == .numeric }
    var isString: Bool { category == .string }
    /// An OID, by whatever name it is shown.
    var isObjectIdentifier: Bool { [.oid, .regclass, .regtype, .regproc, .regnamespace, .xid].contains(self) }

    /// The order of values that SQLite's own would get wrong; nil where its own is right.
    var collation: String? {
        switch self {
        case .numeric: "pg_numeric"
        case .interval: "pg_interval"
        case .bpchar: "rtrim"
        case .jsonb: "pg_jsonb"
        default: element.map(CollatedOrders.arrayName)
        }
    }
}
