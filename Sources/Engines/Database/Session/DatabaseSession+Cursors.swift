import KernelSQLite
import KernelWire

/// Cursors: portals that SQL declares, and takes rows from by name.
extension DatabaseSession {
    func declare(_ cursor: CursorPlan, _ portal: Portal, _ connection: DatabaseConnection) throws(PostgresError)
        -> Progress
    {
        guard let entry = portal.entry, let transaction else { return .done }
        guard portals[cursor.name] == nil else {
            throw PostgresError(.duplicateCursor, "cursor \"\(cursor.name)\" already exists")
        }
        guard transaction.isBlock || cursor.isHoldable else {
            throw PostgresError(.noActiveTransaction, "DECLARE CURSOR can only be used in transaction blocks")
        }
        guard portals.count < Self.objectLimit else { throw PostgresError(.outOfMemory, "too many cursors") }
        portalCount += 1
        let opened = Portal(
            number: portalCount, name: cursor.name, entry: entry, givenTypes: portal.givenTypes,
            parameters: portal.parameters)
        opened.cursor = cursor
        opened.isStarted = true
        opened.statement = try prepare(entry.plan, portal.parameters, connection)
        opened.connection = connection
        opened.ownsConnection = portal.ownsConnection
        portal.ownsConnection = false
        portals[cursor.name] = opened
        // Going back needs the rows; who writes must not see its own changes in them; and what is to outlive its
        // transaction must not hold up its end.
        if cursor.isScrollable || cursor.isHoldable || transaction.isWriting { try storeRows(of: opened) }
        complete(portal, entry.plan.tag.text(rows: 0))
        return .done
    }

