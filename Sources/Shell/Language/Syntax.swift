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
//   pipeline  = [ "time" [ "-p" ] ] [ "!" ] command { "|" command }
//   command   = simple | compound { redirection } | definition | "!" host command, without a blank between
//   compound  = for | while | until | if | case | "{" script "}" | "(" script ")" | "[[" condition "]]" | "((" sum "))"
//   definition = name "(" ")" compound
//   simple    = { name "=" word } { word | redirection }

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
    /// Begins with `time`. With nothing behind it there are no commands.
    public let timing: Timing?

    public enum Timing: Sendable {
        case long
        /// `time -p`
        case short
    }

    public init(commands: [CommandSyntax], isNegated: Bool = false, timing: Timing? = nil) {
        self.commands = commands
        self.isNegated = isNegated
        self.timing = timing
    }
}

public indirect enum CommandSyntax: Equatable, Sendable {
    case simple(SimpleCommand)
    /// Without `in`, the words are the positional parameters: nil.
    case forLoop(variable: String, words: [Word]?, body: Script)
    /// `for ((first; condition; step))`
    case countedLoop(CountedLoop)
    /// `select`: a menu.
    case selectLoop(variable: String, words: [Word]?, body: Script)
    /// `while`; with `until`, the condition is negated.
    case whileLoop(condition: Script, isUntil: Bool, body: Script)
    case choice(branches: [Branch], otherwise: Script?)
    /// `case`
    case selection(Word, [Selection])
    /// `{ …; }`
    case group(Script)
    /// `( … )`
    case subshell(Script)
    /// `name() { …; }`
    case definition(name: String, body: CommandSyntax)
    /// `[[ … ]]`
    case conditional(Conditional, Position)
    /// `(( … ))`
    case arithmetic(ArithmeticText, Position)
    /// A compound command as a whole, `done > file`.
    case redirected(CommandSyntax, [Redirection])
    /// `!cmd`: the rest of the line, for the host's own shell.
    case host(String, Position)

    public struct Branch: Equatable, Sendable {
        public let condition: Script
        public let body: Script
    }

    /// One branch of a `case`.
    public struct Selection: Equatable, Sendable {
        public enum Ending: Sendable {
            /// `;;`
            case leaves
            /// `;&`: the next branch's body runs, too, whatever its patterns.
            case fallsThrough
            /// `;;&`: the next branches' patterns are tried, too.
            case goesOn
        }
        public let patterns: [Word]
        public let body: Script
        public let ending: Ending
    }

    public struct CountedLoop: Equatable, Sendable {
        public let first: ArithmeticText?
        public let condition: ArithmeticText?
        public let step: ArithmeticText?
        public let body: Script
    }
}

/// What stands between `[[` and `]]`.
public indirect enum Conditional: Equatable, Sendable {
    /// Holds if the word is not empty.
    case word(Word)
    /// `-f FILE`, `-z TEXT` …
    case unary(String, Word)
    /// `A -lt B`, `A < B` …
    case binary(Word, String, Word)
    /// `A == PATTERN`, or `!=`.
    case pattern(Word, isNegated: Bool, Word)
    /// `A =~ EXPRESSION`
    case expression(Word, Word)
    case not(Conditional)
    case and(Conditional, Conditional)
    case or(Conditional, Conditional)
}

/// The text of a sum: read when the script is, or, where `$` stands in it, after expansion.
public indirect enum ArithmeticText: Equatable, Sendable {
    case parsed(Arithmetic)
    case word(Word)
}

public struct SimpleCommand: Equatable, Sendable {
    public var assignments: [Assignment] = []
    public var words: [Word] = []
    public var redirections: [Redirection] = []
    /// `declare a=(…)`: arrays among the words of a command that declares them.
    public var arrays: [Assignment] = []
    /// Aliases whose text it stands in: none of them is put in its place again.
    public var aliases: Set<String> = []
    /// `set -x` does not show it: a part of another command.
    public var isHidden = false
    public var position: Position

    public init(position: Position) { self.position = position }

    public struct Assignment: Equatable, Sendable {
        public let name: String
        public let value: Word
        /// `name+=value`
        public var appends = false
        /// `name[subscript]=value`
        public var key: Word?
        /// `name=(…)`
        public var elements: [Element]?

        /// One of an array's.
        public struct Element: Equatable, Sendable {
            /// `[subscript]=`
            public let key: Word?
            public let value: Word
        }
    }
}

