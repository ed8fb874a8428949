import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var grep: Command {
        let description = CommandDescription(
            "grep", "the lines that match a pattern", usage: "[FLAGS] PATTERN [FILE…]",
            flags: [
                .init("ignore-case", "i", "upper and lower case are the same"),
                .init("invert-match", "v", "the lines that do not match"),
                .init("line-number", "n", "with line numbers"), .init("count", "c", "only how many"),
                .init("extended-regexp", "E", "extended regular expressions"),
                .init("fixed-strings", "F", "plain text"),
                .init("word-regexp", "w", "only whole words"), .init("line-regexp", "x", "only whole lines"),
                .init("only-matching", "o", "only what matched"), .init("quiet", "q", "nothing but the status"),
                .init("files-with-matches", "l", "only the names of files that have one"),
                .init("with-filename", "H", "with the file's name, even of one"),
                .init("no-filename", "h", "without the files' names"),
                .init("max-count", "m", .integer(1...Int.max), "no more lines than this of a file"),
                .init("after-context", "A", .integer(0...contextLimit), "so many lines behind each, too"),
                .init("before-context", "B", .integer(0...contextLimit), "so many lines before each, too"),
                .init("context", "C", .integer(0...contextLimit), "so many lines around each, too"),
                .init("regexp", "e", .text("PATTERN"), repeatable: true, "a pattern; with several, any of them"),
            ],
            arguments: .init([.text, .file], 0...1000, numberFlag: "context"),
            examples: ["journal --all | grep Removed", "grep -c ERROR app.log", "grep -w -A 2 500 app.log"],
            group: .files)
        return Command(description) { invocation in
            var rest = invocation.arguments.arguments[...]
            var patterns = invocation.arguments.texts("regexp")
            if patterns.isEmpty, let first = rest.popFirst() { patterns = [first] }
            guard !patterns.isEmpty else { throw UsageError("grep: which pattern? grep PATTERN [FILE…]") }
            do {
                return .running(try Grep(invocation.process, patterns: patterns, files: rest, invocation.arguments))
            } catch let error as RegularExpressionError {
                throw UsageError("grep: \(error)")
            }
        }
    }

    /// Lines around a match, which are kept until it is known whether there is one.
    private static let contextLimit = 100_000

    private final class Grep: LineTool {
        private let finder: GrepFinder
        private let showsFile: Bool
        private let showsNumber: Bool
        private let isInverted: Bool
        private let isQuiet: Bool
        private let counts: Bool
        private let namesFiles: Bool
        private let showsMatches: Bool
        private let maximum: Int
        private let hasContext: Bool
        private let linesBefore: Int
        private let linesAfter: Int
        private var lineNumber = 0
        private var count = 0
        /// Nothing more of this file is wanted.
        private var isFileDone = false
        /// Lines that are shown if a match follows.
        private var before = RingQueue<(number: Int, line: [UInt8])>()
        /// Lines that are still shown behind a match.
        private var leftAfter = 0
        /// The number of the line of this file that was shown last; nil if none was.
        private var lastShown: Int?
        private var hasShown = false

        init(_ process: Process, patterns: [String], files: ArraySlice<String>, _ arguments: ParsedArguments) throws {
            finder = try GrepFinder(patterns, arguments)
            showsFile = !arguments.has("no-filename") && (files.count > 1 || arguments.has("with-filename"))
            showsNumber = arguments.has("line-number")
            isInverted = arguments.has("invert-match")
            isQuiet = arguments.has("quiet")
            namesFiles = arguments.has("files-with-matches")
            counts = arguments.has("count") && !namesFiles
            showsMatches = arguments.has("only-matching")
            maximum = arguments.integer("max-count") ?? .max
            let around = arguments.integer("context") ?? 0
            let showsLines = !showsMatches && !arguments.has("count") && !namesFiles
            hasContext = showsLines && ["context", "before-context", "after-context"].contains { arguments.has($0) }
            linesBefore = showsLines ? arguments.integer("before-context") ?? around : 0
            linesAfter = showsLines ? arguments.integer("after-context") ?? around : 0
            super.init(process, files: files)
            status = 1
        }

        override var complaintStatus: Int { isQuiet && status == 0 ? 0 : 2 }

        override func beginFile() {
            lineNumber = 0
            count = 0
            isFileDone = false
            before = RingQueue()
            leftAfter = 0
            lastShown = nil
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if isFileDone { return }
            lineNumber += 1
            let text = Array(line)
            guard count < maximum else { return around(text) }
            let match = finder.firstMatch(in: text)
            guard (match != nil) != isInverted else { return around(text) }
            status = 0
            count += 1
            if isQuiet { return stop() }
            if namesFiles {
                write((currentFile ?? "(standard input)").utf8)
                return endFileEarly()
            }
            if showsMatches, !counts { showMatches(match, in: text) } else if !counts { show(text) }
            if count >= maximum, linesAfter == 0 { endFileEarly() }
        }

        /// Of several files the next one follows; and a count is written where a file ends.
        private func endFileEarly() {
            isFileDone = true
            if !hasSeveralFiles, !counts { stop() }
        }

        private func showMatches(_ first: Range<Int>?, in text: [UInt8]) {
            var next = first
            while let range = next {
                if !range.isEmpty { report(text[range], lineNumber, ":") }
                let from = range.isEmpty ? range.upperBound + 1 : range.upperBound
                next = from <= text.count ? finder.firstMatch(in: text, from: from) : nil
            }
        }

        /// A line that matches, with those before it.
        private func show(_ line: [UInt8]) {
            if hasContext {
                let first = before.isEmpty ? lineNumber : before[0].number
                // What was left out in between is told by two dashes.
                if hasShown, lastShown.map({ $0 + 1 < first }) ?? true { write("--".utf8) }
                while let (number, line) = before.popFirst() { report(line[...], number, "-") }
            }
            report(line[...], lineNumber, ":")
            (lastShown, hasShown, leftAfter) = (lineNumber, true, linesAfter)
        }

        /// A line that does not match, or one too many that does.
        private func around(_ line: [UInt8]) {
            if leftAfter > 0 {
                leftAfter -= 1
                report(line[...], lineNumber, "-")
                lastShown = lineNumber
            } else if count >= maximum {
                endFileEarly()
            } else if linesBefore > 0 {
                before.append((lineNumber, line))
                if before.count > linesBefore { _ = before.popFirst() }
            }
        }

        private func report(_ line: ArraySlice<UInt8>, _ number: Int, _ sign: String) {
            let name = showsFile ? "\(currentFile ?? "(standard input)")\(sign)" : ""
            write(Array((name + (showsNumber ? "\(number)\(sign)" : "")).utf8) + line)
        }

        override func endFile() {
            if counts { write(((showsFile ? "\(currentFile ?? "(standard input)"):" : "") + "\(count)").utf8) }
        }
    }
}

