import KernelWire

/// A query whose results can still be converted: the branches of a UNION learn their types from one another, and an
/// INSERT's rows from the table.
final class Query {
    struct Target {
        var expression: Expression
        var name: String
    }

    enum Body {
        case select(SelectParts)
        case values([[Expression]])
        case compound(operation: String, left: Query, right: Query)
    }

    var targets: [Target]
    var body: Body
    var with = ""
    var orderBy = ""
    var limit = ""
    /// Whether it returns one row at most, whatever is in the tables.
    var isSingleRow = false

    init(_ targets: [Target], _ body: Body) {
        self.targets = targets
        self.body = body
    }

    /// The query in SQLite's words, its results named `c1`, `c2` …
    var sql: String { with + core + orderBy + limit }

    private var core: String {
        switch body {
        case .select(let parts): return parts.sql(targets)
        case .values(let rows):
            let lines = rows.map { row in "(" + row.map(\.sql).joined(separator: ", ") + ")" }
            let names = targets.indices.map { "column\($0 + 1) AS c\($0 + 1)" }
            return "SELECT \(names.joined(separator: ", ")) FROM (VALUES \(lines.joined(separator: ", ")))"
        case .compound(let operation, let left, let right):
            // All operations are of one rank to SQLite, and go from left to right.
            let first = left.isPlain && left.termCount < Self.termLimit ? left.sql : left.member
            return "\(first) \(operation) \(right.member)"
        }
    }

    /// Queries that SQLite puts together at a time.
    private static let termLimit = 400

    private var isPlain: Bool { with.isEmpty && orderBy.isEmpty && limit.isEmpty }

    private var termCount: Int {
        guard case .compound(_, let left, _) = body else { return 1 }
        let count = left.isPlain ? left.termCount : Self.termLimit
        return 1 + (count < Self.termLimit ? count : 1)
    }

    /// As one side of a UNION: SQLite knows no parentheses there.
    private var member: String {
        if with.isEmpty, orderBy.isEmpty, limit.isEmpty, case .select = body { return sql }
        return "SELECT * FROM (\(sql))"
    }
}

/// What stands between SELECT and ORDER BY.
struct SelectParts {
    var isDistinct = false
    var from = ""
    var condition: String?
    var groupBy: [String] = []
    var having: String?
    var windows = ""
    /// DISTINCT ON: the keys, and the order in which the first row of each is looked for.
    var distinctOn: (keys: [String], order: [(sql: String, suffix: String)])?

    func sql(_ targets: [Query.Target]) -> String {
        var list = targets.enumerated().map { index, target in
            // Without rows' own collation, DISTINCT and UNION would tell 1.0 from 1.00.
            (isDistinct ? target.expression.ordered : target.expression.sql) + " AS c\(index + 1)"
        }
        if list.isEmpty { list = ["NULL AS c1"] }
        guard let distinctOn else {
            return "SELECT \(isDistinct ? "DISTINCT " : "")" + list.joined(separator: ", ") + rest
        }
        let order = distinctOn.order.map { $0.sql + $0.suffix }
        let keys = distinctOn.order.enumerated().map { "\($1.sql) AS o\($0 + 1)" }
        let number =
            "row_number() OVER (PARTITION BY \(distinctOn.keys.joined(separator: ", "))"
            + (order.isEmpty ? "" : " ORDER BY " + order.joined(separator: ", ")) + ") AS r"
        let inner = "SELECT " + (list + keys + [number]).joined(separator: ", ") + rest
        let names = targets.indices.map { "c\($0 + 1)" }.joined(separator: ", ")
        let outerOrder = distinctOn.order.enumerated().map { "o\($0 + 1)\($1.suffix)" }
        return "SELECT \(names) FROM (\(inner)) WHERE r = 1"
            + (outerOrder.isEmpty ? "" : " ORDER BY " + outerOrder.joined(separator: ", "))
    }

    private var rest: String {
        var text = from.isEmpty ? "" : " FROM " + from
        if let condition { text += " WHERE " + condition }
        if !groupBy.isEmpty { text += " GROUP BY " + groupBy.joined(separator: ", ") }
        if let having { text += " HAVING " + having }
        return text + windows
    }
}
