import KernelSQLite
import KernelWire

/// A column that a statement describes, before it has a number.
struct NewColumn {
    var name: String
    var type: DataType
    var isNotNull = false
    var defaultNode: SyntaxNode?
    /// In place of `defaultNode`.
    var defaultText: String?
    var identity = ""
    var generated: SyntaxNode?
    /// `bigserial` and its relatives: a sequence of this type goes with it.
    var sequenceType: PostgresOID?
    var sequenceOptions: [SyntaxNode] = []
    var constraints: [SyntaxNode] = []
    var location: Int?
}

extension DefinitionRun {
    func createTable(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["relation"] else { throw unsupported("a table without a name") }
        for field in ["inhRelations", "partspec", "partbound", "ofTypename"] where node.has(field) {
            throw unsupported("inheritance and partitioning")
        }
        var columns: [NewColumn] = []
        var constraints: [SyntaxNode] = []
        for element in node.list("tableElts") {
            switch element.kind {
            case "ColumnDef": columns.append(try newColumn(element))
            case "Constraint": constraints.append(element)
            case "TableLikeClause": columns += try like(element)
            default: throw unsupported(element.kind)
            }
        }
        guard let oid = try makeTable(name, columns, isExistingAllowed: node.flag("if_not_exists")) else { return }
        try note(oid, onCommit: node.text("oncommit"))
        catalogue.forget()
        for column in columns {
            for constraint in column.constraints { try add(constraint, to: oid, column: column.name) }
        }
        for constraint in constraints { try add(constraint, to: oid, column: nil) }
    }

    /// - Returns: the table's number; nil if it is there already, and may be.
    @discardableResult
    func makeTable(
        _ name: SyntaxNode, _ columns: [NewColumn], isExistingAllowed: Bool
    ) throws(PostgresError) -> UInt32? {
        let table = name.text("relname")
        let schema = try self.schema(name)
        guard try !exists(table, in: schema.oid) else {
            if isExistingAllowed {
                notice(.duplicateTable, "relation \"\(table)\" already exists, skipping")
                return nil
            }
            throw fail(.duplicateTable, "relation \"\(table)\" already exists")
        }
        guard columns.count <= 1600 else { throw fail(.tooManyColumns, "tables can have at most 1600 columns") }
        var seen: Set<String> = []
        for column in columns where !seen.insert(column.name).inserted {
            throw fail(.duplicateColumn, "column \"\(column.name)\" specified more than once")
        }
        let oid = try catalogue.nextOID()
        try addClass(oid, table, schema: schema.oid, kind: "r", columns: columns.count, method: 2)
        var stored: [String] = []
        for (index, column) in columns.enumerated() {
            let number = Int16(index + 1)
            try addColumn(column, number, to: oid, table: table, schema: schema)
            var text = identifier(StorageName.of(column.name, Int64(number)))
            if let expression = column.generated {
                text += " GENERATED ALWAYS AS (\(try generatedSQL(expression, column, columns))) STORED"
            }
            stored.append(text)
        }
        // SQLite has no table without columns.
        if stored.isEmpty { stored = ["\"empty_0\""] }
        try catalogue.execute(
            "CREATE TABLE \(identifier(StorageName.of(table, Int64(oid)))) (\(stored.joined(separator: ", ")))")
        return oid
    }

    func addColumn(
        _ column: NewColumn, _ number: Int16, to oid: UInt32, table: String, schema: (name: String, oid: UInt32)
    ) throws(PostgresError) {
        let type = column.type
        guard type.oid != .unknown, type.oid != .record, type.oid != .void else {
            throw fail(
                .invalidTableDefinition, "column \"\(column.name)\" has pseudo-type \(type.oid.typeName)",
                at: column.location)
        }
        var text = column.defaultText ?? column.generated.map { Deparser(literalType: nil).text($0) }
        if let node = column.defaultNode {
            try checkDefault(node, column)
            text = node.kind == "A_Const" && node.flag("isnull") ? nil : Deparser(literalType: type.oid).text(node)
        }
        if let sequence = column.sequenceType {
            text = try ownedSequence(sequence, column, number, oid, table: table, schema: schema)
        }
        try catalogue.insert(
            "pg_attribute",
            [
                "attrelid": .integer(Int64(oid)), "attname": .text(column.name),
                "atttypid": .integer(Int64(type.oid.rawValue)), "attstattarget": .integer(-1),
                "attlen": .integer(Int64(type.oid.byteCount)), "attnum": .integer(Int64(number)),
                "attndims": .integer(type.oid.element == nil ? 0 : 1), "attcacheoff": .integer(-1),
                "atttypmod": .integer(Int64(type.modifier)), "attnotnull": .integer(column.isNotNull ? 1 : 0),
                "atthasdef": .integer(text == nil || !column.identity.isEmpty ? 0 : 1),
                "attidentity": .text(column.identity),
                "attgenerated": .text(column.generated == nil ? "" : "s"), "attislocal": .integer(1),
                "attcollation": .integer(
                    [.text, .varchar, .bpchar].contains(type.oid.element ?? type.oid)
                        ? 100 : type.oid == .name ? 950 : 0),
            ])
        guard let text else { return }
        try catalogue.insert(
            "pg_attrdef",
            [
                "oid": .integer(Int64(try catalogue.nextOID())), "adrelid": .integer(Int64(oid)),
                "adnum": .integer(Int64(number)), "adbin": .text(text),
            ])
    }

