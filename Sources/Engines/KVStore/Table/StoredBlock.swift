import CSnappy
import Glibc
import KernelStorage

/// How a block comes from the disk into memory: read, checked, and uncompressed where another program compressed it.
enum StoredBlock {
    /// - Parameter path: for errors.
    static func read(_ handle: BlockHandle, from file: any DiskFile, path: String) throws(KVStoreError) -> Block {
        let count = handle.size + TableFormat.trailerByteCount
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
        var isKept = false
        defer { if !isKept { memory.deallocate() } }
        let read: Int
        do throws(DiskError) {
            read = try file.read(at: handle.offset, into: UnsafeMutableRawBufferPointer(start: memory, count: count))
        } catch {
            throw .disk(error)
        }
        guard read == count else { throw damage(path, handle, "the file ends within a block") }
        let stored = Bytes(UnsafePointer(memory), count)
        guard try check(stored, handle, path: path) == .snappy else {
            isKept = true
            return Block(memory: memory, count: handle.size)
        }
        return try uncompressed(stored.prefix(handle.size), handle, path: path)
    }

    /// Verifies a block's checksum. Returns how it is compressed.
    @inline(__always)
    static func check(_ stored: Bytes, _ handle: BlockHandle, path: String) throws(KVStoreError)
        -> TableFormat.Compression
    {
        let type = stored.start[handle.size]
        guard MaskedChecksum.of(stored.prefix(handle.size + 1)) == (stored.start + handle.size + 1).fixed32 else {
            throw damage(path, handle, "checksum mismatch")
        }
        guard let compression = TableFormat.Compression(rawValue: type) else {
            throw damage(path, handle, "compression \(type), which this store cannot read")
        }
        return compression
    }

    static func uncompressed(_ bytes: Bytes, _ handle: BlockHandle, path: String) throws(KVStoreError) -> Block {
        var count = 0
        let source = UnsafeRawPointer(bytes.start).assumingMemoryBound(to: CChar.self)
        guard snappy_uncompressed_length(source, bytes.count, &count) == SNAPPY_OK, count <= TableFormat.blockByteLimit,
            // Snappy's own best is about 21 to 1: a larger claim is no reason to take memory.
            count <= bytes.count * 32 + 64
        else { throw damage(path, handle, "not compressed by snappy") }
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, count))
        let target = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: CChar.self)
        guard snappy_uncompress(source, bytes.count, target, &count) == SNAPPY_OK else {
            memory.deallocate()
            throw damage(path, handle, "not compressed by snappy")
        }
        return Block(memory: memory, count: count)
    }

    static func damage(_ path: String, _ handle: BlockHandle, _ detail: String) -> KVStoreError {
        .corruption(Corruption(file: path, offset: handle.offset, detail: detail))
    }
}
