import CommandKit
import KernelRegularExpressions
import ShellLanguage

/// Reads a script for `sed` (POSIX, the description of `sed`). What of it is not known here is refused by name.
struct SedParser {
    private let script: String
    private let isExtended: Bool
    private var rest: Substring
    /// The pattern that an empty one, `//`, repeats.
    private var lastExpression: RegularExpression?

    private static let commandLimit = 1000

    static func parse(_ script: String, isExtended: Bool) throws -> [SedCommand] {
        var parser = SedParser(script: script, isExtended: isExtended, rest: script[...])
        var commands: [SedCommand] = []
        while try parser.skipToCommand() {
            commands.append(try parser.command())
            if commands.count > commandLimit { throw parser.failure("more than \(commandLimit) commands") }
        }
        return commands
    }

    private init(script: String, isExtended: Bool, rest: Substring) {
        self.script = script
        self.isExtended = isExtended
        self.rest = rest
    }

    private func failure(_ text: String) -> UsageError {
        UsageError("sed: '\(script)': \(text)")
    }

    private mutating func skipBlanks() { rest = rest.drop { $0 == " " || $0 == "\t" } }

    private mutating func skipToCommand() throws -> Bool {
        while let first = rest.first {
            if first.isWhitespace || first == ";" {
                rest.removeFirst()
            } else if first == "#" {
                rest = rest.drop { !$0.isNewline }
            } else {
                return true
            }
        }
        return false
    }

    private mutating func command() throws -> SedCommand {
        let first = try address()
        var last: SedCommand.Address?
        skipBlanks()
        if first != nil, rest.first == "," {
            rest.removeFirst()
            skipBlanks()
            last = try address(isSecond: true)
            if last == nil { throw failure("nothing follows the comma of an address") }
        }
        skipBlanks()
        var isNegated = false
        while rest.first == "!" {
            rest.removeFirst()
            isNegated = true
            skipBlanks()
        }
        let action = try action()
        return SedCommand(first: first, last: last, isNegated: isNegated && first != nil, action: action)
    }

    private mutating func address(isSecond: Bool = false) throws -> SedCommand.Address? {
        guard let next = rest.first else { return nil }
        if next == "$" {
            rest.removeFirst()
            return .end
        }
        if next == "/" || next == "\\" {
            rest.removeFirst()
            let delimiter = next == "/" ? "/" : rest.popFirst() ?? "/"
            let pattern = try text(until: delimiter, keepsEscapes: true)
            let ignoresCase = rest.first == "I"
            if ignoresCase { rest.removeFirst() }
            return .pattern(try expression(pattern, ignoresCase: ignoresCase))
        }
        let isRelative = isSecond && next == "+"
        if isRelative { rest.removeFirst() }
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        if digits.isEmpty { return nil }
        rest = rest.dropFirst(digits.count)
        guard let number = Int(digits) else { throw failure("'\(digits)' is not the number of a line") }
        return isRelative ? .following(number) : .line(number)
    }

    /// Text up to a delimiter, which is taken.
    private mutating func text(until delimiter: Character, keepsEscapes: Bool) throws -> String {
        var text = ""
        var isInBrackets = false
        while let character = rest.popFirst() {
            if character == delimiter, !isInBrackets || !keepsEscapes { return text }
            if character == "\\", let next = rest.first {
                rest.removeFirst()
                // A delimiter behind a backslash is itself.
                if next == delimiter { text.append(next) } else { text += "\\\(next)" }
                continue
            }
            if keepsEscapes { isInBrackets = character == "[" || isInBrackets && character != "]" }
            text.append(character)
        }
        throw failure("a '\(delimiter)' is missing")
    }

    private mutating func expression(_ pattern: String, ignoresCase: Bool) throws -> RegularExpression {
        if pattern.isEmpty {
            guard let lastExpression else { throw failure("an empty pattern, and none before it to repeat") }
            return lastExpression
        }
        do {
            var options = RegularExpression.Options()
            options.ignoresCase = ignoresCase
            let pattern = pattern.replacing("\\n", with: "\n").replacing("\\t", with: "\t")
            let made = try RegularExpression(pattern, isExtended ? .extended : .basic, options)
            lastExpression = made
            return made
        } catch {
            throw failure("\(error)")
        }
    }

    // MARK: Commands

