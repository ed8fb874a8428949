import KernelSQLite
import KernelWire

extension DefinitionRun {
    func drop(_ node: SyntaxNode) throws(PostgresError) {
        let isCascade = node.text("behavior") == "DROP_CASCADE"
        let isMissingAllowed = node.flag("missing_ok")
        let kind: Relation.Kind
        switch node.text("removeType") {
        case "OBJECT_TABLE": kind = .table
        case "OBJECT_VIEW": kind = .view
        case "OBJECT_INDEX": kind = .index
        case "OBJECT_SEQUENCE": kind = .sequence
        case "OBJECT_SCHEMA": return try dropSchemas(node.words("objects"), isCascade, isMissingAllowed)
        case "OBJECT_EXTENSION": return
        default: throw unsupported("DROP " + node.text("removeType").dropFirst(7))
        }
        var relations: [Relation] = []
        for object in node.list("objects") {
            if let found = try droppable(object.words("items"), kind, isMissingAllowed) { relations.append(found) }
        }
        for relation in relations { try drop(relation, isCascade: isCascade, together: Set(relations.map(\.oid))) }
    }

    private func droppable(
        _ words: [String], _ kind: Relation.Kind, _ isMissingAllowed: Bool
    ) throws(PostgresError) -> Relation? {
        let name = words.joined(separator: ".")
        let schema = words.count > 1 ? words[words.count - 2] : nil
        guard let found = try catalogue.relation(words.last ?? "", schema: schema, searchPath: context.searchPath)
        else {
            let label = Relation(oid: 0, schema: "", name: "", kind: kind, columns: [], storage: "").kindName
            if isMissingAllowed {
                notice("00000", "\(label) \"\(name)\" does not exist, skipping")
                return nil
            }
            throw fail(
                kind == .index ? .undefinedObject : .undefinedTable, "\(label) \"\(name)\" does not exist")
        }
        guard found.oid >= 16_384 else {
            throw fail(.insufficientPrivilege, "permission denied: \"\(found.name)\" is a system catalog")
        }
        guard found.kind == kind else {
            let article = { (kind: Relation.Kind) in
                kind == .index
                    ? "an index"
                    : "a " + Relation(oid: 0, schema: "", name: "", kind: kind, columns: [], storage: "").kindName
            }
            throw fail(
                .wrongObjectType, "\"\(name)\" is not \(article(kind))",
                hint: "Use DROP \(found.kindName.uppercased()) to remove \(article(found.kind)).")
        }
        return found
    }

    /// - Parameter together: what else is dropped by the same statement.
    func drop(_ relation: Relation, isCascade: Bool, together: Set<UInt32> = []) throws(PostgresError) {
        guard try catalogue.integer("SELECT 1 FROM pg_class WHERE oid = ?1", [.integer(Int64(relation.oid))]) != nil
        else { return }
        try dropDependents(of: relation, isCascade: isCascade, together: together)
        let oid = SQLiteValue.integer(Int64(relation.oid))
        switch relation.kind {
        case .table:
            for index in relation.indexes { try forget(index.oid) }
            for row in try catalogue.rows(
                "SELECT objid FROM pg_depend WHERE refobjid = ?1 AND deptype IN ('a', 'i')", [oid])
            {
                let sequence = CatalogueRow(row).oid(0)
                try catalogue.run("DELETE FROM pg_sequence WHERE seqrelid = ?1", [.integer(Int64(sequence))])
                try catalogue.run("DELETE FROM sdlab_sequence WHERE oid = ?1", [.integer(Int64(sequence))])
                try forget(sequence)
            }
            let others = relation.constraints.filter { $0.kind == .foreignKey }.map(\.foreignTable)
            try catalogue.execute("DROP TABLE \(identifier(relation.storage))")
            try catalogue.run("DELETE FROM pg_constraint WHERE conrelid = ?1", [oid])
            for other in Set(others).sorted() where other != relation.oid { try makeTriggers(other) }
        case .view: try catalogue.run("DELETE FROM sdlab_view WHERE oid = ?1", [oid])
        case .sequence:
            try catalogue.run("DELETE FROM pg_sequence WHERE seqrelid = ?1", [oid])
            try catalogue.run("DELETE FROM sdlab_sequence WHERE oid = ?1", [oid])
        case .index:
            guard
                try catalogue.integer(
                    "SELECT 1 FROM pg_constraint WHERE conindid = ?1 AND contype IN ('p', 'u')", [oid]) == nil
            else {
                throw fail(
                    .dependentObjectsStillExist,
                    "cannot drop index \(relation.name) because constraint \(relation.name) requires it",
                    hint: "You can drop the constraint instead.")
            }
            try catalogue.execute("DROP INDEX \(identifier(relation.storage))")
        }
        try forget(relation.oid)
    }

