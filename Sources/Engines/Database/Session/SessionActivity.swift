import KernelStructures
import KernelWire

/// What a session is doing, for `pg_stat_activity`.
public struct SessionActivity: Sendable {
    public enum State: String, Sendable {
        case active, idle
        case idleInTransaction = "idle in transaction"
        case idleInFailedTransaction = "idle in transaction (aborted)"
    }

    public internal(set) var state = State.idle
    /// The statement that runs, or the last one.
    public internal(set) var query = ""
    /// On the node's calendar.
    public internal(set) var backendStart = LabTime(nanoseconds: 0)
    public internal(set) var queryStart = LabTime(nanoseconds: 0)
    public internal(set) var stateChange = LabTime(nanoseconds: 0)

    /// Bytes of a statement that are kept (`track_activity_query_size`).
    static let queryByteCount = 1024

    mutating func began(_ sql: String, at time: LabTime) {
        state = .active
        query = sql.utf8.count <= Self.queryByteCount ? sql : String(sql.prefix(Self.queryByteCount))
        queryStart = time
        stateChange = time
    }

    mutating func becameIdle(_ time: LabTime, _ status: PostgresTransactionStatus) {
        switch status {
        case .idle: state = .idle
        case .inTransaction: state = .idleInTransaction
        case .failed: state = .idleInFailedTransaction
        }
        stateChange = time
    }
}
