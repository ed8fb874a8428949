import Glibc
import KernelCompression
import KernelStructures

/// Writes lines as columns: the shapes that they have, which line has which, and the values of each place in a shape.
///
/// ```
///   lines  = number-of-shapes { number-of-literals literal… } a byte a line: its shape, 0 for none
///            values of lines without a shape, then of each shape each column
///   column = kind …
///   raw        lengths bytes
///   dictionary number-of-values value… a byte a row
///   integers   decimals is-delta base width, the lowest bytes of all, the next ones …
///   layout     example with 0 where hexadecimal digits differ, half a byte a digit
///   time       separator digits suffix: it is the entry's own
///   shapes     lines, of the values
/// ```
///
/// Which kind fits is found out by trying them in turn.
struct LineColumnWriter {
    enum Kind: UInt8 { case raw, dictionary, integers, layout, time, shapes }

    let text: UnsafeRawBufferPointer
    let terms: ChunkTerms
    var sink: ColumnSink
    private var splitter = LineSplitter()

    static let shapeLimit = 63
    static let innerShapeLimit = 16
    static let dictionaryLimit = 256

    init(_ text: UnsafeRawBufferPointer, _ terms: ChunkTerms, _ sink: ColumnSink) {
        self.text = text
        self.terms = terms
        self.sink = sink
    }

    /// Lines of one shape.
    private struct Group {
        var shape: LineShape?
        var rows: [Int] = []
        var columns: [[Range<Int>]]
    }

    // MARK: Lines

    /// - Parameters:
    ///   - lines: where they stand in the text.
    ///   - times: of each, nanoseconds since 1970.
    mutating func write(_ lines: [Range<Int>], times: [Int64]) throws(CompressionError) {
        var places = [UInt8](repeating: 0, count: lines.count)
        let groups = group(lines, &places, isInner: false)
        try write(groups, places, times, isInner: false)
    }

    private mutating func write(
        _ groups: [Group], _ places: [UInt8], _ times: [Int64], isInner: Bool
    ) throws(CompressionError) {
        sink.append(groups.count - 1)
        for group in groups.dropFirst() {
            guard let shape = group.shape else { continue }
            sink.append(shape.literals.count)
            for literal in shape.literals { sink.append(data: literal) }
        }
        try sink.append(column: places)
        for group in groups {
            let own = group.rows.map { times[$0] }
            for (index, values) in group.columns.enumerated() where !values.isEmpty {
                guard let shape = group.shape else {
                    if !isInner { for value in values { terms.addLine(value) } }
                    try writeRaw(values, isIndexed: !isInner)
                    continue
                }
                let isMember = !shape.kinds.isEmpty && shape.kinds[index] != .nested
                try write(values, own, name: isMember ? shape.names[index] : nil, isInner: isInner)
            }
        }
    }

    private mutating func group(_ lines: [Range<Int>], _ places: inout [UInt8], isInner: Bool) -> [Group] {
        var groups = [Group(columns: [[]])]
        let limit = isInner ? Self.innerShapeLimit : Self.shapeLimit
        var last = 0
        var values: [Range<Int>] = []
        for (row, range) in lines.enumerated() {
            let line = UnsafeRawBufferPointer(rebasing: text[range])
            var found = 0
            if last > 0, !isInner, groups[last].shape?.cut(line, into: &values) == true {
                found = last
            } else if isInner ? splitter.splitText(line) : splitter.split(line), isWorthIt(line) {
                found = place(line, range, &groups, last, limit)
                values = splitter.values
            }
            places[row] = UInt8(truncatingIfNeeded: found)
            groups[found].rows.append(row)
            if found == 0 {
                groups[0].columns[0].append(range)
            } else {
                last = found
                for (index, value) in values.enumerated() {
                    let start = range.lowerBound + value.lowerBound
                    groups[found].columns[index].append(start..<range.lowerBound + value.upperBound)
                }
            }
        }
        return groups
    }

    /// A line that is one single value has no shape.
    private func isWorthIt(_ line: UnsafeRawBufferPointer) -> Bool {
        guard splitter.values.count == 1 else { return true }
        return splitter.values[0].count < line.count
    }

