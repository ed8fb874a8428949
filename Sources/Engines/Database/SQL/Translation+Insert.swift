import KernelWire

extension Translation {
    func insert(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        guard let target = node["relation"] else { throw unsupported("INSERT without a table") }
        let scope = Scope(parent: nil)
        let with = try self.with(node["withClause"], scope)
        let table = try self.table(target, to: "insert into")
        let columns = try insertColumns(node.list("cols"), table)
        let override = node.text("override")
        let source = try insertSource(
            node["selectStmt"], table, columns, scope, override, isListed: node.has("cols"))
        let names = table.stored.map { identifier($0.storage) }
        var sql = "\(with)INSERT INTO \(identifier(table.storage)) (\(names.joined(separator: ", "))) \(source)"
        // What `RETURNING` and ON CONFLICT can name.
        var item = rangeItem(table, alias: identifier(table.storage))
        if let alias = target["alias"] { item.name = alias.text("aliasname") }
        item.isTarget = true
        var touchedTable: String?
        if let conflict = node["onConflictClause"] {
            sql += try onConflict(conflict, table, item)
            if conflict.text("action") == "ONCONFLICT_UPDATE" { touchedTable = table.storage }
        }
        var plan = Plan(.insert, tag: .inserted, readsOnly: false)
        try returning(node.list("returningList"), item, &sql, &plan)
        plan.sql = sql
        plan.touchedTable = touchedTable
        plan.insertedRows = InsertedRows(
            table: table.oid, with: with, sql: source, columns: table.stored.map(\.number), constants: constants)
        return plan
    }

    private func insertColumns(_ nodes: [SyntaxNode], _ table: Relation) throws(PostgresError) -> [Relation.Column] {
        guard !nodes.isEmpty else { return table.columns }
        var result: [Relation.Column] = []
        for node in nodes {
            guard let column = table.column(node.text("name")) else {
                throw fail(
                    .undefinedColumn, "column \"\(node.text("name"))\" of relation \"\(table.name)\" does not exist",
                    at: node.location)
            }
            guard !result.contains(where: { $0.number == column.number }) else {
                throw fail(
                    .duplicateColumn, "column \"\(column.name)\" specified more than once", at: node.location)
            }
            result.append(column)
        }
        return result
    }

    /// VALUES or SELECT with a value for each column of the table.
    private func insertSource(
        _ statement: SyntaxNode?, _ table: Relation, _ columns: [Relation.Column], _ scope: Scope, _ override: String,
        isListed: Bool
    ) throws(PostgresError) -> String {
        guard let statement else {
            var values: [String] = []
            for column in table.stored { values.append(try defaultValue(column, table).sql) }
            return "VALUES (\(values.joined(separator: ", ")))"
        }
        if statement.has("valuesLists"), !statement.has("sortClause"), !statement.has("limitCount"),
            !statement.has("withClause")
        {
            return try insertValues(statement, table, columns, scope, override, isListed: isListed)
        }
        let query = try self.query(statement, Scope(parent: scope))
        try expectCount(
            query.targets.count, columns, isListed, query.targets.dropFirst(columns.count).first?.expression.location)
        for index in query.targets.indices {
            try checkGenerated(columns[index], isDefault: false, override)
            let value = query.targets[index].expression
            if value.isUnknown { try convert(query, index, to: columns[index].type, .assignment) }
        }
        let alias = freshAlias("i")
        var values: [String] = []
        for column in table.stored {
            guard let place = columns.firstIndex(where: { $0.number == column.number }), place < query.targets.count
            else {
                values.append(try defaultValue(column, table).sql)
                continue
            }
            var value = Expression("\(alias).c\(place + 1)", query.targets[place].expression.type)
            value.isNullable = query.targets[place].expression.isNullable
            values.append(try assigned(value, column, table).sql)
        }
        // WHERE keeps SQLite from taking ON CONFLICT for a join's ON.
        return "SELECT \(values.joined(separator: ", ")) FROM (\(query.sql)) AS \(alias) WHERE 1"
    }

    private func insertValues(
        _ statement: SyntaxNode, _ table: Relation, _ columns: [Relation.Column], _ scope: Scope, _ override: String,
        isListed: Bool
    ) throws(PostgresError) -> String {
        var lines: [String] = []
        let inner = Scope(parent: scope)
        for list in statement.list("valuesLists") {
            let nodes = list.list("items")
            for (column, node) in zip(columns, nodes) where column.isGenerated {
                try checkGenerated(column, isDefault: node.kind == "SetToDefault", override)
            }
            try expectCount(nodes.count, columns, isListed, nodes.dropFirst(columns.count).first?.location)
            var values: [String] = []
            for column in table.stored {
                guard let place = columns.firstIndex(where: { $0.number == column.number }), place < nodes.count else {
                    values.append(try defaultValue(column, table).sql)
                    continue
                }
                let isDefault = nodes[place].kind == "SetToDefault"
                try checkGenerated(column, isDefault: isDefault, override)
                if isDefault {
                    values.append(try defaultValue(column, table).sql)
                } else {
                    values.append(try assigned(try expression(nodes[place], inner), column, table).sql)
                }
            }
            lines.append("(" + values.joined(separator: ", ") + ")")
        }
        return "VALUES " + lines.joined(separator: ", ")
    }

    private func expectCount(
        _ count: Int, _ columns: [Relation.Column], _ isListed: Bool, _ location: Int?
    ) throws(PostgresError) {
        guard count >= columns.count || !isListed else {
            throw fail(.syntaxError, "INSERT has more target columns than expressions", at: location)
        }
        guard count <= columns.count else {
            throw fail(.syntaxError, "INSERT has more expressions than target columns", at: location)
        }
    }

