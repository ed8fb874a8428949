import CSQLite

/// One connection to a database: it has a transaction of its own, prepared statements and functions.
public final class SQLiteConnection {
    public let database: SQLiteDatabase
    /// Counts the connections of a database.
    public let number: Int
    private(set) var handle: OpaquePointer?
    /// Prepared statements that nobody uses at present.
    private var idle: [String: IdleStatement] = [:]
    private var useCount = 0
    /// What a function threw while a statement was being stepped.
    var thrown: (any Error)?
    /// For whoever registers functions: on whose behalf the connection works at present.
    public var context: AnyObject?
    /// Calls of functions in Swift so far: SQLite counts each as one instruction, whatever it takes.
    public internal(set) var functionCallCount = 0
    private var progress: Progress?
    private var authorizer: Authorizer?

    private struct IdleStatement {
        let handle: OpaquePointer
        /// In the connection's own count.
        let lastUse: Int
    }

    /// Bytes of the longest text that is kept prepared: longer ones are not likely to come again.
    private static let keptByteCount = 64 << 10

    static let closedError = SQLiteError(code: SQLITE_MISUSE, message: "the connection is closed")

    init(database: SQLiteDatabase) throws(SQLiteError) {
        self.database = database
        number = database.files.nextNumber()
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(database.path, &handle, flags, database.files.name)
        do throws(SQLiteError) {
            if code != SQLITE_OK { throw error(code) }
            try configure(database.options)
        } catch {
            close()
            throw error
        }
    }

    deinit { close() }

