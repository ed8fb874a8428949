import KernelSQLite
import KernelWire

extension Catalogue {
    /// Reads all that belongs to a relation.
    func load(_ oid: UInt32) throws(PostgresError) -> Relation? {
        let number = SQLiteValue.integer(Int64(oid))
        guard
            let row = try rows(
                "SELECT c.relname, n.nspname, c.relkind, s.name FROM pg_class c "
                    + "JOIN pg_namespace n ON n.oid = c.relnamespace "
                    + "LEFT JOIN sdlab_storage s ON s.relation = c.oid AND s.number = 0 WHERE c.oid = ?1", [number]
            ).first
        else { return nil }
        let fields = CatalogueRow(row)
        guard let kind = Relation.Kind(rawValue: fields.text(2)) else { return nil }
        let name = fields.text(0)
        return Relation(
            oid: oid, schema: fields.text(1), name: name, kind: kind, columns: try columns(of: oid),
            storage: fields.optionalText(3) ?? StorageName.of(name, Int64(oid)), indexes: try indexes(of: oid),
            constraints: try constraints(of: oid),
            definition: kind == .view
                ? try text("SELECT ev_action FROM sdlab_view WHERE oid = ?1", [number]) : nil)
    }

    private func columns(of oid: UInt32) throws(PostgresError) -> [Relation.Column] {
        try rows(
            "SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated, "
                + "d.adbin, s.name FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
                + "LEFT JOIN sdlab_storage s ON s.relation = a.attrelid AND s.number = a.attnum "
                + "WHERE a.attrelid = ?1 AND a.attnum > 0 AND a.attisdropped = 0 ORDER BY a.attnum",
            [.integer(Int64(oid))]
        ).map { row in
            let fields = CatalogueRow(row)
            let number = Int16(truncatingIfNeeded: fields.integer(0))
            return Relation.Column(
                number: number, name: fields.text(1),
                type: DataType(
                    PostgresOID(rawValue: UInt32(truncatingIfNeeded: fields.integer(2))),
                    modifier: Int32(truncatingIfNeeded: fields.integer(3))),
                isNotNull: fields.integer(4) != 0, defaultText: fields.optionalText(7), identity: fields.text(5),
                isGenerated: !fields.text(6).isEmpty,
                storage: fields.optionalText(8) ?? StorageName.of(fields.text(1), Int64(number)))
        }
    }

    private func indexes(of oid: UInt32) throws(PostgresError) -> [Relation.Index] {
        try rows(
            "SELECT i.indexrelid, c.relname, i.indisunique, i.indisprimary, i.indkey, i.indpred FROM pg_index i "
                + "JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ?1 ORDER BY i.indexrelid",
            [.integer(Int64(oid))]
        ).map { row in
            let fields = CatalogueRow(row)
            return Relation.Index(
                oid: fields.oid(0), name: fields.text(1), isUnique: fields.integer(2) != 0,
                isPrimary: fields.integer(3) != 0, keys: fields.numbers(4), condition: fields.optionalText(5))
        }
    }

    private func constraints(of oid: UInt32) throws(PostgresError) -> [Relation.Constraint] {
        try rows(
            "SELECT oid, conname, contype, conkey, conindid, conbin, confrelid, confkey, confupdtype, confdeltype "
                + "FROM pg_constraint WHERE conrelid = ?1 ORDER BY conname", [.integer(Int64(oid))]
        ).compactMap { row in
            let fields = CatalogueRow(row)
            guard let kind = Relation.Constraint.Kind(rawValue: fields.text(2)) else { return nil }
            return Relation.Constraint(
                oid: fields.oid(0), name: fields.text(1), kind: kind, keys: fields.numbers(3), index: fields.oid(4),
                expression: fields.optionalText(5), foreignTable: fields.oid(6), foreignKeys: fields.numbers(7),
                onUpdate: fields.text(8), onDelete: fields.text(9))
        }
    }
}

/// A row of the catalogue. What is not there is 0 or empty.
struct CatalogueRow {
    let values: [SQLiteValue]

    init(_ values: [SQLiteValue]) { self.values = values }

    func integer(_ index: Int) -> Int64 {
        guard case .integer(let number) = values[index] else { return 0 }
        return number
    }

    func oid(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: integer(index)) }

    func text(_ index: Int) -> String { optionalText(index) ?? "" }

    func optionalText(_ index: Int) -> String? {
        guard case .text(let text) = values[index] else { return nil }
        return text
    }

    /// `{1,2}` and `1 2`.
    func numbers(_ index: Int) -> [Int16] {
        text(index).split { " {},".contains($0) }.compactMap { Int16($0) }
    }
}

/// Names in SQLite: what they once were called, so that one can read the file with SQLite's own program, and a number,
/// because SQLite does not tell `T` from `t`, and PostgreSQL does. They stay when something is renamed.
enum StorageName {
    static func of(_ name: String, _ number: Int64) -> String {
        let plain = name.utf8.prefix(40).map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                byte
            default: UInt8(ascii: "_")
            }
        }
        return String(decoding: plain, as: UTF8.self) + "_\(number)"
    }

    /// The number at the end.
    static func number(of name: some StringProtocol) -> Int64? {
        name.lastIndex(of: "_").flatMap { Int64(name[name.index(after: $0)...]) }
    }
}
