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
                .init("perl-regexp", "P", "as Perl writes them: \\d, \\K, (?=…), (?<=…), \\1"),
                .init("basic-regexp", "G", "basic regular expressions (always, but for -E -F -P)"),
                .init("files-with-matches", "l", "only the names of files that have one"),
                .init("files-without-match", "L", "only the names of files that have none"),
                .init("no-messages", "s", "no complaint about files that are not there"),
                .init("byte-offset", "b", "with the byte at which each line, or match, begins"),
                .init("null", "Z", "names of files end in NUL"), .init("null-data", "z", "lines end in NUL"),
                .init("initial-tab", "T", "a tab before what has a name or number before it"),
                .init("text", "a", "what is no text is searched, too (always)"),
                .init("line-buffered", nil, "each line at once (always)"),
                .init("recursive", "r", "all files in directories"), .init("", "R", "the same"),
                .init("include", nil, .text("GLOB"), repeatable: true, "with -r only such names"),
                .init("exclude", nil, .text("GLOB"), repeatable: true, "without such names"),
                .init("exclude-dir", nil, .text("GLOB"), repeatable: true, "with -r without such directories"),
                .init("label", nil, .text("NAME"), "the name of what it is given"),
                .init("group-separator", nil, .text("TEXT"), "between groups of lines (--)"),
                .init("no-group-separator", nil, "nothing between groups of lines"),
                .init("color", nil, .choice(["never", "auto", "always"]), "colours (never)"),
                .init("colour", nil, .choice(["never", "auto", "always"]), "the same"),
                .init("file", "f", .file, repeatable: true, "patterns, from a file, one a line"),
                .init("with-filename", "H", "with the file's name, even of one"),
                .init("no-filename", "h", "without the files' names"),
                .init("max-count", "m", .integer(0...Int.max), "no more lines than this of a file"),
                .init("after-context", "A", .integer(0...contextLimit), "so many lines behind each, too"),
                .init("before-context", "B", .integer(0...contextLimit), "so many lines before each, too"),
                .init("context", "C", .integer(0...contextLimit), "so many lines around each, too"),
                .init("regexp", "e", .text("PATTERN"), repeatable: true, "a pattern; with several, any of them"),
            ],
            arguments: .init([.text, .file], 0...100_000, numberFlag: "context"),
            examples: ["journal --all | grep Removed", "grep -c ERROR app.log", "grep -w -A 2 500 app.log"],
            group: .files)
        return Command(description) { try search($0) }
    }

    static var egrep: Command { shorthand("egrep", "-E") }
    static var fgrep: Command { shorthand("fgrep", "-F") }

    private static func shorthand(_ name: String, _ flag: String) -> Command {
        let page = grep.description
        let description = CommandDescription(
            name, "grep \(flag)", usage: page.usage, flags: page.flags, arguments: page.arguments,
            examples: ["\(name) 'ERROR' app.log"], group: .files)
        return Command(description) { try search($0, flag) }
    }

    private static func search(_ invocation: Invocation, _ flag: String? = nil) throws -> Outcome {
        let arguments = invocation.arguments
        let files = invocation.session.files
        var rest = arguments.arguments[...]
        var patterns = arguments.texts("regexp")
        for name in arguments.texts("file") {
            var lines: String
            do throws(LabFileError) {
                lines = String(decoding: try files.read(name), as: UTF8.self)
            } catch { throw UsageError("grep: \(error)") }
            // An empty file has no pattern, and matches nothing.
            if lines.isEmpty { continue }
            if lines.hasSuffix("\n") { lines.removeLast() }
            patterns.append(lines)
        }
        let hasPatterns = arguments.has("regexp") || arguments.has("file")
        if !hasPatterns, let first = rest.popFirst() { patterns = [first] }
        guard hasPatterns || !patterns.isEmpty else { throw UsageError("grep: which pattern? grep PATTERN [FILE…]") }
        if ["color", "colour"].contains(where: { arguments.text($0) == "always" }) {
            throw UsageError("grep: --color=always is not known here: what is written has no colours")
        }
        let isRecursive = arguments.has("recursive") || arguments.has("R")
        do {
            let finder = try GrepFinder(patterns, arguments, flag)
            var names = Array(rest)
            if isRecursive || arguments.has("include") || arguments.has("exclude") {
                let filter = FileFilter(
                    included: arguments.texts("include"), excluded: arguments.texts("exclude"),
                    excludedDirectories: arguments.texts("exclude-dir"))
                names = try filter.files(names, in: files, isRecursive: isRecursive)
                if names.isEmpty, isRecursive || !rest.isEmpty { return .done(1) }
            }
            let grep = Grep(invocation.process, finder, files: names[...], arguments)
            if isRecursive { grep.showFile(!arguments.has("no-filename")) }
            return .running(grep)
        } catch let error as RegularExpressionError {
            throw UsageError("grep: \(error)")
        } catch let error as WalkingError {
            throw UsageError("grep: \(error)")
        }
    }

    /// Lines around a match, which are kept until it is known whether there is one.
    private static let contextLimit = 100_000

    private final class Grep: LineTool {
        private let finder: GrepFinder
        private var showsFile: Bool
        private let showsNumber: Bool
        private let isInverted: Bool
        private var isQuiet: Bool
        private let counts: Bool
        private let namesFiles: Bool
        private let namesOthers: Bool
        private let showsOffset: Bool
        private var isSilent: Bool
        private let nameEnd: String
        private let tab: String
        private let label: String
        private let groupSeparator: String?
        /// Where the line begins in its file.
        private var offset = 0
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

        init(_ process: Process, _ finder: GrepFinder, files: ArraySlice<String>, _ arguments: ParsedArguments) {
            self.finder = finder
            showsFile = !arguments.has("no-filename") && (files.count > 1 || arguments.has("with-filename"))
            showsNumber = arguments.has("line-number")
            isInverted = arguments.has("invert-match")
            isQuiet = arguments.has("quiet")
            namesOthers = arguments.has("files-without-match")
            namesFiles = arguments.has("files-with-matches") && !namesOthers
            counts = arguments.has("count") && !namesFiles && !namesOthers
            showsOffset = arguments.has("byte-offset")
            isSilent = arguments.has("no-messages")
            nameEnd = arguments.has("null") ? "\0" : ""
            tab = arguments.has("initial-tab") ? "\t" : ""
            label = arguments.text("label") ?? "(standard input)"
            groupSeparator = arguments.has("no-group-separator") ? nil : arguments.text("group-separator") ?? "--"
            showsMatches = arguments.has("only-matching")
            maximum = arguments.integer("max-count") ?? .max
            let around = arguments.integer("context") ?? 0
            let showsLines = !showsMatches && !arguments.has("count") && !namesFiles && !namesOthers
            hasContext = showsLines && ["context", "before-context", "after-context"].contains { arguments.has($0) }
            linesBefore = showsLines ? arguments.integer("before-context") ?? around : 0
            linesAfter = showsLines ? arguments.integer("after-context") ?? around : 0
            super.init(process, files: files)
            status = 1
            if arguments.has("null-data") { separator = 0 }
        }

        func showFile(_ isShown: Bool) { showsFile = isShown }

        override func complain(_ text: String) { if isSilent { noteComplaint() } else { super.complain(text) } }

        override var complaintStatus: Int { isQuiet && status == 0 ? 0 : 2 }

        override func beginFile() {
            lineNumber = 0
            offset = 0
            count = 0
            isFileDone = false
            before = RingQueue()
            leftAfter = 0
            lastShown = nil
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if isFileDone { return }
            lineNumber += 1
            defer { offset += line.count + 1 }
            let text = Array(line)
            guard count < maximum else { return around(text) }
            let match = finder.firstMatch(in: text)
            if let failure = finder.failure { return giveUp(failure) }
            guard (match != nil) != isInverted else { return around(text) }
            status = 0
            count += 1
            if isQuiet { return stop() }
            if namesOthers { return endFileEarly() }
            if namesFiles {
                writeName()
                return endFileEarly()
            }
            if showsMatches, !counts { showMatches(match, in: text) } else if !counts { show(text) }
            if count >= maximum, linesAfter == 0 { endFileEarly() }
        }

        /// Of several files the next one follows; and a count is written where a file ends.
        private func endFileEarly() {
            isFileDone = true
            if !hasSeveralFiles, !counts, !namesOthers { stop() }
        }

        private func writeName() {
            writeBytes(Array(((currentFile ?? label) + (nameEnd.isEmpty ? "\n" : nameEnd)).utf8))
        }

        private func showMatches(_ first: Range<Int>?, in text: [UInt8]) {
            var next = first
            while let range = next {
                if !range.isEmpty { report(text[range], lineNumber, ":", range.lowerBound) }
                let from = range.isEmpty ? range.upperBound + 1 : range.upperBound
                next = from <= text.count ? finder.firstMatch(in: text, from: from) : nil
            }
            if let failure = finder.failure { giveUp(failure) }
        }

        private func giveUp(_ failure: String) {
            isSilent = false
            isQuiet = false
            complain("line \(lineNumber): \(failure)")
            stop()
        }

        /// A line that matches, with those before it.
        private func show(_ line: [UInt8]) {
            if hasContext {
                let first = before.isEmpty ? lineNumber : before[0].number
                // What was left out in between is told by two dashes.
                if hasShown, let groupSeparator, lastShown.map({ $0 + 1 < first }) ?? true {
                    write(groupSeparator.utf8)
                }
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

        private func report(_ line: ArraySlice<UInt8>, _ number: Int, _ sign: String, _ place: Int = 0) {
            var prefix = showsFile ? (currentFile ?? label) + (nameEnd.isEmpty ? sign : nameEnd) : ""
            if showsNumber { prefix += "\(number)\(sign)" }
            if showsOffset { prefix += "\(offset + place)\(sign)" }
            if !prefix.isEmpty { prefix += tab }
            write(Array(prefix.utf8) + line)
        }

        override func endFile() {
            if namesOthers, count == 0 { writeName() }
            guard counts else { return }
            let name = showsFile ? (currentFile ?? label) + (nameEnd.isEmpty ? ":" : nameEnd) : ""
            writeBytes(Array("\(name)\(count)\n".utf8))
        }
    }
}
