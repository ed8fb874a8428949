import KernelCompression
import KernelLog
import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// A segment that is open for reading: its table is in memory, its chunks and indices are not.
final class Segment {
    let identifier: Int
    let path: String
    private let file: any DiskFile
    private let content: SegmentTable
    private var wordsHead: TermIndex.Head?
    var streams: [Labels] { content.streams }
    var table: [SegmentTable.Row] { content.rows }
    /// The numbers of the segments that it holds all of; its own among them says that it is cold.
    var replaced: [Int] { content.replaced.count > 0 ? Array(content.replaced.dropFirst()) : [] }
    func isCold(_ number: Int) -> Bool { replaced.contains(number) }
    /// See `SegmentEntry.rank`.
    var rank: Int { content.replaced.first ?? 0 }
    let fileBytes: Int

    /// - Throws: `LogSourceError`.
    init(_ disk: NodeDisk, _ path: String, identifier: Int) throws(LogSourceError) {
        self.path = path
        self.identifier = identifier
        do throws(DiskError) {
            file = try disk.open(path, [])
        } catch {
            throw .disk("\(error)")
        }
        fileBytes = file.size
        content = try Self.readTable(file, path)
    }

    private static func readTable(_ file: any DiskFile, _ path: String) throws(LogSourceError) -> SegmentTable {
        let size = file.size
        let minimum = SegmentWriter.magic.count + SegmentWriter.trailerBytes
        guard size >= minimum else { throw .damaged("\(path): too short for a segment") }
        let trailer = try bytes(file, size - SegmentWriter.trailerBytes, SegmentWriter.trailerBytes, path)
        guard Array(trailer.suffix(8)) == SegmentWriter.magic else { throw .damaged("\(path): its end is missing") }
        func number(_ range: Range<Int>) -> UInt64 {
            range.reversed().reduce(0) { $0 << 8 | UInt64(trailer[$1]) }
        }
        let offset = number(0..<8)
        let length = number(8..<12)
        guard offset <= UInt64(size), length <= UInt64(size) - offset else {
            throw .damaged("\(path): its table lies beyond its end")
        }
        let packed = try bytes(file, Int(offset), Int(length), path)
        guard UInt64(packed.withUnsafeBytes { LogBatch.checksum($0) }) == number(12..<16) else {
            throw .damaged("\(path): the checksum of its table")
        }
        guard let plain = try? CompressionFormat.zstd.decompress(packed, limitBytes: tableLimitBytes),
            let table = SegmentTable(plain, fileBytes: size)
        else { throw .damaged("\(path): its table") }
        return table
    }

    private static let tableLimitBytes = 512 << 20

    private static func bytes(_ file: any DiskFile, _ offset: Int, _ count: Int, _ path: String)
        throws(LogSourceError) -> [UInt8]
    {
        do throws(DiskError) {
            let bytes = try file.read(at: offset, count: count)
            guard bytes.count == count else { throw DiskError.failed(path, operation: "read") }
            return bytes
        } catch {
            throw .disk("\(error)")
        }
    }

    var memoryBytes: Int { content.memoryBytes }

    /// The number of a stream.
    func stream(of labels: Labels) -> Int? {
        var low = 0
        var high = streams.count
        while low < high {
            let middle = (low + high) / 2
            if streams[middle] < labels { low = middle + 1 } else { high = middle }
        }
        return low < streams.count && streams[low] == labels ? low : nil
    }

    func chunks(of stream: Int) -> Range<Int> { content.ranges[stream] }

    /// One of its chunks, for those who ask for it.
    func chunk(_ index: Int) -> LogChunk {
        let row = table[index]
        return LogChunk(
            labels: streams[row.stream], first: row.first, last: row.last, entryCount: row.entryCount,
            byteCount: row.byteCount, storedByteCount: row.length, file: identifier, index: index)
    }

    /// A chunk as it is stored.
    func packed(_ index: Int) throws(LogSourceError) -> [UInt8] {
        guard table.indices.contains(index) else { throw .gone }
        return try Self.bytes(file, table[index].offset, table[index].length, path)
    }

