import KernelWire

/// What a name in FROM can stand for: a table, a view, or a table of the catalogue itself; also an index or a sequence.
public final class Relation: Sendable {
    /// As `pg_class.relkind` has it.
    public enum Kind: String, Sendable {
        case table = "r"
        case view = "v"
        case index = "i"
        case sequence = "S"
    }

    public let oid: UInt32
    public let schema: String
    public let name: String
    public let kind: Kind
    public let columns: [Column]
    /// Its name in SQLite, without quotes.
    let storage: String
    let indexes: [Index]
    let constraints: [Constraint]
    /// A view's query, as PostgreSQL's SQL.
    let definition: String?
    /// How a table of the catalogue comes to its rows; nil for everybody else's tables.
    let system: SystemTable.Source?

    init(
        oid: UInt32, schema: String, name: String, kind: Kind, columns: [Column], storage: String,
        indexes: [Index] = [],
        constraints: [Constraint] = [], definition: String? = nil, system: SystemTable.Source? = nil
    ) {
        self.oid = oid
        self.schema = schema
        self.name = name
        self.kind = kind
        self.columns = columns
        self.storage = storage
        self.indexes = indexes
        self.constraints = constraints
        self.definition = definition
        self.system = system
    }

    public struct Column: Sendable {
        /// From 1; numbers of dropped columns do not come again.
        public let number: Int16
        public let name: String
        public let type: DataType
        public let isNotNull: Bool
        /// As SQL; nil for none. That of a generated column is what it is generated from.
        let defaultText: String?
        /// `a` for GENERATED ALWAYS AS IDENTITY, `d` for BY DEFAULT, otherwise empty.
        let identity: String
        /// GENERATED ALWAYS AS (…) STORED
        let isGenerated: Bool
        let storage: String
    }

    struct Index: Sendable {
        let oid: UInt32
        let name: String
        let isUnique: Bool
        let isPrimary: Bool
        /// Columns' numbers; 0 for an expression.
        let keys: [Int16]
        /// The condition of a partial index, as SQL.
        let condition: String?
    }

    struct Constraint: Sendable {
        enum Kind: String, Sendable {
            case check = "c"
            case foreignKey = "f"
            case primaryKey = "p"
            case unique = "u"
        }

        let oid: UInt32
        let name: String
        let kind: Kind
        let keys: [Int16]
        /// The index of a primary key or a unique constraint.
        let index: UInt32
        /// What a check wants, as SQL.
        let expression: String?
        let foreignTable: UInt32
        let foreignKeys: [Int16]
        /// `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
        let onUpdate: String
        let onDelete: String
    }

    /// Those that a row is inserted with; the others are generated from them.
    var stored: [Column] { columns.filter { !$0.isGenerated } }
    func column(_ name: String) -> Column? { columns.first { $0.name == name } }
    func column(number: Int16) -> Column? { columns.first { $0.number == number } }
    var primaryKey: Index? { indexes.first { $0.isPrimary } }
    var isSystem: Bool { system != nil }

    /// As messages name it.
    var kindName: String {
        switch kind {
        case .table: "table"
        case .view: "view"
        case .index: "index"
        case .sequence: "sequence"
        }
    }
}
