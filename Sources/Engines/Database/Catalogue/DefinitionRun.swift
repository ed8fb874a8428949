import KernelSQLite
import KernelWire

/// A statement that changes the catalogue. It is looked at when it is carried out, as PostgreSQL does.
struct StatementDefinition: Definition {
    let node: SyntaxNode
    let source: SourceText

    func apply(to catalogue: Catalogue, context: SessionContext) throws(PostgresError) -> Int {
        let run = DefinitionRun(source: source, catalogue: catalogue, context: context)
        try run.carryOut(node)
        try catalogue.hasChanged()
        return run.rowCount
    }
}

/// One change of the catalogue being made: rows of `pg_class` and its relatives, and what SQLite is to have for them.
final class DefinitionRun {
    let source: SourceText
    let catalogue: Catalogue
    let context: SessionContext
    /// Rows that a new table was filled with.
    var rowCount = 0

    init(source: SourceText, catalogue: Catalogue, context: SessionContext) {
        self.source = source
        self.catalogue = catalogue
        self.context = context
    }

    func carryOut(_ node: SyntaxNode) throws(PostgresError) {
        switch node.kind {
        case "CreateStmt": try createTable(node)
        case "CreateTableAsStmt": try createTableAs(node)
        case "IndexStmt": try createIndex(node)
        case "ViewStmt": try createView(node)
        case "CreateSeqStmt": try createSequence(node)
        case "AlterSeqStmt": try alterSequence(node)
        case "CreateSchemaStmt": try createSchema(node)
        case "DropStmt": try drop(node)
        case "AlterTableStmt": try alterTable(node)
        case "RenameStmt": try rename(node)
        case "AlterObjectSchemaStmt": try moveToSchema(node)
        case "CommentStmt": try comment(node)
        default: throw unsupported("\(node.kind)")
        }
    }

    // MARK: Errors and notices

    func fail(_ state: SQLState, _ message: String, at location: Int? = nil, hint: String? = nil, detail: String? = nil)
        -> PostgresError
    {
        PostgresError(state, message, detail: detail, hint: hint, position: source.position(location))
    }

    func unsupported(_ what: String) -> PostgresError { fail(.featureNotSupported, "\(what) is not supported") }

    func notice(_ state: SQLState, _ message: String) {
        context.notices.append(PostgresError(state, message, severity: .notice))
    }

    // MARK: Names

    func translation() -> Translation {
        let result = Translation(source: source, catalogue: catalogue, context: context)
        result.constants.isInline = true
        return result
    }

    /// The schema that a RangeVar names, or the first one of the path.
    func schema(_ node: SyntaxNode) throws(PostgresError) -> (name: String, oid: UInt32) {
        if node.text("relpersistence") == "t" || node.text("schemaname") == TemporarySchema.alias {
            return try temporarySchema()
        }
        let name = node.has("schemaname") ? node.text("schemaname") : try catalogue.creationSchema(context.searchPath)
        guard let oid = try catalogue.schema(name) else {
            throw fail(.invalidSchemaName, "schema \"\(name)\" does not exist", at: node.location)
        }
        guard name != Catalogue.catalogueSchema, name != Catalogue.informationSchema else {
            throw fail(
                .insufficientPrivilege, "permission denied to create \"\(name).\(node.text("relname"))\"",
                detail: "System catalog modifications are currently disallowed.")
        }
        return (name, oid)
    }

    func exists(_ name: String, in schema: UInt32) throws(PostgresError) -> Bool {
        try catalogue.integer(
            "SELECT 1 FROM pg_class WHERE relname = ?1 AND relnamespace = ?2", [.text(name), .integer(Int64(schema))])
            != nil
    }

    /// `table_column_key`, with a number where that is taken; 63 bytes at most.
    func freeName(_ parts: [String], _ label: String, in schema: UInt32) throws(PostgresError) -> String {
        var base = parts.joined(separator: "_")
        let room = 63 - label.utf8.count - 1
        while base.utf8.count > room { base.removeLast() }
        var number = 0
        while true {
            let name = base + "_" + label + (number == 0 ? "" : String(number))
            let isTaken =
                try catalogue.integer(
                    "SELECT 1 FROM pg_constraint WHERE conname = ?1 AND connamespace = ?2",
                    [.text(name), .integer(Int64(schema))]) != nil
            if !isTaken, try !exists(name, in: schema) { return name }
            number += 1
        }
    }

    /// A table that is somebody's own.
    func table(_ node: SyntaxNode, isMissingAllowed: Bool = false) throws(PostgresError) -> Relation? {
        let schema = context.schemaName(node.text("schemaname"))
        let name = node.text("relname")
        guard let found = try catalogue.relation(name, schema: schema, searchPath: context.searchPath) else {
            if isMissingAllowed {
                notice("00000", "relation \"\(name)\" does not exist, skipping")
                return nil
            }
            throw fail(.undefinedTable, "relation \"\(name)\" does not exist", at: node.location)
        }
        guard !found.isSystem, found.oid >= 16_384 else {
            throw fail(.insufficientPrivilege, "permission denied: \"\(name)\" is a system catalog")
        }
        return found
    }

    // MARK: Rows of the catalogue

    func addClass(
        _ oid: UInt32, _ name: String, schema: UInt32, kind: String, columns: Int, method: Int64 = 0
    ) throws(PostgresError) {
        try catalogue.insert(
            "pg_class",
            [
                "oid": .integer(Int64(oid)), "relname": .text(name), "relnamespace": .integer(Int64(schema)),
                "relowner": .integer(10), "relam": .integer(method), "relfilenode": .integer(Int64(oid)),
                "relpersistence": .text(try isTemporary(schema: schema) ? "t" : "p"), "relkind": .text(kind),
                "relnatts": .integer(Int64(columns)),
                "reltuples": .real(-1), "relispopulated": .integer(1), "relreplident": .text(kind == "r" ? "d" : "n"),
            ])
    }

