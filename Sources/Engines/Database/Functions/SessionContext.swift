import KernelSQLite
import KernelStructures
import KernelWire

/// What functions know about the session on whose behalf they are called: `SQLiteConnection.context` while one of its
/// statements runs.
public final class SessionContext {
    /// The user that has logged in; `current_user` and `session_user`.
    public var user: String
    public var database: String
    /// `pg_backend_pid()`
    public var backendPID: Int32
    public var settings: SessionSettings
    /// When the transaction, and when the statement, began.
    public var transactionTime = LabTime(nanoseconds: 0)
    public var statementTime = LabTime(nanoseconds: 0)
    /// For `clock_timestamp()`.
    public var clock: () -> LabTime
    public var random: SeededRandom
    /// `inet_client_addr()` and its port; nil within the process.
    public var clientAddress: String?
    /// What statements have to say besides their result; whoever sends it empties the list.
    public var notices: [PostgresError] = []
    /// What functions that wait have answered to the present statement.
    var waits = WaitingCalls()
    /// The last value that this session got of each sequence, and of which it got one last.
    var sequenceValues: [UInt32: Int64] = [:]
    var lastSequence: UInt32?
    /// Rows of what is not in a database's own file, by the name of the table: `pg_database`, `pg_stat_activity` …
    /// Each row has a value for each of the columns that it names.
    public var outerRows: (_ table: String) -> [[String: SQLiteValue]] = { _ in [] }
    /// `pg_cancel_backend`, `pg_terminate_backend`: whether there is such a session.
    public var signal: (_ backendPID: Int32, _ terminates: Bool) -> Bool = { _, _ in false }

    /// `pg_advisory_lock` and its kin. Throws `WaitRequest` if the lock has to be waited for.
    var advisory: (_ verb: AdvisoryVerb, _ key: AdvisoryKey) throws -> SQLiteValue = { _, _ in .null }

    /// Where the session's temporary tables are, once it has made one.
    var temporarySchema: String?
    /// How often the session has thrown its temporary tables away.
    var discardCount = 0
    /// What becomes of temporary tables at the end of a transaction, by their numbers.
    var onCommit: [UInt32: OnCommit] = [:]

    /// Rows that the present ON CONFLICT DO UPDATE has come to.
    var touchedRows = TouchedRows()
    /// References to be looked at when the present statement has ended.
    var lateReferences: [LateReference] = []

    /// `pg_notify`: at the end of the transaction, if it is committed.
    public var notify: (_ channel: String, _ payload: String) throws -> Void = { _, _ in }

    public init(
        user: String, database: String, backendPID: Int32, random: SeededRandom,
        settings: SessionSettings = SessionSettings(), clock: @escaping () -> LabTime
    ) {
        self.user = user
        self.database = database
        self.backendPID = backendPID
        self.random = random
        self.settings = settings
        self.clock = clock
    }

    /// A statement must not come to a row twice: which of the two should win? SQLite would let the last.
    struct TouchedRows {
        /// Rows with higher numbers are the statement's own.
        var lastRowBefore: Int64 = .max
        private var seen: Set<Int64> = []

        init(lastRowBefore: Int64 = .max) { self.lastRowBefore = lastRowBefore }

        mutating func touch(_ row: Int64) -> Bool { row <= lastRowBefore && seen.insert(row).inserted }
    }

    /// DISCARD SEQUENCES
    public func forgetSequences() {
        sequenceValues = [:]
        lastSequence = nil
    }
}

extension LabTime {
    /// As PostgreSQL counts: microseconds since 2000-01-01.
    public var postgresMicroseconds: Int64 { nanoseconds / 1000 - 946_684_800_000_000 }
}
