import KernelStructures

/// Loops, conditions, `case`, groups, subshells and functions.
extension Parser {
    // MARK: Loops

    mutating func forLoop() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance(3)
        try skipBlank()
        if follows("((") { return try countedLoop(place) }
        let variablePlace = position
        let variable = name()
        guard !variable.isEmpty, current.map({ $0.isWhitespace || $0 == ";" }) ?? true else {
            throw SyntaxError(variablePlace, "'for' needs the name of a variable", isIncomplete: current == nil)
        }
        try skipNewlines()
        guard keywordHere() == "in" else {
            try skipSeparators(afterStatement: true)
            if current == nil || keywordHere() != "do" { try take("in", after: "for", at: place) }
            return .forLoop(variable: variable, words: nil, body: try loopBody("for", place))
        }
        advance(2)
        var words: [Word] = []
        while true {
            try skipBlank()
            guard let character = current, !character.isLineEnd, character != ";" else { break }
            words += try expandingBraces(try word())
        }
        try skipSeparators(afterStatement: true)
        return .forLoop(variable: variable, words: words, body: try loopBody("for", place))
    }

    /// `for ((first; condition; step)); do …; done`
    private mutating func countedLoop(_ place: Position) throws(SyntaxError) -> CommandSyntax {
        let start = position
        advance(2)
        let text = try arithmeticSource(start, "((")
        let pieces = text.split(separator: ";", omittingEmptySubsequences: false)
        guard pieces.count == 3 else { throw SyntaxError(start, "for (( needs three sums with ';' between them") }
        var sums: [ArithmeticText?] = []
        for piece in pieces {
            let sum = String(piece.drop(while: \.isWhitespace))
            sums.append(sum.isEmpty ? nil : try arithmeticText(sum, at: start))
        }
        try skipSeparators(afterStatement: true)
        let body = try loopBody("for", place)
        return .countedLoop(.init(first: sums[0], condition: sums[1], step: sums[2], body: body))
    }

    /// `select name in words; do …; done`
    mutating func selectLoop() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance(6)
        try skipBlank()
        let variable = name()
        guard !variable.isEmpty else {
            throw SyntaxError(
                place, "'select' needs the name of a variable", isIncomplete: current == nil)
        }
        try skipNewlines()
        var words: [Word]?
        if keywordHere() == "in" {
            advance(2)
            words = []
            while true {
                try skipBlank()
                guard let character = current, !character.isLineEnd, character != ";" else { break }
                words? += try expandingBraces(try word())
            }
        }
        try skipSeparators(afterStatement: true)
        return .selectLoop(variable: variable, words: words, body: try loopBody("select", place))
    }

    private mutating func loopBody(_ opening: String, _ place: Position) throws(SyntaxError) -> Script {
        // bash takes braces here, too.
        if keywordHere() == "{", opening == "for" || opening == "select",
            case .group(let body) = try group()
        {
            return body
        }
        try take("do", after: opening, at: place)
        let body = try script(until: ["done"])
        try take("done", after: opening, at: place)
        return body
    }

    mutating func whileLoop() throws(SyntaxError) -> CommandSyntax {
        let place = position
        let isUntil = follows("until")
        advance(5)
        let opening = isUntil ? "until" : "while"
        let condition = try script(until: ["do"])
        let body = try loopBody(opening, place)
        if condition.statements.isEmpty { throw SyntaxError(place, "'\(opening)' needs a condition") }
        return .whileLoop(condition: condition, isUntil: isUntil, body: body)
    }

    // MARK: Conditions

    mutating func choice() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance(2)
        var branches: [CommandSyntax.Branch] = []
        var otherwise: Script?
        while true {
            let condition = try script(until: ["then"])
            try take("then", after: "if", at: place)
            if condition.statements.isEmpty { throw SyntaxError(place, "'if' needs a condition") }
            branches.append(.init(condition: condition, body: try script(until: ["elif", "else", "fi"])))
            if keywordHere() == "elif" {
                advance(4)
                continue
            }
            if keywordHere() == "else" {
                advance(4)
                otherwise = try script(until: ["fi"])
            }
            try take("fi", after: "if", at: place)
            return .choice(branches: branches, otherwise: otherwise)
        }
    }

    /// `case WORD in (PATTERN | PATTERN) …;; esac`
    mutating func selection() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance(4)
        try skipBlank()
        guard let character = current, !character.isLineEnd, character != ";" else {
            throw SyntaxError(place, "'case' needs a word", isIncomplete: current == nil)
        }
        let subject = try word()
        try skipNewlines()
        try take("in", after: "case", at: place)
        var branches: [CommandSyntax.Selection] = []
        while true {
            try skipNewlines()
            guard current != nil else {
                throw SyntaxError(place, "'case' needs an 'esac'", isIncomplete: true)
            }
            if keywordHere() == "esac" { break }
            branches.append(try selectionBranch(place))
        }
        advance(4)
        return .selection(subject, branches)
    }

    private mutating func selectionBranch(_ place: Position) throws(SyntaxError) -> CommandSyntax.Selection {
        parenthesisDepth += 1
        defer { parenthesisDepth -= 1 }
        if current == "(" { advance() }
        var patterns: [Word] = []
        while true {
            try skipBlank()
            guard let character = current, !character.isLineEnd, !";|)".contains(character) else {
                throw SyntaxError(position, "'case' needs a pattern and a ')'", isIncomplete: current == nil)
            }
            patterns.append(try word())
            try skipBlank()
            if current == ")" { break }
            guard current == "|" else {
                throw SyntaxError(position, "a pattern of 'case' ends with ')'", isIncomplete: current == nil)
            }
            advance()
        }
        advance()
        // Within the body a `)` belongs to whoever is around the `case`.
        parenthesisDepth -= 1
        defer { parenthesisDepth += 1 }
        let body = try script(until: ["esac", ";;"])
        var ending = CommandSyntax.Selection.Ending.leaves
        if follows(";;&") {
            ending = .goesOn
            advance(3)
        } else if follows(";;") {
            advance(2)
        } else if follows(";&") {
            ending = .fallsThrough
            advance(2)
        } else if current == nil {
            throw SyntaxError(place, "'case' needs an 'esac'", isIncomplete: true)
        }
        return .init(patterns: patterns, body: body, ending: ending)
    }

    // MARK: Groups

    mutating func group() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance()
        let body = try script(until: ["}"])
        guard keywordHere() == "}" else {
            throw SyntaxError(place, "an open {; its } stands behind a ';' or on a line of its own", isIncomplete: true)
        }
        advance()
        if body.statements.isEmpty { throw SyntaxError(place, "nothing between { and }") }
        return .group(body)
    }

    mutating func subshell() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance()
        parenthesisDepth += 1
        let body = try script(until: [")"])
        parenthesisDepth -= 1
        guard current == ")" else { throw SyntaxError(place, "an open (", isIncomplete: true) }
        advance()
        if body.statements.isEmpty { throw SyntaxError(place, "nothing between ( and )") }
        return .subshell(body)
    }

    /// `((…))` as a command: succeeds if the sum is not 0.
    mutating func arithmeticCommand() throws(SyntaxError) -> CommandSyntax {
        let place = position
        advance(2)
        return .arithmetic(try arithmeticText(try arithmeticSource(place, "(("), at: place), place)
    }

    // MARK: Functions

    /// The name of the function whose definition begins here, `name()`, if one does. Nothing is taken.
    func definedName() -> String? {
        var end = index
        while end < text.count, text[end].isASCII, text[end].isLetter || text[end].isNumber || "_-".contains(text[end])
        {
            end += 1
        }
        guard end > index, !text[index].isNumber, text[index] != "-" else { return nil }
        let name = String(text[index..<end])
        func skipBlanks() { while end < text.count, text[end] == " " || text[end] == "\t" { end += 1 } }
        skipBlanks()
        guard end < text.count, text[end] == "(" else { return nil }
        end += 1
        skipBlanks()
        return end < text.count && text[end] == ")" ? name : nil
    }

    /// `name() body`, `function name body`
    mutating func definition(named known: String?) throws(SyntaxError) -> CommandSyntax {
        let place = position
        var name = known ?? ""
        if known == nil {
            advance(8)
            try skipBlank()
            name = wordHere().prefix { $0 != "(" }.description
            if name.isEmpty { throw SyntaxError(place, "'function' needs a name", isIncomplete: current == nil) }
        }
        advance(name.count)
        try skipBlank()
        if current == "(" {
            advance()
            try skipBlank()
            guard current == ")" else { throw SyntaxError(position, "a function's () stay empty") }
            advance()
        }
        try skipNewlines()
        let isCompound = current == "(" || keywordHere().map { Self.openingKeywords.contains($0) } ?? false
        guard isCompound, keywordHere() != "function" else {
            throw SyntaxError(
                current == nil ? place : position, "the function '\(name)' needs a body: { …; }",
                isIncomplete: current == nil)
        }
        depth += 1
        defer { depth -= 1 }
        return .definition(name: name, body: try command())
    }
}
