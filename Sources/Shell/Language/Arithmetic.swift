/// `$((…))` and `((…))`: whole numbers of 64 bits that wrap, with C's operators and precedences, as POSIX 2.6.4 and
/// bash have them: assignments, `++`, `? :`, `&&`, bits, shifts, `**` and `base#digits` included. What a
/// variable holds is a sum itself. An element of an array is a variable whose name has its subscript: `a[i+1]`.
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
    /// As it was written.
    package let source: String

    /// Of a sum's text as much as a message may quote.
    public static func quoted(_ source: String) -> String { source.count > 60 ? source.prefix(59) + "…" : source }

    public init(_ text: String) throws(Failure) {
        source = text
        var parser = ArithmeticParser(text)
        root = try parser.parse()
    }

    /// The value, with 0 for variables that are unset or empty.
    ///
    /// - Throws: a division by zero, a variable that holds no sum, and what assigning throws.
    public func value(in variables: any ArithmeticVariables) throws(Failure) -> Int {
        try Evaluation(variables: variables).value(root)
    }

    /// Decimal, `0x` hexadecimal, or octal behind a 0; what needs all 64 bits is negative, as in bash.
    static func number(_ text: some StringProtocol) -> Int? {
        guard let first = text.first, first.isASCII, first.isNumber else { return nil }
        if text.hasPrefix("0x") || text.hasPrefix("0X") { return wrapping(text.dropFirst(2), radix: 16) }
        if first == "0", text.count > 1 { return wrapping(text.dropFirst(), radix: 8) }
        return Int(text) ?? wrapping(text, radix: 10)
    }

    /// As in bash, of a number that does not fit the lowest 64 bits stay.
    private static func wrapping(_ text: some StringProtocol, radix: Int) -> Int? {
        if text.isEmpty { return radix == 16 ? 0 : nil }
        var value = 0
        for character in text {
            guard character.isASCII, let digit = character.hexDigitValue, digit < radix else { return nil }
            value = value &* radix &+ digit
        }
        return value
    }

    /// A number as a sum gives it: decimal, without zeros before it. Anything else has to be read as a sum.
    static func plainNumber(_ text: String) -> Int? {
        let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
        if digits.first == UInt8(ascii: "0"), digits.count > 1 { return nil }
        return Int(text)
    }

    /// The digits of `base#digits`: 0 to 9, a to z, A to Z, @ and _; up to base 36 capitals are the same as small ones.
    static func number(_ digits: some StringProtocol, base: Int) throws(Failure) -> Int {
        guard (2...64).contains(base) else { throw Failure(text: "\(base)# is not a base of 2 to 64") }
        if digits.isEmpty { throw Failure(text: "\(base)# needs digits behind it") }
        var value = 0
        for digit in digits.utf8 {
            let worth =
                switch digit {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(digit) - 48
                case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(digit) - 97 + 10
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(digit) - 65 + (base > 36 ? 36 : 10)
                case UInt8(ascii: "@"): 62
                default: 63
                }
            guard worth < base else { throw Failure(text: "'\(digits)' is not a number of base \(base)") }
            value = value &* base &+ worth
        }
        return value
    }
}

/// The variables that a sum reads and sets.
public protocol ArithmeticVariables: AnyObject {
    /// nil if it is unset.
    func value(of name: String) -> String?
    func assign(_ name: String, _ value: String) throws(Arithmetic.Failure)
    /// Whether an array's subscripts are texts.
    func isAssociative(_ name: String) -> Bool
    /// The subscript that a negative one stands for.
    func index(_ index: Int, of name: String) throws(Arithmetic.Failure) -> Int
}

private final class Evaluation {
    let variables: any ArithmeticVariables
    /// How deep the place is in the sum, and in what its variables hold.
    private var level = 0
    private var readCount = 0

    /// The tree is walked recursively: a sum of as many operators as there may be, and a little.
    private static let levelLimit = 1200
    private static let levelsOfAVariable = 20
    /// Values of variables that are read as sums within one sum: each may hold the next one twice.
    private static let readLimit = 10_000

    init(variables: any ArithmeticVariables) { self.variables = variables }

    func value(_ expression: Arithmetic.Expression) throws(Arithmetic.Failure) -> Int {
        level += 1
        defer { level -= 1 }
        guard level <= Self.levelLimit else { throw .init(text: "nested too deep, or a variable that holds itself") }
        switch expression {
        case .number(let number): return number
        case .variable(let name): return try present(try resolved(name))
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
            let name = try resolved(name)
            let new = sign.isEmpty ? try value(right) : try Self.apply(sign, try present(name), try value(right))
            try variables.assign(name, String(new))
            return new
        case .step(let name, let amount, let givesOld):
            let name = try resolved(name)
            let old = try present(name)
            try variables.assign(name, String(old &+ amount))
            return givesOld ? old : old &+ amount
        case .binary(let sign, let a, let b): return try Self.apply(sign, try value(a), try value(b))
        }
    }

    /// A name with its subscript computed.
    private func resolved(_ name: String) throws(Arithmetic.Failure) -> String {
        guard name.hasSuffix("]"), let bracket = name.firstIndex(of: "[") else { return name }
        let base = String(name[..<bracket])
        let text = String(name[name.index(after: bracket)...].dropLast())
        if variables.isAssociative(base) { return name }
        readCount += 1
        guard readCount <= Self.readLimit else {
            throw .init(text: "the variables of one sum hold too many others")
        }
        level += Self.levelsOfAVariable
        defer { level -= Self.levelsOfAVariable }
        let index = try value(try Arithmetic(text).root)
        return "\(base)[\(try variables.index(index, of: base))]"
    }

    private func present(_ name: String) throws(Arithmetic.Failure) -> Int {
        guard let text = variables.value(of: name) else { return 0 }
        if let number = Arithmetic.plainNumber(text) { return number }
        readCount += 1
        guard readCount <= Self.readLimit else { throw .init(text: "the variables of one sum hold too many others") }
        let sum: Arithmetic
        do throws(Arithmetic.Failure) { sum = try Arithmetic(text) } catch {
            throw .init(text: "\(name) is '\(Arithmetic.quoted(text))': \(error.text)")
        }
        level += Self.levelsOfAVariable
        defer { level -= Self.levelsOfAVariable }
        return try value(sum.root)
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
