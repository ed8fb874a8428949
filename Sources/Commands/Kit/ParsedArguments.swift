import KernelStructures

/// The words of a command, sorted into flags and arguments and checked against its description.
public struct ParsedArguments: Sendable {
    /// The command's, or that of its subcommand.
    public let description: CommandDescription
    /// What it is told to do, where it has subcommands.
    public let verb: String?
    /// The node that it is about, if one was named.
    public private(set) var target: String?
    /// The words that are no flags, in order.
    public private(set) var arguments: [String] = []
    /// `--help` was among the words, and is no flag of the command's own: its page is wanted, and nothing else.
    public private(set) var wantsHelp = false
    private var values: [String: [String]] = [:]
    /// Flags without a value, by how they are displayed, as often as they were given.
    private var switches: [String: Int] = [:]

    /// Whether both say the same, whichever spelling of the flags was chosen and in whatever order they stand.
    public func means(_ other: ParsedArguments) -> Bool {
        description.name == other.description.name && verb == other.verb && target == other.target
            && arguments == other.arguments && values == other.values && switches == other.switches
    }

    /// Sorts and checks the words after the command's name.
    ///
    /// Flags may stand anywhere; `--name value` and `--name=value`, `-x value` and `-xvalue`, and switches in one word
    /// (`-sS`) are all understood; `--` ends them.
    ///
    /// - Throws: `UsageError` for an unknown flag (with the nearest known one), a missing or malformed value, a flag
    ///   given twice that may be given once, or too few or too many arguments.
    public init(_ words: some Sequence<String>, for command: CommandDescription) throws(UsageError) {
        var rest = Array(words)[...]
        let description: CommandDescription
        if let page = Self.pageAsked(of: rest, command) {
            self.description = page
            verb = nil
            wantsHelp = true
            return
        }
        if command.subcommands.isEmpty {
            description = command
            verb = nil
        } else {
            (target, description) = try Self.subcommand(&rest, of: command)
            verb = description.verb
        }
        self.description = description
        if description.arguments.isRaw {
            arguments = Array(rest)
        } else {
            while let word = rest.popFirst() {
                if word == "--" {
                    arguments += rest
                    break
                }
                if word.hasPrefix("--") {
                    try takeLong(word, &rest)
                } else if let name = description.arguments.numberFlag, word.hasPrefix("-"), Int(word.dropFirst()) != nil
                {
                    try take(description.flag(named: name)!, String(word.dropFirst()))
                } else if word.hasPrefix("-"), word.count > 1 {
                    try takeLetters(word, &rest)
                } else {
                    arguments.append(word)
                }
            }
        }
        if wantsHelp { return }
        try checkCount()
        if command.operates, let named = text("node") {
            if let target, target != named { throw fail("'\(target)' and --node \(named)? one of them") }
            target = named
        }
    }

    /// Whose page is asked for by words that are not sorted here: `connpool evict --help`, and `inject --help` of a
    /// command that reads its words itself. `echo --help` writes what it says, as in bash.
    private static func pageAsked(
        of words: ArraySlice<String>, _ command: CommandDescription
    ) -> CommandDescription? {
        if !command.subcommands.isEmpty {
            let before = words.prefix { $0 != "--" }
            guard before.contains("--help") else { return nil }
            return before.lazy.compactMap { command.subcommand($0) }.first ?? command
        }
        let takesAnything =
            command.arguments.kinds == [.text] && command.arguments.count.lowerBound == 0 && command.role == .action
        return command.arguments.isRaw && !takesAnything && Array(words) == ["--help"] ? command : nil
    }

    /// Takes what says which subcommand is meant, `[NODE] VERB`, from among the words. Flags may stand before it; whose
    /// they are is known once it is.
    private static func subcommand(
        _ rest: inout ArraySlice<String>, of command: CommandDescription
    ) throws(UsageError) -> (target: String?, CommandDescription) {
        let leading = takeLeadingFlags(&rest, of: command)
        defer { rest = (leading + rest)[...] }
        return try subcommandFirst(&rest, of: command)
    }

