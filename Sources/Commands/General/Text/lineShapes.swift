import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

/// Tools that give lines another shape: `rev`, `tac`, `nl`, `fold`, `expand`, `unexpand`.
extension GeneralCommands {
    static var rev: Command {
        let description = CommandDescription(
            "rev", "each line backwards", usage: "[FILE…]", arguments: .init([.file], 0...1000),
            examples: ["echo abc | rev"], group: .files)
        return Command(description) { invocation in
            .running(
                Mapped(invocation.process, invocation.arguments.arguments) { line in
                    Array(String(String(decoding: line, as: UTF8.self).reversed()).utf8)
                })
        }
    }

    /// Makes another line of each.
    private final class Mapped: LineTool {
        private let change: (ArraySlice<UInt8>) -> [UInt8]
        init(_ process: Process, _ files: [String], _ change: @escaping (ArraySlice<UInt8>) -> [UInt8]) {
            self.change = change
            super.init(process, files: files)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) { write(change(line), newline: isWhole) }
    }

    static var tac: Command {
        let description = CommandDescription(
            "tac", "the last line first", usage: "[FILE…]", arguments: .init([.file], 0...1000),
            examples: ["tac app.log | head"], group: .files)
        return Command(description) { invocation in
            .running(
                WholeInput(invocation.process, files: invocation.arguments.arguments) { tool, sources in
                    for source in sources {
                        var result: [UInt8] = []
                        result.reserveCapacity(source.bytes.count)
                        let lines = source.lines
                        for (index, line) in lines.enumerated().reversed() {
                            result += line
                            // A last line without an end has none here, either.
                            if index < lines.count - 1 || source.bytes.last == 10 { result.append(10) }
                        }
                        tool.write(result)
                    }
                    return 0
                })
        }
    }

    static var nl: Command {
        let description = CommandDescription(
            "nl", "numbers lines", usage: "[-b a|t|n] [-w N] [-s TEXT] [FILE…]",
            flags: [
                .init("body-numbering", "b", .text("a|t|n|pPATTERN"), "all lines, those with text (t), none, or these"),
                .init("number-width", "w", .integer(1...1000), "columns of a number (6)"),
                .init("number-separator", "s", .text("TEXT"), "what stands behind it (a tab)"),
                .init("number-format", "n", .choice(["ln", "rn", "rz"]), "left, right (rn), with zeros"),
                .init("starting-line-number", "v", .integer(Int.min...Int.max), "the first number (1)"),
                .init("line-increment", "i", .integer(-1_000_000...1_000_000), "from one to the next (1)"),
            ],
            arguments: .init([.file], 0...1000), examples: ["nl -ba lb.yaml"], group: .files)
        return Command(description) { invocation in .running(try Numbered(invocation.process, invocation.arguments)) }
    }

    private final class Numbered: LineTool {
        private let style: String
        private let pattern: RegularExpression?
        private let width: Int
        private let behind: String
        private let format: String
        private let step: Int
        private var number: Int

        init(_ process: Process, _ arguments: ParsedArguments) throws {
            style = arguments.text("body-numbering") ?? "t"
            guard ["a", "t", "n"].contains(style) || style.hasPrefix("p") else {
                throw UsageError("nl: -b: '\(style)' is none of a, t, n and pPATTERN")
            }
            do {
                pattern = style.hasPrefix("p") ? try RegularExpression(String(style.dropFirst()), .basic) : nil
            } catch { throw UsageError("nl: -b: \(error)") }
            width = arguments.integer("number-width") ?? 6
            behind = arguments.text("number-separator") ?? "\t"
            format = arguments.text("number-format") ?? "rn"
            step = arguments.integer("line-increment") ?? 1
            number = arguments.integer("starting-line-number") ?? 1
            super.init(process, files: arguments.arguments)
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            let isNumbered =
                style == "a" || style == "t" && !line.isEmpty
                || (pattern.map { pattern in Array(line).withUnsafeBytes { pattern.firstMatch(in: $0) != nil } }
                    ?? false)
            guard isNumbered else {
                return write(Array(repeating: 32, count: width + behind.utf8.count) + line, newline: true)
            }
            let digits = String(number)
            let space = String(repeating: format == "rz" ? "0" : " ", count: max(0, width - digits.count))
            let text =
                format == "ln"
                ? digits + space
                : format == "rz" && number < 0 ? "-" + space + digits.dropFirst() : space + digits
            write(Array((text + behind).utf8) + line, newline: true)
            number = number.addingReportingOverflow(step).partialValue
        }
    }

