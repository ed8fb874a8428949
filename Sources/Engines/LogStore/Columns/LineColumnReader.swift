import KernelStructures

/// Values one behind the other, and where each ends.
struct ColumnText {
    var bytes: [UInt8] = []
    var ends: [Int] = []

    init() {}

    init(capacity: Int) { ends.reserveCapacity(capacity) }

    mutating func end() { ends.append(bytes.count) }

    @inline(__always)
    func range(_ row: Int) -> Range<Int> { (row == 0 ? 0 : ends[row - 1])..<ends[row] }
}

/// Reads what `LineColumnWriter` writes: nil for everything else. No more comes out than `limitBytes`.
struct LineColumnReader {
    private var reader: RawRecordReader
    private var leftBytes: Int

    init(_ bytes: RawRecordReader, limitBytes: Int) {
        reader = bytes
        leftBytes = limitBytes
    }

    /// What stands behind the columns.
    var rest: RawRecordReader { reader }

    /// - Parameter times: of the lines, nanoseconds since 1970.
    mutating func lines(_ times: [Int64]) -> ColumnText? { lines(times, depth: 0) }

    private mutating func lines(_ times: [Int64], depth: Int) -> ColumnText? {
        guard let count = reader.number(), count <= LineColumnWriter.shapeLimit else { return nil }
        var literals: [[UnsafeRawBufferPointer]] = [[]]
        for _ in 0..<count {
            guard let number = reader.number(), number >= 1, number <= LineSplitter.valueLimit + 1 else { return nil }
            var own: [UnsafeRawBufferPointer] = []
            for _ in 0..<number {
                guard let literal = reader.data() else { return nil }
                own.append(literal)
            }
            literals.append(own)
        }
        guard let places = reader.take(times.count) else { return nil }
        var rows = [[Int64]](repeating: [], count: count + 1)
        for (row, place) in places.enumerated() {
            guard Int(place) <= count else { return nil }
            rows[Int(place)].append(times[row])
        }
        var columns: [[ColumnText]] = []
        for shape in 0...count {
            var own: [ColumnText] = []
            let number = shape == 0 ? 1 : literals[shape].count - 1
            for _ in 0..<number {
                if rows[shape].isEmpty {
                    own.append(ColumnText())
                } else {
                    guard let column = column(rows[shape], depth: depth) else { return nil }
                    own.append(column)
                }
            }
            columns.append(own)
        }
        return put(places, literals, columns)
    }

    private mutating func put(
        _ places: UnsafeRawBufferPointer, _ literals: [[UnsafeRawBufferPointer]], _ columns: [[ColumnText]]
    ) -> ColumnText? {
        var out = ColumnText(capacity: places.count)
        var next = [Int](repeating: 0, count: literals.count)
        out.bytes.reserveCapacity(min(leftBytes, 2 * columns.reduce(0) { $0 + $1.reduce(0) { $0 + $1.bytes.count } }))
        for place in places {
            let shape = Int(place)
            let row = next[shape]
            next[shape] = row + 1
            if shape == 0 {
                out.bytes.append(contentsOf: columns[0][0].bytes[columns[0][0].range(row)])
            } else {
                let own = literals[shape]
                out.bytes.append(contentsOf: own[0])
                for index in columns[shape].indices {
                    let range = columns[shape][index].range(row)
                    out.bytes.append(contentsOf: columns[shape][index].bytes[range])
                    out.bytes.append(contentsOf: own[index + 1])
                }
            }
            guard out.bytes.count <= leftBytes else { return nil }
            out.end()
        }
        leftBytes -= out.bytes.count
        return out
    }

    // MARK: Columns

    private mutating func column(_ times: [Int64], depth: Int) -> ColumnText? {
        guard let kind = reader.byte().flatMap(LineColumnWriter.Kind.init) else { return nil }
        let found: ColumnText?
        switch kind {
        case .raw: found = raw(times.count)
        case .dictionary: found = dictionary(times.count)
        case .integers: found = integers(times.count)
        case .layout: found = layout(times.count)
        case .time: found = entryTimes(times)
        case .shapes: return depth == 0 ? lines(times, depth: 1) : nil
        }
        leftBytes -= found?.bytes.count ?? 0
        return leftBytes >= 0 ? found : nil
    }

