/// `$((…))` and `((…))`: whole numbers of 64 bits that wrap, with C's operators and precedences, as POSIX 2.6.4 and
/// bash have them: assignments, `++`, `? :`, `&&`, bits, shifts and `**` included. Arrays and `base#digits` are not.
public struct Arithmetic: Equatable, Sendable {
    indirect enum Expression: Equatable, Sendable {
        case number(Int)
        case variable(String)
        /// `-`, `!` or `~`.
        case unary(Character, Expression)
        case binary(String, Expression, Expression)
        case and(Expression, Expression)
        case or(Expression, Expression)
        case choice(Expression, Expression, Expression)
        /// `=`, or what stands before it: `+=` is `+`.
        case assignment(String, operator: String, Expression)
        /// `x++`, `--x` …
        case step(String, by: Int, givesOld: Bool)
        case sequence(Expression, Expression)
    }

    public struct Failure: Error, Equatable, Sendable {
        public let text: String
        public init(text: String) { self.text = text }
    }

    let root: Expression

    /// Of a sum's text as much as a message may quote.
    public static func quoted(_ source: String) -> String { source.count > 60 ? source.prefix(59) + "…" : source }

    public init(_ text: String) throws(Failure) {
        var parser = ArithmeticParser(text)
        root = try parser.parse()
    }

    /// The value, with 0 for variables that are unset or no numbers.
    ///
    /// - Throws: a division by zero, and what assigning throws.
    public func value(in variables: any ArithmeticVariables) throws(Failure) -> Int {
        try Evaluation(variables: variables).value(root)
    }

    /// Decimal, `0x` hexadecimal, or octal behind a 0.
    static func number(_ text: some StringProtocol) -> Int? {
        guard let first = text.first, first.isASCII, first.isNumber else { return nil }
        if text.hasPrefix("0x") || text.hasPrefix("0X") { return Int(text.dropFirst(2), radix: 16) }
        if first == "0", text.count > 1 { return Int(text.dropFirst(), radix: 8) }
        return Int(text)
    }
}

/// The variables that a sum reads and sets.
public protocol ArithmeticVariables: AnyObject {
    /// nil if it is unset.
    func value(of name: String) -> String?
    func assign(_ name: String, _ value: String) throws(Arithmetic.Failure)
}

private struct Evaluation {
    let variables: any ArithmeticVariables

    func value(_ expression: Arithmetic.Expression) throws(Arithmetic.Failure) -> Int {
        switch expression {
        case .number(let number): return number
        case .variable(let name): return present(name)
        case .unary("-", let inner): return 0 &- (try value(inner))
        case .unary("!", let inner): return try value(inner) == 0 ? 1 : 0
        case .unary(_, let inner): return ~(try value(inner))
        case .and(let a, let b):
            if try value(a) == 0 { return 0 }
            return try value(b) == 0 ? 0 : 1
        case .or(let a, let b):
            if try value(a) != 0 { return 1 }
            return try value(b) == 0 ? 0 : 1
        case .choice(let condition, let a, let b): return try value(condition) != 0 ? value(a) : value(b)
        case .sequence(let a, let b):
            _ = try value(a)
            return try value(b)
        case .assignment(let name, let sign, let right):
            let new = sign.isEmpty ? try value(right) : try Self.apply(sign, present(name), try value(right))
            try variables.assign(name, String(new))
            return new
        case .step(let name, let amount, let givesOld):
            let old = present(name)
            try variables.assign(name, String(old &+ amount))
            return givesOld ? old : old &+ amount
        case .binary(let sign, let a, let b): return try Self.apply(sign, try value(a), try value(b))
        }
    }

    private func present(_ name: String) -> Int {
        guard let text = variables.value(of: name) else { return 0 }
        // The lowest number has no positive twin.
        if text.hasPrefix("-") { return Int(text) ?? Arithmetic.number(text.dropFirst()).map { 0 &- $0 } ?? 0 }
        return Arithmetic.number(text) ?? 0
    }

    private static func apply(_ sign: String, _ a: Int, _ b: Int) throws(Arithmetic.Failure) -> Int {
        switch sign {
        case "+": return a &+ b
        case "-": return a &- b
        case "*": return a &* b
        case "/", "%":
            if b == 0 { throw .init(text: "division by zero") }
            // The one quotient that does not fit.
            if b == -1 { return sign == "/" ? 0 &- a : 0 }
            return sign == "/" ? a / b : a % b
        case "**": return try power(a, b)
        case "<<": return a &<< b
        case ">>": return a &>> b
        case "&": return a & b
        case "|": return a | b
        case "^": return a ^ b
        case "==": return a == b ? 1 : 0
        case "!=": return a != b ? 1 : 0
        case "<=": return a <= b ? 1 : 0
        case ">=": return a >= b ? 1 : 0
        case "<": return a < b ? 1 : 0
        default: return a > b ? 1 : 0
        }
    }

    private static func power(_ base: Int, _ exponent: Int) throws(Arithmetic.Failure) -> Int {
        if exponent < 0 { throw .init(text: "an exponent less than 0") }
        var result = 1
        var factor = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result = result &* factor }
            factor = factor &* factor
            rest >>= 1
        }
        return result
    }
}

/// Reads a sum by climbing its precedences.
private struct ArithmeticParser {
    private var rest: Substring
    private var operators = 0

    typealias Expression = Arithmetic.Expression
    typealias Failure = Arithmetic.Failure

