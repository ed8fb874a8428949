import KernelWire

/// One key of ORDER BY.
struct OrderItem {
    var expression: Expression
    /// The number of the result that it is, from 1.
    var target: Int?
    /// ` DESC NULLS FIRST`
    var suffix: String
}

extension Translation {
    /// ORDER BY of a UNION or VALUES: only results can be named.
    func order(_ query: Query, _ node: SyntaxNode, _ scope: Scope) throws(PostgresError) {
        try resolveUnknown(query)
        let inner = Scope(parent: scope)
        var items: [OrderItem] = []
        for sort in node.list("sortClause") {
            let item = try orderItem(sort, query, inner)
            guard item.target != nil else {
                throw fail(
                    .featureNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                    at: item.expression.location,
                    detail: "Only result column names can be used, not expressions or functions.")
            }
            items.append(item)
        }
        try finishOrder(items, query, isDistinct: false)
    }

    func orderItems(_ nodes: [SyntaxNode], _ query: Query, _ scope: Scope) throws(PostgresError) -> [OrderItem] {
        var items: [OrderItem] = []
        for node in nodes { items.append(try orderItem(node, query, scope)) }
        return items
    }

    private func orderItem(_ sort: SyntaxNode, _ query: Query, _ scope: Scope) throws(PostgresError) -> OrderItem {
        guard let node = sort["node"] else { throw unsupported("an empty ORDER BY") }
        if node.kind == "A_Const" {
            guard let number = node["ival"] else {
                throw fail(.syntaxError, "non-integer constant in ORDER BY", at: node.location)
            }
            let place = number.integer("ival")
            guard query.targets.indices.contains(place - 1) else {
                throw fail(
                    .invalidColumnReference, "ORDER BY position \(place) is not in select list", at: node.location)
            }
            return try item(place, query, sort)
        }
        if node.kind == "ColumnRef", node.list("fields").count == 1 {
            let name = node.list("fields")[0].string
            let matches = query.targets.indices.filter { query.targets[$0].name == name }
            if let first = matches.first {
                guard matches.allSatisfy({ query.targets[$0].expression.sql == query.targets[first].expression.sql })
                else {
                    throw fail(.ambiguousColumn, "ORDER BY \"\(name)\" is ambiguous", at: node.location)
                }
                return try item(first + 1, query, sort)
            }
        }
        let value = try expression(node, scope)
        if let same = query.targets.firstIndex(where: {
            $0.expression.sql == value.sql && $0.expression.oid == value.oid && !value.isUnknown
        }) {
            return try item(same + 1, query, sort)
        }
        let resolved = value.isUnknown ? try coerce(value, to: .text, .implicit) : value
        return OrderItem(expression: resolved, target: nil, suffix: try suffix(sort, isNullable: value.isNullable))
    }

    private func item(_ place: Int, _ query: Query, _ sort: SyntaxNode) throws(PostgresError) -> OrderItem {
        if query.targets[place - 1].expression.isUnknown { try convert(query, place - 1, to: .text, .implicit) }
        let expression = query.targets[place - 1].expression
        guard expression.oid != .json else {
            throw fail(.undefinedFunction, "could not identify an ordering operator for type json", at: sort.location)
        }
        return OrderItem(
            expression: expression, target: place, suffix: try suffix(sort, isNullable: expression.isNullable))
    }

    /// Nulls count as greater than everything, where SQLite takes them for smaller.
    func suffix(_ sort: SyntaxNode, isNullable: Bool) throws(PostgresError) -> String {
        var isDescending = sort.text("sortby_dir") == "SORTBY_DESC"
        if sort.text("sortby_dir") == "SORTBY_USING" {
            switch sort.words("useOp").last {
            case ">": isDescending = true
            case "<": isDescending = false
            default: throw unsupported("ORDER BY USING with this operator", at: sort.location)
            }
        }
        let isFirst =
            switch sort.text("sortby_nulls") {
            case "SORTBY_NULLS_FIRST": true
            case "SORTBY_NULLS_LAST": false
            default: isDescending
            }
        let direction = isDescending ? " DESC" : ""
        if !isNullable { return direction }
        return direction + (isFirst ? " NULLS FIRST" : " NULLS LAST")
    }

    func finishOrder(_ items: [OrderItem], _ query: Query, isDistinct: Bool) throws(PostgresError) {
        guard !items.isEmpty else { return }
        var keys: [String] = []
        for item in items {
            if let place = item.target {
                keys.append(Expression.ordered("\(place)", item.expression.type) + item.suffix)
            } else {
                guard !isDistinct else {
                    throw fail(
                        .invalidColumnReference,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                        at: item.expression.location)
                }
                keys.append(item.expression.ordered + item.suffix)
            }
        }
        query.orderBy = " ORDER BY " + keys.joined(separator: ", ")
    }

    // MARK: DISTINCT ON

    func distinctOn(
        _ nodes: [SyntaxNode], _ order: [OrderItem], _ parts: inout SelectParts, _ query: Query, _ scope: Scope
    ) throws(PostgresError) {
        var keys: [Expression] = []
        for node in nodes {
            if node.kind == "A_Const", let number = node["ival"]?.integer("ival"),
                query.targets.indices.contains(number - 1)
            {
                keys.append(query.targets[number - 1].expression)
            } else {
                keys.append(try expression(node, scope))
            }
        }
        for (index, item) in order.prefix(keys.count).enumerated()
        where !keys.contains(where: { $0.sql == item.expression.sql }) {
            _ = index
            throw fail(
                .invalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                at: keys.first?.location)
        }
        parts.distinctOn = (keys.map(\.ordered), order.map { ($0.expression.ordered, $0.suffix) })
    }
}
