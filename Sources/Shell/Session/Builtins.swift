import CommandKit
import KernelStructures
import ShellLanguage

/// Commands that change the shell they run in: variables, functions, loops and options. They stand in the table of
/// commands, so that `help` and completion know them.
public enum Builtins {
    public static var commands: [Command] {
        [leave("break"), leave("continue"), leaveFunction, colon, read, local, unset, set, shift] + aliases
    }

    private static func describe(
        _ name: String, _ summary: String, usage: String = "", examples: [String], details: String = ""
    ) -> CommandDescription {
        CommandDescription(
            name, summary, usage: usage, arguments: .init([.text], 0...100_000, isRaw: true), examples: examples,
            group: .session, details: details)
    }

    /// The shell that a builtin runs in.
    static func shell(_ invocation: Invocation) throws -> Execution {
        guard let execution = invocation.process.execution else {
            throw CommandFailure("only within a script, or at the prompt")
        }
        return execution
    }

    static func name(_ text: some StringProtocol, of command: String) throws -> String {
        let isName =
            text.first.map { $0 == "_" || $0.isASCII && $0.isLetter } ?? false
            && text.allSatisfy { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }
        guard isName else { throw UsageError("\(command): '\(text)' is not the name of a variable") }
        return String(text)
    }

    // MARK: Loops and functions

    private static func leave(_ name: String) -> Command {
        let summary = name == "break" ? "leaves a loop" : "goes on with a loop's next round"
        let description = describe(
            name, summary, usage: "[LOOPS]",
            examples: ["for i in 1 2 3; do if [ $i = 2 ]; then \(name); fi; echo $i; done"],
            details: "With a number: the loop that many further out.")
        return Command(description) { invocation in
            try shell(invocation).unwind(invocation.process.words)
            return .done(try shell(invocation).status)
        }
    }

