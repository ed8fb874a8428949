import CSQLite
import KernelStorage

/// A relational database in one file: SQLite, on the World's disk.
///
/// ## The problem
///
/// SQLite is the most widely used database there is, and it promises that what was committed is there after a crash.
/// It keeps that promise by asking the operating system in the right order. In a lab where disks fill up, fail, grow
/// slow and forget what was not synced, that order has to be seen by the lab's disk, not by the host's.
///
/// ## An everyday picture
///
/// A conscientious notary in a foreign town. He knows exactly in which order to write, copy and seal; what paper, ink
/// and safe are like there he leaves to an interpreter. SQLite is the notary, and its *virtual file system* (VFS) the
/// interpreter: fifteen small functions, from "open" to "sync", that this room translates for `NodeDisk`.
///
/// ## How
///
/// ```
///  SQLiteConnection ─ SQLiteConnection      as many as there are open transactions
///          │  SQLite's pager  │
///          └────── VFS ───────┘             one a database: files, locks, the log's index in memory
///                   │
///                NodeDisk                   faults, costs, power failures
/// ```
///
/// The journal is a *write-ahead log* (WAL): readers go on reading the state they began with while one writer appends.
/// A commit is in the log, but not synced (`synchronous=NORMAL`); `syncLog` makes all commits durable that came before
/// it, so that one sync serves many (group commit). Whoever acknowledges a commit earlier breaks the promise.
/// `checkpoint` copies the log back into the database file; it is never done behind the caller's back.
///
/// A process that is killed is an object that is dropped: without `close` nothing is written any more.
///
/// ## Where it is wrong
///
/// One process only: locks and the log's index are in this object's memory, and a lock on the disk keeps others out.
/// All calls must come from one thread.
public final class SQLiteDatabase {
    public let path: String
    public let options: Options
    let files: VirtualFileSystem
    private var lock: DiskLock?
    private var connections: [ObjectIdentifier: WeakConnection] = [:]

    private struct WeakConnection { weak var connection: SQLiteConnection? }

    public struct Options: Sendable {
        /// Bytes of pages that each connection keeps in memory.
        public var cacheByteCount = 8 << 20
        /// Bytes of sorting, temporary tables and the like that a connection may keep in memory.
        public var temporaryByteCount = 256 << 20
        /// Statements that each connection keeps prepared.
        public var statementCount = 256
        /// Bytes of the longest value or row.
        public var valueByteCount = 256 << 20
        /// Bytes of the longest statement.
        public var statementByteCount = 1 << 20
        /// Bytes that the log grows by before it is copied into the file (`checkpointIfLong`).
        public var checkpointByteCount = 4 << 20
        /// Seeds the names of temporary files and the like.
        public var seed: UInt64 = 0

        public init() {}
    }

    /// Takes the database at `path` for this process; a file is made by the first `open`.
    ///
    /// - Throws: `SQLiteError` if another node or process has it, or SQLite cannot be used.
    public init(disk: NodeDisk, path: String, options: Options = Options()) throws(SQLiteError) {
        self.path = path
        self.options = options
        do throws(DiskError) {
            lock = try disk.lock(path + "-lock")
        } catch {
            throw SQLiteError(disk: error)
        }
        files = try VirtualFileSystem(disk: disk, options: options)
    }

    deinit { abandon() }

    /// Another connection to it. The first one makes durable what it finds in the log: a process that was killed, or
    /// whose sync has failed, may have left commits there that the next power cut would take back, and whoever reads
    /// them would have read what never was.
    ///
    /// - Throws: `SQLiteError`: the file is no database, is damaged, or the disk refused.
    public func open() throws(SQLiteError) -> SQLiteConnection {
        guard !files.isAbandoned else { throw SQLiteError(code: SQLITE_MISUSE, message: "the database is closed") }
        let isFirst = connections.isEmpty
        if isFirst { try refuseLogWithoutFile() }
        let connection = try SQLiteConnection(database: self)
        if isFirst {
            do throws(DiskError) { try files.syncFoundLog() } catch { throw SQLiteError(disk: error) }
        }
        connections[ObjectIdentifier(connection)] = WeakConnection(connection: connection)
        return connection
    }

    /// A log is written only when its file has long been durable. Without it SQLite would begin a new, empty database.
    private func refuseLogWithoutFile() throws(SQLiteError) {
        guard files.byteCount(path) == 0 else { return }
        let count = files.byteCount(path + "-wal")
        guard count > 0 else { return }
        throw SQLiteError(
            code: SQLITE_CANTOPEN,
            message: "\(path) is missing or empty, but its log \(path)-wal has \(count) bytes: "
                + "put the file back, or remove the log to begin anew without what is in it")
    }

    func forget(_ connection: SQLiteConnection) { connections[ObjectIdentifier(connection)] = nil }

