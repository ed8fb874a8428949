/// A file that only one connection sees, in memory: what sorting, temporary tables and journals of statements need.
struct TemporaryFile {
    private var bytes: [UInt8] = []

    var size: Int { bytes.count }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = max(0, min(buffer.count, bytes.count - offset))
        guard count > 0, offset >= 0 else { return 0 }
        bytes.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        return count
    }

    /// - Returns: false if the file would become larger than `limit`.
    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int, limit: Int) -> Bool {
        let (end, isTooLarge) = offset.addingReportingOverflow(source.count)
        guard offset >= 0, !isTooLarge, end <= limit else { return false }
        if end > bytes.count { bytes.append(contentsOf: repeatElement(0, count: end - bytes.count)) }
        bytes.withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[offset..<end]).copyMemory(from: source)
        }
        return true
    }

    mutating func truncate(to size: Int) {
        if size >= 0, size < bytes.count { bytes.removeLast(bytes.count - size) }
    }
}
