/// `$((…))`: whole numbers, variables, `+ - * / %`, comparisons (1 or 0) and parentheses.
public struct Arithmetic: Equatable, Sendable {
    indirect enum Expression: Equatable, Sendable {
        case number(Int)
        case variable(String)
        case negated(Expression)
        case binary(String, Expression, Expression)
    }

    public struct Failure: Error, Equatable, Sendable {
        public let text: String
    }

    let root: Expression

    /// Operators by how strongly they bind.
    private static let levels: [[String]] = [["==", "!="], ["<=", ">=", "<", ">"], ["+", "-"], ["*", "/", "%"]]
    /// Operators in one expression: its tree is walked recursively.
    private static let operatorLimit = 1000

    init(_ text: String) throws(Failure) {
        var rest = Substring(text)
        var count = 0
        root = try Self.expression(&rest, level: 0, depth: 0, &count)
        Self.skipBlanks(&rest)
        if !rest.isEmpty { throw Failure(text: "unexpected '\(rest.first!)'") }
    }

    private static func skipBlanks(_ rest: inout Substring) { rest = rest.drop { $0.isWhitespace } }

    private static func expression(
        _ rest: inout Substring, level: Int, depth: Int, _ count: inout Int
    ) throws(Failure) -> Expression {
        if depth > 100 { throw Failure(text: "nested too deep") }
        if level == levels.count { return try operand(&rest, depth: depth, &count) }
        var left = try expression(&rest, level: level + 1, depth: depth, &count)
        while true {
            skipBlanks(&rest)
            guard let found = levels[level].first(where: { rest.hasPrefix($0) }) else { return left }
            rest = rest.dropFirst(found.count)
            count += 1
            if count > operatorLimit { throw Failure(text: "more than \(operatorLimit) operators") }
            left = .binary(found, left, try expression(&rest, level: level + 1, depth: depth, &count))
        }
    }

    private static func operand(_ rest: inout Substring, depth: Int, _ count: inout Int) throws(Failure) -> Expression {
        if depth > 100 { throw Failure(text: "nested too deep") }
        skipBlanks(&rest)
        guard let first = rest.first else { throw Failure(text: "a number or a variable is missing") }
        if first == "-" || first == "+" {
            rest.removeFirst()
            let inner = try operand(&rest, depth: depth + 1, &count)
            return first == "-" ? .negated(inner) : inner
        }
        if first == "(" {
            rest.removeFirst()
            let inner = try expression(&rest, level: 0, depth: depth + 1, &count)
            skipBlanks(&rest)
            guard rest.first == ")" else { throw Failure(text: "an open (") }
            rest.removeFirst()
            return inner
        }
        if first == "$" { rest.removeFirst() }
        let word = rest.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
        rest = rest.dropFirst(word.count)
        if let number = Int(word) { return .number(number) }
        guard let letter = word.first, !letter.isNumber else { throw Failure(text: "unexpected '\(first)'") }
        return .variable(String(word))
    }

    /// The value, with 0 for variables that are unset or no numbers.
    public func value(of variable: (String) -> String?) throws(Failure) -> Int { try Self.value(root, variable) }

    private static func value(_ expression: Expression, _ variable: (String) -> String?) throws(Failure) -> Int {
        switch expression {
        case .number(let number): return number
        case .variable(let name): return variable(name).flatMap { Int($0) } ?? 0
        case .negated(let inner): return 0 &- (try value(inner, variable))
        case .binary(let name, let left, let right):
            let a = try value(left, variable)
            let b = try value(right, variable)
            switch name {
            case "+": return a &+ b
            case "-": return a &- b
            case "*": return a &* b
            case "/", "%":
                if b == 0 { throw Failure(text: "division by zero") }
                if b == -1 { return name == "/" ? 0 &- a : 0 }
                return name == "/" ? a / b : a % b
            case "==": return a == b ? 1 : 0
            case "!=": return a != b ? 1 : 0
            case "<=": return a <= b ? 1 : 0
            case ">=": return a >= b ? 1 : 0
            case "<": return a < b ? 1 : 0
            default: return a > b ? 1 : 0
            }
        }
    }
}
