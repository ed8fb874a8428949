import KernelStructures

/// Reads a script into its tree. The language is small enough that characters, words and statements are read by one
/// parser, which always knows where it stands: that is what shell quoting needs.
///
/// Three things differ from a POSIX shell, because the documented sessions say so. `&` is an operator only as a word of
/// its own, so that URLs with a query need no quotes. `->` and `<->` inside a word are text: they draw links between
/// nodes. And so is a `|` between braces, as in `{A,B}|{C}`: it separates the sides of a partition.
public struct Parser {
    let text: [Character]
    var index = 0
    var line: Int
    var column: Int
    /// Here-documents whose text begins on the next line.
    var pendingDocuments: [PendingDocument] = []
    var finishedDocuments: [Int: Word] = [:]
    var nextDocument = 0
    var depth = 0
    /// Open `$(…)` and `(…)` around the place: a `)` ends what stands there.
    var parenthesisDepth = 0
    /// The text of a here-document is being read: no quotes mean anything.
    var isDocument = false
    /// What the word that is being read is part of.
    var wordKind = WordKind.command
    /// Tests so far between the `[[` and `]]` that are being read.
    var testCount = 0
    /// Aliases whose text is being read: see `SimpleCommand.aliases`.
    var aliases: Set<String> = []

    struct PendingDocument {
        let number: Int
        let delimiter: String
        let isLiteral: Bool
        let stripsTabs: Bool
        let position: Position
    }

    enum WordKind {
        case command
        /// Between `[[` and `]]`.
        case conditional
        /// Behind `=~`: parentheses and bars are the expression's.
        case expression
    }

    /// Loops, conditions and substitutions inside one another.
    static let depthLimit = 100
    static let keywords = openingKeywords + ["in", "do", "done", "then", "elif", "else", "fi", "esac", "}"]
    /// Those that a command can begin with.
    static let openingKeywords = [
        "for", "select", "while", "until", "if", "case", "function", "{", "[[",
    ]

    /// Whether a word means something to the language where a command begins.
    public static func isKeyword(_ word: String) -> Bool { keywords.contains(word) || word == "]]" || word == "!" }

    /// Reads a whole script.
    ///
    /// - Parameters:
    ///   - start: where its first character stands, if it is part of a larger file.
    ///   - aliases: whose text it is.
    /// - Throws: `SyntaxError` with line and column. Nothing of a script with an error is run.
    public static func parse(
        _ text: String, at start: Position = Position(line: 1, column: 1), aliases: Set<String> = []
    ) throws(SyntaxError) -> Script {
        var parser = Parser(Array(text), start)
        parser.aliases = aliases
        let script = try parser.script(until: [])
        try parser.skipBlank()
        guard parser.index == parser.text.count else { throw parser.unexpected() }
        if let open = parser.pendingDocuments.first { throw parser.unfinished(open) }
        return script.resolvingDocuments(parser.finishedDocuments)
    }

    /// Reads a text as what stands in double quotes: `PS4`, `${x@P}`.
    package static func quotedWord(_ text: String) throws(SyntaxError) -> Word {
        var parser = Parser(Array(text), Position(line: 1, column: 1))
        return try parser.quotedText(until: nil)
    }

    init(_ text: [Character], _ start: Position, depth: Int = 0) {
        self.text = text
        line = start.line
        column = start.column
        self.depth = depth
    }

    // MARK: Characters

    var position: Position { Position(line: line, column: column) }
    var current: Character? { index < text.count ? text[index] : nil }
    func peek(_ offset: Int) -> Character? { index + offset < text.count ? text[index + offset] : nil }

    mutating func advance() {
        if text[index].isLineEnd {
            line += 1
            column = 1
        } else {
            column += 1
        }
        index += 1
    }

    mutating func advance(_ count: Int) { for _ in 0..<count { advance() } }

    func follows(_ string: String) -> Bool {
        var position = index
        for character in string {
            guard position < text.count, text[position] == character else { return false }
            position += 1
        }
        return true
    }

