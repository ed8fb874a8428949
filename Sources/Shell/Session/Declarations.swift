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
            name, summaries[name] ?? "", usage: "[-aAirulxngp] [NAME[=VALUE]…]",
            examples: examples[name] ?? [],
            details: """
                -a an array, -A one with texts as subscripts, -i a whole number, -r only to be
                read, -x exported, -u and -l in large and small letters, -n stands for the
                variable that it names, -p says what they are, -g not the function's own, -F
                whether there are functions of the names. + takes -i -u -l -x -n away. Within
                a function, declare and local are the function's own.
                """)
        return Command(description) { invocation in
            let shell = try shell(invocation)
            var words = invocation.arguments.arguments[...]
            var order = Declared(name: name)
            try order.takeFlags(&words)
            if order.letters.contains("f") || order.letters.contains("F") {
                return try functions(name, words, order.letters, shell.scope, invocation)
            }
            if name == "local", !shell.scope.isInFunction { throw CommandFailure("only within a function") }
            if order.letters.contains("p") || words.isEmpty {
                return show(Array(words), order, shell.scope, invocation.process)
            }
            var status = 0
            for word in words {
                do { try order.declare(word, shell) } catch {
                    invocation.process.complain("\(error)")
                    status = 1
                    if shell.scope.isFull { throw error }
                }
            }
            return .done(status)
        }
    }

    /// What `declare` and its kin are to do with names.
    private struct Declared {
        let name: String
        var given: VariableAttributes = []
        var taken: VariableAttributes = []
        var letters: Set<Character> = []
        private static let known: [Character: VariableAttributes] = [
            "i": .integer, "r": .readOnly, "u": .upper, "l": .lower, "x": .exported,
        ]

        init(name: String) {
            self.name = name
            if name == "readonly" { given = .readOnly }
        }

        mutating func takeFlags(_ words: inout ArraySlice<String>) throws {
            while let word = words.first, let sign = word.first, sign == "-" || sign == "+", word.count > 1 {
                words.removeFirst()
                if word == "--" { break }
                for letter in word.dropFirst() {
                    if let attribute = Self.known[letter] {
                        if sign == "-" { given.insert(attribute) } else { taken.insert(attribute) }
                    } else if "aAgpfFn".contains(letter) {
                        if sign == "-" { letters.insert(letter) } else if letter == "n" { letters.insert("N") }
                    } else if letter != "t" && letter != "I" {
                        throw UsageError("\(name): -\(letter) is not known here; see help \(name)")
                    }
                }
            }
        }

        func declare(_ word: String, _ shell: Execution) throws {
            let scope = shell.scope
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let appends = parts.count == 2 && parts[0].hasSuffix("+")
            let text = String(appends ? parts[0].dropLast() : parts[0])
            // `declare 'a[2]=x'`: an element.
            let element = VariableScope.element(text)
            let target = try Builtins.variableName(element?.base ?? text)
            let isOwn = name != "readonly" && !letters.contains("g") && scope.isInFunction
            if letters.contains("n") || letters.contains("N") {
                return try refer(target, parts.count == 2 ? String(parts[1]) : nil, isOwn: isOwn, scope)
            }
            let isReadOnly = scope.hasAttributes(target, .readOnly)
            if isReadOnly, parts.count == 2 || isOwn || taken.contains(.readOnly) {
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
            // Declared it is, even without a value.
            try scope.add(given.subtracting(.readOnly), to: target)
            if !taken.isEmpty { scope.remove(taken, from: target) }
            defer { if given.contains(.readOnly) { try? scope.add(.readOnly, to: target) } }
            if parts.count == 2 {
                let isList = parts[1].hasPrefix("(") && parts[1].hasSuffix(")") && element == nil
                if isList, scope.arrays[target] != nil { return try elements(word, shell) }
                let full = element.map { "\(target)[\($0.key)]" } ?? target
                let isSum = scope.hasAttributes(target, .integer)
                let old = appends ? scope.value(of: full) ?? "" : ""
                try scope.set(full, appends && isSum ? "\(old.isEmpty ? "0" : old)+(\(parts[1]))" : old + parts[1])
            } else if isOwn, scope.arrays[target] == nil {
                // Without a value it is empty, which a function can rely on.
                try scope.set(target, "")
            }
        }

        /// `declare -a 'a=(1 2)'`: a text that is read as the assignment that it looks like.
        private func elements(_ word: String, _ shell: Execution) throws {
            do throws(SyntaxError) {
                shell.push(.script(try Parser.parse(word), next: 0))
            } catch { throw CommandFailure("\(error.text)") }
        }

        /// `local -n r=$1`: a name that stands for another one.
        private func refer(_ target: String, _ other: String?, isOwn: Bool, _ scope: VariableScope) throws {
            if letters.contains("N") { return scope.dropReference(target) }
            if isOwn {
                scope.shadow(target)
                scope.unset(target)
            }
            let value = other ?? scope.value(of: target) ?? ""
            if value.isEmpty {
                scope.unset(target)
                return try scope.refer(target, to: "")
            }
            _ = try Builtins.variableName(VariableScope.element(value)?.base ?? value)
            guard scope.target(value) != target, value != target else {
                throw CommandFailure("\(target): a name that refers to itself")
            }
            scope.unset(target)
            try scope.refer(target, to: value)
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

    /// `declare -p`, and what is asked for without names.
    private static func show(
        _ words: [String], _ order: Declared, _ scope: VariableScope, _ process: Process
    ) -> Outcome {
        let listing = VariableListing(scope)
        var isKnown = true
        for word in words {
            if let text = listing.declaration(word) {
                process.print(text)
            } else {
                process.complain("\(word): not found")
                isKnown = false
            }
        }
        if !words.isEmpty { return .done(isKnown ? 0 : 1) }
        if order.letters.isDisjoint(with: "paAn"), order.given.isEmpty {
            for line in listing.assignments() { process.print(line) }
            return .success
        }
        for name in listing.names(with: order.given) {
            let array = scope.arrays[name]
            if order.letters.contains("a"), array?.isAssociative != false { continue }
            if order.letters.contains("A"), array?.isAssociative != true { continue }
            if order.letters.contains("n"), scope.references[name] == nil { continue }
            if let text = listing.declaration(name) { process.print(text) }
        }
        return .success
    }

    private static var letCommand: Command {
        let description = describe(
            "let", "computes sums", usage: "SUM…", examples: ["let x=1+2 'y = x * 2'; echo $y"],
            details: "The status is 1 where the last one is 0. ((…)) needs no quotes.")
        return Command(description) { invocation in
            let shell = try shell(invocation)
            guard !invocation.arguments.arguments.isEmpty else {
                throw CommandFailure("which sum? let x=1+2", status: 1)
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

    private static func mapfile(_ name: String) -> Command {
        let description = CommandDescription(
            name, "takes the lines of what it is given into an array",
            usage: "[-t] [-d CHAR] [-n N] [-s N] [ARRAY]",
            flags: [
                .init("strip", "t", "without the lines' ends"),
                .init("delimiter", "d", .text("CHAR"), "what ends a line, instead of a newline"),
                .init("count", "n", .integer(0...100_000), "no more than so many; 0: all"),
                .init("skip", "s", .integer(0...1_000_000_000), "passes over so many first"),
                .init("", "u", .integer(0...255), "from that descriptor"),
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
            let number = arguments.integer("u") ?? 0
            guard let stream = invocation.process.stream(number) else {
                throw CommandFailure("\(number): invalid file descriptor: Bad file descriptor")
            }
            return .running(LinesRead(invocation.process, try shell(invocation), array, arguments, stream))
        }
    }

    /// Reads all there is.
    private final class LinesRead: Program {
        private let process: Process
        private unowned let shell: Execution
        private let array: String
        private let arguments: ParsedArguments
        private let stream: Process.InputStream
        private var bytes: [UInt8] = []

        init(
            _ process: Process, _ shell: Execution, _ array: String, _ arguments: ParsedArguments,
            _ stream: Process.InputStream
        ) {
            self.stream = stream
            self.process = process
            self.shell = shell
            self.array = array
            self.arguments = arguments
        }

        func start() {
            process.read(
                stream,
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