    /// The group for the line that was just cut; 0 where there are too many.
    private func place(
        _ line: UnsafeRawBufferPointer, _ range: Range<Int>, _ groups: inout [Group], _ last: Int, _ limit: Int
    ) -> Int {
        if last > 0, groups[last].shape?.fits(line, splitter) == true { return last }
        for index in groups.indices.dropFirst() where index != last {
            if groups[index].shape?.fits(line, splitter) == true { return index }
        }
        guard groups.count <= limit else { return 0 }
        let shape = LineShape(line, splitter)
        groups.append(Group(shape: shape, columns: Array(repeating: [], count: shape.valueCount)))
        // What all lines of the shape have in common, this one has.
        terms.add(range)
        return groups.count - 1
    }

    // MARK: Columns

    private mutating func write(
        _ values: [Range<Int>], _ times: [Int64], name: [UInt8]?, isInner: Bool
    ) throws(CompressionError) {
        if try writeDictionary(values, name) { return }
        // A member with so many values is found by the words in them.
        if let name { terms.addSpread(name) }
        if let style = timeStyle(values, times) { return writeTime(style, values) }
        if let numbers = Self.numbers(text, values) {
            for value in values { terms.add(value) }
            return try writeIntegers(numbers)
        }
        if let layout = layout(values) {
            for value in values { terms.add(value) }
            return try writeLayout(layout, values)
        }
        if !isInner, try writeShapes(values, times) { return }
        try writeRaw(values, isIndexed: false)
    }

