/// Expressions, from what binds weakest to what binds strongest.
extension AwkParser {
    // MARK: Expressions

    mutating func expression() throws -> AwkExpression {
        try deeper()
        defer { depth -= 1 }
        let left = try choice()
        guard case .sign(let sign) = token, ["=", "+=", "-=", "*=", "/=", "%=", "^="].contains(sign) else {
            return left
        }
        switch left {
        case .variable, .field, .element: break
        default: throw failure("'\(sign)' needs a variable, a field or an element before it")
        }
        try advance()
        try skipNewlines()
        let right = try expression()
        if sign == "=", case .variable(let reference) = left, let rest = Self.behind(reference, right) {
            return .appending(reference, rest)
        }
        return .assignment(left, sign == "=" ? nil : sign.first, right)
    }

    /// What is put behind a variable by `x = x …`; nil where it is something else, or might change it on the way.
    private static func behind(_ reference: AwkReference, _ right: AwkExpression) -> AwkExpression? {
        if case .global(let place) = reference, place < AwkVariables.names.count { return nil }
        guard case .concatenation(let first, let last) = right, isPlain(last) else { return nil }
        if case .variable(reference) = first { return last }
        return behind(reference, first).map { .concatenation($0, last) }
    }

    /// Whether it only looks at things.
    private static func isPlain(_ expression: AwkExpression) -> Bool {
        switch expression {
        case .number, .string, .variable: true
        case .field(let inner), .group(let inner), .negative(let inner), .positive(let inner), .not(let inner):
            isPlain(inner)
        case .element(_, let subscripts): subscripts.allSatisfy(isPlain)
        case .concatenation(let a, let b), .arithmetic(_, let a, let b), .comparison(_, let a, let b),
            .and(let a, let b), .or(let a, let b):
            isPlain(a) && isPlain(b)
        case .choice(let a, let b, let c): isPlain(a) && isPlain(b) && isPlain(c)
        case .builtin(let name, let arguments):
            ["length", "substr", "index", "sprintf", "int", "tolower", "toupper"].contains(name)
                && arguments.allSatisfy(isPlain)
        default: false
        }
    }

    mutating func choice() throws -> AwkExpression {
        let condition = try either()
        guard isSign("?") else { return condition }
        try advance()
        try skipNewlines()
        let first = try expression()
        try skipNewlines()
        try take(":")
        try skipNewlines()
        return .choice(condition, first, try expression())
    }

    mutating func either() throws -> AwkExpression {
        var left = try both()
        while isSign("||") {
            try advance()
            try skipNewlines()
            left = .or(left, try both())
        }
        return left
    }

    mutating func both() throws -> AwkExpression {
        var left = try membership()
        while isSign("&&") {
            try advance()
            try skipNewlines()
            left = .and(left, try membership())
        }
        return left
    }

    mutating func membership() throws -> AwkExpression {
        var left = try matching()
        while isKeyword("in") {
            try advance()
            guard case .name(let name) = token else { throw failure("'in' needs an array behind it") }
            try advance()
            left = .contains([left], array(name))
        }
        return left
    }

    mutating func matching() throws -> AwkExpression {
        var left = try comparison()
        while isSign("~") || isSign("!~") {
            let isNegated = isSign("!~")
            try advance()
            left = .match(left, try comparison(), isNegated: isNegated)
        }
        return left
    }

    mutating func comparison() throws -> AwkExpression {
        let left = try commandLine(behind: concatenation())
        guard case .sign(let sign) = token, ["<", "<=", "==", "!=", ">=", ">"].contains(sign),
            sign != ">" || !isPrinting
        else { return left }
        try advance()
        return .comparison(sign, left, try commandLine(behind: concatenation()))
    }

    /// `COMMAND | getline`: as in gawk, all that stands side by side before it is the command.
    private mutating func commandLine(behind command: AwkExpression) throws -> AwkExpression {
        var left = command
        while isSign("|") {
            let before = (lexer, token)
            try advance()
            guard isKeyword("getline") else {
                (lexer, token) = before
                break
            }
            try advance()
            program.runsCommands = true
            left = .commandLine(try lineTarget(), command: left)
        }
        return left
    }

    /// What `getline` reads into; nil for the record.
    private mutating func lineTarget() throws -> AwkExpression? {
        if case .name(let name) = token, !AwkLexer.builtins.contains(name) { return try operand() }
        return isSign("$") ? try operand() : nil
    }

    var beginsOperand: Bool {
        switch token {
        case .number, .string, .pattern, .functionName, .name: true
        case .sign(let sign): ["$", "!", "(", "-", "+", "++", "--"].contains(sign)
        default: false
        }
    }

    mutating func concatenation() throws -> AwkExpression {
        var left = try sum()
        // A sign between two operands is a sum, which has been read already.
        while beginsOperand, !isSign("!"), !isSign("+"), !isSign("-") {
            left = .concatenation(left, try sum())
        }
        return left
    }

    mutating func sum() throws -> AwkExpression {
        var left = try product()
        while isSign("+") || isSign("-") {
            let sign: Character = isSign("+") ? "+" : "-"
            try advance()
            left = .arithmetic(sign, left, try product())
        }
        return left
    }

    mutating func product() throws -> AwkExpression {
        var left = try signed()
        while case .sign(let sign) = token, sign == "*" || sign == "/" || sign == "%" {
            try advance()
            left = .arithmetic(sign.first!, left, try signed())
        }
        return left
    }

