import KernelSQLite

/// What PostgreSQL's functions, casts and operators do, where SQLite's own do something else.
public enum DatabaseFunctions {
    /// To be called once for each connection, before anything else.
    public static func register(on connection: SQLiteConnection) throws(SQLiteError) {
        try connection.execute("PRAGMA recursive_triggers = ON")
    }
}