    public var openConnectionCount: Int { connections.count }

    /// What `current_timestamp` and the like take for now: milliseconds since 1970. The caller keeps it up to date.
    public var wallClockMilliseconds: Int64 {
        get { files.wallClockMilliseconds }
        set { files.wallClockMilliseconds = newValue }
    }

    // MARK: Durability

    /// Whether something was appended to the log that no sync has covered.
    public var isLogUnsynced: Bool { files.isLogUnsynced }
    /// Bytes of the log. They are few again when a checkpoint has copied all of it and a writer begins anew.
    public var logByteCount: Int { files.logByteCount }
    /// Whether the log has grown by so much since the last checkpoint that it is time for another.
    public var needsCheckpoint: Bool { files.shared.uncheckpointedByteCount >= options.checkpointByteCount }

    /// Called once when a sync has failed, whether the caller or SQLite itself has asked for it; with why, and what to
    /// do. What was committed may be lost then, and no later sync brings it back, so the database refuses everything
    /// from then on, and its process has to end: what the disk has kept decides when it is started again.
    ///
    /// It is called in the midst of an operation: whoever ends the process must do that after it, not in it.
    public var onFailedSync: ((_ why: String) -> Void)? {
        didSet {
            guard let body = onFailedSync else {
                files.onFailedSync = nil
                return
            }
            files.onFailedSync = { [path] error in
                body(
                    "\(error); what was written since the last sync may be lost, so nothing is acknowledged any more. "
                        + "Look at the disk, then start again: what \(path) has kept counts")
            }
        }
    }

    /// Whether a sync has failed, and nothing is done any more.
    public var hasFailedSync: Bool { files.failedSync != nil }

    /// Makes everything that was committed durable, in one sync.
    ///
    /// - Throws: `SQLiteError` with the disk's error. Nothing of what was committed since the last sync may be
    ///   acknowledged then; see `onFailedSync`.
    public func syncLog() throws(SQLiteError) {
        do throws(DiskError) { try files.syncLog() } catch { throw SQLiteError(disk: error) }
    }

    /// The sync that `syncLog` would do, for a thread: whoever takes it runs it there, and then calls `finishLogSync`
    /// with what it has thrown. Until then nothing of what was committed before may be acknowledged.
    ///
    /// - Returns: nil if nothing is to be synced, or the loop has to do it: on disks that are not the host's, and with
    ///   faults that are to act.
    public func takeLogSync() -> FileSync? { files.takeLogSync() }

    /// - Throws: `SQLiteError` as `syncLog`, with the same consequences.
    public func finishLogSync(_ failure: DiskError?) throws(SQLiteError) {
        do throws(DiskError) { try files.finishLogSync(failure) } catch { throw SQLiteError(disk: error) }
    }

    /// `checkpoint`, when `needsCheckpoint`.
    public func checkpointIfLong(_ connection: SQLiteConnection) throws(SQLiteError) {
        if needsCheckpoint { try checkpoint(connection) }
    }

    /// Copies the log into the database file, as far as no reader needs it, and never waits for anybody.
    ///
    /// - Throws: `SQLiteError`: the file could not grow, or a sync has failed (`hasFailedSync`). Otherwise the log has
    ///   everything still, and reading and writing go on.
    /// - Returns: pages in the log, and how many of them the file has.
    @discardableResult
    public func checkpoint(_ connection: SQLiteConnection) throws(SQLiteError) -> (pages: Int, copied: Int) {
        var pages: CInt = 0
        var copied: CInt = 0
        let code = sqlite3_wal_checkpoint_v2(
            connection.handle, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &copied)
        // One that has failed is tried again when the log has grown by so much more.
        files.shared.noteCheckpoint()
        guard code == SQLITE_OK || code == SQLITE_BUSY else { throw connection.error(code) }
        return (Int(pages), Int(copied))
    }

    // MARK: End

    /// Copies the log into the file and closes all connections.
    public func close() throws(SQLiteError) {
        defer { abandon() }
        guard !files.isAbandoned else { return }
        for connection in openConnections { connection.rollBackAll() }
        var refusal: SQLiteError?
        if let first = openConnections.first {
            do throws(SQLiteError) { try checkpoint(first) } catch { refusal = error }
        }
        try syncLog()
        if let refusal { throw refusal }
    }

    /// From now on no operation reaches the disk. For what is in the midst of a statement when the process is over, and
    /// is to be brought to its end before `abandon` frees what it uses.
    public func cutOff() { files.isAbandoned = true }

    /// Frees everything without one more operation of the disk, as the end of a process does.
    public func abandon() {
        files.isAbandoned = true
        for connection in openConnections { connection.close() }
        lock?.release()
        lock = nil
    }

    private var openConnections: [SQLiteConnection] {
        connections.values.compactMap(\.connection).sorted { $0.number < $1.number }
    }
}
