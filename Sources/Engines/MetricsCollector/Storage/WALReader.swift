import KernelCompression

/// Reads the records of one segment of a log: see `WAL` for the format. Compressed ones (snappy, flag 8), which
/// Prometheus writes, are read as well.
struct WALReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    /// Behind the last whole record.
    private(set) var validBytes = 0
    /// Why reading has stopped before the end; nil if it has not.
    private(set) var damage: String?

    /// Bytes of one record, unpacked.
    private static let recordLimitBytes = 64 << 20

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next record; nil at the end, and where the bytes are no log any more.
    mutating func next() -> [UInt8]? {
        if damage != nil { return nil }
        var record: [UInt8] = []
        var isCompressed = false
        var isWithin = false
        while position < bytes.count {
            let inPage = WAL.pageBytes - position % WAL.pageBytes
            if inPage < WAL.headerBytes || bytes[position] == 0 {
                guard skip(inPage) else { return stop("bytes behind the end of a page") }
                if !isWithin { validBytes = position }
                continue
            }
            guard bytes.count - position >= WAL.headerBytes else { return stop("a piece's head is cut off") }
            let flags = bytes[position]
            let length = Int(bytes[position + 1]) << 8 | Int(bytes[position + 2])
            let sum = bytes.loadUnaligned(fromByteOffset: position + 3, as: UInt32.self).bigEndian
            let start = position + WAL.headerBytes
            guard length <= inPage - WAL.headerBytes else { return stop("a piece that is longer than its page") }
            guard length <= bytes.count - start else { return stop("a piece is cut off") }
            let data = UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])
            guard WAL.checksum(data) == sum else { return stop("a checksum that does not fit") }
            let type = flags & 7
            guard (1...4).contains(type), isWithin == (type > 2) else { return stop("pieces out of order") }
            isCompressed = flags & WAL.packedFlag != 0
            if flags & 0xF0 != 0 { return stop("a piece of an unknown kind") }
            record.append(contentsOf: data)
            if record.count > Self.recordLimitBytes { return stop("a record that is too long") }
            position = start + length
            if type == 1 || type == 4 {
                validBytes = position
                guard isCompressed else { return record }
                guard let plain = try? SnappyBlock.decompress(record, limitBytes: Self.recordLimitBytes) else {
                    return stop("a record that cannot be unpacked")
                }
                return plain
            }
            isWithin = true
        }
        return isWithin ? stop("a record is cut off") : nil
    }

    /// Skips the rest of a page, which is zeros.
    private mutating func skip(_ count: Int) -> Bool {
        let end = min(bytes.count, position + count)
        guard bytes[position..<end].allSatisfy({ $0 == 0 }) else { return false }
        position = end
        return true
    }

    private mutating func stop(_ text: String) -> [UInt8]? {
        damage = "\(text) at byte \(position)"
        return nil
    }
}
