import KernelSQLite
import KernelWire

/// Which key it was that exists already.
///
/// SQLite says which columns have to be unique, and not what was to be put into them. So the rows of the statement that
/// has failed are computed once more, and the first is taken that has a counterpart in the table, or else among its own
/// kind. Nothing is spent on it as long as nothing fails.
extension DatabaseSession {
    func withKey(_ error: PostgresError, _ portal: Portal, _ connection: DatabaseConnection) -> PostgresError {
        guard error.sqlState == .uniqueViolation, let name = error.constraint, let plan = portal.entry?.plan,
            let rows = plan.insertedRows, let table = (try? connection.catalogue.relation(rows.table)) ?? nil,
            let index = table.indexes.first(where: { $0.name == name }), !index.keys.contains(0)
        else { return error }
        let keys = index.keys.compactMap { table.column(number: $0) }
        let places = keys.compactMap { key in rows.columns.firstIndex(of: key.number) }
        guard places.count == index.keys.count, keys.count == places.count else { return error }
        let probe = KeyProbe(table: table, keys: keys, places: places, rows: rows)
        for sql in [probe.amongStored, probe.amongThemselves] {
            guard let values = firstRow(sql, rows, plan, portal.parameters, keys, connection) else { continue }
            var known = error
            known.detail =
                "Key (\(keys.map(\.name).joined(separator: ", ")))=(\(values.joined(separator: ", "))) already exists."
            return known
        }
        return error
    }

    private func firstRow(
        _ sql: String, _ rows: InsertedRows, _ plan: Plan, _ parameters: [SQLiteValue], _ keys: [Relation.Column],
        _ connection: DatabaseConnection
    ) -> [String]? {
        var probe = plan
        (probe.sql, probe.constants) = rows.constants.resolved(sql, parameterCount: plan.parameterTypes.count)
        context.waits = WaitingCalls()
        guard let statement = try? prepare(probe, parameters, connection), (try? statement.step()) == true else {
            return nil
        }
        defer { statement.reset() }
        return keys.enumerated().map { place, key in
            DatumCoding.text(statement.value(place), type: key.type.oid, context, connection.catalogue)
        }
    }
}

/// The questions to SQLite.
private struct KeyProbe {
    let table: Relation
    let keys: [Relation.Column]
    /// Of the keys, among the values of a row.
    let places: [Int]
    let rows: InsertedRows

    /// The rows under a name. A sequence has given its number already; to ask it again would use up another.
    private var source: String {
        let names = rows.columns.indices.map { "c\($0 + 1)" }.joined(separator: ", ")
        let sql = rows.sql.replacing("pg_nextval(", with: "pg_currval(")
        let name = "probe(\(names)) AS (\(sql))"
        return rows.with.isEmpty ? "WITH \(name)" : "\(rows.with.trimmed), \(name)"
    }

    private var columns: String { places.map { "probe.c\($0 + 1)" }.joined(separator: ", ") }

    var amongStored: String {
        let conditions = zip(keys, places).map { key, place in
            let stored = Expression.ordered("old.\(identifier(key.storage))", key.type)
            return "\(stored) = probe.c\(place + 1)"
        }
        return "\(source) SELECT \(columns) FROM probe WHERE EXISTS (SELECT 1 FROM \(identifier(table.storage)) AS old "
            + "WHERE \(conditions.joined(separator: " AND "))) LIMIT 1"
    }

    var amongThemselves: String {
        let groups = zip(keys, places).map { Expression.ordered("probe.c\($1 + 1)", $0.type) }.joined(separator: ", ")
        return "\(source) SELECT \(columns) FROM probe GROUP BY \(groups) HAVING count(*) > 1 LIMIT 1"
    }
}
