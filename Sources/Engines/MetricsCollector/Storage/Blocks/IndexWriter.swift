import KernelStructures
import TimeSeriesEngine

/// The index of a block: which series there are, with which labels, and where their chunks lie. Version 2 of
/// Prometheus's format (`tsdb/docs/format/index.md`), every number big-endian.
///
/// ```
/// magic(4) version(1)
/// symbols        length(4) count(4) { length(uvarint) bytes } crc(4)          ; sorted
/// series         { length(uvarint) labels chunks crc(4) }                     ; each begins at a multiple of 16
/// label indices  { length(4) 1(4) count(4) { symbol(4) } crc(4) }             ; at multiples of 4
/// postings       { length(4) count(4) { series(4) } crc(4) }
/// tables         of label indices, and of postings: length(4) count(4) { keys offset } crc(4)
/// contents       six offsets(8) crc(4)
/// ```
///
/// A series' number is its place divided by 16.
struct IndexWriter {
    /// A chunk, as the index knows it.
    struct Chunk {
        let minTime: Int64
        let maxTime: Int64
        /// File number × 2^32 + offset.
        let reference: UInt64
    }

    static let magic: UInt32 = 0xBAAA_D700

    /// - Parameters:
    ///   - series: in the order of their labels, each with at least one chunk, in the order of their times.
    ///   - pause: called after each piece of work.
    static func bytes(
        of series: [(labels: Labels, chunks: [Chunk])], pause: () throws -> Void = {}
    ) rethrows -> [UInt8] {
        var writer = IndexWriter()
        try writer.write(series, pause)
        return writer.out
    }

    /// Series of one piece of work.
    private static let seriesTogether = 1024

    private var out: [UInt8] = []
    private var symbols: [[UInt8]: UInt32] = [:]
    private var sortedSymbols: [[UInt8]] = []
    /// For each name and value the numbers of the series; both as symbols.
    private var postings: [UInt64: [UInt32]] = [:]
    private var allSeries: [UInt32] = []

    private mutating func write(
        _ series: [(labels: Labels, chunks: [Chunk])], _ pause: () throws -> Void
    ) rethrows {
        out.appendBigEndian(Self.magic)
        out.append(2)
        try collectSymbols(series, pause)
        let symbolsAt = out.count
        writeSymbols()
        pad(to: 16)
        let seriesAt = out.count
        for (index, one) in series.enumerated() {
            write(one)
            if index % Self.seriesTogether == Self.seriesTogether - 1 { try pause() }
        }
        let keys = postings.keys.sorted()
        pad(to: 4)
        let labelIndicesAt = out.count
        let labelIndices = writeLabelIndices(keys)
        let postingsAt = out.count
        let offsets = try writePostings(keys, pause)
        let labelTableAt = out.count
        writeTable(labelIndices.map { ([sortedSymbols[Int($0.name)]], $0.offset) })
        let postingsTableAt = out.count
        writeTable(
            [([[], []], offsets.all)]
                + zip(keys, offsets.each).map { key, offset in
                    ([sortedSymbols[Int(key >> 32)], sortedSymbols[Int(key & 0xFFFF_FFFF)]], offset)
                })
        let contents = [symbolsAt, seriesAt, labelIndicesAt, labelTableAt, postingsAt, postingsTableAt]
        let start = out.count
        for offset in contents { out.appendBigEndian(UInt64(offset)) }
        appendChecksum(from: start)
    }

    private mutating func pad(to width: Int) {
        while out.count % width != 0 { out.append(0) }
    }

    private mutating func appendChecksum(from start: Int) {
        let sum = out[start...].withUnsafeBytes { WAL.checksum($0) }
        out.appendBigEndian(sum)
    }

    /// A section behind its length of four bytes.
    private mutating func section(_ body: (inout IndexWriter) -> Void) {
        let start = out.count
        out.appendBigEndian(UInt32(0))
        body(&self)
        let length = UInt32(truncatingIfNeeded: out.count - start - 4).bigEndian
        withUnsafeBytes(of: length) { for index in 0..<4 { out[start + index] = $0[index] } }
        appendChecksum(from: start + 4)
    }

