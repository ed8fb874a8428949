import KernelSQLite
import KernelStructures
import KernelWire

/// How a portal is carried out.
extension DatabaseSession {
    enum Progress { case done, suspended, waiting }

    func carryOut(_ portal: Portal) throws(PostgresError) -> Progress {
        guard let entry = portal.entry else {
            output.emptyQueryResponse()
            return .done
        }
        guard !portal.isFailed else {
            throw PostgresError(.objectNotInPrerequisiteState, "portal \"\(portal.name)\" cannot be run")
        }
        if portal.isFinished {
            complete(entry.plan.tag.text(rows: 0))
            return .done
        }
        if !portal.isStarted {
            guard try mayStart(portal, entry) else { return .waiting }
            if let progress = try start(portal) { return progress }
        }
        return try sendRows(portal)
    }

    /// What is checked, and waited for, before a statement of any kind begins.
    private func mayStart(_ portal: Portal, _ entry: PlanCache.Entry) throws(PostgresError) -> Bool {
        if transaction?.isFailed == true, !entry.statement.endsTransaction { throw Self.failedTransaction }
        if entry.plan.refusesTransactionBlock, isInBlock {
            throw PostgresError(
                .activeTransaction, "\(entry.plan.tag.text(rows: 0)) cannot run inside a transaction block")
        }
        if entry.plan.needsTransactionBlock, !isInBlock {
            throw PostgresError(
                .noActiveTransaction, "\(entry.plan.tag.text(rows: 0)) can only be used in transaction blocks")
        }
        let latency = cluster.options.latency
        guard latency > .zero, !portal.isLatencyPaid else { return true }
        portal.isLatencyPaid = true
        wait = .time(now + latency)
        return false
    }

    private var isInBlock: Bool { transaction?.isBlock == true || (simple?.statements.count ?? 0) > 1 }

    /// Begins a statement.
    ///
    /// - Returns: nil if rows are to come; otherwise how far it has got.
    private func start(_ portal: Portal) throws(PostgresError) -> Progress? {
        guard let entry = portal.entry else { return .done }
        if try isDoneWithoutWaiting(portal, entry.plan) { return .done }
        switch entry.plan.kind {
        case .query, .insert, .update, .delete, .copy:
            guard try prepareConnection(portal) else { return .waiting }
            return try startOnConnection(portal)
        case .statements, .definition, .declareCursor, .explain:
            guard try prepareConnection(portal), let connection = portal.connection else { return .waiting }
            return try inSlices(on: connection) { () throws(PostgresError) in try self.startInSlices(portal) }
        default: return try carryOutCommand(portal, entry.plan)
        }
    }

    /// The connection that the portal runs on, in a transaction that may do what it is to do; and a plan for the
    /// catalogue that is seen there.
    private func prepareConnection(_ portal: Portal) throws(PostgresError) -> Bool {
        guard let entry = portal.entry else { return false }
        let transaction = currentTransaction()
        if entry.plan.readsOnly {
            let (connection, isOwned) = try connectionForReading()
            portal.connection = connection
            portal.ownsConnection = isOwned
        } else {
            if transaction.isReadOnly {
                throw PostgresError(
                    .readOnlyTransaction,
                    "cannot execute \(entry.plan.tag.command) in a read-only transaction")
            }
            guard try beginWriting() else { return false }
            portal.connection = transaction.connection
        }
        transaction.hasBegun = true
        guard let connection = portal.connection else { return false }
        connection.begin(context)
        if entry.version != connection.catalogue.version || !entry.plan.isReusable && !portal.describesRows {
            try replan(portal, entry, connection)
        }
        return true
    }

    /// The catalogue has changed since the plan was made.
    private func replan(_ portal: Portal, _ entry: PlanCache.Entry, _ connection: DatabaseConnection)
        throws(PostgresError)
    {
        let plan = try Translator.translate(
            entry.statement, catalogue: connection.catalogue, parameterTypes: portal.givenTypes, context: context)
        if portal.isDescribed || !portal.parameters.isEmpty,
            plan.columns != entry.plan.columns || plan.parameterTypes != entry.plan.parameterTypes
        {
            throw PostgresError(.featureNotSupported, "cached plan must not change result type")
        }
        portal.entry = PlanCache.Entry(
            statement: entry.statement, plan: plan, version: connection.catalogue.version)
    }

    private func startInSlices(_ portal: Portal) throws(PostgresError) -> Progress {
        try startOnConnection(portal) ?? .done
    }

