import KernelStorage
import KernelStructures
import TimeSeriesEngine

/// Reads a block's index: see `IndexWriter` for the format. Its symbols and tables are in memory; lists of series and
/// the series themselves are read when somebody asks for them.
///
/// Everything that is read is checked: each section by its sum, each number by its bounds. An index that somebody
/// damaged is an error, never a trap.
final class IndexReader {
    private let file: any DiskFile
    private let path: String
    private var symbolBytes: [UInt8] = []
    /// Where each symbol begins and ends in `symbolBytes`.
    private var symbolRanges: [Range<Int>] = []
    /// By name, then value, in the order of the file: where their list is.
    private var table: [[UInt8]: [(value: [UInt8], offset: Int)]] = [:]
    private var allOffset: Int?

    /// Bytes of one section that is held in memory.
    private static let sectionLimitBytes = 1 << 30

    /// - Throws: `QueryableError.damaged`.
    init(_ disk: NodeDisk, _ path: String) throws(QueryableError) {
        self.path = path
        do throws(DiskError) { file = try disk.open(path, []) } catch { throw .damaged("\(error)") }
        let head = try bytes(0, 5)
        guard head.prefix(4).elementsEqual([0xBA, 0xAA, 0xD7, 0x00]), head[4] == 2 else {
            throw damage("it is no index of version 2")
        }
        let contents = try bytes(file.size - 52, 52)
        try check(contents)
        var reader = BlockReader(contents)
        let symbolsAt = Int(clamping: reader.bigEndian(8))
        for _ in 0..<4 { _ = reader.bigEndian(8) }
        let tableAt = Int(clamping: reader.bigEndian(8))
        try readSymbols(at: symbolsAt)
        try readTable(at: tableAt)
    }

    deinit { file.close() }

    private func damage(_ text: String) -> QueryableError { .damaged("\(path): \(text)") }

    private func bytes(_ offset: Int, _ count: Int) throws(QueryableError) -> [UInt8] {
        guard offset >= 0, count >= 0, offset <= file.size, count <= file.size - offset else {
            throw damage("it ends before byte \(offset) and \(count) more")
        }
        do throws(DiskError) { return try file.read(at: offset, count: count) } catch { throw damage("\(error)") }
    }

    private func check(_ section: [UInt8]) throws(QueryableError) {
        guard section.count >= 4 else { throw damage("a section is too short") }
        let sum = section.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard section.dropLast(4).withUnsafeBytes({ WAL.checksum($0) }) == sum else {
            throw damage("a checksum that does not fit")
        }
    }

    /// A section behind its length of four bytes, without length and sum.
    private func section(at offset: Int) throws(QueryableError) -> [UInt8] {
        var head = BlockReader(try bytes(offset, 4))
        let length = Int(head.bigEndian(4))
        guard length <= Self.sectionLimitBytes else { throw damage("a section of \(length) bytes") }
        let all = try bytes(offset + 4, length + 4)
        try check(all)
        return Array(all.dropLast(4))
    }

    private func readSymbols(at offset: Int) throws(QueryableError) {
        symbolBytes = try section(at: offset)
        var reader = BlockReader(symbolBytes)
        let count = Int(reader.bigEndian(4))
        guard count <= symbolBytes.count else { throw damage("more symbols than bytes") }
        symbolRanges.reserveCapacity(count)
        for _ in 0..<count {
            guard let range = reader.textRange() else { throw damage("a symbol is cut off") }
            symbolRanges.append(range)
        }
    }

    private func readTable(at offset: Int) throws(QueryableError) {
        let bytes = try section(at: offset)
        var reader = BlockReader(bytes)
        let count = Int(reader.bigEndian(4))
        for _ in 0..<count {
            guard reader.varint() == 2, let name = reader.textRange(), let value = reader.textRange() else {
                throw damage("the table of postings is cut off")
            }
            let offset = Int(clamping: reader.varint())
            if reader.isBeyondEnd { throw damage("the table of postings is cut off") }
            if name.isEmpty, value.isEmpty {
                allOffset = offset
            } else {
                table[Array(bytes[name]), default: []].append((Array(bytes[value]), offset))
            }
        }
    }

    // MARK: Series

    struct Series {
        let labels: Labels
        let chunks: [IndexWriter.Chunk]
    }

    /// Chunks of one series.
    private static let chunkLimit = 1 << 24

