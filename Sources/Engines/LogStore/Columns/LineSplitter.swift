import Glibc

/// Cuts a line into what it shares with its neighbours and what is its own.
///
/// A line was made of a format and some values. The format is gone, but its traces are not: in JSON the values are what
/// stands behind the colons, in other lines what has a digit in it. What is left is the line's *shape*, and a chunk has
/// few of them. (After CLP: Rodrigues, Luo, Yuan 2021, "CLP: Efficient and Scalable Search on Compressed Text Logs".)
///
/// Values begin and end where words do, and at least two bytes of shape lie between two values, so that words and
/// pieces of three bytes can be looked for in values and shapes apart.
struct LineSplitter {
    /// Where values stand: their first byte, and the one behind them.
    private(set) var values: [Range<Int>] = []
    /// Of each value in JSON.
    private(set) var kinds: [Kind] = []
    private(set) var isJSON = false

    enum Kind: UInt8 { case text, number, nested }

    /// More values have a line none.
    static let valueLimit = 64

    /// Cuts a line.
    ///
    /// - Returns: false where it has too many values, or escapes: it is kept as it is.
    mutating func split(_ line: UnsafeRawBufferPointer) -> Bool {
        forget()
        guard let base = line.baseAddress else { return true }
        var start = 0
        Self.skipBlanks(line, &start)
        guard start < line.count, line[start] == UInt8(ascii: "{") else { return splitText(line) }
        // Escapes hide words; who looks for them looks at such a line as a whole, and at whatever else is unusual.
        guard start == 0, memchr(base, Int32(UInt8(ascii: "\\")), line.count) == nil, splitObject(line) else {
            return false
        }
        isJSON = true
        return true
    }

    /// What was said of the line before is not true of the next one, however it is cut.
    private mutating func forget() {
        values.removeAll(keepingCapacity: true)
        kinds.removeAll(keepingCapacity: true)
        isJSON = false
    }

    /// Cuts a line that is no JSON: words with a digit are values.
    mutating func splitText(_ line: UnsafeRawBufferPointer) -> Bool {
        forget()
        var place = 0
        let count = line.count
        while place < count {
            guard LineSplitter.isOfWord(line[place]) else {
                place += 1
                continue
            }
            let start = place
            var hasDigit = false
            while place < count, LineSplitter.isOfWord(line[place]) {
                if line[place] &- 0x30 < 10 { hasDigit = true }
                place += 1
            }
            guard hasDigit else { continue }
            if let last = values.last, start - last.upperBound < 2 {
                values[values.count - 1] = last.lowerBound..<place
            } else {
                guard values.count < Self.valueLimit else { return false }
                values.append(start..<place)
            }
        }
        return true
    }

    /// As `LogWords` has it.
    @inline(__always)
    private static func isOfWord(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26 || byte == 0x5F
    }

    // MARK: JSON

    private mutating func splitObject(_ line: UnsafeRawBufferPointer) -> Bool {
        var place = 1
        Self.skipBlanks(line, &place)
        if place < line.count, line[place] == UInt8(ascii: "}") { return Self.isAtEnd(line, place + 1) }
        while true {
            Self.skipBlanks(line, &place)
            guard Self.text(line, &place) != nil else { return false }
            Self.skipBlanks(line, &place)
            guard place < line.count, line[place] == UInt8(ascii: ":") else { return false }
            place += 1
            Self.skipBlanks(line, &place)
            guard place < line.count, values.count < Self.valueLimit else { return false }
            switch line[place] {
            case UInt8(ascii: "\""):
                guard let value = Self.text(line, &place) else { return false }
                values.append(value)
                kinds.append(.text)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let start = place
                guard JSONMembers.skipNested(line, &place), place <= line.count else { return false }
                values.append(start..<place)
                kinds.append(.nested)
            default:
                let start = place
                while place < line.count, !JSONMembers.isEndOfWord(line[place]) { place += 1 }
                if place == start { return false }
                values.append(start..<place)
                kinds.append(.number)
            }
            Self.skipBlanks(line, &place)
            guard place < line.count else { return false }
            if line[place] == UInt8(ascii: "}") { return Self.isAtEnd(line, place + 1) }
            guard line[place] == UInt8(ascii: ",") else { return false }
            place += 1
        }
    }

    @inline(__always)
    private static func skipBlanks(_ line: UnsafeRawBufferPointer, _ place: inout Int) {
        while place < line.count, JSONMembers.isBlank(line[place]) { place += 1 }
    }

