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
                variable, or an element of an array, what would be written. Of a word that is
                no number, what begins as one counts; the status is then 1.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let variable = try target(&words)
            guard let format = words.popFirst() else { throw UsageError("printf: which format?") }
            var formatter = Formatter(words: words, now: invocation.session.world.now)
            repeat {
                let before = formatter.words.count
                try formatter.write(format)
                if formatter.words.count == before { break }
            } while !formatter.words.isEmpty && !formatter.isCut
            for complaint in formatter.complaints { invocation.process.complain(complaint) }
            if let variable {
                try invocation.process.setVariable(variable, String(decoding: formatter.bytes, as: UTF8.self))
            } else {
                invocation.process.output.write(formatter.bytes)
            }
            return .done(formatter.hasFailed ? 1 : 0)
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
struct Formatter {
    private(set) var words: ArraySlice<String>
    private let now: LabTime
    private(set) var bytes: [UInt8] = []
    /// `\c` in a `%b`, or a format that makes no sense, has ended all output.
    private(set) var isCut = false
    private(set) var hasFailed = false
    /// What was wrong, each once a word; no more than there is room for.
    private(set) var complaints: [String] = []

    init(words: ArraySlice<String>, now: LabTime) {
        self.words = words
        self.now = now
    }

    private mutating func complain(_ text: String, isFailure: Bool = true) {
        if complaints.count < 100 { complaints.append(text) }
        if isFailure { hasFailed = true }
    }

    /// Writes what the format makes of the next words.
    mutating func write(_ format: String) throws {
        var rest = format[...]
        while true {
            let plain = rest.prefix { $0 != "%" }
            bytes += EscapeSequences.resolve(String(plain), .printf)
            rest = rest.dropFirst(plain.count)
            guard rest.popFirst() != nil else { return }
            if rest.first == "%" {
                rest.removeFirst()
                bytes.append(UInt8(ascii: "%"))
                continue
            }
            var field = Field()
            // Thousands stand apart only where a language says so.
            let flags = rest.prefix { "-+ 0#'".contains($0) }
            rest = rest.dropFirst(flags.count)
            field.flags = flags.filter { $0 != "'" }
            if let width = size(&rest) {
                // As in C, a width of less than 0 fills up on the right.
                if width < 0 { field.flags += "-" }
                field.width = width == .min ? .max : abs(width)
            }
            if rest.first == "." {
                rest.removeFirst()
                let precision = size(&rest) ?? 0
                field.precision = precision < 0 ? nil : precision
            }
            if rest.first == "(", let end = rest.firstIndex(of: ")"), rest[end...].dropFirst().first == "T" {
                let style = String(rest[rest.index(after: rest.startIndex)..<end])
                rest = rest[rest.index(end, offsetBy: 2)...]
                let text = try moment(words.popFirst(), style.isEmpty ? "%T" : style)
                bytes += Array(field.padded(text).utf8)
                continue
            }
            // How long C's numbers are matters to nobody here.
            rest = rest.drop { "hlLjzt".contains($0) }
            guard let conversion = rest.popFirst() else {
                complain("'\(format.prefix(60))' ends within a %")
                isCut = true
                return
            }
            guard field.width <= 10_000, (field.precision ?? 0) <= 1000 else {
                throw UsageError("printf: '\(format.prefix(60))' is too wide")
            }
            guard conversion != "b" else {
                let (text, isEnd) = EscapeSequences.scan(words.popFirst() ?? "", .argument)
                bytes += field.padded(text)
                if isEnd {
                    isCut = true
                    return
                }
                continue
            }
            guard "sdiuxXofFeEgGaAcqQ".contains(conversion) else {
                complain("unknown conversion %\(conversion)")
                isCut = true
                return
            }
            if conversion == "c", words.first?.isEmpty ?? true {
                // As C's empty text: its end.
                words = words.dropFirst()
                bytes += field.padded([0])
                continue
            }
            bytes += Array(convert(conversion, words.popFirst(), field).utf8)
        }
    }

    /// `%(…)T`: seconds since 1970; -1, as nothing, is now.
    private mutating func moment(_ word: String?, _ format: String) throws -> String {
        let seconds = word.map { integer($0) } ?? -1
        if seconds < 0 { return try DateFormat.text(now, format) }
        guard seconds < 9_000_000_000 else { throw UsageError("printf: \(seconds) is no time") }
        return try DateFormat.text(LabTime(nanoseconds: Int64(seconds) * 1_000_000_000), format)
    }

