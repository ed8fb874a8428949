import KernelSQLite
import KernelWire

/// The extended query protocol: a statement is parsed, bound to values, described and carried out by messages of its
/// own.
extension DatabaseSession {
    // MARK: Parse

    func parse(_ name: String, _ query: String, _ types: [PostgresOID]) throws(PostgresError) {
        activity.began(query, at: cluster.wallClock())
        if !name.isEmpty, preparedStatements[name] != nil {
            throw PostgresError(.duplicatePreparedStatement, "prepared statement \"\(name)\" already exists")
        }
        if name.isEmpty { drop(statement: "") }
        try keep(try makePrepared(query, types), as: name)
        output.parseComplete()
    }

    func keep(_ statement: PreparedStatement, as name: String) throws(PostgresError) {
        guard preparedStatements.count < Self.objectLimit else {
            throw PostgresError(.outOfMemory, "too many prepared statements")
        }
        preparedStatements[name] = statement
    }

    private func makePrepared(_ query: String, _ types: [PostgresOID]) throws(PostgresError) -> PreparedStatement {
        for type in types where type != .unspecified && !PostgresOID.known.contains(type) {
            throw PostgresError(.undefinedObject, "type with OID \(type.rawValue) does not exist")
        }
        if let entry = try cached(query, types) {
            return PreparedStatement(sql: query, entry: entry, givenTypes: types)
        }
        let statements = try ParsedStatement.parse(query)
        guard statements.count <= 1 else {
            throw PostgresError(.syntaxError, "cannot insert multiple commands into a prepared statement")
        }
        guard let statement = statements.first else {
            return PreparedStatement(sql: query, entry: nil, givenTypes: types)
        }
        if transaction?.isFailed == true, !statement.endsTransaction { throw Self.failedTransaction }
        let entry = try plan(statement, types, key: query)
        for (index, type) in entry.plan.parameterTypes.enumerated() where type == .unspecified {
            throw PostgresError(
                .indeterminateDatatype, "could not determine data type of parameter $\(index + 1)")
        }
        return PreparedStatement(sql: query, entry: entry, givenTypes: types)
    }

    func find(statement name: String) throws(PostgresError) -> PreparedStatement {
        if let statement = preparedStatements[name] { return statement }
        let message =
            name.isEmpty ? "unnamed prepared statement does not exist" : "prepared statement \"\(name)\" does not exist"
        throw PostgresError(.invalidStatementName, message)
    }

    /// The statement's plan for the catalogue as it is now.
    func revalidate(_ statement: PreparedStatement) throws(PostgresError) {
        guard let entry = statement.entry else { return }
        let renewed = try renewed(entry, statement.givenTypes, key: statement.sql)
        guard renewed !== entry else { return }
        if renewed.plan.columns != entry.plan.columns {
            throw PostgresError(.featureNotSupported, "cached plan must not change result type")
        }
        statement.entry = renewed
    }

    func renewed(_ entry: PlanCache.Entry, _ types: [PostgresOID], key: String?) throws(PostgresError)
        -> PlanCache.Entry
    {
        let version = transaction?.connection?.catalogue.version ?? database?.catalogueVersion
        if entry.version == version, entry.plan.isReusable { return entry }
        return try plan(entry.statement, types, key: key)
    }

    // MARK: Bind

    func bind(_ bind: PostgresBind) throws(PostgresError) {
        let statement = try find(statement: bind.statement)
        if !bind.portal.isEmpty, portals[bind.portal] != nil {
            throw PostgresError(.duplicateCursor, "cursor \"\(bind.portal)\" already exists")
        }
        if transaction?.isFailed == true, let entry = statement.entry, !entry.statement.endsTransaction {
            throw Self.failedTransaction
        }
        try revalidate(statement)
        let types = statement.entry?.plan.clientTypes ?? []
        guard bind.parameters.count == types.count else {
            throw PostgresError(
                .protocolViolation,
                "bind message supplies \(bind.parameters.count) parameters, but prepared statement "
                    + "\"\(bind.statement)\" requires \(types.count)")
        }
        let columns = statement.entry?.plan.columns ?? []
        let columnCount = columns.count
        guard bind.resultFormats.count <= 1 || bind.resultFormats.count == columnCount else {
            throw PostgresError(
                .protocolViolation,
                "bind message has \(bind.resultFormats.count) result formats but query has \(columnCount) columns")
        }
        // A row is its text here, and the types of its columns are not known any more.
        for (index, column) in columns.enumerated() where column.type == .record {
            let formats = bind.resultFormats
            let format = formats.count == 1 ? formats.first : formats.dropFirst(index).first
            guard format != .binary else {
                throw PostgresError(.featureNotSupported, "binary results of type record are not supported")
            }
        }
        let values = try decode(bind, types)
        drop(portal: bind.portal)
        try addPortal(bind.portal, statement, values, bind.resultFormats)
        output.bindComplete()
    }

