import KernelSQLite
import KernelWire

extension DefinitionRun {
    func alterTable(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["relation"], let table = try table(name, isMissingAllowed: node.flag("missing_ok")) else {
            return
        }
        for command in node.list("cmds") {
            catalogue.forget()
            guard let current = try catalogue.relation(table.oid) else { return }
            try alter(current, command)
        }
    }

    private func column(_ name: String, _ table: Relation) throws(PostgresError) -> Relation.Column {
        guard let column = table.column(name) else {
            throw fail(.undefinedColumn, "column \"\(name)\" of relation \"\(table.name)\" does not exist")
        }
        return column
    }

    private func alter(_ table: Relation, _ command: SyntaxNode) throws(PostgresError) {
        let name = command.text("name")
        switch command.text("subtype") {
        case "AT_AddColumn": try addColumn(command, table)
        case "AT_DropColumn": try dropColumn(name, table, command)
        case "AT_AlterColumnType": try changeType(try column(name, table), table, command)
        case "AT_ColumnDefault": try setDefault(try column(name, table), table, command["def"])
        case "AT_SetNotNull": try setNotNull(try column(name, table), table, isNotNull: true)
        case "AT_DropNotNull":
            let column = try column(name, table)
            guard table.primaryKey?.keys.contains(column.number) != true else {
                throw fail(.invalidTableDefinition, "column \"\(name)\" is in a primary key")
            }
            try setNotNull(column, table, isNotNull: false)
        case "AT_AddConstraint": if let constraint = command["def"] { try add(constraint, to: table.oid, column: nil) }
        case "AT_DropConstraint": try dropConstraint(name, table, command)
        case "AT_ValidateConstraint", "AT_ChangeOwner", "AT_SetStatistics", "AT_SetStorage", "AT_SetRelOptions",
            "AT_ResetRelOptions", "AT_ClusterOn", "AT_DropCluster", "AT_ReplicaIdentity", "AT_EnableTrigAll",
            "AT_DisableTrigAll",
            "AT_EnableTrigUser", "AT_DisableTrigUser", "AT_SetLogged", "AT_SetUnLogged":
            break
        default:
            throw unsupported("ALTER TABLE with \(command.text("subtype").dropFirst(3))")
        }
    }

    // MARK: Columns

    private func addColumn(_ command: SyntaxNode, _ table: Relation) throws(PostgresError) {
        guard let definition = command["def"] else { return }
        let column = try newColumn(definition)
        guard table.column(column.name) == nil else {
            if command.flag("missing_ok") {
                return notice(
                    .duplicateColumn, "column \"\(column.name)\" of relation \"\(table.name)\" already exists, skipping"
                )
            }
            throw fail(
                .duplicateColumn, "column \"\(column.name)\" of relation \"\(table.name)\" already exists",
                at: column.location)
        }
        guard column.generated == nil else { throw unsupported("a generated column that comes later") }
        let oid = SQLiteValue.integer(Int64(table.oid))
        let number = Int16(
            truncatingIfNeeded: try catalogue.integer("SELECT relnatts + 1 FROM pg_class WHERE oid = ?1", [oid]) ?? 1)
        try catalogue.run("UPDATE pg_class SET relnatts = ?1 WHERE oid = ?2", [.integer(Int64(number)), oid])
        let schema = (name: table.schema, oid: try catalogue.schema(table.schema) ?? 2200)
        try addColumn(column, number, to: table.oid, table: table.name, schema: schema)
        let storage = identifier(StorageName.of(column.name, Int64(number)))
        try catalogue.execute("ALTER TABLE \(identifier(table.storage)) ADD COLUMN \(storage)")
        catalogue.forget()
        guard let changed = try catalogue.relation(table.oid), let added = changed.column(number: number) else {
            return
        }
        if added.defaultText != nil {
            let value = try translation().defaultValue(added, changed).sql
            try catalogue.execute("UPDATE \(identifier(table.storage)) SET \(storage) = \(value)")
        } else if added.isNotNull {
            try setNotNull(added, changed, isNotNull: true)
        }
        for constraint in column.constraints { try add(constraint, to: table.oid, column: column.name) }
    }

