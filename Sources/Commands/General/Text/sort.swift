import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var sort: Command {
        let description = CommandDescription(
            "sort", "sorts lines", usage: "[-n|-h|-V] [-r] [-u] [-t CHAR] [-k KEY]… [FILE…]",
            flags: [
                .init("numeric-sort", "n", "by the number they begin with"), .init("reverse", "r", "backwards"),
                .init("human-numeric-sort", "h", "by numbers such as 2K and 1.5G"),
                .init("version-sort", "V", "by numbers anywhere: v1.10 behind v1.9"),
                .init("general-numeric-sort", "g", "by numbers such as 1e3"),
                .init("month-sort", "M", "by months: JAN before FEB"),
                .init("random-sort", "R", "by chance, equal keys together; the lab's seed decides"),
                .init("dictionary-order", "d", "only blanks, letters and digits count"),
                .init("ignore-nonprinting", "i", "what cannot be seen does not count"),
                .init("check", "c", "only says whether they are in order, and where not"),
                .init("", "C", "the same as a status alone"), .init("merge", "m", "of sorted files (they are sorted)"),
                .init("output", "o", .file, "where to, which may be one of the files"),
                .init("zero-terminated", "z", "lines end in NUL"),
                .init("unique", "u", "equal lines once"),
                .init("ignore-case", "f", "small letters are as large ones"),
                .init("ignore-leading-blanks", "b", "blanks before a key do not count"),
                .init("stable", "s", "what is equal stays in its order"),
                .init("field-separator", "t", .text("CHAR"), "what stands between fields (blanks)"),
                .init("key", "k", .text("KEY"), repeatable: true, "by a part of the line; the first counts most"),
            ],
            arguments: .init([.file], 0...1000),
            examples: ["sort -n numbers.txt", "sort -t , -k 2,2nr -k 1,1 users.csv"], group: .files,
            details: """
                KEY is FIRST[,LAST], fields from 1, each with .CHAR for a place in it, and with
                the letters of n, h, V, g, M, R, r, f, d, i and b that count for this key.
                All lines together hold at most 256 MiB.
                """)
        return Command(description) { invocation in
            var random = invocation.session.world.random.fork("sort \(invocation.process.number)")
            let keys = try SortKey.all(invocation.arguments, salt: random.next())
            return .running(Sort(invocation.process, invocation.arguments, keys))
        }
    }

    private final class Sort: LineTool {
        private let keys: [SortKey]
        private let fieldSeparator: UInt8?
        private let isReverse: Bool
        private let isUnique: Bool
        private let keepsOrder: Bool
        private let checks: Bool
        private let checksSilently: Bool
        private let target: String?
        private var before: Entry?
        private var count = 0
        private var lines: [[UInt8]] = []
        private var size = 0

        /// Bytes of all lines, and of what it takes to keep them: no more than may be read from a file.
        private static let limitBytes = LabFiles.readLimit
        private static let bytesOfALine = 128

        init(_ process: Process, _ arguments: ParsedArguments, _ keys: [SortKey]) {
            self.keys = keys
            fieldSeparator = SortKey.separator(arguments)
            isReverse = arguments.has("reverse")
            isUnique = arguments.has("unique")
            keepsOrder = arguments.has("stable")
            checksSilently = arguments.has("C")
            checks = arguments.has("check") || checksSilently
            target = arguments.text("output")
            super.init(process, files: arguments.arguments)
            if target != nil { captured = [] }
            if arguments.has("zero-terminated") { separator = 0 }
        }

        override var complaintStatus: Int { 2 }

        override func beginFile() {
            before = nil
            count = 0
        }

        /// Whether the line may follow the one before it.
        private func check(_ line: [UInt8]) {
            count += 1
            let entry = Entry(line: line, values: keys.map { $0.value(of: line, fieldSeparator) }, place: count)
            if let before, isUnique ? keyOrder(before, entry) >= 0 : precedes(entry, before) {
                status = 1
                if !checksSilently {
                    let text = String(decoding: line, as: UTF8.self)
                    process.complain("\(currentFile ?? "-"):\(count): disorder: \(text)")
                }
                return stop()
            }
            before = entry
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if checks { return check(Array(line)) }
            size += line.count + Self.bytesOfALine
            guard size <= Self.limitBytes else {
                lines = []
                status = 2
                complain("more than \(byteCountText(Self.limitBytes)) to sort")
                return stop()
            }
            lines.append(Array(line))
        }

        private struct Entry {
            let line: [UInt8]
            let values: [SortKey.Value]
            let place: Int
        }

        override func end() {
            let entries = lines.enumerated().map { place, line in
                Entry(line: line, values: keys.map { $0.value(of: line, fieldSeparator) }, place: place)
            }
            lines = []
            var previous: Entry?
            for entry in entries.sorted(by: precedes) {
                if isUnique, let previous, keyOrder(previous, entry) == 0 { continue }
                write(entry.line)
                previous = entry
            }
            guard let target, let bytes = captured else { return }
            captured = nil
            do throws(LabFileError) { try process.session.files.write(bytes, to: target) } catch {
                complain(error.description)
            }
        }

        private func precedes(_ a: Entry, _ b: Entry) -> Bool {
            let order = keyOrder(a, b)
            if order != 0 { return order < 0 }
            // Of lines that count as equal, -u keeps the first that came; otherwise all of the line decides.
            if !isUnique, !keepsOrder {
                let order = SortKey.order(a.line[...], b.line[...])
                if order != 0 { return isReverse ? order > 0 : order < 0 }
            }
            return a.place < b.place
        }

        /// Less than 0 if the keys of `a` come first.
        private func keyOrder(_ a: Entry, _ b: Entry) -> Int {
            for index in keys.indices {
                let order = SortKey.order(a.values[index], b.values[index])
                if order != 0 { return keys[index].isReverse ? -order : order }
            }
            return 0
        }
    }
}
