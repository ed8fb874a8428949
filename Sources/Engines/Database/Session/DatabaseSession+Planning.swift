import KernelSQLite
import KernelStructures
import KernelWire

extension PlanCache {
    /// A statement on its way: as it was sent and parsed, or with a plan already.
    enum Source {
        case parsed(ParsedStatement)
        case planned(Entry)
    }
}

extension DatabaseSession {
    // MARK: Query messages

    func beginQuery(_ text: String) {
        note(text)
        drop(statement: "")
        drop(portal: "")
        do throws(PostgresError) {
            if let entry = try cached(text, []) {
                simple = SimpleQuery(statements: [.planned(entry)])
                return
            }
            let statements = try ParsedStatement.parse(text)
            simple = SimpleQuery(statements: statements.map { .parsed($0) }, key: statements.count == 1 ? text : nil)
            if statements.isEmpty { output.emptyQueryResponse() }
        } catch {
            fail(error)
            ready()
        }
    }

    func note(_ sql: String) {
        cluster.noteStatement()
        context.statementTime = cluster.wallClock()
        activity.began(sql, at: context.statementTime)
        let timeout = context.settings.statementTimeoutMilliseconds
        statementDeadline = timeout > 0 ? now + .milliseconds(timeout) : nil
    }

    /// The next statement of a Query message becomes a portal.
    func nextStatement() {
        guard let query = simple, !query.isLast else {
            simple = nil
            do throws(PostgresError) { try finishImplicit() } catch { fail(error) }
            return ready()
        }
        simple?.next += 1
        do throws(PostgresError) {
            let entry: PlanCache.Entry
            switch query.statements[query.next] {
            case .planned(let known): entry = known
            case .parsed(let statement):
                try refuseIfFailed(statement)
                entry = try plan(statement, [], key: query.key)
            }
            guard entry.plan.clientTypes.isEmpty else {
                throw PostgresError(.undefinedParameter, "there is no parameter $1")
            }
            portalCount += 1
            let portal = Portal(number: portalCount, name: "", entry: entry)
            portal.describesRows = true
            running = Run(portal: portal, rowLimit: 0)
        } catch {
            fail(error)
        }
    }

    // MARK: Plans

    /// A plan that was made for the same text, types, catalogue and settings.
    func cached(_ sql: String, _ types: [PostgresOID]) throws(PostgresError) -> PlanCache.Entry? {
        guard let database else { return nil }
        let version = try currentVersion(database)
        return database.plans.find(
            .init(sql: sql, parameterTypes: types, catalogueVersion: version, settings: planKey))
    }

    /// The version of the catalogue that the next statement will see.
    private func currentVersion(_ database: Database) throws(PostgresError) -> Int64 {
        guard let connection = transaction?.connection else { return database.catalogueVersion }
        return connection.catalogue.version
    }

    /// Makes a plan, or finds it.
    ///
    /// - Parameter key: its text, for the cache; nil if it stands for more than this statement.
    func plan(_ statement: ParsedStatement, _ types: [PostgresOID], key: String?) throws(PostgresError)
        -> PlanCache.Entry
    {
        guard let database else { throw PostgresError(.internalError, "no database") }
        if let key, let entry = try cached(key, types) { return entry }
        return try withCatalogue { (catalogue: Catalogue) throws(PostgresError) in
            let plan = try Translator.translate(
                statement, catalogue: catalogue, parameterTypes: types, context: context)
            let entry = PlanCache.Entry(statement: statement, plan: plan, version: catalogue.version)
            if let key, plan.isReusable {
                database.plans.keep(
                    entry,
                    for: .init(
                        sql: key, parameterTypes: types, catalogueVersion: catalogue.version, settings: planKey))
            }
            return entry
        }
    }

    /// Something that reads the catalogue as the next statement will see it.
    func withCatalogue<Result>(_ body: (Catalogue) throws(PostgresError) -> Result) throws(PostgresError) -> Result {
        guard let database else { throw PostgresError(.internalError, "no database") }
        if let connection = transaction?.connection {
            connection.begin(context)
            return try body(connection.catalogue)
        }
        let connection = try database.takeConnection()
        defer { database.giveBack(connection) }
        connection.begin(context)
        try refresh(connection, database)
        return try body(connection.catalogue)
    }

    /// A connection without a transaction sees what is committed; whoever has one has looked when it began.
    func refresh(_ connection: DatabaseConnection, _ database: Database) throws(PostgresError) {
        guard connection.catalogue.version != database.catalogueVersion else { return }
        try connection.catalogue.refresh()
    }

    /// Settings may have changed.
    func noteSettings() {
        planKey = [
            context.settings.value("search_path"), context.settings.value("timezone"), context.temporarySchema,
        ].map { $0 ?? "" }.joined(separator: "\u{0}")
    }

    var idleTimeoutMilliseconds: Int { context.settings.idleInTransactionSessionTimeoutMilliseconds }

    // MARK: A failed transaction

    private func refuseIfFailed(_ statement: ParsedStatement) throws(PostgresError) {
        guard transaction?.isFailed == true, !statement.endsTransaction else { return }
        throw Self.failedTransaction
    }

    static let failedTransaction = PostgresError(
        .inFailedTransaction, "current transaction is aborted, commands ignored until end of transaction block")
}
