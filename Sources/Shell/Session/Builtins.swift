import CommandKit
import KernelStructures
import ShellLanguage

/// Commands that change the shell they run in: variables, functions, loops and options. They stand in the table of
/// commands, so that `help` and completion know them.
public enum Builtins {
    public static var commands: [Command] {
        [
            leave("break"), leave("continue"), leaveFunction, colon, read, unset, set, shopt, shift, getopts,
        ] + aliases + scripts
            + declarations + directories + tools + limits
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
        guard isName(text) else { throw UsageError("\(command): '\(text)' is not the name of a variable") }
        return String(text)
    }

    /// As bash says it: with status 1.
    static func variableName(_ text: some StringProtocol) throws -> String {
        guard isName(text) else { throw CommandFailure("'\(text)' is not the name of a variable") }
        return String(text)
    }

    private static func isName(_ text: some StringProtocol) -> Bool {
        (text.first.map { $0 == "_" || $0.isASCII && $0.isLetter } ?? false)
            && text.allSatisfy { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    /// A variable or an element of an array with its subscript computed: `a[i+1]`.
    static func place(_ word: String, _ scope: VariableScope, status: Int = 1) throws -> String {
        guard let (base, key) = VariableScope.element(word), !key.isEmpty else {
            guard isName(word) else {
                throw CommandFailure("'\(word)' is not the name of a variable", status: status)
            }
            return word
        }
        guard isName(base) else { throw CommandFailure("'\(word)' is not the name of a variable", status: status) }
        if scope.isAssociative(base) { return word }
        do throws(Arithmetic.Failure) {
            return "\(base)[\(try scope.index(try Arithmetic(key).value(in: scope), of: base))]"
        } catch { throw CommandFailure("\(word): \(error.text)", status: status) }
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
            let words =
                invocation.arguments.arguments.first == "--"
                ? invocation.arguments.arguments.dropFirst()
                : invocation.arguments.arguments[...]
            let shell = try shell(invocation)
            if words.count > 1 {
                invocation.process.complain("too many arguments")
                shell.giveUpLine(1)
                return .done(1)
            }
            let status = words.first.map { exitStatus($0) } ?? invocation.process.previousStatus
            if status == nil { invocation.process.complain("'\(words.first ?? "")' is not a number") }
            guard shell.leaveFunction(status ?? 2) else { throw CommandFailure("not within a function", status: 2) }
            return .done(status ?? 2)
        }
    }

    /// The status that a word of `exit` or `return` means: as the kernel has it, its lowest eight bits. nil: no number.
    public static func exitStatus(_ word: String) -> Int? {
        let digits = word.trimmingBlanks
        return Int(digits.hasPrefix("+") ? String(digits.dropFirst()) : digits).map { $0 & 255 }
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
            "export", "sets variables", usage: "[-n] [-p] [NAME[=VALUE]…]",
            examples: ["export PORT=8080", "export -p"],
            details: """
                There is no environment: a variable that is set is known everywhere. -p lists
                what was exported, -n says that it no longer is.
                """)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            var takesAway = false
            while let word = words.first, word.hasPrefix("-"), word.count > 1 {
                words.removeFirst()
                if word == "--" { break }
                if word.contains("f") { return .success }
                if word.contains("n") { takesAway = true }
                if let letter = word.dropFirst().first(where: { !"np".contains($0) }) {
                    throw UsageError("export: -\(letter) is not known here; there are -n, -p and -f")
                }
            }
            if words.isEmpty {
                let listing = VariableListing(scope)
                for name in listing.names(with: .exported) {
                    invocation.process.print(listing.declaration(name) ?? name)
                }
            }
            var status = 0
            for word in words {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let appends = parts.count == 2 && parts[0].hasSuffix("+")
                do {
                    let name = try variableName(appends ? parts[0].dropLast() : parts[0])
                    if parts.count == 2 {
                        if scope.options.traces {
                            let sign = appends ? "+=" : "="
                            try shell(invocation).trace(
                                name + sign + (parts[1].isEmpty ? "" : ShellQuoting.traced(String(parts[1]))))
                        }
                        try scope.set(name, (appends ? scope.value(of: name) ?? "" : "") + parts[1])
                    }
                    if takesAway { scope.remove(.exported, from: name) } else { try scope.add(.exported, to: name) }
                } catch {
                    invocation.process.complain("\(error)")
                    status = 1
                    if scope.isFull { throw error }
                }
            }
            return .done(status)
        }
    }

    /// The letters of the flags before the first other word, or before `--`, which goes with them.
    static func flags(
        of command: String, from words: inout ArraySlice<String>, known: [Character]
    ) throws -> Set<Character> {
        var letters: Set<Character> = []
        while let word = words.first, word.hasPrefix("-"), word.count > 1 {
            words.removeFirst()
            if word == "--" { break }
            for letter in word.dropFirst() {
                guard known.contains(letter) else {
                    let others = known.dropLast().map { "-\($0)" }.joined(separator: ", ")
                    throw UsageError(
                        "\(command): -\(letter) is not known here; there are \(others) and -\(known[known.count - 1])")
                }
                letters.insert(letter)
            }
        }
        return letters
    }

    private static var unset: Command {
        let description = describe(
            "unset", "forgets variables or functions", usage: "[-f|-v|-n] NAME…",
            examples: ["unset PORT", "unset -f isUp"])
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            let letters = try flags(of: "unset", from: &words, known: ["f", "v", "n"])
            var status = 0
            for word in words {
                let base = VariableScope.element(word)?.base ?? word
                if letters.contains("n") {
                    scope.dropReference(word)
                } else if letters.contains("f") || !isName(base) && letters.isEmpty {
                    scope.undefine(word)
                } else {
                    do {
                        if scope.hasAttributes(scope.target(base), .readOnly) {
                            throw CommandFailure("\(base): readonly variable")
                        }
                        let isWhole = word.hasSuffix("[@]") || word.hasSuffix("[*]")
                        let name = isWhole ? try variableName(base) : try place(word, scope)
                        // As in bash: without a flag, and with no such variable, a function is meant.
                        if scope.value(of: name) == nil, scope.array(name) == nil, letters.isEmpty {
                            scope.undefine(name)
                        }
                        scope.unset(name)
                    } catch {
                        invocation.process.complain("\(error)")
                        status = 1
                    }
                }
            }
            return .done(status)
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
                throw CommandFailure("'\(words.joined(separator: " "))' is not a number of words")
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
                .init("count", "n", .integer(0...1_000_000), "no more than so many characters"),
                .init("", "N", .integer(0...1_000_000), "so many characters, whatever they are"),
                .init("delimiter", "d", .text("CHAR"), "what ends it, instead of the line's end"),
                .init(
                    "timeout", "t", .duration(allowsZero: true), "how long it waits; then the status is 142"),
                .init("array", "a", .text("ARRAY"), "all words into an array"),
                .init("silent", "s", "what is typed is a secret (it is shown all the same)"),
                .init("", "e", "with the line editor (always)"),
                .init("", "u", .integer(0...255), "from that descriptor: exec 3< f; read -u 3 x"),
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
            let shell = try shell(invocation)
            let names = try invocation.arguments.arguments.map { try place($0, shell.scope) }
            let program = LineRead(
                invocation.process, shell, names: names, isRaw: invocation.arguments.has("raw"),
                prompt: invocation.arguments.text("prompt"))
            program.limit = invocation.arguments.integer("count")
            if let count = invocation.arguments.integer("N") {
                program.limit = count
                program.takesAll = true
            }
            program.time = invocation.arguments.duration("timeout")
            program.array = try invocation.arguments.text("array").map { try name($0, of: "read") }
            if let number = invocation.arguments.integer("u"), number != 0 {
                guard let source = invocation.process.stream(number) else {
                    throw CommandFailure("\(number): invalid file descriptor: Bad file descriptor")
                }
                program.source = source
            }
            // As in bash, an empty one is the NUL.
            if let text = invocation.arguments.text("delimiter") { program.delimiter = text.utf8.first ?? 0 }
            return .running(program)
        }
    }
}