    /// The series of that number.
    func series(_ number: UInt32) throws(QueryableError) -> Series {
        let offset = Int(number) * 16
        guard offset < file.size else { throw damage("there is no series \(number)") }
        var head = BlockReader(try bytes(offset, min(10, file.size - offset)))
        let length = Int(clamping: head.varint())
        guard !head.isBeyondEnd, length <= Self.sectionLimitBytes else {
            throw damage("series \(number) has no length")
        }
        let body = try bytes(offset + head.position, length + 4)
        try check(body)
        var reader = BlockReader(Array(body.dropLast(4)))
        var pairs: [(String, String)] = []
        let labelCount = Int(clamping: reader.varint())
        guard labelCount <= length else { throw damage("series \(number) has more labels than bytes") }
        for _ in 0..<labelCount { pairs.append((try symbol(reader.varint()), try symbol(reader.varint()))) }
        let chunkCount = Int(clamping: reader.varint())
        guard chunkCount <= min(length, Self.chunkLimit) else { throw damage("series \(number) has too many chunks") }
        var chunks: [IndexWriter.Chunk] = []
        for index in 0..<chunkCount {
            let from =
                index == 0 ? reader.signedVarint() : (chunks[index - 1].maxTime &+ Int64(bitPattern: reader.varint()))
            let through = from &+ Int64(bitPattern: reader.varint())
            let reference =
                index == 0
                ? reader.varint() : chunks[index - 1].reference &+ UInt64(bitPattern: reader.signedVarint())
            chunks.append(.init(minTime: from, maxTime: through, reference: reference))
        }
        if reader.isBeyondEnd { throw damage("series \(number) is cut off") }
        return Series(labels: Labels(pairs), chunks: chunks)
    }

    private func symbol(_ number: UInt64) throws(QueryableError) -> String {
        guard number < UInt64(symbolRanges.count) else { throw damage("there is no symbol \(number)") }
        return String(decoding: symbolBytes[symbolRanges[Int(number)]], as: UTF8.self)
    }

    private func list(at offset: Int) throws(QueryableError) -> [UInt32] {
        let bytes = try section(at: offset)
        var reader = BlockReader(bytes)
        let count = Int(reader.bigEndian(4))
        guard count <= bytes.count / 4 else { throw damage("a list that is longer than its section") }
        var numbers: [UInt32] = []
        numbers.reserveCapacity(count)
        for _ in 0..<count { numbers.append(UInt32(truncatingIfNeeded: reader.bigEndian(4))) }
        return numbers
    }
}

extension IndexReader: PostingsSource {
    func allNumbers() throws(QueryableError) -> [UInt32] {
        try allOffset.map { offset throws(QueryableError) in try list(at: offset) } ?? []
    }

    func numbers(name: String, value: String) throws(QueryableError) -> [UInt32] {
        let value = Array(value.utf8)
        guard let rows = table[Array(name.utf8)] else { return [] }
        // Values are in the order of their bytes.
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].value.lexicographicallyPrecedes(value) { low = middle + 1 } else { high = middle }
        }
        guard low < rows.count, rows[low].value == value else { return [] }
        return try list(at: rows[low].offset)
    }

    func numbers(name: String, where isWanted: (UnsafeRawBufferPointer) -> Bool) throws(QueryableError) -> [UInt32] {
        var lists: [[UInt32]] = []
        for row in table[Array(name.utf8)] ?? [] where row.value.withUnsafeBytes(isWanted) {
            lists.append(try list(at: row.offset))
        }
        return Postings.union(lists)
    }
}

/// Numbers from bytes, big-endian ones and those of seven bits a byte. Beyond the end it gives zeros, and says so.
struct BlockReader {
    private let bytes: [UInt8]
    private(set) var position = 0
    private(set) var isBeyondEnd = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func byte() -> UInt8 {
        guard position < bytes.count else {
            isBeyondEnd = true
            return 0
        }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func bigEndian(_ count: Int) -> UInt64 {
        var number: UInt64 = 0
        for _ in 0..<count { number = number << 8 | UInt64(byte()) }
        return number
    }

    mutating func varint() -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = byte()
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        isBeyondEnd = true
        return 0
    }

    mutating func signedVarint() -> Int64 {
        let folded = varint()
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    /// A text behind its length; nil if it does not fit.
    mutating func textRange() -> Range<Int>? {
        let length = varint()
        guard !isBeyondEnd, length <= UInt64(bytes.count - position) else { return nil }
        defer { position += Int(length) }
        return position..<position + Int(length)
    }
}
