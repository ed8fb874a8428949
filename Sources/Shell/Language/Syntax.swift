/// A place in a script; lines and columns count from 1, columns in characters.
public struct Position: Equatable, Sendable {
    public var line: Int
    public var column: Int
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// What is wrong with the text of a script, and where.
public struct SyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    public let position: Position
    public let text: String
    /// The text is the beginning of something valid: an open quote, a loop without its `done`. A prompt asks for more.
    public let isIncomplete: Bool

    public init(_ position: Position, _ text: String, isIncomplete: Bool = false) {
        self.position = position
        self.text = text
        self.isIncomplete = isIncomplete
    }

    public var description: String { "\(position.line):\(position.column): \(text)" }
}

// The tree of a script, from the outside in.
//
//   script    = statement { (";" | newline | "&") statement }
//   statement = pipeline { ("&&" | "||") pipeline } [ "&" ]
//   pipeline  = [ "!" ] command { "|" command }
//   command   = simple | compound { redirection } | "!" host command, without a blank between
//   compound  = for | while | until | if
//   simple    = { name "=" word } | word { word | redirection }

public struct Script: Equatable, Sendable {
    public var statements: [Statement]
    public init(statements: [Statement]) { self.statements = statements }
}

public struct Statement: Equatable, Sendable {
    public let first: Pipeline
    public let rest: [Link]
    /// Ends in `&`: runs beside what follows.
    public let isBackground: Bool
    public let position: Position
    /// As it was written, for the list of jobs.
    public let text: String

    public struct Link: Equatable, Sendable {
        public enum Operator: Sendable { case and, or }
        public let `operator`: Operator
        public let pipeline: Pipeline
    }

    public init(first: Pipeline, rest: [Link], isBackground: Bool, position: Position, text: String) {
        self.first = first
        self.rest = rest
        self.isBackground = isBackground
        self.position = position
        self.text = text
    }
}

public struct Pipeline: Equatable, Sendable {
    public let commands: [CommandSyntax]
    /// Begins with `!`: succeeds if it fails.
    public let isNegated: Bool
    public init(commands: [CommandSyntax], isNegated: Bool = false) {
        self.commands = commands
        self.isNegated = isNegated
    }
}

public indirect enum CommandSyntax: Equatable, Sendable {
    case simple(SimpleCommand)
    case forLoop(variable: String, words: [Word], body: Script)
    /// `while`; with `until`, the condition is negated.
    case whileLoop(condition: Script, isUntil: Bool, body: Script)
    case choice(branches: [Branch], otherwise: Script?)
    /// A loop or condition as a whole, `done > file`.
    case redirected(CommandSyntax, [Redirection])
    /// `!cmd`: the rest of the line, for the host's own shell.
    case host(String, Position)

    public struct Branch: Equatable, Sendable {
        public let condition: Script
        public let body: Script
    }
}

public struct SimpleCommand: Equatable, Sendable {
    public var assignments: [Assignment] = []
    public var words: [Word] = []
    public var redirections: [Redirection] = []
    public var position: Position

    public init(position: Position) { self.position = position }

    public struct Assignment: Equatable, Sendable {
        public let name: String
        public let value: Word
    }
}

public struct Redirection: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// `>` and `>>`, or `2>` and `2>>`.
        case write(fromError: Bool, appends: Bool)
        case read
        /// `2>&1`
        case errorToOutput
        /// `>&2`
        case outputToError
        /// `<<`: the text itself is the target.
        case hereDocument
    }
    public let kind: Kind
    public let target: Word
    public let position: Position
}

/// One word of a command before expansion.
public struct Word: Equatable, Sendable {
    public enum Part: Equatable, Sendable {
        /// Text as it stands; in quotes, it is no pattern for file names.
        case text(String, isQuoted: Bool)
        case variable(String, isQuoted: Bool)
        /// `$?`
        case status
        /// `$(…)`
        case output(Script, isQuoted: Bool)
        /// `$((…))`
        case arithmetic(Arithmetic)
    }

    public var parts: [Part]
    public let position: Position

    public init(parts: [Part], position: Position) {
        self.parts = parts
        self.position = position
    }

    /// The word's text if it needs no expansion.
    public var literal: String? {
        var text = ""
        for part in parts {
            guard case .text(let piece, _) = part else { return nil }
            text += piece
        }
        return text
    }

    /// The word's text if it is one unquoted piece: only such a word can be a keyword.
    var keyword: String? {
        if case .text(let text, isQuoted: false)? = parts.first, parts.count == 1 { return text }
        return nil
    }
}

extension StringProtocol {
    package var trimmingBlanks: String {
        var slice = Substring(self)
        while let first = slice.first, first.isWhitespace { slice.removeFirst() }
        while let last = slice.last, last.isWhitespace { slice.removeLast() }
        return String(slice)
    }
}