    /// Takes the rows that are left into memory, so that the statement and its connection are free.
    func storeRows(of portal: Portal) throws(PostgresError) {
        guard portal.stored == nil, let statement = portal.statement, let connection = portal.connection else { return }
        connection.begin(context)
        var stored = StoredRows()
        var byteCount = 0
        do throws(SQLiteError) {
            while try statement.step() {
                let row = (0..<statement.columnCount).map { statement.value($0) }
                byteCount += row.reduce(64) { $0 + $1.byteCount }
                guard byteCount <= StoredRows.byteLimit else {
                    throw SQLiteError(
                        code: 0, message: "",
                        underlying: PostgresError(
                            .configurationLimitExceeded, "the rows of cursor \"\(portal.name)\" are too large",
                            detail: "At most \(StoredRows.byteLimit) bytes are kept of one cursor."))
                }
                stored.rows.append(row)
            }
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
        portal.stored = stored
        portal.close(self)
    }

    /// WITH HOLD: at the end of its transaction a cursor's rows are taken out of it.
    func keepHoldableCursors() throws(PostgresError) {
        let held = portals.values.filter { $0.cursor?.isHoldable == true && $0.stored == nil }
        for portal in held.sorted(by: { $0.number < $1.number }) { try storeRows(of: portal) }
    }

    func closeCursor(_ name: String?) throws(PostgresError) {
        guard let name else { return closePortals { $0.cursor != nil } }
        guard portals[name] != nil else { throw Self.noCursor(name) }
        drop(portal: name)
    }

    private static func noCursor(_ name: String) -> PostgresError {
        PostgresError(.invalidCursorName, "cursor \"\(name)\" does not exist")
    }

    // MARK: FETCH

    /// A FETCH has the columns of its cursor, and an EXECUTE those of its statement.
    func resolveFetch(_ portal: Portal) throws(PostgresError) {
        if case .execute(let name, _)? = portal.entry?.plan.kind {
            let plan = preparedStatements[name]?.entry?.plan
            portal.cursorColumns = plan?.returnsRows == true ? plan?.columns : nil
            return
        }
        guard case .fetch(let fetch)? = portal.entry?.plan.kind, !fetch.isMove else { return }
        guard let cursor = portals[fetch.name] else { throw Self.noCursor(fetch.name) }
        portal.cursorColumns = cursor.entry?.plan.columns
    }

    /// A cursor that still runs may take long to come to its next row.
    func start(_ fetch: FetchPlan, _ portal: Portal) throws(PostgresError) -> Progress {
        guard let connection = portals[fetch.name]?.connection else { return try carryOut(fetch, portal) }
        return try inSlices(on: connection) { () throws(PostgresError) in try self.carryOut(fetch, portal) }
    }

    private func carryOut(_ fetch: FetchPlan, _ portal: Portal) throws(PostgresError) -> Progress {
        guard let cursor = portals[fetch.name], cursor !== portal else { throw Self.noCursor(fetch.name) }
        guard !cursor.isFailed else {
            throw PostgresError(.objectNotInPrerequisiteState, "portal \"\(fetch.name)\" cannot be run")
        }
        try resolveFetch(portal)
        let first = !portal.isStarted
        portal.isStarted = false
        if first, portal.describesRows, !fetch.isMove { output.rowDescription(portal.columns) }
        let count = try cursor.stored == nil ? forward(fetch, cursor, portal) : scroll(fetch, cursor, portal)
        complete(portal, "\(fetch.isMove ? "MOVE" : "FETCH") \(count)")
        return .done
    }

    private func forward(_ fetch: FetchPlan, _ cursor: Portal, _ portal: Portal) throws(PostgresError) -> Int {
        let isForward =
            switch fetch.direction {
            case .forward: (fetch.count ?? 1) >= 0
            case .relative: (fetch.count ?? 1) > 0
            case .absolute: (fetch.count ?? 1) > cursor.rowCount
            case .backward: fetch.count == 0
            }
        guard isForward else {
            throw PostgresError(
                .objectNotInPrerequisiteState, "cursor can only scan forward",
                hint: "Declare it with SCROLL option to enable backward scan.")
        }
        guard let statement = cursor.statement, let connection = cursor.connection, let plan = cursor.entry?.plan else {
            return 0
        }
        connection.begin(context)
        var skipped = 0
        var wanted = fetch.count ?? .max
        if fetch.direction == .relative { (skipped, wanted) = (wanted - 1, 1) }
        if fetch.direction == .absolute { (skipped, wanted) = (wanted - cursor.rowCount - 1, 1) }
        var count = 0
        do {
            while count < wanted {
                guard try statement.step() else {
                    cursor.close(self)
                    break
                }
                cursor.rowCount += 1
                if skipped > 0 {
                    skipped -= 1
                    continue
                }
                count += 1
                if !fetch.isMove { send(statement, plan, portal, connection) }
                if output.count >= Self.outputByteCount { try giveWay(for: .output, on: connection) }
            }
        } catch {
            cursor.isFailed = true
            if let error = error as? SQLiteError { throw ErrorMapping.postgresError(for: error, on: connection) }
            throw error as? PostgresError ?? Self.stopped
        }
        if cursor.connection != nil { connection.end() }
        return count
    }

    /// In rows that are in memory any direction is possible.
    private func scroll(_ fetch: FetchPlan, _ cursor: Portal, _ portal: Portal) throws(PostgresError) -> Int {
        guard var stored = cursor.stored, let plan = cursor.entry?.plan else { return 0 }
        let indexes = stored.move(fetch)
        cursor.stored = stored
        guard !fetch.isMove else { return indexes.count }
        try withCatalogue { (catalogue: Catalogue) throws(PostgresError) in
            for index in indexes { send(stored.rows[index], plan, portal, catalogue) }
        }
        return indexes.count
    }

    private func send(_ row: [SQLiteValue], _ plan: Plan, _ portal: Portal, _ catalogue: Catalogue) {
        output.beginRow(columnCount: plan.columns.count)
        for (index, column) in plan.columns.enumerated() {
            let value = index < row.count ? row[index] : .null
            if value == .null {
                output.null()
            } else if portal.format(index) == .text {
                output.value(utf8: DatumCoding.text(value, type: column.type, context, catalogue))
            } else {
                output.value(
                    DatumCoding.datum(value, type: column.type, context, catalogue)?.encoded(.binary) ?? [])
            }
        }
        output.endRow()
    }
}

extension StoredRows {
    /// Moves as FETCH says.
    ///
    /// - Returns: the rows that it passes over, in order; `position` is behind the last.
    mutating func move(_ fetch: FetchPlan) -> [Int] {
        // `position - 1` is the current row: -1 is before the first.
        let current = position - 1
        switch fetch.direction {
        case .forward, .backward:
            var count = fetch.count ?? .max
            if fetch.direction == .backward { count = count == .max ? -.max : -count }
            if count == 0 { return rows.indices.contains(current) ? [current] : [] }
            return count > 0 ? forward(count) : backward(-count)
        case .relative:
            return jump(to: current.addingClamping(fetch.count ?? 1))
        case .absolute:
            let count = fetch.count ?? 1
            return jump(to: count >= 0 ? count - 1 : rows.count + max(count, -rows.count - 1))
        }
    }

    private mutating func forward(_ count: Int) -> [Int] {
        let end = min(rows.count, position.addingClamping(count))
        let range = Array(min(position, end)..<end)
        // Behind the last row there is a place, too.
        position = range.count < count ? rows.count + 1 : end
        return range
    }

    private mutating func backward(_ count: Int) -> [Int] {
        let last = min(position - 2, rows.count - 1)
        guard last >= 0 else {
            position = 0
            return []
        }
        let first = max(0, last - min(count, last + 1) + 1)
        let range = Array((first...last).reversed())
        position = range.count < count ? 0 : first + 1
        return range
    }

    private mutating func jump(to index: Int) -> [Int] {
        position = max(0, min(rows.count + 1, index + 1))
        return rows.indices.contains(index) ? [index] : []
    }
}

extension SQLiteValue {
    /// Bytes that it takes, about.
    var byteCount: Int {
        switch self {
        case .null, .integer, .real: 16
        case .text(let text): 16 + text.utf8.count
        case .blob(let bytes): 16 + bytes.count
        }
    }
}

extension Int {
    func addingClamping(_ other: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? (other > 0 ? .max : .min) : sum
    }
}