    /// Skips blanks, continued lines and a comment.
    mutating func skipBlank() throws(SyntaxError) {
        while let character = current {
            if character == " " || character == "\t" || character == "\r" {
                advance()
            } else if character == "\\", peek(1)?.isLineEnd == true {
                advance(2)
            } else if character == "#" {
                while let character = current, !character.isLineEnd {
                    _ = character
                    advance()
                }
            } else {
                return
            }
        }
    }

    func unexpected() -> SyntaxError {
        guard let character = current else {
            return SyntaxError(position, "the script ends too early", isIncomplete: true)
        }
        if let keyword = keywordHere(), !Self.openingKeywords.contains(keyword) {
            return SyntaxError(position, "'\(keyword)' without its beginning")
        }
        return SyntaxError(position, "unexpected '\(character)'")
    }

    /// The keyword that begins here, if one does.
    func keywordHere() -> String? {
        Self.keywords.first { keyword in
            guard follows(keyword) else { return false }
            let end = index + keyword.count
            return end == text.count || text[end].isWhitespace || ";&|<>)".contains(text[end])
        }
    }

    // MARK: Statements

    mutating func script(until terminators: [String]) throws(SyntaxError) -> Script {
        depth += 1
        defer { depth -= 1 }
        try checkDepth()
        var statements: [Statement] = []
        while true {
            try skipSeparators(afterStatement: !statements.isEmpty)
            guard current != nil else { break }
            if let keyword = keywordHere(), !Self.openingKeywords.contains(keyword) {
                if terminators.contains(keyword) { break }
                throw unexpected()
            }
            if current == ")" && terminators.contains(")") { break }
            if endsSelection {
                if terminators.contains(";;") { break }
                throw SyntaxError(position, "';;' outside of a 'case'")
            }
            statements.append(try statement())
        }
        return Script(statements: statements)
    }

    /// The tree is built, walked and freed recursively; the host's stack has an end.
    func checkDepth() throws(SyntaxError) {
        if depth > Self.depthLimit { throw SyntaxError(position, "nested more than \(Self.depthLimit) deep") }
    }

    /// Skips newlines, and what ends a statement on its own line: one `;`.
    mutating func skipSeparators(afterStatement: Bool) throws(SyntaxError) {
        var mayEnd = afterStatement
        while true {
            try skipBlank()
            guard let character = current else { return }
            if character.isLineEnd {
                try takeNewline()
            } else if character == ";", !endsSelection {
                guard mayEnd else { throw SyntaxError(position, "nothing stands before the ';'") }
                advance()
            } else {
                return
            }
            mayEnd = false
        }
    }

    /// `;;`, `;&` or `;;&` stands here.
    var endsSelection: Bool { follows(";;") || follows(";&") }

    mutating func takeNewline() throws(SyntaxError) {
        advance()
        let documents = pendingDocuments
        pendingDocuments = []
        for document in documents { try readDocument(document) }
    }

    mutating func statement() throws(SyntaxError) -> Statement {
        let start = position
        let startIndex = index
        let first = try pipeline()
        var rest: [Statement.Link] = []
        while true {
            try skipBlank()
            let isAnd = follows("&&")
            guard isAnd || follows("||") else { break }
            let place = position
            advance(2)
            try skipNewlines()
            guard current != nil else {
                throw SyntaxError(place, "nothing follows '\(isAnd ? "&&" : "||")'", isIncomplete: true)
            }
            rest.append(.init(operator: isAnd ? .and : .or, pipeline: try pipeline()))
        }
        let source = String(text[startIndex..<index])
        let isBackground = current == "&"
        if isBackground { advance() }
        try skipBlank()
        if let character = current, !character.isLineEnd, character != ";", !isBackground, character != ")" {
            throw unexpected()
        }
        return Statement(
            first: first, rest: rest, isBackground: isBackground, position: start, text: source.trimmingBlanks)
    }

    mutating func skipNewlines() throws(SyntaxError) {
        while true {
            try skipBlank()
            guard let character = current, character.isLineEnd else { return }
            try takeNewline()
        }
    }

