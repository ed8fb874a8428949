import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var echo: Command {
        let description = CommandDescription(
            "echo", "writes its words", usage: "[-n] [-e] WORD…", arguments: .init([.text], 0...100_000, isRaw: true),
            examples: ["echo hello > greeting.txt", "echo -n no newline"], group: .files,
            details: "-n leaves out the newline, -e understands \\n \\t \\\\ and the like.")
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            var newline = true
            var escapes = false
            while let first = words.first, first.count > 1, first.first == "-",
                first.dropFirst().allSatisfy({ "neE".contains($0) })
            {
                words.removeFirst()
                if first.contains("n") { newline = false }
                if first.contains("e") { escapes = true }
            }
            let text = words.joined(separator: " ")
            let (bytes, isCut) = escapes ? EscapeSequences.scan(text, .echo) : (Array(text.utf8), false)
            invocation.process.output.write(newline && !isCut ? bytes + [10] : bytes)
            return .success
        }
    }

    static var test: Command { condition("test", "whether something holds, as a status") }
    static var bracket: Command { condition("[", "whether something holds, as a status: [ -f out.txt ]") }

    private static func condition(_ name: String, _ summary: String) -> Command {
        let close = name == "[" ? " ]" : ""
        let description = CommandDescription(
            name, summary, usage: "CONDITION" + close, arguments: .init([.text], 0...100, isRaw: true),
            examples: ["\(name) -f out.txt\(close) && cat out.txt", "\(name) $i -lt 5\(close)"], group: .files,
            details: """
                -e -f -d -s FILE; -n -z TEXT; A = B, A != B; A -eq -ne -lt -le -gt -ge B;
                -r -w -x FILE as -e; -L -h -p -S -b -c -u -g -k FILE: never; A -ef B: one file.
                -t 0, -t 1, -t 2: at a terminal; -v NAME: a variable with a value; -o OPTION.
                ! CONDITION; CONDITION -a CONDITION, CONDITION -o CONDITION; \\( CONDITION \\).
                Files have no times here: there is no -nt and no -ot. Transcripts are tested
                from outside, by sdlab test FILE…; see help transcripts.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            if name == "[", words.popLast() != "]" { throw UsageError("[: the closing ] is missing") }
            var negated = false
            // With a comparison in the middle, what stands before it is a text, even if it is "!".
            let compares = words.count == 3 && isComparison(words[words.startIndex + 1])
            while !compares, words.first == "!" {
                words.removeFirst()
                negated.toggle()
            }
            let holds = try evaluate(Array(words), invocation, name)
            return .done(holds != negated ? 0 : 1)
        }
    }

    private static func isComparison(_ word: String) -> Bool {
        ["=", "==", "!=", "<", ">"].contains(word) || FileTest.compare(0, word, 0) != nil
    }

    private static func evaluate(_ words: [String], _ invocation: Invocation, _ name: String) throws -> Bool {
        switch words.count {
        case 0: return false
        case 1: return !words[0].isEmpty
        case 2 where ["-t", "-v", "-o"].contains(words[0]):
            return try invocation.process.holds(words[0], words[1])
        case 2:
            if words[0] == "!" { return words[1].isEmpty }
            guard let holds = FileTest.unary(words[0], words[1], invocation.session.files) else {
                throw UsageError("\(name): unknown condition '\(words[0])'; see help test")
            }
            return holds
        case 3 where isComparison(words[1]): return try compare(words, name)
        case 3 where words[1] == "-ef":
            let files = invocation.session.files
            return files.exists(words[0]) && files.absolute(words[0]) == files.absolute(words[2])
        case 3 where words[1] == "-nt" || words[1] == "-ot":
            throw UsageError("\(name): \(words[1]): files have no times here; keep a time in a variable: $SECONDS")
        case 3 where words[0] == "(" && words[2] == ")": return !words[1].isEmpty
        default: return try combined(words, invocation, name)
        }
    }

    /// `A -o B`, `A -a B`, `! A` and `( A )`; -a binds stronger.
    private static func combined(_ words: [String], _ invocation: Invocation, _ name: String) throws -> Bool {
        var rest = words[...]
        let holds = try disjunction(&rest, invocation, name)
        guard let word = rest.first else { return holds }
        if words.count == 3 { throw UsageError("\(name): unknown comparison '\(words[1])'; see help test") }
        throw UsageError("\(name): '\(word)' is one word too many; quote what has blanks")
    }

    private static func disjunction(
        _ rest: inout ArraySlice<String>, _ invocation: Invocation, _ name: String
    ) throws -> Bool {
        var holds = try conjunction(&rest, invocation, name)
        while rest.first == "-o" {
            rest.removeFirst()
            let other = try conjunction(&rest, invocation, name)
            holds = holds || other
        }
        return holds
    }

    private static func conjunction(
        _ rest: inout ArraySlice<String>, _ invocation: Invocation, _ name: String
    ) throws -> Bool {
        var holds = try primary(&rest, invocation, name)
        while rest.first == "-a" {
            rest.removeFirst()
            let other = try primary(&rest, invocation, name)
            holds = holds && other
        }
        return holds
    }

    private static func primary(
        _ rest: inout ArraySlice<String>, _ invocation: Invocation, _ name: String
    ) throws -> Bool {
        let words = Array(rest.prefix(3))
        guard let first = words.first else { throw UsageError("\(name): a condition is missing; see help test") }
        // With a comparison in the middle, what stands before it is a text, whatever it is.
        if words.count == 3, isComparison(words[1]) || ["-ef", "-nt", "-ot"].contains(words[1]) {
            rest = rest.dropFirst(3)
            return try evaluate(words, invocation, name)
        }
        rest.removeFirst()
        if first == "!" { return try !primary(&rest, invocation, name) }
        if first == "(" {
            let holds = try disjunction(&rest, invocation, name)
            guard rest.popFirst() == ")" else { throw UsageError("\(name): a ( without its )") }
            return holds
        }
        let isTest = ["-t", "-v", "-o"].contains(first)
        if words.count > 1, isTest || FileTest.unary(first, "", invocation.session.files) != nil {
            return try evaluate([first, rest.removeFirst()], invocation, name)
        }
        return !first.isEmpty
    }

    private static func compare(_ words: [String], _ name: String) throws -> Bool {
        switch words[1] {
        case "=", "==": return words[0] == words[2]
        case "!=": return words[0] != words[2]
        case "<": return words[0] < words[2]
        case ">": return words[0] > words[2]
        default: break
        }
        guard let a = Int(words[0].trimmingBlanks), let b = Int(words[2].trimmingBlanks) else {
            let wrong = Int(words[0].trimmingBlanks) == nil ? words[0] : words[2]
            throw UsageError("\(name): '\(wrong)' is not a whole number")
        }
        return FileTest.compare(a, words[1], b) ?? false
    }
}