    /// The flags before the first word that is none, each with its value, where some subcommand knows it as one that
    /// has a value.
    private static func takeLeadingFlags(
        _ rest: inout ArraySlice<String>, of command: CommandDescription
    ) -> [String] {
        var leading: [String] = []
        while let word = rest.first, word.hasPrefix("-"), word.count > 1, word != "--" {
            rest.removeFirst()
            leading.append(word)
            let takesValue = command.subcommands.contains { subcommand in
                let flag =
                    word.hasPrefix("--")
                    ? subcommand.flag(named: String(word.dropFirst(2)))
                    : word.count == 2 ? subcommand.flag(lettered: word.last!) : nil
                return flag.map { $0.value != .none } ?? false
            }
            if takesValue, let value = rest.popFirst() { leading.append(value) }
        }
        return leading
    }

    private static func subcommandFirst(
        _ rest: inout ArraySlice<String>, of command: CommandDescription
    ) throws(UsageError) -> (target: String?, CommandDescription) {
        let verbs = command.subcommands.map(\.verb)
        guard let first = rest.first, !first.hasPrefix("-") else {
            if let verb = command.defaultSubcommand, let found = command.subcommand(verb) { return (nil, found) }
            throw UsageError("\(command.name): what is to be done? one of \(verbs.joined(separator: ", "))")
        }
        if let found = command.subcommand(first) {
            rest.removeFirst()
            return (nil, found)
        }
        guard command.operates else {
            throw UsageError(
                "\(command.name): '\(first)' is none of \(verbs.joined(separator: ", "))\(didYouMean(first, among: verbs))"
            )
        }
        // A first word that is no verb can only be meant as a name.
        guard let second = rest.dropFirst().first, !second.hasPrefix("-") else {
            if let verb = command.defaultSubcommand, let found = command.subcommand(verb),
                didYouMean(first, among: verbs).isEmpty
            {
                rest.removeFirst()
                return (first, found)
            }
            throw UsageError(
                "\(command.name): '\(first)' is none of \(verbs.joined(separator: ", "))"
                    + didYouMean(first, among: verbs))
        }
        guard let found = command.subcommand(second) else {
            throw UsageError(
                "\(command.name): '\(second)' is none of \(verbs.joined(separator: ", "))"
                    + didYouMean(second, among: verbs))
        }
        rest.removeFirst(2)
        return (first, found)
    }

    private func fail(_ text: String) -> UsageError { UsageError("\(description.name): \(text)") }

    private mutating func takeLong(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        let body = word.dropFirst(2)
        let name = String(body.prefix { $0 != "=" })
        guard let flag = description.flag(named: name) else {
            if name == "help" {
                wantsHelp = true
                rest = []
                return
            }
            let hint = suggestion(for: name, among: description.flags.map(\.name)).map { "; did you mean --\($0)?" }
            throw fail("unknown flag --\(name)\(hint ?? "; see help \(description.name)")")
        }
        let attached = body.count > name.count ? String(body.dropFirst(name.count + 1)) : nil
        if flag.value == .none {
            if attached != nil { throw fail("\(flag.display) takes no value") }
            switches[flag.display, default: 0] += 1
        } else {
            try take(flag, attached ?? rest.popFirst())
        }
    }

    private mutating func takeLetters(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        var letters = word.dropFirst()
        while let letter = letters.popFirst() {
            guard let flag = description.flag(lettered: letter) else {
                let name = word.dropFirst()
                let hint = description.flag(named: String(name)).map { "; did you mean \($0.display)?" }
                throw fail("unknown flag -\(letter)\(hint ?? "; see help \(description.name)")")
            }
            if flag.value == .none {
                switches[flag.display, default: 0] += 1
                continue
            }
            try take(flag, letters.isEmpty ? rest.popFirst() : String(letters))
            return
        }
    }

    private mutating func take(_ flag: CommandDescription.Flag, _ value: String?) throws(UsageError) {
        guard let value else { throw fail("\(flag.display) needs a value: \(flag.display) \(flag.value.placeholder)") }
        if let complaint = Self.complaint(value, flag.value) { throw fail("\(flag.display): '\(value)' \(complaint)") }
        if !flag.isRepeatable, description.manner == .lab, values[flag.display] != nil {
            throw fail("\(flag.display) stands there twice")
        }
        values[flag.display, default: []].append(value)
    }

