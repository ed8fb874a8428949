import KernelSQLite
import KernelStructures
import KernelWire

/// Statements that are about the session and not about tables.
extension DatabaseSession {
    func carryOutCommand(_ portal: Portal, _ plan: Plan) throws(PostgresError) -> Progress {
        context.notices += plan.notices
        switch plan.kind {
        case .transaction(let command):
            // Its own end is not one of a Query message's last statement.
            portal.isFinished = true
            portal.close(self)
            let tag = try carryOut(command)
            sendNotices()
            output.commandComplete(tag)
            return .done
        case .set(let change): try set(change)
        case .show(let name): return try show(name, portal, plan)
        case .fetch(let fetch): return try start(fetch, portal)
        case .execute(let name, _): return try execute(name, portal, plan)
        case .prepare(let name, let types, let statement): try prepare(name, types, statement)
        case .deallocate(let name): try deallocate(name)
        case .closeCursor(let name): try closeCursor(name)
        case .discard(let part): try discard(part)
        case .listen(let channel): try listen(channel, isOn: true)
        case .unlisten(let channel): try listen(channel, isOn: false)
        case .notify(let channel, let payload): try notify(channel, payload)
        case .checkpoint: try cluster.checkpoint(all: true)
        case .createDatabase(let name): try cluster.createDatabase(name)
        case .dropDatabase(let name, let isMissingAllowed): try dropDatabase(name, isMissingAllowed)
        default: _ = currentTransaction()
        }
        if phase == .ready { complete(portal, plan.tag.text(rows: 0)) }
        return .done
    }

    // MARK: Settings

    private func set(_ change: SettingChange) throws(PostgresError) {
        let transaction = currentTransaction()
        if change.isLocal, !transaction.isBlock, simple?.statements.count ?? 0 <= 1 {
            warn(.noActiveTransaction, "SET LOCAL can only be used in transaction blocks")
        }
        let before = context.settings
        try apply(change, to: &context.settings)
        if !change.isLocal { try apply(change, to: &transaction.settingsToKeep) }
        report(since: before)
    }

    private func apply(_ change: SettingChange, to settings: inout SessionSettings) throws(PostgresError) {
        if let name = change.name { try settings.set(name, change.value) } else { settings.resetAll() }
    }

    func set(_ name: String, _ value: String) throws(PostgresError) {
        try set(SettingChange(name: name, value: value, isLocal: false))
    }

    private func show(_ name: String, _ portal: Portal, _ plan: Plan) throws(PostgresError) -> Progress {
        if portal.describesRows { output.rowDescription(portal.columns) }
        if name == "all" {
            for setting in context.settings.all { sendTexts([setting.name, setting.value, ""], portal) }
        } else {
            let value =
                name == "transaction_isolation"
                ? currentTransaction().isolation.rawValue : context.settings.value(name)
            guard let value else {
                throw PostgresError(.undefinedObject, "unrecognized configuration parameter \"\(name)\"")
            }
            sendTexts([value], portal)
        }
        complete(portal, plan.tag.text(rows: 1))
        return .done
    }

    private func sendTexts(_ texts: [String], _ portal: Portal) {
        output.beginRow(columnCount: texts.count)
        for text in texts { output.value(utf8: text) }
        output.endRow()
    }

    // MARK: PREPARE and EXECUTE

    private func prepare(_ name: String, _ types: [PostgresOID], _ statement: ParsedStatement) throws(PostgresError) {
        guard preparedStatements[name] == nil else {
            throw PostgresError(.duplicatePreparedStatement, "prepared statement \"\(name)\" already exists")
        }
        let entry = try plan(statement, types, key: nil)
        try keep(PreparedStatement(sql: statement.text, entry: entry, givenTypes: types), as: name)
    }

    /// The values are computed by SQLite, then the statement takes the place of this one.
    private func execute(_ name: String, _ portal: Portal, _ plan: Plan) throws(PostgresError) -> Progress {
        let prepared = try find(statement: name)
        if let entry = prepared.entry {
            prepared.entry = try renewed(entry, prepared.givenTypes, key: nil)
        }
        let types = prepared.entry?.plan.clientTypes ?? []
        guard case .execute(_, let given) = plan.kind, given.count == types.count else {
            throw PostgresError(
                .syntaxError, "wrong number of parameters for prepared statement \"\(name)\"",
                detail: "Expected \(types.count) parameters but got \(plan.argumentTypes.count).")
        }
        let values = try argumentValues(plan, portal.parameters, types)
        portalCount += 1
        let inner = Portal(
            number: portalCount, name: portal.name, entry: prepared.entry, givenTypes: prepared.givenTypes,
            parameters: values, resultFormats: portal.resultFormats)
        inner.describesRows = portal.describesRows
        inner.isLatencyPaid = true
        portal.isFinished = true
        if portals[portal.name] === portal { portals[portal.name] = inner }
        running = running.map { Run(portal: inner, rowLimit: $0.rowLimit) }
        return try carryOut(inner)
    }