    /// All rows of the catalogue about a relation.
    func forget(_ oid: UInt32) throws(PostgresError) {
        let number = SQLiteValue.integer(Int64(oid))
        for sql in [
            "DELETE FROM pg_class WHERE oid = ?1", "DELETE FROM pg_attribute WHERE attrelid = ?1",
            "DELETE FROM pg_attrdef WHERE adrelid = ?1", "DELETE FROM pg_index WHERE indrelid = ?1 OR indexrelid = ?1",
            "DELETE FROM pg_depend WHERE objid = ?1 OR refobjid = ?1", "DELETE FROM pg_description WHERE objoid = ?1",
            "DELETE FROM sdlab_storage WHERE relation = ?1",
        ] { try catalogue.run(sql, [number]) }
        catalogue.forget()
    }

    /// Views that name it, and foreign keys that lead to it.
    private func dropDependents(
        of relation: Relation, isCascade: Bool, together: Set<UInt32>
    ) throws(PostgresError) {
        let oid = SQLiteValue.integer(Int64(relation.oid))
        func refuse(_ what: String) -> PostgresError {
            fail(
                .dependentObjectsStillExist,
                "cannot drop \(relation.kindName) \(relation.name) because other objects depend on it",
                hint: "Use DROP ... CASCADE to drop the dependent objects too.",
                detail: "\(what) depends on \(relation.kindName) \(relation.name)")
        }
        for row in try catalogue.rows("SELECT objid FROM pg_depend WHERE refobjid = ?1 AND deptype = 'n'", [oid]) {
            guard let view = try catalogue.relation(CatalogueRow(row).oid(0)) else { continue }
            if !together.contains(view.oid) {
                guard isCascade else { throw refuse("view \(view.name)") }
                notice("00000", "drop cascades to view \(view.name)")
            }
            try drop(view, isCascade: true, together: together)
        }
        if relation.kind == .sequence {
            let text = ConstantPool.quoted(ObjectNames.quoted(relation.name))
            let users = try catalogue.rows(
                "SELECT adrelid, adnum FROM pg_attrdef WHERE adbin = ?1", [.text("nextval(\(text)::regclass)")])
            for row in users {
                let fields = CatalogueRow(row)
                guard let table = try catalogue.relation(fields.oid(0)), !together.contains(table.oid) else { continue }
                guard isCascade else { throw refuse("default value for column of table \(table.name)") }
                try catalogue.run("DELETE FROM pg_attrdef WHERE adrelid = ?1 AND adnum = ?2", [row[0], row[1]])
            }
        }
        for row in try catalogue.rows(
            "SELECT conrelid, oid, conname FROM pg_constraint WHERE confrelid = ?1 AND contype = 'f' AND conrelid <> ?1",
            [oid])
        {
            let fields = CatalogueRow(row)
            guard let child = try catalogue.relation(fields.oid(0)) else { continue }
            guard isCascade || together.contains(child.oid) else {
                throw refuse("constraint \(fields.text(2)) on table \(child.name)")
            }
            if !together.contains(child.oid) {
                notice("00000", "drop cascades to constraint \(fields.text(2)) on table \(child.name)")
            }
            try catalogue.run("DELETE FROM pg_constraint WHERE oid = ?1", [row[1]])
            try makeTriggers(child.oid)
        }
    }

    private func dropSchemas(_ names: [String], _ isCascade: Bool, _ isMissingAllowed: Bool) throws(PostgresError) {
        for name in names {
            guard let oid = try catalogue.schema(name) else {
                if isMissingAllowed {
                    notice("00000", "schema \"\(name)\" does not exist, skipping")
                    continue
                }
                throw fail(.invalidSchemaName, "schema \"\(name)\" does not exist")
            }
            guard oid >= 16_384 || name == "public" else {
                throw fail(.insufficientPrivilege, "permission denied for schema \(name)")
            }
            let contents = try catalogue.rows(
                "SELECT oid FROM pg_class WHERE relnamespace = ?1 AND relkind IN ('r', 'v', 'S')",
                [.integer(Int64(oid))])
            guard contents.isEmpty || isCascade else {
                throw fail(
                    .dependentObjectsStillExist, "cannot drop schema \(name) because other objects depend on it",
                    hint: "Use DROP ... CASCADE to drop the dependent objects too.")
            }
            for row in contents {
                if let relation = try catalogue.relation(CatalogueRow(row).oid(0)) {
                    try drop(relation, isCascade: true)
                }
            }
            try catalogue.run("DELETE FROM pg_namespace WHERE oid = ?1", [.integer(Int64(oid))])
            catalogue.forget()
        }
    }
}