    private func startOnConnection(_ portal: Portal) throws(PostgresError) -> Progress? {
        guard let connection = portal.connection, let plan = portal.entry?.plan else { return .done }
        context.notices += plan.notices
        switch plan.kind {
        case .definition(let definition):
            let rowCount = try definition.apply(to: connection.catalogue, context: context)
            if connection.isStopped { throw Self.stopped }
            noteSettings()
            complete(portal, plan.tag.text(rows: rowCount))
            return .done
        case .statements(let statements):
            for sql in statements { try connection.run(sql) }
            if connection.isStopped { throw Self.stopped }
            complete(portal, plan.tag.text(rows: 0))
            return .done
        case .explain(let explain): return try start(explain, portal, connection)
        case .copy(let copy) where copy.direction == .fromClient: return try receive(copy, portal, connection)
        case .declareCursor(let cursor): return try declare(cursor, portal, connection)
        default: break
        }
        portal.statement = try prepare(plan, portal.parameters, connection)
        portal.isStarted = true
        if let table = plan.touchedTable {
            let last = try connection.catalogue.integer("SELECT max(rowid) FROM \(identifier(table))")
            context.touchedRows = .init(lastRowBefore: last ?? 0)
        }
        if portal.describesRows, plan.returnsRows, portal.skipCount == 0 { output.rowDescription(portal.columns) }
        if case .copy(let copy) = plan.kind { beginSending(copy, portal) }
        return nil
    }

