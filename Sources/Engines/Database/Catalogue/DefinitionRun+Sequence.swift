import KernelSQLite
import KernelWire

/// What a sequence counts by.
struct SequenceParameters {
    var type = PostgresOID.int8
    var start: Int64?
    var increment: Int64 = 1
    var minimum: Int64?
    var maximum: Int64?
    var cache: Int64 = 1
    var isCycling = false
    var restart: Int64??
    var owner: [String]?

    private var range: (Int64, Int64) {
        switch type {
        case .int2: (1, Int64(Int16.max))
        case .int4: (1, Int64(Int32.max))
        default: (1, .max)
        }
    }

    var lowest: Int64 {
        if let minimum { return minimum }
        if increment > 0 { return 1 }
        return type == .int2 ? Int64(Int16.min) : type == .int4 ? Int64(Int32.min) : .min
    }

    var highest: Int64 { maximum ?? (increment > 0 ? range.1 : -1) }
    var first: Int64 { start ?? (increment > 0 ? lowest : highest) }
}

extension DefinitionRun {
    func createSequence(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["sequence"] else { return }
        let schema = try self.schema(name)
        guard try !exists(name.text("relname"), in: schema.oid) else {
            let message = "relation \"\(name.text("relname"))\" already exists"
            if node.flag("if_not_exists") { return notice(.duplicateTable, message + ", skipping") }
            throw fail(.duplicateTable, message)
        }
        var parameters = SequenceParameters()
        try read(node.list("options"), into: &parameters)
        let oid = try makeSequence(name.text("relname"), schema.oid, parameters)
        try setOwner(of: oid, parameters)
    }

    private func read(_ options: [SyntaxNode], into parameters: inout SequenceParameters) throws(PostgresError) {
        for option in options {
            let value = option["arg"]
            let number =
                value.flatMap {
                    $0.kind == "Float" ? Int64($0.text("fval")) : $0.kind == "Integer" ? Int64($0.integer("ival")) : nil
                }
            switch option.text("defname") {
            case "as": if let value { parameters.type = try TypeNames.type(value).oid }
            case "start": parameters.start = number
            case "increment":
                guard number != 0 else { throw fail(.invalidParameterValue, "INCREMENT must not be zero") }
                parameters.increment = number ?? 1
            case "minvalue": parameters.minimum = number
            case "maxvalue": parameters.maximum = number
            case "cache": parameters.cache = number ?? 1
            case "cycle": parameters.isCycling = value?.flag("boolval") ?? true
            case "restart": parameters.restart = .some(number)
            case "owned_by": parameters.owner = value?.words("items")
            default: break
            }
        }
        guard [.int2, .int4, .int8].contains(parameters.type) else {
            throw fail(.invalidParameterValue, "sequence type must be smallint, integer, or bigint")
        }
        guard parameters.lowest < parameters.highest else {
            throw fail(
                .invalidParameterValue,
                "MINVALUE (\(parameters.lowest)) must be less than MAXVALUE (\(parameters.highest))")
        }
        guard parameters.first >= parameters.lowest else {
            throw fail(
                .invalidParameterValue,
                "START value (\(parameters.first)) cannot be less than MINVALUE (\(parameters.lowest))")
        }
        guard parameters.first <= parameters.highest else {
            throw fail(
                .invalidParameterValue,
                "START value (\(parameters.first)) cannot be greater than MAXVALUE (\(parameters.highest))")
        }
    }

    private func makeSequence(_ name: String, _ schema: UInt32, _ parameters: SequenceParameters) throws(PostgresError)
        -> UInt32
    {
        let oid = try catalogue.nextOID()
        catalogue.shared.sequences.forget(oid)
        try addClass(oid, name, schema: schema, kind: "S", columns: 3)
        try catalogue.insert("pg_sequence", row(oid, parameters))
        try catalogue.run(
            "INSERT INTO sdlab_sequence VALUES (?1, ?2, 0)", [.integer(Int64(oid)), .integer(parameters.first)])
        return oid
    }

