/// How `diff` compares lines, and shows what differs.
struct DiffStyle {
    /// Lines around each change: `-u`. nil: none, and in diff's own form.
    let context: Int?
    let ignoresCase: Bool
    let ignoresSpace: Bool
    let ignoresSpaceChange: Bool
    let ignoresTrailingSpace: Bool
    let ignoresBlankLines: Bool
    let dropsCarriageReturns: Bool

    private var ignoresEnds: Bool { ignoresSpace || ignoresSpaceChange || ignoresTrailingSpace }
    var ignoresAnything: Bool { ignoresEnds || ignoresCase || ignoresBlankLines || dropsCarriageReturns }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    /// What of a line counts; a last line without its newline is another one, unless blanks at the end do not count.
    func key(_ line: DiffLine) -> DiffLine {
        guard ignoresEnds || ignoresCase else { return line }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(line.bytes.count)
        var spaces = false
        for byte in line.bytes {
            if ignoresSpace || ignoresSpaceChange, Self.isSpace(byte) {
                spaces = true
                continue
            }
            if spaces, !ignoresSpace { bytes.append(32) }
            spaces = false
            bytes.append(ignoresCase && (65...90).contains(byte) ? byte + 32 : byte)
        }
        if ignoresTrailingSpace { while let last = bytes.last, Self.isSpace(last) { bytes.removeLast() } }
        return DiffLine(bytes: bytes[...], isWhole: line.isWhole || ignoresEnds)
    }

    func isBlank(_ line: DiffLine) -> Bool {
        ignoresEnds ? line.bytes.allSatisfy(Self.isSpace) : line.bytes.isEmpty && line.isWhole
    }
}

struct DiffLine: Hashable {
    let bytes: ArraySlice<UInt8>
    /// It ends in a newline.
    let isWhole: Bool

    static func all(_ bytes: [UInt8], dropsCarriageReturns: Bool) -> [DiffLine] {
        var lines: [DiffLine] = []
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 10)
            var line = bytes[start..<(end ?? bytes.count)]
            if dropsCarriageReturns, end != nil, line.last == 13 { line = line.dropLast() }
            lines.append(DiffLine(bytes: line, isWhole: end != nil))
            start = (end ?? bytes.count) + 1
        }
        return lines
    }
}

/// What differs between two files, as `diff` writes it (POSIX, the description of `diff`).
struct DiffText {
    private struct Change {
        var lines: LineDifference.Change
        /// Of blank lines alone, where these do not count.
        var isIgnored: Bool
    }

    struct TooManyLines: Error, CustomStringConvertible {
        let limit: Int
        var description: String { "more than \(limit) lines together" }
    }

    private let style: DiffStyle
    private let files: [[DiffLine]]
    private var changes: [Change] = []

    init(
        _ style: DiffStyle, _ first: [UInt8], _ second: [UInt8], lineLimit: Int, isInterrupted: @escaping () -> Bool
    ) throws {
        self.style = style
        files = [first, second].map { DiffLine.all($0, dropsCarriageReturns: style.dropsCarriageReturns) }
        guard files[0].count + files[1].count <= lineLimit else { throw TooManyLines(limit: lineLimit) }
        let (prefix, suffix) = commonEnds()
        var classes: [DiffLine: Int] = [:]
        let numbers = files.map { lines in
            lines[prefix..<(lines.count - suffix)].map { line -> Int in
                let key = style.key(line)
                if let known = classes[key] { return known }
                classes[key] = classes.count
                return classes.count - 1
            }
        }
        let found = try LineDifference.changes(numbers[0], numbers[1], isInterrupted: isInterrupted)
        changes = found.map { change in
            var change = change
            change.first += prefix
            change.second += prefix
            let isIgnored =
                style.ignoresBlankLines
                && files[0][change.first..<(change.first + change.deleted)].allSatisfy(style.isBlank)
                && files[1][change.second..<(change.second + change.inserted)].allSatisfy(style.isBlank)
            return Change(lines: change, isIgnored: isIgnored)
        }
    }

    var isEmpty: Bool { changes.allSatisfy(\.isIgnored) }

