import KernelStructures

/// Why a session does not go on by itself.
public enum Wait: Equatable, Sendable {
    /// Somebody else writes.
    case writer
    /// Until then: pg_sleep, and the latency that the whole server was given.
    case time(LabTime)
    /// Others have their turn first: the result is a long one.
    case turn
    /// The client is to take what was written before there is more.
    case output
    /// Rows of a COPY are to come.
    case copyData
}

/// What `pg_sleep` throws when it is called for the first time: the session waits, and carries the statement out again.
public struct SleepRequest: Error {
    let seconds: Double
}
