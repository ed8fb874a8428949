import KernelSQLite
import KernelWire

/// SQLite's errors in PostgreSQL's words.
public enum ErrorMapping {
    /// - Parameter catalogue: to name constraints; nil where nobody knows it.
    public static func postgresError(for error: SQLiteError, catalogue: Catalogue?) -> PostgresError {
        if let known = error.underlying as? PostgresError { return known }
        switch error.extendedCode {
        case SQLiteExtendedCode.constraintUnique, SQLiteExtendedCode.constraintPrimaryKey,
            SQLiteExtendedCode.constraintRowID:
            return uniqueViolation(error, catalogue)
        case SQLiteExtendedCode.busySnapshot:
            return PostgresError(
                .serializationFailure, "could not serialize access due to concurrent update")
        default: break
        }
        if error.isInterrupted { return PostgresError(.queryCanceled, "canceling statement due to user request") }
        if error.isFull {
            return PostgresError(
                .diskFull, "could not extend file: No space left on device", hint: "Check free disk space.")
        }
        if error.isBusy {
            return PostgresError(.lockNotAvailable, "canceling statement due to lock timeout")
        }
        if error.isFailureOfStorage { return PostgresError(.ioError, "could not access the database: \(error)") }
        switch error.code {
        // SQLITE_TOOBIG, SQLITE_NOMEM
        case 18: return PostgresError(.programLimitExceeded, "value or statement too large: \(error.message)")
        case 7: return PostgresError(.outOfMemory, "out of memory")
        default: break
        }
        if error.message.contains("integer overflow") {
            return PostgresError(.numericValueOutOfRange, "bigint out of range")
        }
        if error.message.contains("too many") || error.message.contains("too large")
            || error.message.contains("too deep")
            || error.message.contains("parser stack overflow")
        {
            return PostgresError(.statementTooComplex, "statement too complex: \(error.message)")
        }
        return PostgresError(.internalError, "\(error)")
    }

    /// `UNIQUE constraint failed: accounts_16384.id_1, accounts_16384.name_2`
    private static func uniqueViolation(_ error: SQLiteError, _ catalogue: Catalogue?) -> PostgresError {
        var violation = PostgresError(.uniqueViolation, "duplicate key value violates unique constraint")
        let list = error.message.drop { $0 != ":" }.dropFirst().split(separator: ",").map { $0.drop { $0 == " " } }
        if let first = list.first, first.hasPrefix("index '"), let number = StorageName.number(of: first.dropLast()) {
            let oid = UInt32(truncatingIfNeeded: number)
            if let index = try? catalogue?.relation(oid) {
                name(&violation, index.name, schema: index.schema, table: nil)
            }
            return violation
        }
        let parts = list.map { $0.split(separator: ".") }
        guard let table = parts.first?.first, let catalogue, let relation = relation(stored: table, catalogue) else {
            return violation
        }
        let storedNames = Set(parts.compactMap { $0.last.map(String.init) })
        let numbers = Set(relation.columns.filter { storedNames.contains($0.storage) }.map(\.number))
        if let index = relation.indexes.first(where: { $0.isUnique && Set($0.keys) == numbers }) {
            name(&violation, index.name, schema: relation.schema, table: relation.name)
        }
        return violation
    }

    private static func relation(stored name: Substring, _ catalogue: Catalogue) -> Relation? {
        guard let number = StorageName.number(of: name) else { return nil }
        return (try? catalogue.relation(UInt32(truncatingIfNeeded: number))) ?? nil
    }

    private static func name(_ error: inout PostgresError, _ constraint: String, schema: String, table: String?) {
        error.message += " \"\(constraint)\""
        error.constraint = constraint
        error.schema = schema
        error.table = table
    }
}