    private func configure(_ options: SQLiteDatabase.Options) throws(SQLiteError) {
        // Closing is no checkpoint: a process that was killed would not have made one.
        csqlite_set_option(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        // A misspelt column is an error and not a text, and a table cannot be changed behind SQLite's back.
        csqlite_set_option(handle, SQLITE_DBCONFIG_DQS_DDL, 0)
        csqlite_set_option(handle, SQLITE_DBCONFIG_DQS_DML, 0)
        csqlite_set_option(handle, SQLITE_DBCONFIG_DEFENSIVE, 1)
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, CInt(clamping: options.valueByteCount))
        sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, CInt(clamping: options.statementByteCount))
        sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0)
        sqlite3_limit(handle, SQLITE_LIMIT_WORKER_THREADS, 0)
        try execute("PRAGMA cache_size = -\(options.cacheByteCount >> 10)")
        try execute("PRAGMA journal_mode = WAL")
        try execute("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF")
    }

    // MARK: Statements

    /// The statement for a text, from those that are kept, or made anew.
    ///
    /// - Parameter isKept: false for a text that will not come again.
    /// - Throws: `SQLiteError`; its `offset` says where in the text.
    public func prepare(_ sql: String, isKept: Bool = true) throws(SQLiteError) -> SQLiteStatement {
        let isKept = isKept && sql.utf8.count <= Self.keptByteCount
        if isKept, let statement = idle.removeValue(forKey: sql) {
            return SQLiteStatement(connection: self, sql: sql, handle: statement.handle, isKept: true)
        }
        return SQLiteStatement(connection: self, sql: sql, handle: try compile(sql, isKept: isKept), isKept: isKept)
    }

    /// Nobody uses the statement any more. Beyond the limit, what was not used longest goes.
    func keep(_ statement: OpaquePointer, for sql: String) {
        guard idle[sql] == nil else {
            sqlite3_finalize(statement)
            return
        }
        useCount += 1
        idle[sql] = IdleStatement(handle: statement, lastUse: useCount)
        guard idle.count > database.options.statementCount,
            let oldest = idle.min(by: { $0.value.lastUse < $1.value.lastUse })
        else { return }
        idle[oldest.key] = nil
        sqlite3_finalize(oldest.value.handle)
    }

    private func compile(_ sql: String, isKept: Bool) throws(SQLiteError) -> OpaquePointer {
        guard handle != nil else { throw Self.closedError }
        var text = sql
        var statement: OpaquePointer?
        var rest = 0
        let code = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                var tail: UnsafePointer<CChar>?
                let code = sqlite3_prepare_v3(
                    handle, characters.baseAddress ?? emptyText, CInt(clamping: characters.count),
                    UInt32(isKept ? SQLITE_PREPARE_PERSISTENT : 0), &statement, &tail)
                if let tail, let start = characters.baseAddress {
                    rest = characters[(tail - start)...].count { $0 > 32 && $0 != 59 }
                }
                return code
            }
        }
        if code != SQLITE_OK { throw error(code) }
        guard let statement else { throw SQLiteError(code: SQLITE_MISUSE, message: "an empty statement") }
        if rest > 0 {
            sqlite3_finalize(statement)
            throw SQLiteError(code: SQLITE_MISUSE, message: "more than one statement")
        }
        return statement
    }

    /// Carries out statements that return nothing of interest and have no parameters.
    public func execute(_ sql: String) throws(SQLiteError) {
        guard handle != nil else { throw Self.closedError }
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK { throw error(code) }
    }

    /// All rows of a statement, for small results.
    public func rows(_ sql: String, _ parameters: [SQLiteValue] = []) throws(SQLiteError) -> [[SQLiteValue]] {
        let statement = try prepare(sql)
        statement.clearParameters()
        for (index, value) in parameters.enumerated() { try statement.bind(value, at: index + 1) }
        var result: [[SQLiteValue]] = []
        while try statement.step() { result.append((0..<statement.columnCount).map { statement.value($0) }) }
        return result
    }

    /// Rows that the last INSERT, UPDATE or DELETE changed.
    public var changes: Int { handle == nil ? 0 : Int(sqlite3_changes64(handle)) }
    public var lastInsertRowID: Int64 { handle == nil ? 0 : sqlite3_last_insert_rowid(handle) }
    /// Whether a transaction was begun, and neither committed nor rolled back, by whomever: some errors end one.
    public var isInTransaction: Bool { handle != nil && sqlite3_get_autocommit(handle) == 0 }

    /// Rolls back what is not committed; statements that are being stepped end with an error.
    func rollBackAll() { if isInTransaction { try? execute("ROLLBACK") } }

    // MARK: Watching over it

    /// Stops what is being carried out: it ends with an error that is `isInterrupted`.
    public func interrupt() { if handle != nil { sqlite3_interrupt(handle) } }

    /// Asks `goesOn` after each so many instructions of SQLite's machine; false interrupts the statement.
    public func watch(every instructions: Int, goesOn: @escaping () -> Bool) {
        let progress = Progress(goesOn)
        self.progress = progress
        sqlite3_progress_handler(
            handle, CInt(clamping: instructions),
            { Unmanaged<Progress>.fromOpaque($0!).takeUnretainedValue().goesOn() ? 0 : 1 },
            Unmanaged.passUnretained(progress).toOpaque())
    }

    public func stopWatching() {
        sqlite3_progress_handler(handle, 0, nil, nil)
        progress = nil
    }

    /// Asks whether a statement that is being prepared may do something; nil allows everything.
    ///
    /// - Parameter decide: gets the action's number (`SQLITE_INSERT` …: sqlite.org/c3ref/c_alter_table.html) and what
    ///   it concerns, such as a table and a column.
    public func authorize(_ decide: ((Int32, String?, String?) -> Bool)?) {
        authorizer = decide.map(Authorizer.init)
        guard let authorizer else {
            sqlite3_set_authorizer(handle, nil, nil)
            return
        }
        sqlite3_set_authorizer(
            handle,
            { object, action, first, second, _, _ in
                let decide = Unmanaged<Authorizer>.fromOpaque(object!).takeUnretainedValue().decide
                let isAllowed = decide(
                    action, first.map { String(cString: $0) }, second.map { String(cString: $0) })
                return isAllowed ? SQLITE_OK : SQLITE_DENY
            }, Unmanaged.passUnretained(authorizer).toOpaque())
    }

    private final class Progress {
        let goesOn: () -> Bool
        init(_ goesOn: @escaping () -> Bool) { self.goesOn = goesOn }
    }

    private final class Authorizer {
        let decide: (Int32, String?, String?) -> Bool
        init(_ decide: @escaping (Int32, String?, String?) -> Bool) { self.decide = decide }
    }

    // MARK: End

    public var isClosed: Bool { handle == nil }

    /// Rolls back what is not committed. Statements that somebody still has can do nothing any more.
    public func close() {
        guard let open = handle else { return }
        handle = nil
        for statement in idle.values { sqlite3_finalize(statement.handle) }
        idle = [:]
        context = nil
        sqlite3_close_v2(open)
        database.forget(self)
    }

    /// What went wrong last.
    func error(_ code: CInt) -> SQLiteError {
        let underlying = thrown
        thrown = nil
        guard handle != nil else { return Self.closedError }
        let extended = sqlite3_extended_errcode(handle)
        let offset = sqlite3_error_offset(handle)
        let isStorage = [SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN, SQLITE_PERM].contains(code & 0xFF)
        return SQLiteError(
            code: extended & 0xFF == code & 0xFF ? extended : code, message: String(cString: sqlite3_errmsg(handle)),
            offset: offset < 0 ? nil : Int(offset), disk: isStorage ? database.files.takeFailure() : nil,
            underlying: underlying)
    }
}
