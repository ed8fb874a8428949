import KernelSQLite
import KernelStorage
import KernelStructures
import KernelWire

/// One database of a cluster: a file, connections to it that sessions share, and the line of those who want to write.
///
/// ## The problem
///
/// SQLite lets any number of transactions read while one writes; a second writer is told "busy" and may try again.
/// Trying again is a poor way to wait: it is unfair, and it keeps a thread. A server with a thousand clients needs a
/// line in which everybody knows his place, and nobody who only reads stands in it.
///
/// ## An everyday picture
///
/// A library with one pen. Readers take books from the shelves whenever they like and see them as they are at that
/// moment. Who wants to write something into the catalogue asks for the pen, gets a number, and is called.
///
/// ## How
///
/// - Isolation *read committed* (the default) is exact: a statement that only reads runs in a snapshot of its own, on
///   any connection; the first statement of a transaction that writes takes the pen, and keeps it to the end.
/// - *Repeatable read* and *serializable* keep a connection, and so a snapshot, from their first statement on. If
///   somebody else has written since, their own first write is refused with 40001.
/// - A connection that is free goes on top of a stack: the warmest cache is used next.
///
/// ## Where it is wrong
///
/// PostgreSQL lets two transactions write at once if they touch different rows, and finds out when they do not. Here
/// they follow one another, so nothing ever deadlocks, and a long transaction that has written holds up all writers.
public final class Database {
    public let name: String
    public let file: SQLiteDatabase
    let shared = SharedCatalogue()
    /// Of the committed catalogue.
    var catalogueVersion: Int64 = 0
    let plans = PlanCache()
    /// Whether SQLite's texts may take long, by the text and the catalogue's version: an index decides it.
    private var loops = GenerationCache<LoopKey, Bool>(generationCount: 1024)
    private var idle: [DatabaseConnection] = []
    private var connectionCount = 0
    /// Schemas of temporary tables whose sessions are gone, to be dropped when nobody writes.
    var abandonedSchemas: [String] = []
    private let connectionLimit: Int
    /// Who may write now, and who wants to, in order.
    private(set) var writer: DatabaseSession?
    private var waitingWriters = RingQueue<DatabaseSession>()
    let advisoryLocks = AdvisoryLocks()
    /// Sessions by the channels that they listen to, in the order in which they came.
    private var listeners: [String: [DatabaseSession]] = [:]
    /// Sessions that have chosen this database.
    var sessionCount = 0
    public var sessionTotal: Int { sessionCount }
    public private(set) var commitCount = 0
    public private(set) var rollbackCount = 0

    init(name: String, disk: NodeDisk, path: String, options: DatabaseOptions) throws(SQLiteError) {
        self.name = name
        var files = SQLiteDatabase.Options()
        files.cacheByteCount = options.cacheByteCount
        files.temporaryByteCount = options.temporaryByteCount
        files.checkpointByteCount = options.checkpointByteCount
        files.seed = options.seed
        // PostgreSQL's own limit is a gigabyte; what a text becomes for SQLite is longer than it was.
        files.statementByteCount = 256 << 20
        file = try SQLiteDatabase(disk: disk, path: path, options: files)
        connectionLimit = options.connectionLimit
    }

    /// Opens the file, and fills it with the catalogue if it is new.
    func open() throws(PostgresError) {
        let connection = try takeConnection()
        defer { giveBack(connection) }
        do throws(SQLiteError) {
            if try !Catalogue.exists(in: connection.sqlite) {
                try connection.sqlite.execute("BEGIN IMMEDIATE")
                try Catalogue.bootstrap(connection.sqlite)
                try connection.sqlite.execute("COMMIT")
                try file.syncLog()
            }
        } catch {
            connection.rollBack()
            throw ErrorMapping.postgresError(for: error, catalogue: nil)
        }
        try connection.catalogue.refresh()
        catalogueVersion = connection.catalogue.version
        // What sessions left behind when the power went.
        abandonedSchemas = try connection.catalogue.rows(
            "SELECT nspname FROM pg_namespace WHERE nspname GLOB '\(TemporarySchema.prefix)*' ORDER BY oid"
        ).map { CatalogueRow($0).text(0) }
        dropAbandonedSchemas()
    }

    // MARK: Connections

    func takeConnection() throws(PostgresError) -> DatabaseConnection {
        if let connection = idle.popLast() { return connection }
        guard connectionCount < connectionLimit else {
            throw PostgresError(
                .tooManyConnections, "too many open transactions",
                detail: "At most \(connectionLimit) transactions and cursors can be open in a database at a time.")
        }
        let connection = try DatabaseConnection(self)
        connectionCount += 1
        return connection
    }

    func giveBack(_ connection: DatabaseConnection) {
        connection.end()
        guard !connection.sqlite.isInTransaction else {
            connectionCount -= 1
            connection.sqlite.close()
            return
        }
        idle.append(connection)
    }

    public var openConnectionCount: Int { connectionCount }

    private struct LoopKey: Hashable {
        let sql: String
        let version: Int64
    }

