import KernelSQLite
import KernelWire

/// Statements that neither read nor change tables.
extension Translation {
    // MARK: Transactions

    func transaction(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        let name = node.text("savepoint_name")
        let isChained = node.flag("chain")
        switch node.text("kind") {
        case "TRANS_STMT_BEGIN":
            return Plan(.transaction(.begin(try modes(node.list("options")))), tag: .words("BEGIN"))
        case "TRANS_STMT_START":
            return Plan(.transaction(.begin(try modes(node.list("options")))), tag: .words("START TRANSACTION"))
        case "TRANS_STMT_COMMIT": return Plan(.transaction(.commit(isChained: isChained)), tag: .words("COMMIT"))
        case "TRANS_STMT_ROLLBACK": return Plan(.transaction(.rollback(isChained: isChained)), tag: .words("ROLLBACK"))
        case "TRANS_STMT_SAVEPOINT": return Plan(.transaction(.savepoint(name)), tag: .words("SAVEPOINT"))
        case "TRANS_STMT_RELEASE": return Plan(.transaction(.release(name)), tag: .words("RELEASE"))
        case "TRANS_STMT_ROLLBACK_TO": return Plan(.transaction(.rollbackTo(name)), tag: .words("ROLLBACK"))
        default: throw unsupported("two-phase commit")
        }
    }

    private func modes(_ options: [SyntaxNode]) throws(PostgresError) -> TransactionCommand.Modes {
        var modes = TransactionCommand.Modes()
        for option in options {
            let value = option["arg"]
            switch option.text("defname") {
            case "transaction_isolation":
                modes.isolation = TransactionCommand.Isolation(rawValue: value?["sval"]?.text("sval") ?? "")
            case "transaction_read_only": modes.isReadOnly = value?["ival"]?.integer("ival") == 1
            case "transaction_deferrable": modes.isDeferrable = value?["ival"]?.integer("ival") == 1
            default: break
            }
        }
        return modes
    }

    // MARK: Settings

    func set(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        let name = node.text("name").lowercased()
        let tag = CommandTag.words(node.text("kind").hasPrefix("VAR_RESET") ? "RESET" : "SET")
        switch node.text("kind") {
        case "VAR_SET_MULTI":
            let modes = try modes(node.list("args"))
            if name == "session characteristics" { return Plan(.transaction(.setDefaultModes(modes)), tag: tag) }
            guard name == "transaction" else { throw unsupported("SET \(name.uppercased())") }
            return Plan(.transaction(.setModes(modes)), tag: tag)
        case "VAR_SET_VALUE":
            // SET TRANSACTION ISOLATION LEVEL by its setting's name.
            let values = node.list("args").map(settingText)
            let value =
                name == "search_path"
                ? values.map(ObjectNames.quoted).joined(separator: ", ") : values.joined(separator: ", ")
            return Plan(.set(SettingChange(name: name, value: value, isLocal: node.flag("is_local"))), tag: tag)
        case "VAR_RESET_ALL": return Plan(.set(SettingChange(name: nil, value: nil, isLocal: false)), tag: tag)
        case "VAR_SET_CURRENT":
            return Plan(
                .set(SettingChange(name: name, value: context.settings.value(name), isLocal: node.flag("is_local"))),
                tag: tag, isReusable: false)
        default: return Plan(.set(SettingChange(name: name, value: nil, isLocal: node.flag("is_local"))), tag: tag)
        }
    }

    private func settingText(_ node: SyntaxNode) -> String {
        // INTERVAL '+01:00' HOUR TO MINUTE
        if node.kind == "TypeCast", let argument = node["arg"] { return settingText(argument) }
        if let value = node["ival"] { return String(value.integer("ival")) }
        if let value = node["fval"] { return value.text("fval") }
        return node["sval"]?.text("sval") ?? ""
    }

    func show(_ node: SyntaxNode) -> Plan {
        let name = node.text("name").lowercased()
        let columns =
            name == "all"
            ? ["name", "setting", "description"].map { ColumnDescription($0, .text) }
            : [ColumnDescription(SessionSettings.displayName(name), .text)]
        return Plan(.show(name: name), tag: .words("SHOW"), columns: columns)
    }

    // MARK: EXPLAIN, PREPARE

    func explain(_ node: SyntaxNode, _ statement: ParsedStatement) throws(PostgresError) -> Plan {
        guard let query = node["query"] else { throw unsupported("EXPLAIN of nothing") }
        var (isAnalyze, isJSON) = (false, false)
        for option in node.list("options") {
            switch option.text("defname") {
            case "analyze": isAnalyze = isOn(option)
            case "format":
                switch option["arg"]?.string.lowercased() {
                case "json": isJSON = true
                case "text": break
                default: throw unsupported("EXPLAIN in this format", at: option.location)
                }
            default: break
            }
        }
        let inner = ParsedStatement(source: statement.source, text: statement.text, node: query)
        return Plan(
            .explain(ExplainPlan(statement: inner, isAnalyze: isAnalyze, isJSON: isJSON)), tag: .words("EXPLAIN"),
            columns: [ColumnDescription("QUERY PLAN", isJSON ? .json : .text)], readsOnly: !isAnalyze)
    }