    private func argumentValues(_ plan: Plan, _ parameters: [SQLiteValue], _ types: [PostgresOID]) throws(PostgresError)
        -> [SQLiteValue]
    {
        guard !types.isEmpty else { return [] }
        let (connection, isOwned) = try connectionForReading()
        defer { if isOwned { database?.giveBack(connection) } }
        connection.begin(context)
        let statement = try prepare(plan, parameters, connection)
        do throws(SQLiteError) {
            guard try statement.step() else { return [] }
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
        var values: [SQLiteValue] = []
        for (index, type) in types.enumerated() {
            let value = statement.value(index)
            let given = plan.argumentTypes[index]
            if given == type || value == .null {
                values.append(value)
            } else if given != .text {
                values.append(try cast(value, from: given, to: type, connection))
            } else {
                let text = DatumCoding.text(value, type: given, context, connection.catalogue)
                values.append(
                    try DatumCoding.decode(
                        Array(text.utf8), .text, type: type, context: context, catalogue: connection.catalogue))
            }
        }
        return values
    }

    /// A value as an assignment would convert it.
    private func cast(
        _ value: SQLiteValue, from given: PostgresOID, to type: PostgresOID, _ connection: DatabaseConnection
    ) throws(PostgresError) -> SQLiteValue {
        guard let cast = try ParsedStatement.parse("SELECT $1::\(type.typeName)").first else { return value }
        let plan = try Translator.translate(
            cast, catalogue: connection.catalogue, parameterTypes: [given], context: context)
        let statement = try prepare(plan, [value], connection)
        do throws(SQLiteError) {
            return try statement.step() ? statement.value(0) : .null
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
    }

    private func deallocate(_ name: String?) throws(PostgresError) {
        guard let name else {
            preparedStatements = [:]
            return
        }
        _ = try find(statement: name)
        drop(statement: name)
    }

    private func discard(_ part: DiscardedPart) throws(PostgresError) {
        switch part {
        case .plans: break
        case .sequences: context.forgetSequences()
        case .temporaryTables: discardTemporaryTables()
        case .all:
            closePortals { $0 !== running?.portal }
            preparedStatements = [:]
            let before = context.settings
            context.settings.resetAll()
            currentTransaction().settingsToKeep = context.settings
            report(since: before)
            try listen(nil, isOn: false)
            context.forgetSequences()
            database?.advisoryLocks.releaseAll(self) { isOfTransaction in !isOfTransaction }
            discardTemporaryTables()
        }
    }

    private func dropDatabase(_ name: String, _ isMissingAllowed: Bool) throws(PostgresError) {
        if cluster.databases[name] == nil, isMissingAllowed {
            context.notices.append(
                PostgresError(
                    .successfulCompletion, "database \"\(name)\" does not exist, skipping", severity: .notice))
            return
        }
        guard name != database?.name else {
            throw PostgresError(.objectInUse, "cannot drop the currently open database")
        }
        try cluster.dropDatabase(name)
    }

    // MARK: LISTEN and NOTIFY

    private func listen(_ channel: String?, isOn: Bool) throws(PostgresError) {
        let transaction = currentTransaction()
        guard transaction.listening.count < Transaction.savepointLimit else {
            throw PostgresError(.programLimitExceeded, "too many LISTENs in a transaction")
        }
        transaction.listening.append((channel, isOn))
    }

    /// NOTIFY and `pg_notify`.
    func notify(_ channel: String, _ payload: String) throws(PostgresError) {
        guard !channel.isEmpty else {
            throw PostgresError(.invalidParameterValue, "channel name cannot be empty")
        }
        guard channel.utf8.count < 64 else {
            throw PostgresError(.invalidParameterValue, "channel name too long")
        }
        guard payload.utf8.count < 8000 else {
            throw PostgresError(.invalidParameterValue, "payload string too long")
        }
        let notification = Notification(process: key.process, channel: channel, payload: payload)
        guard currentTransaction().add(notification) else {
            throw PostgresError(.programLimitExceeded, "too many notifications in a transaction")
        }
    }

    /// What LISTEN and UNLISTEN said in a transaction that is committed.
    func apply(_ listening: [(channel: String?, isOn: Bool)]) {
        guard let database else { return }
        for (channel, isOn) in listening {
            if let channel, isOn {
                channels.insert(channel)
                database.listen(self, channel)
            } else {
                for channel in channel.map({ [$0] }) ?? channels.sorted() {
                    channels.remove(channel)
                    database.unlisten(self, channel)
                }
            }
        }
    }

    func notified(_ notification: Notification) {
        guard phase == .ready else { return }
        inbox.append(notification)
        inboxByteCount += notification.byteCount
        guard isIdle else { return }
        deliverNotifications()
        onWake()
    }

    /// Between transactions only, and not before the client has taken what it was told.
    func deliverNotifications() {
        guard transaction == nil, !inbox.isEmpty, !isClientBehind() else { return }
        for notification in inbox {
            output.write(
                .notification(
                    process: notification.process, channel: notification.channel, payload: notification.payload))
        }
        inbox = []
        inboxByteCount = 0
    }
}
