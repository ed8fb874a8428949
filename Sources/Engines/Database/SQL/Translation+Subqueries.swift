import KernelWire

extension Translation {
    /// A query within an expression.
    func sublink(_ node: SyntaxNode, _ scope: Scope) throws(PostgresError) -> Expression {
        guard allowsSubqueries else {
            throw fail(.featureNotSupported, "cannot use subquery in this context", at: node.location)
        }
        guard let statement = node["subselect"] else { throw unsupported("a subquery without a query") }
        let query = try self.query(statement, Scope(parent: scope))
        switch node.text("subLinkType") {
        case "EXISTS_SUBLINK":
            var result = Expression("EXISTS (\(query.sql))", .bool)
            result.name = "exists"
            result.isNameWeak = false
            result.isNullable = false
            return result
        case "EXPR_SUBLINK": return try scalar(query, node.location)
        case "ARRAY_SUBLINK":
            try resolveUnknown(query)
            try expectOneColumn(query, node.location)
            let type = query.targets[0].expression.oid
            guard let array = type.array else { throw unsupported("an array of \(type.typeName)", at: node.location) }
            var result = Expression(
                "coalesce((SELECT pg_array_query(\(type.rawValue), c1) FROM (\(query.sql))), '{}')", array)
            result.name = "array"
            result.isNameWeak = false
            return result
        case "ANY_SUBLINK", "ALL_SUBLINK": return try quantified(node, query, scope)
        default: throw unsupported("this kind of subquery", at: node.location)
        }
    }

    private func expectOneColumn(_ query: Query, _ location: Int?) throws(PostgresError) {
        guard query.targets.count == 1 else {
            throw fail(
                .syntaxError,
                query.targets.isEmpty ? "subquery must return a column" : "subquery must return only one column",
                at: location)
        }
    }

    private func scalar(_ query: Query, _ location: Int?) throws(PostgresError) -> Expression {
        try expectOneColumn(query, location)
        try resolveUnknown(query)
        // SQLite would take the first row of several.
        let sql =
            query.isSingleRow || query.limit == " LIMIT 1" ? query.sql : "SELECT pg_single(c1) FROM (\(query.sql))"
        var result = Expression("(\(sql))", query.targets[0].expression.type)
        result.name = query.targets[0].name
        result.isNameWeak = false
        return result
    }

    /// `x IN (SELECT …)`, `x < ALL (SELECT …)`
    private func quantified(_ node: SyntaxNode, _ query: Query, _ scope: Scope) throws(PostgresError) -> Expression {
        guard let test = node["testexpr"] else { throw unsupported("ANY without a value") }
        let value = try expression(test, scope)
        let isAll = node.text("subLinkType") == "ALL_SUBLINK"
        let name = node.words("operName").last ?? "="
        let fields = value.fields.isEmpty ? [value] : value.fields
        guard fields.count == query.targets.count else {
            throw fail(
                .syntaxError, "subquery has too \(fields.count < query.targets.count ? "many" : "few") columns",
                at: node.location)
        }
        if name == "=", !isAll {
            var left: [String] = []
            for (index, field) in fields.enumerated() {
                let type = try comparedType("=", field, query.targets[index].expression, at: node.location)
                left.append(try coerce(field, to: type, .implicit).ordered)
                try convert(query, index, to: type, .implicit)
            }
            let shown = left.count == 1 ? left[0] : "(" + left.joined(separator: ", ") + ")"
            return Expression("(\(shown) IN (\(query.sql)))", .bool)
        }
        guard fields.count == 1 else {
            throw unsupported("a row before \(name) \(isAll ? "ALL" : "ANY")", at: node.location)
        }
        try resolveUnknown(query)
        let alias = freshAlias("q")
        let element = Expression("\(alias).c1", query.targets[0].expression.type)
        let test2 = try operate(name, value, element, at: node.location).sql
        return any(test2, "(\(query.sql)) AS \(alias)", isAll: isAll)
    }

    /// Whether a test holds for any, or for all, of some rows: with NULL where it is not known of one that matters.
    func any(_ test: String, _ source: String, isAll: Bool) -> Expression {
        isAll
            ? Expression(
                "(SELECT CASE WHEN min(\(test)) = 0 THEN 0 WHEN count(*) = count(\(test)) THEN 1 END "
                    + "FROM \(source))", .bool)
            : Expression(
                "(SELECT CASE WHEN max(\(test)) = 1 THEN 1 WHEN count(*) = count(\(test)) THEN 0 END "
                    + "FROM \(source))", .bool)
    }
}
