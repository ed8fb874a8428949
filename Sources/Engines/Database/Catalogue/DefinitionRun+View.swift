import KernelSQLite
import KernelWire

extension DefinitionRun {
    func createView(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["view"], let statement = node["query"] else { return }
        let view = name.text("relname")
        let schema = try self.schema(name)
        let translation = translation()
        let query = try translation.query(statement, Scope(parent: nil))
        try translation.resolveUnknown(query)
        let names = node.words("aliases")
        guard names.count <= query.targets.count else {
            throw fail(.syntaxError, "CREATE VIEW specifies more column names than columns")
        }
        let columns = query.targets.enumerated().map { index, target in
            NewColumn(name: index < names.count ? names[index] : target.name, type: target.expression.type)
        }
        var seen: Set<String> = []
        for column in columns where !seen.insert(column.name).inserted {
            throw fail(.duplicateColumn, "column \"\(column.name)\" specified more than once")
        }
        let text = ViewText.query(of: source.text) ?? source.text
        let oid: UInt32
        if try exists(view, in: schema.oid) {
            guard node.flag("replace") else { throw fail(.duplicateTable, "relation \"\(view)\" already exists") }
            oid = try replace(view, schema, columns)
        } else {
            oid = try catalogue.nextOID()
            try addClass(oid, view, schema: schema.oid, kind: "v", columns: columns.count)
        }
        for (index, column) in columns.enumerated() {
            try addColumn(column, Int16(index + 1), to: oid, table: view, schema: schema)
        }
        try catalogue.run("INSERT INTO sdlab_view VALUES (?1, ?2)", [.integer(Int64(oid)), .text(text)])
        for other in Set(translation.dependencies).sorted() where other >= 16_384 {
            try addDependency(of: oid, on: other, kind: "n")
        }
    }

    /// Of a view that is there, only columns at the end may come to it.
    private func replace(
        _ name: String, _ schema: (name: String, oid: UInt32), _ columns: [NewColumn]
    ) throws(PostgresError) -> UInt32 {
        guard let old = try catalogue.relation(name, schema: schema.name, searchPath: []), old.kind == .view else {
            throw fail(.wrongObjectType, "\"\(name)\" is not a view")
        }
        guard columns.count >= old.columns.count else {
            throw fail(.invalidTableDefinition, "cannot drop columns from view")
        }
        for (column, new) in zip(old.columns, columns) {
            guard column.name == new.name else {
                throw fail(
                    .invalidTableDefinition, "cannot change name of view column \"\(column.name)\" to \"\(new.name)\"",
                    hint: "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.")
            }
            guard column.type.oid == new.type.oid else {
                throw fail(
                    .invalidTableDefinition,
                    "cannot change data type of view column \"\(column.name)\" from \(column.type.name) to \(new.type.name)"
                )
            }
        }
        let oid = SQLiteValue.integer(Int64(old.oid))
        try catalogue.run("DELETE FROM pg_attribute WHERE attrelid = ?1", [oid])
        try catalogue.run("DELETE FROM sdlab_view WHERE oid = ?1", [oid])
        try catalogue.run("DELETE FROM pg_depend WHERE objid = ?1", [oid])
        return old.oid
    }
}

/// The query of a `CREATE VIEW`: what stands behind the first AS outside of names and parentheses.
enum ViewText {
    static func query(of statement: String) -> String? {
        let bytes = Array(statement.utf8)
        var index = 0
        var depth = 0
        func isOfWord(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || byte >= 128 || (48...57).contains(byte) || (65...90).contains(byte)
                || (97...122).contains(byte)
        }
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                while index < bytes.count, bytes[index] != byte { index += 1 }
            } else if byte == UInt8(ascii: "-"), index + 1 < bytes.count, bytes[index + 1] == byte {
                while index < bytes.count, bytes[index] != 10 { index += 1 }
            } else if byte == UInt8(ascii: "(") {
                depth += 1
            } else if byte == UInt8(ascii: ")") {
                depth -= 1
            } else if isOfWord(byte) {
                let start = index
                while index < bytes.count, isOfWord(bytes[index]) { index += 1 }
                if depth == 0, String(decoding: bytes[start..<index], as: UTF8.self).lowercased() == "as" {
                    return SourceText(statement).statement(at: index, byteCount: 0)
                }
                continue
            }
            index += 1
        }
        return nil
    }
}
