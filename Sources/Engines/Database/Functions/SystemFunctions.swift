import KernelSQLite
import KernelStructures
import KernelWire

extension DatabaseFunctions {
    /// What depends on the session, and what changes something.
    static var system: Table {
        Table(
            strict: [
                (
                    "pg_check_violation",
                    {
                        throw violation(.checkViolation, $0) {
                            "new row for relation \"\($0.name)\" violates check constraint \"\($1.name)\""
                        }
                    }
                ),
                ("pg_encoding_to_char", { .text($0.integer(0) == 6 ? "UTF8" : $0.integer(0) == 0 ? "SQL_ASCII" : "") }),
                ("pg_size_pretty", { .text(sizeText($0.decimal(0).roundedInt ?? 0)) }),
                ("pg_outer_rows", { try outerRows($0) }),
            ],
            lenient: [
                (
                    "pg_missing_reference",
                    { call in
                        throw violation(.foreignKeyViolation, call) { table, constraint in
                            "insert or update on table \"\(table.name)\" violates foreign key constraint \"\(constraint.name)\""
                        }
                    }
                ),
                ("pg_still_referenced", { call in throw stillReferenced(call) }),
                ("pg_num_nulls", { call in .integer(Int64((0..<call.count).count { call.isNull($0) })) }),
                ("pg_num_nonnulls", { call in .integer(Int64((0..<call.count).count { !call.isNull($0) })) }),
            ],
            changing: session + [
                (
                    "pg_late_reference",
                    { call in
                        try call.context.note(
                            LateReference(
                                isStill: call.flag(0), constraint: UInt32(truncatingIfNeeded: call.integer(1)),
                                values: (2..<max(2, call.count)).map { call[$0] }))
                        return .integer(1)
                    }
                ),
                ("pg_nextval", { try next($0) }),
                (
                    "pg_currval",
                    { call in
                        guard let value = call.context.sequenceValues[UInt32(truncatingIfNeeded: call.integer(0))]
                        else {
                            let name = call.shown(0, .regclass)
                            throw PostgresError(
                                .objectNotInPrerequisiteState,
                                "currval of sequence \"\(name)\" is not yet defined in this session")
                        }
                        return .integer(value)
                    }
                ),
                (
                    "pg_lastval",
                    { call in
                        guard let last = call.context.lastSequence, let value = call.context.sequenceValues[last] else {
                            throw PostgresError(
                                .objectNotInPrerequisiteState, "lastval is not yet defined in this session")
                        }
                        return .integer(value)
                    }
                ),
                ("pg_setval", { try setValue($0) }),
                (
                    "pg_touch",
                    { call in
                        guard call.context.touchedRows.touch(call.integer(0)) else {
                            throw PostgresError(
                                .cardinalityViolation,
                                "ON CONFLICT DO UPDATE command cannot affect row a second time",
                                hint: "Ensure that no rows proposed for insertion within the same command have "
                                    + "duplicate constrained values.")
                        }
                        return .integer(1)
                    }
                ),
                (
                    "pg_forget_mark",
                    { call in
                        call.catalogue.shared.sequences.forget(UInt32(truncatingIfNeeded: call.integer(0)))
                        return .integer(1)
                    }
                ),
                (
                    "pg_sleep",
                    { call in
                        if call.isNull(0) { return .null }
                        let seconds = max(0, call.real(0))
                        return try call.context.waits.answer { throw WaitRequest.sleep(seconds: seconds) }
                    }
                ),
                ("pg_advisory", { try advisory($0) }),
                (
                    "pg_notify",
                    { call in
                        try call.context.notify(call.text(0), call.text(1))
                        return .text("")
                    }
                ),
            ])
    }

    /// `pg_advisory('lock', 1)`, and with two numbers for a key of two halves.
    private static func advisory(_ call: FunctionCall) throws -> SQLiteValue {
        guard let verb = AdvisoryVerb(call.text(0)), !(1..<call.count).contains(where: call.isNull) else {
            return .null
        }
        let key =
            call.count > 2
            ? AdvisoryKey(Int32(truncatingIfNeeded: call.integer(1)), Int32(truncatingIfNeeded: call.integer(2)))
            : AdvisoryKey(call.count > 1 ? call.integer(1) : 0)
        let context = call.context
        return try context.waits.answer { try context.advisory(verb, key) }
    }

