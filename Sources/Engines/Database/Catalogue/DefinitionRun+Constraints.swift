import KernelSQLite
import KernelWire

extension DefinitionRun {
    /// Adds a constraint to a table that exists.
    ///
    /// - Parameter column: the one in whose definition it stands; nil if it stands by itself.
    func add(_ node: SyntaxNode, to oid: UInt32, column: String?) throws(PostgresError) {
        catalogue.forget()
        guard let table = try catalogue.relation(oid) else { return }
        if node.flag("deferrable") || node.flag("initdeferred") { throw unsupported("a deferrable constraint") }
        switch node.text("contype") {
        case "CONSTR_PRIMARY", "CONSTR_UNIQUE": try addKey(node, table, column)
        case "CONSTR_CHECK": try addCheck(node, table, column)
        case "CONSTR_FOREIGN": try addForeignKey(node, table, column)
        case "CONSTR_EXCLUSION": throw unsupported("an exclusion constraint")
        default: throw unsupported("this constraint")
        }
        catalogue.forget()
    }

    private func keys(_ names: [String], _ table: Relation) throws(PostgresError) -> [Relation.Column] {
        var result: [Relation.Column] = []
        for name in names {
            guard let column = table.column(name) else {
                throw fail(.undefinedColumn, "column \"\(name)\" named in key does not exist")
            }
            guard !result.contains(where: { $0.number == column.number }) else {
                throw fail(.duplicateColumn, "column \"\(name)\" appears twice in primary key constraint")
            }
            result.append(column)
        }
        return result
    }

    private func name(_ node: SyntaxNode, _ parts: [String], _ label: String, _ table: Relation) throws(PostgresError)
        -> String
    {
        let schema = try catalogue.schema(table.schema) ?? 2200
        guard node.has("conname") else { return try freeName(parts, label, in: schema) }
        let name = node.text("conname")
        guard !table.constraints.contains(where: { $0.name == name }) else {
            throw fail(.duplicateObject, "constraint \"\(name)\" for relation \"\(table.name)\" already exists")
        }
        return name
    }

    // MARK: Keys

    private func addKey(_ node: SyntaxNode, _ table: Relation, _ column: String?) throws(PostgresError) {
        let isPrimary = node.text("contype") == "CONSTR_PRIMARY"
        if isPrimary, table.primaryKey != nil {
            throw fail(
                .invalidTableDefinition, "multiple primary keys for table \"\(table.name)\" are not allowed",
                at: node.location)
        }
        if node.has("indexname") { throw unsupported("a constraint that uses an index") }
        let keys = try keys(column.map { [$0] } ?? node.words("keys"), table)
        let name = try name(
            node, isPrimary ? [table.name] : [table.name] + keys.map(\.name), isPrimary ? "pkey" : "key", table)
        if isPrimary {
            for key in keys where !key.isNotNull { try setNotNull(key, table, isNotNull: true) }
        }
        let index = NewIndex(
            name: name, isUnique: true, isPrimary: isPrimary,
            keys: keys.map {
                NewIndex.Key(number: $0.number, expression: nil, isDescending: false, isNullsFirst: false)
            })
        let oid = try makeIndex(index, table)
        try insertConstraint(
            name, isPrimary ? .primaryKey : .unique, table, keys.map(\.number), ["conindid": .integer(Int64(oid))])
    }

    func insertConstraint(
        _ name: String, _ kind: Relation.Constraint.Kind, _ table: Relation, _ keys: [Int16],
        _ more: [String: SQLiteValue]
    ) throws(PostgresError) {
        var row: [String: SQLiteValue] = [
            "oid": .integer(Int64(try catalogue.nextOID())), "conname": .text(name),
            "connamespace": .integer(Int64(try catalogue.schema(table.schema) ?? 2200)),
            "contype": .text(kind.rawValue),
            "convalidated": .integer(1), "conrelid": .integer(Int64(table.oid)), "confupdtype": .text(" "),
            "confdeltype": .text(" "), "confmatchtype": .text(" "), "conislocal": .integer(1),
            "conkey": .text("{" + keys.map { "\($0)" }.joined(separator: ",") + "}"),
        ]
        for (field, value) in more { row[field] = value }
        try catalogue.insert("pg_constraint", row)
    }

    func setNotNull(_ column: Relation.Column, _ table: Relation, isNotNull: Bool) throws(PostgresError) {
        if isNotNull {
            let sql = "SELECT 1 FROM \(identifier(table.storage)) WHERE \(identifier(column.storage)) IS NULL LIMIT 1"
            guard try catalogue.rows(sql).isEmpty else {
                throw fail(
                    .notNullViolation, "column \"\(column.name)\" of relation \"\(table.name)\" contains null values")
            }
        }
        try catalogue.run(
            "UPDATE pg_attribute SET attnotnull = ?1 WHERE attrelid = ?2 AND attnum = ?3",
            [.integer(isNotNull ? 1 : 0), .integer(Int64(table.oid)), .integer(Int64(column.number))])
    }

    // MARK: CHECK