    /// Operators of two operands that take their left one first, by how strongly they bind.
    private static let levels: [[String]] = [
        ["||"], ["&&"], ["|"], ["^"], ["&"], ["==", "!="], ["<=", ">=", "<", ">"], ["<<", ">>"], ["+", "-"],
        ["*", "/", "%"],
    ]
    /// All operators, the longest first, so that `<<=` is not taken for `<`.
    private static let signs = [
        "<<=", ">>=", "**", "++", "--", "&&", "||", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "%=",
        "&=", "|=", "^=", "+", "-", "*", "/", "%", "<", ">", "&", "|", "^", "=", "?", ":", ",", "!", "~", "(", ")",
    ]
    private static let assigning: Set<String> = ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="]
    /// Operators in one expression: its tree is walked recursively.
    private static let operatorLimit = 1000
    private static let depthLimit = 100

    init(_ text: String) { rest = Substring(text) }

    mutating func parse() throws(Failure) -> Expression {
        skipBlanks()
        // As in bash, nothing at all is 0.
        if rest.isEmpty { return .number(0) }
        let expression = try sequence(0)
        skipBlanks()
        if let next = rest.first { throw Failure(text: "unexpected '\(next)'") }
        return expression
    }

    private mutating func skipBlanks() { rest = rest.drop { $0.isWhitespace } }

    /// The operator that comes next, which stays where it is.
    private mutating func sign() -> String? {
        skipBlanks()
        return Self.signs.first { rest.hasPrefix($0) }
    }

    private mutating func take(_ sign: String) throws(Failure) {
        rest = rest.dropFirst(sign.count)
        operators += 1
        if operators > Self.operatorLimit { throw Failure(text: "more than \(Self.operatorLimit) operators") }
    }

    private mutating func sequence(_ depth: Int) throws(Failure) -> Expression {
        var left = try assignment(depth)
        while sign() == "," {
            try take(",")
            left = .sequence(left, try assignment(depth))
        }
        return left
    }

    private mutating func assignment(_ depth: Int) throws(Failure) -> Expression {
        if depth > Self.depthLimit { throw Failure(text: "nested more than \(Self.depthLimit) deep") }
        let left = try choice(depth)
        guard let sign = sign(), Self.assigning.contains(sign) else { return left }
        guard case .variable(let name) = left else { throw Failure(text: "'\(sign)' needs a variable before it") }
        try take(sign)
        return .assignment(name, operator: String(sign.dropLast()), try assignment(depth + 1))
    }

    private mutating func choice(_ depth: Int) throws(Failure) -> Expression {
        let condition = try binary(0, depth)
        guard sign() == "?" else { return condition }
        try take("?")
        let first = try assignment(depth + 1)
        guard sign() == ":" else { throw Failure(text: "a ? without its :") }
        try take(":")
        return .choice(condition, first, try assignment(depth + 1))
    }

    private mutating func binary(_ level: Int, _ depth: Int) throws(Failure) -> Expression {
        if level == Self.levels.count { return try power(depth) }
        var left = try binary(level + 1, depth)
        while let sign = sign(), Self.levels[level].contains(sign) {
            try take(sign)
            let right = try binary(level + 1, depth)
            switch sign {
            case "&&": left = .and(left, right)
            case "||": left = .or(left, right)
            default: left = .binary(sign, left, right)
            }
        }
        return left
    }

    /// Binds from the right: `2**3**2` is 512.
    private mutating func power(_ depth: Int) throws(Failure) -> Expression {
        if depth > Self.depthLimit { throw Failure(text: "nested more than \(Self.depthLimit) deep") }
        let base = try operand(depth)
        guard sign() == "**" else { return base }
        try take("**")
        return .binary("**", base, try power(depth + 1))
    }

    private mutating func operand(_ depth: Int) throws(Failure) -> Expression {
        if depth > Self.depthLimit { throw Failure(text: "nested more than \(Self.depthLimit) deep") }
        switch sign() {
        case "++"?, "--"?: return try stepBefore(depth)
        case "-"?:
            try take("-")
            skipBlanks()
            // The lowest number has no positive twin that could be read first.
            if word() == "\(Int.min.magnitude)" {
                rest = rest.dropFirst(word().count)
                return .number(.min)
            }
            return .unary("-", try operand(depth + 1))
        case "+"?:
            try take("+")
            return try operand(depth + 1)
        case "!"?, "!="?:
            try take("!")
            return .unary("!", try operand(depth + 1))
        case "~"?:
            try take("~")
            return .unary("~", try operand(depth + 1))
        case "("?:
            try take("(")
            let inner = try sequence(depth + 1)
            guard sign() == ")" else { throw Failure(text: "an open (") }
            try take(")")
            return inner
        default: return try atom()
        }
    }

    /// `++x`; before a number they are two signs.
    private mutating func stepBefore(_ depth: Int) throws(Failure) -> Expression {
        let isUp = rest.first == "+"
        try take("++")
        skipBlanks()
        let name = word()
        if let first = name.first, !first.isNumber {
            rest = rest.dropFirst(name.count)
            return .step(String(name), by: isUp ? 1 : -1, givesOld: false)
        }
        return try operand(depth + 1)
    }

    private func word() -> Substring {
        rest.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
    }

    private mutating func atom() throws(Failure) -> Expression {
        guard let first = rest.first else { throw Failure(text: "a number or a variable is missing") }
        let word = word()
        rest = rest.dropFirst(word.count)
        if let letter = word.first, letter.isNumber {
            guard let number = Arithmetic.number(word) else { throw Failure(text: "'\(word)' is not a number") }
            return .number(number)
        }
        guard !word.isEmpty else { throw Failure(text: "unexpected '\(first)'") }
        guard let sign = sign(), sign == "++" || sign == "--" else { return .variable(String(word)) }
        try take(sign)
        return .step(String(word), by: sign == "++" ? 1 : -1, givesOld: true)
    }
}
