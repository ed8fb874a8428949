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

    /// Another connection to it.
    ///
    /// - Throws: `SQLiteError`: the file is no database, is damaged, or the disk refused.
    public func open() throws(SQLiteError) -> SQLiteConnection {
        guard !files.isAbandoned else { throw SQLiteError(code: SQLITE_MISUSE, message: "the database is closed") }
        let connection = try SQLiteConnection(database: self)
        connections[ObjectIdentifier(connection)] = WeakConnection(connection: connection)
        return connection
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
    /// Bytes of the log. It shrinks when a checkpoint has copied all of it and a writer begins anew.
    public var logByteCount: Int { files.logByteCount }

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

    /// Copies the log into the database file, as far as no reader needs it, and never waits for anybody.
    ///
    /// - Returns: pages in the log, and how many of them the file has.
    @discardableResult
    public func checkpoint(_ connection: SQLiteConnection) throws(SQLiteError) -> (pages: Int, copied: Int) {
        var pages: CInt = 0
        var copied: CInt = 0
        let code = sqlite3_wal_checkpoint_v2(
            connection.handle, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &copied)
        guard code == SQLITE_OK || code == SQLITE_BUSY else { throw connection.error(code) }
        return (Int(pages), Int(copied))
    }

    // MARK: End

    /// Copies the log into the file and closes all connections.
    public func close() throws(SQLiteError) {
        defer { abandon() }
        guard !files.isAbandoned else { return }
        for connection in openConnections { connection.rollBackAll() }
        if let first = openConnections.first { try checkpoint(first) }
        try syncLog()
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
