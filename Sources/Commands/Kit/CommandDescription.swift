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
    /// What it is to whoever types it.
    public let role: Role
    /// What it can be told to do, each with its own flags, arguments and page: `connpool evict`. Empty for most.
    public let subcommands: [CommandDescription]
    /// Whether a node's name may stand before the subcommand, and `--node` behind it: it is about something that runs.
    public let operates: Bool
    /// The subcommand that is meant where none is named; nil if one must be.
    public let defaultSubcommand: String?
    /// The tags of the log lines that it writes.
    public let tags: [String]
    /// Paragraphs for `help NAME`, after the flags.
    public let details: String
    /// What it follows in what everybody does alike.
    public private(set) var manner: Manner

    /// Whose example a command follows where its words are wrong.
    public enum Manner: Sendable, Equatable {
        /// The lab's own: status 2, and a flag that is given twice is refused.
        case lab
        /// A tool that is known from elsewhere: its status there, and of a flag that is given twice the last counts.
        case tool(usageStatus: Int)
    }
    /// The status where the words make no sense.
    public var usageStatus: Int { if case .tool(let status) = manner { status } else { 2 } }

    /// What a command is, whatever its heading.
    public enum Role: String, CaseIterable, Sendable {
        /// Runs on a node of its own until it is told to stop.
        case service
        /// Asks something of a service over the network, and ends.
        case client
        /// Shows what is known, and changes nothing: it can be watched.
        case view
        /// Changes something in the lab.
        case action
    }

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
        /// A key that some store of the lab has. Words before it say what is done with it.
        case key
        /// A name that stands for other words: `alias`.
        case alias
        /// `HOST:PORT`, or a port of localhost.
        case endpoint
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
        /// `HOST:PORT`, `[::1]:PORT`, or a port of localhost.
        case endpoint
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
            case .endpoint: "HOST:PORT"
            case .choice(let choices): listing == nil ? choices.joined(separator: "|") : "WORD"
            }
        }

        /// The choices, where they are too many to stand in the flag's place.
        public var listing: String? {
            guard case .choice(let choices) = self, choices.joined(separator: "|").count > 40 else { return nil }
            return "one of " + choices.joined(separator: ", ")
        }
    }

    /// - Parameter role: what it is; where nothing is said, views and clients are what their heading says, and the
    ///   rest are actions.
    public init(
        _ name: String, _ summary: String, usage: String = "", flags: [Flag] = [], arguments: Arguments = .none,
        examples: [String], group: Group, role: Role? = nil, tags: [String] = [], manner: Manner = .lab,
        details: String = ""
    ) {
        self.name = name
        self.summary = summary
        self.usage = usage
        self.manner = manner
        self.flags = flags
        self.arguments = arguments
        self.examples = examples
        self.group = group
        self.role = role ?? (group == .views ? .view : group == .clients ? .client : .action)
        self.tags = tags
        self.details = details
        subcommands = []
        operates = false
        defaultSubcommand = nil
    }

    /// A command with subcommands.
    ///
    /// - Parameters:
    ///   - operates: it is about something that runs: `NAME VERB [ARG…] [--node N]`, or `NAME N VERB [ARG…]`.
    ///   - whenNone: the subcommand that is meant where none is named.
    public init(
        _ name: String, _ summary: String, operates: Bool, subcommands: [Subcommand], whenNone: String? = nil,
        group: Group, role: Role? = nil, tags: [String] = [], details: String = ""
    ) {
        self.name = name
        self.summary = summary
        self.group = group
        self.role = role ?? (group == .views ? .view : group == .clients ? .client : .action)
        self.tags = tags
        self.details = details
        manner = .lab
        self.operates = operates
        defaultSubcommand = whenNone
        let verb = whenNone == nil ? "VERB" : "[VERB]"
        usage = operates ? "[NODE] \(verb) [ARGUMENT…]" : "\(verb) [ARGUMENT…]"
        flags = []
        arguments = .init([.text], 0...100_000, isRaw: true)
        examples = subcommands.flatMap(\.examples)
        let ownRole = self.role
        self.subcommands = subcommands.map { $0.description(of: name, operates: operates, group: group, role: ownRole) }
    }

    /// The same, in another manner.
    public func following(_ manner: Manner) -> CommandDescription {
        var description = self
        description.manner = manner
        return description
    }

    /// The last word of its name: `evict` of `connpool evict`.
    public var verb: String { name.split(separator: " ").last.map(String.init) ?? name }
    public func subcommand(_ verb: String) -> CommandDescription? { subcommands.first { $0.verb == verb } }

    public func flag(named name: String) -> Flag? { flags.first { $0.name == name && !name.isEmpty } }
    public func flag(lettered letter: Character) -> Flag? { flags.first { $0.letter == letter } }
}

/// One thing that a command can be told to do.
public struct Subcommand: Sendable {
    let verb: String
    let summary: String
    let usage: String
    let flags: [CommandDescription.Flag]
    let arguments: CommandDescription.Arguments
    let examples: [String]
    let details: String

    public init(
        _ verb: String, _ summary: String, usage: String = "", flags: [CommandDescription.Flag] = [],
        arguments: CommandDescription.Arguments = .none, examples: [String], details: String = ""
    ) {
        self.verb = verb
        self.summary = summary
        self.usage = usage
        self.flags = flags
        self.arguments = arguments
        self.examples = examples
        self.details = details
    }

    fileprivate func description(
        of command: String, operates: Bool, group: CommandDescription.Group, role: CommandDescription.Role
    ) -> CommandDescription {
        let node = CommandDescription.Flag("node", nil, .text("NODE"), "which one, where several run")
        return CommandDescription(
            "\(command) \(verb)", summary, usage: usage, flags: operates ? flags + [node] : flags, arguments: arguments,
            examples: examples, group: group, role: role, details: details)
    }
}

/// A command was used in a way it does not understand. The message names the command, the word and the remedy.
public struct UsageError: Error, Equatable, Sendable, CustomStringConvertible {
    public let text: String
    public init(_ text: String) { self.text = text }
    public var description: String { text }
}
