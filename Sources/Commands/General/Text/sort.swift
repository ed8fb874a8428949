import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var sort: Command {
        let description = CommandDescription(
            "sort", "sorts lines", usage: "[-n] [-r] [-u] [-f] [-t CHAR] [-k KEY]… [FILE…]",
            flags: [
                .init("numeric", "n", "by the number they begin with"), .init("reverse", "r", "backwards"),
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
                the letters of n, r, f and b that count for this key. All lines together hold
                at most 256 MiB.
                """)
        return Command(description) { invocation in
            .running(Sort(invocation.process, invocation.arguments, try SortKey.all(invocation.arguments)))
        }
    }

    private final class Sort: LineTool {
        private let keys: [SortKey]
        private let separator: UInt8?
        private let isReverse: Bool
        private let isUnique: Bool
        private let keepsOrder: Bool
        private var lines: [[UInt8]] = []
        private var size = 0

        /// Bytes of all lines, and of what it takes to keep them: no more than may be read from a file.
        private static let limitBytes = LabFiles.readLimit
        private static let bytesOfALine = 128

        init(_ process: Process, _ arguments: ParsedArguments, _ keys: [SortKey]) {
            self.keys = keys
            separator = arguments.text("field-separator")?.utf8.first
            isReverse = arguments.has("reverse")
            isUnique = arguments.has("unique")
            keepsOrder = arguments.has("stable")
            super.init(process, files: arguments.arguments)
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
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
                Entry(line: line, values: keys.map { $0.value(of: line, separator) }, place: place)
            }
            lines = []
            var previous: Entry?
            for entry in entries.sorted(by: precedes) {
                if isUnique, let previous, keyOrder(previous, entry) == 0 { continue }
                write(entry.line)
                previous = entry
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

/// A key of `sort` (POSIX, the description of `sort`): a part of each line, and how it is compared.
struct SortKey {
    enum Value {
        case number(Double)
        case text(ArraySlice<UInt8>)
    }

    /// A field, from 0, and a byte in it.
    private struct Place {
        var field = 0
        /// Of the first place from 0; of the last one how many bytes of its field belong to the key, 0 for all.
        var offset = 0
        var skipsBlanks = false
    }

    private var first = Place()
    /// nil: up to the end of the line.
    private var last: Place?
    private var isNumeric = false
    private var ignoresCase = false
    private(set) var isReverse = false

    /// The keys that the flags say; without any, the whole line is one.
    static func all(_ arguments: ParsedArguments) throws -> [SortKey] {
        if let separator = arguments.text("field-separator"), separator.utf8.count != 1 {
            throw UsageError("sort: -t: '\(separator)' is not one character; a tab is $'\\t'")
        }
        var common = SortKey()
        common.isNumeric = arguments.has("numeric")
        common.ignoresCase = arguments.has("ignore-case")
        common.isReverse = arguments.has("reverse")
        common.first.skipsBlanks = arguments.has("ignore-leading-blanks")
        let texts = arguments.texts("key")
        guard texts.count <= 100 else { throw UsageError("sort: more than 100 keys") }
        return texts.isEmpty ? [common] : try texts.map { try SortKey($0, common) }
    }

    private init() {}

    /// Reads `2`, `2,2`, `2.3,4.1nr`. What no letter says is as for all keys.
    private init(_ text: String, _ common: SortKey) throws {
        var rest = text[...]
        var letters = ""
        func failure(_ problem: String) -> UsageError { UsageError("sort: -k: '\(text)': \(problem)") }
        func number(_ what: String) throws -> Int {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            guard let number = Int(digits) else { throw failure("the number of a \(what) is missing") }
            return number
        }
        func place(isLast: Bool) throws -> Place {
            var place = Place()
            place.field = try number("field") - 1
            if rest.first == "." {
                rest.removeFirst()
                place.offset = try number("character") - (isLast ? 0 : 1)
            }
            guard place.field >= 0, place.offset >= 0 else { throw failure("fields and characters count from 1") }
            while let letter = rest.first, letter != "," {
                guard "nrfb".contains(letter) else { throw failure("'\(letter)' is none of n, r, f and b") }
                letters.append(rest.removeFirst())
                if letter == "b" { place.skipsBlanks = true }
            }
            return place
        }
        first = try place(isLast: false)
        if rest.popFirst() == "," { last = try place(isLast: true) }
        if !rest.isEmpty { throw failure("a key has two ends at most") }
        if letters.isEmpty {
            isNumeric = common.isNumeric
            ignoresCase = common.ignoresCase
            isReverse = common.isReverse
            first.skipsBlanks = common.first.skipsBlanks
            last?.skipsBlanks = common.first.skipsBlanks
        } else {
            isNumeric = letters.contains("n")
            ignoresCase = letters.contains("f")
            isReverse = letters.contains("r")
        }
    }

    // MARK: Values

    func value(of line: [UInt8], _ separator: UInt8?) -> Value {
        let isWhole = first.field == 0 && first.offset == 0 && !first.skipsBlanks
        let from = isWhole ? 0 : start(in: line, separator)
        let to = last.map { end($0, in: line, separator) } ?? line.count
        let part = line[from..<max(from, to)]
        if isNumeric { return .number(Self.number(part)) }
        guard ignoresCase else { return .text(part) }
        let capitals = part.map { (97...122).contains($0) ? $0 - 32 : $0 }
        return .text(capitals[...])
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

    private static func behindBlanks(_ place: Int, _ line: [UInt8]) -> Int {
        line[place...].firstIndex { !isBlank($0) } ?? line.count
    }

    /// Without a separator a field ends before a blank, and the blanks are the next one's.
    private static func behindField(_ place: Int, _ line: [UInt8], _ separator: UInt8?) -> Int {
        if let separator { return line[place...].firstIndex(of: separator) ?? line.count }
        return line[behindBlanks(place, line)...].firstIndex(where: isBlank) ?? line.count
    }

    private func start(in line: [UInt8], _ separator: UInt8?) -> Int {
        var place = 0
        var fields = first.field
        while fields > 0, place < line.count {
            place = Self.behindField(place, line, separator)
            if separator != nil, place < line.count { place += 1 }
            fields -= 1
        }
        if first.skipsBlanks { place = Self.behindBlanks(place, line) }
        return place + min(first.offset, line.count - place)
    }

    private func end(_ last: Place, in line: [UInt8], _ separator: UInt8?) -> Int {
        var place = 0
        var fields = last.offset == 0 ? last.field : last.field - 1
        while fields >= 0, place < line.count {
            place = Self.behindField(place, line, separator)
            // With an offset the next field is the last one; without, its separator is no part of the key.
            if separator != nil, place < line.count, fields > 0 || last.offset > 0 { place += 1 }
            fields -= 1
        }
        if last.offset == 0 { return place }
        if last.skipsBlanks { place = Self.behindBlanks(place, line) }
        return place + min(last.offset, line.count - place)
    }

    /// A sign, digits and a fraction at the beginning; 0 without them, as in `2023-12-20` everything after 2023.
    private static func number(_ part: ArraySlice<UInt8>) -> Double {
        var rest = part.drop(while: isBlank)
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        let whole = rest.prefix { (48...57).contains($0) }
        rest = rest.dropFirst(whole.count)
        let fraction = rest.first == UInt8(ascii: ".") ? rest.dropFirst().prefix { (48...57).contains($0) } : []
        let text = "0" + String(decoding: whole, as: UTF8.self) + "." + String(decoding: fraction, as: UTF8.self) + "0"
        let value = Double(text) ?? 0
        return isNegative ? -value : value
    }

    // MARK: Order

    static func order(_ a: Value, _ b: Value) -> Int {
        switch (a, b) {
        case (.number(let a), .number(let b)): a < b ? -1 : a > b ? 1 : 0
        case (.text(let a), .text(let b)): order(a, b)
        // One key makes values of one kind.
        case (.number, .text): -1
        case (.text, .number): 1
        }
    }

    static func order(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
        a.lexicographicallyPrecedes(b) ? -1 : b.lexicographicallyPrecedes(a) ? 1 : 0
    }
}
