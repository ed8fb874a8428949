import KernelWire

/// What an entry of FROM comes to.
struct FromPart {
    var sql: String
    var items: [RangeItem]
    var columns: [RangeColumn]
}

extension Translation {
    /// All of FROM; what it names is added to the scope.
    func from(_ nodes: [SyntaxNode], _ scope: Scope) throws(PostgresError) -> String {
        var parts: [String] = []
        for node in nodes {
            let part = try fromPart(node, scope)
            scope.columns += part.columns
            parts.append(part.sql)
        }
        return parts.joined(separator: ", ")
    }

    /// Adds the part's items to the scope, so that what stands behind can name them, but not its columns.
    private func fromPart(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> FromPart {
        switch node.kind {
        case "RangeVar": return try single(try rangeVariable(node, scope), scope, node.location)
        case "RangeSubselect": return try single(try subselect(node, scope), scope, node.location)
        case "RangeFunction": return try single(try rangeFunction(node, scope), scope, node.location)
        case "JoinExpr": return try join(node, scope)
        default: throw unsupported("\(node.kind) in FROM", at: node.location)
        }
    }

    private func single(
        _ entry: (sql: String, item: RangeItem), _ scope: Scope, _ location: Int?
    ) throws(PostgresError) -> FromPart {
        guard
            entry.item.name.isEmpty
                || !scope.items.contains(where: { $0.name == entry.item.name && $0.schema == entry.item.schema })
        else {
            throw fail(.duplicateAlias, "table name \"\(entry.item.name)\" specified more than once")
        }
        scope.items.append(entry.item)
        return FromPart(sql: entry.sql, items: [entry.item], columns: entry.item.columns)
    }

    // MARK: Tables

    private func rangeVariable(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> (String, RangeItem) {
        let name = node.text("relname")
        if !node.has("schemaname"), let (table, _) = commonTable(name, scope) {
            let alias = freshAlias("a")
            let columns = table.columns.enumerated().map { index, column in
                RangeColumn(name: column.name, expression: Expression("\(alias).c\(index + 1)", column.type))
            }
            let item = try renamed(
                RangeItem(name: name, schema: nil, alias: alias, columns: columns, relation: nil), node["alias"])
            tableNames[alias] = Self.label(name, item)
            return ("\(table.alias) AS \(alias)", item)
        }
        let relation = try relation(node)
        let alias = freshAlias("a")
        let sql = try relationSource(relation, node.location)
        var item = rangeItem(relation, alias: alias)
        item = try renamed(item, node["alias"])
        tableNames[alias] = Self.label(relation.name, item)
        return ("\(sql) AS \(alias)", item)
    }

    /// As EXPLAIN calls it: with the name that the statement gave it, if that is another.
    static func label(_ name: String, _ item: RangeItem) -> String {
        item.name == name ? name : "\(name) \(item.name)"
    }

    func rangeItem(_ relation: Relation, alias: String) -> RangeItem {
        let isQuery = relation.kind == .view || relation.kind == .sequence
        let columns = (relation.kind == .sequence ? Self.sequenceColumns : relation.columns).enumerated().map {
            index, column in
            var expression = Expression(
                alias + "." + (isQuery ? "c\(index + 1)" : identifier(column.storage)), column.type)
            expression.column = ColumnOrigin(table: relation.oid, attribute: column.number)
            expression.isNullable = !column.isNotNull
            return RangeColumn(name: column.name, expression: expression)
        }
        return RangeItem(
            name: relation.name, schema: relation.schema, alias: alias, columns: columns, relation: relation)
    }

    private static let sequenceColumns = [("last_value", PostgresOID.int8), ("log_cnt", .int8), ("is_called", .bool)]
        .enumerated().map { index, column in
            Relation.Column(
                number: Int16(index + 1), name: column.0, type: DataType(column.1), isNotNull: true, defaultText: nil,
                identity: "", isGenerated: false, storage: column.0)
        }

    /// A relation's rows: a table of SQLite, or a query in parentheses.
    private func relationSource(_ relation: Relation, _ location: Int?) throws(PostgresError) -> String {
        switch (relation.kind, relation.system) {
        case (.table, nil), (.table, .stored): return identifier(relation.storage)
        case (.table, .empty):
            let columns = relation.columns.map { "NULL AS \(identifier($0.name))" }
            return "(SELECT \(columns.joined(separator: ", ")) WHERE 0)"
        case (.table, .outer):
            let columns = relation.columns.enumerated().map { index, column in
                "value ->> '$[\(index)]' AS \(identifier(column.name))"
            }
            return "(SELECT \(columns.joined(separator: ", ")) FROM json_each(pg_outer_rows('\(relation.name)')))"
        case (.view, _): return try viewSource(relation)
        case (.sequence, _):
            return "(SELECT last_value AS c1, 0 AS c2, is_called AS c3 FROM sdlab_sequence WHERE oid = \(relation.oid))"
        case (.index, _):
            throw fail(
                .wrongObjectType, "cannot open relation \"\(relation.name)\"", at: location,
                detail: "This operation is not supported for indexes.")
        }
    }

    private func viewSource(_ relation: Relation) throws(PostgresError) -> String {
        guard depth < 32 else { throw fail(.statementTooComplex, "views are nested too deeply") }
        let outer = (source, searchPath, dependencies)
        depth += 1
        defer {
            depth -= 1
            (source, searchPath, dependencies) = outer
        }
        let text = relation.definition ?? ""
        source = SourceText(text)
        if relation.schema == Catalogue.catalogueSchema || relation.schema == Catalogue.informationSchema {
            searchPath = []
        }
        guard let node = try ParsedStatement.parse(text).first?.node else { throw unsupported("an empty view") }
        let query = try self.query(node, Scope(parent: nil))
        try resolveUnknown(query)
        return "(\(query.sql))"
    }

    private func commonTable(_ name: String, _ start: Scope) -> (CommonTable, Scope)? {
        var place: Scope? = start
        while let scope = place {
            if let table = scope.commonTables[name] { return (table, scope) }
            place = scope.parent
        }
        return nil
    }

    /// With the names that AS gives.
    func renamed(_ item: RangeItem, _ alias: SyntaxNode?) throws(PostgresError) -> RangeItem {
        guard let alias else { return item }
        var item = item
        item.name = alias.text("aliasname")
        item.schema = nil
        let names = alias.words("colnames")
        guard names.count <= item.columns.count else {
            throw fail(
                .invalidColumnReference,
                "table \"\(item.name)\" has \(item.columns.count) columns available but \(names.count) columns specified"
            )
        }
        for (index, name) in names.enumerated() { item.columns[index].name = name }
        return item
    }

    // MARK: Queries

    private func subselect(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> (String, RangeItem) {
        guard let alias = node["alias"] else {
            throw fail(
                .syntaxError, "subquery in FROM must have an alias", at: node.location,
                hint: "For example, FROM (SELECT ...) [AS] foo.")
        }
        guard let statement = node["subquery"] else { throw unsupported("a subquery without a query") }
        // Its neighbours in FROM cannot be seen from within, unless it is LATERAL.
        if node.flag("lateral") {
            if let simple = try lateralRow(statement, alias, scope) { return simple }
            return try lateralRows(statement, alias, scope, node.location)
        }
        let outer = Scope(parent: scope.parent)
        outer.commonTables = scope.commonTables
        let query = try self.query(statement, outer)
        try resolveUnknown(query)
        let name = freshAlias("a")
        let item = RangeItem(
            name: "", schema: nil, alias: name,
            columns: query.targets.enumerated().map { index, target in
                var expression = Expression("\(name).c\(index + 1)", target.expression.type)
                expression.column = target.expression.column
                expression.isNullable = target.expression.isNullable
                return RangeColumn(name: target.name, expression: expression)
            }, relation: nil)
        tableNames[name] = alias.text("aliasname")
        return ("(\(query.sql)) AS \(name)", try renamed(item, alias))
    }

    /// `LATERAL (SELECT f(a.x)) AS b(y)` is one row, whatever stands before it: its results are put where they are
    /// named.
    private func lateralRow(
        _ statement: SyntaxNode, _ alias: SyntaxNode, _ scope: Scope
    ) throws(PostgresError) -> (String, RangeItem)? {
        let others = [
            "fromClause", "whereClause", "groupClause", "havingClause", "valuesLists", "withClause", "limitCount",
            "limitOffset",
            "larg", "distinctClause",
        ]
        guard !others.contains(where: statement.has) else { return nil }
        let inner = Scope(parent: scope)
        let targets = try self.targets(statement.list("targetList"), inner)
        guard !inner.hasAggregates, inner.rowFunctions.isEmpty else { return nil }
        var columns: [RangeColumn] = []
        for target in targets {
            let value = target.expression
            columns.append(
                RangeColumn(
                    name: target.name, expression: value.isUnknown ? try coerce(value, to: .text, .implicit) : value))
        }
        let name = freshAlias("a")
        let item = RangeItem(name: "", schema: nil, alias: name, columns: columns, relation: nil)
        return ("(SELECT 1) AS \(name)", try renamed(item, alias))
    }

    /// Any other LATERAL: SQLite has none, but `json_each` may name what stands before it. So the rows are made into
    /// one document for each row before them, and taken out of it again.
    private func lateralRows(
        _ statement: SyntaxNode, _ alias: SyntaxNode, _ scope: Scope, _ location: Int?
    ) throws(PostgresError) -> (String, RangeItem) {
        let inner = Scope(parent: scope)
        inner.commonTables = scope.commonTables
        let query = try self.query(statement, inner)
        try resolveUnknown(query)
        let name = freshAlias("a")
        var packed: [String] = []
        var columns: [RangeColumn] = []
        for (index, target) in query.targets.enumerated() {
            var value = "\(name).value ->> '$[\(index)]'"
            switch target.expression.oid {
            // JSON would round it.
            case .float4, .float8:
                packed.append("iif(typeof(c\(index + 1)) = 'real', printf('%!.17g', c\(index + 1)), c\(index + 1))")
                value =
                    "CASE \(value) WHEN 'NaN' THEN 'NaN' WHEN 'Inf' THEN 9e999 WHEN '-Inf' THEN -9e999 "
                    + "ELSE CAST(\(value) AS REAL) END"
            case .bytea: throw unsupported("bytea out of LATERAL", at: location)
            default: packed.append("c\(index + 1)")
            }
            var expression = Expression("(\(value))", target.expression.type)
            expression.isNullable = true
            columns.append(RangeColumn(name: target.name, expression: expression))
        }
        let item = RangeItem(name: "", schema: nil, alias: name, columns: columns, relation: nil)
        let document =
            "SELECT json_group_array(json_array(\(packed.joined(separator: ", ")))) FROM (\(query.sql))"
        return ("json_each((\(document))) AS \(name)", try renamed(item, alias))
    }

    // MARK: Joins

    private func join(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> FromPart {
        guard let leftNode = node["larg"], let rightNode = node["rarg"] else { throw unsupported("a join of nothing") }
        let start = scope.items.count
        let left = try fromPart(leftNode, scope)
        let right = try fromPart(rightNode, scope)
        let kind = node.text("jointype")
        var using = node.words("usingClause")
        if node.flag("isNatural") {
            using = left.columns.map(\.name).filter { name in right.columns.contains { $0.name == name } }
        }
        var merged = left.columns + right.columns
        var condition: String?
        if !using.isEmpty {
            (condition, merged) = try merge(using, left, right, kind: kind)
        } else if let quals = node["quals"] {
            let inner = Scope(parent: scope.parent)
            inner.commonTables = scope.commonTables
            inner.items = Array(scope.items[start...])
            inner.columns = merged
            inner.aggregateFreeClause = "JOIN conditions"
            condition = try self.condition(quals, inner, "JOIN/ON")
        }
        if kind != "JOIN_INNER" { merged = merged.map(Self.nullable) }
        let word =
            switch kind {
            case "JOIN_LEFT": "LEFT JOIN"
            case "JOIN_RIGHT": "RIGHT JOIN"
            case "JOIN_FULL": "FULL JOIN"
            default: condition == nil ? "CROSS JOIN" : "JOIN"
            }
        // A CROSS JOIN would fix SQLite's order of the tables.
        var sql = "\(left.sql) \(word == "CROSS JOIN" ? "JOIN" : word) \(grouped(right.sql, rightNode))"
        if let condition { sql += " ON \(condition)" } else if word != "CROSS JOIN" { sql += " ON 1" }
        var part = FromPart(sql: sql, items: left.items + right.items, columns: merged)
        if kind != "JOIN_INNER" {
            for index in start..<scope.items.count {
                scope.items[index].columns = scope.items[index].columns.map(Self.nullable)
            }
        }
        if let alias = node["alias"] { part = try aliased(part, alias, scope, from: start) }
        return part
    }

    private func grouped(_ sql: String, _ node: SyntaxNode) -> String { node.kind == "JoinExpr" ? "(\(sql))" : sql }

    private static func nullable(_ column: RangeColumn) -> RangeColumn {
        var column = column
        column.expression.isNullable = true
        return column
    }

    private func merge(
        _ names: [String], _ left: FromPart, _ right: FromPart, kind: String
    ) throws(PostgresError) -> (String, [RangeColumn]) {
        var conditions: [String] = []
        var merged: [RangeColumn] = []
        for name in names {
            guard let a = left.columns.first(where: { $0.name == name }) else {
                throw fail(
                    .undefinedColumn, "column \"\(name)\" specified in USING clause does not exist in left table")
            }
            guard let b = right.columns.first(where: { $0.name == name }) else {
                throw fail(
                    .undefinedColumn, "column \"\(name)\" specified in USING clause does not exist in right table")
            }
            conditions.append(try comparison("=", a.expression, b.expression, at: nil).sql)
            let type = try commonType([a.expression, b.expression], "JOIN/USING")
            var value = try coerce(kind == "JOIN_RIGHT" ? b.expression : a.expression, to: type, .implicit)
            if kind == "JOIN_FULL" {
                let other = try coerce(b.expression, to: type, .implicit)
                value.sql = "coalesce(\(value.sql), \(other.sql))"
                value.column = nil
            }
            merged.append(RangeColumn(name: name, expression: value))
        }
        let rest = (left.columns + right.columns).filter { !names.contains($0.name) }
        return (conditions.joined(separator: " AND "), merged + rest)
    }

    /// `(a JOIN b) AS j`: the names within are hidden behind it.
    private func aliased(
        _ part: FromPart, _ alias: SyntaxNode, _ scope: Scope, from start: Int
    ) throws(PostgresError) -> FromPart {
        let item = try renamed(
            RangeItem(name: "", schema: nil, alias: "", columns: part.columns, relation: nil), alias)
        scope.items.removeSubrange(start...)
        scope.items.append(item)
        return FromPart(sql: part.sql, items: [item], columns: item.columns)
    }
}
