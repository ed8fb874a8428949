import KernelSQLite
import KernelWire

/// An index before it has a number.
struct NewIndex {
    struct Key {
        /// 0 for an expression.
        var number: Int16
        var expression: SyntaxNode?
        var isDescending: Bool
        var isNullsFirst: Bool
        /// What an expression is called in the list of the index's columns.
        var label = "expr"
    }

    var name: String
    var isUnique: Bool
    var isPrimary = false
    var keys: [Key]
    var condition: SyntaxNode?
    var method = "btree"
}

extension DefinitionRun {
    func createIndex(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["relation"], let table = try table(name) else { return }
        guard table.kind == .table else {
            throw fail(.wrongObjectType, "cannot create index on relation \"\(table.name)\"")
        }
        let method = node.text("accessMethod")
        guard ["btree", "hash"].contains(method) else { throw unsupported("an index of the kind \(method)") }
        if !node.list("indexIncludingParams").isEmpty { throw unsupported("INCLUDE") }
        var keys: [NewIndex.Key] = []
        var labels: [String] = []
        for element in node.list("indexParams") {
            let isDescending = element.text("ordering") == "SORTBY_DESC"
            let nulls = element.text("nulls_ordering")
            let isFirst = nulls == "SORTBY_NULLS_FIRST" || nulls != "SORTBY_NULLS_LAST" && isDescending
            if element.has("name") {
                guard let column = table.column(element.text("name")) else {
                    throw fail(
                        .undefinedColumn, "column \"\(element.text("name"))\" does not exist", at: element.location)
                }
                labels.append(column.name)
                keys.append(
                    NewIndex.Key(
                        number: column.number, expression: nil, isDescending: isDescending, isNullsFirst: isFirst))
            } else {
                let label =
                    element["expr"].map { $0.kind == "FuncCall" ? $0.words("funcname").last ?? "expr" : "expr" }
                    ?? "expr"
                labels.append(label)
                keys.append(
                    NewIndex.Key(
                        number: 0, expression: element["expr"], isDescending: isDescending, isNullsFirst: isFirst,
                        label: label))
            }
        }
        let schema = try catalogue.schema(table.schema) ?? 2200
        let given = node.text("idxname")
        if !given.isEmpty, try exists(given, in: schema) {
            if node.flag("if_not_exists") {
                return notice(.duplicateTable, "relation \"\(given)\" already exists, skipping")
            }
            throw fail(.duplicateTable, "relation \"\(given)\" already exists")
        }
        let index = NewIndex(
            name: given.isEmpty ? try freeName([table.name] + labels, "idx", in: schema) : given,
            isUnique: node.flag("unique"),
            keys: keys, condition: node["whereClause"], method: method)
        try makeIndex(index, table)
    }

    @discardableResult
    func makeIndex(_ index: NewIndex, _ table: Relation) throws(PostgresError) -> UInt32 {
        let schema = try catalogue.schema(table.schema) ?? 2200
        guard try !exists(index.name, in: schema) else {
            throw fail(.duplicateTable, "relation \"\(index.name)\" already exists")
        }
        let oid = try catalogue.nextOID()
        try addClass(
            oid, index.name, schema: schema, kind: "i", columns: index.keys.count,
            method: index.method == "hash" ? 405 : 403)
        try catalogue.insert(
            "pg_index",
            [
                "indexrelid": .integer(Int64(oid)), "indrelid": .integer(Int64(table.oid)),
                "indnatts": .integer(Int64(index.keys.count)), "indnkeyatts": .integer(Int64(index.keys.count)),
                "indisunique": .integer(index.isUnique ? 1 : 0), "indisprimary": .integer(index.isPrimary ? 1 : 0),
                "indimmediate": .integer(1), "indisvalid": .integer(1), "indisready": .integer(1),
                "indislive": .integer(1),
                "indkey": .text(index.keys.map { "\($0.number)" }.joined(separator: " ")),
                "indcollation": .text(index.keys.map { _ in "0" }.joined(separator: " ")),
                "indclass": .text(index.keys.map { _ in "0" }.joined(separator: " ")),
                // INDOPTION_DESC and INDOPTION_NULLS_FIRST
                "indoption": .text(
                    index.keys.map { "\(($0.isDescending ? 1 : 0) | ($0.isNullsFirst ? 2 : 0))" }.joined(separator: " ")
                ),
                "indexprs": expressions(index),
                "indpred": index.condition.map { .text(Deparser(literalType: nil).text($0)) } ?? .null,
            ])
        try catalogue.run("UPDATE pg_class SET relhasindex = 1 WHERE oid = ?1", [.integer(Int64(table.oid))])
        try execute(index, oid, table)
        return oid
    }

    private func expressions(_ index: NewIndex) -> SQLiteValue {
        let texts = index.keys.compactMap(\.expression).map { Deparser(literalType: nil).text($0) }
        return texts.isEmpty ? .null : .text(texts.joined(separator: IndexText.separator))
    }

    private func execute(_ index: NewIndex, _ oid: UInt32, _ table: Relation) throws(PostgresError) {
        let (translation, scope) = rowScope(table, row: "")
        scope.aggregateFreeClause = "index expressions"
        var keys: [String] = []
        for key in index.keys {
            let value: Expression
            if let node = key.expression {
                value = try translation.expression(node, scope)
                guard !value.sql.contains("pg_now") && !value.sql.contains("pg_random") else {
                    throw fail("42P17", "functions in index expression must be marked IMMUTABLE")
                }
            } else {
                guard let column = table.column(number: key.number) else { continue }
                value = Expression(identifier(column.storage), column.type)
            }
            let name = table.column(number: key.number)?.name ?? key.label
            try addColumn(
                NewColumn(name: name, type: value.isUnknown ? DataType(.text) : value.type), Int16(keys.count + 1),
                to: oid, table: index.name, schema: (table.schema, 0))
            keys.append(value.ordered + (key.isDescending ? " DESC" : ""))
        }
        var sql =
            "CREATE \(index.isUnique ? "UNIQUE " : "")INDEX \(identifier(StorageName.of(index.name, Int64(oid)))) ON "
        sql += "\(identifier(table.storage)) (\(keys.joined(separator: ", ")))"
        if let condition = index.condition {
            sql += " WHERE " + (try translation.boolean(try translation.expression(condition, scope), "WHERE").sql)
        }
        do throws(PostgresError) {
            try catalogue.execute(sql)
        } catch {
            guard error.sqlState == .uniqueViolation else { throw error }
            throw fail(.uniqueViolation, "could not create unique index \"\(index.name)\"")
        }
    }
}

/// How the expressions of an index are kept together.
enum IndexText {
    static let separator = "\u{1E}"
}