    @discardableResult
    private func addPortal(
        _ name: String, _ statement: PreparedStatement, _ values: [SQLiteValue], _ formats: [PostgresFormat]
    ) throws(PostgresError) -> Portal {
        guard portals.count < Self.objectLimit else { throw PostgresError(.outOfMemory, "too many portals") }
        portalCount += 1
        let portal = Portal(
            number: portalCount, name: name, entry: statement.entry, givenTypes: statement.givenTypes,
            parameters: values, resultFormats: formats)
        portals[name] = portal
        return portal
    }

    private func decode(_ bind: PostgresBind, _ types: [PostgresOID]) throws(PostgresError) -> [SQLiteValue] {
        guard !types.isEmpty else { return [] }
        return try withCatalogue { (catalogue: Catalogue) throws(PostgresError) in
            var values: [SQLiteValue] = []
            values.reserveCapacity(types.count)
            for (index, type) in types.enumerated() {
                guard let bytes = bind.parameters[index] else {
                    values.append(.null)
                    continue
                }
                values.append(
                    try DatumCoding.decode(
                        bytes, bind.parameterFormat(index), type: type, context: context, catalogue: catalogue))
            }
            return values
        }
    }

    // MARK: Describe

    func describe(_ target: PostgresTarget) throws(PostgresError) {
        switch target {
        case .statement(let name):
            let statement = try find(statement: name)
            try revalidate(statement)
            output.write(.parameterDescription(statement.entry?.plan.clientTypes ?? []))
            describe(statement.entry?.plan, statement.entry?.plan.columns ?? [])
        case .portal(let name):
            let portal = try find(portal: name)
            portal.isDescribed = true
            try resolveFetch(portal)
            if portal.cursorColumns != nil || portal.cursor != nil {
                output.rowDescription(portal.columns)
            } else {
                describe(portal.entry?.plan, portal.columns)
            }
        }
    }

    private func describe(_ plan: Plan?, _ columns: [ColumnDescription]) {
        if let plan, plan.returnsRows { output.rowDescription(columns) } else { output.noData() }
    }

    func find(portal name: String) throws(PostgresError) -> Portal {
        if let portal = portals[name] { return portal }
        throw PostgresError(.invalidCursorName, "portal \"\(name)\" does not exist")
    }

    // MARK: Execute, Close, Sync

    func execute(portal name: String, rowLimit: Int) throws(PostgresError) {
        let portal = try find(portal: name)
        note(portal.entry?.statement.text ?? "")
        running = Run(portal: portal, rowLimit: rowLimit)
    }

    func closeTarget(_ target: PostgresTarget) {
        switch target {
        case .statement(let name): drop(statement: name)
        case .portal(let name): drop(portal: name)
        }
        output.closeComplete()
    }

    func drop(statement name: String) { preparedStatements[name] = nil }

    func drop(portal name: String) { portals.removeValue(forKey: name)?.close(self) }

    func sync() {
        isSkipping = false
        do throws(PostgresError) { try finishImplicit() } catch {
            output.error(error)
            abortTransaction()
        }
        if phase == .ready { ready() }
    }
}

extension Plan {
    /// Whether a RowDescription goes before its result.
    var returnsRows: Bool {
        switch kind {
        case .query, .show, .explain: true
        case .insert, .update, .delete, .fetch, .execute: !columns.isEmpty
        default: false
        }
    }
}