    private static var session: [(String, FunctionBody)] {
        [
            ("pg_now", { .integer($0.context.transactionTime.postgresMicroseconds) }),
            ("pg_statement_timestamp", { .integer($0.context.statementTime.postgresMicroseconds) }),
            ("pg_clock_timestamp", { .integer($0.context.clock().postgresMicroseconds) }),
            (
                "pg_localtimestamp",
                { .integer($0.context.timeZone.local($0.context.transactionTime.postgresMicroseconds)) }
            ),
            ("pg_current_user", { .text($0.context.user) }),
            ("pg_session_user", { .text($0.context.user) }),
            ("pg_current_database", { .text($0.context.database) }),
            (
                "pg_current_schema",
                { (try? $0.catalogue.creationSchema($0.context.searchPath)).map { .text($0) } ?? .null }
            ),
            (
                "pg_current_schemas",
                { call in
                    var names = call.flag(0) ? [Catalogue.catalogueSchema] : []
                    for name in call.context.searchPath
                    where try call.catalogue.schema(name) != nil
                        && (call.flag(0) || !name.hasPrefix(TemporarySchema.prefix))
                    {
                        names.append(name)
                    }
                    return .text(PostgresValue.array(names.map { .text($0) }, element: .text).text)
                }
            ),
            ("pg_backend_pid", { .integer(Int64($0.context.backendPID)) }),
            ("pg_version", { _ in .text("PostgreSQL \(DatabaseVersion.text) (sdlab) on SQLite") }),
            ("pg_inet_client_addr", { $0.context.clientAddress.map { .text($0) } ?? .null }),
            ("pg_inet_server_addr", { _ in .null }),
            (
                "pg_inet_server_port",
                { $0.context.settings.value("port").flatMap { Int64($0) }.map { .integer($0) } ?? .null }
            ),
            ("pg_postmaster_start_time", { .integer($0.context.transactionTime.postgresMicroseconds) }),
            ("pg_txid_current", { .integer($0.context.transactionTime.nanoseconds / 1000) }),
            ("pg_gen_random_uuid", { .text(uuid(&$0.context.random)) }),
            ("pg_current_setting", { try currentSetting($0) }),
            (
                "pg_set_config",
                { call in
                    try call.context.settings.set(call.text(0), call.isNull(1) ? nil : call.text(1))
                    return .text(call.context.settings.value(call.text(0)) ?? "")
                }
            ),
            (
                "pg_cancel_backend",
                { .integer($0.context.signal(Int32(truncatingIfNeeded: $0.integer(0)), false) ? 1 : 0) }
            ),
            (
                "pg_terminate_backend",
                { .integer($0.context.signal(Int32(truncatingIfNeeded: $0.integer(0)), true) ? 1 : 0) }
            ),
        ]
    }

    private static func currentSetting(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        if let value = call.context.settings.value(call.text(0)) { return .text(value) }
        if call.count > 1, call.flag(1) { return .null }
        throw PostgresError(.undefinedObject, "unrecognized configuration parameter \"\(call.text(0))\"")
    }

    /// Version 4 of RFC 9562.
    private static func uuid(_ random: inout SeededRandom) -> String {
        let high = random.next() & ~0xF000 | 0x4000
        let low = random.next() & ~(3 << 62) | 1 << 63
        return PostgresUUID(high: high, low: low).description
    }

    private static func sizeText(_ bytes: Int) -> String {
        var (value, unit) = (bytes, 0)
        let units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
        while value.magnitude >= 10_240, unit < units.count - 1 {
            value = (value + (value < 0 ? -512 : 512)) / 1024
            unit += 1
        }
        return "\(value) \(units[unit])"
    }

    /// Rows of what is not in the database's file, as JSON for `json_each`.
    private static func outerRows(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard let table = SystemTable.byName[call.text(0)] else { return .text("[]") }
        let rows: [[String: SQLiteValue]] =
            table.name == "pg_settings" ? settingRows(call.context) : call.context.outerRows(table.name)
        let lines = rows.map { row in
            "[" + table.columns.map { JSONItems.text(row[$0.name] ?? .null) }.joined(separator: ",") + "]"
        }
        return .text("[" + lines.joined(separator: ",") + "]")
    }

    private static func settingRows(_ context: SessionContext) -> [[String: SQLiteValue]] {
        context.settings.all.map { name, value in
            [
                "name": .text(name), "setting": .text(value), "category": .text("Settings"), "short_desc": .text(""),
                "context": .text("user"), "vartype": .text("string"), "source": .text("default"),
                "boot_val": .text(value),
                "reset_val": .text(value), "pending_restart": .integer(0),
            ]
        }
    }

    // MARK: Constraints

