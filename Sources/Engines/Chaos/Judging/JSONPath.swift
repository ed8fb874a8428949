import KernelJSON
import KernelStructures

/// Places in a JSON document, RFC 9535 without its functions.
///
/// ```
/// $.items[0].price    $['a key']    $.items[*].id    $..id    $.items[-1]    $.items[1:3]
/// $.items[?(@.stock > 0)].id        $.items[?(@.sale)]
/// ```
///
/// Where it is wrong: a filter is one comparison with a literal, or asks whether something is there; no `&&`, no
/// functions.
public struct JSONPath: Sendable, Equatable {
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    enum Step: Sendable, Equatable {
        case member(String)
        case element(Int)
        case slice(Int?, Int?)
        case all
        case descendants
        case filter(path: [Step], sign: String?, literal: JSONValue)
    }

    public let text: String
    let steps: [Step]

    /// Steps of a path, and values that one may find.
    static let stepLimit = 100
    static let valueLimit = 100_000

    /// - Throws: `Malformed`, which names the character.
    public init(parsing text: String) throws(Malformed) {
        self.text = text
        var parser = JSONPathParser(text)
        steps = try parser.path()
    }

    /// What stands there, in the document's order.
    public func values(in document: JSONValue) -> [JSONValue] { Self.values(steps, document) }

    private static func values(_ steps: [Step], _ document: JSONValue) -> [JSONValue] {
        var found = [document]
        for step in steps {
            var next: [JSONValue] = []
            for value in found where next.count < valueLimit { append(step, value, to: &next) }
            found = next
        }
        return found
    }

    private static func append(_ step: Step, _ value: JSONValue, to found: inout [JSONValue]) {
        switch step {
        case .member(let name): if let member = value[name] { found.append(member) }
        case .element(let index):
            guard case .array(let items) = value else { return }
            let place = index < 0 ? items.count + index : index
            if items.indices.contains(place) { found.append(items[place]) }
        case .slice(let from, let to):
            guard case .array(let items) = value else { return }
            let start = bounded(from ?? 0, items.count)
            let end = bounded(to ?? items.count, items.count)
            if start < end { found += items[start..<end] }
        case .all: found += children(value)
        case .descendants: collect(value, into: &found)
        case .filter(let path, let sign, let literal):
            for child in children(value) where holds(values(path, child), sign, literal) { found.append(child) }
        }
    }

    private static func bounded(_ index: Int, _ count: Int) -> Int {
        index < 0 ? max(0, count + max(index, -count)) : min(index, count)
    }

    private static func children(_ value: JSONValue) -> [JSONValue] {
        switch value {
        case .array(let items): items
        case .object(let members): members.map(\.value)
        default: []
        }
    }

    /// The value itself and all below it, outermost first.
    private static func collect(_ value: JSONValue, into found: inout [JSONValue]) {
        if found.count >= valueLimit { return }
        found.append(value)
        for child in children(value) { collect(child, into: &found) }
    }

    private static func holds(_ found: [JSONValue], _ sign: String?, _ literal: JSONValue) -> Bool {
        guard let sign else { return !found.isEmpty }
        guard let value = found.first else { return false }
        switch sign {
        case "==": return value == literal
        case "!=": return value != literal
        default:
            guard let a = value.size, let b = literal.size else { return false }
            return sign == "<" ? a < b : sign == "<=" ? a <= b : sign == ">" ? a > b : a >= b
        }
    }
}

/// Reads a path, a character after the other.
private struct JSONPathParser {
    typealias Malformed = JSONPath.Malformed

    private let text: [Character]
    private var place = 0
    private var depth = 0

    init(_ text: String) { self.text = Array(text) }

    private var next: Character? { place < text.count ? text[place] : nil }

    private func fail(_ problem: String) -> Malformed {
        Malformed(description: "'\(String(text))' is no path: \(problem), at character \(place + 1)")
    }

