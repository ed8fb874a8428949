import KernelWire

extension Translation {
    func select(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Query {
        var parts = SelectParts()
        parts.from = try from(node.list("fromClause"), scope)
        for definition in node.list("windowClause") { scope.windows[definition.text("name")] = definition }
        if let clause = node["whereClause"] { parts.condition = try condition(clause, scope, "WHERE") }
        (scope.ungrouped, scope.grouped) = ([], [])
        let query = Query(try targets(node.list("targetList"), scope), .select(parts))
        let hasGroups = node.has("groupClause")
        try group(node.list("groupClause"), &parts, query, scope)
        if let clause = node["havingClause"] {
            parts.having = try self.condition(clause, scope, "HAVING")
            // SQLite has no HAVING without groups or aggregates.
            if !hasGroups, !scope.hasAggregates { parts.groupBy = ["(SELECT 1)"] }
        }
        let distinct = node.list("distinctClause")
        parts.isDistinct = node.has("distinctClause") && distinct.allSatisfy { $0.kind.isEmpty }
        let order = try orderItems(node.list("sortClause"), query, scope)
        if scope.hasAggregates || hasGroups || node.has("havingClause") {
            if scope.groups == nil { scope.groups = [] }
            try checkGrouping(scope)
            query.isSingleRow = !hasGroups
        }
        if node.has("distinctClause"), !parts.isDistinct {
            try distinctOn(distinct, order, &parts, query, scope)
        } else {
            try finishOrder(order, query, isDistinct: parts.isDistinct)
        }
        if parts.from.isEmpty, !hasGroups, scope.rowFunctions.isEmpty { query.isSingleRow = true }
        parts.from = [parts.from, scope.rowFunctionSource].filter { !$0.isEmpty }.joined(separator: ", ")
        query.body = .select(parts)
        return query
    }

    /// What a condition of WHERE, HAVING or ON says; it must be true or false.
    func condition(_ node: SyntaxNode, _ scope: Scope, _ clause: String) throws(PostgresError) -> String {
        let before = scope.aggregateFreeClause
        if clause == "WHERE" || clause == "JOIN/ON" {
            scope.aggregateFreeClause = clause == "WHERE" ? "WHERE" : "JOIN conditions"
        }
        defer { scope.aggregateFreeClause = before }
        let value = try expression(node, scope)
        return try boolean(value, clause).sql
    }

    /// - Throws: 42804 if it is neither a boolean nor a literal that could be one.
    func boolean(_ value: Expression, _ clause: String) throws(PostgresError) -> Expression {
        if value.isUnknown { return try coerce(value, to: .bool, .implicit) }
        guard value.oid == .bool else {
            throw fail(
                .datatypeMismatch, "argument of \(clause) must be type boolean, not type \(value.oid.typeName)",
                at: value.location)
        }
        return value
    }

    // MARK: The list of results

    func targets(_ nodes: [SyntaxNode], _ scope: Scope) throws(PostgresError) -> [Query.Target] {
        var result: [Query.Target] = []
        for node in nodes {
            guard let value = node["val"] else { continue }
            if value.kind == "ColumnRef", value.list("fields").last?.kind == "A_Star" {
                result += try expandStar(value, scope).map { Query.Target(expression: $0, name: $0.name) }
                continue
            }
            var expression = try self.expression(value, scope)
            if expression.location == nil { expression.location = node.location }
            if expression.oid == .record { expression = recordText(expression) }
            result.append(
                Query.Target(expression: expression, name: node.has("name") ? node.text("name") : expression.name))
        }
        guard result.count <= 1664 else {
            throw fail(.tooManyColumns, "target lists can have at most 1664 entries")
        }
        return result
    }

    /// A row value as one value: its text.
    func recordText(_ row: Expression) -> Expression {
        guard !row.fields.isEmpty else { return row }
        let fields = row.fields.map { "\($0.sql), \($0.isUnknown ? 25 : $0.oid.rawValue)" }
        var result = Expression("pg_record(\(fields.joined(separator: ", ")))", .record, location: row.location)
        result.name = row.name
        return result
    }

    // MARK: GROUP BY

    private func group(
        _ nodes: [SyntaxNode], _ parts: inout SelectParts, _ query: Query, _ scope: Scope
    ) throws(PostgresError) {
        guard !nodes.isEmpty else { return }
        var groups: Set<String> = []
        for node in nodes {
            if node.text("kind") == "GROUPING_SET_EMPTY" {
                scope.hasAggregates = true
                continue
            }
            guard node.kind != "GroupingSet" else {
                throw unsupported("GROUPING SETS, ROLLUP and CUBE", at: node.location)
            }
            let before = scope.ungrouped.count
            for key in try groupKey(node, query, scope) {
                groups.insert(key.sql)
                parts.groupBy.append(key.ordered)
            }
            // Uses of columns within a key are none outside.
            scope.grouped.append((nil, before..<scope.ungrouped.count))
        }
        scope.groups = groups
    }

    private func groupKey(_ node: SyntaxNode, _ query: Query, _ scope: Scope) throws(PostgresError) -> [Expression] {
        if node.kind == "A_Const" {
            guard let number = node["ival"] else {
                throw fail(.syntaxError, "non-integer constant in GROUP BY", at: node.location)
            }
            return [try position(number.integer("ival"), query, "GROUP BY", node.location)]
        }
        if node.kind == "ColumnRef", node.list("fields").count == 1 {
            let name = node.list("fields")[0].string
            // A column of the tables comes first, then one of the results.
            if !scope.columns.contains(where: { $0.name == name }),
                let target = query.targets.first(where: { $0.name == name })
            {
                return [target.expression]
            }
        }
        scope.aggregateFreeClause = "GROUP BY"
        defer { scope.aggregateFreeClause = nil }
        let value = try expression(node, scope)
        return value.fields.isEmpty ? [value] : value.fields
    }

    private func position(
        _ number: Int, _ query: Query, _ clause: String, _ location: Int?
    ) throws(PostgresError) -> Expression {
        guard query.targets.indices.contains(number - 1) else {
            throw fail(.invalidColumnReference, "\(clause) position \(number) is not in select list", at: location)
        }
        return query.targets[number - 1].expression
    }
}
