import CommandKit
import KernelStructures
import ShellLanguage

/// Small commands that scripts use about themselves: `env`, `mktemp`, `yes`.
extension Builtins {
    static var tools: [Command] { [env, makeTemporary, yes] }

    private static func tool(
        _ name: String, _ summary: String, usage: String, examples: [String], details: String
    ) -> CommandDescription {
        CommandDescription(
            name, summary, usage: usage, arguments: .init([.text], 0...100_000, isRaw: true), examples: examples,
            group: .files, details: details)
    }

    // MARK: env

    private static var env: Command {
        let description = tool(
            "env", "runs a command with other variables, or lists what is exported",
            usage: "[-i] [-u NAME] [NAME=VALUE…] [COMMAND [WORD…]]",
            examples: ["env PORT=8081 bash -c 'echo $PORT'", "export A=1; env"],
            details: """
                Commands see all variables here, exported or not; -i and -u only take from what
                is listed.
                """)
        return Command(description) { invocation in
            let shell = try shell(invocation)
            var words = invocation.arguments.arguments[...]
            let scope = shell.scope.copy()
            for name in shell.scope.temporaries { try scope.add(.exported, to: name) }
            func forget(_ name: String) { scope.remove(.exported, from: name) }
            while let word = words.first, word.hasPrefix("-") {
                words.removeFirst()
                if word == "--" { break }
                if word == "-" || word == "-i" || word == "--ignore-environment" {
                    for name in VariableListing(scope).names(with: .exported) { forget(name) }
                } else if word == "-u", let name = words.popFirst() {
                    forget(name)
                } else if word.hasPrefix("--unset=") {
                    forget(String(word.dropFirst(8)))
                } else {
                    throw CommandFailure("\(word) is not known here; there are -i and -u", status: 125)
                }
            }
            while let word = words.first, let sign = word.firstIndex(of: "="), sign != word.startIndex {
                words.removeFirst()
                let name = try variableName(word[..<sign])
                try scope.set(name, String(word[word.index(after: sign)...]))
                try scope.add(.exported, to: name)
            }
            guard !words.isEmpty else {
                for name in VariableListing(scope).names(with: .exported) {
                    if let value = scope.values[name] { invocation.process.print("\(name)=\(value)") }
                }
                return .success
            }
            var command = SimpleCommand(position: Position(line: 1, column: 1))
            command.words = words.map { Word(parts: [.text($0, isQuoted: true)], position: command.position) }
            return .running(
                ShellRun(
                    invocation.process, Script(statements: [Statement.wrapping(.simple(command))]), scope))
        }
    }

    // MARK: mktemp

    private static var makeTemporary: Command {
        let description = tool(
            "mktemp", "makes an empty file of the lab under a new name", usage: "[-d] [-u] [-p DIR] [TEMPLATE]",
            examples: ["f=$(mktemp); echo a > $f; rm $f", "mktemp -d /tmp/work.XXXX"],
            details: """
                The name is /tmp/tmp.XXXXXXXXXX, or that of the template; of its last X, three
                at least, each becomes a letter or a digit. -d makes a directory, -u nothing.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            var letters: Set<Character> = []
            var directory: String?
            while let word = words.first, word.hasPrefix("-"), word.count > 1 {
                words.removeFirst()
                if word == "--" { break }
                if word == "--directory" {
                    letters.insert("d")
                } else if word == "-p" {
                    directory = words.popFirst()
                } else if word.hasPrefix("--tmpdir=") {
                    directory = String(word.dropFirst(9))
                } else if !word.hasPrefix("--"), word.dropFirst().allSatisfy({ "dutq".contains($0) }) {
                    letters.formUnion(word.dropFirst())
                } else {
                    throw CommandFailure("\(word) is not known here; there are -d, -u, -p, -t and -q")
                }
            }
            guard words.count <= 1 else { throw CommandFailure("too many templates") }
            if words.isEmpty || letters.contains("t") { directory = directory ?? "/tmp" }
            let template = words.first ?? "tmp.XXXXXXXXXX"
            let path = (directory.map { $0 + "/" } ?? "") + template
            let files = invocation.session.files
            guard let name = freshName(path, invocation.process.number, files) else {
                throw CommandFailure("'\(template)' needs at least three X at its end")
            }
            do throws(LabFileError) {
                if letters.contains("d") {
                    try files.makeDirectory(name)
                } else if !letters.contains("u") {
                    try files.openForWriting(name, appends: true).close()
                }
            } catch { throw CommandFailure(error.description) }
            invocation.process.print(name)
            return .success
        }
    }

    /// A name that no file has: the same in each run that does the same.
    private static func freshName(_ template: String, _ number: Int, _ files: LabFiles) -> String? {
        let count = template.reversed().prefix { $0 == "X" }.count
        guard count >= 3 else { return nil }
        let digits = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        var random = SeededRandom(seed: stableHash("mktemp \(number) \(template)"))
        for _ in 0..<1000 {
            var name = String(template.dropLast(count))
            for _ in 0..<min(count, 100) { name.append(digits[random.below(digits.count)]) }
            if !files.exists(name) { return name }
        }
        return nil
    }

    // MARK: yes

    private static var yes: Command {
        let description = tool(
            "yes", "writes a word, line by line, until nobody reads it any more", usage: "[WORD…]",
            examples: ["yes | head -n 2", "yes no | head -n 1"],
            details: "Without a word: y. It ends by itself after 256 MiB.")
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            return .running(Repetition(invocation.process, words.isEmpty ? "y" : words.joined(separator: " ")))
        }
    }

    /// It takes lab time, so that a clock that only moves when nothing is left to do moves.
    private final class Repetition: Program {
        private let process: Process
        private let block: [UInt8]
        private var written = 0
        private static let limitBytes = 256 << 20

        init(_ process: Process, _ text: String) {
            self.process = process
            let line = Array((text + "\n").utf8)
            block = Array(repeatElement(line, count: max(1, 4096 / line.count)).joined())
        }

        func start() { produce() }

        private func produce() {
            guard process.isRunning else { return }
            process.output.write(block)
            if process.output.isBroken { return process.exit(141) }
            written += block.count
            if written > Self.limitBytes {
                return process.fail("nobody stopped it after \(byteCountText(Self.limitBytes))", status: 2)
            }
            if process.output.isCongested {
                process.output.onDrained = { [weak self] in self?.produce() }
            } else {
                _ = process.node.after(.microseconds(100)) { [weak self] in self?.produce() }
            }
        }
    }
}