    private func dropColumn(_ name: String, _ table: Relation, _ command: SyntaxNode) throws(PostgresError) {
        guard let column = table.column(name) else {
            if command.flag("missing_ok") {
                return notice(
                    .undefinedColumn, "column \"\(name)\" of relation \"\(table.name)\" does not exist, skipping")
            }
            throw fail(.undefinedColumn, "column \"\(name)\" of relation \"\(table.name)\" does not exist")
        }
        let isCascade = command.text("behavior") == "DROP_CASCADE"
        let oid = SQLiteValue.integer(Int64(table.oid))
        let views = try catalogue.rows("SELECT objid FROM pg_depend WHERE refobjid = ?1 AND deptype = 'n'", [oid])
        for row in views {
            guard let view = try catalogue.relation(CatalogueRow(row).oid(0)), view.definition?.contains(name) == true
            else { continue }
            guard isCascade else {
                throw fail(
                    .dependentObjectsStillExist,
                    "cannot drop column \(name) of table \(table.name) because other objects depend on it",
                    hint: "Use DROP ... CASCADE to drop the dependent objects too.",
                    detail: "view \(view.name) depends on column \(name) of table \(table.name)")
            }
            try drop(view, isCascade: true)
        }
        for constraint in table.constraints where constraint.keys.contains(column.number) {
            try dropConstraint(constraint, table, isCascade: isCascade)
        }
        catalogue.forget()
        for index in try catalogue.relation(table.oid)?.indexes ?? [] where index.keys.contains(column.number) {
            if let relation = try catalogue.relation(index.oid) { try drop(relation, isCascade: true) }
        }
        for row in try catalogue.rows(
            "SELECT objid FROM pg_depend WHERE refobjid = ?1 AND refobjsubid = ?2 AND deptype IN ('a', 'i')",
            [oid, .integer(Int64(column.number))])
        {
            if let sequence = try catalogue.relation(CatalogueRow(row).oid(0)) { try drop(sequence, isCascade: true) }
        }
        try catalogue.run(
            "UPDATE pg_attribute SET attisdropped = 1, attnotnull = 0, atthasdef = 0, atttypid = 0, attname = ?1 "
                + "WHERE attrelid = ?2 AND attnum = ?3",
            [.text("........pg.dropped.\(column.number)........"), oid, .integer(Int64(column.number))])
        try catalogue.run(
            "DELETE FROM pg_attrdef WHERE adrelid = ?1 AND adnum = ?2", [oid, .integer(Int64(column.number))])
        if !column.isGenerated {
            try catalogue.execute("UPDATE \(identifier(table.storage)) SET \(identifier(column.storage)) = NULL")
        }
    }

    private func changeType(_ column: Relation.Column, _ table: Relation, _ command: SyntaxNode) throws(PostgresError) {
        guard let definition = command["def"], let typeName = definition["typeName"] else { return }
        let type = try TypeNames.type(typeName)
        let (translation, scope) = rowScope(table, row: "")
        let value: Expression
        if let using = definition["raw_default"] {
            value = try translation.coerce(try translation.expression(using, scope), to: type, .assignment)
        } else {
            let old = Expression(identifier(column.storage), column.type)
            guard column.type.oid == type.oid || translation.castPath(from: column.type.oid, to: type.oid, .assignment)
            else {
                throw fail(
                    .datatypeMismatch,
                    "column \"\(column.name)\" cannot be cast automatically to type \(type.oid.typeName)",
                    hint: "You might need to specify \"USING \(column.name)::\(type.oid.typeName)\".")
            }
            value = try translation.coerce(old, to: type, .assignment)
        }
        let indexes = table.indexes.filter { $0.keys.contains(column.number) }
        guard indexes.isEmpty || column.type.oid.collation == type.oid.collation else {
            throw unsupported("another type for a column with an index")
        }
        try catalogue.run(
            "UPDATE pg_attribute SET atttypid = ?1, atttypmod = ?2, attlen = ?3 WHERE attrelid = ?4 AND attnum = ?5",
            [
                .integer(Int64(type.oid.rawValue)), .integer(Int64(type.modifier)), .integer(Int64(type.oid.byteCount)),
                .integer(Int64(table.oid)), .integer(Int64(column.number)),
            ])
        try catalogue.execute("UPDATE \(identifier(table.storage)) SET \(identifier(column.storage)) = \(value.sql)")
        try makeTriggers(table.oid)
    }