    mutating func signed() throws -> AwkExpression {
        try deeper()
        defer { depth -= 1 }
        if isSign("!") {
            try advance()
            return .not(try signed())
        }
        if isSign("-") {
            try advance()
            return .negative(try signed())
        }
        if isSign("+") {
            try advance()
            return .positive(try signed())
        }
        return try power()
    }

    mutating func power() throws -> AwkExpression {
        let base = try stepped()
        guard isSign("^") else { return base }
        try advance()
        // It binds from the right, and takes a sign: 2^-1.
        return .arithmetic("^", base, try signedPower())
    }

    mutating func signedPower() throws -> AwkExpression {
        if isSign("-") {
            try advance()
            return .negative(try signedPower())
        }
        return try power()
    }

    mutating func stepped() throws -> AwkExpression {
        if isSign("++") || isSign("--") {
            let amount: Double = isSign("++") ? 1 : -1
            try advance()
            return .step(try place(try stepped()), amount, isBefore: true)
        }
        let operand = try operand()
        switch operand {
        case .variable, .field, .element:
            guard isSign("++") || isSign("--") else { return operand }
            let amount: Double = isSign("++") ? 1 : -1
            try advance()
            return .step(operand, amount, isBefore: false)
        default: return operand
        }
    }

    func place(_ expression: AwkExpression) throws -> AwkExpression {
        switch expression {
        case .variable, .field, .element: return expression
        default: throw failure("++ and -- need a variable, a field or an element")
        }
    }

    mutating func subscripts() throws -> [AwkExpression] {
        try take("[")
        let wasPrinting = isPrinting
        isPrinting = false
        let list = try list(until: "]")
        isPrinting = wasPrinting
        try take("]")
        return list
    }

    mutating func operand() throws -> AwkExpression {
        switch token {
        case .number(let value):
            try advance()
            return .number(value)
        case .string(let text):
            try advance()
            return .string(text)
        case .pattern(let text):
            do { _ = try AwkMachine.made(text) } catch { throw failure("\(error)") }
            try advance()
            return .pattern(text)
        case .functionName(let name): return try call(name)
        case .name(let name):
            try advance()
            if AwkLexer.builtins.contains(name) { return try builtin(name) }
            if isSign("[") { return .element(array(name), try subscripts()) }
            return .variable(reference(name))
        case .keyword("getline"): return try getline()
        case .sign("$"):
            try advance()
            if isSign("++") || isSign("--") { return .field(try stepped()) }
            if isSign("-") {
                try advance()
                return .field(.negative(try operand()))
            }
            return .field(try operand())
        case .sign("("):
            try advance()
            let wasPrinting = isPrinting
            isPrinting = false
            let list = try list(until: ")")
            isPrinting = wasPrinting
            try take(")")
            if isKeyword("in"), list.count > 1 {
                try advance()
                guard case .name(let name) = token else { throw failure("'in' needs an array behind it") }
                try advance()
                return .contains(list, array(name))
            }
            guard list.count == 1 else { throw failure("a list in parentheses makes sense only with 'in' and print") }
            return .group(list[0])
        default: throw failure("unexpected \(Self.text(token))")
        }
    }

    mutating func call(_ name: String) throws -> AwkExpression {
        try advance()
        try take("(")
        let wasPrinting = isPrinting
        isPrinting = false
        let arguments = try list(until: ")")
        isPrinting = wasPrinting
        try take(")")
        let callee = functions[name] ?? AwkProgram.Function(name)
        functions[name] = callee
        calls.append((callee, arguments.count, lexer.line))
        for (index, argument) in arguments.enumerated() {
            if case .variable(.local(let place)) = argument, let function {
                handedOn.append((function, place, callee, index))
            }
        }
        return .call(callee, arguments)
    }

    mutating func builtin(_ name: String) throws -> AwkExpression {
        if name == "system" { program.runsCommands = true }
        guard isSign("(") else {
            guard name == "length" else { throw failure("\(name) needs its parentheses") }
            return .builtin(name, [])
        }
        try advance()
        let wasPrinting = isPrinting
        isPrinting = false
        let arguments = try list(until: ")")
        isPrinting = wasPrinting
        try take(")")
        let counts: [String: ClosedRange<Int>] = [
            "length": 0...1, "substr": 2...3, "index": 2...2, "split": 2...3, "sub": 2...3, "gsub": 2...3,
            "gensub": 3...4,
            "match": 2...2, "sprintf": 1...1000, "atan2": 2...2, "rand": 0...0, "srand": 0...1, "fflush": 0...1,
            "systime": 0...0, "strftime": 0...3,
        ]
        guard (counts[name] ?? 1...1).contains(arguments.count) else {
            throw failure("\(name) does not take \(arguments.count) argument\(arguments.count == 1 ? "" : "s")")
        }
        if name == "split", case .variable(.local(let place)) = arguments[1] { function?.arrays.insert(place) }
        return .builtin(name, arguments)
    }

    mutating func getline() throws -> AwkExpression {
        try advance()
        let target = try lineTarget()
        guard isSign("<") else {
            program.takesRecords = true
            return .getline(target, file: nil)
        }
        try advance()
        let file = try stepped()
        if case .string(let name) = file, name == "-" || name == "/dev/stdin" { program.takesRecords = true }
        return .getline(target, file: file)
    }
}