    /// Reads a chunk from the disk.
    func read(_ index: Int, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock {
        let packed = try packed(index)
        let row = table[index]
        statistics.storedBytesRead += packed.count
        do throws(LogSourceError) {
            let block = try LogChunkCodec.unpacked(packed, labels: streams[row.stream])
            guard block.count == row.entryCount else { throw LogSourceError.damaged("its table says another number") }
            return block
        } catch {
            guard case .damaged(let what) = error else { throw error }
            throw .damaged("\(path) at byte \(row.offset): \(what)")
        }
    }

    /// The chunks that may have what the hint asks for.
    func candidates(_ hint: LogHint, _ statistics: inout LogStatistics) throws(LogSourceError) -> ChunkSet {
        switch hint {
        case .anything: return ChunkSet(count: table.count, isFull: true)
        case .all(let hints):
            var found = ChunkSet(count: table.count, isFull: true)
            for hint in hints {
                if found.isEmpty { break }
                found.formIntersection(try candidates(hint, &statistics))
            }
            return found
        case .any(let hints):
            var found = ChunkSet(count: table.count, isFull: hints.isEmpty)
            for hint in hints { found.formUnion(try candidates(hint, &statistics)) }
            return found
        case .contains(let bytes):
            return try lookUp(1, &statistics) { read throws(LogSourceError) in
                try trigrams(read).chunks(with: bytes)
            }
        case .word(let text):
            var found = ChunkSet(count: table.count, isFull: true)
            for hash in LogWords.hashes(text) where !found.isEmpty {
                found.formIntersection(try chunks(with: hash, &statistics))
            }
            return found
        case .field(let name, let value):
            var found = try chunks(with: LogWords.fieldHash(name, value), &statistics)
            // Where it has many values its chunks are those that have it at all, and all the words.
            var spread = try chunks(with: ChunkTerms.spreadHash(name), &statistics)
            for hash in LogWords.hashes(value) where !spread.isEmpty {
                spread.formIntersection(try chunks(with: hash, &statistics))
            }
            found.formUnion(spread)
            for (stream, labels) in streams.enumerated() where labels[name] == value && !value.isEmpty {
                for index in chunks(of: stream) { found.insert(index) }
            }
            return found
        }
    }

    /// How many bits of its words' hashes it keeps.
    func wordBits() throws(LogSourceError) -> Int { try words(reading(0, Counter())).bits() }

    /// All words of all chunks, by hash.
    func forEachWord(_ body: (_ hash: UInt32, _ chunk: Int) -> Void) throws(LogSourceError) {
        let counter = Counter()
        try words(reading(0, counter)).forEach(body)
    }

    /// All pieces of three bytes of all chunks.
    func forEachPiece(_ body: (_ row: Int, _ chunk: Int) -> Void) throws(LogSourceError) {
        let counter = Counter()
        try trigrams(reading(1, counter)).forEach(body)
    }

    private final class Counter { var bytes = 0 }

    private func words(_ read: @escaping (Int, Int) throws(LogSourceError) -> [UInt8]) -> TermIndex {
        TermIndex(chunkCount: table.count, byteCount: content.sections[0].length, read: read)
    }

    private func trigrams(_ read: @escaping (Int, Int) throws(LogSourceError) -> [UInt8]) -> TrigramIndex {
        TrigramIndex(chunkCount: table.count, byteCount: content.sections[1].length, read: read)
    }

    private func chunks(with hash: UInt64, _ statistics: inout LogStatistics) throws(LogSourceError) -> ChunkSet {
        try lookUp(0, &statistics) { read throws(LogSourceError) in
            let index = words(read)
            let head: TermIndex.Head
            if let wordsHead { head = wordsHead } else { head = try index.head() }
            wordsHead = head
            return try index.chunks(with: hash, head)
        }
    }

    private func lookUp(
        _ number: Int, _ statistics: inout LogStatistics,
        _ body: (@escaping (Int, Int) throws(LogSourceError) -> [UInt8]) throws(LogSourceError) -> ChunkSet
    ) throws(LogSourceError) -> ChunkSet {
        let counter = Counter()
        defer { statistics.indexBytesRead += counter.bytes }
        return try body(reading(number, counter))
    }

    /// Reads from one of the indices.
    private func reading(_ number: Int, _ counter: Counter) -> (Int, Int) throws(LogSourceError) -> [UInt8] {
        let section = content.sections[number]
        return { [file, path] offset, count throws(LogSourceError) in
            guard offset >= 0, count >= 0, offset <= section.length, count <= section.length - offset else {
                throw .damaged("\(path): an index that points beyond its end")
            }
            counter.bytes += count
            return try Self.bytes(file, section.offset + offset, count, path)
        }
    }
}
