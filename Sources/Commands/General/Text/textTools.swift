import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var cat: Command {
        let description = CommandDescription(
            "cat", "writes files, or what it is given, one after another", usage: "[-n] [-A] [FILE…]",
            flags: [
                .init("number", "n", "with line numbers"),
                .init("number-nonblank", "b", "with numbers of lines that are not empty"),
                .init("squeeze-blank", "s", "of empty lines in a row one is left"),
                .init("show-ends", "E", "a $ at each line's end"), .init("show-tabs", "T", "tabs as ^I"),
                .init("show-nonprinting", "v", "what cannot be seen as ^X and M-X"),
                .init("show-all", "A", "as -vET"), .init("", "e", "as -vE"), .init("", "t", "as -vT"),
                .init("", "u", "at once (always)"),
            ], arguments: .init([.file], 0...1000),
            examples: ["cat lb.yaml", "cat -A out.txt"], group: .files)
        return Command(description) { invocation in .running(Cat(invocation.process, invocation.arguments)) }
    }

    private final class Cat: LineTool {
        private let numbers: Bool
        private let numbersFull: Bool
        private let squeezes: Bool
        private let showsEnds: Bool
        private let showsTabs: Bool
        private let showsOthers: Bool
        private var count = 0
        private var wasEmpty = false
        /// The last piece had no end: the next one goes on with its line.
        private var isWithinLine = false

        init(_ process: Process, _ arguments: ParsedArguments) {
            numbersFull = arguments.has("number-nonblank")
            numbers = arguments.has("number") && !numbersFull
            squeezes = arguments.has("squeeze-blank")
            let all = arguments.has("show-all")
            showsEnds = all || arguments.has("show-ends") || arguments.has("e")
            showsTabs = all || arguments.has("show-tabs") || arguments.has("t")
            showsOthers = all || ["show-nonprinting", "e", "t"].contains { arguments.has($0) }
            super.init(process, files: arguments.arguments)
        }

        override var takesParts: Bool { true }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            let isEmpty = line.isEmpty && isWhole && !isWithinLine
            if squeezes, isEmpty, wasEmpty { return }
            wasEmpty = isEmpty
            var bytes: [UInt8] = []
            if numbers || numbersFull && !isEmpty, !isWithinLine {
                count += 1
                bytes = Array((String(count).leftPadded(to: 6) + "\t").utf8)
            }
            isWithinLine = !isWhole
            if showsTabs || showsOthers { for byte in line { bytes += shown(byte) } } else { bytes += line }
            // A carriage return before the end is shown even where nothing else is.
            if showsEnds, isWhole {
                if bytes.last == 13 { bytes.replaceSubrange(bytes.count - 1..<bytes.count, with: Array("^M".utf8)) }
                bytes.append(UInt8(ascii: "$"))
            }
            write(bytes, newline: isWhole)
        }

        private func shown(_ byte: UInt8) -> [UInt8] {
            if byte == 9 { return showsTabs ? Array("^I".utf8) : [9] }
            guard showsOthers else { return [byte] }
            if byte >= 128 { return Array("M-".utf8) + control(byte - 128) }
            return control(byte)
        }

        private func control(_ byte: UInt8) -> [UInt8] {
            byte < 32 ? [94, byte + 64] : byte == 127 ? Array("^?".utf8) : [byte]
        }
    }

    static var wc: Command {
        let description = CommandDescription(
            "wc", "counts lines, words and bytes", usage: "[-l] [-w] [-m] [-c] [-L] [FILE…]",
            flags: [
                .init("lines", "l", "lines"), .init("words", "w", "words"), .init("chars", "m", "characters"),
                .init("bytes", "c", "bytes"), .init("max-line-length", "L", "columns of the longest line"),
            ],
            arguments: .init([.file], 0...1000), examples: ["curl -s http://localhost:8081/ | wc -c"], group: .files)
        return Command(description) { invocation in
            let names = ["lines", "words", "chars", "bytes", "max-line-length"]
            let chosen = names.map { invocation.arguments.has($0) }
            return .running(
                Count(
                    invocation.process, files: invocation.arguments.arguments,
                    shows: chosen.contains(true) ? chosen : [true, true, false, true, false]))
        }
    }

    private final class Count: LineTool {
        private let shows: [Bool]
        private var counts = [0, 0, 0, 0, 0]
        private var totals = [0, 0, 0, 0, 0]
        private let width: Int
        /// The last byte belongs to a word.
        private var isInWord = false
        /// What it is given has a name of its own where it was named.
        private let isNamed: Bool
        init(_ process: Process, files: [String], shows: [Bool]) {
            self.shows = shows
            isNamed = !files.isEmpty
            // As elsewhere: as wide as all bytes of all files need, seven where that is not known; one number alone
            // as it is.
            let isSingle = shows.filter { $0 }.count == 1 && files.count <= 1
            let lab = process.session.files
            let sizes = files.map { file -> Int? in
                if file == "-" { return process.inputByteCount }
                let isFile = process.stream(named: file) == nil && !lab.isDirectory(file) && !file.hasPrefix("/dev/fd/")
                return isFile ? lab.size(file) ?? 0 : nil
            }
            let known =
                files.isEmpty
                ? process.inputByteCount
                : sizes.reduce(0 as Int?) { sum, size in sum.flatMap { a in size.map { a + $0 } } }
            width = isSingle ? 1 : known.map { String($0).count } ?? 7
            super.init(process, files: files)
        }
        // The columns of a line are known once all of it is.
        override var takesParts: Bool { !shows[4] }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            counts[0] += isWhole ? 1 : 0
            for byte in line {
                let isBlank = byte == 32 || (9...13).contains(byte)
                if !isBlank, !isInWord { counts[1] += 1 }
                isInWord = !isBlank
            }
            if isWhole { isInWord = false }
            // All bytes but those that go on with a character.
            if shows[2] { counts[2] += line.reduce(isWhole ? 1 : 0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) } }
            counts[3] += line.count + (isWhole ? 1 : 0)
            if shows[4] { counts[4] = max(counts[4], Self.columns(line)) }
        }
        private static func columns(_ line: ArraySlice<UInt8>) -> Int {
            guard line.contains(9) else { return displayWidth(String(decoding: line, as: UTF8.self)) }
            var column = 0
            for character in String(decoding: line, as: UTF8.self) {
                column += character == "\t" ? 8 - column % 8 : displayWidth(String(character))
            }
            return column
        }
        private func report(_ counts: [Int], _ name: String?) {
            let numbers = zip(counts, shows).filter(\.1).map { count, _ in String(count).leftPadded(to: width) }
            write((numbers + [name].compactMap { $0 }).joined(separator: " ").utf8)
        }
        override func miss(_ file: String) {
            // As elsewhere, a directory has a line of its own.
            if process.session.files.isDirectory(file) { report([0, 0, 0, 0, 0], file) }
        }
        override func endFile() {
            isInWord = false
            report(counts, currentFile ?? (isNamed ? "-" : nil))
            for index in 0..<4 { totals[index] += counts[index] }
            totals[4] = max(totals[4], counts[4])
            counts = [0, 0, 0, 0, 0]
        }
        override func end() { if hasSeveralFiles { report(totals, "total") } }
    }
}
