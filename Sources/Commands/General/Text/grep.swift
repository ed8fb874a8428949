import CommandKit
import KernelRegularExpressions
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
                .init("only-matching", "o", "only what matched"), .init("quiet", "q", "nothing but the status"),
                .init("regexp", "e", .text("PATTERN"), repeatable: true, "a pattern; with several, any of them"),
            ],
            arguments: .init([.text, .file], 0...1000),
            examples: ["journal --all | grep Removed", "grep -c ERROR app.log"], group: .files)
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

    private final class Grep: LineTool {
        private let expressions: [RegularExpression]
        private let arguments: ParsedArguments
        private let showsFile: Bool
        private var lineNumber = 0
        private var count = 0

        init(_ process: Process, patterns: [String], files: ArraySlice<String>, _ arguments: ParsedArguments) throws {
            let dialect: RegularExpression.Dialect =
                arguments.has("fixed-strings") ? .literal : arguments.has("extended-regexp") ? .extended : .basic
            // As grep has it, each line of a pattern is one.
            expressions = try patterns.flatMap { $0.split(separator: "\n", omittingEmptySubsequences: false) }.map {
                try RegularExpression(String($0), dialect, .init(ignoresCase: arguments.has("ignore-case")))
            }
            self.arguments = arguments
            showsFile = files.count > 1
            super.init(process, files: files)
            status = 1
        }

        override var complaintStatus: Int { arguments.has("quiet") && status == 0 ? 0 : 2 }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            lineNumber += 1
            let text = String(decoding: line, as: UTF8.self)
            guard expressions.contains(where: { $0.matches(text) }) != arguments.has("invert-match") else { return }
            status = 0
            count += 1
            if arguments.has("quiet") { return stop() }
            if arguments.has("count") { return }
            if arguments.has("only-matching") {
                for range in matches(in: text) where !range.isEmpty {
                    report(Array(text.utf8)[range])
                }
            } else {
                report(line)
            }
        }

        /// What matches from left to right: of several patterns the match that begins first, and of those the longest.
        private func matches(in text: String) -> [Range<Int>] {
            if expressions.count == 1 { return expressions[0].allMatches(in: text).map(\.range) }
            var found: [Range<Int>] = []
            let all = expressions.flatMap { $0.allMatches(in: text) }.map(\.range)
            for range in all.sorted(by: { ($0.lowerBound, -$0.upperBound) < ($1.lowerBound, -$1.upperBound) })
            where range.lowerBound >= found.last?.upperBound ?? 0 {
                found.append(range)
            }
            return found
        }

        private func report(_ counts: [Int], _ name: String?) {
            let numbers = zip(counts, shows).filter(\.1).map { String($0.0) }
            write((numbers + [name].compactMap { $0 }).joined(separator: " ").utf8)
        }
        override func endFile() {
            report(counts, currentFile)
            for index in counts.indices { totals[index] += counts[index] }
            counts = [0, 0, 0]
        }
        override func end() { if hasSeveralFiles { report(totals, "total") } }
    }

    static var sort: Command {
        let description = CommandDescription(
            "sort", "sorts lines", usage: "[-n] [-r] [-u] [FILE…]",
            flags: [
                .init("numeric", "n", "by the number they begin with"), .init("reverse", "r", "backwards"),
                .init("unique", "u", "equal lines once"),
            ],
            arguments: .init([.file], 0...1000), examples: ["sort -n numbers.txt"], group: .files)
        return Command(description) { invocation in
            .running(Sort(invocation.process, invocation.arguments))
        }
    }

    private final class Sort: LineTool {
        private let isNumeric: Bool
        private let isReverse: Bool
        private let isUnique: Bool
        private var lines: [[UInt8]] = []
        init(_ process: Process, _ arguments: ParsedArguments) {
            isNumeric = arguments.has("numeric")
            isReverse = arguments.has("reverse")
            isUnique = arguments.has("unique")
            super.init(process, files: arguments.arguments)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) { lines.append(Array(line)) }

        /// A sign, digits and a fraction at the beginning; 0 without them, as in `2023-12-20` everything after 2023.
        private func number(_ line: [UInt8]) -> Double {
            var rest = line.drop { $0 == 32 || $0 == 9 }
            let isNegative = rest.first == UInt8(ascii: "-")
            if isNegative { rest = rest.dropFirst() }
            let whole = rest.prefix { (48...57).contains($0) }
            rest = rest.dropFirst(whole.count)
            let fraction = rest.first == UInt8(ascii: ".") ? rest.dropFirst().prefix { (48...57).contains($0) } : []
            let text =
                "0" + String(decoding: whole, as: UTF8.self) + "." + String(decoding: fraction, as: UTF8.self) + "0"
            let value = Double(text) ?? 0
            return isNegative ? -value : value
        }

        override func end() {
            let keyed = lines.enumerated().map { (line: $1, key: isNumeric ? number($1) : 0, place: $0) }
            lines = []
            let sorted = keyed.sorted { a, b in
                if a.key != b.key { return isReverse ? a.key > b.key : a.key < b.key }
                // Of lines that count as equal, -u keeps the first that came.
                if isUnique, isNumeric || a.line == b.line { return a.place < b.place }
                return isReverse ? b.line.lexicographicallyPrecedes(a.line) : a.line.lexicographicallyPrecedes(b.line)
            }
            var previous: (line: [UInt8], key: Double)?
            for one in sorted {
                if isUnique, let previous, isNumeric ? previous.key == one.key : previous.line == one.line { continue }
                write(one.line)
                previous = (one.line, one.key)
            }
        }
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

    static var grep: Command {
        let description = CommandDescription(
            "grep", "the lines that match a pattern", usage: "[FLAGS] PATTERN [FILE…]",
            flags: [
                .init("ignore-case", "i", "upper and lower case are the same"),
                .init("invert-match", "v", "the lines that do not match"),
                .init("line-number", "n", "with line numbers"), .init("count", "c", "only how many"),
                .init("extended-regexp", "E", "extended regular expressions"),
                .init("fixed-strings", "F", "plain text"),
                .init("only-matching", "o", "only what matched"), .init("quiet", "q", "nothing but the status"),
                .init("regexp", "e", .text("PATTERN"), repeatable: true, "a pattern; with several, any of them"),
            ],
            arguments: .init([.text, .file], 0...1000),
            examples: ["journal --all | grep Removed", "grep -c ERROR app.log"], group: .files)
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

    private final class Grep: LineTool {
        private let expressions: [RegularExpression]
        private let arguments: ParsedArguments
        private let showsFile: Bool
        private var lineNumber = 0
        private var count = 0

        init(_ process: Process, patterns: [String], files: ArraySlice<String>, _ arguments: ParsedArguments) throws {
            let dialect: RegularExpression.Dialect =
                arguments.has("fixed-strings") ? .literal : arguments.has("extended-regexp") ? .extended : .basic
            // As grep has it, each line of a pattern is one.
            expressions = try patterns.flatMap { $0.split(separator: "\n", omittingEmptySubsequences: false) }.map {
                try RegularExpression(String($0), dialect, .init(ignoresCase: arguments.has("ignore-case")))
            }
            self.arguments = arguments
            showsFile = files.count > 1
            super.init(process, files: files)
            status = 1
        }

        override var complaintStatus: Int { arguments.has("quiet") && status == 0 ? 0 : 2 }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            lineNumber += 1
            let text = String(decoding: line, as: UTF8.self)
            guard expressions.contains(where: { $0.matches(text) }) != arguments.has("invert-match") else { return }
            status = 0
            count += 1
            if arguments.has("quiet") { return stop() }
            if arguments.has("count") { return }
            if arguments.has("only-matching") {
                for range in matches(in: text) where !range.isEmpty {
                    report(Array(text.utf8)[range])
                }
            } else {
                report(line)
            }
        }

        /// The match that begins first; of several there, the longest.
        private func firstMatch(in text: String, from offset: Int = 0) -> Range<Int>? {
            if expressions.count == 1 { return expressions[0].firstMatch(in: text, from: offset) }
            return expressions.compactMap { $0.firstMatch(in: text, from: offset) }
                .min { ($0.lowerBound, -$0.upperBound) < ($1.lowerBound, -$1.upperBound) }
        }

        private func report(_ line: ArraySlice<UInt8>) {
            let prefix =
                (showsFile ? "\(currentFile ?? "-"):" : "") + (arguments.has("line-number") ? "\(lineNumber):" : "")
            write(Array(prefix.utf8) + line)
        }

        override func endFile() {
            if arguments.has("count") { write(((showsFile ? "\(currentFile ?? "-"):" : "") + "\(count)").utf8) }
            lineNumber = 0
            count = 0
        }
    }
}
