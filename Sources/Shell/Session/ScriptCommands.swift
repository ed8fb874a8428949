import CommandKit
import KernelStructures
import ShellLanguage

/// Commands whose words are scripts, or commands, themselves: `eval`, `source`, `sh`, `command`, `type`.
extension Builtins {
    static var scripts: [Command] {
        [
            eval, source("source"), source("."), shellCommand("bash"), shellCommand("sh"), command("command"),
            command("builtin"), type, which,
        ]
    }

    /// Reads a text as a script. It is refused as a whole, before any of it runs.
    private static func parse(_ text: String, of name: String) throws -> Script {
        guard text.utf8.count <= VariableScope.valueLimitBytes else {
            throw CommandFailure("a script of more than \(byteCountText(VariableScope.valueLimitBytes))", status: 2)
        }
        do throws(SyntaxError) { return try Parser.parse(text) } catch {
            throw CommandFailure("\(name == "eval" ? "" : name + ":")\(error)", status: 2)
        }
    }

    /// What they do is the execution's affair (`Execution.runText`): it has the streams.
    private static var eval: Command {
        let description = describe(
            "eval", "runs its words as a line of a script", usage: "WORD…",
            examples: ["name=x; eval \"$name=5\"; echo $x"])
        return Command(description) { _ in throw CommandFailure("only within a script, or at the prompt") }
    }

    private static func source(_ name: String) -> Command {
        let description = describe(
            name, "runs a file of the lab in this shell", usage: "FILE [WORD…]", examples: ["\(name) functions.sh"],
            details: "With words, they are $1, $2 and so on while it runs. return ends it.")
        return Command(description) { _ in throw CommandFailure("only within a script, or at the prompt") }
    }

    private static func text(_ file: String, _ invocation: Invocation) throws -> String {
        do {
            return String(decoding: try invocation.session.files.read(file), as: UTF8.self)
        } catch {
            throw CommandFailure("\(error)", status: 1)
        }
    }