    private func checkGenerated(
        _ column: Relation.Column, isDefault: Bool, _ override: String
    ) throws(PostgresError) {
        if column.isGenerated, !isDefault {
            throw fail(
                .generatedAlways, "cannot insert a non-DEFAULT value into column \"\(column.name)\"",
                detail: "Column \"\(column.name)\" is a generated column.")
        }
        if column.identity == "a", !isDefault, override != "OVERRIDING_SYSTEM_VALUE" {
            throw fail(
                .generatedAlways, "cannot insert a non-DEFAULT value into column \"\(column.name)\"",
                hint: "Use OVERRIDING SYSTEM VALUE to override.",
                detail: "Column \"\(column.name)\" is an identity column defined as GENERATED ALWAYS.")
        }
    }

    // MARK: What a column gets

    /// A value for a column: converted, and refused if it is NULL where none may be.
    func assigned(_ value: Expression, _ column: Relation.Column, _ table: Relation) throws(PostgresError) -> Expression
    {
        var result: Expression
        if !value.isUnknown, value.oid != column.type.oid, !castPath(from: value.oid, to: column.type.oid, .assignment)
        {
            throw fail(
                .datatypeMismatch,
                "column \"\(column.name)\" is of type \(column.type.oid.typeName) but expression is of type \(value.oid.typeName)",
                at: value.location, hint: "You will need to rewrite or cast the expression.")
        }
        result = try coerce(value, to: column.type, .assignment)
        if column.isNotNull, value.isNullable || value.isNullLiteral {
            result.sql = "pg_not_null(\(result.sql), \(table.oid), \(column.number))"
        }
        result.isNullable = !column.isNotNull
        return result
    }

    /// A column's default, from its text in the catalogue.
    func defaultValue(_ column: Relation.Column, _ table: Relation) throws(PostgresError) -> Expression {
        guard let text = column.defaultText, !column.isGenerated else {
            var null = Expression("NULL", .unknown)
            null.open = .null
            return try assigned(null, column, table)
        }
        return try assigned(try storedExpression(text, Scope(parent: nil)), column, table)
    }

    /// An expression that the catalogue keeps as text.
    func storedExpression(_ text: String, _ scope: Scope) throws(PostgresError) -> Expression {
        let outer = source
        defer { source = outer }
        let sql = "SELECT " + text
        source = SourceText(sql)
        guard let node = try ParsedStatement.parse(sql).first?.node.list("targetList").first?["val"] else {
            throw unsupported("an empty expression")
        }
        var result = try expression(node, scope)
        result.location = nil
        return result
    }

    // MARK: ON CONFLICT

    private func onConflict(_ node: SyntaxNode, _ table: Relation, _ item: RangeItem) throws(PostgresError) -> String {
        let scope = Scope(parent: nil)
        scope.items = [item]
        scope.columns = item.columns
        var sql = " ON CONFLICT"
        if let infer = node["infer"] {
            sql += try conflictTarget(infer, table, scope)
        } else if node.text("action") == "ONCONFLICT_UPDATE" {
            throw fail(
                .syntaxError, "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                at: node.location, hint: "For example, ON CONFLICT (column_name).")
        }
        guard node.text("action") == "ONCONFLICT_UPDATE" else { return sql + " DO NOTHING" }
        var excluded = rangeItem(table, alias: "excluded")
        excluded.name = "excluded"
        excluded.schema = nil
        scope.items.append(excluded)
        sql += " DO UPDATE SET " + (try assignments(node.list("targetList"), table, scope))
        sql += " WHERE pg_touch(\(identifier(table.storage)).rowid)"
        if let clause = node["whereClause"] { sql += " AND (\(try condition(clause, scope, "WHERE")))" }
        return sql
    }

    private func conflictTarget(_ node: SyntaxNode, _ table: Relation, _ scope: Scope) throws(PostgresError) -> String {
        var keys: [Int16] = []
        if node.has("conname") {
            let name = node.text("conname")
            guard let constraint = table.constraints.first(where: { $0.name == name }) else {
                throw fail(
                    .undefinedObject, "constraint \"\(name)\" for table \"\(table.name)\" does not exist",
                    at: node.location)
            }
            keys = constraint.keys
        } else {
            for element in node.list("indexElems") {
                guard element.has("name") else {
                    throw unsupported("ON CONFLICT with an expression", at: element.location)
                }
                guard let column = table.column(element.text("name")) else {
                    throw fail(.undefinedColumn, "column \"\(element.text("name"))\" does not exist", at: node.location)
                }
                keys.append(column.number)
            }
        }
        guard
            let index = table.indexes.first(where: {
                $0.isUnique && Set($0.keys) == Set(keys) && ($0.condition == nil || node.has("whereClause"))
            })
        else {
            throw fail(
                .invalidColumnReference,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification")
        }
        var parts: [String] = []
        for key in index.keys {
            guard let column = table.column(number: key) else { continue }
            parts.append(Expression.ordered(identifier(column.storage), column.type))
        }
        var sql = " (\(parts.joined(separator: ", ")))"
        if let condition = index.condition {
            let inner = Scope(parent: nil)
            inner.columns = table.columns.map {
                RangeColumn(name: $0.name, expression: Expression(identifier($0.storage), $0.type))
            }
            let isInline = constants.isInline
            constants.isInline = true
            defer { constants.isInline = isInline }
            sql += " WHERE " + (try storedExpression(condition, inner).sql)
        }
        return sql
    }
}

extension SQLState {
    static let generatedAlways: SQLState = "428C9"
}
