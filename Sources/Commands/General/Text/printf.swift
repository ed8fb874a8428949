import CommandKit
import Glibc
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var printf: Command {
        let description = CommandDescription(
            "printf", "writes its words in a format", usage: "[-v NAME] [--] FORMAT [WORD…]",
            arguments: .init([.text], 1...100_000, isRaw: true),
            examples: ["printf '%s has %d\\n' Alice 3", "printf -v name 'node-%02d' 7"], group: .files,
            details: """
                %(%F %T)T is a time, of seconds since 1970, or -1 for now.
                %s %b %q %c %d %i %u %x %X %o %f %e %g %%, with flags, width and precision,
                which may be *; the format is used again while words are left. -v gives a
                variable what would be written.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let variable = try target(&words)
            guard let format = words.popFirst() else { throw UsageError("printf: which format?") }
            var bytes: [UInt8] = []
            var isCut = false
            repeat {
                let before = words.count
                let piece = try Formatter.format(format, &words, now: invocation.session.world.now)
                bytes += piece.bytes
                isCut = piece.isCut
                if words.count == before { break }
            } while !words.isEmpty && !isCut
            if let variable {
                try invocation.process.setVariable(variable, String(decoding: bytes, as: UTF8.self))
            } else {
                invocation.process.output.write(bytes)
            }
            return .success
        }
    }

    /// Takes the flags: the variable of `-v`, if there is one.
    private static func target(_ words: inout ArraySlice<String>) throws -> String? {
        var variable: String?
        while let word = words.first, word.hasPrefix("-"), word.count > 1 {
            words.removeFirst()
            if word == "--" { break }
            guard word.hasPrefix("-v") else {
                throw UsageError("printf: unknown flag \(word); a format that begins with - stands behind --")
            }
            guard let name = word.count > 2 ? String(word.dropFirst(2)) : words.popFirst() else {
                throw UsageError("printf: -v needs the name of a variable")
            }
            variable = name
        }
        return variable
    }
}

/// The formats of `printf`.
enum Formatter {
    /// - Returns: what the format makes of the next words, and whether `\c` in a `%b` has ended all output.
    static func format(
        _ format: String, _ words: inout ArraySlice<String>, now: LabTime
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
            field.flags = String(flags)
            if let width = try size(&rest, &words) {
                // As in C, a width of less than 0 fills up on the right.
                if width < 0 { field.flags += "-" }
                field.width = width == .min ? .max : abs(width)
            }
            if rest.first == "." {
                rest.removeFirst()
                let precision = try size(&rest, &words) ?? 0
                field.precision = precision < 0 ? nil : precision
            }
            if rest.first == "(", let end = rest.firstIndex(of: ")"), rest[end...].dropFirst().first == "T" {
                let style = String(rest[rest.index(after: rest.startIndex)..<end])
                rest = rest[rest.index(end, offsetBy: 2)...]
                let text = try moment(words.popFirst(), style.isEmpty ? "%T" : style, now)
                result += Array(field.padded(text).utf8)
                continue
            }
            // How long C's numbers are matters to nobody here.
            rest = rest.drop { "hlLjzt".contains($0) }
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

    /// `%(…)T`: seconds since 1970; -1, as nothing, is now.
    private static func moment(_ word: String?, _ format: String, _ now: LabTime) throws -> String {
        let seconds = try word.map { try integer($0) } ?? -1
        if seconds < 0 { return try DateFormat.text(now, format) }
        guard seconds < 9_000_000_000 else { throw UsageError("printf: \(seconds) is no time") }
        return try DateFormat.text(LabTime(nanoseconds: Int64(seconds) * 1_000_000_000), format)
    }

    /// A width or a precision: digits, or `*` for the next word; nil if there is none.
    private static func size(_ rest: inout Substring, _ words: inout ArraySlice<String>) throws -> Int? {
        if rest.first == "*" {
            rest.removeFirst()
            return try integer(words.popFirst())
        }
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(digits.count)
        return digits.isEmpty ? nil : Int(digits) ?? .max
    }

    /// What stands between the `%` and the letter.
    private struct Field {
        var flags = ""
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
        case "f", "F", "e", "E", "g", "G", "a", "A":
            guard let value = (word ?? "").isEmpty ? 0 : Double(word!) else {
                throw UsageError("printf: '\(word!)' is not a number")
            }
            return decimal(value, conversion, field)
        case "q":
            let text = word ?? ""
            return field.padded(shellWord(field.precision.map { String(text.prefix($0)) } ?? text))
        default: throw UsageError("printf: unknown conversion %\(conversion)")
        }
    }

    /// Decimal, `0x` hexadecimal, or octal behind a 0.
    private static func integer(_ word: String?) throws -> Int {
        guard let word, !word.isEmpty else { return 0 }
        // `'a`: the number of the character.
        if let quote = word.first, "'\"".contains(quote) {
            return word.dropFirst().unicodeScalars.first.map { Int($0.value) } ?? 0
        }
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

    /// As C writes it: what lies exactly in the middle goes to the even digit, 2.25 to 2.2.
    private static func decimal(_ value: Double, _ conversion: Character, _ field: Field) -> String {
        let width = field.width > 0 ? String(field.width) : ""
        let format = "%\(field.flags)\(width)\(field.precision.map { ".\($0)" } ?? "")\(conversion)"
        // The widest: a number of 309 digits with all that may follow its point.
        let capacity = max(field.width, 400 + (field.precision ?? 6)) + 1
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            _ = withVaList([value]) { vsnprintf(start, capacity, format, $0) }
            return String(cString: start)
        }
    }

    /// A text as a word that the shell reads as that text.
    private static func shellWord(_ text: String) -> String {
        if text.isEmpty { return "''" }
        if text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) {
            return "$'" + text.unicodeScalars.map(escaped).joined() + "'"
        }
        var word = ""
        for character in text {
            let isSpecial = " !\"$&'()*,;<>?[\\]^`{|}".contains(character)
            // At these places they would be a comment or a home directory.
            let isSpecialHere =
                character == "#" && word.isEmpty || character == "~" && (word.isEmpty || ":=".contains(word.last!))
            if isSpecial || isSpecialHere { word.append("\\") }
            word.append(character)
        }
        return word
    }

    private static let escapes: [Unicode.Scalar: String] = [
        "\n": "\\n", "\t": "\\t", "\r": "\\r", "\u{7}": "\\a", "\u{8}": "\\b", "\u{B}": "\\v",
        "\u{C}": "\\f", "\u{1B}": "\\E", "\\": "\\\\", "'": "\\'",
    ]

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        if let known = escapes[scalar] { return known }
        guard scalar.value < 32 || scalar.value == 127 else { return String(scalar) }
        return "\\" + padded(String(scalar.value, radix: 8), 3)
    }

    private static func padded(_ digits: String, _ count: Int) -> String {
        String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
}
