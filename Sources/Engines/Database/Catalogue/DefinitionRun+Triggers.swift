import KernelSQLite
import KernelWire

/// Checks and foreign keys are triggers in SQLite: they come and go without the table being written anew, and the
/// functions that they call say which constraint was broken.
extension DefinitionRun {
    /// Makes all of a table's triggers anew from the catalogue.
    func makeTriggers(_ oid: UInt32) throws(PostgresError) {
        catalogue.forget()
        guard let table = try catalogue.relation(oid) else { return }
        for row in try catalogue.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1", [.text(table.storage)])
        {
            guard case .text(let name)? = row.first else { continue }
            try catalogue.execute("DROP TRIGGER \(identifier(name))")
        }
        for constraint in table.constraints {
            switch constraint.kind {
            case .check: try makeCheck(constraint, table)
            case .foreignKey: try makeReference(constraint, table)
            default: break
            }
        }
        for row in try catalogue.rows(
            "SELECT conrelid, oid FROM pg_constraint WHERE confrelid = ?1 AND contype = 'f'", [.integer(Int64(oid))])
        {
            let fields = CatalogueRow(row)
            guard let child = try catalogue.relation(fields.oid(0)),
                let constraint = child.constraints.first(where: { $0.oid == fields.oid(1) })
            else { continue }
            try makeAction(constraint, child, table, isDelete: true)
            try makeAction(constraint, child, table, isDelete: false)
        }
    }

    private func makeCheck(_ constraint: Relation.Constraint, _ table: Relation) throws(PostgresError) {
        let (translation, scope) = rowScope(table, row: "NEW.")
        let test = try translation.boolean(
            try translation.storedExpression(constraint.expression ?? "true", scope), "CHECK"
        ).sql
        for event in ["INSERT", "UPDATE"] {
            try catalogue.execute(
                "CREATE TRIGGER \(identifier("check_\(event.lowercased())_\(constraint.oid)")) AFTER \(event) ON "
                    + "\(identifier(table.storage)) WHEN NOT \(test) BEGIN SELECT pg_check_violation(\(constraint.oid)); END"
            )
        }
    }

    /// A row that refers to another one: that must be there.
    private func makeReference(_ constraint: Relation.Constraint, _ table: Relation) throws(PostgresError) {
        guard let other = try catalogue.relation(constraint.foreignTable) else { return }
        let keys = constraint.keys.compactMap { table.column(number: $0) }
        let otherKeys = constraint.foreignKeys.compactMap { other.column(number: $0) }
        let present = keys.map { "NEW.\(identifier($0.storage)) IS NOT NULL" }.joined(separator: " AND ")
        let same = zip(keys, otherKeys).map { pair(identifier($1.storage), $1.type, "NEW.\(identifier($0.storage))") }
        let values = keys.map { "NEW.\(identifier($0.storage))" }.joined(separator: ", ")
        let missing =
            "\(present) AND NOT EXISTS (SELECT 1 FROM \(identifier(other.storage)) WHERE \(same.joined(separator: " AND ")))"
        let columns = keys.map { identifier($0.storage) }.joined(separator: ", ")
        // Within one table the other row may be yet to come: that is seen when the statement has ended.
        let function = other.oid == table.oid ? "pg_late_reference(0, " : "pg_missing_reference("
        for event in ["INSERT", "UPDATE OF \(columns)"] {
            try catalogue.execute(
                "CREATE TRIGGER \(identifier("reference_\(event.prefix(6).lowercased())_\(constraint.oid)")) AFTER \(event) "
                    + "ON \(identifier(table.storage)) WHEN \(missing) BEGIN "
                    + "SELECT \(function)\(constraint.oid), \(values)); END")
        }
    }

    private func pair(_ column: String, _ type: DataType, _ value: String) -> String {
        "\(Expression.ordered(column, type)) = \(value)"
    }

    /// What becomes of the rows that refer to one which vanishes, or gets another key.
    private func makeAction(
        _ constraint: Relation.Constraint, _ child: Relation, _ table: Relation, isDelete: Bool
    ) throws(PostgresError) {
        let keys = constraint.keys.compactMap { child.column(number: $0) }
        let otherKeys = constraint.foreignKeys.compactMap { table.column(number: $0) }
        let rows = zip(keys, otherKeys).map { pair(identifier($0.storage), $0.type, "OLD.\(identifier($1.storage))") }
            .joined(separator: " AND ")
        let childTable = identifier(child.storage)
        var actions: String
        var condition: String?
        let verb = isDelete ? constraint.onDelete : constraint.onUpdate
        switch verb {
        case "c" where isDelete: actions = "DELETE FROM \(childTable) WHERE \(rows);"
        case "c":
            let sets = zip(keys, otherKeys).map { "\(identifier($0.storage)) = NEW.\(identifier($1.storage))" }
            actions = "UPDATE \(childTable) SET \(sets.joined(separator: ", ")) WHERE \(rows);"
        case "n":
            var sets: [String] = []
            for key in keys {
                let value = key.isNotNull ? "pg_not_null(NULL, \(child.oid), \(key.number))" : "NULL"
                sets.append("\(identifier(key.storage)) = \(value)")
            }
            actions = "UPDATE \(childTable) SET \(sets.joined(separator: ", ")) WHERE \(rows);"
        case "d":
            let translation = translation()
            var sets: [String] = []
            for key in keys {
                sets.append("\(identifier(key.storage)) = \(try translation.defaultValue(key, child).sql)")
            }
            actions = "UPDATE \(childTable) SET \(sets.joined(separator: ", ")) WHERE \(rows);"
        default:
            condition = "EXISTS (SELECT 1 FROM \(childTable) WHERE \(rows))"
            let values = otherKeys.map { "OLD.\(identifier($0.storage))" }.joined(separator: ", ")
            // NO ACTION, but not RESTRICT, looks when the statement has ended.
            let isLate = child.oid == table.oid && verb != "r"
            let function = isLate ? "pg_late_reference(1, " : "pg_still_referenced("
            actions = "SELECT \(function)\(constraint.oid), \(values));"
        }
        var tests = condition.map { [$0] } ?? []
        if !isDelete {
            let changed = otherKeys.map { "OLD.\(identifier($0.storage)) IS NOT NEW.\(identifier($0.storage))" }
            tests.append("(" + changed.joined(separator: " OR ") + ")")
        }
        let columns = otherKeys.map { identifier($0.storage) }.joined(separator: ", ")
        try catalogue.execute(
            "CREATE TRIGGER \(identifier("action_\(isDelete ? "delete" : "update")_\(constraint.oid)")) AFTER "
                + (isDelete ? "DELETE" : "UPDATE OF \(columns)") + " ON \(identifier(table.storage))"
                + (tests.isEmpty ? "" : " WHEN " + tests.joined(separator: " AND ")) + " BEGIN \(actions) END")
    }
}
