import CommandKit
import KernelStructures
import ShellLanguage

/// `declare`, `local`, `readonly`, `export`, `let`, `trap` and `mapfile`.
extension Builtins {
    static var declarations: [Command] {
        [
            declaration("declare"), declaration("typeset"), declaration("local"), declaration("readonly"),
            letCommand,
            trap, mapfile("mapfile"), mapfile("readarray"),
        ]
    }

    private static func declaration(_ name: String) -> Command {
        let summaries = [
            "declare": "says what variables are", "typeset": "declare by its older name",
            "local": "makes variables the function's own",
            "readonly": "makes variables that keep their value",
        ]
        let examples = [
            "declare": ["declare -A port; port[web]=8081; echo ${port[web]}", "declare -p port"],
            "typeset": ["typeset -i n=2+3"], "local": ["f() { local i=1; echo $i; }"],
            "readonly": ["readonly PORT=8080"],
        ]
        let description = describe(
            name, summaries[name] ?? "", usage: "[-aAirulxgp] [NAME[=VALUE]…]",
            examples: examples[name] ?? [],
            details: """
                -a an array, -A one with texts as subscripts, -i a whole number, -r only to be
                read, -u and -l in large and small letters, -p says what they are, -g not the
                function's own, -F whether there are functions of the names. + takes -i -u -l
                -x away. Within a function, declare and local are the function's own.
                """)
        return Command(description) { invocation in
            let shell = try shell(invocation)
            let scope = shell.scope
            var words = invocation.arguments.arguments[...]
            var given = VariableAttributes()
            var taken = VariableAttributes()
            var letters: Set<Character> = []
            let known: [Character: VariableAttributes] = [
                "i": .integer, "r": .readOnly, "u": .upper, "l": .lower, "x": .exported,
            ]
            if name == "readonly" { given = .readOnly }
            while let word = words.first, let sign = word.first, sign == "-" || sign == "+",
                word.count > 1
            {
                words.removeFirst()
                if word == "--" { break }
                for letter in word.dropFirst() {
                    if let attribute = known[letter] {
                        if sign == "-" { given.insert(attribute) } else { taken.insert(attribute) }
                    } else if "aAgpfF".contains(letter) {
                        letters.insert(letter)
                    } else {
                        throw UsageError("\(name): -\(letter) is not known here; see help \(name)")
                    }
                }
            }
            if letters.contains("f") || letters.contains("F") {
                return try functions(name, words, letters, scope, invocation)
            }
            if name == "local", !scope.isInFunction { throw CommandFailure("only within a function") }
            if letters.contains("p") || words.isEmpty {
                return show(name, Array(words), given, scope, invocation.process)
            }
            let isOwn = name != "readonly" && !letters.contains("g") && scope.isInFunction
            for word in words {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let appends = parts.count == 2 && parts[0].hasSuffix("+")
                let target = try self.name(appends ? parts[0].dropLast() : parts[0], of: name)
                if scope.hasAttributes(target, .readOnly), parts.count == 2 || isOwn {
                    throw CommandFailure("\(target): readonly variable")
                }
                if isOwn, !appends {
                    scope.shadow(target)
                    scope.unset(target)
                }
                if letters.contains("a") || letters.contains("A") {
                    try scope.makeArray(target, isAssociative: letters.contains("A"), keeps: true)
                }
                if given.contains(.upper) { scope.remove(.lower, from: target) }
                if given.contains(.lower) { scope.remove(.upper, from: target) }
                let others = given.subtracting(.readOnly)
                if !others.isEmpty { scope.add(others, to: target) }
                if !taken.isEmpty { scope.remove(taken, from: target) }
                if parts.count == 2 {
                    let isSum = scope.hasAttributes(target, .integer)
                    let old = appends ? scope.value(of: target) ?? "" : ""
                    try scope.set(
                        target, appends && isSum ? "\(old.isEmpty ? "0" : old)+(\(parts[1]))" : old + parts[1])
                } else if isOwn, scope.arrays[target] == nil {
                    // Without a value it is empty, which a function can rely on.
                    try scope.set(target, "")
                }
                if given.contains(.readOnly) { scope.add(.readOnly, to: target) }
            }
            return .success
        }
    }