    private static func shellCommand(_ name: String) -> Command {
        let description = describe(
            name, "a script in a shell of its own", usage: "[-e] [-u] -c SCRIPT [NAME [WORD…]] | FILE [WORD…]",
            examples: ["seq 2 | xargs -n 1 \(name) -c 'echo got $0'", "\(name) check.sh 8081"],
            details: """
                It has the variables and functions of this one, and changes none of them. What
                it is written in is the lab's own language: help language.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let scope = try shell(invocation).scope.copy()
            scope.options.endsAtFailure = false
            var takesText = false
            while let word = words.first, word.hasPrefix("-"), word.count > 1, !takesText {
                words.removeFirst()
                if word == "--" { break }
                if word == "--norc" || word == "--noprofile" || word == "--posix" { continue }
                for letter in word.dropFirst() {
                    switch letter {
                    case "c": takesText = true
                    case "e": scope.options.endsAtFailure = true
                    case "u": scope.options.refusesUnset = true
                    case "l", "i": break
                    default: throw UsageError("\(name): -\(letter) is not known here; there are -c, -e and -u")
                    }
                }
            }
            guard let first = words.popFirst() else {
                throw UsageError("\(name): which script? \(name) -c SCRIPT, or \(name) FILE; term opens a terminal")
            }
            let script = takesText ? try parse(first, of: "-c") : try parse(text(first, invocation), of: first)
            scope.scriptName = takesText ? words.popFirst() ?? name : first
            scope.positional = Array(words)
            return .running(ShellRun(invocation.process, script, scope))
        }
    }

    private final class ShellRun: Program {
        private let process: Process
        private let script: Script
        private let scope: VariableScope
        init(_ process: Process, _ script: Script, _ scope: VariableScope) {
            self.process = process
            self.script = script
            self.scope = scope
        }
        func start() {
            let run = process.runScript(script, scope: scope, input: .own) { [weak process] in process?.exit($0) }
            if run == nil { process.exit(2) }
        }
    }

    private static func command(_ name: String) -> Command {
        let description = describe(
            name, "runs a command, and no function of that name",
            usage: name == "command" ? "[-v] NAME [WORD…]" : "NAME [WORD…]",
            examples: [name == "command" ? "command -v jq > /dev/null || echo no jq" : "builtin echo hello"],
            details: name == "command" ? "-v says whether there is such a command, and what it is." : "")
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let shell = try shell(invocation)
            if name == "command", words.first == "-v" || words.first == "-V" {
                words.removeFirst()
                var isKnown = !words.isEmpty
                for word in words {
                    guard kind(word, shell, invocation.session) != nil else {
                        isKnown = false
                        continue
                    }
                    invocation.process.print(word)
                }
                return .done(isKnown ? 0 : 1)
            }
            // With a name behind it, the execution passes over it (`Execution.launch`).
            return .success
        }
    }

    private static func kind(_ word: String, _ shell: Execution, _ session: Session) -> String? {
        if Parser.isKeyword(word) { return "keyword" }
        if shell.scope.aliases[word] != nil { return "alias" }
        if shell.scope.functions[word] != nil { return "function" }
        guard let command = session.commands[word] else { return nil }
        return command.description.group == .session ? "builtin" : "file"
    }

    private static var type: Command {
        let description = describe(
            "type", "what a name is", usage: "[-t] NAME…", examples: ["type curl", "type -t backend"],
            details: "-t says only: alias, keyword, function, builtin or file, for the lab's commands.")
        return Command(description) { invocation in
            let shell = try shell(invocation)
            var words = invocation.arguments.arguments[...]
            let isShort = words.first == "-t"
            if isShort { words.removeFirst() }
            if let word = words.first, word.hasPrefix("-") {
                throw UsageError("type: \(word) is not known here; there is -t, and help NAME")
            }
            var isKnown = true
            for word in words {
                guard let kind = kind(word, shell, invocation.session) else {
                    isKnown = false
                    if !isShort { invocation.process.complain("\(word): not found") }
                    continue
                }
                let text =
                    switch kind {
                    case "builtin": "\(word) is a shell builtin"
                    case "keyword": "\(word) is a shell keyword"
                    case "file": "\(word) is a command of the lab"
                    default: "\(word) is \(kind == "alias" ? "an" : "a") \(kind)"
                    }
                invocation.process.print(isShort ? kind : text)
            }
            return .done(isKnown ? 0 : 1)
        }
    }

    private static var which: Command {
        let description = describe(
            "which", "whether there is a command of a name", usage: "NAME…", examples: ["which jq"])
        return Command(description) { invocation in
            var isKnown = !invocation.arguments.arguments.isEmpty
            for word in invocation.arguments.arguments {
                guard invocation.session.commands[word] != nil else {
                    isKnown = false
                    continue
                }
                invocation.process.print(word)
            }
            return .done(isKnown ? 0 : 1)
        }
    }
}

extension Execution {
    /// `eval`, `source` and `.`: a text that runs in this shell, with the streams of the command; false where the
    /// command is none of them.
    func runText(_ arguments: [String], _ opened: OpenStreams, _ kinds: [Redirection.Kind]) -> Bool {
        let name = arguments[0]
        guard name == "eval" || name == "source" || name == "." else { return false }
        if arguments == [name, "--help"] { return false }
        func fail(_ text: String, _ status: Int) -> Bool {
            opened.error.write(printable("\(name): \(text)", keeping: "\n\t") + "\n")
            self.status = status
            opened.closeOpened()
            return true
        }
        var text = arguments.dropFirst().joined(separator: " ")
        if name != "eval" {
            guard arguments.count > 1 else { return fail("which file?", 2) }
            do throws(LabFileError) {
                text = String(decoding: try session.files.read(arguments[1]), as: UTF8.self)
            } catch {
                return fail("\(error)", 1)
            }
        }
        let script: Script
        do throws(SyntaxError) { script = try Parser.parse(text) } catch {
            return fail("\(name == "eval" ? "" : arguments[1] + ":")\(error)", 2)
        }
        use(opened, kinds)
        if name != "eval" {
            let words = arguments.count > 2 ? Array(arguments.dropFirst(2)) : scope.positional
            scope.beginCall(words, name: "source")
            push(.endCall)
        }
        if script.statements.isEmpty { status = 0 }
        push(.script(script, next: 0))
        return true
    }
}
