import CommandKit
import Commands
import ShellLanguage
import ShellSession
import Testing

/// What the table of commands promises to `help`, completion and did-you-mean.
@Suite struct CommandTests {
    @Test("every command says in one line what it does, and every flag what it is for")
    func summaries() {
        for command in Catalog.table.commands {
            let description = command.description
            expectPhrase(description.summary, of: description.name)
            for flag in description.flags {
                expectPhrase(flag.help, of: "\(description.name) \(flag.display)")
                #expect(flag.name.isEmpty == false || flag.letter != nil, "\(description.name): a flag without a name")
            }
            let names = description.flags.map(\.display)
            #expect(Set(names).count == names.count, "\(description.name): a flag stands there twice")
        }
    }

    private func expectPhrase(_ text: String, of what: String) {
        #expect(!text.isEmpty, "\(what) says nothing")
        #expect(!text.contains("\n") && text.last != "." && text.first != " ", "\(what): '\(text)'")
    }

    @Test("every command has an example of its own, and all examples are understood", arguments: Catalog.table.names)
    func examples(name: String) throws {
        let table = Catalog.table
        let description = try #require(table[name]).description
        #expect(!description.examples.isEmpty)
        var used: Set<String> = []
        for example in description.examples {
            let script: Script
            do {
                script = try Parser.parse(example)
            } catch {
                Issue.record("\(name): \(example): \(error)")
                continue
            }
            for words in SimpleCommands.of(script) {
                let command = try #require(table[words[0]], "\(name): \(example): \(words[0]) is no command")
                used.insert(command.description.name)
                #expect(throws: Never.self, "\(name): \(example)") {
                    try ParsedArguments(words.dropFirst(), for: command.description)
                }
            }
        }
        #expect(used.contains(name), "none of its examples shows \(name) itself")
    }
}

/// The words of all commands of a script, those in loops, conditions and substitutions included. A word that only
/// exists once the script runs is `1`.
enum SimpleCommands {
    static func of(_ script: Script) -> [[String]] {
        script.statements.flatMap { statement in
            ([statement.first] + statement.rest.map(\.pipeline)).flatMap { $0.commands.flatMap(of) }
        }
    }

    private static func of(_ command: CommandSyntax) -> [[String]] {
        switch command {
        case .simple(let simple): simple.words.isEmpty ? [] : [simple.words.map { $0.literal ?? "1" }]
        case .forLoop(_, _, let body), .selectLoop(_, _, let body): of(body)
        case .whileLoop(let condition, _, let body): of(condition) + of(body)
        case .choice(let branches, let otherwise):
            branches.flatMap { of($0.condition) + of($0.body) } + (otherwise.map(of) ?? [])
        case .countedLoop(let loop): of(loop.body)
        case .selection(_, let selections): selections.flatMap { of($0.body) }
        case .group(let body), .subshell(let body): of(body)
        case .definition(_, let body): of(body)
        case .redirected(let command, _): of(command)
        case .conditional, .arithmetic, .host: []
        }
    }
}