    private static func violation(
        _ state: SQLState, _ call: FunctionCall, _ message: (Relation, Relation.Constraint) -> String
    ) -> PostgresError {
        let oid = UInt32(truncatingIfNeeded: call.integer(0))
        guard
            let owner = try? call.catalogue.integer(
                "SELECT conrelid FROM pg_constraint WHERE oid = ?1", [.integer(Int64(oid))]),
            let table = (try? call.catalogue.relation(UInt32(truncatingIfNeeded: owner))) ?? nil,
            let constraint = table.constraints.first(where: { $0.oid == oid })
        else { return PostgresError(state, "a constraint is violated") }
        var error = PostgresError(state, message(table, constraint))
        error.schema = table.schema
        error.table = table.name
        error.constraint = constraint.name
        guard constraint.kind == .foreignKey, call.count > 1,
            let other = (try? call.catalogue.relation(constraint.foreignTable)) ?? nil
        else { return error }
        let isChild = message(table, constraint).hasPrefix("insert")
        let owned = isChild ? table : other
        let keys = (isChild ? constraint.keys : constraint.foreignKeys).compactMap { owned.column(number: $0) }
        let values = keys.enumerated().map { call.shown($0 + 1, $1.type.oid) }.joined(separator: ", ")
        let names = keys.map(\.name).joined(separator: ", ")
        error.detail =
            isChild
            ? "Key (\(names))=(\(values)) is not present in table \"\(other.name)\"."
            : "Key (\(names))=(\(values)) is still referenced from table \"\(table.name)\"."
        return error
    }

    private static func stillReferenced(_ call: FunctionCall) -> PostgresError {
        var parent = ""
        let oid = call.integer(0)
        if let number = try? call.catalogue.integer(
            "SELECT confrelid FROM pg_constraint WHERE oid = ?1", [.integer(oid)]),
            let relation = (try? call.catalogue.relation(UInt32(truncatingIfNeeded: number))) ?? nil
        {
            parent = relation.name
        }
        return violation(.foreignKeyViolation, call) { table, constraint in
            "update or delete on table \"\(parent)\" violates foreign key constraint \"\(constraint.name)\" on table \"\(table.name)\""
        }
    }

    // MARK: Sequences

    private static func next(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        if call.isNull(0) { return .null }
        let oid = call.integer(0)
        guard
            let row = try call.catalogue.rows(
                "SELECT v.last_value, v.is_called, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle FROM sdlab_sequence v "
                    + "JOIN pg_sequence s ON s.seqrelid = v.oid WHERE v.oid = ?1", [.integer(oid)]
            ).first
        else {
            throw PostgresError(.wrongObjectType, "\"\(call.shown(0, .regclass))\" is not a sequence")
        }
        let fields = CatalogueRow(row)
        let sequence = UInt32(truncatingIfNeeded: oid)
        let mark = call.catalogue.shared.sequences[sequence]
        var value = mark?.value ?? fields.integer(0)
        let (increment, minimum, maximum) = (fields.integer(2), fields.integer(3), fields.integer(4))
        if mark?.isCalled ?? (fields.integer(1) != 0) {
            let (sum, isOver) = value.addingReportingOverflow(increment)
            value = sum
            if isOver || sum > maximum || sum < minimum {
                guard fields.integer(5) != 0 else {
                    throw PostgresError(
                        "2200H",
                        "nextval: reached \(increment > 0 ? "maximum" : "minimum") value of sequence "
                            + "\"\(call.shown(0, .regclass))\" (\(increment > 0 ? maximum : minimum))")
                }
                value = increment > 0 ? minimum : maximum
            }
        }
        try call.catalogue.run(
            "UPDATE sdlab_sequence SET last_value = ?1, is_called = 1 WHERE oid = ?2", [.integer(value), .integer(oid)])
        call.catalogue.shared.sequences[sequence] = .init(value: value, isCalled: true)
        call.context.sequenceValues[sequence] = value
        call.context.lastSequence = sequence
        return .integer(value)
    }

    private static func setValue(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        if call.isNull(0) || call.isNull(1) { return .null }
        let (oid, value) = (call.integer(0), call.integer(1))
        guard
            let row = try call.catalogue.rows(
                "SELECT seqmin, seqmax FROM pg_sequence WHERE seqrelid = ?1", [.integer(oid)]
            ).first
        else { throw PostgresError(.wrongObjectType, "\"\(call.shown(0, .regclass))\" is not a sequence") }
        let fields = CatalogueRow(row)
        guard (fields.integer(0)...max(fields.integer(0), fields.integer(1))).contains(value) else {
            throw PostgresError(
                .numericValueOutOfRange,
                "setval: value \(value) is out of bounds for sequence \"\(call.shown(0, .regclass))\" "
                    + "(\(fields.integer(0))..\(fields.integer(1)))")
        }
        let isCalled = call.count < 3 || call.flag(2)
        try call.catalogue.run(
            "UPDATE sdlab_sequence SET last_value = ?1, is_called = ?2 WHERE oid = ?3",
            [.integer(value), .integer(isCalled ? 1 : 0), .integer(oid)])
        let sequence = UInt32(truncatingIfNeeded: oid)
        call.catalogue.shared.sequences[sequence] = .init(value: value, isCalled: isCalled)
        if isCalled { call.context.sequenceValues[sequence] = value }
        return .integer(value)
    }
}
