import KernelSQLite
import KernelWire

extension Catalogue {
    /// Whether the file has a catalogue.
    public static func exists(in connection: SQLiteConnection) throws(SQLiteError) -> Bool {
        try !connection.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sdlab_catalogue'").isEmpty
    }

    /// Makes the catalogue of a new database, within the transaction that the caller has begun.
    public static func bootstrap(_ connection: SQLiteConnection) throws(SQLiteError) {
        try connection.execute("CREATE TABLE sdlab_catalogue (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        try connection.execute("INSERT INTO sdlab_catalogue VALUES ('version', 1), ('oid', 16384), ('format', 1)")
        try connection.execute("CREATE TABLE sdlab_storage (relation, number, name, PRIMARY KEY (relation, number))")
        try connection.execute("CREATE TABLE sdlab_view (oid INTEGER PRIMARY KEY, ev_action)")
        try connection.execute("CREATE TABLE sdlab_sequence (oid INTEGER PRIMARY KEY, last_value, is_called)")
        for table in SystemTable.all where table.source == .stored {
            let columns = table.columns.map { $0.name == "oid" ? "\"oid\" INTEGER PRIMARY KEY" : "\"\($0.name)\"" }
            try connection.execute("CREATE TABLE \(table.name) (\(columns.joined(separator: ", ")))")
        }
        for index in [
            "pg_class (relname, relnamespace)", "pg_attribute (attrelid, attnum)", "pg_attrdef (adrelid, adnum)",
            "pg_index (indrelid)", "pg_index (indexrelid)", "pg_constraint (conrelid)", "pg_constraint (confrelid)",
            "pg_depend (refobjid)", "pg_depend (objid)", "pg_sequence (seqrelid)", "pg_namespace (nspname)",
            "pg_description (objoid)", "pg_type (typname)",
        ] {
            let name = index.split { " (,)".contains($0) }.prefix(2).joined(separator: "_by_")
            try connection.execute("CREATE INDEX \(name) ON \(index)")
        }
        try fill(connection)
    }

    private static func fill(_ connection: SQLiteConnection) throws(SQLiteError) {
        let schemas: [(Int64, String)] = [
            (99, "pg_toast"), (11, catalogueSchema), (2200, "public"), (13_207, informationSchema),
        ]
        for (oid, name) in schemas {
            try insert(
                "pg_namespace", ["oid": .integer(oid), "nspname": .text(name), "nspowner": .integer(10)], connection)
        }
        for (oid, name, kind) in [(2, "heap", "t"), (403, "btree", "i"), (405, "hash", "i"), (2742, "gin", "i")] {
            try insert(
                "pg_am", ["oid": .integer(Int64(oid)), "amname": .text(name), "amtype": .text(kind)], connection)
        }
        for (oid, name) in [(100, "default"), (950, "C"), (951, "POSIX")] {
            try insert(
                "pg_collation",
                [
                    "oid": .integer(Int64(oid)), "collname": .text(name), "collnamespace": .integer(11),
                    "collprovider": .text("c"),
                ],
                connection)
        }
        for type in PostgresOID.known { try insert("pg_type", row(of: type), connection) }
    }

    /// A row of `pg_type`.
    private static func row(of type: PostgresOID) -> [String: SQLiteValue] {
        let name = type.catalogueName ?? ""
        let isText = [.text, .varchar, .bpchar].contains(type.element ?? type)
        return [
            "oid": .integer(Int64(type.rawValue)), "typname": .text(name), "typnamespace": .integer(11),
            "typowner": .integer(10), "typlen": .integer(Int64(type.byteCount)),
            "typtype": .text([.unknown, .void, .record].contains(type) ? "p" : "b"),
            "typcategory": .text(String(type.category.rawValue)), "typispreferred": .integer(type.isPreferred ? 1 : 0),
            "typisdefined": .integer(1), "typdelim": .text(","),
            "typelem": .integer(
                Int64(type.element?.rawValue ?? (type == .int2vector ? 21 : type == .oidvector ? 26 : 0))),
            "typarray": .integer(Int64(type.array?.rawValue ?? 0)),
            "typinput": .text(type.element == nil ? name + "in" : "array_in"),
            "typtypmod": .integer(-1), "typcollation": .integer(type == .name ? 950 : isText ? 100 : 0),
            "typalign": .text("i"), "typstorage": .text("p"),
        ]
    }

    /// A row with what is given; the rest is 0, false, or for what may be NULL, that.
    static func insert(_ table: String, _ values: [String: SQLiteValue], _ connection: SQLiteConnection)
        throws(SQLiteError)
    {
        guard let columns = SystemTable.byName[table]?.columns else { return }
        let marks = columns.indices.map { "?\($0 + 1)" }.joined(separator: ", ")
        let row = columns.map { column in values[column.name] ?? emptyValue(column.type) }
        _ = try connection.rows("INSERT INTO \(table) VALUES (\(marks))", row)
    }

    private static func emptyValue(_ type: PostgresOID) -> SQLiteValue {
        switch type {
        case .bool, .int2, .int4, .int8, .oid, .float4, .regproc: .integer(0)
        case .char, .name: .text("")
        default: .null
        }
    }

    func insert(_ table: String, _ values: [String: SQLiteValue]) throws(PostgresError) {
        do {
            try Self.insert(table, values, connection)
        } catch {
            throw ErrorMapping.postgresError(for: error, catalogue: self)
        }
    }
}