    private func addCheck(_ node: SyntaxNode, _ table: Relation, _ column: String?) throws(PostgresError) {
        guard let expression = node["raw_expr"] else { return }
        var used: [String] = []
        expression.walk { inner in
            if inner.kind == "ColumnRef", let name = inner.list("fields").last?.string, !used.contains(name) {
                used.append(name)
            }
            return true
        }
        let keys = table.columns.filter { used.contains($0.name) }
        let parts = column.map { [table.name, $0] } ?? (keys.count == 1 ? [table.name, keys[0].name] : [table.name])
        let name = try name(node, parts, "check", table)
        let (translation, scope) = rowScope(table, row: "")
        scope.aggregateFreeClause = "check constraints"
        let test = try translation.boolean(try translation.expression(expression, scope), "CHECK").sql
        let violated = try catalogue.rows("SELECT 1 FROM \(identifier(table.storage)) WHERE NOT \(test) LIMIT 1")
        guard violated.isEmpty || node.flag("skip_validation") else {
            throw fail(
                .checkViolation, "check constraint \"\(name)\" of relation \"\(table.name)\" is violated by some row")
        }
        try insertConstraint(
            name, .check, table, keys.map(\.number), ["conbin": .text(Deparser(literalType: nil).text(expression))])
        try catalogue.run("UPDATE pg_class SET relchecks = relchecks + 1 WHERE oid = ?1", [.integer(Int64(table.oid))])
        catalogue.forget()
        try makeTriggers(table.oid)
    }

    /// A scope in which a table's columns are one row's: `NEW.` in a trigger, nothing in an index or a query.
    func rowScope(_ table: Relation, row: String) -> (Translation, Scope) {
        let translation = translation()
        translation.allowsSubqueries = false
        let scope = Scope(parent: nil)
        let columns = table.columns.map {
            RangeColumn(name: $0.name, expression: Expression(row + identifier($0.storage), $0.type))
        }
        scope.columns = columns
        scope.items = [RangeItem(name: table.name, schema: table.schema, alias: "", columns: columns, relation: table)]
        return (translation, scope)
    }

    // MARK: FOREIGN KEY

    private func addForeignKey(_ node: SyntaxNode, _ table: Relation, _ column: String?) throws(PostgresError) {
        guard let name = node["pktable"], let other = try self.table(name) else { return }
        guard other.kind == .table else {
            throw fail(.wrongObjectType, "referenced relation \"\(other.name)\" is not a table")
        }
        let keys = try keys(column.map { [$0] } ?? node.words("fk_attrs"), table)
        let wanted = node.words("pk_attrs")
        let otherKeys: [Relation.Column]
        if wanted.isEmpty {
            guard let primary = other.primaryKey else {
                throw fail(.undefinedObject, "there is no primary key for referenced table \"\(other.name)\"")
            }
            otherKeys = primary.keys.compactMap { other.column(number: $0) }
        } else {
            otherKeys = try self.keys(wanted, other)
        }
        guard keys.count == otherKeys.count else {
            throw fail("42830", "number of referencing and referenced columns for foreign key disagree")
        }
        let numbers = Set(otherKeys.map(\.number))
        guard let index = other.indexes.first(where: { $0.isUnique && $0.condition == nil && Set($0.keys) == numbers })
        else {
            throw fail(
                "42830", "there is no unique constraint matching given keys for referenced table \"\(other.name)\"")
        }
        let translation = translation()
        for (key, otherKey) in zip(keys, otherKeys) {
            let (a, b) = (Expression("x", key.type), Expression("y", otherKey.type))
            guard (try? translation.comparedType("=", a, b, at: nil)) != nil else {
                throw fail(
                    .datatypeMismatch, "foreign key constraint cannot be implemented",
                    detail: "Key columns \"\(key.name)\" and \"\(otherKey.name)\" are of incompatible types: "
                        + "\(key.type.oid.typeName) and \(otherKey.type.oid.typeName).")
            }
        }
        let constraint = try self.name(node, [table.name] + keys.map(\.name), "fkey", table)
        try insertConstraint(
            constraint, .foreignKey, table, keys.map(\.number),
            [
                "conindid": .integer(Int64(index.oid)), "confrelid": .integer(Int64(other.oid)),
                "confkey": .text("{" + otherKeys.map { "\($0.number)" }.joined(separator: ",") + "}"),
                "confupdtype": .text(node.text("fk_upd_action")), "confdeltype": .text(node.text("fk_del_action")),
                "confmatchtype": .text("s"),
            ])
        catalogue.forget()
        try catalogue.run(
            "UPDATE pg_class SET relhastriggers = 1 WHERE oid IN (?1, ?2)",
            [.integer(Int64(table.oid)), .integer(Int64(other.oid))])
        try checkForeignKey(constraint, table, keys, other, otherKeys)
        try makeTriggers(table.oid)
        try makeTriggers(other.oid)
    }

    /// The rows that are there must keep it already.
    private func checkForeignKey(
        _ name: String, _ table: Relation, _ keys: [Relation.Column], _ other: Relation, _ otherKeys: [Relation.Column]
    ) throws(PostgresError) {
        let present = keys.map { "c.\(identifier($0.storage)) IS NOT NULL" }.joined(separator: " AND ")
        let same = zip(keys, otherKeys).map { "p.\(identifier($1.storage)) = c.\(identifier($0.storage))" }
        let sql =
            "SELECT 1 FROM \(identifier(table.storage)) c WHERE \(present) AND NOT EXISTS (SELECT 1 FROM "
            + "\(identifier(other.storage)) p WHERE \(same.joined(separator: " AND "))) LIMIT 1"
        guard try catalogue.rows(sql).isEmpty else {
            throw fail(
                .foreignKeyViolation,
                "insert or update on table \"\(table.name)\" violates foreign key constraint \"\(name)\"")
        }
    }
}
