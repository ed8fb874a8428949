import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var expr: Command {
        let description = CommandDescription(
            "expr", "computes with its words", usage: "WORD…",
            arguments: .init([.text], 0...10_000, isRaw: true),
            examples: ["i=$(expr $i + 1)", "expr file.tar : '\\(.*\\)\\.tar'"], group: .files,
            details: """
                A | B, A & B, = != < <= > >=, + -, * / %, TEXT : PATTERN, ( ); match, substr,
                index and length. $((…)) computes better. The status is 1 for 0 and for nothing.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            if words.first == "--" { words.removeFirst() }
            guard !words.isEmpty else { throw UsageError("expr: missing operand; see help expr") }
            do {
                var sum = WordSum(words[...])
                let result = try sum.whole()
                invocation.process.print(result)
                return .done(WordSum.isNothing(result) ? 1 : 0)
            } catch let error as WordSum.Failure {
                throw CommandFailure(error.text, status: error.status)
            }
        }
    }
}

/// `expr` (POSIX, the description of `expr`): what binds weakest first.
private struct WordSum {
    struct Failure: Error {
        let text: String
        let status: Int
        init(_ text: String, status: Int = 2) {
            self.text = text
            self.status = status
        }
    }

    private var rest: ArraySlice<String>
    private var depth = 0
    private static let depthLimit = 200

    init(_ words: ArraySlice<String>) { rest = words }

    static func isNothing(_ text: String) -> Bool {
        if text.isEmpty { return true }
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        return !digits.isEmpty && digits.allSatisfy { $0 == "0" }
    }

    mutating func whole() throws -> String {
        let result = try either()
        if let word = rest.first { throw Failure("syntax error: unexpected argument '\(word)'") }
        return result
    }

    private mutating func takes(_ signs: Set<String>) -> String? {
        guard let word = rest.first, signs.contains(word) else { return nil }
        rest.removeFirst()
        return word
    }

    private func number(_ text: String) throws -> Int {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else {
            throw Failure("non-integer argument")
        }
        guard let number = Int(text) else { throw Failure("'\(text)': Numerical result out of range") }
        return number
    }

    private mutating func either() throws -> String {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw Failure("nested more than \(Self.depthLimit) deep") }
        var left = try both()
        while takes(["|"]) != nil {
            let right = try both()
            if Self.isNothing(left) { left = Self.isNothing(right) ? "0" : right }
        }
        return left
    }

    private mutating func both() throws -> String {
        var left = try comparison()
        while takes(["&"]) != nil {
            let right = try comparison()
            if Self.isNothing(left) || Self.isNothing(right) { left = "0" }
        }
        return left
    }

    private mutating func comparison() throws -> String {
        var left = try sum()
        while let sign = takes(["=", "==", "!=", "<", "<=", ">", ">="]) {
            let right = try sum()
            let order: Int
            if let a = try? number(left), let b = try? number(right) {
                order = a < b ? -1 : a > b ? 1 : 0
            } else {
                order = left == right ? 0 : left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
            }
            let holds =
                switch sign {
                case "=", "==": order == 0
                case "!=": order != 0
                case "<": order < 0
                case "<=": order <= 0
                case ">": order > 0
                default: order >= 0
                }
            left = holds ? "1" : "0"
        }
        return left
    }

    private mutating func sum() throws -> String {
        var left = try product()
        while let sign = takes(["+", "-"]) {
            let (a, b) = (try number(left), try number(try product()))
            let (value, overflow) = sign == "+" ? a.addingReportingOverflow(b) : a.subtractingReportingOverflow(b)
            guard !overflow else { throw Failure("\(sign): Numerical result out of range") }
            left = String(value)
        }
        return left
    }

    private mutating func product() throws -> String {
        var left = try match()
        while let sign = takes(["*", "/", "%"]) {
            let (a, b) = (try number(left), try number(try match()))
            guard sign == "*" || b != 0 else { throw Failure("division by zero") }
            let (value, overflow) =
                switch sign {
                case "*": a.multipliedReportingOverflow(by: b)
                case "/": a.dividedReportingOverflow(by: b)
                default: a.remainderReportingOverflow(dividingBy: b)
                }
            guard !overflow else { throw Failure("\(sign): Numerical result out of range") }
            left = String(value)
        }
        return left
    }

    private mutating func match() throws -> String {
        var left = try operand()
        while takes([":"]) != nil { left = try matched(left, try operand()) }
        return left
    }

    private mutating func operand() throws -> String {
        guard let word = rest.popFirst() else { throw Failure("syntax error: missing argument after the last one") }
        switch word {
        case "(":
            let inner = try either()
            guard rest.popFirst() == ")" else { throw Failure("syntax error: expecting ')'") }
            return inner
        case ")": throw Failure("syntax error: unexpected ')'")
        // What follows is a text, whatever it is.
        case "+" where !rest.isEmpty: return rest.removeFirst()
        case "length" where !rest.isEmpty: return String(try operand().unicodeScalars.count)
        case "match" where rest.count > 1:
            let text = try operand()
            return try matched(text, try operand())
        case "index" where rest.count > 1:
            let text = Array(try operand().unicodeScalars)
            let signs = Set(try operand().unicodeScalars)
            return String((text.firstIndex { signs.contains($0) } ?? -1) + 1)
        case "substr" where rest.count > 2:
            let text = Array(try operand().unicodeScalars)
            let first = (try? number(try operand())) ?? 0
            let count = (try? number(try operand())) ?? 0
            guard first > 0, count > 0, first <= text.count else { return "" }
            var part = String.UnicodeScalarView()
            part.append(contentsOf: text[(first - 1)...].prefix(count))
            return String(part)
        default: return word
        }
    }

    /// The first group of what the text begins with, or how long that is.
    private func matched(_ text: String, _ pattern: String) throws -> String {
        let expression: RegularExpression
        do throws(RegularExpressionError) {
            expression = try RegularExpression(pattern.hasPrefix("^") ? pattern : "^" + pattern, .basic)
        } catch { throw Failure("\(error)") }
        let match = expression.firstMatch(in: text)
        let bytes = Array(text.utf8)
        if expression.groupCount > 0 {
            return match?[1].map { String(decoding: bytes[$0], as: UTF8.self) } ?? ""
        }
        return String(match.map { String(decoding: bytes[$0.range], as: UTF8.self).unicodeScalars.count } ?? 0)
    }
}
