import CommandKit
import KernelRegularExpressions
import ShellLanguage

/// Reads a script for `sed` (POSIX, the description of `sed`). What of it is not known here is refused by name.
struct SedParser {
    private let script: String
    private let isExtended: Bool
    private var rest: Substring
    private var commands: [SedCommand] = []
    /// Indices of the blocks that are open, the innermost last.
    private var open: [Int] = []
    private var labels: [String: Int] = [:]
    /// Commands that lead to a label, which may follow.
    private var branches: [(index: Int, label: String)] = []
    private var outputs: [String] = []

    private static let commandLimit = 1000
    private static let outputLimit = 32

    static func parse(_ script: String, isExtended: Bool) throws -> SedProgram {
        var parser = SedParser(script: script, isExtended: isExtended, rest: script[...])
        while try parser.skipToCommand() {
            try parser.command()
            if parser.commands.count > commandLimit { throw parser.failure("more than \(commandLimit) commands") }
        }
        if !parser.open.isEmpty { throw parser.failure("a '{' without its '}'") }
        for (index, label) in parser.branches {
            guard let target = label.isEmpty ? parser.commands.count : parser.labels[label] else {
                throw parser.failure("there is no label '\(label)'")
            }
            switch parser.commands[index].action {
            case .branchIfReplaced(_, let wanted): parser.commands[index].action = .branchIfReplaced(target, wanted)
            default: parser.commands[index].action = .branch(target)
            }
        }
        return SedProgram(
            commands: parser.commands, outputs: parser.outputs, isQuiet: script == "#n" || script.hasPrefix("#n\n"))
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

    private mutating func command() throws {
        let first = try address()
        var last: SedCommand.Address?
        skipBlanks()
        if first != nil, rest.first == "," {
            rest.removeFirst()
            skipBlanks()
            last = try address(isSecond: true)
            if last == nil { throw failure("nothing follows the comma of an address") }
        }
        if case .line(0)? = first {
            guard case .pattern? = last else { throw failure("line 0 is only for 0,/PATTERN/; lines count from 1") }
        }
        skipBlanks()
        var isNegated = false
        while rest.first == "!" {
            rest.removeFirst()
            isNegated = true
            skipBlanks()
        }
        if rest.first == "}" {
            rest.removeFirst()
            guard first == nil, let begin = open.popLast() else { throw failure("a '}' without its '{'") }
            commands[begin].action = .block(end: commands.count)
            return try endCommand("}")
        }
        let action = try action()
        if case .label = action {
            guard first == nil else { throw failure("a label takes no address") }
            return
        }
        commands.append(SedCommand(first: first, last: last, isNegated: isNegated, action: action))
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
            var options = RegularExpression.Options()
            while let flag = rest.first, flag == "I" || flag == "M" {
                rest.removeFirst()
                if flag == "I" { options.ignoresCase = true } else { options.matchesLines = true }
            }
            return .pattern(try expression(pattern, options))
        }
        let isRelative = isSecond && (next == "+" || next == "~")
        if isRelative { rest.removeFirst() }
        guard let number = try lineNumber() else { return nil }
        if isRelative { return next == "+" ? .following(number) : .multiple(number) }
        guard rest.first == "~" else { return .line(number) }
        rest.removeFirst()
        return .step(number, try lineNumber() ?? 0)
    }

