import KernelStructures

/// A reply, as a client has it, and a server may compose it.
public indirect enum RESPValue: Equatable, Sendable {
    case simple(String)
    /// With its code: `WRONGTYPE Operation against a key …`.
    case error(String)
    case integer(Int)
    case bulk([UInt8])
    /// A null of either kind and version.
    case null
    case array([RESPValue])
    case double(Double)
    case boolean(Bool)
    /// Digits, with a sign perhaps.
    case bigNumber(String)
    case verbatim(format: String, text: String)
    /// Keys and values in turn.
    case map([RESPValue])
    case set([RESPValue])
    /// Something that no request asked for.
    case push([RESPValue])

    /// A string of text.
    public static func text(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }

    /// The bytes of a string of any kind.
    public var bytes: [UInt8]? {
        switch self {
        case .simple(let text): Array(text.utf8)
        case .bulk(let bytes): bytes
        case .verbatim(_, let text): Array(text.utf8)
        default: nil
        }
    }

    /// A string of any kind as text; what is not UTF-8 is repaired.
    public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// A number of any kind that is whole.
    public var integer: Int? {
        switch self {
        case .integer(let number): number
        case .double(let value): Int(exactly: value)
        default: text.flatMap { Int($0) }
        }
    }

    public var errorText: String? { if case .error(let text) = self { text } else { nil } }

    /// The elements of an aggregate of any kind.
    public var elements: [RESPValue]? {
        switch self {
        case .array(let values), .map(let values), .set(let values), .push(let values): values
        default: nil
        }
    }
}
