/// Reads a program for `awk`. What of it is not known here is refused by name, before anything runs.
struct AwkParser {
    var lexer: AwkLexer
    var token = AwkLexer.Token.newline
    var program = AwkProgram()
    var functions: [String: AwkProgram.Function] = [:]
    var globals: [String: Int] = [:]
    var locals: [String: Int]?
    var function: AwkProgram.Function?
    var depth = 0
    var nodes = 0
    /// Loops around this place, within its rule or function.
    var loops = 0
    /// Within BEGIN or END, where there is no record to leave.
    var isOutsideRecords = false
    /// Calls: of which function, with how many arguments, on which line.
    var calls: [(AwkProgram.Function, Int, Int)] = []
    /// `>` writes to a file: between `print` and what it prints.
    var isPrinting = false
    /// Parameters that are handed on: of which function, to which one.
    var handedOn: [(AwkProgram.Function, Int, AwkProgram.Function, Int)] = []

    static let depthLimit = 200
    static let nodeLimit = 100_000

    static func parse(_ text: String) throws -> AwkProgram {
        var parser = AwkParser(lexer: AwkLexer(text))
        for name in AwkVariables.names { _ = parser.global(name) }
        try parser.readProgram()
        return parser.program
    }

    init(lexer: AwkLexer) { self.lexer = lexer }

    func failure(_ text: String) -> AwkFailure { AwkFailure("line \(lexer.line): \(text)") }
    mutating func advance() throws { token = try lexer.next() }
    func isSign(_ sign: String) -> Bool { token == .sign(sign) }
    func isKeyword(_ word: String) -> Bool { token == .keyword(word) }

    mutating func take(_ sign: String) throws {
        guard isSign(sign) else { throw failure("a '\(sign)' is missing before \(Self.text(token))") }
        try advance()
    }

    static func text(_ token: AwkLexer.Token) -> String {
        switch token {
        case .number(let value): "\(value)"
        case .string(let text): "\"\(text)\""
        case .pattern(let text): "/\(text)/"
        case .functionName(let name), .name(let name), .keyword(let name), .sign(let name): "'\(name)'"
        case .newline: "the line's end"
        case .end: "the end"
        }
    }

    mutating func skipNewlines() throws { while token == .newline { try advance() } }
    mutating func skipEnds() throws { while token == .newline || isSign(";") { try advance() } }

    mutating func global(_ name: String) -> Int {
        if let known = globals[name] { return known }
        globals[name] = program.globals.count
        program.globals.append(name)
        return program.globals.count - 1
    }

    mutating func reference(_ name: String) -> AwkReference {
        if let place = locals?[name] { return .local(place) }
        return .global(global(name))
    }

    mutating func array(_ name: String) -> AwkReference {
        let reference = reference(name)
        if case .local(let place) = reference { function?.arrays.insert(place) }
        return reference
    }

    // MARK: Rules

    mutating func readProgram() throws {
        try advance()
        try skipEnds()
        while token != .end {
            if isKeyword("function") { try definition() } else { try rule() }
            try skipEnds()
        }
        for function in functions.values where !function.isDefined {
            throw AwkFailure("the function '\(function.name)' is not defined")
        }
        for (function, count, line) in calls where count > function.parameterCount {
            throw AwkFailure(
                "line \(line): \(function.name) takes \(function.parameterCount) arguments, not \(count)")
        }
        if let name = globals.keys.first(where: { functions[$0] != nil }) {
            throw AwkFailure("'\(name)' is a function's name, and no variable's")
        }
        // A parameter that is handed on as an array is one.
        var changes = true
        while changes {
            changes = false
            for (from, place, to, index) in handedOn where to.arrays.contains(index) {
                if from.arrays.insert(place).inserted { changes = true }
            }
        }
    }

    mutating func definition() throws {
        try advance()
        let name: String
        switch token {
        case .functionName(let word), .name(let word): name = word
        default: throw failure("a function needs a name, not \(Self.text(token))")
        }
        let function = functions[name] ?? AwkProgram.Function(name)
        guard !function.isDefined else { throw failure("the function '\(name)' is there twice") }
        functions[name] = function
        function.isDefined = true
        try advance()
        try take("(")
        var places: [String: Int] = [:]
        while !isSign(")") {
            try skipNewlines()
            guard case .name(let parameter) = token else { throw failure("a parameter's name is missing") }
            guard places[parameter] == nil, parameter != name, !AwkLexer.builtins.contains(parameter) else {
                throw failure("'\(parameter)' cannot be the name of this parameter")
            }
            places[parameter] = places.count
            try advance()
            guard isSign(",") else {
                try skipNewlines()
                guard isSign(")") else { throw failure("a ')' is missing before \(Self.text(token))") }
                break
            }
            try advance()
        }
        try advance()
        try skipNewlines()
        function.parameterCount = places.count
        (locals, self.function, isOutsideRecords) = (places, function, false)
        function.body = try block()
        (locals, self.function) = (nil, nil)
    }

    mutating func rule() throws {
        if isKeyword("BEGIN") || isKeyword("END") {
            let isBegin = isKeyword("BEGIN")
            try advance()
            guard isSign("{") else { throw failure("\(isBegin ? "BEGIN" : "END") needs a { on its line") }
            isOutsideRecords = true
            defer { isOutsideRecords = false }
            program.rules.append(.init(pattern: isBegin ? .begin : .end, body: try block()))
            return
        }
        var pattern = AwkProgram.Pattern.always
        if !isSign("{") {
            let first = try expression()
            pattern = .expression(first)
            if isSign(",") {
                try advance()
                try skipNewlines()
                pattern = .range(first, try expression(), program.rangeCount)
                program.rangeCount += 1
            }
        }
        program.rules.append(.init(pattern: pattern, body: isSign("{") ? try block() : nil))
    }
}
