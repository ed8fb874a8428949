/// A name that stands for other words: `alias ll='ls -l'`.
///
/// As in bash its text takes the place of the name, and the words behind the name follow it. Unlike there it is read
/// when it is defined, so that a mistake in it is known then. A quoted name is no alias, and an alias that mentions
/// itself means the command: `alias ls='ls -a'`.
public struct CommandAlias: Equatable, Sendable {
    public let text: String
    private let script: Script

    /// - Throws: `SyntaxError` where the text is no whole script, or does not end in a command that words can follow.
    public init(_ name: String, _ text: String) throws(SyntaxError) {
        self.text = text
        var script = try Parser.parse(text)
        guard let place = script.statements.first?.position else {
            throw SyntaxError(Position(line: 1, column: 1), "it stands for nothing")
        }
        for index in script.statements.indices {
            script.statements[index] = script.statements[index].mappingCommands { command in
                guard case .simple(var simple) = command, simple.words.first?.keyword == name else { return command }
                simple.words[0].parts = [.text(name, isQuoted: true)]
                return .simple(simple)
            }
        }
        guard case .simple? = script.statements.last?.lastPipeline.commands.last else {
            throw SyntaxError(place, "no words can follow '\(text)'; a function does more: \(name)() { …; }")
        }
        self.script = script
    }

    /// The words that it begins with, where they need no expansion: what completion goes by.
    public var leadingWords: [String] {
        guard case .simple(let simple)? = script.statements.last?.lastPipeline.commands.last else { return [] }
        return simple.words.map { $0.literal ?? "" }
    }

    /// What a command means that begins with it; nil where it cannot be put there.
    public func applied(to command: SimpleCommand) -> Script? {
        let isOneCommand = script.statements.count == 1 && script.statements[0].isOneCommand
        guard command.assignments.isEmpty || isOneCommand else { return nil }
        var script = script
        let last = script.statements.count - 1
        script.statements[last] = script.statements[last].mappingLastCommand { syntax in
            guard case .simple(var simple) = syntax else { return syntax }
            simple.assignments = command.assignments + simple.assignments
            simple.words += command.words.dropFirst()
            simple.redirections += command.redirections
            simple.arrays += command.arrays
            simple.position = command.position
            return .simple(simple)
        }
        return script
    }
}

extension Statement {
    fileprivate var lastPipeline: Pipeline { rest.last?.pipeline ?? first }
    fileprivate var isOneCommand: Bool { rest.isEmpty && first.commands.count == 1 }

    fileprivate func mappingCommands(_ change: (CommandSyntax) -> CommandSyntax) -> Statement {
        func mapped(_ pipeline: Pipeline) -> Pipeline {
            Pipeline(
                commands: pipeline.commands.map(change), isNegated: pipeline.isNegated, timing: pipeline.timing)
        }
        return Statement(
            first: mapped(first), rest: rest.map { Link(operator: $0.operator, pipeline: mapped($0.pipeline)) },
            isBackground: isBackground, position: position, text: text)
    }

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
    package var aliasName: String? { words.first?.keyword }
}
