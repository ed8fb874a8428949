import CommandKit
import KernelStructures
import ShellLanguage

/// `alias` and `unalias`.
extension Builtins {
    static var aliases: [Command] { [alias, unalias] }

    private static var alias: Command {
        let description = CommandDescription(
            "alias", "lets a name stand for other words", usage: "[NAME[=TEXT]…]",
            arguments: .init([.alias], 0...1000, isRaw: true),
            examples: ["alias k='kill -9'", "alias slow='inject latency 200ms'", "alias"], group: .session,
            details: """
                The words behind the name follow the text: k Server-A. Without TEXT, or without
                anything: what is defined. Those of ~/.sdlabrc are there at every prompt. A
                quoted name is no alias; a function can do more: up() { …; }.
                """)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments
            if words.first == "-p" { words.removeFirst() }
            func show(_ name: String, _ alias: CommandAlias) {
                invocation.process.print("alias \(name)=\(ShellQuoting.singleQuoted(alias.text))")
            }
            if words.isEmpty {
                for (name, alias) in scope.aliases.sorted(by: { $0.key < $1.key }) { show(name, alias) }
            }
            for word in words {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                if parts.count == 2 {
                    try define(parts[0], parts[1], in: scope)
                } else if let known = scope.aliases[word] {
                    show(word, known)
                } else {
                    throw CommandFailure(
                        "there is no alias '\(word)'\(didYouMean(word, among: scope.aliases.keys.sorted()))")
                }
            }
            return .success
        }
    }

    private static func define(_ name: String, _ text: String, in scope: VariableScope) throws {
        guard !name.isEmpty, !name.contains(where: { $0.isWhitespace || "'\"\\$`/;|&<>(){}#!*?".contains($0) }) else {
            throw UsageError("alias: '\(name)' is not a name that can be typed as one word")
        }
        do throws(SyntaxError) {
            try scope.define(alias: name, CommandAlias(name, text))
        } catch {
            throw UsageError("alias: \(name): \(error.text)")
        }
    }

    private static var unalias: Command {
        let description = CommandDescription(
            "unalias", "forgets aliases", usage: "-a | NAME…", arguments: .init([.alias], 1...1000, isRaw: true),
            examples: ["unalias k", "unalias -a"], group: .session)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            let words = invocation.arguments.arguments
            if words == ["-a"] {
                scope.removeAliases()
                return .success
            }
            for word in words where scope.aliases[word] == nil {
                throw CommandFailure(
                    "there is no alias '\(word)'\(didYouMean(word, among: scope.aliases.keys.sorted()))")
            }
            for word in words { scope.remove(alias: word) }
            return .success
        }
    }
}
