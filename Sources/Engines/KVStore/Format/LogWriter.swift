import KernelStorage

/// Writes a log. Records gather in memory until `flush` puts them into the file with one write: that is what makes it
/// cheap to commit the writes of many clients together.
final class LogWriter {
    let number: UInt64
    let path: String
    private let file: any DiskFile
    private let buffer = ByteBuffer(capacity: 64 << 10)
    /// Where the next flush writes. What comes before is in the file.
    private(set) var flushedByteCount: Int
    /// How much of that is known to be on the device.
    private(set) var syncedByteCount: Int
    private var workerFile: (any DiskFile)?
    /// A write failed and may have left a piece of itself behind `flushedByteCount`.
    private var isTailUncertain = false

    /// - Parameter file: empty.
    init(file: any DiskFile, path: String, number: UInt64) {
        self.file = file
        self.path = path
        self.number = number
        flushedByteCount = 0
        syncedByteCount = 0
    }

    /// Bytes that are not in the file yet.
    @inline(__always) var bufferedByteCount: Int { buffer.count }
    var unsyncedByteCount: Int { flushedByteCount - syncedByteCount }

    @inline(__always) func append(_ record: Bytes) {
        var rest = record
        var isFirst = true
        repeat {
            let used = (flushedByteCount &+ buffer.count) & (LogFormat.blockByteCount - 1)
            var left = LogFormat.blockByteCount &- used
            if left < LogFormat.headerByteCount {
                for _ in 0..<left { buffer.append(0) }
                left = LogFormat.blockByteCount
            }
            let room = left &- LogFormat.headerByteCount
            let piece = rest.prefix(min(room, rest.count))
            rest = rest.dropFirst(piece.count)
            let isLast = rest.count == 0
            let type: LogFormat.FragmentType =
                isFirst ? (isLast ? .full : .first) : (isLast ? .last : .middle)
            appendFragment(piece, type.rawValue)
            isFirst = false
        } while rest.count > 0
    }

    /// Adds a record that stands in a buffer of its own.
    func append(_ record: ByteBuffer) { withExtendedLifetime(record) { append(record.bytes) } }

    @inline(__always) private func appendFragment(_ data: Bytes, _ type: UInt8) {
        buffer.reserve(LogFormat.headerByteCount &+ data.count)
        buffer.append32(MaskedChecksum.of(type, then: data))
        buffer.append(UInt8(truncatingIfNeeded: data.count))
        buffer.append(UInt8(truncatingIfNeeded: data.count >> 8))
        buffer.append(type)
        buffer.append(data)
    }

    /// Puts what was appended into the file. If that fails nothing of it counts, and it is forgotten.
    func flush() throws(DiskError) {
        if buffer.count == 0 { return }
        if isTailUncertain {
            try file.truncate(to: flushedByteCount)
            isTailUncertain = false
        }
        defer {
            buffer.count = 0
            buffer.shrink(to: 1 << 20)
        }
        do throws(DiskError) {
            try file.write(buffer.bytes.raw, at: flushedByteCount)
        } catch {
            isTailUncertain = true
            throw error
        }
        flushedByteCount += buffer.count
    }

    /// Makes what was flushed durable.
    func sync() throws(DiskError) {
        try file.sync()
        syncedByteCount = flushedByteCount
    }

    /// Another thread has made the file durable, up to here at least.
    func noteSynced(_ byteCount: Int) { syncedByteCount = max(syncedByteCount, byteCount) }

    /// The same file as another thread may sync it, which closes nothing that this one uses.
    func fileForWorker(_ disk: NodeDisk) throws(DiskError) -> any DiskFile {
        if let workerFile { return workerFile }
        let opened = try disk.open(path, [.write])
        workerFile = opened
        return opened
    }

    /// Takes the remains of a failed write away, so that the file ends with its last whole record.
    func mend() throws(DiskError) {
        if isTailUncertain { try file.truncate(to: flushedByteCount) }
        isTailUncertain = false
    }

    func close() {
        file.close()
        // Whoever is at it keeps it open until he is done.
        workerFile = nil
    }
}
