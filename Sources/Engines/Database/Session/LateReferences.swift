import KernelSQLite
import KernelWire

/// A row that refers to one of its own table that is not there, or was referred to when it vanished. What comes later
/// in the statement may mend it: foreign keys count at its end (PostgreSQL 15, "CREATE TABLE", NO ACTION).
struct LateReference {
    /// Whether a row has vanished, and not one come.
    let isStill: Bool
    /// Its number in `pg_constraint`.
    let constraint: UInt32
    /// Of the referring columns.
    let values: [SQLiteValue]

    /// Of one statement.
    static let limit = 1_000_000
}

extension SessionContext {
    func note(_ reference: LateReference) throws(PostgresError) {
        guard lateReferences.count < LateReference.limit else {
            throw PostgresError(
                .programLimitExceeded, "too many rows refer to others of their table that are yet to come")
        }
        lateReferences.append(reference)
    }
}

extension DatabaseSession {
    /// At the end of a statement, while its connection is still its own.
    ///
    /// - Throws: 23503 if something is still missing.
    func checkLateReferences(_ connection: DatabaseConnection) throws(PostgresError) {
        guard !context.lateReferences.isEmpty else { return }
        let references = context.lateReferences
        context.lateReferences = []
        connection.sqlite.context = context
        var queries: [UInt32: String] = [:]
        for reference in references {
            if queries[reference.constraint] == nil {
                queries[reference.constraint] = try query(reference.constraint, connection.catalogue)
            }
            guard let sql = queries[reference.constraint] else { continue }
            if try connection.catalogue.rows(sql, reference.values).isEmpty { continue }
            let marks = reference.values.indices.map { ", ?\($0 + 2)" }.joined()
            let function = reference.isStill ? "pg_still_referenced" : "pg_missing_reference"
            try connection.catalogue.run(
                "SELECT \(function)(?1\(marks))", [.integer(Int64(reference.constraint))] + reference.values)
        }
    }

    /// A query with a row if a key is referred to and not there; nil if there is no such constraint any more.
    private func query(_ oid: UInt32, _ catalogue: Catalogue) throws(PostgresError) -> String? {
        let owner = try catalogue.integer("SELECT conrelid FROM pg_constraint WHERE oid = ?1", [.integer(Int64(oid))])
        guard let owner, let table = try catalogue.relation(UInt32(truncatingIfNeeded: owner)),
            let constraint = table.constraints.first(where: { $0.oid == oid })
        else { return nil }
        func rows(_ keys: [Int16]) -> String {
            let tests = keys.compactMap { table.column(number: $0) }.enumerated().map { index, column in
                "\(Expression.ordered(identifier(column.storage), column.type)) = ?\(index + 1)"
            }
            return "EXISTS (SELECT 1 FROM \(identifier(table.storage)) WHERE \(tests.joined(separator: " AND ")))"
        }
        return "SELECT 1 WHERE \(rows(constraint.keys)) AND NOT \(rows(constraint.foreignKeys))"
    }
}
