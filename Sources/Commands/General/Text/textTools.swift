import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var cat: Command {
        let description = CommandDescription(
            "cat", "writes files, or what it is given, one after another", usage: "[-n] [FILE…]",
            flags: [.init("number", "n", "with line numbers")], arguments: .init([.file], 0...1000),
            examples: ["cat lb.yaml"], group: .files)
        return Command(description) { invocation in
            .running(
                Cat(
                    invocation.process, files: invocation.arguments.arguments,
                    numbers: invocation.arguments.has("number")))
        }
    }

    private final class Cat: LineTool {
        private let numbers: Bool
        private var count = 0
        init(_ process: Process, files: [String], numbers: Bool) {
            self.numbers = numbers
            super.init(process, files: files)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            count += 1
            let digits = String(count)
            let prefix = numbers ? String(repeating: " ", count: max(0, 6 - digits.count)) + digits + "\t" : ""
            write(Array(prefix.utf8) + line, newline: isWhole)
        }
    }

    static var head: Command {
        let description = CommandDescription(
            "head", "the first lines", usage: "[-n N|-n -N|-c N] [FILE…]",
            flags: [
                .init("lines", "n", .text("N|-N"), "how many (10); with a minus: all but so many"),
                .init("bytes", "c", .integer(0...Int.max), "so many bytes, not lines"),
            ],
            arguments: .init([.file], 0...1000, numberFlag: "lines"),
            examples: ["journal --all | head -n 3", "curl -s http://localhost:8081/ | head -c 20"],
            group: .files)
        return Command(description) { invocation in
            if let limit = invocation.arguments.integer("bytes") {
                guard invocation.arguments.text("lines") == nil else {
                    throw UsageError("head: -n counts lines and -c bytes; one of them")
                }
                return .running(
                    HeadOfBytes(invocation.process, files: invocation.arguments.arguments, limit: limit))
            }
            let word = invocation.arguments.text("lines") ?? "10"
            guard let number = Int(word), number != .min else {
                throw UsageError("head: --lines: '\(word)' is not a whole number")
            }
            let files = invocation.arguments.arguments
            guard word.hasPrefix("-") else { return .running(Head(invocation.process, files: files, limit: number)) }
            guard -number <= 10_000_000 else {
                throw UsageError("head: --lines: all but 10000000 at most, not \(-number)")
            }
            return .running(AllButLast(invocation.process, files: files, count: -number))
        }
    }

    private final class AllButLast: TitledLineTool {
        private let count: Int
        private var kept = RingQueue<(bytes: [UInt8], isWhole: Bool)>()
        init(_ process: Process, files: [String], count: Int) {
            self.count = count
            super.init(process, files: files)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            kept.append((Array(line), isWhole))
            if kept.count > count, let line = kept.popFirst() { write(line.bytes, newline: line.isWhole) }
        }
        override func endFile() { while kept.popFirst() != nil {} }
    }

    private final class Head: TitledLineTool {
        private let limit: Int
        private var count = 0
        init(_ process: Process, files: [String], limit: Int) {
            self.limit = limit
            super.init(process, files: files)
        }
        override func start() {
            if limit == 0, !hasSeveralFiles { process.exit(0) } else { super.start() }
        }
        override func beginFile() {
            super.beginFile()
            count = 0
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            count += 1
            if count <= limit { write(line, newline: isWhole) }
            // Of several files the rest is passed over: the next one begins behind it.
            if count >= limit, !hasSeveralFiles { stop() }
        }
    }

    private final class HeadOfBytes: TitledLineTool {
        private let limit: Int
        private var left = 0
        init(_ process: Process, files: [String], limit: Int) {
            self.limit = limit
            super.init(process, files: files)
        }
        override func start() {
            if limit == 0, !hasSeveralFiles { process.exit(0) } else { super.start() }
        }
        override func beginFile() {
            super.beginFile()
            left = limit
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            guard left > 0 else { return }
            write(line.prefix(left), newline: isWhole && left > line.count)
            left -= min(left, line.count + (isWhole ? 1 : 0))
            if left == 0, !hasSeveralFiles { stop() }
        }
    }

    static var tail: Command {
        let description = CommandDescription(
            "tail", "the last lines", usage: "[-n N|+N] [FILE…]",
            flags: [.init("lines", "n", .text("N|+N"), "how many (10); with a plus: from which on")],
            arguments: .init([.file], 0...1000, numberFlag: "lines"),
            examples: ["tail -n 3 out.txt", "tail -n +2 out.txt"], group: .files)
        return Command(description) { invocation in
            let word = invocation.arguments.text("lines") ?? "10"
            guard let number = Int(word.drop { $0 == "+" || $0 == "-" }), word.count <= 20, number >= 0 else {
                throw UsageError("tail: -n: '\(word)' is not a number of lines")
            }
            if word.hasPrefix("+") {
                return .running(LinesFrom(invocation.process, files: invocation.arguments.arguments, first: number))
            }
            guard number <= 10_000_000 else { throw UsageError("tail: -n: at most 10000000 lines, not \(word)") }
            return .running(Tail(invocation.process, files: invocation.arguments.arguments, limit: number))
        }
    }

    private final class LinesFrom: TitledLineTool {
        private let first: Int
        private var count = 0
        init(_ process: Process, files: [String], first: Int) {
            self.first = first
            super.init(process, files: files)
        }
        override func beginFile() {
            super.beginFile()
            count = 0
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            count += 1
            if count >= first { write(line, newline: isWhole) }
        }
    }

    private final class Tail: TitledLineTool {
        private let limit: Int
        private var kept = RingQueue<(bytes: [UInt8], isWhole: Bool)>()
        init(_ process: Process, files: [String], limit: Int) {
            self.limit = limit
            super.init(process, files: files)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            kept.append((Array(line), isWhole))
            if kept.count > limit { _ = kept.popFirst() }
        }
        override func endFile() {
            while let line = kept.popFirst() { write(line.bytes, newline: line.isWhole) }
        }
    }

    static var wc: Command {
        let description = CommandDescription(
            "wc", "counts lines, words and bytes", usage: "[-l] [-w] [-m] [-c] [FILE…]",
            flags: [
                .init("lines", "l", "lines"), .init("words", "w", "words"), .init("chars", "m", "characters"),
                .init("bytes", "c", "bytes"),
            ],
            arguments: .init([.file], 0...1000), examples: ["curl -s http://localhost:8081/ | wc -c"], group: .files)
        return Command(description) { invocation in
            let chosen = ["lines", "words", "chars", "bytes"].map { invocation.arguments.has($0) }
            return .running(
                Count(
                    invocation.process, files: invocation.arguments.arguments,
                    shows: chosen.contains(true) ? chosen : [true, true, false, true]))
        }
    }

    private final class Count: LineTool {
        private let shows: [Bool]
        private var counts = [0, 0, 0, 0]
        private var totals = [0, 0, 0, 0]
        init(_ process: Process, files: [String], shows: [Bool]) {
            self.shows = shows
            super.init(process, files: files)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            counts[0] += isWhole ? 1 : 0
            counts[1] += line.split { $0 == 32 || (9...13).contains($0) }.count
            // All bytes but those that go on with a character.
            if shows[2] { counts[2] += line.reduce(isWhole ? 1 : 0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) } }
            counts[3] += line.count + (isWhole ? 1 : 0)
        }
        private func report(_ counts: [Int], _ name: String?) {
            let numbers = zip(counts, shows).filter(\.1).map { String($0.0) }
            write((numbers + [name].compactMap { $0 }).joined(separator: " ").utf8)
        }
        override func endFile() {
            report(counts, currentFile)
            for index in counts.indices { totals[index] += counts[index] }
            counts = [0, 0, 0, 0]
        }
        override func end() { if hasSeveralFiles { report(totals, "total") } }
    }

    static var uniq: Command {
        let description = CommandDescription(
            "uniq", "leaves out lines that equal the one before", usage: "[-c] [-d] [-u] [FILE]",
            flags: [
                .init("count", "c", "how often each stood there"), .init("repeated", "d", "only repeated ones"),
                .init("unique", "u", "only single ones"),
            ],
            arguments: .init([.file], 0...1), examples: ["sort answers.txt | uniq -c"], group: .files)
        return Command(description) { invocation in .running(Uniq(invocation.process, invocation.arguments)) }
    }

    private final class Uniq: LineTool {
        private let counts: Bool
        private let onlyRepeated: Bool
        private let onlySingle: Bool
        private var previous: [UInt8]?
        private var count = 0
        init(_ process: Process, _ arguments: ParsedArguments) {
            counts = arguments.has("count")
            onlyRepeated = arguments.has("repeated")
            onlySingle = arguments.has("unique")
            super.init(process, files: arguments.arguments)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if let previous, previous.elementsEqual(line) {
                count += 1
                return
            }
            flush()
            previous = Array(line)
            count = 1
        }
        private func flush() {
            guard let previous, !(onlyRepeated && count == 1), !(onlySingle && count > 1) else { return }
            let digits = String(count)
            let prefix = counts ? String(repeating: " ", count: max(0, 7 - digits.count)) + digits + " " : ""
            write(Array(prefix.utf8) + previous)
        }
        override func end() { flush() }
    }
}