    mutating func pipeline() throws(SyntaxError) -> Pipeline {
        try skipBlank()
        var isNegated = false
        var timing = try timing()
        if timing != nil, endsPipeline { return Pipeline(commands: [], timing: timing) }
        while current == "!", peek(1) == " " || peek(1) == "\t" {
            isNegated.toggle()
            advance()
            try skipBlank()
            if timing == nil { timing = try self.timing() }
        }
        var commands = [try command()]
        while true {
            try skipBlank()
            guard current == "|", peek(1) != "|" else {
                return Pipeline(commands: commands, isNegated: isNegated, timing: timing)
            }
            let place = position
            if peek(1) == "&" {
                // `|&`: what it complains goes the same way.
                advance()
                let both = Redirection(
                    kind: .duplicate(orFile: false), number: 2,
                    target: Word(parts: [.text("1", isQuoted: false)], position: place), position: place)
                commands.append(Self.adding(both, to: commands.removeLast()))
            }
            advance()
            try skipNewlines()
            guard let character = current, character != ";" else {
                throw SyntaxError(place, "nothing follows '|'", isIncomplete: current == nil)
            }
            commands.append(try command())
        }
    }

    /// `time`, `time -p`: a word of the language, since a pipeline is measured as a whole.
    private mutating func timing() throws(SyntaxError) -> Pipeline.Timing? {
        guard follows("time"), peek(4).map({ $0.isWhitespace || $0 == ";" }) ?? true else { return nil }
        advance(4)
        try skipBlank()
        guard follows("-p"), peek(2).map({ $0.isWhitespace || $0 == ";" }) ?? true else { return .long }
        advance(2)
        try skipBlank()
        return .short
    }

    private var endsPipeline: Bool {
        guard let character = current else { return true }
        return character.isLineEnd || ";)}".contains(character) || follows("&&") || follows("||")
    }

    mutating func command() throws(SyntaxError) -> CommandSyntax {
        try skipBlank()
        if current == "!", let next = peek(1), next != " ", next != "\t", next != "=" {
            return try hostCommand()
        }
        if current == "(" {
            return try redirected(follows("((") ? try arithmeticCommand() : try subshell())
        }
        switch keywordHere() {
        case "for": return try redirected(try forLoop())
        case "while", "until": return try redirected(try whileLoop())
        case "if": return try redirected(try choice())
        case "case": return try redirected(try selection())
        case "{": return try redirected(try group())
        case "[[": return try redirected(try conditional())
        case "select": return try redirected(try selectLoop())
        case "function": return try definition(named: nil)
        default: break
        }
        if let name = definedName() { return try definition(named: name) }
        return .simple(try simpleCommand())
    }

    private static func adding(_ redirection: Redirection, to command: CommandSyntax) -> CommandSyntax {
        guard case .simple(var simple) = command else { return .redirected(command, [redirection]) }
        simple.redirections.append(redirection)
        return .simple(simple)
    }

    /// A compound command with what may follow its end: `done > file`.
    mutating func redirected(_ command: CommandSyntax) throws(SyntaxError) -> CommandSyntax {
        var redirections: [Redirection] = []
        while true {
            try skipBlank()
            guard let redirection = try redirection() else { break }
            redirections.append(redirection)
        }
        return redirections.isEmpty ? command : .redirected(command, redirections)
    }

    mutating func hostCommand() throws(SyntaxError) -> CommandSyntax {
        let start = position
        advance()
        var line = ""
        while let character = current, !character.isLineEnd {
            line.append(character)
            advance()
        }
        // As bash's history has them: !!, !$, !-2. The machine's shell would make something else of each.
        if let first = line.first, "!$-".contains(first) {
            throw SyntaxError(
                start, "!\(first) is not known here: Up and Ctrl-R bring older lines back; !COMMAND runs on the machine"
            )
        }
        return .host(line.trimmingBlanks, start)
    }

    mutating func take(_ keyword: String, after opening: String, at place: Position) throws(SyntaxError) {
        guard keywordHere() == keyword else {
            let found = wordHere()
            let hint = found.isEmpty ? "" : ", not '\(found)'"
            throw SyntaxError(
                current == nil ? place : position, "'\(opening)' needs a '\(keyword)'\(hint)",
                isIncomplete: current == nil)
        }
        advance(keyword.count)
    }

    func wordHere() -> String {
        var end = index
        while end < text.count, !text[end].isWhitespace, !";&|".contains(text[end]) { end += 1 }
        return String(text[index..<end])
    }
}