    /// A width or a precision: digits, or `*` for the next word; nil if there is none.
    private mutating func size(_ rest: inout Substring) -> Int? {
        if rest.first == "*" {
            rest.removeFirst()
            return integer(words.popFirst())
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

    private mutating func convert(_ conversion: Character, _ word: String?, _ field: Field) -> String {
        switch conversion {
        case "s": return field.padded(field.precision.map { String((word ?? "").prefix($0)) } ?? word ?? "")
        case "c": return field.padded(String((word ?? "").prefix(1)))
        case "d", "i":
            let value = integer(word)
            return field.number(value < 0 ? "-" : field.sign, String(value.magnitude))
        case "u", "x", "X", "o":
            // As in C, a negative number is shown as what its bits are without a sign.
            let value = UInt(bitPattern: integer(word, isUnsigned: true))
            let radix = conversion == "u" ? 10 : conversion == "o" ? 8 : 16
            let isMarked = value != 0 && field.flags.contains("#")
            let mark = !isMarked || radix == 10 ? "" : radix == 8 ? "0" : "0\(conversion)"
            return field.number(mark, String(value, radix: radix, uppercase: conversion == "X"))
        case "f", "F", "e", "E", "g", "G", "a", "A":
            return Self.decimal(number(word), conversion, field)
        default:
            let text = word ?? ""
            return field.padded(Self.shellWord(field.precision.map { String(text.prefix($0)) } ?? text))
        }
    }

    /// `'a` and `"a`: the number of the character; nil for other words.
    private static func code(_ word: String) -> Int? {
        guard let quote = word.first, "'\"".contains(quote) else { return nil }
        return word.dropFirst().unicodeScalars.first.map { Int($0.value) } ?? 0
    }

    /// Decimal, `0x` hexadecimal, or octal behind a 0, as C's `strtoimax` reads it: of a word that goes on as something
    /// else the beginning counts, and a number that does not fit is the nearest that does.
    ///
    /// - Parameter isUnsigned: whether the number's bits are shown without a sign: then it may need all 64.
    private mutating func integer(_ word: String?, isUnsigned: Bool = false) -> Int {
        guard let word, !word.isEmpty else { return 0 }
        if let code = Self.code(word) { return code }
        var rest = Array(word.utf8)[...]
        rest = rest.drop { $0 == 32 || (9...13).contains($0) }
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        func digit(_ byte: UInt8) -> Int {
            switch byte {
            case 48...57: Int(byte) - 48
            case 65...70: Int(byte) - 55
            case 97...102: Int(byte) - 87
            default: 16
            }
        }
        var radix = 10
        if rest.first == 48 {
            radix = 8
            if let sign = rest.dropFirst().first, sign | 32 == UInt8(ascii: "x"),
                rest.dropFirst(2).first.map({ digit($0) < 16 }) ?? false
            {
                radix = 16
                rest = rest.dropFirst(2)
            }
        }
        var value: UInt = 0
        var fits = true
        var hasDigits = false
        while let byte = rest.first, digit(byte) < radix {
            let (high, overflow) = value.multipliedReportingOverflow(by: UInt(radix))
            let (sum, carry) = high.addingReportingOverflow(UInt(digit(byte)))
            if overflow || carry { fits = false }
            value = sum
            hasDigits = true
            rest.removeFirst()
        }
        if !rest.isEmpty || !hasDigits { complain("'\(word.prefix(60))' is not a whole number") }
        if isUnsigned {
            if !fits { complain("'\(word.prefix(60))' does not fit 64 bits", isFailure: false) }
            let bits = fits ? Int(bitPattern: value) : -1
            return isNegative && fits ? 0 &- bits : bits
        }
        guard fits, value <= (isNegative ? UInt(Int.max) + 1 : UInt(Int.max)) else {
            complain("'\(word.prefix(60))' does not fit 64 bits", isFailure: false)
            return isNegative ? .min : .max
        }
        return isNegative ? 0 &- Int(bitPattern: value) : Int(bitPattern: value)
    }

    /// As C's `strtod` reads it.
    private mutating func number(_ word: String?) -> Double {
        guard let word, !word.isEmpty else { return 0 }
        if let code = Self.code(word) { return Double(code) }
        return word.withCString { start in
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            if end.map({ UnsafePointer($0) == start || $0.pointee != 0 }) ?? true {
                complain("'\(word.prefix(60))' is not a number")
            }
            return value
        }
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
        if let escaped = ShellQuoting.escaped(text) { return escaped }
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
}
