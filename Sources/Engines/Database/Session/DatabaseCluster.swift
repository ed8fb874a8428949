import KernelSQLite
import KernelStorage
import KernelStructures
import KernelWire

/// All databases of one data directory, and the sessions of their clients: what PostgreSQL calls a cluster.
///
/// A host gives it bytes of time: after each turn in which sessions did something it calls `commit`, and only then
/// sends what they have written. That is what makes an answer a promise.
public final class DatabaseCluster {
    public let disk: NodeDisk
    public let directory: String
    public let options: DatabaseOptions
    public private(set) var databases: [String: Database] = [:]
    private var sessions: [Int32: DatabaseSession] = [:]
    private var lastProcess: Int32 = 0
    private var random: SeededRandom
    /// What makes it impossible to go on: `commit` throws it.
    var failure: PostgresError?
    /// What functions asked for while a statement ran.
    var signals: [(session: DatabaseSession, terminates: Bool)] = []
    /// The calendar, which functions and log lines are told: nanoseconds since 1970.
    public var wallClock: () -> LabTime
    public private(set) var statementCount = 0
    public private(set) var syncCount = 0
    public private(set) var checkpointCount = 0
    /// What `open` has found in the logs and the files did not have, of all databases together.
    public private(set) var recovered = RecoveredLog()

    /// The databases that every cluster begins with. The first is where clients go that name none and no user.
    static let initialDatabases = ["postgres", "template1"]
    static let databaseLimit = 100

    public init(
        disk: NodeDisk, directory: String, options: DatabaseOptions = DatabaseOptions(),
        wallClock: @escaping () -> LabTime
    ) {
        self.disk = disk
        self.directory = directory
        self.options = options
        self.wallClock = wallClock
        random = SeededRandom(seed: options.seed)
    }

    // MARK: Files

    /// Opens what is in the directory; what is new is made.
    ///
    /// - Throws: `PostgresError` if another process has the directory, or something in it is damaged.
    public func open() throws(PostgresError) {
        var names: [String] = []
        do throws(DiskError) {
            try disk.makeDirectory(base)
            names = try disk.list(base).compactMap { Self.databaseName(ofFile: $0) }
        } catch {
            throw PostgresError(.ioError, "could not open the data directory: \(error)", severity: .fatal)
        }
        for name in names + Self.initialDatabases where databases[name] == nil { try openDatabase(name) }
        do throws(DiskError) {
            try disk.syncDirectory(base)
            try disk.syncDirectory(directory)
            // The names that lead there as well: a directory that was just made is gone with the power otherwise.
            var parent = DiskPath.parent(of: directory)
            try disk.syncDirectory(parent)
            while parent != "/" {
                parent = DiskPath.parent(of: parent)
                try? disk.syncDirectory(parent)
            }
        } catch {
            throw PostgresError(.ioError, "could not sync the data directory: \(error)", severity: .fatal)
        }
    }

    private var base: String { directory + "/base" }

    @discardableResult
    private func openDatabase(_ name: String) throws(PostgresError) -> Database {
        let path = "\(base)/\(Self.fileName(of: name))"
        let database: Database
        do throws(SQLiteError) {
            database = try Database(name: name, disk: disk, path: path, options: options)
        } catch {
            if case .busy? = error.disk {
                throw PostgresError(
                    .objectInUse, "the data directory \"\(directory)\" is in use by another process", severity: .fatal)
            }
            throw ErrorMapping.postgresError(for: error, catalogue: nil)
        }
        // It has the directory now, and has not touched the log.
        if let found = try? RecoveredLog.find(path, on: disk) {
            recovered.commitCount += found.commitCount
            recovered.byteCount += found.byteCount
        }
        database.file.onFailedSync = { [weak self] why in
            self?.failure = PostgresError(.ioError, why, severity: .panic)
        }
        do throws(PostgresError) { try database.open() } catch {
            var error = error
            error.message = "could not open \(path): \(error.message)"
            if error.message.hasSuffix("not a database") { error.message += "; only databases belong into \(base)" }
            throw error
        }
        databases[name] = database
        return database
    }

    /// A name may have any character but a slash and a dot of its own on the disk.
    private static func fileName(of name: String) -> String {
        var text = ""
        for byte in name.utf8 {
            let isPlain =
                byte == 95 || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            text += isPlain ? String(Unicode.Scalar(byte)) : "%" + String(UInt(byte) + 256, radix: 16).dropFirst()
        }
        return text + ".db"
    }