    /// Whether a statement goes through rows of which nobody knows the number, so that it may take long.
    func hasLoop(_ sql: String, _ connection: DatabaseConnection) throws(PostgresError) -> Bool {
        let key = LoopKey(sql: sql, version: connection.catalogue.version)
        if let known = loops.find(key) { return known }
        do throws(SQLiteError) {
            let answer = try connection.sqlite.hasLoop(sql)
            loops.insert(answer, for: key)
            return answer
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
    }

    // MARK: Writers

    /// Whether a session would not have to wait for the pen.
    func mayWrite(_ session: DatabaseSession) -> Bool {
        writer === session || writer == nil && waitingWriters.isEmpty
    }

    /// - Returns: false if the session has to wait, and will be woken.
    func acquireWriter(_ session: DatabaseSession) -> Bool {
        if writer === session { return true }
        guard writer == nil, waitingWriters.isEmpty else {
            waitingWriters.append(session)
            return false
        }
        writer = session
        return true
    }

    func releaseWriter(_ session: DatabaseSession) {
        guard writer === session else { return }
        writer = nil
        guard let next = waitingWriters.popFirst() else { return dropAbandonedSchemas() }
        writer = next
        next.writerGranted()
    }

    func forgetWaitingWriter(_ session: DatabaseSession) {
        var others = RingQueue<DatabaseSession>()
        while let next = waitingWriters.popFirst() { if next !== session { others.append(next) } }
        waitingWriters = others
    }

    /// Who has the pen and who gets it first, for a session that waits for it.
    func writersBefore(_ session: DatabaseSession) -> [DatabaseSession] {
        let line = (0..<waitingWriters.count).map { waitingWriters[$0] }
        guard let place = line.firstIndex(where: { $0 === session }) else { return [] }
        return (writer.map { [$0] } ?? []) + line[..<place]
    }

    public var waitingWriterCount: Int { waitingWriters.count }

    // MARK: Notifications

    func listen(_ session: DatabaseSession, _ channel: String) {
        guard listeners[channel]?.contains(where: { $0 === session }) != true else { return }
        listeners[channel, default: []].append(session)
    }

    func unlisten(_ session: DatabaseSession, _ channel: String) {
        listeners[channel]?.removeAll { $0 === session }
        if listeners[channel]?.isEmpty == true { listeners[channel] = nil }
    }

    /// Whether all listeners have room for these. One that stays within a transaction, or does not read, is told
    /// nothing meanwhile.
    func hasRoom(for notifications: [Notification]) -> Bool {
        var byteCounts: [ObjectIdentifier: Int] = [:]
        for notification in notifications {
            for session in listeners[notification.channel] ?? [] {
                let id = ObjectIdentifier(session)
                let sum = (byteCounts[id] ?? session.inboxByteCount) + notification.byteCount
                guard sum <= Self.inboxByteLimit else { return false }
                byteCounts[id] = sum
            }
        }
        return true
    }

    /// Bytes of notifications that wait for one session.
    private static let inboxByteLimit = 32 << 20

    func notify(_ notification: Notification) {
        for session in listeners[notification.channel] ?? [] { session.notified(notification) }
    }

    // MARK: Durability

    func noteCommit() { commitCount += 1 }
    func noteRollback() { rollbackCount += 1 }

    /// Whether something was committed that is not durable yet.
    var needsSync: Bool { file.isLogUnsynced || syncsUnderWay > 0 }
    /// Syncs that threads do now.
    private var syncsUnderWay = 0

    func sync() throws(PostgresError) {
        do throws(SQLiteError) { try file.syncLog() } catch { throw ErrorMapping.panic(error) }
    }

    func takeSync() -> FileSync? {
        guard let sync = file.takeLogSync() else { return nil }
        syncsUnderWay += 1
        return sync
    }

    func finishSync(_ failure: DiskError?) throws(PostgresError) {
        syncsUnderWay -= 1
        do throws(SQLiteError) { try file.finishLogSync(failure) } catch { throw ErrorMapping.panic(error) }
    }

    /// Copies the log into the file, as far as nobody reads what it replaces.
    ///
    /// - Throws: `PostgresError` of severity PANIC after a sync that has failed; any other leaves all as it was.
    func checkpoint() throws(PostgresError) {
        let connection = try takeConnection()
        defer { giveBack(connection) }
        do throws(SQLiteError) { try file.checkpoint(connection.sqlite) } catch {
            throw checkpointError(error)
        }
    }

    private func checkpointError(_ error: SQLiteError) -> PostgresError {
        if file.hasFailedSync { return ErrorMapping.panic(error) }
        return PostgresError(
            error.isFull ? .diskFull : .ioError,
            "could not copy the log of database \"\(name)\" into its file: \(error)",
            hint: "Nothing is lost, but the log grows. Make room on the disk: CHECKPOINT tries it again.")
    }

    /// The process is over: not one more operation of the disk.
    func abandon() {
        file.abandon()
        idle = []
        writer = nil
        waitingWriters = RingQueue()
        listeners = [:]
    }

    func close() throws(PostgresError) {
        for connection in idle { connection.sqlite.close() }
        idle = []
        do throws(SQLiteError) {
            let last = try file.open()
            try file.close()
            _ = last
        } catch {
            throw checkpointError(error)
        }
    }
}

/// What a transaction tells the listeners of a channel once it is committed.
struct Notification: Hashable, Sendable {
    let process: Int32
    let channel: String
    let payload: String

    /// Bytes that it takes, about.
    var byteCount: Int { 128 + channel.utf8.count + payload.utf8.count }
}