    private mutating func append(varint number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func append(signed number: Int64) {
        append(varint: UInt64(bitPattern: (number << 1) ^ (number >> 63)))
    }

    private mutating func append(text: [UInt8]) {
        append(varint: UInt64(text.count))
        out.append(contentsOf: text)
    }

    // MARK: Sections

    private mutating func collectSymbols(
        _ series: [(labels: Labels, chunks: [Chunk])], _ pause: () throws -> Void
    ) rethrows {
        var all: Set<[UInt8]> = []
        for (index, one) in series.enumerated() {
            if index % Self.seriesTogether == Self.seriesTogether - 1 { try pause() }
            one.labels.forEachBytes { name, value in
                all.insert(Array(name))
                all.insert(Array(value))
            }
        }
        sortedSymbols = all.sorted { $0.lexicographicallyPrecedes($1) }
        for (index, symbol) in sortedSymbols.enumerated() { symbols[symbol] = UInt32(index) }
    }

    private mutating func writeSymbols() {
        section { writer in
            writer.out.appendBigEndian(UInt32(writer.sortedSymbols.count))
            for symbol in writer.sortedSymbols { writer.append(text: symbol) }
        }
    }

    private mutating func write(_ series: (labels: Labels, chunks: [Chunk])) {
        pad(to: 16)
        let number = UInt32(out.count / 16)
        allSeries.append(number)
        var body = IndexWriter()
        body.append(varint: UInt64(series.labels.count))
        series.labels.forEachBytes { name, value in
            let name = symbols[Array(name)] ?? 0
            let value = symbols[Array(value)] ?? 0
            body.append(varint: UInt64(name))
            body.append(varint: UInt64(value))
            postings[UInt64(name) << 32 | UInt64(value), default: []].append(number)
        }
        body.append(varint: UInt64(series.chunks.count))
        var last: Chunk?
        for chunk in series.chunks {
            if let last {
                body.append(varint: UInt64(bitPattern: chunk.minTime - last.maxTime))
                body.append(varint: UInt64(bitPattern: chunk.maxTime - chunk.minTime))
                body.append(signed: Int64(bitPattern: chunk.reference &- last.reference))
            } else {
                body.append(signed: chunk.minTime)
                body.append(varint: UInt64(bitPattern: chunk.maxTime - chunk.minTime))
                body.append(varint: chunk.reference)
            }
            last = chunk
        }
        append(varint: UInt64(body.out.count))
        let start = out.count
        out.append(contentsOf: body.out)
        appendChecksum(from: start)
    }

    private mutating func writeLabelIndices(_ keys: [UInt64]) -> [(name: UInt32, offset: Int)] {
        var offsets: [(name: UInt32, offset: Int)] = []
        var index = 0
        while index < keys.count {
            let name = UInt32(keys[index] >> 32)
            var values: [UInt32] = []
            while index < keys.count, UInt32(keys[index] >> 32) == name {
                values.append(UInt32(keys[index] & 0xFFFF_FFFF))
                index += 1
            }
            pad(to: 4)
            offsets.append((name, out.count))
            section { writer in
                writer.out.appendBigEndian(UInt32(1))
                writer.out.appendBigEndian(UInt32(values.count))
                for value in values { writer.out.appendBigEndian(value) }
            }
        }
        return offsets
    }

    private mutating func writePostings(
        _ keys: [UInt64], _ pause: () throws -> Void
    ) rethrows -> (all: Int, each: [Int]) {
        let all = writePostings(of: allSeries)
        var each: [Int] = []
        for (index, key) in keys.enumerated() {
            each.append(writePostings(of: postings[key] ?? []))
            if index % Self.seriesTogether == Self.seriesTogether - 1 { try pause() }
        }
        return (all, each)
    }

    private mutating func writePostings(of numbers: [UInt32]) -> Int {
        pad(to: 4)
        let offset = out.count
        section { writer in
            writer.out.appendBigEndian(UInt32(numbers.count))
            for number in numbers { writer.out.appendBigEndian(number) }
        }
        return offset
    }

    private mutating func writeTable(_ rows: [(keys: [[UInt8]], offset: Int)]) {
        section { writer in
            writer.out.appendBigEndian(UInt32(rows.count))
            for row in rows {
                writer.append(varint: UInt64(row.keys.count))
                for key in row.keys { writer.append(text: key) }
                writer.append(varint: UInt64(row.offset))
            }
        }
    }
}
