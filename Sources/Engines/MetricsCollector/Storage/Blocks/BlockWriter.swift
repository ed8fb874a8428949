import KernelStorage
import KernelStructures
import TimeSeriesEngine

/// Writes a block, a directory that Prometheus reads: `chunks/000001 …`, `index`, `meta.json`, `tombstones`.
///
/// It is made beside its place and moved there when everything of it is durable, so that there is a whole block or
/// none.
///
/// ```
/// chunks = 85BD40DD(4) 1(1) 0(3) { length(uvarint) encoding(1) data crc(4) }     ; crc of encoding and data
/// ```
struct BlockWriter {
    /// One chunk of a series.
    struct Chunk {
        let minTime: Int64
        let maxTime: Int64
        let encoding: UInt8
        let sampleCount: Int
        let bytes: [UInt8]
    }

    static let chunksMagic: UInt32 = 0x85BD_40DD
    static let chunksHeaderBytes = 8
    /// Of one file of chunks.
    static let fileBytes = 512 << 20
    /// The name's end of a directory that is not finished.
    static let unfinished = ".tmp-for-creation"

    private let disk: NodeDisk
    private let directory: String
    private let place: String
    private var meta: BlockMeta
    private var file: (any DiskFile)?
    private var fileNumber: UInt64 = 0
    private var fileOffset = 0
    private var buffer: [UInt8] = []
    private var series: [(labels: Labels, chunks: [IndexWriter.Chunk])] = []

    /// - Throws: `DiskError`.
    init(_ disk: NodeDisk, _ directory: String, _ meta: BlockMeta) throws(DiskError) {
        self.disk = disk
        self.directory = directory
        self.meta = meta
        place = "\(directory)/\(meta.ulid)\(Self.unfinished)"
        try disk.makeDirectory("\(place)/chunks")
    }

    /// Adds a series; they come in the order of their labels. Without chunks it is left out.
    mutating func add(_ labels: Labels, _ chunks: [Chunk]) throws(DiskError) {
        if chunks.isEmpty { return }
        var entries: [IndexWriter.Chunk] = []
        for chunk in chunks {
            if file == nil || fileOffset + buffer.count + chunk.bytes.count + 16 > Self.fileBytes { try nextFile() }
            let reference = (fileNumber - 1) << 32 | UInt64(fileOffset + buffer.count)
            var length = UInt64(chunk.bytes.count)
            while length >= 0x80 {
                buffer.append(UInt8(truncatingIfNeeded: length) | 0x80)
                length >>= 7
            }
            buffer.append(UInt8(truncatingIfNeeded: length))
            let start = buffer.count
            buffer.append(chunk.encoding)
            buffer.append(contentsOf: chunk.bytes)
            buffer.appendBigEndian(buffer[start...].withUnsafeBytes { WAL.checksum($0) })
            entries.append(.init(minTime: chunk.minTime, maxTime: chunk.maxTime, reference: reference))
            meta.sampleCount += chunk.sampleCount
            if buffer.count >= 1 << 20 { try flush() }
        }
        meta.chunkCount += chunks.count
        meta.seriesCount += 1
        series.append((labels, entries))
    }

    private mutating func flush() throws(DiskError) {
        guard let file, !buffer.isEmpty else { return }
        try file.write(buffer, at: fileOffset)
        fileOffset += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func nextFile() throws(DiskError) {
        try closeFile()
        fileNumber += 1
        file = try disk.open("\(place)/chunks/\(padded(Int(fileNumber), 6))", [.write, .create, .truncate])
        fileOffset = 0
        buffer.appendBigEndian(Self.chunksMagic)
        buffer.append(contentsOf: [1, 0, 0, 0])
    }

    private mutating func closeFile() throws(DiskError) {
        guard let file else { return }
        try flush()
        try file.sync()
        file.close()
        self.file = nil
    }

    /// Makes the block durable and puts it into its place. Nil, and nothing stays, if it has no samples.
    ///
    /// - Parameter pause: called after each piece of work.
    /// - Throws: `DiskError`, and what `pause` throws.
    mutating func finish(pause: () throws -> Void = {}) throws -> BlockMeta? {
        try closeFile()
        guard meta.sampleCount > 0 else {
            abandon()
            return nil
        }
        if meta.sources.isEmpty { meta.sources = [meta.ulid] }
        try store(try IndexWriter.bytes(of: series, pause: pause), "index")
        try store(Tombstones().fileBytes, "tombstones")
        try store(meta.json.bytes(.compact), "meta.json")
        try disk.syncDirectory("\(place)/chunks")
        try disk.syncDirectory(place)
        try disk.rename(place, to: "\(directory)/\(meta.ulid)")
        try disk.syncDirectory(directory)
        return meta
    }

    private func store(_ bytes: [UInt8], _ name: String) throws(DiskError) {
        let file = try disk.open("\(place)/\(name)", [.write, .create, .truncate])
        defer { file.close() }
        try file.write(bytes, at: 0)
        try file.sync()
    }

    /// Removes what has been written.
    func abandon() {
        file?.close()
        Self.remove(disk, place)
    }

    /// A directory with all that is in it; what cannot be removed stays until the next start.
    static func remove(_ disk: NodeDisk, _ path: String) {
        if let names = try? disk.list(path) { for name in names { remove(disk, "\(path)/\(name)") } }
        try? disk.remove(path)
    }
}
