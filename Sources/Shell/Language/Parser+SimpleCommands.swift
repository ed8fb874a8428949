import KernelStructures

extension Parser {
    // MARK: Simple commands

    mutating func simpleCommand() throws(SyntaxError) -> SimpleCommand {
        var command = SimpleCommand(position: position)
        command.aliases = aliases
        var declares = false
        while true {
            try skipBlank()
            guard let character = current, !character.isLineEnd,
                !";)".contains(character) || (character == ")" && !isInParentheses)
            else { break }
            if character == "|" || follows("&&") || isBackgroundOperator { break }
            if let redirection = try redirection() {
                command.redirections.append(redirection)
            } else if command.words.isEmpty, let assignment = try assignment() {
                command.assignments.append(assignment)
            } else if declares, try declaration(&command) {
                continue
            } else {
                let isName = command.words.isEmpty
                command.words += try expandingBraces(try word())
                if isName, let name = command.words[0].keyword, let complaint = Unsupported.complaint(name) {
                    throw SyntaxError(command.position, complaint)
                }
                if isName, let name = command.words[0].keyword { declares = Self.declaring.contains(name) }
            }
        }
        if command.words.isEmpty, command.assignments.isEmpty, command.redirections.isEmpty { throw unexpected() }
        try refuseOddParentheses(in: command.words)
        return command
    }

    /// Commands whose words may be assignments.
    private static let declaring: Set<String> = ["declare", "typeset", "local", "readonly", "export"]

    /// Parentheses may stand in words without quotes, where other shells refuse them: PromQL is typed like that. They
    /// must come in pairs over the whole command; one that is alone was meant for something that is not there.
    private func refuseOddParentheses(in words: [Word]) throws(SyntaxError) {
        var open: [Position] = []
        for word in words {
            for case .text(let text, isQuoted: false) in word.parts {
                for character in text {
                    if character == "(" { open.append(word.position) }
                    if character == ")", open.popLast() == nil {
                        throw SyntaxError(word.position, "')' closes nothing; as a character it needs quotes: ')'")
                    }
                }
            }
        }
        if let position = open.last {
            throw SyntaxError(position, "'(' is never closed; as a character it needs quotes: '('")
        }
    }

    /// `&` as a word of its own; the parser stands at the beginning of a word.
    var isBackgroundOperator: Bool {
        guard current == "&" else { return false }
        guard let next = peek(1) else { return true }
        return next.isWhitespace || next == ";" || next == ")"
    }

    mutating func name() -> String {
        var name = ""
        while let character = current,
            character == "_" || (character.isASCII && character.isLetter)
                || (!name.isEmpty && character.isASCII && character.isNumber)
        {
            name.append(character)
            advance()
        }
        return name
    }

    mutating func assignment() throws(SyntaxError) -> SimpleCommand.Assignment? {
        var end = index
        while end < text.count,
            text[end] == "_" || (text[end].isASCII && (text[end].isLetter || (end > index && text[end].isNumber)))
        {
            end += 1
        }
        guard end > index, end < text.count else { return nil }
        var place = end
        if text[end] == "[" {
            guard let behind = behindSubscript(end) else { return nil }
            place = behind
        }
        let appends = text[place] == "+" && place + 1 < text.count && text[place + 1] == "="
        guard appends || text[place] == "=" else { return nil }
        let start = position
        let name = name()
        var result = SimpleCommand.Assignment(
            name: name, value: Word(parts: [], position: start), appends: appends)
        if current == "[" {
            let (plain, key) = try subscripted(name, start)
            result.key =
                key
                ?? Word(
                    parts: [.text(String(plain.dropFirst(name.count + 1).dropLast()), isQuoted: true)],
                    position: start)
        }
        advance(appends ? 2 : 1)
        if current == "(" {
            if result.key != nil {
                throw SyntaxError(start, "an array within an array is not known here")
            }
            result.elements = try elements(start, name)
            return result
        }
        let isEmpty =
            current.map { $0.isWhitespace || $0 == ";" || $0 == "|" || $0 == ")" && isInParentheses } ?? true
        if isEmpty || follows("&&") {
            return result
        }
        return .init(name: name, value: try word(), appends: appends, key: result.key, elements: nil)
    }

    /// The place behind `[…]` where a `=` or `+=` follows; nil where it is no subscript of an assignment.
    private func behindSubscript(_ start: Int) -> Int? {
        var open = 0
        var place = start
        var quote: Character?
        while place < text.count, place - start < 1000, !text[place].isLineEnd {
            if let end = quote {
                if text[place] == end { quote = nil }
            } else if text[place] == "'" || text[place] == "\"" {
                quote = text[place]
            } else if text[place] == "\\" {
                place += 1
            } else if text[place] == "[" {
                open += 1
            } else if text[place] == "]" {
                open -= 1
                if open == 0 {
                    guard place + 1 < text.count else { return nil }
                    let isAssignment =
                        text[place + 1] == "="
                        || text[place + 1] == "+" && place + 2 < text.count && text[place + 2] == "="
                    return isAssignment ? place + 1 : nil
                }
            }
            place += 1
        }
        return nil
    }

    /// `(a b [5]=c)`: the elements of an array.
    private mutating func elements(_ start: Position, _ name: String) throws(SyntaxError)
        -> [SimpleCommand.Assignment.Element]
    {
        advance()
        parenthesisDepth += 1
        defer { parenthesisDepth -= 1 }
        var result: [SimpleCommand.Assignment.Element] = []
        while true {
            try skipNewlines()
            guard let character = current else {
                throw SyntaxError(start, "an open \(name)=(", isIncomplete: true)
            }
            if character == ")" { break }
            if character == "[", let behind = behindSubscript(index), text[behind] == "=" {
                let (plain, key) = try subscripted("", position)
                advance()
                let isEmpty = current.map { $0.isWhitespace || $0 == ")" } ?? true
                let value = isEmpty ? Word(parts: [], position: position) : try word()
                let literal = Word(
                    parts: [.text(String(plain.dropFirst().dropLast()), isQuoted: true)], position: start)
                result.append(.init(key: key ?? literal, value: value))
                continue
            }
            guard !";|&<>".contains(character) else { throw unexpected() }
            for word in try expandingBraces(try word()) { result.append(.init(key: nil, value: word)) }
        }
        advance()
        return result
    }

    /// A word of `local`, `declare` and the like: what a `name=…` holds is neither split nor a pattern, and may be an
    /// array, of which only the name stays among the words.
    mutating func declaration(_ command: inout SimpleCommand) throws(SyntaxError) -> Bool {
        let before = (index, line, column)
        let start = position
        guard let assignment = try assignment() else { return false }
        if assignment.key != nil {
            (index, line, column) = before
            return false
        }
        if assignment.elements != nil {
            command.arrays.append(assignment)
            command.words.append(Word(parts: [.text(assignment.name, isQuoted: true)], position: start))
            return true
        }
        let sign = assignment.name + (assignment.appends ? "+=" : "=")
        let parts = assignment.value.parts.map(Self.whole)
        command.words.append(Word(parts: [.text(sign, isQuoted: true)] + parts, position: start))
        return true
    }

    /// A part as it is within quotes.
    private static func whole(_ part: Word.Part) -> Word.Part {
        switch part {
        case .text(let text, isQuoted: false) where text.first != "~": .text(text, isQuoted: true)
        case .variable(let name, _): .variable(name == "@" ? "*" : name, isQuoted: true)
        case .parameter(let parameter, _): .parameter(parameter, isQuoted: true)
        case .output(let script, _): .output(script, isQuoted: true)
        default: part
        }
    }
}
