import KernelCryptography

/// A value inside a structured field (RFC 9651 §3.3): what a number, a word or a text of a header field *is*.
///
/// ## The problem
///
/// For thirty years each header field brought a grammar of its own: one separated by commas, the next by semicolons,
/// a third quoted its texts, a fourth did sometimes. Each needed a parser, and two parsers of one field differed, which
/// is where attackers live. Think of forms: instead of a letter that says the same in free words, one sheet with boxes
/// that every office reads alike. RFC 9651 is that sheet: a field is an *item*, a *list* or a *dictionary*, its values
/// are of eight types, and each can carry parameters. Whoever defines a new field only names the boxes:
///
///     RateLimit: "default";r=19;t=1          a list of one item, a text with two parameters
///     Idempotency-Key: "8e03978e-40d5"       an item
///     Priority: u=1, i                       a dictionary; `i` alone means true
///
/// ## How it is read
///
/// From left to right, by the algorithms of §4.2, with no second look. A field that is wrong anywhere is refused as a
/// whole: a part of it is never used, because the part that was left out might have been the one that mattered. There
/// is one way to write each value (§4.1), so what was read and is written again has one spelling.
///
/// ## Where it is wrong
///
/// Names repeat: the last one counts, in the place of the first, and nobody is told. Numbers have at most 15 digits, so
/// that a `Double` holds them; an identifier of 64 bits must travel as a text. And it helps only with fields that were
/// defined by it: `Cache-Control` looks like a dictionary and is none.
public enum StructuredValue: Hashable, Sendable {
    /// −999,999,999,999,999 to 999,999,999,999,999 (§3.3.1).
    case integer(Int)
    case decimal(StructuredDecimal)
    /// Printable ASCII, in quotation marks (§3.3.3).
    case string(String)
    /// A word of the field's own vocabulary, without quotation marks (§3.3.4).
    case token(String)
    /// Between colons, as base64 (§3.3.5).
    case bytes([UInt8])
    /// `?1` or `?0` (§3.3.6).
    case boolean(Bool)
    /// Seconds since 1970, in the range of integers (§3.3.7).
    case date(Int)
    /// Unicode, percent-coded (§3.3.8).
    case displayString(String)

    /// The largest magnitude of integers and dates.
    public static let integerLimit = 999_999_999_999_999
}

/// Twelve digits, a point, and at most three more (§3.3.2): kept as thousandths, so it is exact.
public struct StructuredDecimal: Hashable, Sendable {
    /// −999,999,999,999,999 to 999,999,999,999,999.
    public let thousandths: Int

    /// Nil for what has more than twelve digits before the point.
    public init?(thousandths: Int) {
        guard thousandths.magnitude <= UInt(StructuredValue.integerLimit) else { return nil }
        self.thousandths = thousandths
    }

    /// Rounded to three digits, halves to the even one (§4.1.5). Nil for what does not fit, is infinite or no number.
    public init?(_ value: Double) {
        let scaled = (value * 1000).rounded(.toNearestOrEven)
        guard scaled.magnitude <= Double(StructuredValue.integerLimit) else { return nil }
        self.init(thousandths: Int(scaled))
    }
}

/// Names and values in the order in which they came; each name once.
public struct StructuredMap<Value: Hashable & Sendable>: Hashable, Sendable {
    public private(set) var entries: [(name: String, value: Value)] = []
    private var places: [String: Int] = [:]

    public init() {}

    public subscript(name: String) -> Value? { places[name].map { entries[$0].value } }

    /// A name that is there keeps its place and gets the new value (§4.2.2).
    public mutating func set(_ name: String, _ value: Value) {
        if let place = places[name] {
            entries[place].value = value
        } else {
            places[name] = entries.count
            entries.append((name, value))
        }
    }

    public static func == (a: Self, b: Self) -> Bool {
        a.entries.elementsEqual(b.entries) { $0.name == $1.name && $0.value == $1.value }
    }

    public func hash(into hasher: inout Hasher) {
        for entry in entries {
            hasher.combine(entry.name)
            hasher.combine(entry.value)
        }
    }
}

extension StructuredMap: ExpressibleByDictionaryLiteral {
    /// As written; the last of a name counts.
    public init(dictionaryLiteral elements: (String, Value)...) {
        for (name, value) in elements { set(name, value) }
    }
}

public typealias StructuredParameters = StructuredMap<StructuredValue>

/// A value with its parameters (§3.3).
public struct StructuredItem: Hashable, Sendable {
    public var value: StructuredValue
    public var parameters: StructuredParameters

    public init(_ value: StructuredValue, _ parameters: StructuredParameters = [:]) {
        self.value = value
        self.parameters = parameters
    }
}

/// What a list or a dictionary holds: an item, or several in round brackets (§3.1.1).
public enum StructuredMember: Hashable, Sendable {
    case item(StructuredItem)
    case innerList([StructuredItem], StructuredParameters)
}

/// A whole field of one of the three kinds (§3).
public enum StructuredField: Hashable, Sendable {
    case item(StructuredItem)
    case list([StructuredMember])
    case dictionary(StructuredMap<StructuredMember>)

    public enum Kind: Sendable { case item, list, dictionary }
}

/// Why a field was refused: what stands where nothing of its kind may.
public struct StructuredFieldError: Error, Hashable, Sendable, CustomStringConvertible {
    public let message: String
    /// Bytes before the fault.
    public let offset: Int

    public var description: String { "\(message), at byte \(offset + 1)" }
}
