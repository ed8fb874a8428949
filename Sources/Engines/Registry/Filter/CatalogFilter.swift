import KernelJSON
import KernelRegularExpressions

/// A filter over rows, as Consul's `?filter=` has it (github.com/hashicorp/go-bexpr).
///
/// ```
/// or      = and *( "or" and )
/// and     = not *( "and" not )
/// not     = "not" not | "(" or ")" | match
/// match   = selector ( "==" | "!=" | "contains" | "not contains" | "matches" | "not matches" ) value
///         | selector "is" [ "not" ] "empty"
///         | value [ "not" ] "in" selector
/// selector = name *( "." name | "[" string "]" )
/// value   = "…" | `…` | word | number
/// ```
public struct CatalogFilter: Sendable {
    let root: Term

    indirect enum Term: Sendable {
        case or(Term, Term)
        case and(Term, Term)
        case not(Term)
        case equals([String], String)
        /// A list has it, a map has it as a key, a text has it within.
        case contains([String], String)
        case isEmpty([String])
        case matches([String], RegularExpression)
    }

    /// Bytes of an expression, and how deep it may be nested.
    static let lengthLimitBytes = 8192
    static let depthLimit = 64

    /// - Throws: `RegistryError` that says what is wrong, and where.
    public init(parsing text: String) throws(RegistryError) {
        guard text.utf8.count <= Self.lengthLimitBytes else {
            throw RegistryError(.malformed, "filter: longer than \(Self.lengthLimitBytes) bytes")
        }
        var parser = FilterParser(text)
        root = try parser.expression()
    }

    /// Whether a row passes.
    ///
    /// - Throws: `RegistryError` for a selector that rows of this kind do not have.
    public func accepts(_ row: JSONValue) throws(RegistryError) -> Bool { try Self.evaluate(root, row) }

    private static func evaluate(_ term: Term, _ row: JSONValue) throws(RegistryError) -> Bool {
        switch term {
        case .or(let a, let b):
            if try evaluate(a, row) { return true }
            return try evaluate(b, row)
        case .and(let a, let b):
            guard try evaluate(a, row) else { return false }
            return try evaluate(b, row)
        case .not(let inner): return try !evaluate(inner, row)
        case .equals(let path, let value): return equal(try find(path, row), value)
        case .contains(let path, let value): return contains(try find(path, row), value)
        case .isEmpty(let path): return isEmpty(try find(path, row))
        case .matches(let path, let pattern):
            guard case .string(let text)? = try find(path, row) else { return false }
            return pattern.matches(text)
        }
    }

    /// Members whose own members are whatever somebody wrote, and may be missing.
    private static let maps: Set<String> = [
        "Meta", "NodeMeta", "ServiceMeta", "TaggedAddresses", "ServiceTaggedAddresses", "Definition", "Weights",
    ]

    private static func find(_ path: [String], _ row: JSONValue) throws(RegistryError) -> JSONValue? {
        var value = row
        var isMap = false
        for name in path {
            guard let next = value[name] else {
                if isMap { return nil }
                let shown = path.joined(separator: ".")
                throw RegistryError(.malformed, "filter: these rows have no '\(shown)'", remedy: "look at one of them")
            }
            value = next
            isMap = maps.contains(name)
        }
        return value
    }

    private static func equal(_ value: JSONValue?, _ text: String) -> Bool {
        switch value {
        case .string(let own)?: own == text
        case .integer(let number)?: Int(text) == number
        case .unsigned(let number)?: UInt64(text) == number
        case .bool(let flag)?: text == (flag ? "true" : "false")
        default: false
        }
    }

    private static func contains(_ value: JSONValue?, _ text: String) -> Bool {
        switch value {
        case .array(let elements)?: elements.contains { equal($0, text) }
        case .object(let members)?: members.contains { $0.key == text }
        case .string(let own)?: text.isEmpty || own.contains(text)
        default: false
        }
    }

    private static func isEmpty(_ value: JSONValue?) -> Bool {
        switch value {
        case nil, .null?: true
        case .array(let elements)?: elements.isEmpty
        case .object(let members)?: members.isEmpty
        case .string(let text)?: text.isEmpty
        default: false
        }
    }
}