    static var fold: Command {
        let description = CommandDescription(
            "fold", "breaks long lines", usage: "[-s] [-w N] [FILE…]",
            flags: [
                .init("width", "w", .integer(1...1_000_000), "columns of a line (80)"),
                .init("spaces", "s", "behind a blank, where there is one"), .init("bytes", "b", "bytes, not columns"),
            ],
            arguments: .init([.file], 0...1000, numberFlag: "width"), examples: ["fold -s -w 60 README"], group: .files)
        return Command(description) { invocation in
            let width = invocation.arguments.integer("width") ?? 80
            let breaksAtBlanks = invocation.arguments.has("spaces")
            let countsBytes = invocation.arguments.has("bytes")
            return .running(
                Mapped(invocation.process, invocation.arguments.arguments) { line in
                    folded(line, width, breaksAtBlanks: breaksAtBlanks, countsBytes: countsBytes)
                })
        }
    }

    private static func folded(
        _ line: ArraySlice<UInt8>, _ width: Int, breaksAtBlanks: Bool, countsBytes: Bool
    ) -> [UInt8] {
        func advanced(_ column: Int, _ byte: UInt8) -> Int {
            if countsBytes { return column + 1 }
            return byte == 9 ? column + 8 - column % 8 : byte == 8 ? max(0, column - 1) : byte == 13 ? 0 : column + 1
        }
        var result: [UInt8] = []
        var current: [UInt8] = []
        var column = 0
        for byte in line {
            while advanced(column, byte) > width, !current.isEmpty {
                let blank = breaksAtBlanks ? current.lastIndex { $0 == 32 || $0 == 9 } : nil
                let count = blank.map { $0 + 1 } ?? current.count
                result += current.prefix(count) + [10]
                current.removeFirst(count)
                column = current.reduce(0) { advanced($0, $1) }
            }
            current.append(byte)
            column = advanced(column, byte)
        }
        return result + current
    }

    static var expand: Command {
        let description = CommandDescription(
            "expand", "blanks for tabs", usage: "[-i] [-t N] [FILE…]",
            flags: [
                .init("tabs", "t", .integer(1...1000), "columns of a tab (8)"),
                .init("initial", "i", "only those before the text"),
            ],
            arguments: .init([.file], 0...1000), examples: ["expand -t 4 Makefile"], group: .files)
        return Command(description) { invocation in
            let width = invocation.arguments.integer("tabs") ?? 8
            let onlyInitial = invocation.arguments.has("initial")
            return .running(
                Mapped(invocation.process, invocation.arguments.arguments) { line in
                    var result: [UInt8] = []
                    var column = 0
                    var isInitial = true
                    for byte in line {
                        if byte == 9, isInitial || !onlyInitial {
                            let count = width - column % width
                            result += Array(repeating: 32, count: count)
                            column += count
                        } else {
                            if byte != 32, byte != 9 { isInitial = false }
                            result.append(byte)
                            // Bytes that go on with a character take no column.
                            column += byte == 9 ? width - column % width : byte & 0xC0 == 0x80 ? 0 : 1
                        }
                    }
                    return result
                })
        }
    }

    static var unexpand: Command {
        let description = CommandDescription(
            "unexpand", "tabs for blanks", usage: "[-a] [-t N] [FILE…]",
            flags: [
                .init("all", "a", "not only those before the text"),
                .init("first-only", nil, "only those before the text"),
                .init("tabs", "t", .integer(1...1000), "columns of a tab (8); with it, as -a"),
            ],
            arguments: .init([.file], 0...1000), examples: ["unexpand -a table.txt"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let width = arguments.integer("tabs") ?? 8
            let all = (arguments.has("all") || arguments.has("tabs")) && !arguments.has("first-only")
            return .running(
                Mapped(invocation.process, arguments.arguments) { unexpanded($0, width, all: all) })
        }
    }

    private static func unexpanded(_ line: ArraySlice<UInt8>, _ width: Int, all: Bool) -> [UInt8] {
        var result: [UInt8] = []
        var blanks: [UInt8] = []
        var column = 0
        var isActive = true
        for byte in line {
            guard isActive, byte == 32 || byte == 9 else {
                result += blanks
                blanks = []
                if !all { isActive = false }
                result.append(byte)
                column += byte & 0xC0 == 0x80 ? 0 : 1
                continue
            }
            column += byte == 9 ? width - column % width : 1
            blanks.append(byte)
            guard column % width == 0 else { continue }
            // One blank alone before a stop stays one, unless more follow.
            result += blanks.count > 1 || byte == 9 || result.last == 9 ? [9] : blanks
            blanks = []
        }
        return result + blanks
    }
}