    private func setDefault(
        _ column: Relation.Column, _ table: Relation, _ node: SyntaxNode?
    ) throws(PostgresError) {
        guard !column.isGenerated, column.identity.isEmpty else {
            throw fail(
                .syntaxError,
                "column \"\(column.name)\" of relation \"\(table.name)\" is \(column.isGenerated ? "a generated" : "an identity") column"
            )
        }
        let (oid, number) = (SQLiteValue.integer(Int64(table.oid)), SQLiteValue.integer(Int64(column.number)))
        try catalogue.run("DELETE FROM pg_attrdef WHERE adrelid = ?1 AND adnum = ?2", [oid, number])
        if let node {
            let value = try translation().expression(node, Scope(parent: nil))
            _ = try translation().assigned(value, column, table)
            try catalogue.insert(
                "pg_attrdef",
                [
                    "oid": .integer(Int64(try catalogue.nextOID())), "adrelid": oid, "adnum": number,
                    "adbin": .text(Deparser(literalType: column.type.oid).text(node)),
                ])
        }
        try catalogue.run(
            "UPDATE pg_attribute SET atthasdef = ?1 WHERE attrelid = ?2 AND attnum = ?3",
            [.integer(node == nil ? 0 : 1), oid, number])
    }

    // MARK: Constraints

    private func dropConstraint(_ name: String, _ table: Relation, _ command: SyntaxNode) throws(PostgresError) {
        guard let constraint = table.constraints.first(where: { $0.name == name }) else {
            let message = "constraint \"\(name)\" of relation \"\(table.name)\" does not exist"
            if command.flag("missing_ok") { return notice("00000", message + ", skipping") }
            throw fail(.undefinedObject, message)
        }
        try dropConstraint(constraint, table, isCascade: command.text("behavior") == "DROP_CASCADE")
    }

    private func dropConstraint(
        _ constraint: Relation.Constraint, _ table: Relation, isCascade: Bool
    ) throws(PostgresError) {
        if constraint.kind == .primaryKey || constraint.kind == .unique {
            let users = try catalogue.rows(
                "SELECT conrelid, oid, conname FROM pg_constraint WHERE contype = 'f' AND conindid = ?1",
                [.integer(Int64(constraint.index))])
            for row in users {
                let fields = CatalogueRow(row)
                guard isCascade else {
                    throw fail(
                        .dependentObjectsStillExist,
                        "cannot drop constraint \(constraint.name) on table \(table.name) because other objects depend on it",
                        hint: "Use DROP ... CASCADE to drop the dependent objects too.")
                }
                try catalogue.run("DELETE FROM pg_constraint WHERE oid = ?1", [row[1]])
                try makeTriggers(fields.oid(0))
            }
            if let index = try catalogue.relation(constraint.index) {
                try catalogue.execute("DROP INDEX \(identifier(index.storage))")
                try forget(index.oid)
            }
        }
        try catalogue.run("DELETE FROM pg_constraint WHERE oid = ?1", [.integer(Int64(constraint.oid))])
        if constraint.kind == .check {
            try catalogue.run(
                "UPDATE pg_class SET relchecks = relchecks - 1 WHERE oid = ?1", [.integer(Int64(table.oid))])
        }
        try makeTriggers(table.oid)
        if constraint.kind == .foreignKey, constraint.foreignTable != table.oid {
            try makeTriggers(constraint.foreignTable)
        }
    }

    // MARK: Names

    func rename(_ node: SyntaxNode) throws(PostgresError) {
        let new = node.text("newname")
        if node.text("renameType") == "OBJECT_SCHEMA" {
            guard let oid = try catalogue.schema(node.text("subname")) else {
                throw fail(.invalidSchemaName, "schema \"\(node.text("subname"))\" does not exist")
            }
            guard try catalogue.schema(new) == nil else {
                throw fail(.duplicateSchema, "schema \"\(new)\" already exists")
            }
            return try catalogue.run(
                "UPDATE pg_namespace SET nspname = ?1 WHERE oid = ?2", [.text(new), .integer(Int64(oid))])
        }
        guard let name = node["relation"], let table = try table(name, isMissingAllowed: node.flag("missing_ok")) else {
            return
        }
        let oid = SQLiteValue.integer(Int64(table.oid))
        try refuseIfUsed(by: table)
        switch node.text("renameType") {
        case "OBJECT_COLUMN", "OBJECT_ATTRIBUTE":
            let column = try column(node.text("subname"), table)
            guard table.column(new) == nil else {
                throw fail(.duplicateColumn, "column \"\(new)\" of relation \"\(table.name)\" already exists")
            }
            try keepStorage(column.storage, table.oid, Int64(column.number))
            try catalogue.run(
                "UPDATE pg_attribute SET attname = ?1 WHERE attrelid = ?2 AND attnum = ?3",
                [.text(new), oid, .integer(Int64(column.number))])
            try renameInChecks(of: table, from: column.name, to: new)
        case "OBJECT_TABCONSTRAINT":
            guard let constraint = table.constraints.first(where: { $0.name == node.text("subname") }) else {
                throw fail(
                    .undefinedObject,
                    "constraint \"\(node.text("subname"))\" for table \"\(table.name)\" does not exist")
            }
            try catalogue.run(
                "UPDATE pg_constraint SET conname = ?1 WHERE oid = ?2", [.text(new), .integer(Int64(constraint.oid))])
            if constraint.index != 0, constraint.kind != .foreignKey,
                let index = try catalogue.relation(constraint.index)
            {
                try rename(index, to: new)
            }
        default:
            try rename(table, to: new)
            if table.kind == .index {
                try catalogue.run(
                    "UPDATE pg_constraint SET conname = ?1 WHERE conindid = ?2 AND contype <> 'f'", [.text(new), oid])
            }
        }
    }