    private func row(_ oid: UInt32, _ parameters: SequenceParameters) -> [String: SQLiteValue] {
        [
            "seqrelid": .integer(Int64(oid)), "seqtypid": .integer(Int64(parameters.type.rawValue)),
            "seqstart": .integer(parameters.first), "seqincrement": .integer(parameters.increment),
            "seqmax": .integer(parameters.highest), "seqmin": .integer(parameters.lowest),
            "seqcache": .integer(parameters.cache), "seqcycle": .integer(parameters.isCycling ? 1 : 0),
        ]
    }

    /// The sequence of a serial or identity column; returns the column's default.
    func ownedSequence(
        _ type: PostgresOID, _ column: NewColumn, _ number: Int16, _ table: UInt32, table name: String,
        schema: (name: String, oid: UInt32)
    ) throws(PostgresError) -> String {
        guard type.isInteger else {
            throw fail(.invalidParameterValue, "identity column type must be smallint, integer, or bigint")
        }
        var parameters = SequenceParameters(type: type)
        try read(column.sequenceOptions, into: &parameters)
        let sequence = try freeName([name, column.name], "seq", in: schema.oid)
        let oid = try makeSequence(sequence, schema.oid, parameters)
        try addDependency(of: oid, on: table, column: number, kind: column.identity.isEmpty ? "a" : "i")
        let isVisible = context.searchPath.contains(schema.name)
        let shown = (isVisible ? "" : ObjectNames.quoted(schema.name) + ".") + ObjectNames.quoted(sequence)
        return "nextval(\(ConstantPool.quoted(shown))::regclass)"
    }

    private func setOwner(of oid: UInt32, _ parameters: SequenceParameters) throws(PostgresError) {
        guard let owner = parameters.owner else { return }
        try catalogue.run("DELETE FROM pg_depend WHERE objid = ?1 AND deptype = 'a'", [.integer(Int64(oid))])
        guard owner != ["none"], owner.count >= 2 else { return }
        let name = owner[owner.count - 2]
        guard
            let table = try catalogue.relation(
                name, schema: owner.count > 2 ? owner[owner.count - 3] : nil, searchPath: context.searchPath)
        else { throw fail(.undefinedTable, "relation \"\(name)\" does not exist") }
        guard let column = table.column(owner[owner.count - 1]) else {
            throw fail(
                .undefinedColumn, "column \"\(owner[owner.count - 1])\" of relation \"\(table.name)\" does not exist")
        }
        try addDependency(of: oid, on: table.oid, column: column.number, kind: "a")
    }

    func alterSequence(_ node: SyntaxNode) throws(PostgresError) {
        guard let name = node["sequence"], let sequence = try table(name, isMissingAllowed: node.flag("missing_ok"))
        else { return }
        guard sequence.kind == .sequence else {
            throw fail(.wrongObjectType, "\"\(sequence.name)\" is not a sequence")
        }
        let oid = SQLiteValue.integer(Int64(sequence.oid))
        guard
            let stored = try catalogue.rows(
                "SELECT seqtypid, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle FROM pg_sequence WHERE seqrelid = ?1",
                [oid]
            ).first
        else { return }
        let fields = CatalogueRow(stored)
        var parameters = SequenceParameters(
            type: PostgresOID(rawValue: fields.oid(0)), start: fields.integer(1), increment: fields.integer(2),
            minimum: fields.integer(3), maximum: fields.integer(4), cache: fields.integer(5),
            isCycling: fields.integer(6) != 0)
        try read(node.list("options"), into: &parameters)
        try catalogue.run("DELETE FROM pg_sequence WHERE seqrelid = ?1", [oid])
        try catalogue.insert("pg_sequence", row(sequence.oid, parameters))
        if let restart = parameters.restart {
            let value = restart ?? parameters.first
            catalogue.shared.sequences.forget(sequence.oid)
            try catalogue.run(
                "UPDATE sdlab_sequence SET last_value = ?1, is_called = 0 WHERE oid = ?2", [.integer(value), oid])
        }
        try setOwner(of: sequence.oid, parameters)
    }
}
