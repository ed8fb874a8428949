import KernelSQLite
import KernelWire

extension ErrorMapping {
    /// The disk failed where nothing must: what was promised to nobody yet may be lost, and the server has to stop.
    static func panic(_ error: SQLiteError) -> PostgresError {
        PostgresError(error.isFull ? .diskFull : .ioError, "could not write to the log: \(error)", severity: .panic)
    }

    /// An error while a session's statement ran on a connection.
    static func postgresError(for error: SQLiteError, on connection: DatabaseConnection) -> PostgresError {
        postgresError(for: error, catalogue: connection.catalogue)
    }
}