    /// Lines at both ends that are the same and need not be compared; as many as are shown around a change are, so that
    /// it may move there.
    private func commonEnds() -> (prefix: Int, suffix: Int) {
        let (a, b) = (files[0], files[1])
        let least = min(a.count, b.count)
        let horizon = style.context ?? 0
        var prefix = 0
        while prefix < least, a[prefix] == b[prefix] { prefix += 1 }
        prefix = max(0, prefix - horizon)
        var suffix = 0
        // Where one file has a last newline and the other has none, no end is common.
        if (a.last?.isWhole ?? true) == (b.last?.isWhole ?? true) {
            while suffix < least - prefix, a[a.count - 1 - suffix] == b[b.count - 1 - suffix] { suffix += 1 }
            suffix = max(0, suffix - horizon)
        }
        return (prefix, suffix)
    }

    // MARK: Output

    func write(names: [String], to result: inout [UInt8]) {
        guard let context = style.context else {
            for change in changes where !change.isIgnored { writeNormal(change.lines, to: &result) }
            return
        }
        result += Array("--- \(names[0])\n+++ \(names[1])\n".utf8)
        var rest = changes[...]
        while !rest.isEmpty {
            let hunk = Self.hunk(&rest, context)
            if !hunk.allSatisfy(\.isIgnored) { writeUnified(hunk, context, to: &result) }
        }
    }

    private func put(_ sign: String, _ file: Int, _ range: Range<Int>, to result: inout [UInt8]) {
        for line in files[file][range] {
            result += sign.utf8
            result += line.bytes
            result.append(10)
            if !line.isWhole { result += Array("\\ No newline at end of file\n".utf8) }
        }
    }

    private func writeNormal(_ change: LineDifference.Change, to result: inout [UInt8]) {
        func range(_ start: Int, _ count: Int) -> String {
            count > 1 ? "\(start + 1),\(start + count)" : "\(start + count)"
        }
        let letter = change.deleted == 0 ? "a" : change.inserted == 0 ? "d" : "c"
        let head = range(change.first, change.deleted) + letter + range(change.second, change.inserted) + "\n"
        result += Array(head.utf8)
        put("< ", 0, change.first..<(change.first + change.deleted), to: &result)
        if letter == "c" { result += Array("---\n".utf8) }
        put("> ", 1, change.second..<(change.second + change.inserted), to: &result)
    }

    /// The changes that are so near to one another that they are shown together.
    private static func hunk(_ rest: inout ArraySlice<Change>, _ context: Int) -> ArraySlice<Change> {
        let start = rest.startIndex
        var end = start + 1
        while end < rest.endIndex {
            let (before, after) = (rest[end - 1], rest[end])
            let gap = after.lines.first - (before.lines.first + before.lines.deleted)
            let isNear = after.isIgnored ? gap < context : gap < 2 * context + 1
            if !isNear { break }
            end += 1
        }
        defer { rest = rest[end...] }
        return rest[start..<end]
    }

    private func writeUnified(_ hunk: ArraySlice<Change>, _ context: Int, to result: inout [UInt8]) {
        guard let first = hunk.first?.lines, let last = hunk.last?.lines else { return }
        let start = max(0, first.first - context)
        let startOfSecond = max(0, first.second - context)
        let end = min(files[0].count, last.first + last.deleted + context)
        let endOfSecond = min(files[1].count, last.second + last.inserted + context)
        func range(_ start: Int, _ end: Int) -> String {
            switch end - start {
            case 0: "\(start),0"
            case 1: "\(start + 1)"
            default: "\(start + 1),\(end - start)"
            }
        }
        result += Array("@@ -\(range(start, end)) +\(range(startOfSecond, endOfSecond)) @@\n".utf8)
        var place = start
        for change in hunk.map(\.lines) {
            put(" ", 0, place..<change.first, to: &result)
            place = change.first + change.deleted
            put("-", 0, change.first..<place, to: &result)
            put("+", 1, change.second..<(change.second + change.inserted), to: &result)
        }
        put(" ", 0, place..<end, to: &result)
    }
}
