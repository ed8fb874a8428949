import KernelWire

extension Translation {
    func update(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        guard let target = node["relation"] else { throw unsupported("UPDATE without a table") }
        let scope = Scope(parent: nil)
        let with = try self.with(node["withClause"], scope)
        let (table, item) = try self.target(target, to: "update", scope)
        var from = ""
        if node.has("fromClause") { from = " FROM " + (try self.from(node.list("fromClause"), scope)) }
        let sets = try assignments(node.list("targetList"), table, scope)
        var sql = "\(with)UPDATE \(identifier(table.storage)) AS \(item.alias) SET \(sets)\(from)"
        if let clause = node["whereClause"] { sql += " WHERE " + (try rowCondition(clause, scope)) }
        var plan = Plan(.update, tag: .counted("UPDATE"), readsOnly: false)
        if node.has("returningList"), node.has("fromClause") {
            try returning(node.list("returningList"), item, &sql, &plan, others: Array(scope.items.dropFirst()))
        } else {
            try returning(node.list("returningList"), item, &sql, &plan)
        }
        plan.sql = sql
        return plan
    }

    func delete(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        guard let target = node["relation"] else { throw unsupported("DELETE without a table") }
        let scope = Scope(parent: nil)
        let with = try self.with(node["withClause"], scope)
        let (table, item) = try self.target(target, to: "delete from", scope)
        var sql = "\(with)DELETE FROM \(identifier(table.storage)) AS \(item.alias)"
        if node.has("usingClause") {
            // SQLite has no USING: the rows are looked for in a query.
            let from = try self.from(node.list("usingClause"), scope)
            let test = try node["whereClause"].map { clause throws(PostgresError) in
                try condition(clause, scope, "WHERE")
            }
            sql +=
                " WHERE rowid IN (SELECT \(item.alias).rowid FROM \(identifier(table.storage)) AS \(item.alias), \(from)"
            sql += (test.map { " WHERE " + $0 } ?? "") + ")"
        } else if let clause = node["whereClause"] {
            sql += " WHERE " + (try rowCondition(clause, scope))
        }
        var plan = Plan(.delete, tag: .counted("DELETE"), readsOnly: false)
        try returning(node.list("returningList"), item, &sql, &plan, others: Array(scope.items.dropFirst()))
        plan.sql = sql
        return plan
    }

    private func rowCondition(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> String {
        guard node.kind != "CurrentOfExpr" else { throw unsupported("WHERE CURRENT OF") }
        return try condition(node, scope, "WHERE")
    }

    private func target(
        _ node: SyntaxNode, to verb: String, _ scope: Scope
    ) throws(PostgresError) -> (Relation, RangeItem) {
        let table = try self.table(node, to: verb)
        var item = rangeItem(table, alias: freshAlias("a"))
        if let alias = node["alias"] {
            item.name = alias.text("aliasname")
            item.schema = nil
        }
        item.isTarget = true
        tableNames[item.alias] = Self.label(table.name, item)
        scope.items.append(item)
        scope.columns += item.columns
        return (table, item)
    }

    /// `SET a = 1, (b, c) = (2, 3)`
    func assignments(_ nodes: [SyntaxNode], _ table: Relation, _ scope: Scope) throws(PostgresError) -> String {
        var parts: [String] = []
        var seen: Set<Int16> = []
        var rows: [String: [Expression]] = [:]
        scope.aggregateFreeClause = "UPDATE"
        defer { scope.aggregateFreeClause = nil }
        for node in nodes {
            let name = node.text("name")
            guard let column = table.column(name) else {
                throw fail(
                    .undefinedColumn, "column \"\(name)\" of relation \"\(table.name)\" does not exist",
                    at: node.location)
            }
            guard !node.has("indirection") else {
                throw unsupported("an assignment to a part of a value", at: node.location)
            }
            guard seen.insert(column.number).inserted else {
                throw fail(.syntaxError, "multiple assignments to same column \"\(name)\"", at: node.location)
            }
            guard let value = node["val"] else { continue }
            let isDefault = value.kind == "SetToDefault"
            if column.isGenerated || column.identity == "a", !isDefault {
                throw fail(
                    .generatedAlways, "column \"\(name)\" can only be updated to DEFAULT",
                    detail: column.isGenerated
                        ? "Column \"\(name)\" is a generated column."
                        : "Column \"\(name)\" is an identity column defined as GENERATED ALWAYS.")
            }
            let assigned: Expression
            if isDefault {
                assigned = try defaultValue(column, table)
            } else if value.kind == "MultiAssignRef" {
                assigned = try self.assigned(try part(value, &rows, scope), column, table)
            } else {
                assigned = try self.assigned(try expression(value, scope), column, table)
            }
            parts.append("\(identifier(column.storage)) = \(assigned.sql)")
        }
        return parts.joined(separator: ", ")
    }

    /// One column of `(a, b) = …`
    private func part(
        _ node: SyntaxNode, _ rows: inout [String: [Expression]], _ scope: Scope
    ) throws(PostgresError) -> Expression {
        guard let source = node["source"] else { throw unsupported("an assignment of nothing") }
        guard source.kind == "RowExpr" else { throw unsupported("SET (…) = (SELECT …)", at: node.location) }
        let values = source.list("args")
        let index = node.integer("colno") - 1
        guard values.count == node.integer("ncolumns"), values.indices.contains(index) else {
            throw fail(.syntaxError, "number of columns does not match number of values", at: source.location)
        }
        return try expression(values[index], scope)
    }

    // MARK: RETURNING

    /// Adds RETURNING, and says what it returns.
    func returning(
        _ nodes: [SyntaxNode], _ item: RangeItem, _ sql: inout String, _ plan: inout Plan, others: [RangeItem] = []
    ) throws(PostgresError) {
        guard !nodes.isEmpty else { return }
        // SQLite knows the table by its own name there, and no other one.
        guard let relation = item.relation else { return }
        var row = rangeItem(relation, alias: identifier(relation.storage))
        row.name = item.name
        row.schema = item.schema
        let scope = Scope(parent: nil)
        scope.items = [row]
        scope.columns = row.columns
        scope.aggregateFreeClause = "RETURNING"
        for other in others where nodes.contains(where: { mentions($0, other) }) {
            throw unsupported("RETURNING of another table's columns", at: nodes.first?.location)
        }
        let query = Query(try targets(nodes, scope), .select(SelectParts()))
        try resolveUnknown(query)
        sql += " RETURNING " + query.targets.map { unqualified($0.expression.sql, relation) }.joined(separator: ", ")
        plan.columns = query.targets.map(Self.description)
    }

    private func mentions(_ node: SyntaxNode, _ item: RangeItem) -> Bool {
        var found = false
        node.walk { inner in
            if inner.kind == "ColumnRef", inner.list("fields").count > 1,
                inner.list("fields").first?.string == item.name
            {
                found = true
            }
            return !found
        }
        return found
    }

    /// RETURNING knows columns without their table only.
    private func unqualified(_ sql: String, _ relation: Relation) -> String {
        sql.replacing(identifier(relation.storage) + ".", with: "")
    }

    static func description(_ target: Query.Target) -> ColumnDescription {
        let expression = target.expression
        return ColumnDescription(
            target.name, expression.oid, typeModifier: expression.type.modifier,
            table: PostgresOID(rawValue: expression.column?.table ?? 0), attribute: expression.column?.attribute ?? 0)
    }
}
