/// A name that stands for other words: `alias ll='ls -l'`.
///
/// As in bash its text takes the place of the name, and the words behind the name follow it; where the text ends in a
/// blank, the next word may be an alias, too, and where it ends in a `;`, what follows is a command of its own. Unlike
/// there it is read when it is defined, so that a mistake in it is known then. A quoted name is no alias, and within
/// its own text, and what that leads to, an alias is not put in its place again: `alias ls='ls -a'`.
public struct CommandAlias: Equatable, Sendable {
    public let text: String
    private let name: String
    private let script: Script

    /// - Throws: `SyntaxError` where the text is no whole script, or does not end in a command that words can follow.
    public init(_ name: String, _ text: String) throws(SyntaxError) {
        self.name = name
        self.text = text
        script = try Parser.parse(text, aliases: [name])
        guard let place = script.statements.first?.position else {
            throw SyntaxError(Position(line: 1, column: 1), "it stands for nothing")
        }
        guard case .simple? = script.statements.last?.lastPipeline.commands.last else {
            throw SyntaxError(place, "no words can follow '\(text)'; a function does more: \(name)() { …; }")
        }
    }

    /// The words that it begins with, where they need no expansion: what completion goes by.
    public var leadingWords: [String] {
        guard case .simple(let simple)? = script.statements.last?.lastPipeline.commands.last else { return [] }
        return simple.words.map { $0.literal ?? "" }
    }

    private var endsInBlank: Bool { text.last == " " || text.last == "\t" }
    private var endsCommand: Bool { text.trimmingBlanks.hasSuffix(";") }

    /// Its words, where it is nothing but words.
    private var words: [Word]? {
        guard script.statements.count == 1, script.statements[0].isOneCommand,
            case .simple(let simple)? = script.statements[0].first.commands.first, simple.assignments.isEmpty,
            simple.redirections.isEmpty, simple.arrays.isEmpty
        else { return nil }
        return simple.words
    }

    /// What a command means that begins with it; nil where it cannot be put there.
    ///
    /// - Parameter known: all aliases, for the words behind one that ends in a blank.
    public func applied(to command: SimpleCommand, known: [String: CommandAlias]) -> Script? {
        let isOneCommand = script.statements.count == 1 && script.statements[0].isOneCommand
        guard command.assignments.isEmpty || isOneCommand else { return nil }
        let names = command.aliases.union([name])
        var script = script
        if !command.aliases.isEmpty {
            guard let again = try? Parser.parse(text, aliases: names) else { return nil }
            script = again
        }
        var following = Array(command.words.dropFirst())
        if endsInBlank { following = Self.replacing(following, known) }
        if endsCommand {
            var rest = command
            rest.words = following
            rest.aliases = []
            if !following.isEmpty || !command.redirections.isEmpty {
                let pipeline = Pipeline(commands: [.simple(rest)])
                script.statements.append(
                    Statement(first: pipeline, rest: [], isBackground: false, position: command.position, text: ""))
            }
            return script
        }
        let last = script.statements.count - 1
        script.statements[last] = script.statements[last].mappingLastCommand { syntax in
            guard case .simple(var simple) = syntax else { return syntax }
            simple.assignments = command.assignments + simple.assignments
            simple.words += following
            simple.redirections += command.redirections
            simple.arrays += command.arrays
            simple.position = command.position
            return .simple(simple)
        }
        return script
    }

    /// Words of which the first may be an alias; where that ends in a blank, the next one, too.
    private static func replacing(_ words: [Word], _ known: [String: CommandAlias]) -> [Word] {
        var result: [Word] = []
        var rest = words[...]
        while let word = rest.first, let alias = word.keyword.flatMap({ known[$0] }), let its = alias.words {
            rest = rest.dropFirst()
            result += its
            if !alias.endsInBlank { break }
        }
        return result + rest
    }
}

extension Statement {
    fileprivate var lastPipeline: Pipeline { rest.last?.pipeline ?? first }
    fileprivate var isOneCommand: Bool { rest.isEmpty && first.commands.count == 1 }

    fileprivate func mappingLastCommand(_ change: (CommandSyntax) -> CommandSyntax) -> Statement {
        let place = (rest.count, lastPipeline.commands.count - 1)
        func mapped(_ pipeline: Pipeline) -> Pipeline {
            var commands = pipeline.commands
            if commands.isEmpty { return pipeline }
            commands[place.1] = change(commands[place.1])
            return Pipeline(commands: commands, isNegated: pipeline.isNegated, timing: pipeline.timing)
        }
        var links = rest
        if let link = links.popLast() { links.append(Link(operator: link.operator, pipeline: mapped(link.pipeline))) }
        return Statement(
            first: rest.isEmpty ? mapped(first) : first, rest: links, isBackground: isBackground, position: position,
            text: text)
    }
}

extension SimpleCommand {
    /// The name that may be an alias: a first word without quotes and without anything to expand.
    package var aliasName: String? { words.first?.keyword.flatMap { aliases.contains($0) ? nil : $0 } }
}
