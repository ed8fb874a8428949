import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

/// Tools that bring several files together: `paste`, `join`, `comm`.
extension GeneralCommands {
    static var paste: Command {
        let description = CommandDescription(
            "paste", "lines of several files side by side", usage: "[-s] [-d LIST] [FILE…]",
            flags: [
                .init(
                    "delimiters", "d", .text("LIST"), "what stands between them, in turn (a tab); \\n, \\0 is nothing"),
                .init("serial", "s", "each file's lines in one"), .init("zero-terminated", "z", "lines end in NUL"),
            ],
            arguments: .init([.file], 0...1000), examples: ["paste -d , names.txt ports.txt", "seq 4 | paste -sd +"],
            group: .files, details: "- is what it is given; several times, its lines in turn.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let end: UInt8 = arguments.has("zero-terminated") ? 0 : 10
            let delimiters = delimiters(arguments.text("delimiters") ?? "\t")
            let isSerial = arguments.has("serial")
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    if tool.isIncomplete { return 1 }
                    tool.write(
                        isSerial
                            ? serial(sources, delimiters, end) : sideBySide(sources, delimiters, end))
                    return 0
                })
        }
    }

    /// `,\n\0`: one after another; `\0` is nothing.
    private static func delimiters(_ text: String) -> [[UInt8]] {
        var result: [[UInt8]] = []
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "\\", let next = rest.popFirst() else {
                result.append(Array(String(character).utf8))
                continue
            }
            result.append(next == "0" ? [] : EscapeSequences.resolve("\\\(next)", .format))
        }
        return result.isEmpty ? [[]] : result
    }

    private static func serial(_ sources: [WholeInput.Source], _ delimiters: [[UInt8]], _ end: UInt8) -> [UInt8] {
        var result: [UInt8] = []
        var hasRead = false
        for source in sources {
            // What it is given is there once.
            let lines = source.name == "-" && hasRead ? [] : source.lines(endingIn: end)
            if source.name == "-" { hasRead = true }
            for (index, line) in lines.enumerated() {
                if index > 0 { result += delimiters[(index - 1) % delimiters.count] }
                result += line
            }
            result.append(end)
        }
        return result
    }

    private static func sideBySide(_ sources: [WholeInput.Source], _ delimiters: [[UInt8]], _ end: UInt8) -> [UInt8] {
        var result: [UInt8] = []
        let lines = sources.map { $0.lines(endingIn: end) }
        // Several that are what it is given share one place.
        let places = sources.indices.map { index in
            sources[index].name == "-" ? sources.firstIndex { $0.name == "-" } ?? index : index
        }
        var next = Array(repeating: 0, count: sources.count)
        while sources.indices.contains(where: { next[places[$0]] < lines[$0].count }) {
            for index in sources.indices {
                if index > 0 { result += delimiters[(index - 1) % delimiters.count] }
                let place = places[index]
                if next[place] < lines[index].count { result += lines[index][next[place]] }
                next[place] += 1
            }
            result.append(end)
        }
        return result
    }

    static var comm: Command {
        let description = CommandDescription(
            "comm", "what two sorted files have in common", usage: "[-1] [-2] [-3] FILE FILE",
            flags: [
                .init("", "1", "not what only the first has"), .init("", "2", "not what only the second has"),
                .init("", "3", "not what both have"),
                .init("output-delimiter", nil, .text("TEXT"), "what stands before the columns (a tab)"),
                .init("nocheck-order", nil, "they may be unsorted"), .init("check-order", nil, "they must be sorted"),
                .init("total", nil, "with how many there were of each"),
                .init("zero-terminated", "z", "lines end in NUL"),
            ],
            arguments: .init([.file], 2...2), examples: ["comm -12 before.txt after.txt"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let shows = ["1", "2", "3"].map { !arguments.has($0) }
            let delimiter = Array((arguments.text("output-delimiter") ?? "\t").utf8)
            let checks = !arguments.has("nocheck-order")
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    if tool.isIncomplete { return 1 }
                    let end: UInt8 = arguments.has("zero-terminated") ? 0 : 10
                    let (a, b) = (sources[0].lines(endingIn: end), sources[1].lines(endingIn: end))
                    var counts = [0, 0, 0]
                    let before = [
                        [], shows[0] ? delimiter : [], (shows[0] ? delimiter : []) + (shows[1] ? delimiter : []),
                    ]
                    var result: [UInt8] = []
                    func take(_ line: ArraySlice<UInt8>, _ column: Int) {
                        counts[column] += 1
                        if shows[column] { result += before[column] + line + [end] }
                    }
                    var (i, j) = (0, 0)
                    while i < a.count || j < b.count {
                        let order = i == a.count ? 1 : j == b.count ? -1 : SortKey.order(a[i], b[j])
                        take(order > 0 ? b[j] : a[i], order < 0 ? 0 : order > 0 ? 1 : 2)
                        if order <= 0 { i += 1 }
                        if order >= 0 { j += 1 }
                    }
                    if arguments.has("total") {
                        for count in counts { result += Array(String(count).utf8) + delimiter }
                        result += Array("total".utf8) + [end]
                    }
                    tool.write(result)
                    // As elsewhere: of files that are the same it is nobody's concern.
                    let matters = arguments.has("check-order") || counts[0] + counts[1] > 0
                    for (index, lines) in [a, b].enumerated() where checks && matters && !isSorted(lines) {
                        tool.process.complain("file \(index + 1) is not in sorted order")
                        return 1
                    }
                    return 0
                })
        }
    }

    private static func isSorted(_ lines: [ArraySlice<UInt8>]) -> Bool {
        zip(lines, lines.dropFirst()).allSatisfy { SortKey.order($0, $1) <= 0 }
    }

    static var join: Command {
        let description = CommandDescription(
            "join", "lines of two sorted files that have a field in common", usage: "[FLAGS] FILE FILE",
            flags: [
                .init("", "1", .integer(1...10_000), "by this field of the first file (1)"),
                .init("", "2", .integer(1...10_000), "by this field of the second file (1)"),
                .init("", "j", .integer(1...10_000), "by this field of both"),
                .init("", "t", .text("CHAR"), "what stands between fields (blanks)"),
                .init("", "a", .integer(1...2), repeatable: true, "also lines of that file that have none"),
                .init("", "v", .integer(1...2), repeatable: true, "only lines of that file that have none"),
                .init(
                    "", "o", .text("LIST"), "which fields are written: 0,1.2,2.3, or auto: as many as first lines have"),
                .init("", "e", .text("TEXT"), "for a field that is not there"),
                .init("ignore-case", "i", "upper and lower case are the same"),
                .init("header", nil, "the first lines are titles"), .init("nocheck-order", nil, "they may be unsorted"),
                .init("zero-terminated", "z", "lines end in NUL"),
            ],
            arguments: .init([.file], 2...2), examples: ["join -t , users.csv orders.csv"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let join = try Join(arguments)
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    if tool.isIncomplete { return 1 }
                    let end: UInt8 = arguments.has("zero-terminated") ? 0 : 10
                    let (a, b) = (sources[0].lines(endingIn: end), sources[1].lines(endingIn: end))
                    let (bytes, unsorted) = try join.lines(a, b, end)
                    tool.write(bytes)
                    guard let unsorted, !arguments.has("nocheck-order") else { return 0 }
                    tool.process.complain("\(sources[unsorted].name) is not sorted by that field")
                    return 1
                })
        }
    }
}

