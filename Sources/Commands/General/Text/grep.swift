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
            let text = Array(line)
            let match = firstMatch(in: text)
            guard (match != nil) != arguments.has("invert-match") else { return }
            status = 0
            count += 1
            if arguments.has("quiet") { return stop() }
            if arguments.has("count") { return }
            if arguments.has("only-matching") {
                var next = match
                while let range = next {
                    if !range.isEmpty { report(text[range]) }
                    let from = range.isEmpty ? range.upperBound + 1 : range.upperBound
                    next = from <= text.count ? firstMatch(in: text, from: from) : nil
                }
            } else {
                report(line)
            }
        }

        /// The match that begins first; of several there, the longest.
        private func firstMatch(in text: [UInt8], from offset: Int = 0) -> Range<Int>? {
            text.withUnsafeBytes { bytes in
                expressions.compactMap { $0.firstRange(in: bytes, from: offset) }
                    .min { ($0.lowerBound, -$0.upperBound) < ($1.lowerBound, -$1.upperBound) }
            }
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
