/// A small model of an xterm: what somebody sees of the bytes that a program wrote.
struct TerminalScreen {
    private(set) var columns: Int
    private(set) var rows: Int
    /// Cells from the top; the second cell of a wide character is empty. Combining marks join the cell before them.
    private var cells: [[String]]
    private var row = 0
    private var column = 0
    /// The last column was written: the next character goes to the next row.
    private var wrapIsDue = false
    /// Rows that continue the one above them.
    private var isContinued: [Bool]
    private var bytes: [UInt8] = []
    /// Rows that left at the top, oldest first.
    private(set) var scrolledOff: [String] = []
    /// Sequences that the model does not know.
    private(set) var unknown: [String] = []
    /// Faint text that was drawn beside the cursor's back, between saving its place and returning to it: a suggestion,
    /// which is not part of the line.
    private(set) var ghost = ""
    private var saved: (row: Int, column: Int)?
    private var isFaint = false

    init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
        cells = Array(repeating: Array(repeating: " ", count: columns), count: rows)
        isContinued = Array(repeating: false, count: rows)
    }

    /// Cuts or extends the rows; text is not wrapped anew, as in xterm itself.
    mutating func resize(columns: Int, rows: Int) {
        for index in cells.indices {
            cells[index] = Array((cells[index] + Array(repeating: " ", count: columns)).prefix(columns))
        }
        while cells.count > rows { scroll(); cells.removeLast(); isContinued.removeLast(); row = max(0, row - 1) }
        while cells.count < rows {
            cells.append(Array(repeating: " ", count: columns))
            isContinued.append(false)
        }
        self.columns = columns
        self.rows = rows
        column = min(column, columns - 1)
        wrapIsDue = false
    }

    // MARK: What is seen

    private static func trimmed(_ cells: [String]) -> String {
        var text = cells.joined()
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }

    /// The screen's rows, blanks at their ends removed.
    var physicalLines: [String] { cells.map(Self.trimmed) }

    /// Rows, with those that were wrapped joined again.
    var lines: [String] {
        var result: [String] = []
        for index in cells.indices {
            if isContinued[index], !result.isEmpty {
                result[result.count - 1] += cells[index].joined()
            } else {
                result.append(cells[index].joined())
            }
        }
        return result.map { line in Self.trimmed([line]) }
    }

    /// The last line that is not empty.
    var lastLine: String { lines.last { !$0.isEmpty } ?? "" }
    var text: String { lines.joined(separator: "\n") }
    var cursor: (row: Int, column: Int) { (row, column) }

    // MARK: Writing

    mutating func write(_ new: some Sequence<UInt8>) {
        bytes += new
        var rest = bytes[...]
        while let taken = take(rest) { rest = rest.dropFirst(taken) }
        bytes = Array(rest)
    }

    /// Acts on what begins here and returns its length; nil if it is not all there yet.
    private mutating func take(_ rest: ArraySlice<UInt8>) -> Int? {
        guard let first = rest.first else { return nil }
        switch first {
        case 0x1B: return takeEscape(rest)
        case 13:
            column = 0
            wrapIsDue = false
        case 10: lineFeed(isWrap: false)
        case 8:
            if !wrapIsDue { column = max(0, column - 1) }
            wrapIsDue = false
        case 9: column = min(columns - 1, (column / 8 + 1) * 8)
        case 0..<32, 127: break
        default: return takeCharacter(rest)
        }
        return 1
    }

    private mutating func takeCharacter(_ rest: ArraySlice<UInt8>) -> Int? {
        let first = rest.first!
        let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard rest.count >= length else { return nil }
        put(String(decoding: rest.prefix(length), as: UTF8.self))
        return length
    }

    private mutating func put(_ text: String) {
        if saved != nil, isFaint {
            ghost += text
            return
        }
        let scalar = text.unicodeScalars.first!.value
        let isWide =
            (0x1100...0x115F).contains(scalar) || (0x2E80...0xD7A3).contains(scalar)
            || (0xFF00...0xFF60).contains(scalar) || (0x1F300...0x1F9FF).contains(scalar)
        let width = isWide ? 2 : 1
        if wrapIsDue || column + width > columns {
            lineFeed(isWrap: true)
            column = 0
        }
        cells[row][column] = text
        if isWide { cells[row][column + 1] = "" }
        column += width
        wrapIsDue = column >= columns
        if wrapIsDue { column = columns - 1 }
    }

    private mutating func lineFeed(isWrap: Bool) {
        wrapIsDue = false
        if row == rows - 1 { scroll() } else { row += 1 }
        isContinued[row] = isWrap
    }

    private mutating func scroll() {
        scrolledOff.append(Self.trimmed(cells.removeFirst()))
        isContinued.removeFirst()
        cells.append(Array(repeating: " ", count: columns))
        isContinued.append(false)
    }

    // MARK: Escape sequences

    private mutating func takeEscape(_ rest: ArraySlice<UInt8>) -> Int? {
        let sequence = Array(rest)
        guard sequence.count > 1 else { return nil }
        if sequence[1] == UInt8(ascii: "7") {
            saved = (row, column)
            ghost = ""
            return 2
        }
        if sequence[1] == UInt8(ascii: "8") {
            if let saved { (row, column) = saved }
            saved = nil
            wrapIsDue = false
            return 2
        }
        guard sequence[1] == UInt8(ascii: "[") else {
            unknown.append("ESC \(UnicodeScalar(sequence[1]))")
            return 2
        }
        guard let end = sequence.indices.dropFirst(2).first(where: { sequence[$0] >= 0x40 }) else { return nil }
        let parameters = String(decoding: sequence[2..<end], as: UTF8.self)
        act(Character(UnicodeScalar(sequence[end])), parameters)
        return end + 1
    }

    private mutating func act(_ final: Character, _ parameters: String) {
        let numbers = parameters.split(separator: ";", omittingEmptySubsequences: false).map { Int($0) }
        let number = (numbers.first ?? nil) ?? 0
        let count = max(1, number)
        switch final {
        case "m":
            isFaint = parameters == "2"
            return
        case "h", "l": return
        case "A": row = max(0, row - count)
        case "B": row = min(rows - 1, row + count)
        case "C": column = min(columns - 1, column + count)
        case "D": column = max(0, column - count)
        case "G": column = min(columns, count) - 1
        case "H":
            row = min(rows, count) - 1
            column = min(columns, max(1, numbers.count > 1 ? numbers[1] ?? 1 : 1)) - 1
        case "J":
            if number == 2 { row = 0 }
            erase(from: number == 2 ? 0 : column)
            for index in (row + 1)..<max(row + 1, rows) {
                cells[index] = Array(repeating: " ", count: columns)
                isContinued[index] = false
            }
        case "K": erase(from: column)
        case "P":
            cells[row].removeSubrange(column..<min(columns, column + count))
            while cells[row].count < columns { cells[row].append(" ") }
        case "@":
            cells[row] = Array(
                (cells[row][..<column] + Array(repeating: " ", count: count) + cells[row][column...]).prefix(columns))
        default: unknown.append("CSI \(parameters)\(final)")
        }
        wrapIsDue = false
    }

    private mutating func erase(from start: Int) {
        for index in start..<columns { cells[row][index] = " " }
    }
}
