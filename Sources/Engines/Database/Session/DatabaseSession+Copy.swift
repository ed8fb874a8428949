import KernelSQLite
import KernelWire

/// COPY: rows in bulk, from the client and to it.
extension DatabaseSession {
    // MARK: From the client

    func receive(_ copy: CopyPlan, _ portal: Portal, _ connection: DatabaseConnection) throws(PostgresError) -> Progress
    {
        guard let plan = portal.entry?.plan else { return .done }
        let statement = try prepare(plan, [], connection)
        self.copy = CopyReception(copy, plan, statement, connection, portal)
        portal.isStarted = true
        let format: PostgresFormat = copy.format.kind == .binary ? .binary : .text
        output.write(.copyIn(format, columns: Array(repeating: format, count: plan.parameterTypes.count)))
        wait = .copyData
        return .waiting
    }

    /// While rows are expected.
    func receiveCopy(_ message: FrontendMessage) {
        guard let copy else { return }
        do throws(PostgresError) {
            switch message {
            case .copyData(let bytes):
                copy.connection.sqlite.context = context
                try copy.take(bytes, context)
            case .copyDone: try finishCopy(copy)
            case .copyFail(let reason):
                throw PostgresError(.queryCanceled, "COPY from stdin failed: \(reason)")
            case .flush, .sync: break
            case .terminate: end()
            default:
                throw PostgresError(.protocolViolation, "unexpected message during COPY from stdin")
            }
        } catch {
            wait = nil
            var error = error
            if error.context == nil { error.context = copy.place }
            fail(error, isExtended: simple == nil)
        }
    }

    private func finishCopy(_ copy: CopyReception) throws(PostgresError) {
        copy.connection.sqlite.context = context
        try copy.finish(context)
        self.copy = nil
        wait = nil
        let tag = copy.plan.tag.text(rows: copy.rowCount)
        running = nil
        complete(copy.portal, tag)
    }

    // MARK: To the client

    func beginSending(_ copy: CopyPlan, _ portal: Portal) {
        guard portal.skipCount == 0 else { return }
        let format: PostgresFormat = copy.format.kind == .binary ? .binary : .text
        output.write(.copyOut(format, columns: Array(repeating: format, count: portal.columns.count)))
        let writer = CopyWriter(copy.format)
        let opening = writer.opening(copy.columnNames)
        if !opening.isEmpty { output.write(.copyData(opening)) }
    }

    func sendCopyRow(_ statement: SQLiteStatement, _ plan: Plan, _ format: CopyFormat, _ catalogue: Catalogue) {
        var writer = CopyWriter(format)
        writer.begin(plan.columns.count)
        for (index, column) in plan.columns.enumerated() {
            let value = statement.value(index)
            if value == .null {
                writer.null()
            } else if format.kind == .binary {
                writer.field(DatumCoding.datum(value, type: column.type, context, catalogue)?.encoded(.binary) ?? [])
            } else {
                writer.field(Array(DatumCoding.text(value, type: column.type, context, catalogue).utf8))
            }
        }
        output.write(.copyData(writer.end()))
    }

    func endSending(_ format: CopyFormat) {
        if format.kind == .binary { output.write(.copyData(CopyWriter.binaryTrailer)) }
        output.write(.copyDone)
    }
}

/// A COPY from the client that is under way.
final class CopyReception {
    let plan: Plan
    let portal: Portal
    let connection: DatabaseConnection
    private let copy: CopyPlan
    private let statement: SQLiteStatement
    private var reader: CopyReader
    private(set) var rowCount = 0
    private var column: Int?

    init(
        _ copy: CopyPlan, _ plan: Plan, _ statement: SQLiteStatement, _ connection: DatabaseConnection,
        _ portal: Portal
    ) {
        self.copy = copy
        self.plan = plan
        self.statement = statement
        self.connection = connection
        self.portal = portal
        reader = CopyReader(copy.format, columnNames: copy.columnNames)
    }

    func take(_ bytes: [UInt8], _ context: SessionContext) throws(PostgresError) {
        reader.append(bytes)
        try insertRows(context)
    }

    func finish(_ context: SessionContext) throws(PostgresError) {
        reader.finish()
        try insertRows(context)
    }

    private func insertRows(_ context: SessionContext) throws(PostgresError) {
        column = nil
        while let row = try reader.next() {
            guard row.count == plan.parameterTypes.count else {
                throw Self.wrongCount(row.count, copy, plan.parameterTypes.count)
            }
            try insert(row, context)
            rowCount += 1
        }
    }

    private func insert(_ row: [[UInt8]?], _ context: SessionContext) throws(PostgresError) {
        let format: PostgresFormat = copy.format.kind == .binary ? .binary : .text
        for (index, type) in plan.parameterTypes.enumerated() {
            column = index
            var value = SQLiteValue.null
            if let bytes = row[index] {
                value = try DatumCoding.decode(
                    bytes, format, type: type, context: context, catalogue: connection.catalogue)
            }
            try attempt { () throws(SQLiteError) in try statement.bind(value, at: index + 1) }
        }
        column = nil
        try attempt { () throws(SQLiteError) in try statement.run() }
    }

    private func attempt(_ body: () throws(SQLiteError) -> Void) throws(PostgresError) {
        do throws(SQLiteError) { try body() } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
    }

    private static func wrongCount(_ count: Int, _ copy: CopyPlan, _ expected: Int) -> PostgresError {
        if count < expected, copy.columnNames.indices.contains(count) {
            return PostgresError(.badCopyFileFormat, "missing data for column \"\(copy.columnNames[count])\"")
        }
        return PostgresError(.badCopyFileFormat, "extra data after last expected column")
    }

    /// Where it is, for errors.
    var place: String {
        var text = "COPY \(copy.table), line \(reader.lineNumber)"
        if let column, copy.columnNames.indices.contains(column) { text += ", column \(copy.columnNames[column])" }
        return text
    }
}
