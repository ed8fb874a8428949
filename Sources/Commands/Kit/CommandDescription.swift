import KernelStructures

/// Everything the lab says about a command: the source of `help`, of completion, of did-you-mean, and of the checks of
/// what was typed.
public struct CommandDescription: Sendable {
    public let name: String
    /// One line, without a period at its end.
    public let summary: String
    /// What follows the name: `[FLAGS] URL…`
    public let usage: String
    public let flags: [Flag]
    public let arguments: Arguments
    /// Lines that can be typed.
    public let examples: [String]
    /// Under which heading `help` lists it.
    public let group: Group
    /// The tags of the log lines that it writes.
    public let tags: [String]
    /// Paragraphs for `help NAME`, after the flags.
    public let details: String

    public enum Group: String, CaseIterable, Sendable {
        case components = "Components"
        case clients = "Clients"
        case faults = "Faults and time"
        case jobs = "Nodes and jobs"
        case views = "Views"
        case files = "Files and text"
        case session = "Session"
    }

    /// What the words that are no flags mean, for completion and for the count of them.
    public struct Arguments: Sendable {
        public let kinds: [ArgumentKind]
        public let count: ClosedRange<Int>
        /// Words beginning with `-` are arguments, too: the command reads them itself.
        public let isRaw: Bool
        /// The flag that `-5` is short for.
        public let numberFlag: String?

        public static let none = Arguments([], 0...0)
        public init(_ kinds: [ArgumentKind], _ count: ClosedRange<Int>, isRaw: Bool = false, numberFlag: String? = nil)
        {
            self.kinds = kinds
            self.count = count
            self.isRaw = isRaw
            self.numberFlag = numberFlag
        }
    }

    public enum ArgumentKind: Sendable, Equatable {
        case job, node, file, hostFile, url, command, tag, terminal, fault, duration, text
        case word([String])
    }

    public struct Flag: Sendable {
        /// Without dashes; empty for a flag that only has a letter.
        public let name: String
        public let letter: Character?
        public let value: Value
        public let help: String
        /// May be given several times.
        public let isRepeatable: Bool

        /// A switch: it has no value.
        public init(_ name: String, _ letter: Character? = nil, _ help: String) {
            self.init(name, letter, .none, help)
        }

        public init(
            _ name: String, _ letter: Character? = nil, _ value: Value, repeatable: Bool = false, _ help: String
        ) {
            self.name = name
            self.letter = letter
            self.value = value
            self.help = help
            isRepeatable = repeatable
        }

        /// How error messages and `help` call it.
        public var display: String { name.isEmpty ? "-\(letter!)" : "--\(name)" }
    }

    /// What a flag is followed by.
    public enum Value: Sendable, Equatable {
        case none
        case text(String)
        case integer(ClosedRange<Int>)
        case port
        /// Longer than zero unless `allowsZero`; a bare number counts seconds.
        case duration(allowsZero: Bool = false)
        case byteCount
        case file
        case choice([String])

        public var placeholder: String {
            switch self {
            case .none: ""
            case .text(let placeholder): placeholder
            case .integer: "N"
            case .port: "PORT"
            case .duration: "TIME"
            case .byteCount: "SIZE"
            case .file: "FILE"
            case .choice(let choices): choices.joined(separator: "|")
            }
        }
    }

    public init(
        _ name: String, _ summary: String, usage: String = "", flags: [Flag] = [], arguments: Arguments = .none,
        examples: [String], group: Group, tags: [String] = [], details: String = ""
    ) {
        self.name = name
        self.summary = summary
        self.usage = usage
        self.flags = flags
        self.arguments = arguments
        self.examples = examples
        self.group = group
        self.tags = tags
        self.details = details
    }

    public func flag(named name: String) -> Flag? { flags.first { $0.name == name && !name.isEmpty } }
    public func flag(lettered letter: Character) -> Flag? { flags.first { $0.letter == letter } }
}

/// A command was used in a way it does not understand. The message names the command, the word and the remedy.
public struct UsageError: Error, Equatable, Sendable, CustomStringConvertible {
    public let text: String
    public init(_ text: String) { self.text = text }
    public var description: String { text }
}
