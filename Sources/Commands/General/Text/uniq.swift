import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var uniq: Command {
        func page(isRaw: Bool) -> CommandDescription {
            CommandDescription(
                "uniq", "leaves out lines that equal the one before", usage: "[-c] [-d] [-u] [INPUT [OUTPUT]]",
                flags: [
                    .init("count", "c", "how often each stood there"), .init("repeated", "d", "only repeated ones"),
                    .init("unique", "u", "only single ones"), .init("", "D", "all of those that are repeated"),
                    .init(
                        "all-repeated", nil, .choice(["none", "prepend", "separate"]),
                        "the same, with empty lines between groups"),
                    .init(
                        "group", nil, .choice(["separate", "prepend", "append", "both"]),
                        "all, with empty lines between"),
                    .init("ignore-case", "i", "upper and lower case are the same"),
                    .init("skip-fields", "f", .integer(0...1_000_000), "so many fields do not count"),
                    .init("skip-chars", "s", .integer(0...1_000_000), "so many characters do not count"),
                    .init("check-chars", "w", .integer(0...1_000_000), "no more than so many characters count"),
                    .init("zero-terminated", "z", "lines end in NUL"),
                ],
                arguments: .init([.file], isRaw ? 0...100 : 0...2, isRaw: isRaw),
                examples: ["sort answers.txt | uniq -c"], group: .files)
        }
        return Command(page(isRaw: true)) { invocation in
            // Two flags may have a value, and may have none.
            let whole = ["--group": "--group=separate", "--all-repeated": "--all-repeated=none"]
            let words = invocation.arguments.arguments.map { whole[$0] ?? $0 }
            let arguments = try ParsedArguments(words, for: page(isRaw: false).following(.tool(usageStatus: 1)))
            return .running(Uniq(invocation.process, arguments))
        }
    }

    private final class Uniq: LineTool {
        private let counts: Bool
        private let onlyRepeated: Bool
        private let onlySingle: Bool
        private let showsAll: Bool
        /// Where empty lines stand: none, prepend, separate, append or both; nil without groups.
        private let grouping: String?
        private let hasGroups: Bool
        private var groupCount = 0
        private let ignoresCase: Bool
        private let skippedFields: Int
        private let skippedCharacters: Int
        private let checkedCharacters: Int
        private let target: String?
        private var previous: (line: [UInt8], key: [UInt8])?
        private var count = 0

        init(_ process: Process, _ arguments: ParsedArguments) {
            counts = arguments.has("count")
            onlyRepeated = arguments.has("repeated")
            onlySingle = arguments.has("unique")
            grouping = arguments.text("group") ?? arguments.text("all-repeated")
            hasGroups = arguments.has("group")
            showsAll = arguments.has("D") || arguments.has("all-repeated")
            ignoresCase = arguments.has("ignore-case")
            skippedFields = arguments.integer("skip-fields") ?? 0
            skippedCharacters = arguments.integer("skip-chars") ?? 0
            checkedCharacters = arguments.integer("check-chars") ?? .max
            target = arguments.arguments.count == 2 ? arguments.arguments[1] : nil
            super.init(process, files: arguments.arguments.prefix(1))
            if target != nil { captured = [] }
            if arguments.has("zero-terminated") { separator = 0 }
        }

        /// What of a line counts. A field is blanks and what follows them up to the next blank.
        private func key(_ line: ArraySlice<UInt8>) -> [UInt8] {
            var rest = line
            for _ in 0..<skippedFields where !rest.isEmpty {
                rest = rest.drop { $0 == 32 || $0 == 9 }.drop { $0 != 32 && $0 != 9 }
            }
            rest = rest.dropFirst(skippedCharacters).prefix(checkedCharacters)
            return ignoresCase ? rest.map { (97...122).contains($0) ? $0 - 32 : $0 } : Array(rest)
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            let key = key(line)
            if let previous, previous.key == key {
                count += 1
                if showsAll {
                    if count == 2 {
                        beginGroup()
                        write(previous.line)
                    }
                    write(line)
                } else if hasGroups {
                    write(line)
                }
                return
            }
            flush()
            previous = (Array(line), key)
            count = 1
            if hasGroups {
                beginGroup()
                write(line)
            }
        }

        private func beginGroup() {
            groupCount += 1
            let isBefore = grouping == "prepend" || grouping == "both"
            if isBefore && (groupCount == 1 || grouping == "prepend") || grouping == "separate" && groupCount > 1 {
                write([])
            }
        }

        private func flush() {
            if hasGroups, previous != nil, grouping == "append" || grouping == "both" { write([]) }
            guard let previous, !showsAll, !hasGroups, !(onlyRepeated && count == 1), !(onlySingle && count > 1) else {
                return
            }
            let prefix = counts ? String(count).leftPadded(to: 7) + " " : ""
            write(Array(prefix.utf8) + previous.line)
        }

        override func end() {
            flush()
            guard let target, let bytes = captured else { return }
            captured = nil
            do throws(LabFileError) { try process.session.files.write(bytes, to: target) } catch {
                complain(error.description)
            }
        }
    }
}
