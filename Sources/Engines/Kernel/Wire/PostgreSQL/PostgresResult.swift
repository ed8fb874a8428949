/// What one statement gave.
public struct PostgresResult: Equatable, Sendable {
    public var columns: [ColumnDescription] = []
    public var rows: [PostgresRow] = []
    /// `SELECT 3`, `INSERT 0 1`; empty for an empty statement.
    public var tag = ""
    /// What `COPY … TO STDOUT` sent.
    public var copied: [UInt8] = []
    /// Whether there are columns, if only none: a statement that returns rows.
    public var returnsRows = false

    public init() {}

    /// Rows that were inserted, changed, deleted or selected: the last word of the tag.
    public var affectedCount: Int { tag.split(separator: " ").last.flatMap { Int($0) } ?? 0 }

    /// Each row as texts; nil is NULL. For results in text format.
    public var texts: [[String?]] { rows.map(\.texts) }

    /// The values of a row by their types.
    ///
    /// - Throws: 22P03 and the like, if the server has sent something else.
    public func values(of row: PostgresRow) throws(PostgresError) -> [PostgresValue?] {
        guard row.count == columns.count else { throw .violation("a row with \(row.count) values") }
        var values: [PostgresValue?] = []
        for (bytes, column) in zip(row.values, columns) {
            guard let bytes else {
                values.append(nil)
                continue
            }
            values.append(try PostgresValue(bytes, column.format, type: column.type))
        }
        return values
    }
}

extension PostgresValue {
    /// As which type a client sends it; text is left to the server to understand.
    public var parameterType: PostgresOID {
        switch self {
        case .bool: .bool
        case .int2: .int2
        case .int4: .int4
        case .int8: .int8
        case .oid: .oid
        case .float4: .float4
        case .float8: .float8
        case .numeric: .numeric
        case .text: .unspecified
        case .bytea: .bytea
        case .date: .date
        case .timestamp: .timestamp
        case .timestamptz: .timestamptz
        case .jsonb: .jsonb
        case .uuid: .uuid
        case .array(_, let element): element.array ?? .unspecified
        }
    }
}
