import CommandKit
import KernelStructures
import ShellLanguage

/// Commands that change the shell they run in: variables, functions, loops and options. They stand in the table of
/// commands, so that `help` and completion know them.
public enum Builtins {
    public static var commands: [Command] {
        [leave("break"), leave("continue"), leaveFunction, colon, read, unset, set, shift] + aliases + scripts
            + declarations
    }

    static func describe(
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

    /// `export NAME=VALUE`: a part of the command of that name, which can do more.
    public static var export: Command {
        let description = describe(
            "export", "sets variables", usage: "[NAME[=VALUE]…]", examples: ["export PORT=8080"],
            details: "There is no environment: a variable that is set is known everywhere.")
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments
            // Nothing is lost by it: there is no environment that it could be taken from.
            if words.first == "-n" || words.first == "-p" { words.removeFirst() }
            if words.first == "-f" { return .success }
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
                    let base = VariableScope.element(word)?.base ?? word
                    _ = try name(base, of: "unset")
                    if scope.hasAttributes(base, .readOnly) {
                        throw CommandFailure("\(base): readonly variable")
                    }
                    let name = try unsetName(word, base, scope)
                    // As in bash: without a flag, and with no such variable, a function is meant.
                    if scope.value(of: name) == nil { scope.undefine(name) }
                    scope.unset(name)
                }
            }
            return .success
        }
    }

    /// `a[i+1]` with its subscript computed.
    private static func unsetName(_ word: String, _ base: String, _ scope: VariableScope) throws
        -> String
    {
        guard let (_, key) = VariableScope.element(word), !scope.isAssociative(base), key != "@",
            key != "*"
        else {
            return word.hasSuffix("[@]") || word.hasSuffix("[*]") ? base : word
        }
        do throws(Arithmetic.Failure) {
            return "\(base)[\(try scope.index(try Arithmetic(key).value(in: scope), of: base))]"
        } catch { throw CommandFailure("unset: \(word): \(error.text)") }
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
                -E  functions and subshells have the trap of ERR, too
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
        case "E", "errtrace": scope.options.handsErrorTrapOn = isOn
        // What they mean is so in any case, or concerns a keyboard.
        case "B", "braceexpand", "h", "hashall", "m", "monitor", "posix", "history", "emacs", "vi", "T",
            "functrace":
            break
        default: throw UsageError("set: the option '\(option)' is not known here; there are -e, -u, -E and -o pipefail")
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
            usage: "[-r] [-p TEXT] [-n COUNT] [-d CHAR] [-t TIME] [-a ARRAY|NAME…]",
            flags: [
                .init("raw", "r", "a backslash is a character like any other"),
                .init("prompt", "p", .text("TEXT"), "what is shown before it waits, at a terminal"),
                .init("count", "n", .integer(1...1_000_000), "no more than so many characters"),
                .init("", "N", .integer(1...1_000_000), "so many characters, whatever they are"),
                .init("delimiter", "d", .text("CHAR"), "what ends it, instead of the line's end"),
                .init(
                    "timeout", "t", .duration(allowsZero: true), "how long it waits; then the status is 142"),
                .init("array", "a", .text("ARRAY"), "all words into an array"),
                .init("silent", "s", "what is typed is a secret (it is shown all the same)"),
                .init("", "e", "with the line editor (always)"),
                .init("", "u", .text("0"), "from there: only 0"),
            ],
            arguments: .init([.text], 0...1000),
            examples: [
                "while read -r name port; do echo $name at $port; done < nodes.txt", "read -p 'port: ' port",
            ],
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
            if let count = invocation.arguments.integer("N") {
                program.limit = count
                program.takesAll = true
            }
            program.time = invocation.arguments.duration("timeout")
            program.array = try invocation.arguments.text("array").map { try name($0, of: "read") }
            if let number = invocation.arguments.text("u"), number != "0" {
                throw UsageError("read: -u \(number): there is only what it is given, 0, here")
            }
            // As in bash, an empty one is the NUL.
            if let text = invocation.arguments.text("delimiter") { program.delimiter = text.utf8.first ?? 0 }
            return .running(program)
        }
    }
}
