import CommandKit
import KernelStructures
import ShellSession

/// Tools that give lines another shape: `rev`, `tac`, `fold`, `expand`, `unexpand`.
extension GeneralCommands {
    static var rev: Command {
        let description = CommandDescription(
            "rev", "each line backwards", usage: "[FILE…]", arguments: .init([.file], 0...1000),
            examples: ["echo abc | rev"], group: .files)
        return Command(description) { invocation in
            .running(
                Mapped(invocation.process, invocation.arguments.arguments) { line in
                    // A byte that is no text is a character of its own.
                    ByteText.encode(String(ByteText.decode(line).reversed()))
                })
        }
    }

    /// Makes another line of each.
    private final class Mapped: LineTool {
        private let change: (ArraySlice<UInt8>) -> [UInt8]
        init(_ process: Process, _ files: [String], _ change: @escaping (ArraySlice<UInt8>) -> [UInt8]) {
            self.change = change
            super.init(process, files: files)
        }
        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) { write(change(line), newline: isWhole) }
    }

    static var tac: Command {
        let description = CommandDescription(
            "tac", "the last line first", usage: "[-b] [-s TEXT] [FILE…]",
            flags: [
                .init("separator", "s", .text("TEXT"), "what ends lines (a newline)"),
                .init("before", "b", "it stands before them"),
            ], arguments: .init([.file], 0...1000), examples: ["tac app.log | head"], group: .files)
        return Command(description) { invocation in
            let end = Array((invocation.arguments.text("separator") ?? "\n").utf8)
            let isBefore = invocation.arguments.has("before")
            guard !end.isEmpty else { throw UsageError("tac: -s: an empty text separates nothing") }
            return .running(
                WholeInput(invocation.process, files: invocation.arguments.arguments) { tool, sources in
                    for source in sources { tool.write(backwards(source.bytes, end, isBefore: isBefore)) }
                    return 0
                })
        }
    }

    /// A last line without an end has none here, either.
    private static func backwards(_ bytes: [UInt8], _ end: [UInt8], isBefore: Bool) -> [UInt8] {
        var edges = [0]
        var place = 0
        while place + end.count <= bytes.count {
            guard bytes[place] == end[0], bytes[place..<(place + end.count)].elementsEqual(end) else {
                place += 1
                continue
            }
            edges.append(isBefore ? place : place + end.count)
            place += end.count
        }
        edges.append(bytes.count)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for index in stride(from: edges.count - 1, to: 0, by: -1) { result += bytes[edges[index - 1]..<edges[index]] }
        return result
    }

    static var fold: Command {
        let description = CommandDescription(
            "fold", "breaks long lines", usage: "[-s] [-w N] [FILE…]",
            flags: [
                .init("width", "w", .integer(1...1_000_000), "columns of a line (80)"),
                .init("spaces", "s", "behind a blank, where there is one"), .init("bytes", "b", "bytes, not columns"),
            ],
            arguments: .init([.file], 0...1000, numberFlag: "width"), examples: ["fold -s -w 60 README"], group: .files)
        return Command(description) { invocation in
            let width = invocation.arguments.integer("width") ?? 80
            let breaksAtBlanks = invocation.arguments.has("spaces")
            let countsBytes = invocation.arguments.has("bytes")
            return .running(
                ShapedLines(
                    invocation.process, invocation.arguments.arguments,
                    Folding(width: width, breaksAtBlanks: breaksAtBlanks, countsBytes: countsBytes)))
        }
    }

    static var expand: Command {
        let description = CommandDescription(
            "expand", "blanks for tabs", usage: "[-i] [-t N] [FILE…]",
            flags: [
                .init("tabs", "t", .text("N|LIST"), "columns of a tab (8), or where tabs end: 4,12"),
                .init("initial", "i", "only those before the text"),
            ],
            arguments: .init([.file], 0...1000, numberFlag: "tabs"), examples: ["expand -t 4 Makefile"], group: .files)
        return Command(description) { invocation in
            let stops = try TabStops(invocation.arguments.text("tabs") ?? "8", "expand")
            return .running(
                ShapedLines(
                    invocation.process, invocation.arguments.arguments,
                    TabsToBlanks(stops: stops, onlyInitial: invocation.arguments.has("initial"))))
        }
    }

    static var unexpand: Command {
        let description = CommandDescription(
            "unexpand", "tabs for blanks", usage: "[-a] [-t N] [FILE…]",
            flags: [
                .init("all", "a", "not only those before the text"),
                .init("first-only", nil, "only those before the text"),
                .init("tabs", "t", .integer(1...1000), "columns of a tab (8); with it, as -a"),
            ],
            arguments: .init([.file], 0...1000), examples: ["unexpand -a table.txt"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let width = arguments.integer("tabs") ?? 8
            let all = (arguments.has("all") || arguments.has("tabs")) && !arguments.has("first-only")
            return .running(
                ShapedLines(invocation.process, arguments.arguments, BlanksToTabs(width: width, all: all)))
        }
    }
}

