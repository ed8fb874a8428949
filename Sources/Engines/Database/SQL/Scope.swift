import KernelWire

/// The tables whose columns can be named at one place of a statement, and what stands around that place.
final class Scope {
    let parent: Scope?
    /// In the order of FROM.
    var items: [RangeItem] = []
    /// The columns that can be named without a table, in the order of `*`: USING makes one of two.
    var columns: [RangeColumn] = []
    var commonTables: [String: CommonTable] = [:]
    /// Of the WINDOW clause.
    var windows: [String: SyntaxNode] = [:]

    // MARK: Aggregation

    /// Whether there was an aggregate, so that all rows of a group become one.
    var hasAggregates = false
    /// More than 0 within an aggregate's arguments, where any column can stand.
    var aggregateDepth = 0
    /// What GROUP BY has, in SQLite's words; nil while it does not matter.
    var groups: Set<String>?
    /// Columns that were used outside of aggregates, in the order in which they were met.
    var ungrouped: [UngroupedColumn] = []
    /// Whole expressions, with the uses of columns that lie within: those do not count if the whole is in GROUP BY.
    /// Without a text, they do not count in any case.
    var grouped: [(sql: String?, uses: Range<Int>)] = []
    /// Where aggregates cannot stand, as a message calls the place: `WHERE`.
    var aggregateFreeClause: String?
    /// Functions in the list of results that return several rows each: they are joined to FROM, and go on together.
    var rowFunctions: [(source: String, alias: String)] = []

    /// As an entry of FROM; empty if there are none.
    var rowFunctionSource: String {
        guard let first = rowFunctions.first else { return "" }
        return first.source
            + rowFunctions.dropFirst().map { " LEFT JOIN \($0.source) ON \($0.alias).key = \(first.alias).key" }
            .joined()
    }

    init(parent: Scope?) { self.parent = parent }

    struct UngroupedColumn {
        let item: RangeItem?
        let name: String
        let sql: String
        let location: Int?
    }
}

/// One entry of FROM.
struct RangeItem {
    /// The name by which the statement can call it; empty for none.
    var name: String
    /// The schema, where it is a table without an alias.
    var schema: String?
    /// In SQLite's words.
    var alias: String
    var columns: [RangeColumn]
    var relation: Relation?
    /// Of an UPDATE's or INSERT's target, which SQLite calls by its own name.
    var isTarget = false
}

struct RangeColumn {
    var name: String
    var expression: Expression
}

/// A query of WITH.
struct CommonTable {
    var alias: String
    var columns: [(name: String, type: DataType)]
}
