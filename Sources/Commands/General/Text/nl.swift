import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var nl: Command {
        let description = CommandDescription(
            "nl", "numbers lines", usage: "[-b a|t|n|pPATTERN] [-w N] [-s TEXT] [FILE…]",
            flags: [
                .init("body-numbering", "b", .text("STYLE"), "all lines (a), those with text (t), none (n), pPATTERN"),
                .init("header-numbering", "h", .text("STYLE"), "the same in heads (n)"),
                .init("footer-numbering", "f", .text("STYLE"), "the same in feet (n)"),
                .init("section-delimiter", "d", .text("XX"), "two characters of a section's mark (\\:)"),
                .init("number-width", "w", .integer(1...1000), "columns of a number (6)"),
                .init("number-separator", "s", .text("TEXT"), "what stands behind it (a tab)"),
                .init("number-format", "n", .choice(["ln", "rn", "rz"]), "left, right (rn), with zeros"),
                .init("starting-line-number", "v", .integer(Int.min...Int.max), "the first number (1)"),
                .init("line-increment", "i", .integer(-1_000_000...1_000_000), "from one to the next (1)"),
                .init("join-blank-lines", "l", .integer(1...1_000_000), "so many empty lines count as one (1)"),
                .init("no-renumber", "p", "goes on counting in a new section"),
            ],
            arguments: .init([.file], 0...1000), examples: ["nl -ba lb.yaml"], group: .files,
            details: "A line \\:\\:\\: begins a head, \\:\\: a body and \\: a foot.")
        return Command(description) { invocation in .running(try Numbered(invocation.process, invocation.arguments)) }
    }

    private struct NumberStyle {
        let letter: Character
        let pattern: RegularExpression?

        init(_ text: String, _ flag: String) throws {
            guard let letter = text.first, text == String(letter) && "atn".contains(letter) || letter == "p" else {
                throw UsageError("nl: -\(flag): '\(text)' is none of a, t, n and pPATTERN")
            }
            self.letter = letter
            do {
                pattern = letter == "p" ? try RegularExpression(String(text.dropFirst()), .basic) : nil
            } catch { throw UsageError("nl: -\(flag): \(error)") }
        }
    }

    private final class Numbered: LineTool {
        private let styles: [NumberStyle]
        /// 0: the body, 1: the head, 2: the foot.
        private var section = 0
        private let mark: [UInt8]
        private let width: Int
        private let behind: String
        private let format: String
        private let step: Int
        private let first: Int
        private var number: Int
        private let joined: Int
        private var blanks = 0
        private let keepsCounting: Bool

        init(_ process: Process, _ arguments: ParsedArguments) throws {
            styles = [
                try NumberStyle(arguments.text("body-numbering") ?? "t", "b"),
                try NumberStyle(arguments.text("header-numbering") ?? "n", "h"),
                try NumberStyle(arguments.text("footer-numbering") ?? "n", "f"),
            ]
            let delimiter = arguments.text("section-delimiter") ?? "\\:"
            mark = Array((delimiter.count == 1 ? delimiter + ":" : delimiter).utf8)
            width = arguments.integer("number-width") ?? 6
            behind = arguments.text("number-separator") ?? "\t"
            format = arguments.text("number-format") ?? "rn"
            step = arguments.integer("line-increment") ?? 1
            first = arguments.integer("starting-line-number") ?? 1
            number = first
            joined = arguments.integer("join-blank-lines") ?? 1
            keepsCounting = arguments.has("no-renumber")
            super.init(process, files: arguments.arguments)
        }

        /// Which section a line begins: 0 to 2, nil if none.
        private func begins(_ line: ArraySlice<UInt8>) -> Int? {
            guard !mark.isEmpty, line.starts(with: mark) else { return nil }
            for (count, section) in [(3, 1), (2, 0), (1, 2)]
            where line.elementsEqual((0..<count).flatMap { _ in mark }) {
                return section
            }
            return nil
        }

        private func isNumbered(_ line: ArraySlice<UInt8>) -> Bool {
            let style = styles[section]
            if style.letter == "a" {
                if line.isEmpty { blanks += 1 } else { blanks = 0 }
                guard line.isEmpty, joined > 1 else { return true }
                if blanks == joined { blanks = 0 }
                return blanks == 0
            }
            if style.letter == "t" { return !line.isEmpty }
            guard let pattern = style.pattern else { return false }
            return Array(line).withUnsafeBytes { pattern.matches($0) }
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if let begun = begins(line) {
                section = begun
                if !keepsCounting { number = first }
                return write([])
            }
            guard isNumbered(line) else {
                return write(Array(repeating: 32, count: width + behind.utf8.count) + line)
            }
            let digits = String(number)
            let space = String(repeating: format == "rz" ? "0" : " ", count: max(0, width - digits.count))
            let text =
                format == "ln"
                ? digits + space
                : format == "rz" && number < 0 ? "-" + space + digits.dropFirst() : space + digits
            write(Array((text + behind).utf8) + line)
            number = number.addingReportingOverflow(step).partialValue
        }
    }
}
