import CommandKit
import KernelStructures
import ShellLanguage

/// Commands whose words are scripts, or commands, themselves: `eval`, `source`, `sh`, `command`, `type`.
extension Builtins {
    static var scripts: [Command] {
        [
            eval, source("source"), source("."), shellCommand("bash"), shellCommand("sh"), command("command"),
            command("builtin"), type, which, exec, hash,
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
            name, "a script in a shell of its own",
            usage: "[-eux] [-o NAME] -c SCRIPT [NAME [WORD…]] | FILE [WORD…] | -s [WORD…]",
            examples: [
                "seq 2 | xargs -n 1 \(name) -c 'echo got $0'", "\(name) check.sh 8081",
                "echo 'echo $1' | \(name) -s hi",
            ],
            details: """
                It has the variables and functions of this one, and changes none of them. What
                it is written in is the lab's own language: help language. Without SCRIPT and
                FILE it reads a script from what it is given; -n only reads it.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let scope = try shell(invocation).scope.copy()
            scope.beginShell()
            var kind = ScriptKind.file
            var onlyReads = false
            while let word = words.first, word.hasPrefix("-") || word.hasPrefix("+"), word.count > 1 {
                words.removeFirst()
                if word == "--" { break }
                if ["--norc", "--noprofile", "--posix", "--login"].contains(word) { continue }
                if word.hasPrefix("--") { throw UsageError("\(name): \(word) is not known here; see help \(name)") }
                for letter in word.dropFirst() {
                    switch letter {
                    case "c": kind = .text
                    case "s": kind = .input
                    case "n": onlyReads = true
                    case "l", "i": break
                    case "O": if let option = words.popFirst() { scope.options.shell.insert(option) }
                    default:
                        let option = letter == "o" ? words.popFirst() ?? "" : String(letter)
                        try change(option, word.hasPrefix("-"), &scope.options)
                    }
                }
            }
            if kind == .file, words.isEmpty || words.first == "-" { kind = .input }
            if kind == .input {
                if words.first == "-" { words.removeFirst() }
                guard invocation.process.hasInput else {
                    throw UsageError(
                        "\(name): which script? \(name) -c SCRIPT, or \(name) FILE; term opens a terminal")
                }
                scope.scriptName = name
                scope.positional = Array(words)
                return .running(ReadScript(invocation.process, scope, onlyReads: onlyReads))
            }
            guard let first = words.popFirst() else { throw UsageError("\(name): -c: which script?") }
            if kind == .file, !invocation.session.files.exists(first) {
                throw CommandFailure("\(first): No such file or directory", status: 127)
            }
            let script = kind == .text ? try parse(first, of: "-c") : try parse(text(first, invocation), of: first)
            if onlyReads { return .success }
            scope.isCommandText = kind == .text
            scope.scriptName = kind == .text ? words.popFirst() ?? name : first
            scope.positional = Array(words)
            return .running(ShellRun(invocation.process, script, scope))
        }
    }

    private enum ScriptKind { case text, file, input }

    /// A script that is read from what its shell is given. As elsewhere here all of it is read before any of it runs.
    private final class ReadScript: Program {
        private let process: Process
        private let scope: VariableScope
        private let onlyReads: Bool
        private var bytes: [UInt8] = []

        init(_ process: Process, _ scope: VariableScope, onlyReads: Bool) {
            self.process = process
            self.scope = scope
            self.onlyReads = onlyReads
        }

        func start() {
            process.read(
                onBytes: { [weak self] more in
                    guard let self, process.isRunning else { return }
                    bytes += more
                    if bytes.count > VariableScope.valueLimitBytes {
                        process.fail("a script of more than \(byteCountText(VariableScope.valueLimitBytes))", status: 2)
                    }
                }, onEnd: { [weak self] in self?.run() })
        }

        private func run() {
            guard process.isRunning else { return }
            do {
                let script = try parse(String(decoding: bytes, as: UTF8.self), of: "-s")
                if onlyReads { return process.exit(0) }
                let run = process.runScript(script, scope: scope, input: .nothing) { [weak process] in
                    process?.exit($0)
                }
                if run == nil { process.exit(2) }
            } catch {
                process.fail("\(error)", status: 2)
            }
        }
    }

    final class ShellRun: Program {
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
}