/// Finds what patterns of `grep` match in a line.
private struct GrepFinder {
    private let expressions: [RegularExpression]
    private let isWord: Bool
    private let isLine: Bool

    init(_ patterns: [String], _ arguments: ParsedArguments) throws {
        isLine = arguments.has("line-regexp")
        let isWord = arguments.has("word-regexp") && !isLine
        self.isWord = isWord
        let isLiteral = arguments.has("fixed-strings")
        let isExtended = arguments.has("extended-regexp")
        let dialect: RegularExpression.Dialect = isLiteral ? .literal : isExtended ? .extended : .basic
        let options = RegularExpression.Options(ignoresCase: arguments.has("ignore-case"))
        // As grep has it, each line of a pattern is one.
        let lines = patterns.flatMap { $0.split(separator: "\n", omittingEmptySubsequences: false) }
        expressions = try lines.map { line in
            guard isWord else { return try RegularExpression(String(line), dialect, options) }
            let isBasic = !isLiteral && !isExtended
            let word = Self.asWord(isLiteral ? Self.escaped(line) : String(line), isBasic: isBasic)
            return try RegularExpression(word, isBasic ? .basic : .extended, options)
        }
    }

    /// The pattern as the second group between what is not part of a word.
    private static func asWord(_ pattern: String, isBasic: Bool) -> String {
        isBasic
            ? "\\(^\\|[^[:alnum:]_]\\)\\(\(pattern)\\)\\([^[:alnum:]_]\\|$\\)"
            : "(^|[^[:alnum:]_])(\(pattern))([^[:alnum:]_]|$)"
    }

    private static func escaped(_ text: Substring) -> String {
        text.reduce(into: "") { $0 += "\\.[]*^$+?(){}|".contains($1) ? "\\\($1)" : String($1) }
    }

    /// The match that begins first; of several there, the longest.
    func firstMatch(in text: [UInt8], from offset: Int = 0) -> Range<Int>? {
        text.withUnsafeBytes { bytes in
            expressions.compactMap { range(of: $0, in: bytes, from: offset) }
                .min { ($0.lowerBound, -$0.upperBound) < ($1.lowerBound, -$1.upperBound) }
        }
    }

    private func range(
        of expression: RegularExpression, in bytes: UnsafeRawBufferPointer, from offset: Int
    ) -> Range<Int>? {
        // The second time it would begin behind the whole line.
        if isLine { return offset == 0 ? expression.firstRange(in: bytes, from: 0, .whole) : nil }
        if isWord { return expression.firstMatch(in: bytes, from: offset)?[2] }
        return expression.firstRange(in: bytes, from: offset)
    }
}
