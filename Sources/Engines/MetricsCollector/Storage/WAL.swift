import KernelCompression
import KernelStorage
import KernelStructures

/// The log of a store: what has come is written here before it counts, and read again after a crash. The format is
/// Prometheus's (`tsdb/docs/format/wal.md`).
///
/// ```
/// wal/00000000, wal/00000001 …       ; segments, numbered without gaps; each start begins a new one
/// segment  = { page of 32 KiB }      ; a record's pieces do not cross a page, nor a record a segment
/// piece    = type(1) length(2) crc32c(4) data     ; type: 1 whole, 2 first, 3 middle, 4 last; 0: the page has ended
///                                                 ; 8 more where the record is packed by snappy
/// ```
///
/// Every number is big-endian. What a write left unfinished at the end of a segment is cut off when it is read.
final class WAL {
    static let pageBytes = 32 * 1024
    static let headerBytes = 7
    /// With a piece's type: the record is a block of snappy's.
    static let packedFlag: UInt8 = 8
    /// Bytes of one record; more is written as several.
    static let recordLimitBytes = 1 << 20

    private let disk: NodeDisk
    let directory: String
    private let segmentBytes: Int
    private var file: (any DiskFile)?
    private(set) var segment: Int
    /// Bytes of the segment that have been written to the file.
    private var writtenBytes = 0
    /// What follows them, and waits for `flush`.
    private var pending: [UInt8] = []
    /// Whether something was written since the last sync.
    private(set) var isDirty = false

    /// Begins the segment of that number.
    ///
    /// - Throws: `DiskError`.
    init(_ disk: NodeDisk, _ directory: String, segment: Int, segmentBytes: Int) throws(DiskError) {
        self.disk = disk
        self.directory = directory
        self.segment = segment
        self.segmentBytes = max(Self.pageBytes * 2, segmentBytes / Self.pageBytes * Self.pageBytes)
        try openSegment()
    }

    static func name(_ segment: Int) -> String { padded(segment, 8) }

    private func openSegment() throws(DiskError) {
        file = try disk.open("\(directory)/\(Self.name(segment))", [.write, .create, .truncate])
        writtenBytes = 0
        pending = []
        try disk.syncDirectory(directory)
    }

    /// The numbers of the segments in a directory, in rising order.
    static func segments(_ disk: NodeDisk, _ directory: String) throws(DiskError) -> [Int] {
        try disk.list(directory).compactMap { name in
            name.utf8.count == 8 && name.utf8.allSatisfy { $0 &- 48 < 10 } ? Int(name) : nil
        }
    }

    // MARK: Writing

    /// Adds a record; `flush` brings it to the file.
    ///
    /// - Throws: `DiskError` where a new segment had to be begun.
    func append(_ plain: [UInt8]) throws(DiskError) {
        let packed = SnappyBlock.compress(plain)
        let isPacked = packed.count < plain.count
        let record = isPacked ? packed : plain
        let position = writtenBytes + pending.count
        let inPage = Self.pageBytes - position % Self.pageBytes
        let free = max(0, inPage - Self.headerBytes)
        let pagesLeft = max(0, segmentBytes / Self.pageBytes - position / Self.pageBytes - 1)
        if record.count > free + pagesLeft * (Self.pageBytes - Self.headerBytes), position > 0 { try cut() }
        var rest = record[...]
        var isFirst = true
        repeat {
            var room = Self.pageBytes - (writtenBytes + pending.count) % Self.pageBytes
            if room < Self.headerBytes {
                pending.append(contentsOf: repeatElement(0, count: room))
                room = Self.pageBytes
            }
            let part = rest.prefix(room - Self.headerBytes)
            rest = rest.dropFirst(part.count)
            let type: UInt8 = isFirst ? (rest.isEmpty ? 1 : 2) : (rest.isEmpty ? 4 : 3)
            pending.append(isPacked ? type | Self.packedFlag : type)
            pending.appendBigEndian(UInt16(part.count))
            pending.appendBigEndian(part.withUnsafeBytes { Self.checksum($0) })
            pending.append(contentsOf: part)
            isFirst = false
        } while !rest.isEmpty
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var sum = CRC32C()
        sum.update(bytes)
        return sum.value
    }

    /// Writes what waits to the file, whence a crash of this process cannot take it.
    func flush() throws(DiskError) {
        guard !pending.isEmpty, let file else { return }
        try file.write(pending, at: writtenBytes)
        writtenBytes += pending.count
        pending.removeAll(keepingCapacity: true)
        isDirty = true
    }

    /// The segment that is written to, and its bytes.
    var end: (segment: Int, bytes: Int) { (segment, writtenBytes + pending.count) }

    /// Makes all of it durable.
    func sync() throws(DiskError) {
        try flush()
        guard isDirty else { return }
        try file?.sync()
        isDirty = false
    }

    /// Ends the segment and begins the next one.
    func cut() throws(DiskError) {
        try sync()
        file?.close()
        file = nil
        segment += 1
        try openSegment()
    }

    func close() throws(DiskError) {
        try sync()
        file?.close()
        file = nil
    }

    /// Removes the segments before `first`.
    func removeSegments(before first: Int) throws(DiskError) {
        for number in try Self.segments(disk, directory) where number < first {
            try disk.remove("\(directory)/\(Self.name(number))")
        }
        try disk.syncDirectory(directory)
    }
}

extension [UInt8] {
    mutating func appendBigEndian(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }
}