    private mutating func raw(_ count: Int) -> ColumnText? {
        var out = ColumnText(capacity: count)
        var total = 0
        for _ in 0..<count {
            guard let length = reader.number(), length <= leftBytes - total else { return nil }
            total += length
            out.ends.append(total)
        }
        guard let bytes = reader.take(total) else { return nil }
        out.bytes = Array(bytes)
        return out
    }

    private mutating func dictionary(_ count: Int) -> ColumnText? {
        guard let number = reader.number(), number >= 1, number <= LineColumnWriter.dictionaryLimit else { return nil }
        var values: [UnsafeRawBufferPointer] = []
        for _ in 0..<number {
            guard let value = reader.data() else { return nil }
            values.append(value)
        }
        var out = ColumnText(capacity: count)
        guard number > 1 else {
            guard values[0].count <= leftBytes / max(1, count) else { return nil }
            for _ in 0..<count {
                out.bytes.append(contentsOf: values[0])
                out.end()
            }
            return out
        }
        guard let places = reader.take(count) else { return nil }
        for place in places {
            guard Int(place) < number, out.bytes.count + values[Int(place)].count <= leftBytes else { return nil }
            out.bytes.append(contentsOf: values[Int(place)])
            out.end()
        }
        return out
    }

    private mutating func integers(_ count: Int) -> ColumnText? {
        guard let decimals = reader.number(), decimals <= 18, let isDelta = reader.byte(), isDelta <= 1,
            let base = reader.signed(), let width = reader.number(), width <= 8
        else { return nil }
        var plain = [UInt64](repeating: 0, count: count)
        for plane in 0..<width {
            guard let bytes = reader.take(count) else { return nil }
            for (row, byte) in bytes.enumerated() { plain[row] |= UInt64(byte) << UInt64(8 * plane) }
        }
        guard count <= leftBytes / 32 else { return nil }
        var out = ColumnText(capacity: count)
        var previous = base
        for value in plain {
            if isDelta == 1 {
                previous = previous &+ (Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1))
                ColumnNumber.write(previous, decimals: decimals, to: &out.bytes)
            } else {
                ColumnNumber.write(base &+ Int64(bitPattern: value), decimals: decimals, to: &out.bytes)
            }
            out.end()
        }
        return out
    }

    private mutating func layout(_ count: Int) -> ColumnText? {
        guard let layout = reader.data(), layout.count <= 256 else { return nil }
        let digits = layout.count { $0 == 0 }
        guard layout.count <= leftBytes / max(1, count), let halves = reader.take(count * ((digits + 1) / 2)) else {
            return nil
        }
        var out = ColumnText(capacity: count)
        out.bytes.reserveCapacity(count * layout.count)
        var place = 0
        for _ in 0..<count {
            var isHigh = true
            for byte in layout {
                guard byte == 0 else {
                    out.bytes.append(byte)
                    continue
                }
                let digit = isHigh ? halves[place] >> 4 : halves[place] & 15
                out.bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
                if !isHigh { place += 1 }
                isHigh.toggle()
            }
            if !isHigh { place += 1 }
            out.end()
        }
        return out
    }

    private mutating func entryTimes(_ times: [Int64]) -> ColumnText? {
        guard let separator = reader.byte(), let digits = reader.byte(), let suffix = reader.byte(),
            let style = TimeStyle(separator: separator, digits: Int(digits), suffix: Int(suffix)),
            style.length <= leftBytes / max(1, times.count)
        else { return nil }
        var out = ColumnText(capacity: times.count)
        let length = style.length
        out.bytes = [UInt8](repeating: 0, count: length * times.count)
        let isWhole = out.bytes.withUnsafeMutableBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return times.isEmpty }
            for (row, time) in times.enumerated() {
                if !style.write(time, into: base + row * length) { return false }
            }
            return true
        }
        guard isWhole else { return nil }
        for row in times.indices { out.ends.append((row + 1) * length) }
        return out
    }
}
