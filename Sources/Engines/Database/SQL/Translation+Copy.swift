import KernelWire

extension Translation {
    func copy(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        guard !node.has("filename"), !node.flag("is_program") else {
            throw fail(
                .insufficientPrivilege, "COPY from or to a file or a program of the server is not supported",
                hint: "COPY FROM STDIN and TO STDOUT, as psql's \\copy uses them, are.")
        }
        var format = CopyFormat()
        if let query = node["query"] {
            guard query.kind == "SelectStmt" else { throw unsupported("COPY of INSERT, UPDATE or DELETE") }
            let found = try self.query(query, Scope(parent: nil))
            try resolveUnknown(found)
            let columns = found.targets.map(Self.description)
            try options(node.list("options"), columns.map(\.name), &format)
            return copyOut(sql: found.sql, columns, table: "", format)
        }
        guard let name = node["relation"] else { throw unsupported("COPY of nothing") }
        if node.flag("is_from") { return try copyIn(node, name, &format) }
        let table = try relation(name)
        guard table.kind != .view else {
            throw fail(
                .wrongObjectType, "cannot copy from view \"\(table.name)\"",
                hint: "Try the COPY (SELECT ...) TO variant.")
        }
        let columns = try copyColumns(node, table)
        try options(node.list("options"), columns.map(\.name), &format)
        let names = columns.enumerated().map { "\(identifier($1.storage)) AS c\($0 + 1)" }
        let descriptions = columns.map {
            ColumnDescription(
                $0.name, $0.type.oid, typeModifier: $0.type.modifier, table: PostgresOID(rawValue: table.oid),
                attribute: $0.number)
        }
        return copyOut(
            sql: "SELECT \(names.joined(separator: ", ")) FROM \(identifier(table.storage))", descriptions,
            table: table.name, format)
    }

    private func copyOut(sql: String, _ columns: [ColumnDescription], table: String, _ format: CopyFormat) -> Plan {
        let copy = CopyPlan(direction: .toClient, format: format, table: table, columnNames: columns.map(\.name))
        return Plan(.copy(copy), tag: .counted("COPY"), sql: sql, columns: columns)
    }

    private func copyColumns(_ node: SyntaxNode, _ table: Relation) throws(PostgresError) -> [Relation.Column] {
        let names = node.words("attlist")
        guard !names.isEmpty else { return table.columns.filter { !$0.isGenerated } }
        var result: [Relation.Column] = []
        for name in names {
            guard let column = table.column(name) else {
                throw fail(.undefinedColumn, "column \"\(name)\" of relation \"\(table.name)\" does not exist")
            }
            guard !result.contains(where: { $0.number == column.number }) else {
                throw fail(.duplicateColumn, "column \"\(name)\" specified more than once")
            }
            result.append(column)
        }
        return result
    }

    /// One INSERT with a parameter for each column of the stream.
    private func copyIn(
        _ node: SyntaxNode, _ name: SyntaxNode, _ format: inout CopyFormat
    ) throws(PostgresError) -> Plan {
        let table = try self.table(name, to: "copy to")
        let columns = try copyColumns(node, table)
        try options(node.list("options"), columns.map(\.name), &format)
        parameterTypes = columns.map(\.type.oid)
        var values: [String] = []
        for column in table.stored {
            guard let place = columns.firstIndex(where: { $0.number == column.number }) else {
                values.append(try defaultValue(column, table).sql)
                continue
            }
            values.append(try assigned(Expression("?\(place + 1)", column.type.oid), column, table).sql)
        }
        var sql =
            "INSERT INTO \(identifier(table.storage)) (\(table.stored.map { identifier($0.storage) }.joined(separator: ", "))) "
        if let clause = node["whereClause"] {
            let scope = Scope(parent: nil)
            let alias = freshAlias("a")
            var item = rangeItem(table, alias: alias)
            item.name = table.name
            scope.items = [item]
            scope.columns = item.columns
            let named = zip(values, table.stored).map { "\($0) AS \(identifier($1.storage))" }
            let test = try condition(clause, scope, "WHERE")
            sql += "SELECT * FROM (SELECT \(named.joined(separator: ", "))) AS \(alias) WHERE \(test)"
        } else {
            sql += "VALUES (\(values.joined(separator: ", ")))"
        }
        let copy = CopyPlan(
            direction: .fromClient, format: format, table: table.name, columnNames: columns.map(\.name))
        return Plan(.copy(copy), tag: .counted("COPY"), sql: sql, parameterTypes: parameterTypes, readsOnly: false)
    }

    // MARK: Options

    private func options(
        _ nodes: [SyntaxNode], _ columns: [String], _ format: inout CopyFormat
    ) throws(PostgresError) {
        var (delimiter, null): (String?, String?)
        for option in nodes {
            let text = option["arg"]?.string ?? ""
            switch option.text("defname") {
            case "format":
                switch text {
                case "text": format.kind = .text
                case "csv": format.kind = .csv
                case "binary": format.kind = .binary
                default:
                    throw fail(.invalidParameterValue, "COPY format \"\(text)\" not recognized", at: option.location)
                }
            case "delimiter": delimiter = text
            case "null": null = text
            case "header": format.header = text.lowercased() == "match" ? .matching : isOn(option) ? .present : .none
            case "quote": format.quote = try byte(option, "quote")
            case "escape": format.escape = try byte(option, "escape")
            case "force_quote": format.forceQuote = option["arg"]?.kind == "A_Star" ? nil : try numbers(option, columns)
            case "force_not_null": format.forceNotNull = try numbers(option, columns)
            case "force_null": format.forceNull = try numbers(option, columns)
            case "freeze", "encoding": break
            default:
                throw fail(.syntaxError, "option \"\(option.text("defname"))\" not recognized", at: option.location)
            }
        }
        if format.kind == .csv {
            (format.delimiter, format.null) = (UInt8(ascii: ","), "")
            if !nodes.contains(where: { $0.text("defname") == "escape" }) { format.escape = format.quote }
        }
        if let delimiter {
            guard delimiter.utf8.count == 1, let byte = delimiter.utf8.first, byte != 10, byte != 13 else {
                throw fail(.featureNotSupported, "COPY delimiter must be a single one-byte character")
            }
            format.delimiter = byte
        }
        if let null { format.null = null }
    }

    private func byte(_ option: SyntaxNode, _ name: String) throws(PostgresError) -> UInt8 {
        guard let text = option["arg"]?.string, text.utf8.count == 1, let byte = text.utf8.first else {
            throw fail(.featureNotSupported, "COPY \(name) must be a single one-byte character")
        }
        return byte
    }

    private func numbers(_ option: SyntaxNode, _ columns: [String]) throws(PostgresError) -> [Int] {
        var result: [Int] = []
        for name in option["arg"]?.words("items") ?? [] {
            guard let index = columns.firstIndex(of: name) else {
                throw fail(
                    .invalidColumnReference,
                    "\(option.text("defname").uppercased()) column \"\(name)\" not referenced by COPY")
            }
            result.append(index)
        }
        return result
    }
}