    private static func functions(
        _ name: String, _ words: ArraySlice<String>, _ letters: Set<Character>, _ scope: VariableScope,
        _ invocation: Invocation
    ) throws -> Outcome {
        if letters.contains("f"), words.contains(where: { scope.functions[$0] != nil }) || words.isEmpty {
            throw UsageError(
                "\(name): -f: what a function does is not written here; -F says whether it is there")
        }
        var isKnown = true
        for word in words.isEmpty ? scope.functions.keys.sorted()[...] : words {
            if scope.functions[word] == nil {
                isKnown = false
            } else {
                invocation.process.print(words.isEmpty ? "declare -f \(word)" : word)
            }
        }
        return .done(isKnown ? 0 : 1)
    }

    /// `declare -p`
    private static func show(
        _ name: String, _ words: [String], _ wanted: VariableAttributes, _ scope: VariableScope,
        _ process: Process
    ) -> Outcome {
        var isKnown = true
        let all = Set(scope.values.keys).union(scope.arrays.keys).filter {
            wanted.isEmpty || scope.hasAttributes($0, wanted)
        }
        for word in words.isEmpty ? all.sorted() : words {
            let array = scope.arrays[word]
            guard array != nil || scope.value(of: word) != nil else {
                process.complain("\(word): not found")
                isKnown = false
                continue
            }
            let flags = ShellQuoting.flags(scope.attributes[word] ?? [], array)
            let text: String
            if let array {
                let elements = array.keys.map { "[\($0)]=\(ShellQuoting.declared(array[$0] ?? ""))" }
                text =
                    "(" + elements.joined(separator: " ")
                    + (array.isAssociative && array.count > 0 ? " " : "") + ")"
            } else {
                text = ShellQuoting.declared(scope.value(of: word) ?? "")
            }
            process.print("declare -\(flags.isEmpty ? "-" : flags) \(word)=\(text)")
        }
        return .done(isKnown ? 0 : 1)
    }

    private static var letCommand: Command {
        let description = describe(
            "let", "computes sums", usage: "SUM…", examples: ["let x=1+2 'y = x * 2'; echo $y"],
            details: "The status is 1 where the last one is 0. ((…)) needs no quotes.")
        return Command(description) { invocation in
            let shell = try shell(invocation)
            guard !invocation.arguments.arguments.isEmpty else {
                throw UsageError("let: which sum? let x=1+2")
            }
            var last = 0
            for word in invocation.arguments.arguments {
                do throws(Arithmetic.Failure) { last = try Arithmetic(word).value(in: shell.scope) } catch {
                    throw CommandFailure("\(Arithmetic.quoted(word)): \(error.text)", status: 1)
                }
            }
            return .done(last == 0 ? 1 : 0)
        }
    }

    private static var trap: Command {
        let description = describe(
            "trap", "says what runs at the end, after a failure, or for a signal",
            usage: "[-p] [SCRIPT|-] [NAME…]",
            examples: ["trap 'rm -f $file' EXIT", "trap 'echo failed at line $LINENO' ERR"],
            details: """
                EXIT when the shell ends, ERR after a command that fails and is no condition;
                INT, TERM, HUP, USR1 and USR2 instead of the end of what runs. An empty text
                is nothing at all, - takes it away. There is no DEBUG and no RETURN.
                """)
        return Command(description) { invocation in
            let shell = try shell(invocation)
            var words = invocation.arguments.arguments[...]
            func name(_ word: String) throws -> String {
                let upper = word.uppercased()
                if upper == "EXIT" || upper == "0" { return "EXIT" }
                if upper == "ERR" { return "ERR" }
                if ["QUIT", "SIGQUIT", "3", "PIPE", "SIGPIPE", "13", "ALRM", "SIGALRM", "14"].contains(
                    upper)
                {
                    return ""
                }
                guard let signal = Signal(parsing: word), ![.kill, .stop, .power].contains(signal) else {
                    throw UsageError(
                        "trap: '\(word)' is not known here; there are EXIT, ERR, INT, TERM, HUP, USR1 and USR2")
                }
                return signal.rawValue
            }
            if words.first == "-p" || words.isEmpty {
                words = words.dropFirst()
                let wanted = try words.map(name)
                let order = ["EXIT", "HUP", "INT", "USR1", "USR2", "TERM", "CONT", "ERR"]
                for key in order where wanted.isEmpty || wanted.contains(key) {
                    guard let script = shell.scope.traps[key] else { continue }
                    let shown = key == "EXIT" || key == "ERR" ? key : "SIG" + key
                    invocation.process.print("trap -- \(ShellQuoting.quoted(script)) \(shown)")
                }
                return .success
            }
            if words.first == "-l" {
                throw UsageError("trap: -l is not known here; help trap names the signals")
            }
            if words.first == "--" { words.removeFirst() }
            guard let script = words.popFirst() else { return .success }
            // One word alone is a name whose trap goes.
            guard !words.isEmpty else {
                shell.scope.traps[try name(script)] = nil
                return .success
            }
            if script != "-" {
                guard script.utf8.count <= 64 << 10 else {
                    throw CommandFailure("a script of more than 64 KiB")
                }
                do throws(SyntaxError) { _ = try Parser.parse(script) } catch {
                    throw CommandFailure("\(error)", status: 2)
                }
            }
            for word in words {
                let key = try name(word)
                if !key.isEmpty { shell.scope.traps[key] = script == "-" ? nil : script }
            }
            return .success
        }
    }

