import KernelWire

extension Translation {
    // MARK: Relations

    /// A table, a view or their like, by what a RangeVar says.
    func relation(_ node: SyntaxNode) throws(PostgresError) -> Relation {
        let name = node.text("relname")
        let schema = context.schemaName(node.text("schemaname"))
        try checkCatalogueName(node)
        guard let found = try catalogue.relation(name, schema: schema, searchPath: searchPath) else {
            throw fail(
                .undefinedTable, "relation \"\((schema.map { $0 + "." } ?? "") + name)\" does not exist",
                at: node.location)
        }
        dependencies.append(found.oid)
        return found
    }

    private func checkCatalogueName(_ node: SyntaxNode) throws(PostgresError) {
        let database = node.text("catalogname")
        guard database.isEmpty || database == context.database else {
            throw fail(
                .featureNotSupported,
                "cross-database references are not implemented: \"\(database).\(node.text("schemaname")).\(node.text("relname"))\"",
                at: node.location)
        }
    }

    /// A table that can be written.
    func table(_ node: SyntaxNode, to verb: String) throws(PostgresError) -> Relation {
        let found = try relation(node)
        guard found.kind == .table, !found.isSystem else {
            if found.isSystem || found.schema == Catalogue.catalogueSchema {
                throw fail(.insufficientPrivilege, "permission denied: \"\(found.name)\" is a system catalog")
            }
            if found.kind == .view {
                throw fail(
                    .objectNotInPrerequisiteState, "cannot \(verb) view \"\(found.name)\"",
                    detail: "Views are read only here.")
            }
            throw fail(.wrongObjectType, "cannot \(verb) \(found.kindName) \"\(found.name)\"")
        }
        return found
    }

    // MARK: Columns

    /// A ColumnRef.
    func column(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        let fields = node.list("fields")
        guard fields.last?.kind != "A_Star" else {
            throw fail(.syntaxError, "row expansion via \"*\" is not supported here", at: node.location)
        }
        let words = fields.map(\.string)
        switch words.count {
        case 1:
            if let found = try unqualified(words[0], scope, node.location) { return found }
            if let whole = try wholeRow(words[0], scope, node.location) { return whole }
            if words[0] == "tableoid", scope.items.count == 1, let number = number(of: scope.items[0], node.location) {
                return number
            }
            throw fail(.undefinedColumn, "column \"\(words[0])\" does not exist", at: node.location)
        case 2: return try qualified(words[0], words[1], schema: nil, scope, node.location)
        case 3: return try qualified(words[1], words[2], schema: words[0], scope, node.location)
        default:
            throw fail(
                .syntaxError, "improper qualified name (too many dotted names): \(words.joined(separator: "."))",
                at: node.location)
        }
    }

    private func unqualified(_ name: String, _ start: Scope, _ location: Int?) throws(PostgresError) -> Expression? {
        var place: Scope? = start
        while let scope = place {
            let found = scope.columns.filter { $0.name == name }
            guard found.count <= 1 else {
                throw fail(.ambiguousColumn, "column reference \"\(name)\" is ambiguous", at: location)
            }
            if let column = found.first { return use(column, nil, scope, location) }
            place = scope.parent
        }
        return nil
    }

    private func qualified(
        _ table: String, _ name: String, schema: String?, _ start: Scope, _ location: Int?
    ) throws(PostgresError) -> Expression {
        var place: Scope? = start
        while let scope = place {
            let items = scope.items.filter { $0.name == table && (schema == nil || $0.schema == schema) }
            guard items.count <= 1 else {
                throw fail(.duplicateAlias, "table reference \"\(table)\" is ambiguous", at: location)
            }
            if let item = items.first {
                let found = item.columns.filter { $0.name == name }
                guard let column = found.first else {
                    if name == "tableoid", let number = number(of: item, location) { return number }
                    throw fail(.undefinedColumn, "column \(table).\(name) does not exist", at: location)
                }
                guard found.count == 1 else {
                    throw fail(.ambiguousColumn, "column reference \"\(name)\" is ambiguous", at: location)
                }
                return use(column, item, scope, location)
            }
            place = scope.parent
        }
        let shown = (schema.map { $0 + "." } ?? "") + table
        throw fail(.undefinedTable, "missing FROM-clause entry for table \"\(shown)\"", at: location)
    }