    /// SQLite's statement with all values bound.
    func prepare(_ plan: Plan, _ parameters: [SQLiteValue], _ connection: DatabaseConnection) throws(PostgresError)
        -> SQLiteStatement
    {
        do throws(SQLiteError) {
            let statement = try connection.sqlite.prepare(plan.sql)
            for (index, value) in parameters.enumerated() { try statement.bind(value, at: index + 1) }
            for (index, constant) in plan.constants.enumerated() {
                try statement.bind(constant, at: plan.parameterTypes.count + index + 1)
            }
            return statement
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
    }

    // MARK: Rows

    private func sendRows(_ portal: Portal) throws(PostgresError) -> Progress {
        guard let connection = portal.connection, let plan = portal.entry?.plan, let statement = portal.statement
        else { return .done }
        if !isInSlice, try isLong(portal, plan, connection) {
            return try inSlices(on: connection) { () throws(PostgresError) in try self.sendRows(portal) }
        }
        connection.sqlite.context = context
        context.waits = WaitingCalls(portal.waitAnswers)
        let start = RowMark(byteCount: output.count, notices: context.notices.count, rows: running?.rowCount ?? 0)
        connection.beginTurn(mayBeginAgain: plan.readsOnly && portal.rowCount == 0)
        var rowsOfTurn = 0
        do {
            while true {
                if let limit = running?.rowLimit, limit > 0, let sent = running?.rowCount, sent >= limit {
                    return suspend(portal)
                }
                if output.count >= Self.outputByteCount { return pause(.output, portal) }
                if rowsOfTurn >= Self.rowsPerTurn || connection.hasHadTurn {
                    guard isInSlice else { return pause(.turn, portal) }
                    rowsOfTurn = 0
                    try giveWay(on: connection)
                }
                guard try statement.step() else { break }
                rowsOfTurn += 1
                portal.rowCount += 1
                if portal.rowCount <= portal.skipCount { continue }
                running?.rowCount += 1
                send(statement, plan, portal, connection)
            }
            if connection.isStopped { throw Self.stopped }
        } catch {
            guard let error = error as? SQLiteError else { throw error as? PostgresError ?? Self.stopped }
            if connection.isGivenUp { return try beginAgain(portal, statement, at: start) }
            if let request = error.underlying as? WaitRequest { return try wait(for: request, portal) }
            statement.reset()
            throw withKey(ErrorMapping.postgresError(for: error, on: connection), portal, connection)
        }
        sendNotices()
        let count = plan.countsChanges ? connection.sqlite.changes : plan.rowCount(portal, running)
        if case .copy(let copy) = plan.kind { endSending(copy.format) }
        complete(portal, plan.tag.text(rows: count))
        return .done
    }

    /// Whether a statement runs in slices from its next step on.
    private func isLong(_ portal: Portal, _ plan: Plan, _ connection: DatabaseConnection) throws(PostgresError) -> Bool
    {
        if !portal.isLong, !plan.readsOnly, let database {
            portal.isLong = try database.hasLoop(plan.sql, connection)
        }
        return portal.isLong
    }

    /// What there was before a statement's first row.
    private struct RowMark {
        let byteCount: Int
        let notices: Int
        let rows: Int
    }

    /// A statement that only reads takes longer than a turn: as if it had not begun, it does so in slices.
    private func beginAgain(_ portal: Portal, _ statement: SQLiteStatement, at mark: RowMark) throws(PostgresError)
        -> Progress
    {
        statement.reset()
        output.truncate(to: mark.byteCount)
        context.notices.removeLast(context.notices.count - mark.notices)
        running?.rowCount = mark.rows
        portal.rowCount = 0
        portal.waitAnswers = context.waits.answers
        portal.isLong = true
        return try sendRows(portal)
    }

    /// What comes behind this row has its time in slices.
    private func pause(_ wait: Wait, _ portal: Portal) -> Progress {
        self.wait = wait
        portal.isLong = true
        return .waiting
    }

    func send(_ statement: SQLiteStatement, _ plan: Plan, _ portal: Portal, _ connection: DatabaseConnection) {
        if case .copy(let copy) = plan.kind {
            return sendCopyRow(statement, plan, copy.format, connection.catalogue)
        }
        output.beginRow(columnCount: plan.columns.count)
        for (index, column) in plan.columns.enumerated() {
            DatumCoding.encode(
                statement, column: index, type: column.type, format: portal.format(index), context: context,
                catalogue: connection.catalogue, into: &output)
        }
        output.endRow()
    }

    /// A portal stops at its limit of rows. What it reads must not change while its transaction writes.
    private func suspend(_ portal: Portal) -> Progress {
        portal.connection?.end()
        portal.isLong = true
        return .suspended
    }

    /// `pg_sleep`, `pg_advisory_lock`: the statement is carried out again when the wait is over, and then has the
    /// answer.
    private func wait(for request: WaitRequest, _ portal: Portal) throws(PostgresError) -> Progress {
        portal.statement?.reset()
        portal.skipCount = portal.rowCount
        portal.rowCount = 0
        portal.waitAnswers = context.waits.answers
        switch request {
        case .sleep(let seconds):
            portal.waitAnswers.append(.text(""))
            wait = .time(now + .seconds(min(max(0, seconds), 1e9)))
        case .lock(let key, let verb): try wait(for: key, verb)
        }
        return .waiting
    }

    // MARK: Ends

    /// The portal is through: what it held is free, and its client is told.
    func complete(_ portal: Portal, _ tag: String) {
        if let connection = portal.connection {
            do throws(PostgresError) { try checkLateReferences(connection) } catch {
                return fail(error, isExtended: simple == nil)
            }
        }
        portal.isFinished = true
        portal.close(self)
        complete(tag)
    }

    /// The last statement of a Query message is committed before its client hears of it.
    func complete(_ tag: String) {
        statementDeadline = nil
        sendNotices()
        if let simple, simple.isLast, transaction?.isBlock == false {
            do throws(PostgresError) { try commit() } catch {
                return fail(error)
            }
        }
        output.commandComplete(tag)
    }

    func closePortals(_ isConcerned: (Portal) -> Bool) {
        for portal in portals.values.filter(isConcerned).sorted(by: { $0.number < $1.number }) {
            portals[portal.name] = nil
            portal.close(self)
        }
    }
}

extension Portal {
    /// Lets go of the statement and the connection.
    func close(_ session: DatabaseSession) {
        statement = nil
        guard let connection else { return }
        self.connection = nil
        connection.end()
        if ownsConnection { session.database?.giveBack(connection) }
        ownsConnection = false
    }
}

extension Plan {
    /// Rows for its tag: a query counts those of the present Execute, all others what they have done in all.
    fileprivate func rowCount(_ portal: Portal, _ run: DatabaseSession.Run?) -> Int {
        if case .query = kind, let run { return run.rowCount }
        return portal.rowCount
    }

    /// Whether its rows are those that it changes, and not those that it returns.
    var countsChanges: Bool {
        switch kind {
        case .insert, .update, .delete: columns.isEmpty
        default: false
        }
    }
}

extension CommandTag {
    /// The words of it.
    var command: String {
        switch self {
        case .words(let words), .counted(let words): words
        case .inserted: "INSERT"
        }
    }
}