/// What `join` does with two files.
private struct Join {
    private typealias Row = (key: [UInt8], fields: [ArraySlice<UInt8>])
    private let separator: UInt8?
    private let keyFields: [Int]
    private let unpaired: Set<Int>
    private let onlyUnpaired: Bool
    /// File 0 is the key.
    private let columns: [(file: Int, field: Int)]?
    private let isAuto: Bool
    private let empty: [UInt8]
    private let ignoresCase: Bool
    private let hasHeader: Bool

    /// Bytes that may come out: lines with equal keys make all their pairs.
    private static let limitBytes = 64 << 20

    init(_ arguments: ParsedArguments) throws {
        let text = arguments.text("t")
        if let text, text.utf8.count != 1 { throw UsageError("join: -t: '\(text)' is not one character") }
        separator = text?.utf8.first
        let both = arguments.integer("j")
        keyFields = [(arguments.integer("1") ?? both ?? 1) - 1, (arguments.integer("2") ?? both ?? 1) - 1]
        onlyUnpaired = arguments.has("v")
        unpaired = Set((arguments.texts("a") + arguments.texts("v")).compactMap { Int($0) })
        empty = Array((arguments.text("e") ?? "").utf8)
        ignoresCase = arguments.has("ignore-case")
        hasHeader = arguments.has("header")
        isAuto = arguments.text("o") == "auto"
        columns =
            isAuto
            ? nil
            : try arguments.text("o").map { list in
                try list.split { $0 == "," || $0 == " " }.map { piece in
                    if piece == "0" { return (0, 0) }
                    let parts = piece.split(separator: ".").map { Int($0) }
                    guard parts.count == 2, let file = parts[0], let field = parts[1], (1...2).contains(file), field > 0
                    else {
                        throw UsageError("join: -o: '\(piece)' is not 0, 1.N or 2.N")
                    }
                    return (file, field - 1)
                }
            }
    }