    func addDependency(of object: UInt32, on other: UInt32, column: Int16 = 0, kind: String) throws(PostgresError) {
        try catalogue.insert(
            "pg_depend",
            [
                "classid": .integer(1259), "objid": .integer(Int64(object)), "refclassid": .integer(1259),
                "refobjid": .integer(Int64(other)), "refobjsubid": .integer(Int64(column)), "deptype": .text(kind),
            ])
    }

    func createSchema(_ node: SyntaxNode) throws(PostgresError) {
        let name = node.has("schemaname") ? node.text("schemaname") : node["authrole"]?.text("rolename") ?? ""
        guard !name.hasPrefix("pg_") else {
            throw fail(
                "42939", "unacceptable schema name \"\(name)\"",
                detail: "The prefix \"pg_\" is reserved for system schemas.")
        }
        guard try catalogue.schema(name) == nil else {
            if node.flag("if_not_exists") {
                return notice(.duplicateSchema, "schema \"\(name)\" already exists, skipping")
            }
            throw fail(.duplicateSchema, "schema \"\(name)\" already exists")
        }
        guard node.list("schemaElts").isEmpty else { throw unsupported("CREATE SCHEMA with elements") }
        try catalogue.insert(
            "pg_namespace",
            ["oid": .integer(Int64(try catalogue.nextOID())), "nspname": .text(name), "nspowner": .integer(10)])
    }

    func comment(_ node: SyntaxNode) throws(PostgresError) {
        var names = node["object"]?.words("items") ?? []
        var number: Int16 = 0
        let object: UInt32
        switch node.text("objtype") {
        case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_COLUMN":
            let column = node.text("objtype") == "OBJECT_COLUMN" ? names.popLast() : nil
            guard let name = names.last,
                let relation = try catalogue.relation(
                    name, schema: names.count > 1 ? names[0] : nil, searchPath: context.searchPath)
            else { throw fail(.undefinedTable, "relation \"\(names.joined(separator: "."))\" does not exist") }
            object = relation.oid
            if let column {
                guard let found = relation.column(column) else {
                    throw fail(
                        .undefinedColumn, "column \"\(column)\" of relation \"\(relation.name)\" does not exist")
                }
                number = found.number
            }
        default: return
        }
        try catalogue.run(
            "DELETE FROM pg_description WHERE objoid = ?1 AND objsubid = ?2",
            [.integer(Int64(object)), .integer(Int64(number))])
        guard node.has("comment") else { return }
        try catalogue.insert(
            "pg_description",
            [
                "objoid": .integer(Int64(object)), "classoid": .integer(1259), "objsubid": .integer(Int64(number)),
                "description": .text(node.text("comment")),
            ])
    }
}

extension Translation {
    /// Statements that change the catalogue.
    func definition(_ node: SyntaxNode, _ statement: ParsedStatement) throws(PostgresError) -> Plan {
        if node.kind == "CreateExtensionStmt" {
            return try createExtension(node)
        }
        guard let tag = Self.tags[node.kind] ?? objectTag(node) else { throw unsupported(Self.words(node.kind)) }
        return Plan(
            .definition(StatementDefinition(node: node, source: statement.source)),
            tag: node.kind == "CreateTableAsStmt" ? .counted(tag) : .words(tag), readsOnly: false,
            isReusable: false)
    }

    /// There is one, as in every new database of PostgreSQL. Whoever asks for another needs its functions.
    private func createExtension(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        let name = node.text("extname")
        guard name == "plpgsql" else {
            throw fail(
                .featureNotSupported, "extension \"\(name)\" is not available",
                hint: "This server has no extensions but plpgsql; gen_random_uuid() is there without one.",
                detail: "Could not open extension control file \"\(name).control\": No such file or directory.")
        }
        return Plan(.nothing, tag: .words("CREATE EXTENSION"), readsOnly: false)
    }

    private static let tags = [
        "CreateStmt": "CREATE TABLE", "IndexStmt": "CREATE INDEX", "ViewStmt": "CREATE VIEW",
        "CreateSeqStmt": "CREATE SEQUENCE", "AlterSeqStmt": "ALTER SEQUENCE", "CreateSchemaStmt": "CREATE SCHEMA",
        "CommentStmt": "COMMENT",
    ]

    private func objectTag(_ node: SyntaxNode) -> String? {
        func object(_ field: String) -> String {
            String(node.text(field).dropFirst("OBJECT_".count)).replacing("_", with: " ")
        }
        switch node.kind {
        case "DropStmt": return "DROP " + object("removeType")
        case "AlterTableStmt": return "ALTER " + object("objtype")
        case "AlterObjectSchemaStmt": return "ALTER " + object("objectType")
        case "RenameStmt":
            let type = object("renameType")
            return "ALTER " + (type == "COLUMN" || type == "TABCONSTRAINT" ? "TABLE" : type)
        case "CreateTableAsStmt": return "SELECT"
        default: return nil
        }
    }

    /// `CreateFunctionStmt` as people say it: `CREATE FUNCTION`.
    private static func words(_ kind: String) -> String {
        var text = ""
        for character in kind.hasSuffix("Stmt") ? kind.dropLast(4) : kind[...] {
            if character.isUppercase, !text.isEmpty { text += " " }
            text += character.uppercased()
        }
        return text
    }
}