public struct Redirection: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// `>` and `>>`.
        /// `isForced`: `>|`, which `set -C` does not keep from writing over a file.
        case write(appends: Bool, isForced: Bool)
        /// `&>` and `&>>`: output and errors go there.
        case writeBoth(appends: Bool)
        case read
        /// `<>`: the file is there for both, and not emptied.
        case readWrite
        /// `2>&1`, `<&3`: the target is the number of another descriptor, a number and `-`, which moves that one, or
        /// `-`, which closes this one. `orFile`: without a number before it, `>&` may lead to a file, as `&>`.
        case duplicate(orFile: Bool)
        /// `<<`: the text itself is the target.
        case hereDocument
        /// `<<<`: the target and a newline.
        case hereString
    }
    public let kind: Kind
    /// Which descriptor it is about.
    public let number: Int
    /// `{name}>`: the variable that gets the number of one that is free.
    public var variable: String?
    public let target: Word
    public let position: Position
}

/// One word of a command before expansion.
public struct Word: Equatable, Sendable {
    public indirect enum Part: Equatable, Sendable {
        /// Text as it stands; in quotes, it is no pattern for file names.
        case text(String, isQuoted: Bool)
        /// `$name`, and the positional parameters `1` …, `0`, `#`, `@`, `*`; `!` is the newest job in the background.
        case variable(String, isQuoted: Bool)
        /// `${name…}` with something done to it.
        case parameter(Parameter, isQuoted: Bool)
        /// `$?`
        case status
        /// `$(…)`
        case output(Script, isQuoted: Bool)
        /// `<(…)`: the name of a file with what it writes.
        case file(Script)
        /// `>(…)`: the name of a file; it reads what is written there.
        case sink(Script)
        /// `$((…))`
        case arithmetic(ArithmeticText)
        /// Several that stand where one may.
        case group([Part])
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

/// What `${…}` makes of a variable (POSIX 2.6.2, and bash's slices, replacements and changes of case).
public struct Parameter: Equatable, Sendable {
    public let name: String
    /// `${name[subscript]…}`, where it has to be expanded first.
    public var key: Word?
    public let operation: Operation

    public init(name: String, key: Word? = nil, operation: Operation) {
        self.name = name
        self.key = key
        self.operation = operation
    }

    public indirect enum Operation: Equatable, Sendable {
        /// Nothing: the value.
        case value
        /// `${!x}`: the value of the variable whose name it holds; `${!x:-y}`: what is done to that.
        case indirect(Operation?)
        /// `${!a[@]}`: an array's subscripts.
        case keys
        /// `${!a*}`: variables whose names begin so.
        case names
        /// `${x@Q}` and its kin.
        case transformation(Character)
        /// `${#x}`
        case length
        /// `${x-…}` and its kin; with a colon an empty value counts as none.
        case fallback(Fallback, Word, countsEmpty: Bool)
        /// `${x#…}`, `${x##…}`, `${x%…}`, `${x%%…}`
        case removal(Word, fromEnd: Bool, isLongest: Bool)
        /// `${x/a/b}`, `${x//a/b}`, `${x/#a/b}`, `${x/%a/b}`
        case replacement(Word, with: Word, Replacement)
        /// `${x:offset:length}`
        case slice(ArithmeticText, ArithmeticText?)
        /// `${x^}`, `${x^^}`, `${x,}`, `${x,,}`, `${x~}`, `${x~~}`; with a pattern only what fits it.
        case letterCase(LetterCase, isAll: Bool, Word?)
    }

    public enum Fallback: Sendable {
        /// `-`
        case use
        /// `=`
        case assign
        /// `?`
        case complain
        /// `+`: the word where there is a value.
        case alternative
    }

    public enum LetterCase: Character, Sendable {
        case upper = "^"
        case lower = ","
        case other = "~"
    }

    public enum Replacement: Sendable { case first, all, atStart, atEnd }
}

extension Character {
    /// LF, alone or behind CR. Other characters that Unicode counts as newlines are text: a form feed ends no line of a
    /// script, and none of a transcript.
    package var isLineEnd: Bool { self == "\n" || self == "\r\n" }
}

extension StringProtocol {
    package var trimmingBlanks: String {
        var slice = Substring(self)
        while let first = slice.first, first.isWhitespace { slice.removeFirst() }
        while let last = slice.last, last.isWhitespace { slice.removeLast() }
        return String(slice)
    }
}
