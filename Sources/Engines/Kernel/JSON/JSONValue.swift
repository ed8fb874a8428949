import KernelStructures

/// A JSON value (RFC 8259).
///
/// JSON is what services say to one another and what `--json` prints for programs, so it is read from strangers and
/// must not surprise: think of a customs form. It is refused as a whole if it is not filled in properly, with the
/// line and column of the first mistake; nothing that stands in it is rounded or put into another order; and nobody may
/// hand in a form of a million pages.
///
/// How: RapidJSON walks over the bytes and reports what it meets, without a stack of calls that could grow with the
/// input; `JSONParser` counts against `JSONLimits` and builds the value. Members keep their order. Whole numbers are
/// exact to 64 bits with either sign. What is beyond stays as it was written, in `decimal`. `JSONCursor` reads members
/// with errors that name the path to them; `JSONWriter` writes.
///
/// Where it is wrong: other numbers are `Double`s, so `0.1` is the nearest of them; what is greater than 1.8e308 is
/// refused, because almost every other reader would make infinity of it. A lone half of a surrogate pair is refused
/// too.
public enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// A whole number of -2^63 to 2^63 - 1.
    case integer(Int)
    /// A whole number of 2^63 to 2^64 - 1.
    case unsigned(UInt64)
    /// Any other number that a `Double` can be nearest to. Writing what is not finite gives `null`.
    case number(Double)
    /// A number that is too long for 64 bits, as it was written: `18446744073709551616`. It must be a number of JSON.
    case decimal(String)
    case string(String)
    case array([JSONValue])
    /// Members keep their order. Names are told apart by their bytes.
    case object([(key: String, value: JSONValue)])

    /// Milliseconds, as every duration in the lab's JSON is.
    public static func milliseconds(_ duration: LabDuration) -> JSONValue { .number(duration.milliseconds) }

    /// The member of that name; nil if there is none, or if this is no object.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { isSameText($0.key, name) }?.value
    }

    /// The element at that place; nil if there is none, or if this is no array.
    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// What it is, for errors: `a number`, `an object` …
    public var kindName: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer, .unsigned, .number, .decimal: "a number"
        case .string: "text"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// Byte for byte. Swift's `==` holds two spellings of `é` for the same text, JSON does not.
func isSameText(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

extension JSONValue: Equatable {
    /// Numbers are equal by value, whatever case holds them; objects only with their members in the same order.
    public static func == (a: JSONValue, b: JSONValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.unsigned(let a), .unsigned(let b)): a == b
        case (.integer(let a), .unsigned(let b)), (.unsigned(let b), .integer(let a)): UInt64(exactly: a) == b
        case (.number(let a), .number(let b)): a == b || !a.isFinite && !b.isFinite
        case (.number(let a), .integer(let b)), (.integer(let b), .number(let a)): Int(exactly: a) == b
        case (.number(let a), .unsigned(let b)), (.unsigned(let b), .number(let a)): UInt64(exactly: a) == b
        case (.decimal(let a), .decimal(let b)), (.string(let a), .string(let b)): isSameText(a, b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)):
            a.count == b.count && zip(a, b).allSatisfy { isSameText($0.key, $1.key) && $0.value == $1.value }
        default: false
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { (key: $0.0, value: $0.1) })
    }
}
