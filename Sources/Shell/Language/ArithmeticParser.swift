/// Reads a sum by climbing its precedences.
struct ArithmeticParser {
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
    private static let assigning: Set<String> = [
        "=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^=",
    ]
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
            return .step(String(name) + (try takeSubscript()), by: isUp ? 1 : -1, givesOld: false)
        }
        return try operand(depth + 1)
    }

    private func word() -> Substring {
        rest.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
    }

    /// `[…]` behind a name, with its brackets; empty where there is none.
    private mutating func takeSubscript() throws(Failure) -> String {
        guard rest.first == "[" else { return "" }
        var text = ""
        var open = 0
        while let character = rest.popFirst() {
            text.append(character)
            if character == "[" { open += 1 } else if character == "]" { open -= 1 }
            if open == 0 { return text }
        }
        throw Failure(text: "an open [")
    }

    private mutating func atom() throws(Failure) -> Expression {
        guard let first = rest.first else { throw Failure(text: "a number or a variable is missing") }
        let word = word()
        rest = rest.dropFirst(word.count)
        if let letter = word.first, letter.isNumber {
            if rest.first == "#", let base = Int(word) {
                rest = rest.dropFirst()
                let digits = rest.prefix { "_@".contains($0) || $0.isASCII && ($0.isLetter || $0.isNumber) }
                rest = rest.dropFirst(digits.count)
                return .number(try Arithmetic.number(digits, base: base))
            }
            guard let number = Arithmetic.number(word) else { throw Failure(text: "'\(word)' is not a number") }
            return .number(number)
        }
        guard !word.isEmpty else { throw Failure(text: "unexpected '\(first)'") }
        let name = String(word) + (try takeSubscript())
        guard let sign = sign(), sign == "++" || sign == "--" else { return .variable(name) }
        try take(sign)
        return .step(name, by: sign == "++" ? 1 : -1, givesOld: true)
    }
}
