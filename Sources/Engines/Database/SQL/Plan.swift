import KernelSQLite
import KernelWire

/// What a statement comes to: a text for SQLite, with all that SQLite does not know about it; or what to do without it.
public struct Plan: Sendable {
    public enum Kind: Sendable {
        /// Run `sql`. Rows, if it returns any, are described by `columns`.
        case query
        case insert
        case update
        case delete
        /// Run all of `statements`, which return nothing (TRUNCATE).
        case statements([String])
        /// Changes the catalogue: `definition.apply(to:context:)` within a write transaction.
        case definition(any Definition)
        case transaction(TransactionCommand)
        case set(SettingChange)
        /// One row with the value of a setting; `columns` describes it. `all` has three columns for each setting.
        case show(name: String)
        case discard(DiscardedPart)
        case listen(channel: String)
        /// Nil for all channels.
        case unlisten(channel: String?)
        case notify(channel: String, payload: String)
        case copy(CopyPlan)
        /// The rows say how `statement` would be carried out.
        case explain(ExplainPlan)
        case declareCursor(CursorPlan)
        case fetch(FetchPlan)
        case closeCursor(name: String?)
        /// `PREPARE name AS …`
        case prepare(name: String, parameterTypes: [PostgresOID], statement: ParsedStatement)
        /// `EXECUTE name (…)`: the parameters' values are the columns of the one row that `sql` returns.
        case execute(name: String, argumentTypes: [PostgresOID])
        case deallocate(name: String?)
        /// Nothing is to be done, but say so: VACUUM, ANALYZE, LOCK TABLE and their like.
        case nothing
        /// As `nothing`, and the write-ahead log is brought into the database.
        case checkpoint
        case createDatabase(name: String)
        case dropDatabase(name: String, isMissingAllowed: Bool)
    }

    public var kind: Kind
    /// For SQLite. `?1` is `$1`; further ones are `constants`, from `parameterTypes.count + 1` on.
    public var sql: String
    /// Of `$1`, `$2` …
    public var parameterTypes: [PostgresOID]
    /// What is bound behind the parameters: the statement's literals, so that statements that differ only in them are
    /// one to SQLite.
    public var constants: [SQLiteValue]
    /// Empty for what returns no rows.
    public var columns: [ColumnDescription]
    public var tag: CommandTag
    /// Whether it leaves everything as it is, locks included.
    public var readsOnly: Bool
    /// Notices that belong to the statement itself.
    public var notices: [PostgresError]
    /// Whether the plan holds as long as the catalogue's version does, and can be used again.
    public var isReusable: Bool
    /// The rows that an INSERT puts, to find the one that another is in the way of.
    var insertedRows: InsertedRows?
    /// What the aliases in `sql` stand for, for EXPLAIN.
    var tableNames: [String: String] = [:]
    /// The table of ON CONFLICT DO UPDATE, no row of which may be inserted or changed twice.
    var touchedTable: String?
    /// The transaction must not be a block (VACUUM, CREATE DATABASE): 25001.
    public var refusesTransactionBlock: Bool
    /// The transaction must be a block (LOCK TABLE): 25P01.
    var needsTransactionBlock = false
    /// What happens instead of waiting while somebody else writes.
    var lockWait: LockWait?

    init(
        _ kind: Kind, tag: CommandTag, sql: String = "", parameterTypes: [PostgresOID] = [],
        columns: [ColumnDescription] = [], readsOnly: Bool = true, isReusable: Bool = true
    ) {
        self.kind = kind
        self.tag = tag
        self.sql = sql
        self.parameterTypes = parameterTypes
        self.columns = columns
        self.readsOnly = readsOnly
        self.isReusable = isReusable
        constants = []
        notices = []
        refusesTransactionBlock = false
    }
}

/// NOWAIT and SKIP LOCKED. There is one writer at a time, so while somebody else writes, all rows count as locked.
enum LockWait: Equatable, Sendable {
    /// 55P03, with this message.
    case refused(String)
    /// No rows. Statements that change something wait all the same.
    case skipped
}

/// What CommandComplete says.
public enum CommandTag: Equatable, Sendable {
    /// `CREATE TABLE`
    case words(String)
    /// The words and the number of rows, returned or changed: `SELECT 3`, `UPDATE 1`.
    case counted(String)
    /// `INSERT 0 3`
    case inserted

    public func text(rows: Int) -> String {
        switch self {
        case .words(let words): words
        case .counted(let words): "\(words) \(rows)"
        case .inserted: "INSERT 0 \(rows)"
        }
    }
}

extension Plan {
    /// Of the parameters that a client gives values for: a COPY's own stand for the columns of its rows.
    var clientTypes: [PostgresOID] {
        if case .copy(let copy) = kind, copy.direction == .fromClient { return [] }
        return parameterTypes
    }

    /// Of the values of an EXECUTE.
    var argumentTypes: [PostgresOID] {
        if case .execute(_, let types) = kind { return types }
        return []
    }
}
