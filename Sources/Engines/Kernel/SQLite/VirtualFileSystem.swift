import CSQLite
import Glibc
import KernelStorage
import KernelStructures

/// SQLite's idea of an operating system (`sqlite3_vfs`, sqlite.org/c3ref/vfs.html), for one database on one disk.
final class VirtualFileSystem {
    let disk: NodeDisk
    /// How SQLite finds it.
    let name: String
    private let structure: UnsafeMutablePointer<sqlite3_vfs>
    private let cName: UnsafeMutablePointer<CChar>
    let temporaryByteCount: Int
    /// The process is over: no operation of the disk any more.
    var isAbandoned = false
    var wallClockMilliseconds: Int64 = 0
    private var random: SeededRandom
    private var number = 0
    /// What the connections share.
    let shared = SharedState()
    private var lastFailure: DiskError?
    /// The sync that has failed: nobody knows any more what is durable, so nothing is done from then on.
    private(set) var failedSync: DiskError?
    /// Called once, in the midst of whatever asked for the sync.
    var onFailedSync: ((DiskError) -> Void)?

    init(disk: NodeDisk, options: SQLiteDatabase.Options) throws(SQLiteError) {
        guard Self.isReady else { throw SQLiteError(code: SQLITE_ERROR, message: "SQLite could not be started") }
        self.disk = disk
        temporaryByteCount = options.temporaryByteCount
        random = SeededRandom(seed: options.seed)
        structure = .allocate(capacity: 1)
        name = "sdlab-\(UInt(bitPattern: structure))"
        cName = strdup(name)
        structure.initialize(to: Self.table)
        structure.pointee.zName = UnsafePointer(cName)
        structure.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_vfs_register(structure, 0)
    }

    deinit {
        sqlite3_vfs_unregister(structure)
        structure.deallocate()
        free(cName)
    }

    private static let isReady = csqlite_configure() == SQLITE_OK && sqlite3_initialize() == SQLITE_OK

    func nextNumber() -> Int {
        number += 1
        return number
    }

    /// Runs a disk's operation and says how it ended in SQLite's words.
    func attempt(_ code: CInt, _ body: () throws(DiskError) -> Void) -> CInt {
        if isAbandoned { return code }
        do throws(DiskError) {
            if let failedSync { throw failedSync }
            try body()
            return SQLITE_OK
        } catch {
            lastFailure = error
            return error == .noSpace(error.path) ? SQLITE_FULL : code
        }
    }

    /// The disk's last error, once.
    func takeFailure() -> DiskError? {
        defer { lastFailure = nil }
        return lastFailure
    }

    // MARK: The log

    var isLogUnsynced: Bool { shared.isLogUnsynced }
    var logByteCount: Int { shared.log == nil ? 0 : shared.logByteCount }

    func syncLog() throws(DiskError) {
        guard !isAbandoned else { return }
        if let failedSync { throw failedSync }
        guard shared.isLogUnsynced, let log = shared.log else { return }
        try sync { () throws(DiskError) in try log.syncOnDisk() }
        shared.isLogUnsynced = false
    }

    /// Makes durable what an earlier process has left in the log, whatever became of its syncs.
    func syncFoundLog() throws(DiskError) {
        guard !isAbandoned, shared.isLogUnsynced, let log = shared.log else { return }
        try log.writeAgain()
        try syncLog()
    }

    /// The log's sync for a thread, which `finishLogSync` has to hear of; nil if there is none, or `syncLog` has to do
    /// it.
    func takeLogSync() -> FileSync? {
        guard !isAbandoned, failedSync == nil, shared.isLogUnsynced else { return nil }
        guard let sync = shared.log?.syncForWorker() else { return nil }
        // What is written from now on needs another one.
        shared.isLogUnsynced = false
        return sync
    }

    func finishLogSync(_ failure: DiskError?) throws(DiskError) {
        guard !isAbandoned else { return }
        try sync { () throws(DiskError) in if let failure { throw failure } }
    }

    /// Every sync of a file and of a directory goes this way: after the first one that fails there is no other. A
    /// second one would succeed, since the system has dropped what the first one could not store ("fsyncgate", 2018).
    func sync(_ body: () throws(DiskError) -> Void) throws(DiskError) {
        if let failedSync { throw failedSync }
        do throws(DiskError) { try body() } catch {
            failedSync = error
            onFailedSync?(error)
            throw error
        }
    }

    // MARK: What SQLite calls

    fileprivate func open(
        _ path: String?, _ file: UnsafeMutablePointer<csqlite_file>, _ flags: CInt,
        _ outFlags: UnsafeMutablePointer<CInt>?
    ) -> CInt {
        file.pointee.base.pMethods = nil
        guard !isAbandoned else { return SQLITE_CANTOPEN }
        let isDurable = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0
        var object: VirtualFile?
        var code = SQLITE_OK
        if let path, isDurable {
            code = attempt(SQLITE_CANTOPEN) { () throws(DiskError) in
                object = try openOnDisk(path, flags)
            }
        } else {
            object = VirtualFile(temporaryIn: self)
        }
        guard let object, code == SQLITE_OK else { return code }
        file.pointee.object = Unmanaged.passRetained(object).toOpaque()
        file.pointee.base.pMethods = VirtualFile.methods
        outFlags?.pointee = flags
        return SQLITE_OK
    }

