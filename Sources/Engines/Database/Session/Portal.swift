import KernelSQLite
import KernelWire

/// A statement that was prepared, by the protocol's Parse or SQL's PREPARE.
final class PreparedStatement {
    let sql: String
    /// Nil for an empty text.
    var entry: PlanCache.Entry?
    /// As they were given: 0 for those that the statement decides.
    let givenTypes: [PostgresOID]

    init(sql: String, entry: PlanCache.Entry?, givenTypes: [PostgresOID]) {
        self.sql = sql
        self.entry = entry
        self.givenTypes = givenTypes
    }
}

/// A statement with its parameters' values, ready to be carried out, or half way through its rows.
final class Portal {
    /// Counts the session's portals.
    let number: Int
    let name: String
    /// Nil for an empty text.
    var entry: PlanCache.Entry?
    let givenTypes: [PostgresOID]
    let parameters: [SQLiteValue]
    let resultFormats: [PostgresFormat]
    /// Made by a Query message: its rows are described before the first one.
    var describesRows = false
    /// From DECLARE; it may live on behind its transaction.
    var cursor: CursorPlan?
    /// Whether its columns were told to the client, so that they must not change any more.
    var isDescribed = false

    var isStarted = false
    var isFinished = false
    /// An error ended it half way.
    var isFailed = false
    /// FETCH: the columns of its cursor.
    var cursorColumns: [ColumnDescription]?
    /// While it has rows to come.
    var statement: SQLiteStatement?
    /// The connection that it reads from; given back with its last row, unless it is the transaction's.
    var connection: DatabaseConnection?
    var ownsConnection = false
    /// Rows that were taken from the statement before it was needed for something else.
    var stored: StoredRows?
    /// Rows so far.
    var rowCount = 0
    /// Rows that the client has already, of a statement that is carried out a second time.
    var skipCount = 0
    /// What functions that wait have answered so far.
    var waitAnswers: [SQLiteValue] = []
    var isLatencyPaid = false
    /// It has turned out, or may be, long: it runs in slices.
    var isLong = false

    init(
        number: Int, name: String, entry: PlanCache.Entry?, givenTypes: [PostgresOID] = [],
        parameters: [SQLiteValue] = [], resultFormats: [PostgresFormat] = []
    ) {
        self.number = number
        self.name = name
        self.entry = entry
        self.givenTypes = givenTypes
        self.parameters = parameters
        self.resultFormats = resultFormats
    }

    func format(_ index: Int) -> PostgresFormat {
        resultFormats.count == 1
            ? resultFormats[0] : resultFormats.indices.contains(index) ? resultFormats[index] : .text
    }

    /// The columns as RowDescription tells them.
    var columns: [ColumnDescription] {
        (cursorColumns ?? entry?.plan.columns ?? []).enumerated().map { index, column in
            var column = column
            column.format = format(index)
            return column
        }
    }
}

/// Rows of a portal in memory, for going back and for outliving its transaction.
struct StoredRows {
    var rows: [[SQLiteValue]] = []
    /// The row that is shown next; the current one is before it.
    var position = 0

    /// Bytes of one portal's rows.
    static let byteLimit = 64 << 20
}
