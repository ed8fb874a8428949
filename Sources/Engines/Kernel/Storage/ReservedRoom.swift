import CSystem
import Glibc

/// Room that is kept for a file's growth, in the process's own memory: a write is a copy, and no call of the system.
///
/// ## The problem
///
/// A hundred bytes that must be with the kernel before an answer leaves cost half a microsecond of its time; the answer
/// to a redirect costs seven.
///
/// ## How
///
/// The blocks are allotted to the file (`posix_fallocate`), and its pages are shared with the process (`mmap`, POSIX.1,
/// `MAP_SHARED`). What is copied there is in the kernel's page cache at once: it survives the process, and a sync
/// writes it down like everything else.
///
/// ## Where it is wrong
///
/// A page that cannot be had kills the process (SIGBUS) where a write would have failed. So this is done only where
/// allotted blocks are never taken away again: ext2 to ext4, XFS, and memory (tmpfs). Elsewhere there is no room to be
/// had, and writes are calls.
final class ReservedRoom {
    private let memory: UnsafeMutableRawBufferPointer
    /// Where the file's own bytes end.
    private(set) var usedByteCount: Int

    /// The longest that is kept, in bytes.
    static let limitBytes = 1 << 30

    /// Nil where there is none to be had: the file is as it was then.
    init?(_ descriptor: Int32, byteCount: Int) {
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_size < byteCount, byteCount <= Self.limitBytes,
            Self.keepsBlocks(descriptor)
        else { return nil }
        let used = Int(info.st_size)
        guard posix_fallocate(descriptor, 0, byteCount) == 0,
            let start = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), start != MAP_FAILED
        else {
            ftruncate(descriptor, used)
            return nil
        }
        memory = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
        usedByteCount = used
    }

    deinit { munmap(memory.baseAddress, memory.count) }

    private static func keepsBlocks(_ descriptor: Int32) -> Bool {
        // ext2 to ext4, XFS, tmpfs: statfs(2).
        [0xEF53, 0x5846_5342, 0x0102_1994].contains(sdlab_file_system(descriptor))
    }

    /// - Returns: false where the bytes do not fit, and nothing was written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard offset >= 0, bytes.count <= memory.count, offset <= memory.count - bytes.count else { return false }
        if !bytes.isEmpty { memcpy(memory.baseAddress! + offset, bytes.baseAddress!, bytes.count) }
        usedByteCount = max(usedByteCount, offset + bytes.count)
        return true
    }
}