    private mutating func action() throws -> SedCommand.Action {
        guard let name = rest.popFirst() else { throw failure("an address without a command") }
        switch name {
        case "s": return .substitute(try substitution())
        case "y": return .translate(try translation())
        case "a", "i", "c": return try lines(name)
        case "d", "p", "=", "q":
            skipBlanks()
            let digits = name == "q" ? rest.prefix { $0.isASCII && $0.isNumber } : ""
            rest = rest.dropFirst(digits.count)
            try endCommand(name)
            guard let code = digits.isEmpty ? 0 : Int32(digits), code <= 255 else {
                throw failure("'\(digits)' is not a status of 0 to 255")
            }
            return name == "d" ? .delete : name == "p" ? .print : name == "=" ? .number : .quit(code)
        case "{", "}", "b", "t", "T", ":", "n", "N", "D", "P", "h", "H", "g", "G", "x", "w", "r", "l":
            throw failure("the command '\(name)' is not known here; there are s y d p q = a i c")
        default: throw failure("'\(name)' is not a command; there are s y d p q = a i c")
        }
    }

    private mutating func endCommand(_ name: Character) throws {
        skipBlanks()
        guard let next = rest.first, next != ";", !next.isNewline, next != "#" else { return }
        throw failure("'\(next)' behind '\(name)'")
    }

    private mutating func delimiter(_ name: Character) throws -> Character {
        guard let delimiter = rest.popFirst(), !delimiter.isNewline, delimiter != "\\" else {
            throw failure("'\(name)' needs a delimiter, as in \(name)/a/b/")
        }
        return delimiter
    }

    private mutating func substitution() throws -> SedSubstitution {
        let delimiter = try delimiter("s")
        let pattern = try text(until: delimiter, keepsEscapes: true)
        let replacement = try text(until: delimiter, keepsEscapes: false)
        var isGlobal = false
        var prints = false
        var ignoresCase = false
        var digits = ""
        while let flag = rest.first, flag.isASCII, flag.isLetter || flag.isNumber {
            switch flag {
            case "g": isGlobal = true
            case "p": prints = true
            case "I", "i": ignoresCase = true
            case "0"..."9": digits.append(flag)
            default: throw failure("the flag '\(flag)' of 's' is not known here; there are g, p, I and a number")
            }
            rest.removeFirst()
        }
        try endCommand("s")
        guard let occurrence = digits.isEmpty ? 1 : Int(digits), occurrence > 0 else {
            throw failure("'\(digits)' is not the number of a match")
        }
        let expression = try expression(pattern, ignoresCase: ignoresCase)
        let pieces = try pieces(replacement, expression)
        return SedSubstitution(
            expression: expression, pieces: pieces, occurrence: occurrence, isGlobal: isGlobal, prints: prints)
    }

    private func pieces(_ text: String, _ expression: RegularExpression) throws -> [SedSubstitution.Piece] {
        var pieces: [SedSubstitution.Piece] = []
        var plain: [UInt8] = []
        func flush() { if !plain.isEmpty { pieces.append(.text(plain)); plain = [] } }
        var rest = text[...]
        while let character = rest.popFirst() {
            if character == "&" {
                flush()
                pieces.append(.group(0))
            } else if character == "\\", let next = rest.popFirst() {
                if let number = next.wholeNumberValue, next.isASCII {
                    guard number <= expression.groupCount else {
                        throw failure("\\\(number): the pattern has \(expression.groupCount) groups")
                    }
                    flush()
                    pieces.append(.group(number))
                } else if "nt".contains(next) {
                    plain.append(next == "n" ? 10 : 9)
                } else if let letterCase = SedSubstitution.LetterCase(rawValue: next) {
                    flush()
                    pieces.append(.letterCase(letterCase))
                } else {
                    plain += Array(String(next).utf8)
                }
            } else {
                plain += Array(String(character).utf8)
            }
        }
        flush()
        return pieces
    }

    private mutating func translation() throws -> [UInt8] {
        let delimiter = try delimiter("y")
        let sets = try [text(until: delimiter, keepsEscapes: false), text(until: delimiter, keepsEscapes: false)].map {
            EscapeSequences.resolve($0, .format)
        }
        try endCommand("y")
        guard sets[0].count == sets[1].count else { throw failure("the two sides of 'y' are not of one length") }
        var map = (0...255).map { UInt8($0) }
        for (from, to) in zip(sets[0], sets[1]) { map[Int(from)] = to }
        return map
    }

    /// `a text`, or `a\` and the text on the next line.
    private mutating func lines(_ name: Character) throws -> SedCommand.Action {
        skipBlanks()
        if rest.first == "\\" {
            rest.removeFirst()
            if rest.first?.isNewline == true { rest.removeFirst() }
        }
        let text = rest.prefix { !$0.isNewline }
        rest = rest.dropFirst(text.count)
        if text.isEmpty { throw failure("'\(name)' needs a text") }
        let bytes = Array(text.utf8)
        return name == "a" ? .append(bytes) : name == "i" ? .insert(bytes) : .change(bytes)
    }
}
