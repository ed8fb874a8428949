import KernelSQLite
import KernelStructures
import KernelWire

/// Why a session does not go on by itself.
public enum Wait: Equatable, Sendable {
    /// Somebody else writes.
    case writer
    /// Somebody else has an advisory lock.
    case advisoryLock
    /// Until then: pg_sleep, and the latency that the whole server was given.
    case time(LabTime)
    /// Others have their turn first: the result is a long one.
    case turn
    /// The client is to take what was written before there is more.
    case output
    /// Rows of a COPY are to come.
    case copyData
}

/// What a function throws that cannot answer yet: the session waits, and carries the statement out again.
enum WaitRequest: Error {
    case sleep(seconds: Double)
    case lock(AdvisoryKey, AdvisoryVerb)
}

/// The answers of functions that wait, such as `pg_sleep`, in the order of their calls.
///
/// A statement of SQLite cannot stop in the middle of a function. So it is given up and carried out again when the
/// wait is over, and what was answered before is answered again without doing it a second time.
struct WaitingCalls {
    private(set) var answers: [SQLiteValue] = []
    private var next = 0

    init(_ answers: [SQLiteValue] = []) { self.answers = answers }

    /// What this call answered in an earlier run, or what it does now.
    mutating func answer(_ call: () throws -> SQLiteValue) throws -> SQLiteValue {
        if next < answers.count {
            next += 1
            return answers[next - 1]
        }
        guard answers.count < Self.limit else {
            throw PostgresError(.programLimitExceeded, "more than \(Self.limit) waiting calls in one statement")
        }
        let value = try call()
        next += 1
        answers.append(value)
        return value
    }

    /// Calls of one statement; more is refused with 54000.
    static let limit = 1_000_000
}
