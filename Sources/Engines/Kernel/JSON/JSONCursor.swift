/// A value together with the path that led to it, for reading what somebody else has written:
///
///     let body = JSONCursor(try JSONValue(parsing: bytes))
///     for rule in try body["rules"].array() {
///         let rate = try rule["rate"].number()      // $.rules[2].rate: expected a number, not text
///         let burst = try rule["burst"].ifPresent?.integer(in: 1...1_000_000) ?? 10
///     }
///     try body.expectNoMembers(besides: ["rules"])
///
/// A member that is missing is a cursor too: only reading it is an error.
public struct JSONCursor: Sendable {
    /// Nil where the path leads nowhere.
    public let value: JSONValue?
    private let steps: [Step]

    private enum Step: Sendable {
        case member(String)
        case element(Int)
    }

    public init(_ value: JSONValue) {
        self.value = value
        steps = []
    }

    private init(_ value: JSONValue?, _ steps: [Step]) {
        self.value = value
        self.steps = steps
    }

    /// The path, `$.rules[2].rate` (RFC 9535's normalized spelling, with a point before names that need no quotes).
    public var path: String {
        steps.reduce(into: "$") { path, step in
            switch step {
            case .element(let index): path += "[\(index)]"
            case .member(let name) where name.utf8.allSatisfy(Self.isOfPlainName) && !name.isEmpty: path += "." + name
            case .member(let name): path += "[\(JSONValue.string(name).text)]"
            }
        }
    }

    private static func isOfPlainName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    public subscript(name: String) -> JSONCursor { JSONCursor(value?[name], steps + [.member(name)]) }

    public subscript(index: Int) -> JSONCursor { JSONCursor(value?[index], steps + [.element(index)]) }

    /// The cursor itself; nil where there is nothing, or `null`.
    public var ifPresent: JSONCursor? {
        switch value {
        case nil, .null?: nil
        default: self
        }
    }

    // MARK: Reading

    public func string() throws(JSONTypeError) -> String {
        guard case .string(let text)? = value else { throw expected("text") }
        return text
    }

    public func bool() throws(JSONTypeError) -> Bool {
        guard case .bool(let value)? = value else { throw expected("true or false") }
        return value
    }

    /// Any number, as the nearest `Double`.
    public func number() throws(JSONTypeError) -> Double {
        switch value {
        case .integer(let value)?: return Double(value)
        case .unsigned(let value)?: return Double(value)
        case .number(let value)?: return value
        case .decimal(let text)?:
            if let value = Double(text) { return value }
            throw expected("a number")
        default: throw expected("a number")
        }
    }

    /// A whole number within `range`, which may be written `10`, `10.0` or `1e1`.
    public func integer(in range: ClosedRange<Int> = Int.min...Int.max) throws(JSONTypeError) -> Int {
        let number: Int? =
            switch value {
            case .integer(let value)?: value
            case .number(let value)?: Int(exactly: value)
            default: nil
            }
        guard let number, range.contains(number) else {
            throw expected(
                range == Int.min...Int.max
                    ? "a whole number" : "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A cursor for each element.
    public func array() throws(JSONTypeError) -> [JSONCursor] {
        guard case .array(let elements)? = value else { throw expected("an array") }
        return elements.enumerated().map { JSONCursor($1, steps + [.element($0)]) }
    }

    /// A cursor for each member, in the document's order.
    public func members() throws(JSONTypeError) -> [(name: String, value: JSONCursor)] {
        guard case .object(let members)? = value else { throw expected("an object") }
        return members.map { ($0.key, JSONCursor($0.value, steps + [.member($0.key)])) }
    }

    /// - Throws: for the first member that is none of `names`: a word that was misspelt would otherwise mean nothing.
    public func expectNoMembers(besides names: [String]) throws(JSONTypeError) {
        for (name, member) in try members() where !names.contains(where: { isSameText($0, name) }) {
            throw member.error("unknown; there \(names.count == 1 ? "is" : "are") \(names.joined(separator: ", "))")
        }
    }

    /// An error at this place, for what only the reader knows: `cursor.error("no such backend")`.
    public func error(_ problem: String) -> JSONTypeError { JSONTypeError(path: path, problem: problem) }

    private func expected(_ what: String) -> JSONTypeError {
        guard let value else { return error("missing; expected \(what)") }
        return error("expected \(what), not \(shown(value))")
    }

    /// Short values as they stand there, others by their kind.
    private func shown(_ value: JSONValue) -> String {
        switch value {
        case .array, .object: value.kindName
        case .string(let text) where text.utf8.count > 40: value.kindName
        default: value.text
        }
    }
}

/// Why a document that is JSON is not what was expected, and where.
public struct JSONTypeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `$.rules[2].rate`
    public let path: String
    /// `expected a number, not "x"`
    public let problem: String

    public var description: String { "\(path): \(problem)" }
}
