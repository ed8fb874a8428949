import KernelCompression
import KernelLog
import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// Writes one segment: chunks as they come, then what is needed to find them.
///
/// ```
///   segment = "SDLOGS2\n" chunk… words trigrams table trailer
///   table   = zstd of: rank and replaced numbers,
///             streams { labels, chunks { first last entries bytes offset length } },
///             sections { offset length }
///   trailer = offset(8) and length(4) of the table, its CRC-32C(4), "SDLOGS2\n"
/// ```
///
/// It is written under another name and renamed when it is durable, so that a file of that name is whole.
final class SegmentWriter {
    static let magic: [UInt8] = Array("SDLOGS2\n".utf8)
    static let trailerBytes = 24

    let path: String
    private let disk: NodeDisk
    private let file: any DiskFile
    private let packer: ChunkPacker
    private let indexCompressor: Compressor
    /// Bytes of the file so far.
    private var place = 0
    private var pending = SegmentWriter.magic
    private var words = TermIndexBuilder()
    private var trigrams = TrigramIndexBuilder()
    private var streams: [(labels: Labels, chunks: [Int])] = []
    private(set) var table: [SegmentTable.Row] = []
    private(set) var lineBytes = 0
    private(set) var entryCount = 0
    private(set) var indexBytes = 0

    private static let writeBytes = 256 << 10

    /// - Throws: `DiskError`; `CompressionError`.
    init(_ disk: NodeDisk, _ path: String, level: Int) throws {
        self.disk = disk
        self.path = path
        packer = try ChunkPacker(level: level)
        indexCompressor = try Compressor(.zstd, level: 3)
        try disk.makeDurableDirectory(DiskPath.parent(of: path))
        file = try disk.open(path + ".new", [.write, .create, .truncate])
    }

    /// Adds a chunk: entries in rising time. Streams come in the order of their labels, one after the other.
    func add(_ block: LogBlock) throws {
        if block.isEmpty { return }
        try add(try packer.pack(block))
    }

    /// Adds a chunk that is packed already.
    func add(_ chunk: PackedChunk) throws {
        try put(
            chunk.labels, chunk.bytes, first: chunk.first, last: chunk.last, entryCount: chunk.entryCount,
            byteCount: chunk.byteCount)
        words.add(chunk.hashes)
        trigrams.add(chunk.pieces)
    }

    /// Adds a chunk of another segment as it stands there. What can be looked for in it comes by `addTerms`.
    ///
    /// - Returns: its number here.
    func add(_ bytes: [UInt8], as row: SegmentTable.Row, labels: Labels) throws -> Int {
        try put(
            labels, bytes, first: row.first, last: row.last, entryCount: row.entryCount, byteCount: row.byteCount)
        words.addChunk()
        trigrams.addChunk()
        return table.count - 1
    }

    /// Adds what can be looked for in chunks of another segment.
    ///
    /// - Parameter places: what number each of its chunks has here; -1 for those that are not here.
    func addTerms(of segment: Segment, places: [Int]) throws(LogSourceError) {
        words.limit(bits: try segment.wordBits())
        try segment.forEachWord { hash, chunk in
            if places.indices.contains(chunk), places[chunk] >= 0 { words.add(hash, chunk: places[chunk]) }
        }
        try segment.forEachPiece { row, chunk in
            if places.indices.contains(chunk), places[chunk] >= 0 { trigrams.set(row, chunk: places[chunk]) }
        }
    }

    private func put(
        _ labels: Labels, _ bytes: [UInt8], first: Int64, last: Int64, entryCount: Int, byteCount: Int
    ) throws(DiskError) {
        if streams.last?.labels != labels { streams.append((labels, [])) }
        streams[streams.count - 1].chunks.append(table.count)
        table.append(
            SegmentTable.Row(
                stream: streams.count - 1, first: first, last: last, entryCount: entryCount, byteCount: byteCount,
                offset: place + pending.count, length: bytes.count))
        lineBytes += byteCount
        self.entryCount += entryCount
        pending.append(contentsOf: bytes)
        if pending.count >= Self.writeBytes { try writePending() }
    }

    private func writePending() throws(DiskError) {
        if pending.isEmpty { return }
        try file.write(pending, at: place)
        place += pending.count
        pending.removeAll(keepingCapacity: true)
    }

    /// Makes it durable, under its name.
    ///
    /// - Parameters:
    ///   - rank: see `SegmentEntry.rank`.
    ///   - replaced: numbers of segments of the same day that it holds all of.
    func finish(rank: Int, replacing replaced: [Int] = []) throws {
        let sections = [words.finish(), try trigrams.finish(indexCompressor)]
        var offsets: [(Int, Int)] = []
        for section in sections {
            offsets.append((place + pending.count, section.count))
            indexBytes += section.count
            pending.append(contentsOf: section)
            try writePending()
        }
        let plain = SegmentTable.encoded(streams, table, replaced: [rank] + replaced, sections: offsets)
        let packed = try CompressionFormat.zstd.compress(plain)
        indexBytes += packed.count
        var trailer = RecordTail()
        trailer.append(UInt64(place))
        trailer.append(UInt32(clamping: packed.count))
        trailer.append(packed.withUnsafeBytes { LogBatch.checksum($0) })
        pending = packed + trailer.bytes + Self.magic
        try writePending()
        try file.sync()
        file.close()
        try disk.rename(path + ".new", to: path)
        try disk.syncDirectory(DiskPath.parent(of: path))
    }

    /// What was written is given up.
    func abandon() {
        file.close()
        try? disk.remove(path + ".new")
    }

    var fileBytes: Int { place }
}

/// Numbers of a fixed length, the lowest byte first.
struct RecordTail {
    private(set) var bytes: [UInt8] = []

    mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