    private static func databaseName(ofFile file: String) -> String? {
        guard file.hasSuffix(".db") else { return nil }
        var bytes: [UInt8] = []
        var rest = Array(file.utf8.dropLast(3))[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// CREATE DATABASE
    func createDatabase(_ name: String) throws(PostgresError) {
        guard databases[name] == nil else {
            throw PostgresError(.duplicateDatabase, "database \"\(name)\" already exists")
        }
        guard databases.count < Self.databaseLimit else {
            throw PostgresError(.configurationLimitExceeded, "there are \(Self.databaseLimit) databases already")
        }
        do throws(DiskError) {
            // What a DROP DATABASE has left when the power went in its midst.
            let path = "\(base)/\(Self.fileName(of: name))"
            if (try? disk.attributes(path)) == nil { try removeIfThere(path + "-wal") }
        } catch {
            throw PostgresError(.ioError, "could not remove what was left of database \"\(name)\": \(error)")
        }
        try openDatabase(name)
        do throws(DiskError) { try disk.syncDirectory(base) } catch {
            throw ErrorMapping.panic(SQLiteError(disk: error))
        }
    }

    /// DROP DATABASE
    func dropDatabase(_ name: String) throws(PostgresError) {
        guard let database = databases[name] else {
            throw PostgresError(.invalidCatalogName, "database \"\(name)\" does not exist")
        }
        guard !Self.initialDatabases.contains(name) else {
            throw PostgresError(.wrongObjectType, "cannot drop the database \"\(name)\"")
        }
        guard database.sessionCount == 0 else {
            throw PostgresError(
                .objectInUse, "database \"\(name)\" is being accessed by other users",
                detail: "There are \(database.sessionCount) other sessions using the database.")
        }
        databases[name] = nil
        database.file.abandon()
        do throws(DiskError) {
            // A file without its log might be half of a checkpoint; a log without its file is nothing.
            for suffix in ["", "-wal"] {
                try removeIfThere(database.file.path + suffix)
                try disk.syncDirectory(base)
            }
        } catch {
            throw ErrorMapping.panic(SQLiteError(disk: error))
        }
    }

    private func removeIfThere(_ path: String) throws(DiskError) {
        if (try? disk.attributes(path)) != nil { try disk.remove(path) }
    }

    public var databaseNames: [String] { databases.keys.sorted() }
    private var inOrder: [Database] { databaseNames.compactMap { databases[$0] } }

    // MARK: Sessions

    /// A client has come. `onWake` is called when the session may go on because of something that others did.
    public func makeSession(onWake: @escaping () -> Void) -> DatabaseSession {
        repeat { lastProcess = lastProcess == .max ? 1 : lastProcess + 1 } while sessions[lastProcess] != nil
        let key = PostgresCancelKey(process: lastProcess, secret: Int32(truncatingIfNeeded: random.next()))
        let session = DatabaseSession(cluster: self, key: key, onWake: onWake)
        sessions[lastProcess] = session
        return session
    }

    func forget(_ session: DatabaseSession) { sessions[session.key.process] = nil }

    public var sessionCount: Int { sessions.count }
    /// Oldest first.
    public var openSessions: [DatabaseSession] { sessions.values.sorted { $0.key.process < $1.key.process } }

    /// A CancelRequest: whoever knows the secret may stop what the session does. Nobody is told whether it was right.
    public func cancel(_ key: PostgresCancelKey) {
        guard let session = sessions[key.process], session.key == key else { return }
        session.cancel()
    }

    func makeRandom() -> SeededRandom { SeededRandom(seed: random.next()) }
    func noteStatement() { statementCount &+= 1 }

    // MARK: Turns

    /// Whether something was committed that no sync has covered.
    public var needsSync: Bool { databases.values.contains { $0.file.isLogUnsynced } }

    /// Syncs for a thread, by database: what `beginCommit` leaves to be done.
    public typealias Syncs = [(database: Database, sync: FileSync)]

    /// Makes durable what was committed since the last time: one sync a database for all its clients.
    ///
    /// - Throws: `PostgresError` of severity PANIC: nothing may be acknowledged any more, and the server must stop.
    public func commit() throws(PostgresError) { _ = try beginCommit(beside: false) }

    /// The same, but for the syncs that a thread can do, if there is one: `finishCommit` has to hear of their ends.
    ///
    /// - Throws: as `commit`.
    public func beginCommit(beside: Bool) throws(PostgresError) -> Syncs {
        if let failure { throw failure }
        for (session, terminates) in signals { if terminates { session.terminate() } else { session.cancel() } }
        signals = []
        var syncs: Syncs = []
        for database in inOrder where database.file.isLogUnsynced {
            syncCount += 1
            if beside, let sync = database.takeSync() {
                syncs.append((database, sync))
            } else {
                do throws(PostgresError) { try database.sync() } catch { throw failure ?? error }
            }
        }
        return syncs
    }

    /// - Parameter failures: of each of the syncs, in their order.
    /// - Throws: as `commit`.
    public func finishCommit(_ syncs: Syncs, _ failures: [DiskError?]) throws(PostgresError) {
        for (one, failure) in zip(syncs, failures) {
            do throws(PostgresError) { try one.database.finishSync(failure) } catch { throw self.failure ?? error }
        }
    }

    /// Whether a log has grown so much that it should be copied into its file.
    public var needsCheckpoint: Bool { databases.values.contains { $0.file.needsCheckpoint } }

    /// Copies the logs into the files, those that have grown much or all of them. One that cannot be copied keeps no
    /// other from it, and is tried again when it has grown as much once more.
    ///
    /// - Throws: `PostgresError`, the first one. Only one of severity PANIC is a reason to stop.
    public func checkpoint(all: Bool = false) throws(PostgresError) {
        var first: PostgresError?
        for database in inOrder where all || database.file.needsCheckpoint {
            do throws(PostgresError) {
                try database.checkpoint()
                checkpointCount += 1
            } catch {
                if error.severity == .panic { throw failure ?? error }
                first = first ?? error
            }
        }
        if let first { throw first }
    }

    /// Ends all sessions and closes the files.
    public func close() throws(PostgresError) {
        for session in openSessions { session.end() }
        for database in inOrder { try database.close() }
        databases = [:]
    }

    /// The process is over: nothing more is written.
    public func abandon() {
        // Statements that run in slices come to their end now, which must not reach the disk.
        for database in inOrder { database.file.cutOff() }
        for session in openSessions { session.abandon() }
        sessions = [:]
        for database in inOrder { database.abandon() }
        databases = [:]
    }
}