    private static var leaveFunction: Command {
        let description = describe(
            "return", "ends a function", usage: "[STATUS]",
            examples: ["isUp() { curl -sf http://localhost:$1/health; return $?; }"])
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            guard words.count <= 1, let status = words.first.map({ Int($0) }) ?? invocation.process.previousStatus
            else { throw UsageError("return: '\(words.joined(separator: " "))' is not a status") }
            guard try shell(invocation).leaveFunction(status & 255) else {
                throw CommandFailure("not within a function")
            }
            return .done(status & 255)
        }
    }

    private static var colon: Command {
        Command(describe(":", "does nothing, successfully", examples: ["while :; do sleep 1s; break; done"])) { _ in
            .success
        }
    }

    // MARK: Variables

    private static var local: Command {
        let description = describe(
            "local", "makes variables the function's own", usage: "NAME[=VALUE]…",
            examples: ["f() { local i=1; echo $i; }"])
        return Command(description) { invocation in
            let shell = try shell(invocation)
            guard shell.scope.isInFunction else { throw CommandFailure("only within a function") }
            for word in invocation.arguments.arguments {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = try name(parts[0], of: "local")
                shell.scope.shadow(name)
                shell.scope.unset(name)
                // Without a value it is empty, which a function can rely on.
                try shell.scope.set(name, parts.count == 2 ? String(parts[1]) : "")
            }
            return .success
        }
    }

    /// `export NAME=VALUE`: a part of the command of that name, which can do more.
    public static var export: Command {
        let description = describe(
            "export", "sets variables", usage: "[NAME[=VALUE]…]", examples: ["export PORT=8080"],
            details: "There is no environment: a variable that is set is known everywhere.")
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            let words = invocation.arguments.arguments
            if words.isEmpty {
                for (name, value) in scope.values.sorted(by: { $0.key < $1.key }) {
                    invocation.process.print("\(name)=\(value)")
                }
            }
            for word in words {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = try name(parts[0], of: "export")
                if parts.count == 2 { try scope.set(name, String(parts[1])) }
            }
            return .success
        }
    }

    private static var unset: Command {
        let description = describe(
            "unset", "forgets variables or functions", usage: "[-f] NAME…", examples: ["unset PORT", "unset -f isUp"])
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            let isFunction = words.first == "-f"
            if isFunction || words.first == "-v" { words.removeFirst() }
            for word in words {
                if isFunction {
                    scope.undefine(word)
                } else {
                    let name = try name(word, of: "unset")
                    // As in bash: without a flag, and with no such variable, a function is meant.
                    if scope.value(of: name) == nil { scope.undefine(name) }
                    scope.unset(name)
                }
            }
            return .success
        }
    }

    private static var set: Command {
        let description = describe(
            "set", "options of the shell, and its positional parameters",
            usage: "[-e|+e] [-u|+u] [-o|+o NAME] [--] [WORD…]",
            examples: ["set -euo pipefail", "set -- a b; echo $1"],
            details: """
                -e  a command that fails, and is no condition, ends the script: so it is in
                scripts, until +e
                -u  a variable without a value is an error: so it is here, until +u
                -o pipefail  a pipeline fails with the last of its commands that does
                What follows the options, or --, is $1, $2 and so on.
                """)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            var setsPositional = false
            while let word = words.first, let sign = word.first, sign == "-" || sign == "+" {
                words.removeFirst()
                if word == "--" {
                    setsPositional = true
                    break
                }
                for letter in word.dropFirst() {
                    try change(letter == "o" ? words.popFirst() ?? "" : String(letter), sign == "-", scope)
                }
            }
            if setsPositional || !words.isEmpty { scope.positional = Array(words) }
            return .success
        }
    }

    private static func change(_ option: String, _ isOn: Bool, _ scope: VariableScope) throws {
        switch option {
        case "e", "errexit": scope.options.endsAtFailure = isOn
        case "u", "nounset": scope.options.refusesUnset = isOn
        case "pipefail": scope.options.pipelinesFail = isOn
        default: throw UsageError("set: the option '\(option)' is not known here; there are -e, -u and -o pipefail")
        }
    }

    private static var shift: Command {
        let description = describe(
            "shift", "drops the first of the positional parameters", usage: "[COUNT]",
            examples: ["set -- a b; shift; echo $1"])
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            let words = invocation.arguments.arguments
            guard words.count <= 1, let count = words.first.map({ Int($0) }) ?? 1, count >= 0 else {
                throw UsageError("shift: '\(words.joined(separator: " "))' is not a number of words")
            }
            guard count <= scope.positional.count else { return .done(1) }
            scope.positional.removeFirst(count)
            return .success
        }
    }

    // MARK: read

    private static var read: Command {
        let description = CommandDescription(
            "read", "takes a line of what it is given into variables",
            usage: "[-r] [-p TEXT] [-n COUNT] [-d CHAR] [NAME…]",
            flags: [
                .init("raw", "r", "a backslash is a character like any other"),
                .init("prompt", "p", .text("TEXT"), "what is shown before it waits, at a terminal"),
                .init("count", "n", .integer(1...1_000_000), "no more than so many characters"),
                .init("delimiter", "d", .text("CHAR"), "what ends it, instead of the line's end"),
            ],
            arguments: .init([.text], 0...1000),
            examples: ["while read -r name port; do echo $name at $port; done < nodes.txt", "read -p 'port: ' port"],
            group: .session,
            details: """
                The line is split at the characters of IFS; the last variable gets all that is
                left. Without a name: REPLY. Status 1 at the end of the input.
                """)
        return Command(description) { invocation in
            let names = try invocation.arguments.arguments.map { try name($0, of: "read") }
            let program = LineRead(
                invocation.process, try shell(invocation), names: names, isRaw: invocation.arguments.has("raw"),
                prompt: invocation.arguments.text("prompt"))
            program.limit = invocation.arguments.integer("count")
            // As in bash, an empty one is the NUL.
            if let text = invocation.arguments.text("delimiter") { program.delimiter = text.utf8.first ?? 0 }
            return .running(program)
        }
    }
}

/// `read`: one line, and not a byte more.
private final class LineRead: Program {
    private let process: Process
    private unowned let shell: Execution
    private let names: [String]
    private let isRaw: Bool
    private let prompt: String?
    private var line: [UInt8] = []
    private var isDone = false
    /// Characters after which it ends; nil: none.
    var limit: Int?
    var delimiter = UInt8(ascii: "\n")
    private var count = 0
    /// Bytes that the last character still needs.
    private var missing = 0

    /// Bytes of a line.
    private static let limitBytes = VariableScope.valueLimitBytes