    /// What is wrong with a value; nil if nothing is.
    private static func complaint(_ text: String, _ kind: CommandDescription.Value) -> String? {
        switch kind {
        case .none, .text, .file: return nil
        case .integer(let range):
            if let number = Int(text), range.contains(number) { return nil }
            return range.upperBound == .max
                ? "is not a whole number of \(range.lowerBound) or more"
                : "is not a whole number of \(range.lowerBound) to \(range.upperBound)"
        case .port:
            if let port = UInt16(text), port > 0 { return nil }
            return "is not a port (1 to 65535)"
        case .duration(let allowsZero):
            guard let duration = LabDuration(parsing: text, bareUnit: .seconds(1)) else {
                return "is not a time such as 5s, 200ms or 1m30s"
            }
            return allowsZero || duration > .zero ? nil : "is too short: it must be longer than 0s"
        case .byteCount:
            return parseByteCount(text) == nil ? "is not a size such as 4096, 64k or 1MiB" : nil
        case .endpoint:
            return HostPort(parsing: text) == nil ? "is neither host:port nor a port of localhost" : nil
        case .choice(let choices):
            if choices.contains(text) { return nil }
            let hint = didYouMean(text, among: choices)
            return hint.isEmpty ? "is none of \(choices.joined(separator: ", "))" : "is unknown\(hint)"
        }
    }

    private func checkCount() throws(UsageError) {
        let range = description.arguments.count
        if range.contains(arguments.count) { return }
        let usage = "usage: \(description.name) \(description.usage)"
        if arguments.count < range.lowerBound { throw fail("something is missing; \(usage)") }
        throw fail("'\(arguments[range.upperBound])' is one word too many; \(usage)")
    }

    // MARK: Values

    private func key(_ name: String) -> String {
        let flag = name.count == 1 ? description.flag(lettered: Character(name)) : description.flag(named: name)
        // Asking for what a command does not have is a mistake of ours, and no reason to end somebody's lab.
        guard let flag else {
            assertionFailure("\(description.name) has no flag \(name)")
            return name
        }
        return flag.display
    }

    /// Whether a switch was given. A name of one character means the letter.
    public func has(_ name: String) -> Bool {
        let key = key(name)
        return switches[key] != nil || values[key] != nil
    }

    /// Whether the command knows `--json`, and it was given.
    public var wantsJSON: Bool { description.flag(named: "json") != nil && has("json") }

    public func text(_ name: String) -> String? { values[key(name)]?.last }
    /// A key, a token or a password. An empty one is what a variable has that was never set, and not the same as none.
    ///
    /// - Throws: `UsageError` for an empty one.
    public func secret(_ name: String) throws(UsageError) -> String? {
        guard let text = text(name) else { return nil }
        if text.isEmpty {
            throw UsageError("\(description.name): --\(name): it is empty; give one, or leave the flag out")
        }
        return text
    }
    public func texts(_ name: String) -> [String] { values[key(name)] ?? [] }
    public func endpoint(_ name: String) -> HostPort? { text(name).flatMap { HostPort(parsing: $0) } }
    public func integer(_ name: String) -> Int? { text(name).flatMap { Int($0) } }
    public func port(_ name: String) -> UInt16? { text(name).flatMap { UInt16($0) } }
    /// The flag that says that port: the one that does, or the only one that has been left to its default.
    public func flag(ofPort number: UInt16) -> String {
        let flags = description.flags.filter { if case .port = $0.value { true } else { false } }.map(\.name)
        if let said = flags.first(where: { port($0) == number }) { return said }
        // Of those that all services have, none has a default of its own.
        let silent = flags.filter { port($0) == nil && $0 != "port" && $0 != "metrics" }
        return silent.count == 1 ? silent[0] : "port"
    }
    public func byteCount(_ name: String) -> Int? { text(name).flatMap { parseByteCount($0) } }
    public func duration(_ name: String) -> LabDuration? {
        text(name).flatMap { LabDuration(parsing: $0, bareUnit: .seconds(1)) }
    }
}