    private func rename(_ relation: Relation, to name: String) throws(PostgresError) {
        guard try !exists(name, in: try catalogue.schema(relation.schema) ?? 2200) else {
            throw fail(.duplicateTable, "relation \"\(name)\" already exists")
        }
        try keepStorage(relation.storage, relation.oid, 0)
        try catalogue.run(
            "UPDATE pg_class SET relname = ?1 WHERE oid = ?2", [.text(name), .integer(Int64(relation.oid))])
        guard relation.kind == .sequence else { return }
        // Defaults name it.
        let (old, new) = (ObjectNames.quoted(relation.name), ObjectNames.quoted(name))
        try catalogue.run(
            "UPDATE pg_attrdef SET adbin = ?1 WHERE adbin = ?2",
            [
                .text("nextval(\(ConstantPool.quoted(new))::regclass)"),
                .text("nextval(\(ConstantPool.quoted(old))::regclass)"),
            ])
    }

    private func keepStorage(_ name: String, _ relation: UInt32, _ number: Int64) throws(PostgresError) {
        try catalogue.run(
            "INSERT OR IGNORE INTO sdlab_storage VALUES (?1, ?2, ?3)",
            [.integer(Int64(relation)), .integer(number), .text(name)])
    }

    /// Views keep the text of their query, in which the name stands.
    private func refuseIfUsed(by table: Relation) throws(PostgresError) {
        let users = try catalogue.rows(
            "SELECT objid FROM pg_depend WHERE refobjid = ?1 AND deptype = 'n'", [.integer(Int64(table.oid))])
        guard let first = users.first, let view = try catalogue.relation(CatalogueRow(first).oid(0)) else { return }
        throw fail(
            .featureNotSupported,
            "cannot rename \(table.kindName) \"\(table.name)\" or its columns while view \"\(view.name)\" uses it",
            hint: "Drop the view, and create it again afterwards.")
    }

    private func renameInChecks(of table: Relation, from old: String, to new: String) throws(PostgresError) {
        let (a, b) = (ObjectNames.quoted(old), ObjectNames.quoted(new))
        for constraint in table.constraints {
            guard let text = constraint.expression, let renamed = Self.replacingWord(a, by: b, in: text) else {
                continue
            }
            try catalogue.run(
                "UPDATE pg_constraint SET conbin = ?1 WHERE oid = ?2",
                [.text(renamed), .integer(Int64(constraint.oid))])
        }
    }

    /// Outside of literals.
    private static func replacingWord(_ word: String, by other: String, in text: String) -> String? {
        var result = ""
        var token = ""
        var isQuoted = false
        func flush() {
            result += token == word ? other : token
            token = ""
        }
        for character in text {
            if character == "'" { isQuoted.toggle() }
            if !isQuoted, character.isLetter || character.isNumber || character == "_" || character == "\"" {
                token.append(character)
            } else {
                flush()
                result.append(character)
            }
        }
        flush()
        return result == text ? nil : result
    }

    func moveToSchema(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["relation"], let table = try table(name, isMissingAllowed: node.flag("missing_ok")) else {
            return
        }
        let new = node.text("newschema")
        guard let schema = try catalogue.schema(new) else {
            throw fail(.invalidSchemaName, "schema \"\(new)\" does not exist")
        }
        guard try !exists(table.name, in: schema) else {
            throw fail(.duplicateTable, "relation \"\(table.name)\" already exists in schema \"\(new)\"")
        }
        try refuseIfUsed(by: table)
        for oid in [table.oid] + table.indexes.map(\.oid) {
            try catalogue.run(
                "UPDATE pg_class SET relnamespace = ?1 WHERE oid = ?2", [.integer(Int64(schema)), .integer(Int64(oid))])
        }
    }
}
