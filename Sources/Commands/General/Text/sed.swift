import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var sed: Command {
        let description = CommandDescription(
            "sed", "edits lines as they pass", usage: "[-n] [-E] SCRIPT [FILE…]",
            flags: [
                .init("quiet", "n", "only what p prints"),
                .init("regexp-extended", "E", "extended regular expressions"),
                .init("", "r", "the same"),
                .init("expression", "e", .text("SCRIPT"), repeatable: true, "a part of the script"),
            ],
            arguments: .init([.text, .file], 0...1000),
            examples: ["sed 's/8081/8082/g' lb.yaml", "sed -n '2,4p' app.log", "sed '/^#/d' lb.yaml"], group: .files,
            details: """
                s/PATTERN/TEXT/ with g, p, I and a number; y/abc/xyz/; d p q =; a, i and c TEXT.
                Before a command: a line's number, $, /PATTERN/, two of them with a comma, !.
                TEXT: & is the match, \\1 a group, \\n a newline; \\U \\L \\u \\l \\E its letters.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            var rest = arguments.arguments[...]
            var scripts = arguments.texts("expression")
            if scripts.isEmpty, let first = rest.popFirst() { scripts = [first] }
            guard !scripts.isEmpty else { throw UsageError("sed: which script? sed 's/a/b/' [FILE…]") }
            let isExtended = arguments.has("regexp-extended") || arguments.has("r")
            let commands = try scripts.flatMap { try SedParser.parse($0, isExtended: isExtended) }
            return .running(Sed(invocation.process, rest, commands, isQuiet: arguments.has("quiet")))
        }
    }

    private final class Sed: LineTool {
        private let commands: [SedCommand]
        private let isQuiet: Bool
        /// By command: within a range of lines.
        private var isInRange: [Bool]
        private var rangeEnd: [Int?]
        private var lineNumber = 0
        /// The newest line waits here until it is known whether it is the last.
        private var held: (line: [UInt8], isWhole: Bool)?

        init(_ process: Process, _ files: ArraySlice<String>, _ commands: [SedCommand], isQuiet: Bool) {
            self.commands = commands
            self.isQuiet = isQuiet
            isInRange = Array(repeating: false, count: commands.count)
            rangeEnd = Array(repeating: nil, count: commands.count)
            super.init(process, files: files)
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if let held { edit(held.line, isWhole: true, isLast: false) }
            held = isDone ? nil : (Array(line), isWhole)
        }

        override func end() {
            if let held { edit(held.line, isWhole: held.isWhole, isLast: true) }
            held = nil
        }

        private func edit(_ bytes: [UInt8], isWhole: Bool, isLast: Bool) {
            lineNumber += 1
            var line = bytes
            var after: [[UInt8]] = []
            var isDeleted = false
            var quits = false
            scan: for (index, command) in commands.enumerated() where selects(index, command, line, isLast) {
                switch command.action {
                case .substitute(let substitution):
                    switch substitution.apply(to: line, limitBytes: Self.lineLimitBytes) {
                    case .unmatched: continue
                    case .tooLong:
                        complain("line \(lineNumber): it would grow beyond \(byteCountText(Self.lineLimitBytes))")
                        return stop()
                    case .changed(let changed): line = changed
                    }
                    if substitution.prints { write(line, newline: isWhole) }
                case .translate(let map): line = line.map { map[Int($0)] }
                case .delete:
                    isDeleted = true
                    break scan
                case .print: write(line)
                case .number: write(Array(String(lineNumber).utf8))
                case .insert(let text): write(text)
                case .append(let text): after.append(text)
                case .change(let text):
                    // Of a range, the text stands once, at its end.
                    if command.last == nil || !isInRange[index] || command.isNegated { write(text) }
                    isDeleted = true
                    break scan
                case .quit(let code):
                    status = code
                    quits = true
                    break scan
                }
            }
            if !isQuiet, !isDeleted { write(line, newline: isWhole || !after.isEmpty) }
            for text in after { write(text) }
            if quits { stop() }
        }

        private func selects(_ index: Int, _ command: SedCommand, _ line: [UInt8], _ isLast: Bool) -> Bool {
            guard let first = command.first else { return true }
            guard let last = command.last else {
                return first.matches(line, lineNumber, isLast) != command.isNegated
            }
            return isWithin(index, first, last, line, isLast) != command.isNegated
        }

        /// POSIX: the end is looked for from the line behind the beginning; a number that has passed is one line.
        private func isWithin(
            _ index: Int, _ first: SedCommand.Address, _ last: SedCommand.Address, _ line: [UInt8], _ isLast: Bool
        ) -> Bool {
            if !isInRange[index] {
                guard first.matches(line, lineNumber, isLast) else { return false }
                switch last {
                case .line(let number): isInRange[index] = number > lineNumber
                case .following(let count):
                    rangeEnd[index] = lineNumber.addingReportingOverflow(count).partialValue
                    isInRange[index] = count > 0
                case .end: isInRange[index] = !isLast
                case .pattern: isInRange[index] = true
                }
                return true
            }
            switch last {
            case .line(let number): if lineNumber >= number { isInRange[index] = false }
            case .following: if lineNumber >= rangeEnd[index] ?? 0 { isInRange[index] = false }
            case .end: if isLast { isInRange[index] = false }
            case .pattern: if last.matches(line, lineNumber, isLast) { isInRange[index] = false }
            }
            return true
        }
    }
}

/// One command of a script for `sed`.
struct SedCommand {
    enum Address {
        case line(Int)
        /// `$`
        case end
        case pattern(RegularExpression)
        /// `+3`, only as the end of a range.
        case following(Int)

        func matches(_ line: [UInt8], _ number: Int, _ isLast: Bool) -> Bool {
            switch self {
            case .line(let wanted): number == wanted
            case .end: isLast
            case .pattern(let expression): line.withUnsafeBytes { expression.firstMatch(in: $0) != nil }
            case .following: false
            }
        }
    }

    enum Action {
        case substitute(SedSubstitution)
        case translate([UInt8])
        case delete, print, number
        case quit(Int32)
        case insert([UInt8])
        case append([UInt8])
        case change([UInt8])
    }

    var first: Address?
    var last: Address?
    var isNegated = false
    let action: Action
}

/// `s/pattern/text/flags`
struct SedSubstitution {
    enum Piece {
        case text([UInt8])
        /// `\1`; 0 is `&`.
        case group(Int)
        case letterCase(LetterCase)
    }

    /// GNU's: what follows in large or small letters, up to `\E`, or only the next letter.
    enum LetterCase: Character {
        case upper = "U", lower = "L", nextUpper = "u", nextLower = "l", end = "E"
    }

    /// In which letters the text of one match is written, as far as it has been read.
    private struct Lettering {
        private var isUpper: Bool?
        private var isNextUpper: Bool?

        mutating func take(_ letterCase: LetterCase) {
            switch letterCase {
            case .upper: (isUpper, isNextUpper) = (true, nil)
            case .lower: (isUpper, isNextUpper) = (false, nil)
            case .nextUpper: isNextUpper = true
            case .nextLower: isNextUpper = false
            case .end: (isUpper, isNextUpper) = (nil, nil)
            }
        }

        mutating func apply(to bytes: some Collection<UInt8>) -> [UInt8] {
            guard isUpper != nil || isNextUpper != nil, !bytes.isEmpty else { return Array(bytes) }
            var result = ""
            for character in String(decoding: bytes, as: UTF8.self) {
                let wanted = isNextUpper ?? isUpper
                isNextUpper = nil
                let changed = wanted.map { $0 ? character.uppercased() : character.lowercased() } ?? String(character)
                // As elsewhere, a letter whose other case is no single letter, ß, stays what it is.
                result += changed.count == 1 ? changed : String(character)
            }
            return Array(result.utf8)
        }
    }

    let expression: RegularExpression
    let pieces: [Piece]
    /// Which match is the first to be replaced.
    let occurrence: Int
    let isGlobal: Bool
    let prints: Bool

    enum Outcome {
        case unmatched
        case changed([UInt8])
        /// More than the limit would have come out.
        case tooLong
    }

    func apply(to line: [UInt8], limitBytes: Int) -> Outcome {
        line.withUnsafeBytes { bytes -> Outcome in
            let all = expression.allMatches(in: bytes, limit: isGlobal ? .max : occurrence)
            let matches = all.dropFirst(occurrence - 1)
            if matches.isEmpty { return .unmatched }
            var result: [UInt8] = []
            var position = 0
            for match in matches {
                result += bytes[position..<match.range.lowerBound]
                var lettering = Lettering()
                for piece in pieces {
                    switch piece {
                    case .text(let text): result += lettering.apply(to: text)
                    case .group(let number):
                        if let range = match[number] { result += lettering.apply(to: bytes[range]) }
                    case .letterCase(let letterCase): lettering.take(letterCase)
                    }
                    if result.count > limitBytes { return .tooLong }
                }
                position = match.range.upperBound
            }
            result += bytes[position...]
            return result.count > limitBytes ? .tooLong : .changed(result)
        }
    }
}