    private static func isAtEnd(_ line: UnsafeRawBufferPointer, _ place: Int) -> Bool {
        var place = place
        skipBlanks(line, &place)
        return place == line.count
    }

    /// What stands between quotation marks; nil where there are none, or something that JSON does not allow there.
    @inline(__always)
    private static func text(_ line: UnsafeRawBufferPointer, _ place: inout Int) -> Range<Int>? {
        guard place < line.count, line[place] == UInt8(ascii: "\"") else { return nil }
        let start = place + 1
        var end = start
        while end < line.count, line[end] != UInt8(ascii: "\"") {
            if line[end] < 0x20 { return nil }
            end += 1
        }
        guard end < line.count else { return nil }
        place = end + 1
        return start..<end
    }
}

/// What lines of one format have in common: what stands before, between and behind their values.
struct LineShape {
    let literals: [[UInt8]]
    /// Of the values, in JSON; empty for other lines.
    let kinds: [LineSplitter.Kind]
    /// Names of the members whose values they are, in JSON.
    let names: [[UInt8]]

    var valueCount: Int { literals.count - 1 }

    init(_ line: UnsafeRawBufferPointer, _ splitter: LineSplitter) {
        var literals: [[UInt8]] = []
        var place = 0
        for value in splitter.values {
            literals.append(Array(line[place..<value.lowerBound]))
            place = value.upperBound
        }
        literals.append(Array(line[place...]))
        self.literals = literals
        kinds = splitter.isJSON ? splitter.kinds : []
        names = splitter.isJSON ? literals.dropLast().map(Self.name) : []
    }

    /// The member's name at the end of what stands before its value.
    private static func name(_ literal: [UInt8]) -> [UInt8] {
        guard let colon = literal.lastIndex(of: UInt8(ascii: ":")),
            let end = literal[..<colon].lastIndex(of: UInt8(ascii: "\"")),
            let start = literal[..<end].lastIndex(of: UInt8(ascii: "\""))
        else { return [] }
        return Array(literal[(start + 1)..<end])
    }

    /// Whether a line that was cut has this shape.
    func fits(_ line: UnsafeRawBufferPointer, _ splitter: LineSplitter) -> Bool {
        guard splitter.values.count == valueCount, splitter.isJSON ? kinds == splitter.kinds : kinds.isEmpty else {
            return false
        }
        var place = 0
        for (index, value) in splitter.values.enumerated() {
            guard Self.isEqual(line, place..<value.lowerBound, literals[index]) else { return false }
            place = value.upperBound
        }
        return Self.isEqual(line, place..<line.count, literals[valueCount])
    }

    private static func isEqual(_ line: UnsafeRawBufferPointer, _ range: Range<Int>, _ literal: [UInt8]) -> Bool {
        guard range.count == literal.count else { return false }
        return begins(line, range.lowerBound, literal)
    }

    /// Cuts a JSON line that looks like one of this shape, faster than by walking over it; `false` says nothing.
    func cut(_ line: UnsafeRawBufferPointer, into values: inout [Range<Int>]) -> Bool {
        guard !kinds.isEmpty, let base = line.baseAddress else { return false }
        values.removeAll(keepingCapacity: true)
        var place = 0
        for index in 0..<kinds.count {
            guard Self.begins(line, place, literals[index]) else { return false }
            place += literals[index].count
            let start = place
            switch kinds[index] {
            case .nested: return false
            case .text:
                guard place < line.count,
                    let found = memchr(base + place, Int32(UInt8(ascii: "\"")), line.count - place)
                else { return false }
                place = UnsafeRawPointer(found) - UnsafeRawPointer(base)
            case .number:
                while place < line.count, !JSONMembers.isEndOfWord(line[place]) { place += 1 }
                guard place > start, line[start] != UInt8(ascii: "{"), line[start] != UInt8(ascii: "[") else {
                    return false
                }
            }
            values.append(start..<place)
        }
        return Self.isEqual(line, place..<line.count, literals[valueCount])
    }

    @inline(__always)
    private static func begins(_ line: UnsafeRawBufferPointer, _ place: Int, _ literal: [UInt8]) -> Bool {
        guard line.count - place >= literal.count else { return false }
        guard !literal.isEmpty, let base = line.baseAddress else { return true }
        return literal.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return true }
            return memcmp(base + place, start, literal.count) == 0
        }
    }
}
