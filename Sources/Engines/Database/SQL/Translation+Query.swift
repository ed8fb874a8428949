import KernelWire

extension Translation {
    /// A SELECT, VALUES or UNION; what its names may refer to around it is in the scope's parents and its WITH.
    func query(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Query {
        guard node.kind == "SelectStmt" || node.kind.isEmpty else { throw unsupported(node.kind) }
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { throw StatementNesting.tooDeep }
        let with = try self.with(node["withClause"], scope)
        let query: Query
        if node.text("op") != "SETOP_NONE", node.has("larg") {
            query = try compound(node, scope)
        } else if node.has("valuesLists") {
            query = try values(node, scope)
            try order(query, node, scope)
        } else {
            query = try select(node, scope)
        }
        query.with = with
        query.limit = try limit(node, scope)
        for clause in node.list("lockingClause") where clause.has("strength") { lock(clause) }
        if node.has("intoClause") { throw unsupported("SELECT INTO", at: node.location) }
        return query
    }

    /// FOR UPDATE and its like.
    private func lock(_ clause: SyntaxNode) {
        readsOnly = false
        switch clause.text("waitPolicy") {
        case "LockWaitError": lockWait = .refused("could not obtain lock on rows: another transaction writes")
        case "LockWaitSkip": lockWait = lockWait ?? .skipped
        default: break
        }
    }

    // MARK: WITH

    func with(_ clause: SyntaxNode?, _ scope: Scope) throws(PostgresError) -> String {
        guard let clause else { return "" }
        var parts: [String] = []
        for table in clause.list("ctes") {
            let name = table.text("ctename")
            guard let statement = table["ctequery"], statement.kind == "SelectStmt" else {
                throw unsupported("INSERT, UPDATE or DELETE within WITH", at: table.location)
            }
            let alias = freshAlias("w")
            tableNames[alias] = name
            let names = table.words("aliascolnames")
            let query =
                clause.flag("recursive")
                ? try recursive(statement, name: name, alias: alias, names: names, scope)
                : try self.query(statement, Scope(parent: scope))
            try resolveUnknown(query)
            let columns = try commonColumns(query, names, name)
            scope.commonTables[name] = CommonTable(alias: alias, columns: columns)
            let hint =
                switch table.text("ctematerialized") {
                case "CTEMaterializeAlways": " MATERIALIZED"
                case "CTEMaterializeNever": " NOT MATERIALIZED"
                default: ""
                }
            let list = columns.indices.map { "c\($0 + 1)" }.joined(separator: ", ")
            parts.append("\(alias)(\(list)) AS\(hint) (\(query.sql))")
        }
        return "WITH " + (clause.flag("recursive") ? "RECURSIVE " : "") + parts.joined(separator: ", ") + " "
    }

    private func commonColumns(
        _ query: Query, _ names: [String], _ table: String
    ) throws(PostgresError) -> [(name: String, type: DataType)] {
        guard names.count <= query.targets.count else {
            throw fail(
                .invalidColumnReference,
                "WITH query \"\(table)\" has \(query.targets.count) columns available but \(names.count) columns specified"
            )
        }
        return query.targets.enumerated().map { index, target in
            (index < names.count ? names[index] : target.name, target.expression.type)
        }
    }

    /// The first branch says what columns there are; the second one can name them.
    private func recursive(
        _ node: SyntaxNode, name: String, alias: String, names: [String], _ scope: Scope
    ) throws(PostgresError) -> Query {
        guard node.text("op") == "SETOP_UNION", let left = node["larg"], let right = node["rarg"] else {
            return try query(node, Scope(parent: scope))
        }
        let first = try query(left, Scope(parent: scope))
        try resolveUnknown(first)
        let inner = Scope(parent: scope)
        inner.commonTables[name] = CommonTable(alias: alias, columns: try commonColumns(first, names, name))
        let second = try query(right, inner)
        let result = try combined(first, second, node.flag("all") ? "UNION ALL" : "UNION", node)
        guard result.targets.map(\.expression.oid) == first.targets.map(\.expression.oid) else {
            throw fail(
                .datatypeMismatch,
                "recursive query \"\(name)\" has another type in its non-recursive term than overall",
                hint: "Cast the output of the non-recursive term to the correct type.")
        }
        return result
    }

    // MARK: UNION and its like

    private func compound(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Query {
        // `a UNION b UNION c …` is a tree as deep as it is long.
        var parts = [node]
        while let left = parts[parts.count - 1]["larg"], isPlainCompound(left) { parts.append(left) }
        guard let first = parts[parts.count - 1]["larg"] else { throw unsupported("half a UNION") }
        var result = try query(first, Scope(parent: scope))
        for part in parts.reversed() {
            guard let rightNode = part["rarg"] else { throw unsupported("half a UNION") }
            let right = try query(rightNode, Scope(parent: scope))
            result = try combined(result, right, try setOperation(part), part)
        }
        try order(result, node, scope)
        return result
    }

    private func isPlainCompound(_ node: SyntaxNode) -> Bool {
        node.text("op") != "SETOP_NONE" && node.has("larg")
            && !["withClause", "sortClause", "limitCount", "limitOffset", "lockingClause"].contains(where: node.has)
    }

    private func setOperation(_ node: SyntaxNode) throws(PostgresError) -> String {
        switch (node.text("op"), node.flag("all")) {
        case ("SETOP_UNION", let isAll): return isAll ? "UNION ALL" : "UNION"
        case ("SETOP_INTERSECT", false): return "INTERSECT"
        case ("SETOP_EXCEPT", false): return "EXCEPT"
        default: throw unsupported("INTERSECT ALL and EXCEPT ALL")
        }
    }

    private func combined(
        _ left: Query, _ right: Query, _ word: String, _ node: SyntaxNode
    ) throws(PostgresError) -> Query {
        let name = word.split(separator: " ")[0]
        guard left.targets.count == right.targets.count else {
            throw fail(
                .syntaxError, "each \(name) query must have the same number of columns",
                at: right.targets.first?.expression.location)
        }
        var targets: [Query.Target] = []
        for index in left.targets.indices {
            let type = try commonType([left.targets[index].expression, right.targets[index].expression], String(name))
            try convert(left, index, to: type, .implicit)
            try convert(right, index, to: type, .implicit)
            if type.oid.collation != nil, word != "UNION ALL" {
                left.targets[index].expression.sql = left.targets[index].expression.ordered
            }
            var target = left.targets[index]
            target.expression.column = nil
            target.expression.type = type
            target.expression.isNullable = true
            targets.append(target)
        }
        return Query(targets, .compound(operation: word, left: left, right: right))
    }

    /// Converts one column of a query's result, in all branches.
    func convert(_ query: Query, _ index: Int, to type: DataType, _ kind: CastContext) throws(PostgresError) {
        switch query.body {
        case .select:
            query.targets[index].expression = try coerce(query.targets[index].expression, to: type, kind)
        case .values(var rows):
            for row in rows.indices { rows[row][index] = try coerce(rows[row][index], to: type, kind) }
            query.body = .values(rows)
            query.targets[index].expression.type = type
            query.targets[index].expression.open = nil
        case .compound(_, let left, let right):
            try convert(left, index, to: type, kind)
            try convert(right, index, to: type, kind)
            query.targets[index].expression.type = type
            query.targets[index].expression.open = nil
        }
    }

    /// What nobody has said a type of is text.
    func resolveUnknown(_ query: Query) throws(PostgresError) {
        for index in query.targets.indices where query.targets[index].expression.isUnknown {
            try convert(query, index, to: .text, .implicit)
        }
    }

    private func values(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Query {
        var rows: [[Expression]] = []
        for list in node.list("valuesLists") {
            var row: [Expression] = []
            for value in list.list("items") { row.append(try expression(value, scope)) }
            guard row.count == rows.first?.count ?? row.count else {
                throw fail(.syntaxError, "VALUES lists must all be the same length", at: row.first?.location)
            }
            rows.append(row)
        }
        let query = Query([], .values(rows))
        for index in (rows.first ?? []).indices {
            let type = try commonType(rows.map { $0[index] }, "VALUES")
            // What has no type yet may get one from whoever uses the values.
            var expression = Expression("column\(index + 1)", type)
            if type.oid != .unknown {
                for row in rows.indices { rows[row][index] = try coerce(rows[row][index], to: type, .implicit) }
            } else {
                expression.open = rows.count == 1 ? rows[0][index].open : .null
            }
            query.targets.append(Query.Target(expression: expression, name: "column\(index + 1)"))
        }
        query.body = .values(rows)
        query.isSingleRow = rows.count == 1
        return query
    }

    // MARK: LIMIT

    private func limit(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> String {
        guard node.text("limitOption") != "LIMIT_OPTION_WITH_TIES" else { throw unsupported("WITH TIES") }
        var text = ""
        if let count = node["limitCount"], !count.flag("isnull") {
            text = " LIMIT " + (try limitValue(count, "LIMIT", scope))
        }
        if let offset = node["limitOffset"] {
            text += (text.isEmpty ? " LIMIT -1" : "") + " OFFSET " + (try limitValue(offset, "OFFSET", scope))
        }
        return text
    }

    private func limitValue(_ node: SyntaxNode, _ name: String, _ scope: Scope) throws(PostgresError) -> String {
        let inner = Scope(parent: scope.parent)
        inner.aggregateFreeClause = name
        let value = try coerce(try expression(node, inner), to: .int8, .implicit)
        if node.kind == "A_Const", let number = node["ival"]?.integer("ival"), number >= 0 { return value.sql }
        return "pg_limit(\(value.sql), '\(name)')"
    }
}