/// What gives a line another shape bit by bit.
private protocol LineShape {
    /// More of the line.
    mutating func shaped(_ part: ArraySlice<UInt8>) -> [UInt8]
    /// What is still held back at the line's end, or at the end of all; from here on it is another line.
    mutating func finish() -> [UInt8]
}

/// Gives each line another shape, as it comes: a line may be as long as it likes.
private final class ShapedLines<Shape: LineShape>: LineTool {
    private var shape: Shape
    private var isWithinLine = false
    init(_ process: Process, _ files: [String], _ shape: Shape) {
        self.shape = shape
        super.init(process, files: files)
    }
    override var takesParts: Bool { true }
    override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
        let bytes = shape.shaped(line)
        write(isWhole ? bytes + shape.finish() : bytes, newline: isWhole)
        isWithinLine = !isWhole
    }
    override func endFile() { if isWithinLine { writeBytes(shape.finish()) } }
}

private struct Folding: LineShape {
    let width: Int
    let breaksAtBlanks: Bool
    let countsBytes: Bool
    /// What is on the line so far, and may have to be broken.
    private var current: [UInt8] = []
    private var column = 0

    init(width: Int, breaksAtBlanks: Bool, countsBytes: Bool) {
        self.width = width
        self.breaksAtBlanks = breaksAtBlanks
        self.countsBytes = countsBytes
    }

    private func advanced(_ column: Int, _ byte: UInt8) -> Int {
        if countsBytes { return column + 1 }
        return byte == 9 ? column + 8 - column % 8 : byte == 8 ? max(0, column - 1) : byte == 13 ? 0 : column + 1
    }

    mutating func shaped(_ part: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in part {
            while advanced(column, byte) > width, !current.isEmpty {
                let blank = breaksAtBlanks ? current.lastIndex { $0 == 32 || $0 == 9 } : nil
                let count = blank.map { $0 + 1 } ?? current.count
                result += current.prefix(count) + [10]
                current.removeFirst(count)
                column = current.reduce(0) { advanced($0, $1) }
            }
            current.append(byte)
            column = advanced(column, byte)
        }
        return result
    }

    mutating func finish() -> [UInt8] {
        defer { (current, column) = ([], 0) }
        return current
    }
}

private struct TabsToBlanks: LineShape {
    let stops: TabStops
    let onlyInitial: Bool
    private var column = 0
    private var isInitial = true

    init(stops: TabStops, onlyInitial: Bool) {
        self.stops = stops
        self.onlyInitial = onlyInitial
    }

    mutating func shaped(_ part: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in part {
            if byte == 9, isInitial || !onlyInitial {
                let count = stops.columns(from: column)
                result += Array(repeating: 32, count: count)
                column += count
            } else {
                if byte != 32, byte != 9 { isInitial = false }
                result.append(byte)
                // Bytes that go on with a character take no column.
                column += byte == 9 ? stops.columns(from: column) : byte & 0xC0 == 0x80 ? 0 : 1
            }
        }
        return result
    }

    mutating func finish() -> [UInt8] {
        (column, isInitial) = (0, true)
        return []
    }
}

private struct BlanksToTabs: LineShape {
    let width: Int
    let all: Bool
    private var blanks: [UInt8] = []
    private var column = 0
    private var isActive = true
    private var last: UInt8?

    init(width: Int, all: Bool) {
        self.width = width
        self.all = all
    }

    mutating func shaped(_ part: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        func put(_ bytes: [UInt8]) {
            result += bytes
            last = bytes.last ?? last
        }
        for byte in part {
            guard isActive, byte == 32 || byte == 9 else {
                put(blanks)
                blanks = []
                if !all { isActive = false }
                put([byte])
                column += byte & 0xC0 == 0x80 ? 0 : 1
                continue
            }
            column += byte == 9 ? width - column % width : 1
            blanks.append(byte)
            guard column % width == 0 else { continue }
            // One blank alone before a stop stays one, unless more follow.
            put(blanks.count > 1 || byte == 9 || last == 9 ? [9] : blanks)
            blanks = []
        }
        return result
    }

    mutating func finish() -> [UInt8] {
        defer { (blanks, column, isActive, last) = ([], 0, true, nil) }
        return blanks
    }
}

/// Where tabs end: at each so many columns, or at those of a list and then at each blank.
private struct TabStops {
    private let stops: [Int]

    init(_ text: String, _ name: String) throws {
        stops = try text.split { $0 == "," || $0 == " " }.map { piece in
            guard let stop = Int(piece), (1...100_000).contains(stop) else {
                throw UsageError("\(name): -t: '\(text)' is neither a number of columns nor a list of them")
            }
            return stop
        }
        guard !stops.isEmpty, zip(stops, stops.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw UsageError("\(name): -t: '\(text)': columns grow in a list")
        }
    }

    func columns(from column: Int) -> Int {
        if stops.count == 1 { return stops[0] - column % stops[0] }
        return stops.first { $0 > column }.map { $0 - column } ?? 1
    }
}
