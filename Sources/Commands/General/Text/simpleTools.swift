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

    static var printf: Command {
        let description = CommandDescription(
            "printf", "writes its words in a format", usage: "FORMAT [WORD…]",
            arguments: .init([.text], 1...100_000, isRaw: true),
            examples: ["printf '%s has %d\\n' Alice 3"], group: .files,
            details: """
                %s %b %c %d %i %u %x %X %o %f %%, with flags, width and precision; the format is
                used again while words are left.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            var rest = words.dropFirst()
            var bytes: [UInt8] = []
            var isCut = false
            repeat {
                let before = rest.count
                let piece = try Formatter.format(words[0], &rest)
                bytes += piece.bytes
                isCut = piece.isCut
                if rest.count == before { break }
            } while !rest.isEmpty && !isCut
            invocation.process.output.write(bytes)
            return .success
        }
    }

    static var seq: Command {
        let description = CommandDescription(
            "seq", "counts", usage: "[FIRST [STEP]] LAST", arguments: .init([.text], 1...3, isRaw: true),
            examples: ["seq 3", "seq 10 -2 0"], group: .files)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            let numbers = try words.map { word -> Int in
                guard let number = Int(word) else { throw UsageError("seq: '\(word)' is not a whole number") }
                return number
            }
            let step = numbers.count == 3 ? numbers[1] : 1
            if step == 0 { throw UsageError("seq: a step of 0 leads nowhere") }
            return .running(
                Counting(invocation.process, from: numbers.count > 1 ? numbers[0] : 1, to: numbers.last!, step: step))
        }
    }

    private final class Counting: Program {
        private let process: Process
        private var next: Int?
        private let last: Int
        private let step: Int

        init(_ process: Process, from first: Int, to last: Int, step: Int) {
            self.process = process
            next = first
            self.last = last
            self.step = step
        }

        func start() { produce() }

        private func produce() {
            guard process.isRunning else { return }
            var bytes: [UInt8] = []
            while let number = next, step > 0 ? number <= last : number >= last, bytes.count < 16 * 1024 {
                bytes.append(decimal: number)
                bytes.append(10)
                let (sum, overflow) = number.addingReportingOverflow(step)
                next = overflow ? nil : sum
            }
            if bytes.isEmpty { return process.exit(0) }
            process.output.write(bytes)
            if process.output.isBroken { return process.exit(141) }
            if process.output.isCongested {
                process.output.onDrained = { [weak self] in self?.produce() }
            } else {
                process.node.enqueue { [self] in produce() }
            }
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
                ! CONDITION; CONDITION -a CONDITION, CONDITION -o CONDITION.
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
            let holds = try evaluate(Array(words), invocation.session.files, name)
            return .done(holds != negated ? 0 : 1)
        }
    }

    private static func isComparison(_ word: String) -> Bool {
        ["=", "==", "!=", "<", ">"].contains(word) || FileTest.compare(0, word, 0) != nil
    }

    private static func evaluate(_ words: [String], _ files: LabFiles, _ name: String) throws -> Bool {
        switch words.count {
        case 0: return false
        case 1: return !words[0].isEmpty
        case 2:
            if words[0] == "!" { return words[1].isEmpty }
            guard let holds = FileTest.unary(words[0], words[1], files) else {
                throw UsageError("\(name): unknown condition '\(words[0])'; see help test")
            }
            return holds
        case 3 where isComparison(words[1]): return try compare(words, name)
        case 3 where words[0] == "(" && words[2] == ")": return !words[1].isEmpty
        default: return try combined(words, files, name)
        }
    }

    /// `A -o B`, `A -a B`; -a binds stronger.
    private static func combined(_ words: [String], _ files: LabFiles, _ name: String) throws -> Bool {
        for sign in ["-o", "-a"] {
            guard let index = words.dropFirst().dropLast().firstIndex(of: sign) else { continue }
            let first = try evaluate(Array(words[..<index]), files, name)
            let second = try evaluate(Array(words[(index + 1)...]), files, name)
            return sign == "-o" ? first || second : first && second
        }
        if words[0] == "!" { return try !evaluate(Array(words.dropFirst()), files, name) }
        if words.count == 3 {
            throw UsageError("\(name): unknown comparison '\(words[1])'; see help test")
        }
        throw UsageError("\(name): '\(words[3])' is one word too many; quote what has blanks")
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

/// The formats of `printf`.
enum Formatter {
    /// - Returns: what the format makes of the next words, and whether `\c` in a `%b` has ended all output.
    static func format(
        _ format: String, _ words: inout ArraySlice<String>
    ) throws -> (bytes: [UInt8], isCut: Bool) {
        var result: [UInt8] = []
        var rest = format[...]
        while true {
            let plain = rest.prefix { $0 != "%" }
            result += EscapeSequences.resolve(String(plain), .format)
            rest = rest.dropFirst(plain.count)
            guard rest.popFirst() != nil else { return (result, false) }
            if rest.first == "%" {
                rest.removeFirst()
                result.append(UInt8(ascii: "%"))
                continue
            }
            var field = Field()
            let flags = rest.prefix { "-+ 0#".contains($0) }
            rest = rest.dropFirst(flags.count)
            field.flags = flags
            let width = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(width.count)
            field.width = width.isEmpty ? 0 : Int(width) ?? .max
            if rest.first == "." {
                rest.removeFirst()
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(digits.count)
                field.precision = digits.isEmpty ? 0 : Int(digits) ?? .max
            }
            guard let conversion = rest.popFirst() else { throw UsageError("printf: '\(format)' ends within a %") }
            guard field.width <= 10_000, (field.precision ?? 0) <= 1000 else {
                throw UsageError("printf: '\(format)' is too wide")
            }
            guard conversion != "b" else {
                let (bytes, isCut) = EscapeSequences.scan(words.popFirst() ?? "", .echo)
                result += field.padded(bytes)
                if isCut { return (result, true) }
                continue
            }
            result += Array(try convert(conversion, words.popFirst(), field).utf8)
        }
    }

    /// What stands between the `%` and the letter.
    private struct Field {
        var flags: Substring = ""
        var width = 0
        var precision: Int?

        /// In front of a number that is not negative.
        var sign: String { flags.contains("+") ? "+" : flags.contains(" ") ? " " : "" }

        func padded(_ bytes: [UInt8]) -> [UInt8] {
            let shown = precision.map { Array(bytes.prefix($0)) } ?? bytes
            let space = [UInt8](repeating: 32, count: max(0, width - shown.count))
            return flags.contains("-") ? shown + space : space + shown
        }

        func padded(_ text: String) -> String {
            let space = String(repeating: " ", count: max(0, width - displayWidth(text)))
            return flags.contains("-") ? text + space : space + text
        }

        func padded(_ sign: String, digits: String, zeros: Bool) -> String {
            guard zeros, flags.contains("0"), !flags.contains("-") else { return padded(sign + digits) }
            return sign + String(repeating: "0", count: max(0, width - sign.count - digits.count)) + digits
        }

        func number(_ sign: String, _ digits: String) -> String {
            let filled = String(repeating: "0", count: max(0, (precision ?? 1) - digits.count)) + digits
            return padded(sign, digits: filled, zeros: precision == nil)
        }
    }

    private static func convert(_ conversion: Character, _ word: String?, _ field: Field) throws -> String {
        switch conversion {
        case "s": return field.padded(field.precision.map { String((word ?? "").prefix($0)) } ?? word ?? "")
        case "c": return field.padded(String((word ?? "").prefix(1)))
        case "d", "i":
            let value = try integer(word)
            return field.number(value < 0 ? "-" : field.sign, String(value.magnitude))
        case "u", "x", "X", "o":
            // As in C, a negative number is shown as what its bits are without a sign.
            let value = UInt(bitPattern: try integer(word))
            let radix = conversion == "u" ? 10 : conversion == "o" ? 8 : 16
            let isMarked = value != 0 && field.flags.contains("#")
            let mark = !isMarked || radix == 10 ? "" : radix == 8 ? "0" : "0\(conversion)"
            return field.number(mark, String(value, radix: radix, uppercase: conversion == "X"))
        case "f", "F":
            guard let value = (word ?? "").isEmpty ? 0 : Double(word!), value.isFinite else {
                throw UsageError("printf: '\(word!)' is not a number")
            }
            let digits = fixedDecimal(value.magnitude, places: min(field.precision ?? 6, 15))
            return field.padded(value < 0 ? "-" : field.sign, digits: digits, zeros: true)
        default: throw UsageError("printf: unknown conversion %\(conversion)")
        }
    }

    /// Decimal, `0x` hexadecimal, or octal behind a 0.
    private static func integer(_ word: String?) throws -> Int {
        guard let word, !word.isEmpty else { return 0 }
        let digits = word.drop { "+-".contains($0) }
        guard word.count - digits.count <= 1 else { throw UsageError("printf: '\(word)' is not a whole number") }
        let sign = word.hasPrefix("-") ? "-" : ""
        let isHexadecimal = digits.lowercased().hasPrefix("0x")
        let radix = isHexadecimal ? 16 : digits.hasPrefix("0") && digits.count > 1 ? 8 : 10
        guard let number = Int(sign + (isHexadecimal ? digits.dropFirst(2) : digits), radix: radix) else {
            throw UsageError("printf: '\(word)' is not a whole number")
        }
        return number
    }
}
