import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    private static let titleFlags: [CommandDescription.Flag] = [
        .init("quiet", "q", "never with the files' names"), .init("silent", nil, "the same"),
        .init("verbose", "v", "always with the files' names"), .init("zero-terminated", "z", "lines end in NUL"),
    ]

    static var head: Command {
        let description = CommandDescription(
            "head", "the first lines", usage: "[-n N|-n -N|-c N] [FILE…]",
            flags: [
                .init("lines", "n", .text("N|-N"), "how many (10); with a minus: all but so many"),
                .init("bytes", "c", .text("N|-N"), "so many bytes, not lines; 1K, 1M"),
            ] + titleFlags,
            arguments: .init([.file], 0...1000, numberFlag: "lines"),
            examples: ["journal --all | head -n 3", "curl -s http://localhost:8081/ | head -c 20"],
            group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let files = arguments.arguments
            if let word = arguments.text("bytes") {
                guard arguments.text("lines") == nil else {
                    throw UsageError("head: -n counts lines and -c bytes; one of them")
                }
                let limit = try amount(word, "head: --bytes")
                if word.hasPrefix("-") {
                    try checkKept(limit, "head: --bytes")
                    return .running(AllButLastBytes(invocation.process, files: files, count: limit).titled(arguments))
                }
                return .running(HeadOfBytes(invocation.process, files: files, count: limit).titled(arguments))
            }
            let word = arguments.text("lines") ?? "10"
            let number = try amount(word, "head: --lines")
            guard word.hasPrefix("-") else {
                return .running(Head(invocation.process, files: files, count: number).titled(arguments))
            }
            try checkKept(number, "head: --lines")
            return .running(AllButLast(invocation.process, files: files, count: number).titled(arguments))
        }
    }

    /// What is held back until it is known whether it is among the last.
    private static func checkKept(_ number: Int, _ name: String) throws {
        guard number <= 10_000_000 else { throw UsageError("\(name): 10000000 at most, not \(number)") }
    }

    /// `10`, `1K`, `2MB`, with a sign that is somebody else's affair.
    private static func amount(_ word: String, _ name: String) throws -> Int {
        let text = word.drop { $0 == "+" || $0 == "-" }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units = [
            "": 1, "b": 512, "kB": 1000, "k": 1024, "K": 1024, "KiB": 1024, "MB": 1_000_000, "m": 1 << 20,
            "M": 1 << 20, "MiB": 1 << 20, "GB": 1_000_000_000, "G": 1 << 30, "GiB": 1 << 30,
        ]
        guard word.count - text.count <= 1, let number = Int(digits),
            let unit = units[String(text.dropFirst(digits.count))]
        else { throw UsageError("\(name): '\(word)' is not a whole number") }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        if overflow { throw UsageError("\(name): '\(word)' is too large") }
        return product
    }

    /// So many lines or bytes of each file.
    private class CountedLineTool: TitledLineTool {
        let count: Int

        init(_ process: Process, files: [String], count: Int) {
            self.count = count
            super.init(process, files: files)
        }

        /// Of one file nothing needs to be read for no lines.
        func startUnlessNothingIsWanted() {
            if count == 0, !hasSeveralFiles { process.exit(0) } else { super.start() }
        }
    }

    private final class AllButLastBytes: CountedLineTool {
        private var kept: [UInt8] = []
        override var cutsLines: Bool { false }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            kept += line
            // Now and then, so that each byte is not moved for every line.
            if kept.count > 2 * count + 65_536 { flush() }
        }
        private func flush() {
            guard kept.count > count else { return }
            writeBytes(Array(kept.dropLast(count)))
            kept.removeFirst(kept.count - count)
        }
        override func endFile() {
            flush()
            kept = []
        }
    }

    private final class AllButLast: CountedLineTool {
        private var kept = RingQueue<(bytes: [UInt8], isWhole: Bool)>()
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            kept.append((Array(line), isWhole))
            if kept.count > count, let line = kept.popFirst() { write(line.bytes, newline: line.isWhole) }
        }
        override func endFile() { while kept.popFirst() != nil {} }
    }

    private final class Head: CountedLineTool {
        private var left = 0
        override func start() { startUnlessNothingIsWanted() }
        override func beginFile() {
            super.beginFile()
            left = count
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if left > 0 { write(line, newline: isWhole) }
            left = max(0, left - 1)
            // Of several files the rest is passed over: the next one begins behind it.
            if left == 0, !hasSeveralFiles { stop() }
        }
    }

    private final class HeadOfBytes: CountedLineTool {
        private var left = 0
        override var cutsLines: Bool { false }
        override func start() { startUnlessNothingIsWanted() }
        override func beginFile() {
            super.beginFile()
            left = count
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            guard left > 0 else { return }
            writeBytes(Array(line.prefix(left)))
            left -= min(left, line.count)
            if left == 0, !hasSeveralFiles { stop() }
        }
    }

    static var tail: Command {
        let description = CommandDescription(
            "tail", "the last lines", usage: "[-n N|+N] [-c N|+N] [FILE…]",
            flags: [
                .init("lines", "n", .text("N|+N"), "how many (10); with a plus: from which on"),
                .init("bytes", "c", .text("N|+N"), "so many bytes, not lines; with a plus: from which on"),
            ] + titleFlags,
            arguments: .init([.file], 0...1000, numberFlag: "lines"),
            examples: ["tail -n 3 out.txt", "tail -n +2 out.txt"], group: .files,
            details: "There is no -f: watch 1s tail FILE looks again and again.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            var files = arguments.arguments
            var lines = arguments.text("lines")
            // The old spelling of -n +8, where no file is called so.
            if lines == nil, let first = files.first, first.hasPrefix("+"), Int(first.dropFirst()) != nil,
                arguments.text("bytes") == nil, !invocation.session.files.exists(first)
            {
                lines = first
                files.removeFirst()
            }
            if let word = arguments.text("bytes") {
                guard lines == nil else {
                    throw UsageError("tail: -n counts lines and -c bytes; one of them")
                }
                let number = try amount(word, "tail: --bytes")
                try checkKept(word.hasPrefix("+") ? 0 : number, "tail: --bytes")
                let tail = TailOfBytes(invocation.process, files: files, number, isFrom: word.hasPrefix("+"))
                return .running(tail.titled(arguments))
            }
            let word = lines ?? "10"
            let number = try amount(word, "tail: --lines")
            if word.hasPrefix("+") {
                return .running(LinesFrom(invocation.process, files: files, count: number).titled(arguments))
            }
            try checkKept(number, "tail: --lines")
            return .running(Tail(invocation.process, files: files, count: number).titled(arguments))
        }
    }

    private final class TailOfBytes: CountedLineTool {
        private let isFrom: Bool
        private var passed = 0
        private var kept: [UInt8] = []
        init(_ process: Process, files: [String], _ count: Int, isFrom: Bool) {
            self.isFrom = isFrom
            super.init(process, files: files, count: count)
        }
        override var cutsLines: Bool { false }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            let bytes = Array(line)
            if isFrom {
                let skipped = min(bytes.count, max(0, count - 1 - passed))
                passed += bytes.count
                return writeBytes(Array(bytes.dropFirst(skipped)))
            }
            kept += bytes
            if kept.count > 2 * count + 65_536 { kept.removeFirst(kept.count - count) }
        }
        override func endFile() {
            writeBytes(Array(kept.suffix(count)))
            kept = []
            passed = 0
        }
    }

    private final class LinesFrom: CountedLineTool {
        private var passed = 0
        override func beginFile() {
            super.beginFile()
            passed = 0
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            passed += 1
            if passed >= count { write(line, newline: isWhole) }
        }
    }

    private final class Tail: CountedLineTool {
        private var kept = RingQueue<(bytes: [UInt8], isWhole: Bool)>()
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            kept.append((Array(line), isWhole))
            if kept.count > count { _ = kept.popFirst() }
        }
        override func endFile() {
            while let line = kept.popFirst() { write(line.bytes, newline: line.isWhole) }
        }
    }
}