    private mutating func writeRaw(_ values: [Range<Int>], isIndexed: Bool) throws(CompressionError) {
        if !isIndexed { for value in values { terms.add(value) } }
        sink.append(byte: Kind.raw.rawValue)
        var lengths = RecordWriter()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.reduce(0) { $0 + $1.count })
        for value in values {
            lengths.append(UInt64(value.count))
            bytes.append(contentsOf: text[value])
        }
        try sink.append(column: lengths.bytes)
        try sink.append(column: bytes)
    }

    private mutating func writeShapes(_ values: [Range<Int>], _ times: [Int64]) throws(CompressionError) -> Bool {
        guard values.count >= 8 else { return false }
        var places = [UInt8](repeating: 0, count: values.count)
        let groups = group(values, &places, isInner: true)
        guard groups.count > 1, groups[0].rows.count <= values.count / 4 else { return false }
        sink.append(byte: Kind.shapes.rawValue)
        try write(groups, places, times, isInner: true)
        return true
    }

    // MARK: Times

    private func timeStyle(_ values: [Range<Int>], _ times: [Int64]) -> TimeStyle? {
        guard let first = values.first, let style = TimeStyle(UnsafeRawBufferPointer(rebasing: text[first])) else {
            return nil
        }
        let length = style.length
        guard length <= TimeStyle.lengthLimit else { return nil }
        let isOwn = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: TimeStyle.lengthLimit) { buffer in
            guard let out = buffer.baseAddress, let base = text.baseAddress else { return false }
            for (index, value) in values.enumerated() {
                guard value.count == length, style.write(times[index], into: out),
                    memcmp(base + value.lowerBound, out, length) == 0
                else { return false }
            }
            return true
        }
        return isOwn ? style : nil
    }

    private mutating func writeTime(_ style: TimeStyle, _ values: [Range<Int>]) {
        sink.append(byte: Kind.time.rawValue)
        sink.append(byte: style.separator)
        sink.append(byte: UInt8(style.digits))
        sink.append(byte: UInt8(style.suffix))
        // Lines of one second differ in its fraction only.
        var last = 0..<0
        for value in values {
            let second = value.lowerBound..<value.lowerBound + TimeStyle.secondBytes
            if !last.isEmpty, let base = text.baseAddress,
                memcmp(base + second.lowerBound, base + last.lowerBound, second.count) == 0
            {
                terms.add(second.upperBound - 2..<value.upperBound)
            } else {
                terms.add(value)
            }
            last = second
        }
    }

    // MARK: Dictionaries

    private mutating func writeDictionary(_ values: [Range<Int>], _ name: [UInt8]?) throws(CompressionError) -> Bool {
        var dictionary = ValueDictionary(text)
        var places: [UInt8] = []
        places.reserveCapacity(values.count)
        for (row, value) in values.enumerated() {
            guard let place = dictionary.place(of: value) else { return false }
            places.append(place)
            // Not worth it where hardly any comes twice.
            if row == 127, dictionary.values.count > 110 { return false }
        }
        guard dictionary.values.count <= max(1, values.count * 3 / 4) else { return false }
        sink.append(byte: Kind.dictionary.rawValue)
        sink.append(dictionary.values.count)
        for value in dictionary.values {
            sink.append(data: Array(text[value]))
            terms.add(value)
            if let name { terms.addMember(name, value) }
        }
        if dictionary.values.count > 1 { try sink.append(column: places) }
        return true
    }

    // MARK: Numbers

    struct Numbers {
        var decimals = 0
        var values: [Int64] = []
    }

    /// The values as numbers, where each has the one form that its number has.
    static func numbers(_ text: UnsafeRawBufferPointer, _ values: [Range<Int>]) -> Numbers? {
        var numbers = Numbers()
        numbers.values.reserveCapacity(values.count)
        for (row, value) in values.enumerated() {
            guard let (number, decimals) = ColumnNumber.parse(UnsafeRawBufferPointer(rebasing: text[value])) else {
                return nil
            }
            if row == 0 { numbers.decimals = decimals }
            guard decimals == numbers.decimals else { return nil }
            numbers.values.append(number)
        }
        return numbers
    }

    private mutating func writeIntegers(_ numbers: Numbers) throws(CompressionError) {
        let values = numbers.values
        let base = values.min() ?? 0
        let first = values.first ?? 0
        var plain = values.map { UInt64(bitPattern: $0 &- base) }
        var previous = first
        let deltas = values.map { value in
            defer { previous = value }
            let difference = value &- previous
            return UInt64(bitPattern: (difference << 1) ^ (difference >> 63))
        }
        let width = Self.width(plain.max() ?? 0)
        let deltaWidth = Self.width(deltas.max() ?? 0)
        let isDelta = deltaWidth < width
        if isDelta { plain = deltas }
        sink.append(byte: Kind.integers.rawValue)
        sink.append(numbers.decimals)
        sink.append(byte: isDelta ? 1 : 0)
        sink.append(signed: isDelta ? first : base)
        let bytes = isDelta ? deltaWidth : width
        sink.append(bytes)
        for plane in 0..<bytes {
            try sink.append(column: plain.map { UInt8(truncatingIfNeeded: $0 >> UInt64(8 * plane)) })
        }
    }

    private static func width(_ value: UInt64) -> Int { (64 - value.leadingZeroBitCount + 7) / 8 }

    // MARK: Hexadecimal digits

    /// An example of values that differ only in hexadecimal digits, with 0 in their places.
    private func layout(_ values: [Range<Int>]) -> [UInt8]? {
        guard let first = values.first, (8...256).contains(first.count) else { return nil }
        var example = Array(text[first])
        for value in values {
            guard value.count == example.count else { return nil }
            for (index, byte) in text[value].enumerated() {
                let isDigit = ColumnNumber.hexadecimal(byte) != nil
                if example[index] == 0 {
                    if !isDigit { return nil }
                } else if isDigit {
                    guard ColumnNumber.hexadecimal(example[index]) != nil else { return nil }
                    example[index] = 0
                } else if example[index] != byte {
                    return nil
                }
            }
        }
        let digits = example.count { $0 == 0 }
        return digits >= 8 ? example : nil
    }

    private mutating func writeLayout(_ layout: [UInt8], _ values: [Range<Int>]) throws(CompressionError) {
        sink.append(byte: Kind.layout.rawValue)
        sink.append(data: layout)
        var halves: [UInt8] = []
        halves.reserveCapacity(values.count * layout.count / 2)
        for value in values {
            var high: UInt8?
            for (index, byte) in text[value].enumerated() where layout[index] == 0 {
                let digit = ColumnNumber.hexadecimal(byte) ?? 0
                if let upper = high {
                    halves.append(upper << 4 | digit)
                    high = nil
                } else {
                    high = digit
                }
            }
            if let high { halves.append(high << 4) }
        }
        try sink.append(column: halves)
    }
}
