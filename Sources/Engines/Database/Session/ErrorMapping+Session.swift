import KernelSQLite
import KernelWire

extension ErrorMapping {
    /// The disk failed where nothing must: what was promised to nobody yet may be lost, and the server has to stop.
    static func panic(_ error: SQLiteError) -> PostgresError {
        PostgresError(error.isFull ? .diskFull : .ioError, "could not write to the log: \(error)", severity: .panic)
    }

    /// An error while a session's statement ran on a connection.
    static func postgresError(for error: SQLiteError, on connection: DatabaseConnection) -> PostgresError {
        if error.isInterrupted, connection.isExhausted {
            return PostgresError(.queryCanceled, "canceling statement due to statement timeout")
        }
        if error.isInterrupted, connection.isStopped {
            return PostgresError(.queryCanceled, "canceling statement due to user request")
        }
        return postgresError(for: error, catalogue: connection.catalogue)
    }
}
