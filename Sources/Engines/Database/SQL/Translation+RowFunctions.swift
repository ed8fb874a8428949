import KernelWire

/// Functions that return rows. SQLite has one that can be given anything, `json_each`; ours make the JSON for it. So
/// they can name what stands before them in FROM.
extension Translation {
    /// In FROM.
    func rangeFunction(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> (String, RangeItem) {
        guard node.list("functions").count == 1, let list = node.list("functions").first?.list("items"),
            let function = list.first
        else { throw unsupported("ROWS FROM", at: node.location) }
        let alias = freshAlias("f")
        let inner = Scope(parent: scope)
        inner.aggregateFreeClause = "functions in FROM"
        let name = function.words("funcname").last ?? function.kind
        tableNames[alias] = name
        var source: String
        var columns: [RangeColumn]
        if function.kind == "FuncCall", FunctionTable.all[name]?.first?.kind == .rows {
            let call = try rowCall(function, name, alias, inner)
            (source, columns) = (call.source, call.columns)
        } else {
            let value = try expression(function, inner)
            source = "(SELECT \(value.sql) AS value) AS \(alias)"
            columns = [RangeColumn(name: name, expression: Expression("\(alias).value", value.type))]
        }
        if node.flag("ordinality") {
            columns.append(RangeColumn(name: "ordinality", expression: Expression("(\(alias).key + 1)", .int8)))
        }
        var item = RangeItem(name: name, schema: nil, alias: alias, columns: columns, relation: nil)
        if let given = node["alias"] {
            // A function's one column is called as the function is.
            if columns.count == 1 || node.flag("ordinality"), given.words("colnames").isEmpty {
                item.columns[0].name = given.text("aliasname")
            }
            item = try renamed(item, given)
        }
        return (source, item)
    }

    /// In a list of results: joined to FROM.
    func rowFunction(_ node: SyntaxNode, _ name: String, _ scope: Scope) throws(PostgresError) -> Expression {
        guard scope.aggregateFreeClause == nil, scope.aggregateDepth == 0 else {
            throw fail(
                .featureNotSupported,
                "set-returning functions are not allowed in \(scope.aggregateFreeClause ?? "aggregates")",
                at: node.location)
        }
        let alias = freshAlias("f")
        let call = try rowCall(node, name, alias, scope)
        guard call.columns.count == 1 else { throw unsupported("\(name) outside of FROM", at: node.location) }
        scope.rowFunctions.append((call.source, alias))
        var result = call.columns[0].expression
        result.name = name
        result.location = node.location
        return result
    }

    private func rowCall(
        _ node: SyntaxNode, _ name: String, _ alias: String, _ scope: Scope
    ) throws(PostgresError) -> (source: String, columns: [RangeColumn]) {
        let arguments = try expressions(node.list("args"), scope)
        let result = try call(name, arguments, at: node.location)
        let values = arguments.map(\.sql)
        if result.oid == .record {
            let isText = name.hasSuffix("_text")
            let type: PostgresOID = isText ? .text : name.hasPrefix("jsonb") ? .jsonb : .json
            let document = try coerce(arguments[0], to: DataType(name.hasPrefix("jsonb") ? .jsonb : .json), .implicit)
                .sql
            return (
                "json_each(pg_json_members(\(document), \(isText ? 1 : 0))) AS \(alias)",
                [
                    RangeColumn(name: "key", expression: Expression("\(alias).key", .text)),
                    RangeColumn(name: "value", expression: Expression("\(alias).value", type)),
                ]
            )
        }
        let column = RangeColumn(
            name: name.contains("array_elements") ? "value" : name,
            expression: Expression("\(alias).value", result.type))
        if name == "generate_series", result.oid.isInteger, values.allSatisfy(isConstant) {
            return (series(alias, values), [column])
        }
        if name == "generate_series", result.oid == .numeric {
            guard node.list("args").allSatisfy({ ["A_Const", "ParamRef", "TypeCast"].contains($0.kind) }) else {
                throw unsupported("generate_series of numeric values that are not constants", at: node.location)
            }
            return (
                numericSeries(
                    alias,
                    try arguments.map { value throws(PostgresError) in
                        try coerce(value, to: DataType(.numeric), .implicit).sql
                    }), [column]
            )
        }
        switch name {
        case "unnest":
            let element = result.oid
            let array = try coerce(arguments[0], to: DataType(element.array ?? .textArray), .implicit).sql
            return ("json_each(pg_array_json(\(array), \(element.rawValue))) AS \(alias)", [column])
        case "generate_series":
            let kind = result.oid.isInteger ? "pg_series(" : "pg_time_series(\(result.oid.rawValue), "
            return ("json_each(\(result.sql.replacing("pg_generate_series(", with: kind))) AS \(alias)", [column])
        default: return ("json_each(\(result.sql)) AS \(alias)", [column])
        }
    }

    private func numericSeries(_ alias: String, _ values: [String]) -> String {
        let step = values.count > 2 ? values[2] : "'1'"
        let table = freshAlias("g")
        let next = "pg_numeric_add(value, \(step))"
        return
            "(WITH RECURSIVE \(table)(value, key) AS (SELECT \(values[0]), 0 "
            + "WHERE pg_numeric_series_goes(\(values[0]), \(values[1]), \(step)) UNION ALL SELECT \(next), key + 1 "
            + "FROM \(table) WHERE pg_numeric_series_goes(\(next), \(values[1]), \(step))) "
            + "SELECT value, key FROM \(table)) AS \(alias)"
    }

    private func isConstant(_ sql: String) -> Bool {
        sql.utf8.first == ConstantPool.mark || sql.first == "?" || Int(sql) != nil
    }

    /// A long series is not put together before it is used.
    private func series(_ alias: String, _ values: [String]) -> String {
        let step = values.count > 2 ? values[2] : "1"
        let table = freshAlias("g")
        return
            "(WITH RECURSIVE \(table)(value, key) AS (SELECT \(values[0]), 0 WHERE pg_series_goes(\(values[0]), \(values[1]), \(step)) "
            + "UNION ALL SELECT value + \(step), key + 1 FROM \(table) "
            + "WHERE pg_series_goes_on(value, \(values[1]), \(step))) SELECT value, key FROM \(table)) AS \(alias)"
    }
}

extension SQLState {
    static let windowingError: SQLState = "42P20"
}
