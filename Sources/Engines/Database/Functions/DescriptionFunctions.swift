import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// What `\d` and its relatives ask: parts of the catalogue as SQL.
    static var descriptions: Table {
        Table(
            strict: [
                (
                    "pg_get_userbyid",
                    { call in .text(call.integer(0) == 10 ? "postgres" : "unknown (OID=\(call.integer(0)))") }
                ),
                ("pg_table_is_visible", { try isVisible($0) }),
                ("pg_get_indexdef", { try indexDefinition($0) }),
                ("pg_get_constraintdef", { try constraintDefinition($0) }),
                (
                    "pg_get_viewdef",
                    { call in
                        guard let view = try relation(call), let text = view.definition else { return .null }
                        return .text(" " + text + ";")
                    }
                ),
                ("pg_get_serial_sequence", { try serialSequence($0) }),
                (
                    "pg_sequence_last_value",
                    { call in
                        try call.catalogue.integer(
                            "SELECT last_value FROM sdlab_sequence WHERE oid = ?1 AND is_called",
                            [.integer(call.integer(0))]
                        ).map { .integer($0) } ?? .null
                    }
                ),
                ("pg_relation_size", { try relationSize($0) }),
                (
                    "pg_database_size",
                    { call in
                        let pages = try call.catalogue.integer("PRAGMA page_count") ?? 0
                        return .integer(pages * (try call.catalogue.integer("PRAGMA page_size") ?? 4096))
                    }
                ),
                (
                    "pg_description_of",
                    { call in
                        try call.catalogue.text(
                            "SELECT description FROM pg_description WHERE objoid = ?1 AND objsubid = ?2",
                            [call[0], call[1]]
                        ).map { .text($0) } ?? .null
                    }
                ),
                ("pg_to_regclass", { lookUp($0, .regclass) }),
                ("pg_to_regtype", { lookUp($0, .regtype) }),
                ("pg_pg_partition_ancestors", { _ in .text("[]") }),
                ("pg_pg_get_keywords", { _ in .text("[]") }),
            ],
            lenient: [
                (
                    "pg_format_type",
                    { call in
                        if call.isNull(0) { return .null }
                        let oid = PostgresOID(rawValue: UInt32(truncatingIfNeeded: call.integer(0)))
                        if oid.rawValue == 0 { return .text("-") }
                        guard oid.catalogueName != nil else { return .text("???") }
                        let modifier = call.isNull(1) ? -1 : Int32(truncatingIfNeeded: call.integer(1))
                        return .text(DataType.name(oid, modifier))
                    }
                )
            ])
    }

    private static func relation(_ call: FunctionCall) throws(PostgresError) -> Relation? {
        try call.catalogue.relation(UInt32(truncatingIfNeeded: call.integer(0)))
    }

    private static func lookUp(_ call: FunctionCall, _ type: PostgresOID) -> SQLiteValue {
        let number = try? ObjectNames.number(call.text(0), type: type, call.context, call.catalogue)
        return number.map { .integer(Int64($0)) } ?? .null
    }

    private static func isVisible(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard let relation = try relation(call) else { return .null }
        let found = try call.catalogue.relation(relation.name, schema: nil, searchPath: call.context.searchPath)
        return .integer(found?.oid == relation.oid ? 1 : 0)
    }

    private static func columns(_ numbers: [Int16], _ table: Relation) -> String {
        numbers.map { number in ObjectNames.quoted(table.column(number: number)?.name ?? "?") }.joined(separator: ", ")
    }

    // MARK: Indexes

    private static func indexDefinition(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard
            let row = try call.catalogue.rows(
                "SELECT i.indrelid, i.indkey, i.indoption, i.indexprs, i.indpred, i.indisunique, c.relname, c.relam "
                    + "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indexrelid = ?1", [call[0]]
            ).first
        else { return .null }
        let fields = CatalogueRow(row)
        guard let table = try call.catalogue.relation(fields.oid(0)) else { return .null }
        var expressions = fields.text(3).split(separator: IndexText.separator).map(String.init)[...]
        var keys: [String] = []
        for (number, option) in zip(fields.numbers(1), fields.numbers(2)) {
            var key = number == 0 ? expressions.popFirst() ?? "?" : columns([number], table)
            if number == 0, !isCall(key) { key = "(\(key))" }
            // Nulls stand last, and first in a descending index, without saying so.
            switch option & 3 {
            case 1: key += " DESC NULLS LAST"
            case 2: key += " NULLS FIRST"
            case 3: key += " DESC"
            default: break
            }
            keys.append(key)
        }
        let wanted = Int(call.integer(1))
        if wanted > 0 {
            guard keys.indices.contains(wanted - 1) else { return .text("") }
            return .text(String(keys[wanted - 1].split(separator: " ").first ?? ""))
        }
        let place = ObjectNames.quoted(table.schema) + "." + ObjectNames.quoted(table.name)
        let condition = fields.optionalText(4).map { " WHERE (\($0))" } ?? ""
        return .text(
            "CREATE \(fields.integer(5) != 0 ? "UNIQUE " : "")INDEX \(ObjectNames.quoted(fields.text(6))) ON \(place) "
                + "USING \(fields.integer(7) == 405 ? "hash" : "btree") (\(keys.joined(separator: ", ")))\(condition)")
    }

    /// `lower(name)` stands without parentheses around it.
    private static func isCall(_ text: String) -> Bool {
        guard text.hasSuffix(")"), let open = text.firstIndex(of: "("), open > text.startIndex else { return false }
        return text[..<open].allSatisfy { $0.isLetter || $0 == "_" || $0.isNumber }
    }

    // MARK: Constraints

    private static func constraintDefinition(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard let owner = try call.catalogue.integer("SELECT conrelid FROM pg_constraint WHERE oid = ?1", [call[0]]),
            let table = try call.catalogue.relation(UInt32(truncatingIfNeeded: owner)),
            let constraint = table.constraints.first(where: { Int64($0.oid) == call.integer(0) })
        else { return .null }
        switch constraint.kind {
        case .primaryKey: return .text("PRIMARY KEY (\(columns(constraint.keys, table)))")
        case .unique: return .text("UNIQUE (\(columns(constraint.keys, table)))")
        case .check: return .text("CHECK (\(constraint.expression ?? "true"))")
        case .foreignKey:
            guard let other = try call.catalogue.relation(constraint.foreignTable) else { return .null }
            let name = ObjectNames.qualified(other, call.context, call.catalogue)
            var text =
                "FOREIGN KEY (\(columns(constraint.keys, table))) REFERENCES \(name)(\(columns(constraint.foreignKeys, other)))"
            if let action = action(constraint.onUpdate) { text += " ON UPDATE \(action)" }
            if let action = action(constraint.onDelete) { text += " ON DELETE \(action)" }
            return .text(text)
        }
    }

    private static func action(_ letter: String) -> String? {
        switch letter {
        case "c": "CASCADE"
        case "n": "SET NULL"
        case "d": "SET DEFAULT"
        case "r": "RESTRICT"
        default: nil
        }
    }

    private static func serialSequence(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let oid = try ObjectNames.number(call.text(0), type: .regclass, call.context, call.catalogue)
        guard let table = try call.catalogue.relation(oid), let column = table.column(call.text(1)) else {
            throw PostgresError(
                .undefinedColumn, "column \"\(call.text(1))\" of relation \"\(call.text(0))\" does not exist")
        }
        guard
            let sequence = try call.catalogue.integer(
                "SELECT objid FROM pg_depend WHERE refobjid = ?1 AND refobjsubid = ?2 AND deptype IN ('a', 'i')",
                [.integer(Int64(oid)), .integer(Int64(column.number))]),
            let relation = try call.catalogue.relation(UInt32(truncatingIfNeeded: sequence))
        else { return .null }
        return .text(ObjectNames.quoted(relation.schema) + "." + ObjectNames.quoted(relation.name))
    }

    /// SQLite does not say how large a table is without reading it; this is an estimate by its rows.
    private static func relationSize(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard let table = try relation(call), table.kind == .table, !table.isSystem else { return .integer(0) }
        let last = try call.catalogue.integer("SELECT max(rowid) FROM \(identifier(table.storage))") ?? 0
        return .integer((last * Int64(24 + 16 * table.columns.count) + 8191) / 8192 * 8192)
    }
}