    private func checkDefault(_ node: SyntaxNode, _ column: NewColumn) throws(PostgresError) {
        let translation = translation()
        translation.allowsSubqueries = false
        let scope = Scope(parent: nil)
        scope.aggregateFreeClause = "DEFAULT expressions"
        var usesColumn = false
        node.walk { inner in
            if inner.kind == "ColumnRef" { usesColumn = true }
            return true
        }
        guard !usesColumn else {
            throw fail("0A000", "cannot use column reference in DEFAULT expression", at: node.location)
        }
        let value = try translation.expression(node, scope)
        if !value.isUnknown, value.oid != column.type.oid,
            !translation.castPath(from: value.oid, to: column.type.oid, .assignment)
        {
            throw fail(
                .datatypeMismatch,
                "column \"\(column.name)\" is of type \(column.type.oid.typeName) but default expression is of type \(value.oid.typeName)",
                hint: "You will need to rewrite or cast the expression.")
        }
        _ = try translation.coerce(value, to: column.type, .assignment)
    }

    func generatedSQL(
        _ node: SyntaxNode, _ column: NewColumn, _ columns: [NewColumn]
    ) throws(PostgresError) -> String {
        let scope = Scope(parent: nil)
        scope.aggregateFreeClause = "column generation expressions"
        scope.columns = columns.enumerated().filter { $0.element.generated == nil }.map { index, other in
            RangeColumn(
                name: other.name,
                expression: Expression(identifier(StorageName.of(other.name, Int64(index + 1))), other.type))
        }
        let translation = translation()
        translation.allowsSubqueries = false
        return try translation.coerce(try translation.expression(node, scope), to: column.type, .assignment).sql
    }

    // MARK: What a statement says about a column

    func newColumn(_ node: SyntaxNode) throws(PostgresError) -> NewColumn {
        guard let typeName = node["typeName"] else { throw unsupported("a column without a type") }
        let serial = Self.serialTypes[typeName.words("names").last ?? ""]
        let type: DataType
        if let serial {
            type = DataType(serial)
        } else {
            do throws(PostgresError) { type = try TypeNames.type(typeName) } catch {
                var error = error
                error.position = source.position(SyntaxNode(kind: "T", fields: typeName.fields).location)
                throw error
            }
        }
        var column = NewColumn(name: node.text("colname"), type: type, location: node.location)
        if serial != nil {
            column.sequenceType = serial
            column.isNotNull = true
        }
        for constraint in node.list("constraints") {
            switch constraint.text("contype") {
            case "CONSTR_NOTNULL": column.isNotNull = true
            case "CONSTR_NULL": column.isNotNull = false
            case "CONSTR_DEFAULT": column.defaultNode = constraint["raw_expr"]
            case "CONSTR_IDENTITY":
                column.identity = constraint.text("generated_when")
                column.sequenceType = type.oid
                column.sequenceOptions = constraint.list("options")
                column.isNotNull = true
            case "CONSTR_GENERATED": column.generated = constraint["raw_expr"]
            case "CONSTR_PRIMARY":
                column.isNotNull = true
                column.constraints.append(constraint)
            case "CONSTR_ATTR_NOT_DEFERRABLE", "CONSTR_ATTR_IMMEDIATE": break
            case "CONSTR_ATTR_DEFERRABLE", "CONSTR_ATTR_DEFERRED": throw unsupported("a deferrable constraint")
            default: column.constraints.append(constraint)
            }
        }
        return column
    }

    private static let serialTypes: [String: PostgresOID] = [
        "serial": .int4, "serial4": .int4, "bigserial": .int8, "serial8": .int8, "smallserial": .int2, "serial2": .int2,
    ]

    /// `LIKE other INCLUDING …`: columns and whether they may be NULL; defaults if they are asked for.
    private func like(_ node: SyntaxNode) throws(PostgresError) -> [NewColumn] {
        guard let name = node["relation"], let other = try table(name) else { return [] }
        // CREATE_TABLE_LIKE_DEFAULTS of PostgreSQL's parsenodes.h
        let hasDefaults = node.integer("options") & 0x8 != 0
        return other.columns.map { column in
            var copy = NewColumn(name: column.name, type: column.type, isNotNull: column.isNotNull)
            if hasDefaults, !column.isGenerated, column.identity.isEmpty { copy.defaultText = column.defaultText }
            return copy
        }
    }

    // MARK: CREATE TABLE AS

    func createTableAs(_ node: SyntaxNode) throws(PostgresError) {
        guard let into = node["into"], let name = into["rel"], let statement = node["query"] else {
            throw unsupported("CREATE TABLE AS without a query")
        }
        guard node.text("objtype") == "OBJECT_TABLE" else { throw unsupported("a materialized view") }
        let translation = translation()
        let query = try translation.query(statement, Scope(parent: nil))
        try translation.resolveUnknown(query)
        let names = into.words("colNames")
        let columns = query.targets.enumerated().map { index, target in
            NewColumn(name: index < names.count ? names[index] : target.name, type: target.expression.type)
        }
        guard let oid = try makeTable(name, columns, isExistingAllowed: node.flag("if_not_exists")) else { return }
        try note(oid, onCommit: into.text("onCommit"))
        guard !into.flag("skipData"), !columns.isEmpty else { return }
        try catalogue.run("INSERT INTO \(identifier(StorageName.of(name.text("relname"), Int64(oid)))) \(query.sql)")
        rowCount = catalogue.connection.changes
    }
}
