import KernelJSON
import KernelRegularExpressions
import KernelStructures

/// Reads a `ProbeExpression`, one word after another.
struct ProbeExpressionParser {
    typealias Malformed = ProbeExpression.Malformed

    private enum Token: Equatable {
        case word(String)
        case quoted(String)
        case sign(String)
    }

    private var tokens: [(token: Token, column: Int)] = []
    private var place = 0
    private var depth = 0
    private let failure: Malformed?

    private static let lengthLimit = 10_000
    private static let depthLimit = 100

    init(_ text: String) {
        do throws(Malformed) {
            guard text.utf8.count <= Self.lengthLimit else {
                throw Malformed(description: "longer than \(Self.lengthLimit) bytes")
            }
            tokens = try Self.split(Array(text))
            failure = nil
        } catch {
            failure = error
        }
    }

    // MARK: Words

    private static func split(_ text: [Character]) throws(Malformed) -> [(token: Token, column: Int)] {
        var found: [(token: Token, column: Int)] = []
        var place = 0
        while place < text.count {
            let start = place
            let character = text[place]
            if character.isWhitespace {
                place += 1
            } else if character == "\"" || character == "'" {
                found.append((.quoted(try quoted(text, &place)), start + 1))
            } else if "()".contains(character) {
                found.append((.sign(String(character)), start + 1))
                place += 1
            } else if "=!<>".contains(character) {
                while place < text.count, "=!<>".contains(text[place]) { place += 1 }
                found.append((.sign(String(text[start..<place])), start + 1))
            } else {
                while place < text.count, !text[place].isWhitespace, !"()=!<>\"".contains(text[place]) { place += 1 }
                found.append((.word(String(text[start..<place])), start + 1))
            }
        }
        return found
    }

    private static func quoted(_ text: [Character], _ place: inout Int) throws(Malformed) -> String {
        let quote = text[place]
        let start = place
        var result = ""
        place += 1
        while place < text.count, text[place] != quote {
            if text[place] == "\\", place + 1 < text.count { place += 1 }
            result.append(text[place])
            place += 1
        }
        guard place < text.count else {
            throw Malformed(description: "the quotation mark at column \(start + 1) is not closed")
        }
        place += 1
        return result
    }

    private func fail(_ problem: String) -> Malformed {
        let at = place < tokens.count ? "column \(tokens[place].column)" : "its end"
        return Malformed(description: "\(problem), at \(at)")
    }

    private var next: Token? { place < tokens.count ? tokens[place].token : nil }

    private mutating func take(_ keyword: String) -> Bool {
        guard case .word(let word)? = next, word.uppercased() == keyword else { return false }
        place += 1
        return true
    }

    private mutating func take(sign: String) -> Bool {
        guard next == .sign(sign) else { return false }
        place += 1
        return true
    }

    // MARK: Grammar

    mutating func whole() throws(Malformed) -> ProbeExpression.Node {
        if let failure { throw failure }
        let node = try expression()
        if next != nil { throw fail("AND or OR is missing") }
        return node
    }

    private mutating func expression() throws(Malformed) -> ProbeExpression.Node {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit { throw fail("nested more than \(Self.depthLimit) deep") }
        var terms = [try term()]
        while take("OR") || take(sign: "||") { terms.append(try term()) }
        return terms.count == 1 ? terms[0] : .either(terms)
    }

    private mutating func term() throws(Malformed) -> ProbeExpression.Node {
        var factors = [try factor()]
        while take("AND") || take("&&") { factors.append(try factor()) }
        return factors.count == 1 ? factors[0] : .both(factors)
    }

    private mutating func factor() throws(Malformed) -> ProbeExpression.Node {
        var isNegated = false
        while take("NOT") { isNegated.toggle() }
        let node: ProbeExpression.Node
        if take(sign: "(") {
            node = try expression()
            guard take(sign: ")") else { throw fail("a parenthesis is not closed") }
        } else {
            node = .comparison(try comparison())
        }
        return isNegated ? .not(node) : node
    }

    private mutating func comparison() throws(Malformed) -> ProbeExpression.Comparison {
        let subject = try subject()
        let sign = try sign()
        let literal = try literal(for: subject)
        var pattern: RegularExpression?
        if sign == .matches {
            guard case .value(.string(let text)) = literal else { throw fail("matches needs a pattern in quotes") }
            do throws(RegularExpressionError) { pattern = try RegularExpression(text) } catch {
                throw fail("\(error)")
            }
        }
        return ProbeExpression.Comparison(subject: subject, sign: sign, literal: literal, pattern: pattern)
    }

    private mutating func subject() throws(Malformed) -> ProbeExpression.Subject {
        guard case .word(let word)? = next else { throw fail("what is compared? status, latency, body, json.… ") }
        let subject: ProbeExpression.Subject
        switch word.lowercased() {
        case "status", "exit": subject = .status
        case "latency": subject = .latency
        case "body", "stdout": subject = .body
        case "stderr": subject = .errors
        case let name where name.hasPrefix("header.") && name.count > 7: subject = .header(String(word.dropFirst(7)))
        case let name where name.hasPrefix("json.") || name.hasPrefix("json["):
            do throws(JSONPath.Malformed) { subject = .json(try JSONPath(parsing: "$" + word.dropFirst(4))) } catch {
                throw fail("\(error)")
            }
        default:
            let names = ["status", "latency", "body", "header.NAME", "json.PATH", "stderr"]
            let hint = didYouMean(word, among: names)
            throw fail("'\(word)' is unknown" + (hint.isEmpty ? "; there are \(names.joined(separator: ", "))" : hint))
        }
        place += 1
        return subject
    }

    private mutating func sign() throws(Malformed) -> ProbeExpression.Operator {
        let names = ProbeExpression.Operator.allCases.map(\.rawValue).joined(separator: " ")
        switch next {
        case .sign("=")?:
            place += 1
            return .equal
        case .sign(let text)?, .word(let text)?:
            guard let found = ProbeExpression.Operator(rawValue: text.lowercased()) else {
                throw fail("'\(text)' compares nothing; there are \(names)")
            }
            place += 1
            return found
        default: throw fail("how is it compared? \(names)")
        }
    }

    private mutating func literal(for subject: ProbeExpression.Subject) throws(Malformed) -> ProbeExpression.Literal {
        switch next {
        case .quoted(let text)?:
            place += 1
            return .value(.string(text))
        case .word(let word)?:
            let literal = try self.literal(word, subject)
            place += 1
            return literal
        default: throw fail("with what is it compared?")
        }
    }

    private func literal(_ word: String, _ subject: ProbeExpression.Subject) throws(Malformed)
        -> ProbeExpression.Literal
    {
        let plain = ExperimentDocument.plain(word)
        if subject == .latency {
            guard let time = LabDuration(parsing: word, bareUnit: .milliseconds(1)) else {
                throw fail("'\(word)' is not a time such as 500ms")
            }
            return .time(time)
        }
        if subject == .status, plain.size == nil { throw fail("'\(word)' is not a status such as 200") }
        return .value(plain)
    }
}