    private func openOnDisk(_ path: String, _ flags: CInt) throws(DiskError) -> VirtualFile {
        var options: OpenOptions = flags & SQLITE_OPEN_READONLY != 0 ? [] : .write
        let isNew = flags & SQLITE_OPEN_CREATE != 0 && !exists(path)
        if flags & SQLITE_OPEN_CREATE != 0 { options.insert(.create) }
        if flags & SQLITE_OPEN_EXCLUSIVE != 0 { options.insert(.exclusive) }
        let file = try disk.open(path, options)
        let kind: VirtualFile.Kind =
            flags & SQLITE_OPEN_WAL != 0 ? .log : flags & SQLITE_OPEN_MAIN_DB != 0 ? .database : .journal
        return VirtualFile(file, path: path, kind: kind, isNew: isNew, in: self)
    }

    private func exists(_ path: String) -> Bool {
        do throws(DiskError) {
            return try !disk.attributes(path).isDirectory
        } catch {
            return false
        }
    }

    /// Bytes of a file; 0 if there is none.
    func byteCount(_ path: String) -> Int {
        do throws(DiskError) { return try disk.attributes(path).size } catch { return 0 }
    }

    fileprivate func delete(_ path: String, syncsDirectory: Bool) -> CInt {
        guard isAbandoned || exists(path) else { return SQLiteExtendedCode.ioErrorDeleteMissing }
        return attempt(SQLiteExtendedCode.ioErrorDelete) { () throws(DiskError) in
            try disk.remove(path)
            guard syncsDirectory else { return }
            try sync { () throws(DiskError) in try disk.syncDirectory(DiskPath.parent(of: path)) }
        }
    }

    /// An empty journal or log is as good as none.
    fileprivate func access(_ path: String, _ flags: CInt) -> Bool {
        guard !isAbandoned, exists(path) else { return false }
        return flags != SQLITE_ACCESS_EXISTS || ((try? disk.attributes(path).size) ?? 0) > 0
    }

    fileprivate func fillRandomly(_ bytes: UnsafeMutableRawBufferPointer) {
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
    }

    fileprivate static func of(_ structure: UnsafeMutablePointer<sqlite3_vfs>?) -> VirtualFileSystem {
        Unmanaged.fromOpaque(structure!.pointee.pAppData).takeUnretainedValue()
    }
}

extension VirtualFileSystem {
    fileprivate static var table: sqlite3_vfs {
        var table = sqlite3_vfs()
        table.iVersion = 2
        table.szOsFile = CInt(MemoryLayout<csqlite_file>.size)
        table.mxPathname = 4096
        table.xOpen = { vfs, path, file, flags, outFlags in
            UnsafeMutableRawPointer(file!).withMemoryRebound(to: csqlite_file.self, capacity: 1) {
                VirtualFileSystem.of(vfs).open(path.map { String(cString: $0) }, $0, flags, outFlags)
            }
        }
        table.xDelete = { vfs, path, syncsDirectory in
            VirtualFileSystem.of(vfs).delete(String(cString: path!), syncsDirectory: syncsDirectory != 0)
        }
        table.xAccess = { vfs, path, flags, result in
            result!.pointee = VirtualFileSystem.of(vfs).access(String(cString: path!), flags) ? 1 : 0
            return SQLITE_OK
        }
        // Paths of a disk are absolute.
        table.xFullPathname = { _, path, count, output in
            guard strlen(path!) < Int(count) else { return SQLITE_CANTOPEN }
            strcpy(output!, path!)
            return SQLITE_OK
        }
        table.xRandomness = { vfs, count, output in
            VirtualFileSystem.of(vfs).fillRandomly(
                UnsafeMutableRawBufferPointer(start: output, count: max(0, Int(count))))
            return count
        }
        // Nobody sleeps on a loop.
        table.xSleep = { _, _ in 0 }
        table.xCurrentTimeInt64 = { vfs, time in
            time!.pointee = VirtualFileSystem.of(vfs).wallClockMilliseconds &+ julianMillisecondsOf1970
            return SQLITE_OK
        }
        table.xCurrentTime = { vfs, time in
            let milliseconds = VirtualFileSystem.of(vfs).wallClockMilliseconds &+ julianMillisecondsOf1970
            time!.pointee = Double(milliseconds) / 86_400_000
            return SQLITE_OK
        }
        table.xGetLastError = { _, _, _ in 0 }
        return table
    }
}

/// SQLite counts time from noon of the 24th of November, 4714 before Christ.
private let julianMillisecondsOf1970: Int64 = 210_866_760_000_000

extension DiskError {
    /// What it is about.
    var path: String {
        switch self {
        case .notFound(let path), .exists(let path), .isDirectory(let path), .notDirectory(let path),
            .notEmpty(let path), .notFile(let path), .noSpace(let path), .failed(let path, _), .notPermitted(let path),
            .closed(let path), .busy(let path):
            path
        }
    }
}
