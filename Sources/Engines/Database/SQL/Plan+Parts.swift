import KernelWire

/// BEGIN and its like.
public enum TransactionCommand: Equatable, Sendable {
    public enum Isolation: String, Sendable {
        case readUncommitted = "read uncommitted"
        case readCommitted = "read committed"
        case repeatableRead = "repeatable read"
        case serializable
    }

    /// What BEGIN, START TRANSACTION and SET TRANSACTION say; nil where they do not.
    public struct Modes: Equatable, Sendable {
        public var isolation: Isolation?
        public var isReadOnly: Bool?
        public var isDeferrable: Bool?

        public init(isolation: Isolation? = nil, isReadOnly: Bool? = nil, isDeferrable: Bool? = nil) {
            self.isolation = isolation
            self.isReadOnly = isReadOnly
            self.isDeferrable = isDeferrable
        }
    }

    case begin(Modes)
    /// `isChained`: AND CHAIN, a transaction like this one begins at once.
    case commit(isChained: Bool)
    case rollback(isChained: Bool)
    case savepoint(String)
    case release(String)
    case rollbackTo(String)
    /// SET TRANSACTION, for the current one.
    case setModes(Modes)
    /// SET SESSION CHARACTERISTICS, for those to come.
    case setDefaultModes(Modes)
}

/// SET and RESET.
public struct SettingChange: Equatable, Sendable {
    /// In lower case; `timezone` for SET TIME ZONE. Nil for RESET ALL.
    public var name: String?
    /// Nil for the default.
    public var value: String?
    /// SET LOCAL: until the transaction's end.
    public var isLocal: Bool
}

/// What an INSERT takes its rows from.
struct InsertedRows: Sendable {
    let table: UInt32
    /// The statement's WITH, or nothing.
    let with: String
    /// A query of SQLite with a value for each of `columns`.
    let sql: String
    /// The table's columns, by their numbers.
    let columns: [Int16]
    /// What the marks in `with` and `sql` stand for.
    let constants: ConstantPool
}

public enum DiscardedPart: Sendable { case all, plans, sequences, temporaryTables }

/// COPY from or to the client.
public struct CopyPlan: Sendable {
    public enum Direction: Sendable {
        /// `sql` of the plan inserts one row, whose columns' texts are its parameters by `parameterTypes`.
        case fromClient
        /// `sql` of the plan returns the rows, described by `columns`.
        case toClient
    }

    public var direction: Direction
    public var format: CopyFormat
    /// The table, for messages; empty for a query.
    public var table: String
    /// The names of the columns in the stream, for the header line and for messages.
    public var columnNames: [String]
}

/// How a COPY's rows are written.
public struct CopyFormat: Equatable, Sendable {
    public enum Kind: Sendable { case text, csv, binary }

    public enum Header: Sendable {
        case none
        case present
        /// HEADER MATCH: the names must be the columns'.
        case matching
    }

    public var kind = Kind.text
    public var delimiter = UInt8(ascii: "\t")
    /// What stands for NULL.
    public var null = "\\N"
    public var header = Header.none
    public var quote = UInt8(ascii: "\"")
    public var escape = UInt8(ascii: "\"")
    /// FORCE_QUOTE: these columns' numbers; nil for all.
    public var forceQuote: [Int]? = []
    public var forceNotNull: [Int] = []
    public var forceNull: [Int] = []
}

/// EXPLAIN: `columns` has one text, `QUERY PLAN`, or json.
public struct ExplainPlan: Sendable {
    public var statement: ParsedStatement
    public var isAnalyze: Bool
    public var isJSON: Bool
}

/// DECLARE: a portal with a name that SQL gave it. The plan's `sql` and `columns` are the query's.
public struct CursorPlan: Equatable, Sendable {
    public var name: String
    public var isHoldable: Bool
    public var isScrollable: Bool
}

/// FETCH and MOVE.
public struct FetchPlan: Equatable, Sendable {
    public enum Direction: Sendable { case forward, backward, absolute, relative }

    public var name: String
    public var direction: Direction
    /// Nil for ALL.
    public var count: Int?
    public var isMove: Bool
}

/// A change of the catalogue, checked as far as it could be without making it.
public protocol Definition: Sendable {
    /// Makes it, within the transaction that the connection has begun.
    ///
    /// - Returns: how many rows a table was filled with (CREATE TABLE AS).
    /// - Throws: `PostgresError`. What was done up to there is to be rolled back.
    @discardableResult
    func apply(to catalogue: Catalogue, context: SessionContext) throws(PostgresError) -> Int
}
