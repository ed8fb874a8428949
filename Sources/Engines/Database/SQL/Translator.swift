import KernelSQLite
import KernelWire

/// From PostgreSQL's SQL to SQLite's.
public struct Translator {
    /// - Parameter parameterTypes: of `$1`, `$2` …; `.unspecified`, or fewer than there are, where the statement is to
    ///   say.
    public static func translate(
        _ statement: ParsedStatement, catalogue: Catalogue, parameterTypes: [PostgresOID] = [], context: SessionContext
    ) throws(PostgresError) -> Plan {
        throw PostgresError(.featureNotSupported, "\(statement.node.kind) is not supported")
    }
}
