import CSQLite
import KernelStorage

/// A file that SQLite has open (`sqlite3_file`): the database, its log, its journal, or one that is only in memory.
final class VirtualFile {
    enum Kind { case database, log, journal, temporary }

    let kind: Kind
    let system: VirtualFileSystem
    private let path: String
    private let file: (any DiskFile)?
    private var temporary = TemporaryFile()
    /// Its name in the directory is not durable yet.
    private var isNameUnsynced: Bool
    /// What it holds of the database.
    var lock = SQLITE_LOCK_NONE
    /// What it holds of the log's index.
    var indexLocks = IndexLocks()

    init(_ file: any DiskFile, path: String, kind: Kind, isNew: Bool, in system: VirtualFileSystem) {
        self.file = file
        self.path = path
        self.kind = kind
        self.system = system
        isNameUnsynced = isNew && kind != .log
        if kind == .log { system.shared.opened(log: self, isNew: isNew) }
    }

    init(temporaryIn system: VirtualFileSystem) {
        file = nil
        path = ""
        kind = .temporary
        self.system = system
        isNameUnsynced = false
    }

    var size: Int { file?.size ?? temporary.size }

    func read(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> CInt {
        var count = 0
        if let file {
            let code = system.attempt(SQLiteExtendedCode.ioErrorRead) { () throws(DiskError) in
                count = try file.read(at: offset, into: bytes)
            }
            if code != SQLITE_OK { return code }
        } else {
            count = temporary.read(at: offset, into: bytes)
        }
        guard count < bytes.count else { return SQLITE_OK }
        // SQLite counts on zeros for what is beyond the end.
        UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).initializeMemory(as: UInt8.self, repeating: 0)
        return SQLiteExtendedCode.ioErrorShortRead
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> CInt {
        guard let file else {
            return temporary.write(bytes, at: offset, limit: system.temporaryByteCount) ? SQLITE_OK : SQLITE_FULL
        }
        if kind == .log { system.shared.isLogUnsynced = true }
        return system.attempt(SQLiteExtendedCode.ioErrorWrite) { () throws(DiskError) in
            try file.write(bytes, at: offset)
            if kind == .log { system.shared.noteLog(offset..<offset + bytes.count) }
        }
    }

    func truncate(to size: Int) -> CInt {
        guard let file else {
            temporary.truncate(to: size)
            return SQLITE_OK
        }
        return system.attempt(SQLiteExtendedCode.ioErrorTruncate) { () throws(DiskError) in
            try file.truncate(to: size)
            if kind == .log { system.shared.noteLogTruncated(to: size) }
        }
    }

    func sync() -> CInt {
        let code = system.attempt(SQLiteExtendedCode.ioErrorSync) { () throws(DiskError) in
            try system.sync { () throws(DiskError) in try syncOnDisk() }
        }
        if code == SQLITE_OK, kind == .log { system.shared.isLogUnsynced = false }
        return code
    }

    var id: ObjectIdentifier { ObjectIdentifier(self) }

    /// The sync of its bytes for a thread; nil if there is more to do, or the loop has to do it.
    func syncForWorker() -> FileSync? {
        guard !isNameUnsynced, kind != .log || !system.shared.isLogNameUnsynced else { return nil }
        return file?.syncForWorker()
    }

    /// Writes all of it over itself, so that the next sync has it all to store: after a sync that has failed the system
    /// takes for stored what is not. Whatever part of it is done when the power goes, the bytes are the same.
    func writeAgain() throws(DiskError) {
        guard let file else { return }
        let end = file.size
        for start in stride(from: 0, to: end, by: Self.pieceByteCount) {
            try file.write(try file.read(at: start, count: min(Self.pieceByteCount, end - start)), at: start)
        }
    }

    private static let pieceByteCount = 256 << 10

    /// The bytes, and once the name that leads to them.
    func syncOnDisk() throws(DiskError) {
        guard let file else { return }
        try file.sync()
        guard isNameUnsynced || kind == .log && system.shared.isLogNameUnsynced else { return }
        try system.disk.syncDirectory(DiskPath.parent(of: path))
        isNameUnsynced = false
        if kind == .log { system.shared.isLogNameUnsynced = false }
    }

    func close() {
        if kind == .database { system.shared.release(self) }
        if kind == .log { system.shared.closed(log: self) }
        file?.close()
    }
}

extension VirtualFile {
    /// The functions that SQLite calls for an open file; one table for all of them, for as long as the process lives.
    nonisolated(unsafe) static let methods: UnsafePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        var table = sqlite3_io_methods()
        table.iVersion = 2
        addBytes(&table)
        addLocks(&table)
        methods.initialize(to: table)
        return UnsafePointer(methods)
    }()

    private static func addBytes(_ table: inout sqlite3_io_methods) {
        table.xClose = { file in
            let object = Unmanaged<VirtualFile>.fromOpaque(VirtualFile.object(of: file))
            object.takeUnretainedValue().close()
            object.release()
            return SQLITE_OK
        }
        table.xRead = { file, bytes, count, offset in
            VirtualFile.of(file).read(UnsafeMutableRawBufferPointer(start: bytes, count: Int(count)), at: Int(offset))
        }
        table.xWrite = { file, bytes, count, offset in
            VirtualFile.of(file).write(UnsafeRawBufferPointer(start: bytes, count: Int(count)), at: Int(offset))
        }
        table.xTruncate = { file, size in VirtualFile.of(file).truncate(to: Int(size)) }
        table.xSync = { file, _ in VirtualFile.of(file).sync() }
        table.xFileSize = { file, size in
            size!.pointee = sqlite3_int64(VirtualFile.of(file).size)
            return SQLITE_OK
        }
        table.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        table.xSectorSize = { _ in 4096 }
        // A write damages nothing beside it, even when the power fails in its midst.
        table.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
    }

    private static func addLocks(_ table: inout sqlite3_io_methods) {
        table.xLock = { file, level in
            let file = VirtualFile.of(file)
            return file.system.shared.lock(file, level) ? SQLITE_OK : SQLITE_BUSY
        }
        table.xUnlock = { file, level in
            let file = VirtualFile.of(file)
            file.system.shared.unlock(file, level)
            return SQLITE_OK
        }
        table.xCheckReservedLock = { file, result in
            result!.pointee = VirtualFile.of(file).system.shared.isReserved ? 1 : 0
            return SQLITE_OK
        }
        table.xShmMap = { file, number, byteCount, extends, region in
            region!.pointee = VirtualFile.of(file).system.shared.region(
                Int(number), byteCount: Int(byteCount), extends: extends != 0)
            return SQLITE_OK
        }
        table.xShmLock = { file, first, count, flags in
            let file = VirtualFile.of(file)
            return file.system.shared.lockIndex(file, Int(first)..<Int(first + count), flags) ? SQLITE_OK : SQLITE_BUSY
        }
        // One thread: what was written has been written.
        table.xShmBarrier = { _ in }
        table.xShmUnmap = { file, _ in
            let file = VirtualFile.of(file)
            file.system.shared.releaseIndex(file)
            return SQLITE_OK
        }
    }

    private static func object(of file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(file!).assumingMemoryBound(to: csqlite_file.self).pointee.object
    }

    private static func of(_ file: UnsafeMutablePointer<sqlite3_file>?) -> VirtualFile {
        Unmanaged<VirtualFile>.fromOpaque(object(of: file)).takeUnretainedValue()
    }
}