    init(_ process: Process, _ shell: Execution, names: [String], isRaw: Bool, prompt: String?) {
        self.process = process
        self.shell = shell
        self.names = names
        self.isRaw = isRaw
        self.prompt = prompt
    }

    func start() {
        if let prompt, !process.hasInput { process.errorOutput.write(prompt) }
        process.read(onBytes: { [self] in take($0) }, onEnd: { [self] in finish(1) })
    }

    private func take(_ bytes: [UInt8]) {
        if isDone { return }
        for (index, byte) in bytes.enumerated() {
            guard byte == delimiter else {
                line.append(byte)
                guard isFull(with: byte) else { continue }
                process.unread(Array(bytes[(index + 1)...]))
                return finish(0)
            }
            // A backslash at its end joins it with the next line.
            if !isRaw, byte == 10, line.reversed().prefix(while: { $0 == 92 }).count % 2 == 1 {
                line.removeLast()
                continue
            }
            process.unread(Array(bytes[(index + 1)...]))
            return finish(0)
        }
        if line.count > Self.limitBytes {
            process.complain("a line of more than \(byteCountText(Self.limitBytes))")
            finish(2)
        }
    }

    /// Whether a byte completes the last character that is wanted.
    private func isFull(with byte: UInt8) -> Bool {
        guard let limit else { return false }
        // A character's first byte says how many follow it.
        missing = byte < 0x80 ? 0 : byte < 0xC0 ? max(0, missing - 1) : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3
        if missing == 0 { count += 1 }
        return count >= limit
    }

    private func finish(_ status: Int) {
        if isDone { return }
        isDone = true
        do throws(CommandFailure) {
            let values = LineFields(separators: shell.scope.value(of: "IFS"), isRaw: isRaw)
                .split(String(decoding: line, as: UTF8.self), into: max(1, names.count), keepsBlanks: names.isEmpty)
            for (name, value) in zip(names.isEmpty ? ["REPLY"] : names, values) { try shell.scope.set(name, value) }
            process.exit(status)
        } catch {
            process.complain(error.description)
            process.exit(error.status)
        }
    }
}

/// How `read` splits a line (POSIX, the description of `read`): the last variable gets the rest as it stands, without
/// the blanks around it.
struct LineFields {
    private let separators: String
    private let isRaw: Bool

    init(separators: String?, isRaw: Bool) {
        self.separators = separators ?? " \t\n"
        self.isRaw = isRaw
    }

    private func isBlank(_ piece: GlobPattern.Piece) -> Bool {
        !piece.isQuoted && (piece.character == " " || piece.character == "\t") && separators.contains(piece.character)
    }

    private func isSeparator(_ piece: GlobPattern.Piece) -> Bool {
        !piece.isQuoted && separators.contains(piece.character)
    }

    func split(_ line: String, into count: Int, keepsBlanks: Bool) -> [String] {
        var rest = unescaped(line)[...]
        if keepsBlanks { return [String(rest.map(\.character))] }
        var values: [String] = []
        rest = rest.drop(while: isBlank)
        while values.count < count - 1 {
            let field = rest.prefix { !isSeparator($0) }
            values.append(String(field.map(\.character)))
            rest = rest.dropFirst(field.count).drop(while: isBlank)
            // One separator that is no blank belongs to the same edge, with the blanks behind it.
            if let first = rest.first, isSeparator(first), !isBlank(first) {
                rest = rest.dropFirst().drop(while: isBlank)
            }
        }
        values.append(last(rest))
        return values
    }

    private func last(_ rest: ArraySlice<GlobPattern.Piece>) -> String {
        var rest = rest
        while let end = rest.last, isBlank(end) { rest.removeLast() }
        // If all that is left is one field and its separator, the separator goes, too.
        if let end = rest.last, isSeparator(end), !rest.dropLast().contains(where: isSeparator) {
            rest.removeLast()
            while let end = rest.last, isBlank(end) { rest.removeLast() }
        }
        return String(rest.map(\.character))
    }

    private func unescaped(_ line: String) -> [GlobPattern.Piece] {
        if isRaw { return line.map { ($0, false) } }
        var result: [GlobPattern.Piece] = []
        var isEscaped = false
        for character in line {
            if character == "\\", !isEscaped {
                isEscaped = true
            } else {
                result.append((character, isEscaped))
                isEscaped = false
            }
        }
        return result
    }
}