    private mutating func take(_ wanted: String) -> Bool {
        let characters = Array(wanted)
        guard text.count - place >= characters.count, Array(text[place..<place + characters.count]) == characters else {
            return false
        }
        place += characters.count
        return true
    }

    mutating func path() throws(Malformed) -> [JSONPath.Step] {
        _ = take("$")
        return try steps { _ in false }
    }

    private mutating func steps(until isEnd: (Character) -> Bool) throws(Malformed) -> [JSONPath.Step] {
        var steps: [JSONPath.Step] = []
        while let character = next, !isEnd(character) {
            guard steps.count < JSONPath.stepLimit else { throw fail("more than \(JSONPath.stepLimit) steps") }
            if take("..") {
                steps.append(.descendants)
                if next == "[" { continue }
                steps.append(try name(isEnd))
            } else if take("[") {
                steps.append(try bracket())
            } else if take(".") || steps.isEmpty {
                steps.append(try name(isEnd))
            } else {
                throw fail("a point or a bracket is missing")
            }
        }
        return steps
    }

    private mutating func name(_ isEnd: (Character) -> Bool) throws(Malformed) -> JSONPath.Step {
        if take("*") { return .all }
        let start = place
        while let character = next, !".[]".contains(character), !isEnd(character) { place += 1 }
        if place == start { throw fail("a name is missing") }
        return .member(String(text[start..<place]))
    }

    private mutating func bracket() throws(Malformed) -> JSONPath.Step {
        defer { _ = take("]") }
        if take("*") { return try closed(.all) }
        if take("?") { return try filter() }
        if next == "'" || next == "\"" {
            let name = try quoted()
            return try closed(.member(name))
        }
        let from = try number()
        if take(":") {
            let to = try number()
            return try closed(.slice(from, to))
        }
        guard let from else { throw fail("a number, a name in quotes, * or ? is missing") }
        return try closed(.element(from))
    }

    private func closed(_ step: JSONPath.Step) throws(Malformed) -> JSONPath.Step {
        guard next == "]" else { throw fail("] is missing") }
        return step
    }

    private mutating func number() throws(Malformed) -> Int? {
        let start = place
        if next == "-" { place += 1 }
        while let character = next, character.isASCII, character.isNumber { place += 1 }
        if place == start { return nil }
        guard let number = Int(String(text[start..<place])), abs(number) <= 1 << 40 else {
            throw fail("that is no index")
        }
        return number
    }

    private mutating func quoted() throws(Malformed) -> String {
        guard let quote = next else { throw fail("a quotation mark is missing") }
        place += 1
        var result = ""
        while let character = next, character != quote {
            place += 1
            if character == "\\", let escaped = next {
                result.append(escaped)
                place += 1
            } else {
                result.append(character)
            }
        }
        guard next == quote else { throw fail("a quotation mark is not closed") }
        place += 1
        return result
    }

    /// `(@.stock > 0)`, with or without its parentheses.
    private mutating func filter() throws(Malformed) -> JSONPath.Step {
        depth += 1
        defer { depth -= 1 }
        if depth > 8 { throw fail("filters within filters within filters") }
        let isWrapped = take("(")
        skipBlanks()
        guard take("@") else { throw fail("a filter begins with @") }
        let path = try steps { " =!<>)]".contains($0) }
        skipBlanks()
        var sign: String?
        for candidate in ["==", "!=", "<=", ">=", "<", ">"] where sign == nil && take(candidate) { sign = candidate }
        var literal = JSONValue.null
        if sign != nil {
            skipBlanks()
            if next == "'" || next == "\"" {
                literal = .string(try quoted())
            } else {
                let start = place
                while let character = next, !" )]".contains(character) { place += 1 }
                if place == start { throw fail("with what is it compared?") }
                literal = ExperimentDocument.plain(String(text[start..<place]))
            }
        }
        skipBlanks()
        if isWrapped, !take(")") { throw fail(") is missing") }
        return try closed(.filter(path: path, sign: sign, literal: literal))
    }

    private mutating func skipBlanks() { while next == " " { place += 1 } }
}