    private static func mapfile(_ name: String) -> Command {
        let description = CommandDescription(
            name, "takes the lines of what it is given into an array",
            usage: "[-t] [-d CHAR] [-n N] [-s N] [ARRAY]",
            flags: [
                .init("strip", "t", "without the lines' ends"),
                .init("delimiter", "d", .text("CHAR"), "what ends a line, instead of a newline"),
                .init("count", "n", .integer(0...100_000), "no more than so many; 0: all"),
                .init("skip", "s", .integer(0...1_000_000_000), "passes over so many first"),
                .init(
                    "origin", "O", .integer(0...100_000),
                    "the subscript of the first; the array keeps its others"),
            ],
            arguments: .init([.text], 0...1),
            examples: ["\(name) -t lines < nodes.txt; echo ${#lines[@]}"],
            group: .session, details: "Without a name: MAPFILE.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let array = try self.name(arguments.arguments.first ?? "MAPFILE", of: name)
            return .running(LinesRead(invocation.process, try shell(invocation), array, arguments))
        }
    }

    /// Reads all there is.
    private final class LinesRead: Program {
        private let process: Process
        private unowned let shell: Execution
        private let array: String
        private let arguments: ParsedArguments
        private var bytes: [UInt8] = []

        init(_ process: Process, _ shell: Execution, _ array: String, _ arguments: ParsedArguments) {
            self.process = process
            self.shell = shell
            self.array = array
            self.arguments = arguments
        }

        func start() {
            process.read(
                onBytes: { [weak self] more in
                    guard let self, process.isRunning else { return }
                    bytes += more
                    if bytes.count > VariableScope.limitBytes {
                        process.fail("more than \(byteCountText(VariableScope.limitBytes))", status: 2)
                    }
                }, onEnd: { [weak self] in self?.finish() })
        }

        private func finish() {
            guard process.isRunning else { return }
            let end = arguments.text("delimiter").map { $0.utf8.first ?? 0 } ?? 10
            var lines = bytes.split(separator: end, omittingEmptySubsequences: false)
            let isWhole = lines.last?.isEmpty ?? true
            if isWhole, !lines.isEmpty { lines.removeLast() }
            let count = arguments.integer("count") ?? 0
            let skipped = arguments.integer("skip") ?? 0
            let total = lines.count
            var wanted = Array(lines.enumerated()).dropFirst(skipped)
            if count > 0 { wanted = wanted.prefix(count) }
            let strips = arguments.has("strip")
            var origin = arguments.integer("origin")
            let elements: ArrayElements = wanted.map { index, line in
                let hasEnd = !strips && (index < total - 1 || isWhole)
                let text =
                    String(decoding: line, as: UTF8.self) + (hasEnd ? String(UnicodeScalar(end)) : "")
                defer { origin = origin.map { $0.addingReportingOverflow(1).partialValue } }
                return (origin.map(String.init), text)
            }
            do throws(CommandFailure) {
                if arguments.has("origin") == false {
                    try shell.scope.makeArray(array, isAssociative: false)
                }
                try shell.scope.setArray(array, elements, appends: arguments.has("origin"))
                process.exit(0)
            } catch {
                process.fail(error.description, status: error.status)
            }
        }
    }
}
