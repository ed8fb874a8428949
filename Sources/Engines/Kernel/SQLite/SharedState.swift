import CSQLite

/// What the connections of one database share: who may do what, and the log's index in memory.
///
/// On a machine with several processes both would be in the operating system: file locks and shared memory. Here all
/// connections live in one process and on one thread, so that counting is enough and nobody ever waits inside.
final class SharedState {
    /// The log as each connection has it open, oldest first. They are one file to the disk.
    private var logs: [VirtualFile] = []
    /// The log's name in its directory is not durable yet.
    var isLogNameUnsynced = false
    /// Something was written to the log and not synced.
    var isLogUnsynced = false
    /// Where the log's content ends. The file may be longer: a writer that begins anew leaves what is behind.
    private(set) var logByteCount = 0
    /// Where it ended when a checkpoint last looked at it.
    private var checkpointedByteCount = 0

    private var sharedCount = 0
    private var reserved: ObjectIdentifier?
    private var pending: ObjectIdentifier?
    private var exclusive: ObjectIdentifier?

    private var regions: [UnsafeMutableRawBufferPointer] = []
    /// Connections that hold each of the index's eight locks: -1 for one that has it alone.
    private var indexHolders = [Int](repeating: 0, count: Int(SQLITE_SHM_NLOCK))

    deinit { freeRegions() }

    var log: VirtualFile? { logs.first }

    func opened(log: VirtualFile, isNew: Bool) {
        if logs.isEmpty {
            (logByteCount, checkpointedByteCount) = (log.size, 0)
            // What an earlier process has left may have reached the system, and not the disk.
            isLogNameUnsynced = true
            if log.size > 0 { isLogUnsynced = true }
        }
        logs.append(log)
        if isNew { isLogNameUnsynced = true }
    }

    func closed(log: VirtualFile) { logs.removeAll { $0 === log } }

    /// Bytes that were appended since a checkpoint last looked. What it could not copy then, because somebody was
    /// reading, is looked at again with what has come by the next time, not at each commit.
    var uncheckpointedByteCount: Int { logByteCount - checkpointedByteCount }

    func noteCheckpoint() { checkpointedByteCount = logByteCount }

    /// The log has content in these places. Its head is written when a writer begins anew.
    func noteLog(_ range: Range<Int>) {
        if range.lowerBound == 0 { (logByteCount, checkpointedByteCount) = (0, 0) }
        logByteCount = max(logByteCount, range.upperBound)
    }

    func noteLogTruncated(to size: Int) {
        logByteCount = min(logByteCount, size)
        checkpointedByteCount = min(checkpointedByteCount, size)
    }

    // MARK: Locks of the database file (sqlite.org/lockingv3.html)

    var isReserved: Bool { reserved != nil || pending != nil || exclusive != nil }

    func lock(_ file: VirtualFile, _ level: CInt) -> Bool {
        guard level > file.lock else { return true }
        if level == SQLITE_LOCK_SHARED {
            guard pending == nil, exclusive == nil else { return false }
            sharedCount += 1
        } else if level == SQLITE_LOCK_RESERVED {
            guard reserved == nil || reserved == file.id else { return false }
            reserved = file.id
        } else {
            guard pending == nil || pending == file.id, reserved == nil || reserved == file.id else { return false }
            pending = file.id
            if level == SQLITE_LOCK_EXCLUSIVE {
                // Itself among the readers.
                guard sharedCount <= 1 else {
                    file.lock = SQLITE_LOCK_PENDING
                    return false
                }
                exclusive = file.id
            }
        }
        file.lock = level
        return true
    }

    func unlock(_ file: VirtualFile, _ level: CInt) {
        guard level < file.lock else { return }
        if reserved == file.id { reserved = nil }
        if pending == file.id { pending = nil }
        if exclusive == file.id { exclusive = nil }
        if level == SQLITE_LOCK_NONE, file.lock >= SQLITE_LOCK_SHARED { sharedCount -= 1 }
        file.lock = level
    }

    /// The file is closed.
    func release(_ file: VirtualFile) {
        unlock(file, SQLITE_LOCK_NONE)
        releaseIndex(file)
    }

    // MARK: The log's index (sqlite.org/walformat.html, section 2)

    /// Memory of the index, full of zeros when it is new; nil where there is none and none is wanted.
    func region(_ number: Int, byteCount: Int, extends: Bool) -> UnsafeMutableRawPointer? {
        while extends, regions.count <= number {
            let region = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
            region.initializeMemory(as: UInt8.self, repeating: 0)
            regions.append(region)
        }
        return regions.indices.contains(number) ? regions[number].baseAddress : nil
    }

    func lockIndex(_ file: VirtualFile, _ range: Range<Int>, _ flags: CInt) -> Bool {
        guard range.lowerBound >= 0, range.upperBound <= indexHolders.count else { return false }
        if flags & SQLITE_SHM_UNLOCK != 0 {
            for index in range { unlockIndex(file, index) }
            return true
        }
        if flags & SQLITE_SHM_EXCLUSIVE != 0 {
            let others = range.contains { indexHolders[$0] != 0 && !file.indexLocks.exclusive.contains($0) }
            if others { return false }
            for index in range {
                indexHolders[index] = -1
                file.indexLocks.exclusive.insert(index)
            }
            return true
        }
        if range.contains(where: { indexHolders[$0] < 0 }) { return false }
        for index in range where file.indexLocks.shared.insert(index) { indexHolders[index] += 1 }
        return true
    }

    private func unlockIndex(_ file: VirtualFile, _ index: Int) {
        if file.indexLocks.exclusive.remove(index) { indexHolders[index] = 0 }
        if file.indexLocks.shared.remove(index) { indexHolders[index] -= 1 }
    }

    func releaseIndex(_ file: VirtualFile) { for index in indexHolders.indices { unlockIndex(file, index) } }

    private func freeRegions() {
        for region in regions { region.deallocate() }
        regions = []
    }
}

/// Which of the index's locks a connection holds.
struct IndexLocks {
    var shared = SmallSet()
    var exclusive = SmallSet()

    /// Numbers from 0 to 7.
    struct SmallSet {
        private var bits: UInt8 = 0
        func contains(_ number: Int) -> Bool { bits & 1 << UInt8(number) != 0 }
        /// Whether it was not there.
        @discardableResult
        mutating func insert(_ number: Int) -> Bool {
            defer { bits |= 1 << UInt8(number) }
            return !contains(number)
        }
        /// Whether it was there.
        mutating func remove(_ number: Int) -> Bool {
            defer { bits &= ~(1 << UInt8(number)) }
            return contains(number)
        }
    }
}
