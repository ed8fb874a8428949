/// Statements: blocks, loops, output.
extension AwkParser {
    // MARK: Statements

    mutating func block() throws -> AwkStatement {
        try take("{")
        var statements: [AwkStatement] = []
        try skipEnds()
        while !isSign("}") {
            guard token != .end else { throw failure("a '}' is missing") }
            statements.append(try statement())
            try skipEnds()
        }
        try advance()
        return .block(statements)
    }

    mutating func endStatement() throws {
        if isSign(";") || token == .newline { return try advance() }
        if isSign("|") { throw failure("a | leads to getline, or from print to a command") }
        guard isSign("}") || token == .end else { throw failure("unexpected \(Self.text(token))") }
    }

    mutating func deeper() throws {
        depth += 1
        nodes += 1
        guard depth <= Self.depthLimit, nodes <= Self.nodeLimit else { throw failure("nested too deep, or too long") }
    }

    mutating func statement() throws -> AwkStatement {
        try deeper()
        defer { depth -= 1 }
        if isSign("{") { return try block() }
        if isSign(";") {
            try advance()
            return .block([])
        }
        guard case .keyword(let word) = token else { return try simpleStatement() }
        switch word {
        case "if":
            let condition = try condition()
            let first = try body()
            // An else may stand on a line of its own, behind a semicolon.
            let before = (lexer, token)
            try skipEnds()
            guard isKeyword("else") else {
                (lexer, token) = before
                return .choice(condition, first, nil)
            }
            try advance()
            return .choice(condition, first, try body())
        case "while":
            let condition = try condition()
            if isSign(";") {
                try advance()
                return .whileLoop(condition, .block([]))
            }
            return .whileLoop(condition, try loopBody())
        case "do":
            try advance()
            let body = try loopBody()
            try skipEnds()
            guard isKeyword("while") else { throw failure("'do' without its 'while'") }
            let condition = try condition()
            try endStatement()
            return .doLoop(body, condition)
        case "for": return try forLoop()
        default: return try simpleStatement()
        }
    }

    mutating func condition() throws -> AwkExpression {
        try advance()
        try take("(")
        let condition = try expression()
        try take(")")
        return condition
    }

    mutating func body() throws -> AwkStatement {
        try skipNewlines()
        return try statement()
    }

    mutating func loopBody() throws -> AwkStatement {
        loops += 1
        defer { loops -= 1 }
        return try body()
    }

    mutating func forLoop() throws -> AwkStatement {
        try advance()
        try take("(")
        let before = (lexer, token)
        if case .name(let name) = token {
            try advance()
            if isKeyword("in") {
                try advance()
                if case .name(let array) = token {
                    try advance()
                    if isSign(")") {
                        try advance()
                        return .forKeys(.variable(reference(name)), self.array(array), try loopBody())
                    }
                }
            }
            (lexer, token) = before
        }
        let first = isSign(";") ? nil : try simplePart()
        try take(";")
        try skipNewlines()
        let condition = isSign(";") ? nil : try expression()
        try take(";")
        try skipNewlines()
        let step = isSign(")") ? nil : try simplePart()
        try take(")")
        if isSign(";") {
            try advance()
            return .forLoop(first, condition, step, .block([]))
        }
        return .forLoop(first, condition, step, try loopBody())
    }

    mutating func simpleStatement() throws -> AwkStatement {
        let statement = try simplePart()
        try endStatement()
        return statement
    }

    mutating func simplePart() throws -> AwkStatement {
        guard case .keyword(let word) = token else { return .expression(try expression()) }
        switch word {
        case "print", "printf": return try output(word)
        case "delete":
            try advance()
            guard case .name(let name) = token else { throw failure("delete needs an array") }
            try advance()
            let reference = array(name)
            return .delete(reference, isSign("[") ? try subscripts() : nil)
        case "break", "continue", "next", "nextfile":
            guard word.hasPrefix("next") || loops > 0 else { throw failure("'\(word)' outside of a loop") }
            guard !word.hasPrefix("next") || !isOutsideRecords else {
                throw failure("'\(word)' in BEGIN or END, where there is no record")
            }
            try advance()
            return word == "break"
                ? .breakLoop : word == "continue" ? .continueLoop : word == "next" ? .next : .nextFile
        case "exit", "return":
            try advance()
            let hasValue = !isSign(";") && !isSign("}") && token != .newline && token != .end
            if word == "return", function == nil { throw failure("'return' outside of a function") }
            let value = hasValue ? try expression() : nil
            return word == "exit" ? .exit(value) : .giveBack(value)
        default: return .expression(try expression())
        }
    }

    mutating func output(_ word: String) throws -> AwkStatement {
        try advance()
        let wasPrinting = isPrinting
        isPrinting = true
        defer { isPrinting = wasPrinting }
        var expressions: [AwkExpression] = []
        if isSign("(") {
            // `print (a, b) > f` and `print (a) b` look alike up to the parenthesis.
            let before = (lexer, token)
            try advance()
            isPrinting = false
            expressions = try list(until: ")")
            isPrinting = true
            try take(")")
            if !endsOutput {
                (lexer, token) = before
                expressions = try list(until: nil)
            }
        } else if !endsOutput {
            expressions = try list(until: nil)
        }
        if word == "printf", expressions.isEmpty { throw failure("printf needs a format") }
        var target: AwkTarget?
        if isSign(">") || isSign(">>") || isSign("|") {
            let kind: AwkTarget.Kind = isSign(">") ? .file : isSign(">>") ? .append : .command
            try advance()
            target = AwkTarget(kind: kind, name: try concatenation())
        }
        return word == "print" ? .print(expressions, target) : .printf(expressions, target)
    }

    var endsOutput: Bool {
        isSign(";") || isSign("}") || isSign(">") || isSign(">>") || isSign("|") || token == .newline || token == .end
    }

    mutating func list(until end: String?) throws -> [AwkExpression] {
        var expressions: [AwkExpression] = []
        try skipNewlines()
        if let end, isSign(end) { return [] }
        while true {
            expressions.append(try expression())
            if end != nil { try skipNewlines() }
            guard isSign(",") else { return expressions }
            try advance()
            try skipNewlines()
        }
    }
}