    /// `tableoid`, which every row of a table has.
    private func number(of item: RangeItem, _ location: Int?) -> Expression? {
        guard let relation = item.relation, relation.kind == .table || relation.isSystem else { return nil }
        var result = Expression("\(relation.oid)", .oid, location: location)
        (result.name, result.isNameWeak) = ("tableoid", false)
        return result
    }

    /// A column, noted down if it stands outside of aggregates.
    private func use(_ column: RangeColumn, _ item: RangeItem?, _ scope: Scope, _ location: Int?) -> Expression {
        var result = column.expression
        result.location = location
        result.name = column.name
        result.isNameWeak = false
        if scope.aggregateDepth == 0 {
            let owner = item ?? scope.items.first { item in item.columns.contains { $0.expression.sql == result.sql } }
            scope.ungrouped.append(
                Scope.UngroupedColumn(item: owner, name: column.name, sql: result.sql, location: location))
        }
        return result
    }

    /// A table's name where a value is expected: all its columns together.
    private func wholeRow(_ name: String, _ start: Scope, _ location: Int?) throws(PostgresError) -> Expression? {
        var place: Scope? = start
        while let scope = place {
            if let item = scope.items.first(where: { $0.name == name }) {
                var result = row(item.columns.map { use($0, item, scope, location) })
                result.name = name
                result.isNameWeak = false
                result.location = location
                return result
            }
            place = scope.parent
        }
        return nil
    }

    /// A row value.
    func row(_ fields: [Expression]) -> Expression {
        var result = Expression("(" + fields.map(\.sql).joined(separator: ", ") + ")", .record)
        result.fields = fields
        result.name = "row"
        return result
    }

    /// What `*` or `t.*` stands for.
    func expandStar(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> [Expression] {
        let words = node.list("fields").dropLast().map(\.string)
        guard let table = words.last else {
            guard !scope.items.isEmpty else {
                throw fail(.syntaxError, "SELECT * with no tables specified is not valid", at: node.location)
            }
            return scope.columns.map { use($0, nil, scope, node.location) }
        }
        var place: Scope? = scope
        while let current = place {
            if let item = current.items.first(where: { $0.name == table && (words.count == 1 || $0.schema == words[0]) }
            ) {
                return item.columns.map { use($0, item, current, node.location) }
            }
            place = current.parent
        }
        throw fail(.undefinedTable, "missing FROM-clause entry for table \"\(table)\"", at: node.location)
    }

    // MARK: Groups

    /// Refuses columns that are neither in a group's key nor in an aggregate.
    func checkGrouping(_ scope: Scope) throws(PostgresError) {
        guard let groups = scope.groups else { return }
        var isCovered = [Bool](repeating: false, count: scope.ungrouped.count)
        for whole in scope.grouped where whole.sql.map(groups.contains) ?? true {
            for use in whole.uses where isCovered.indices.contains(use) { isCovered[use] = true }
        }
        for (index, column) in scope.ungrouped.enumerated() where !isCovered[index] && !groups.contains(column.sql) {
            if let item = column.item, hasWholeKey(item, groups) { continue }
            let shown = (column.item.map { $0.name.isEmpty ? "" : $0.name + "." } ?? "") + column.name
            throw fail(
                .groupingError,
                "column \"\(shown)\" must appear in the GROUP BY clause or be used in an aggregate function",
                at: column.location)
        }
    }

    /// Whether a table's primary key is among the groups, so that there is one value of each other column.
    private func hasWholeKey(_ item: RangeItem, _ groups: Set<String>) -> Bool {
        guard let relation = item.relation, let key = relation.primaryKey else { return false }
        return key.keys.allSatisfy { number in
            guard let index = relation.columns.firstIndex(where: { $0.number == number }) else { return false }
            return groups.contains(item.columns[index].expression.sql)
        }
    }
}