    /// nil if no digit comes next.
    private mutating func lineNumber() throws -> Int? {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        if digits.isEmpty { return nil }
        rest = rest.dropFirst(digits.count)
        guard let number = Int(digits) else { throw failure("'\(digits)' is not the number of a line") }
        return number
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

    /// nil for an empty pattern: which one it repeats is known once it runs.
    private func expression(_ pattern: String, _ options: RegularExpression.Options) throws -> LineExpression? {
        if pattern.isEmpty { return nil }
        do {
            return try LineExpression(Self.escaped(pattern), isExtended ? .extended : .basic, options)
        } catch {
            throw failure("\(error)")
        }
    }

    private static let controls: [Character: UInt8] = ["n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7]

    /// GNU's `\x41`, `\o101` and `\d065`: nil where it is something else, and then nothing is taken.
    private static func byte(_ letter: Character, _ rest: inout Substring) -> UInt8? {
        guard let (radix, count) = ["x": (16, 2), "o": (8, 3), "d": (10, 3)][letter] else { return nil }
        let digits = rest.prefix(count).prefix { $0.isASCII && Int(String($0), radix: radix) != nil }
        guard !digits.isEmpty, letter != "d" || digits.count == 3, let value = Int(digits, radix: radix) else {
            return nil
        }
        rest = rest.dropFirst(digits.count)
        return UInt8(truncatingIfNeeded: value)
    }

    /// The pattern with the bytes that escapes stand for, which mean themselves.
    private static func escaped(_ pattern: String) -> String {
        var result = ""
        var rest = pattern[...]
        while let character = rest.popFirst() {
            guard character == "\\", let next = rest.popFirst() else {
                result.append(character)
                continue
            }
            if let control = controls[next] {
                result.unicodeScalars.append(UnicodeScalar(control))
            } else if let byte = byte(next, &rest), byte < 128 {
                let scalar = Character(UnicodeScalar(byte))
                let isSign = "\\.[]*$/+?(){}|".contains(scalar)
                result += scalar == "^" ? "\\^" : isSign ? "[\(scalar)]" : String(scalar)
            } else {
                result += "\\\(next)"
            }
        }
        return result
    }

    // MARK: Commands

    private mutating func action() throws -> SedCommand.Action {
        guard let name = rest.popFirst() else { throw failure("an address without a command") }
        switch name {
        case "s": return .substitute(try substitution())
        case "y": return .translate(try translation())
        case "a", "i", "c": return try lines(name)
        case "r", "w": return try file(name)
        case "{":
            open.append(commands.count)
            return .block(end: 0)
        case ":":
            skipBlanks()
            // As in GNU's, a semicolon ends it, and so does a blank.
            let label = rest.prefix { !$0.isWhitespace && $0 != ";" }
            rest = rest.dropFirst(label.count)
            if label.isEmpty { throw failure("a label without a name") }
            labels[String(label)] = commands.count
            return .label
        case "b", "t", "T":
            skipBlanks()
            let label = rest.prefix { !$0.isWhitespace && $0 != ";" && $0 != "}" }
            rest = rest.dropFirst(label.count)
            try endCommand(name)
            branches.append((commands.count, String(label)))
            return name == "b" ? .branch(0) : .branchIfReplaced(0, name == "t")
        case "q", "Q", "l":
            skipBlanks()
            let number = try lineNumber()
            try endCommand(name)
            if name == "l" { return .list(width: number ?? 70) }
            guard let code = Int32(exactly: number ?? 0), code <= 255 else {
                throw failure("'\(number ?? 0)' is not a status of 0 to 255")
            }
            return .quit(code, prints: name == "q")
        case "e", "R", "W", "v":
            throw failure("the command '\(name)' is not known here; help sed lists those that are")
        default:
            guard let plain = Self.plainActions[name] else {
                throw failure("'\(name)' is not a command; help sed lists those that are")
            }
            try endCommand(name)
            return plain
        }
    }

    private static var plainActions: [Character: SedCommand.Action] {
        [
            "d": .delete, "D": .deleteFirst, "p": .print, "P": .printFirst, "=": .number, "F": .name, "n": .next,
            "N": .appendNext, "h": .copyToHold, "H": .appendToHold, "g": .copyFromHold, "G": .appendFromHold,
            "x": .exchange, "z": .empty,
        ]
    }

    /// The name of a file is all that is left of the line.
    private mutating func file(_ name: Character) throws -> SedCommand.Action {
        let file = try fileName(name)
        if name == "r" { return .read(file) }
        try noteOutput(file)
        return .write(file)
    }

    private mutating func fileName(_ name: Character) throws -> String {
        skipBlanks()
        let file = rest.prefix { !$0.isNewline }
        rest = rest.dropFirst(file.count)
        if file.isEmpty { throw failure("'\(name)' needs the name of a file") }
        return String(file)
    }

    private mutating func noteOutput(_ file: String) throws {
        if !outputs.contains(file) { outputs.append(file) }
        if outputs.count > Self.outputLimit { throw failure("more than \(Self.outputLimit) files to write") }
    }

    private mutating func endCommand(_ name: Character) throws {
        skipBlanks()
        guard let next = rest.first, next != ";", !next.isNewline, next != "#", next != "}" else { return }
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
        var options = RegularExpression.Options()
        var file: String?
        var digits = ""
        flags: while let flag = rest.first, flag.isASCII, flag.isLetter || flag.isNumber {
            switch flag {
            case "g": isGlobal = true
            case "p": prints = true
            case "I", "i": options.ignoresCase = true
            case "M", "m": options.matchesLines = true
            case "0"..."9": digits.append(flag)
            case "w":
                rest.removeFirst()
                let name = try fileName("w")
                try noteOutput(name)
                file = name
                break flags
            default:
                throw failure("the flag '\(flag)' of 's' is not known here; there are g, p, I, M, w and a number")
            }
            rest.removeFirst()
        }
        try endCommand("s")
        guard let occurrence = digits.isEmpty ? 1 : Int(digits), occurrence > 0 else {
            throw failure("'\(digits)' is not the number of a match")
        }
        let expression = try expression(pattern, options)
        let pieces = try pieces(replacement, expression)
        return SedSubstitution(
            expression: expression, pieces: pieces, occurrence: occurrence, isGlobal: isGlobal, prints: prints,
            file: file)
    }

    private func pieces(_ text: String, _ expression: LineExpression?) throws -> [SedSubstitution.Piece] {
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
                    if let expression, number > expression.groupCount {
                        throw failure("\\\(number): the pattern has \(expression.groupCount) groups")
                    }
                    flush()
                    pieces.append(.group(number))
                } else if let control = Self.controls[next] {
                    plain.append(control)
                } else if let byte = Self.byte(next, &rest) {
                    plain.append(byte)
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

    private mutating func translation() throws -> SedTranslation {
        let delimiter = try delimiter("y")
        let sets = try [text(until: delimiter, keepsEscapes: false), text(until: delimiter, keepsEscapes: false)].map {
            String(decoding: EscapeSequences.resolve($0, .format), as: UTF8.self)
        }
        try endCommand("y")
        guard let translation = SedTranslation(sets[0], sets[1]) else {
            throw failure("the two sides of 'y' are not of one length")
        }
        return translation
    }

    /// `a text`, or `a\` and the text on the next line. A line that ends in a backslash goes on with the next one.
    private mutating func lines(_ name: Character) throws -> SedCommand.Action {
        skipBlanks()
        let isBehindBackslash = rest.first == "\\"
        if isBehindBackslash {
            rest.removeFirst()
            let blanks = rest.prefix { $0 == " " || $0 == "\t" }
            if rest.dropFirst(blanks.count).first?.isNewline == true { rest = rest.dropFirst(blanks.count + 1) }
        }
        var text = ""
        while let character = rest.first, !character.isNewline {
            rest.removeFirst()
            guard character == "\\", let next = rest.popFirst() else {
                text.append(character)
                continue
            }
            // The first character's backslash only keeps blanks; further in, the usual escapes mean what they do.
            let escape =
                text.isEmpty && !isBehindBackslash
                ? nil : ["n": "\n", "t": "\t", "f": "\u{C}", "v": "\u{B}", "a": "\u{7}"][next]
            text.append(escape ?? String(next))
        }
        if text.isEmpty, rest.isEmpty { throw failure("'\(name)' needs a text") }
        let bytes = Array((text + "\n").utf8)
        return name == "a" ? .append(bytes) : name == "i" ? .insert(bytes) : .change(bytes)
    }
}