    /// Whether an option is on: written alone, or with true, on, 1.
    func isOn(_ option: SyntaxNode) -> Bool {
        guard let argument = option["arg"] else { return true }
        if argument.kind == "Boolean" { return argument.flag("boolval") }
        if argument.kind == "Integer" { return argument.integer("ival") != 0 }
        return BooleanText.parse(argument.string) ?? false
    }

    func prepared(_ node: SyntaxNode, _ statement: ParsedStatement) throws(PostgresError) -> Plan {
        let name = node.text("name")
        switch node.kind {
        case "PrepareStmt":
            guard let query = node["query"] else { throw unsupported("PREPARE of nothing") }
            var types: [PostgresOID] = []
            for type in node.list("argtypes") { types.append(try TypeNames.type(type).oid) }
            let inner = ParsedStatement(source: statement.source, text: statement.text, node: query)
            return Plan(.prepare(name: name, parameterTypes: types, statement: inner), tag: .words("PREPARE"))
        case "ExecuteStmt":
            let scope = Scope(parent: nil)
            var values: [Expression] = []
            for value in node.list("params") {
                let expression = try self.expression(value, scope)
                values.append(expression.isUnknown ? try coerce(expression, to: .text, .implicit) : expression)
            }
            var plan = Plan(
                .execute(name: name, argumentTypes: values.map(\.oid)), tag: .words("EXECUTE"), readsOnly: false,
                isReusable: false)
            // As they are stored, and not as they are written: `argumentTypes` says what they are.
            let stored = values.map { $0.oid == .record ? textOf($0) : $0.sql }
            if !stored.isEmpty { plan.sql = "SELECT " + stored.joined(separator: ", ") }
            return plan
        default:
            return Plan(
                .deallocate(name: node.has("name") ? name : nil),
                tag: .words(node.has("name") ? "DEALLOCATE" : "DEALLOCATE ALL"))
        }
    }

    // MARK: Cursors

    func cursor(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        let name = node.text("portalname")
        switch node.kind {
        case "DeclareCursorStmt":
            guard let statement = node["query"], statement.kind == "SelectStmt" else {
                throw fail(.invalidCursorName, "DECLARE CURSOR must specify a SELECT statement")
            }
            let options = node.integer("options")
            let query = try self.query(statement, Scope(parent: nil))
            try resolveUnknown(query)
            // CURSOR_OPT_SCROLL and CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h
            let cursor = CursorPlan(name: name, isHoldable: options & 0x20 != 0, isScrollable: options & 0x2 != 0)
            return Plan(
                .declareCursor(cursor), tag: .words("DECLARE CURSOR"), sql: query.sql,
                columns: query.targets.map(Self.description))
        case "FetchStmt":
            let isMove = node.flag("ismove")
            let direction: FetchPlan.Direction =
                switch node.text("direction") {
                case "FETCH_BACKWARD": .backward
                case "FETCH_ABSOLUTE": .absolute
                case "FETCH_RELATIVE": .relative
                default: .forward
                }
            let count = node.integer("howMany")
            let fetch = FetchPlan(
                name: name, direction: direction, count: count == Int.max ? nil : count, isMove: isMove)
            return Plan(.fetch(fetch), tag: .counted(isMove ? "MOVE" : "FETCH"))
        default:
            return Plan(
                .closeCursor(name: name.isEmpty ? nil : name),
                tag: .words(name.isEmpty ? "CLOSE CURSOR ALL" : "CLOSE CURSOR"))
        }
    }

    // MARK: LISTEN, NOTIFY

    func notification(_ node: SyntaxNode) -> Plan {
        let channel = node.text("conditionname")
        switch node.kind {
        case "ListenStmt": return Plan(.listen(channel: channel), tag: .words("LISTEN"))
        case "UnlistenStmt":
            return Plan(.unlisten(channel: channel.isEmpty ? nil : channel), tag: .words("UNLISTEN"))
        default: return Plan(.notify(channel: channel, payload: node.text("payload")), tag: .words("NOTIFY"))
        }
    }

    // MARK: What there is little to do for