    private func row(_ line: ArraySlice<UInt8>, _ file: Int) -> Row {
        let fields =
            separator.map { line.split(separator: $0, omittingEmptySubsequences: false) }
            ?? line.split { $0 == 32 || $0 == 9 }
        let key = keyFields[file] < fields.count ? Array(fields[keyFields[file]]) : []
        return (ignoresCase ? key.map { (97...122).contains($0) ? $0 - 32 : $0 } : key, fields)
    }

    private func text(
        _ a: Row?, _ b: Row?, _ columns: [(file: Int, field: Int)]?, _ end: UInt8
    ) -> [UInt8] {
        let key =
            a.map { keyFields[0] < $0.fields.count ? Array($0.fields[keyFields[0]]) : [] }
            ?? b.map { keyFields[1] < $0.fields.count ? Array($0.fields[keyFields[1]]) : [] } ?? []
        var values: [[UInt8]] = []
        if let columns {
            for (file, field) in columns {
                guard file > 0 else {
                    values.append(key)
                    continue
                }
                let fields = (file == 1 ? a : b)?.fields ?? []
                values.append(field < fields.count && !fields[field].isEmpty ? Array(fields[field]) : empty)
            }
        } else {
            values = [key]
            for (file, row) in [a, b].enumerated() {
                for (index, field) in (row?.fields ?? []).enumerated() where index != keyFields[file] {
                    values.append(Array(field))
                }
            }
        }
        return Array(values.joined(separator: [separator ?? 32])) + [end]
    }

    /// `-o auto`: the key, then the other fields of each file's first line.
    private func columns(of a: Row?, _ b: Row?) -> [(file: Int, field: Int)]? {
        guard isAuto else { return columns }
        return [(0, 0)]
            + [a, b].enumerated().flatMap { file, row in
                (row?.fields ?? []).indices.filter { $0 != keyFields[file] }.map { (file + 1, $0) }
            }
    }

    /// The lines, and which of the files is unsorted where that matters: where a line found none in the other.
    func lines(
        _ first: [ArraySlice<UInt8>], _ second: [ArraySlice<UInt8>], _ end: UInt8
    ) throws -> (bytes: [UInt8], unsorted: Int?) {
        let rows = [first.map { row($0, 0) }, second.map { row($0, 1) }]
        var (a, b) = (rows[0][...], rows[1][...])
        let columns = columns(of: a.first, b.first)
        func text(_ a: Row?, _ b: Row?) -> [UInt8] { self.text(a, b, columns, end) }
        var isUnpaired = false
        var result: [UInt8] = []
        if hasHeader, !a.isEmpty || !b.isEmpty { result += text(a.popFirst(), b.popFirst()) }
        while !a.isEmpty || !b.isEmpty {
            guard result.count <= Self.limitBytes else {
                throw CommandFailure("more than \(byteCountText(Self.limitBytes)) would come out")
            }
            let order =
                a.isEmpty ? 1 : b.isEmpty ? -1 : SortKey.order(a.first!.key[...], b.first!.key[...])
            if order < 0 {
                let row = a.removeFirst()
                isUnpaired = true
                if unpaired.contains(1) { result += text(row, nil) }
            } else if order > 0 {
                let row = b.removeFirst()
                isUnpaired = true
                if unpaired.contains(2) { result += text(nil, row) }
            } else {
                let key = a.first!.key
                let (left, right) = (a.prefix { $0.key == key }, b.prefix { $0.key == key })
                (a, b) = (a.dropFirst(left.count), b.dropFirst(right.count))
                if onlyUnpaired { continue }
                for x in left {
                    for y in right { result += text(x, y) }
                    guard result.count <= Self.limitBytes else {
                        throw CommandFailure("more than \(byteCountText(Self.limitBytes)) would come out")
                    }
                }
            }
        }
        guard isUnpaired else { return (result, nil) }
        let unsorted = rows.firstIndex { rows in
            let rows = hasHeader ? rows.dropFirst() : rows[...]
            return !zip(rows, rows.dropFirst()).allSatisfy { SortKey.order($0.key[...], $1.key[...]) <= 0 }
        }
        return (result, unsorted)
    }
}