    /// Nil for what is none of these.
    func utility(_ node: SyntaxNode) throws(PostgresError) -> Plan? {
        switch node.kind {
        case "VacuumStmt":
            for table in node.list("rels") { if let name = table["relation"] { _ = try relation(name) } }
            var plan = Plan(.nothing, tag: .words(node.flag("is_vacuumcmd") ? "VACUUM" : "ANALYZE"))
            plan.refusesTransactionBlock = node.flag("is_vacuumcmd")
            return plan
        case "LockStmt":
            return try lockTable(node)
        case "CheckPointStmt": return Plan(.checkpoint, tag: .words("CHECKPOINT"))
        case "DiscardStmt":
            switch node.text("target") {
            case "DISCARD_PLANS": return Plan(.discard(.plans), tag: .words("DISCARD PLANS"))
            case "DISCARD_SEQUENCES": return Plan(.discard(.sequences), tag: .words("DISCARD SEQUENCES"))
            case "DISCARD_TEMP": return Plan(.discard(.temporaryTables), tag: .words("DISCARD TEMP"))
            default:
                var plan = Plan(.discard(.all), tag: .words("DISCARD ALL"))
                plan.refusesTransactionBlock = true
                return plan
            }
        case "CreatedbStmt", "DropdbStmt":
            let isDrop = node.kind == "DropdbStmt"
            let name = node.text("dbname")
            var plan = Plan(
                isDrop
                    ? .dropDatabase(name: name, isMissingAllowed: node.flag("missing_ok"))
                    : .createDatabase(name: name),
                tag: .words(isDrop ? "DROP DATABASE" : "CREATE DATABASE"), readsOnly: false)
            plan.refusesTransactionBlock = true
            return plan
        case "TruncateStmt": return try truncate(node)
        case "ReindexStmt": return Plan(.nothing, tag: .words("REINDEX"))
        case "ClusterStmt": return Plan(.nothing, tag: .words("CLUSTER"))
        case "GrantStmt": return try grant(node)
        case "ConstraintsSetStmt": return Plan(.nothing, tag: .words("SET CONSTRAINTS"))
        default: return nil
        }
    }

    /// Everybody may do everything, so nothing comes of it; but what it names must be there.
    private func grant(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        switch (node.text("targtype"), node.text("objtype")) {
        case ("ACL_TARGET_OBJECT", "OBJECT_TABLE"), ("ACL_TARGET_OBJECT", "OBJECT_SEQUENCE"):
            for object in node.list("objects") { _ = try relation(object) }
        case ("ACL_TARGET_OBJECT", "OBJECT_SCHEMA"), ("ACL_TARGET_ALL_IN_SCHEMA", _):
            for name in node.words("objects") {
                guard try catalogue.schema(name) != nil else {
                    throw fail(.invalidSchemaName, "schema \"\(name)\" does not exist")
                }
            }
        default: break
        }
        for grantee in node.list("grantees") where grantee.text("roletype") == "ROLESPEC_CSTRING" {
            let name = grantee.text("rolename")
            guard isRole(name) else { throw fail(.undefinedObject, "role \"\(name)\" does not exist") }
        }
        return Plan(.nothing, tag: .words(node.flag("is_grant") ? "GRANT" : "REVOKE"))
    }

    /// PostgreSQL's own roles have names that begin with `pg_`.
    private func isRole(_ name: String) -> Bool {
        name == context.user || name == "postgres" || name.hasPrefix("pg_")
            || context.outerRows("pg_roles").contains { $0["rolname"] == .text(name) }
    }

    /// A lock that keeps others from writing makes its owner the one who writes.
    private func lockTable(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        for table in node.list("relations") { _ = try relation(table) }
        // ROW EXCLUSIVE of PostgreSQL's lockdefs.h; those below it go along with writing.
        let keepsWriters = node.integer("mode") >= 3
        var plan = Plan(keepsWriters ? .statements([]) : .nothing, tag: .words("LOCK TABLE"), readsOnly: !keepsWriters)
        plan.needsTransactionBlock = true
        if keepsWriters, node.flag("nowait"), let name = node.list("relations").first?.text("relname") {
            plan.lockWait = .refused("could not obtain lock on relation \"\(name)\": another transaction writes")
        }
        return plan
    }

    private func truncate(_ node: SyntaxNode) throws(PostgresError) -> Plan {
        var tables: [Relation] = []
        for name in node.list("relations") { tables.append(try table(name, to: "truncate")) }
        let isCascade = node.text("behavior") == "DROP_CASCADE"
        var index = 0
        while index < tables.count {
            let table = tables[index]
            for row in try catalogue.rows(
                "SELECT conrelid, conname FROM pg_constraint WHERE confrelid = ?1 AND contype = 'f'",
                [.integer(Int64(table.oid))])
            {
                let fields = CatalogueRow(row)
                guard !tables.contains(where: { $0.oid == fields.oid(0) }),
                    let other = try catalogue.relation(fields.oid(0))
                else { continue }
                guard isCascade else {
                    throw fail(
                        .featureNotSupported, "cannot truncate a table referenced in a foreign key constraint",
                        hint: "Truncate table \"\(other.name)\" at the same time, or use TRUNCATE ... CASCADE.",
                        detail: "Table \"\(other.name)\" references \"\(table.name)\".")
                }
                tables.append(other)
            }
            index += 1
        }
        // Those that refer to others come later in the list, and are emptied first.
        var statements = tables.reversed().map { "DELETE FROM \(identifier($0.storage))" }
        if node.flag("restart_seqs") {
            statements += tables.map {
                "UPDATE sdlab_sequence SET is_called = 0, last_value = (SELECT seqstart FROM pg_sequence "
                    + "WHERE seqrelid = sdlab_sequence.oid) WHERE oid IN (SELECT objid FROM pg_depend WHERE refobjid = \($0.oid)) AND pg_forget_mark(oid)"
            }
        }
        return Plan(.statements(statements), tag: .words("TRUNCATE TABLE"), readsOnly: false)
    }
}

extension SessionSettings {
    static func displayName(_ name: String) -> String { entries[name.lowercased()]?.displayName ?? name }
}
