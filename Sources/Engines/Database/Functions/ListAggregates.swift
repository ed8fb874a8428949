import KernelJSON
import KernelSQLite
import KernelWire

/// What makes one value out of all rows of a group, in their order: `string_agg`, `array_agg`, `json_agg`.
final class ListAggregate: SQLiteAggregate {
    enum Kind { case string, bytes, array, json, object }

    private let kind: Kind
    private let session: () -> (SessionContext, Catalogue)?
    /// Whether the first arguments are keys to order by: their number, then each with type and flags.
    private let isOrdered: Bool
    private var rows: [(keys: [SQLiteValue], values: [SQLiteValue])] = []
    private var orders: [(type: PostgresOID, flags: Int64)] = []
    private var byteCount = 0

    init(_ kind: Kind, isOrdered: Bool, _ session: @escaping () -> (SessionContext, Catalogue)?) {
        self.kind = kind
        self.isOrdered = isOrdered
        self.session = session
    }

    func step(_ arguments: SQLiteArguments) throws {
        var first = 0
        var keys: [SQLiteValue] = []
        if isOrdered {
            let count = Int(max(0, min(arguments.integer(0), 100)))
            for index in 0..<count { keys.append(arguments[1 + 3 * index]) }
            if orders.isEmpty {
                orders = (0..<count).map { index in
                    let type = PostgresOID(rawValue: UInt32(truncatingIfNeeded: arguments.integer(2 + 3 * index)))
                    return (type, arguments.integer(3 + 3 * index))
                }
            }
            first = 1 + 3 * count
        }
        let values = (first..<max(first, arguments.count)).map { arguments[$0] }
        if kind == .string || kind == .bytes, values.first ?? .null == .null { return }
        for case .text(let text) in values { byteCount += text.utf8.count }
        byteCount += 32
        guard byteCount < 512 << 20 else { throw PostgresError(.outOfMemory, "out of memory") }
        rows.append((keys, values))
    }

    func finish() throws -> SQLiteValue {
        guard !rows.isEmpty, let (context, catalogue) = session() else { return .null }
        if isOrdered {
            let sorted = rows.enumerated().sorted { a, b in
                let order = compare(a.element.keys, b.element.keys)
                return order != 0 ? order < 0 : a.offset < b.offset
            }
            rows = sorted.map(\.element)
        }
        switch kind {
        case .string:
            var text = ""
            for (index, row) in rows.enumerated() {
                if index > 0, row.values.count > 1, case .text(let separator) = row.values[1] { text += separator }
                if case .text(let part) = row.values[0] { text += part }
            }
            return .text(text)
        case .bytes:
            var bytes: [UInt8] = []
            for (index, row) in rows.enumerated() {
                if index > 0, row.values.count > 1, case .blob(let separator) = row.values[1] { bytes += separator }
                if case .blob(let part) = row.values[0] { bytes += part }
            }
            return .blob(bytes)
        case .array:
            // The element's type stands before it, or behind.
            let type = self.type(rows[0].values)
            return .text(
                ArrayItems.text(rows.map { isTypeFirst ? $0.values[1] : $0.values[0] }, type, context, catalogue))
        case .json:
            let items = rows.map { JSONDatum.text($0.values[1], oid($0.values[2]), context, catalogue) }
            return try document("[" + items.joined(separator: ", ") + "]")
        case .object:
            var items: [String] = []
            for row in rows {
                guard row.values[1] != .null else {
                    throw PostgresError(.nullValueNotAllowed, "field name must not be null")
                }
                let key = JSONValue.string(
                    DatumCoding.text(row.values[1], type: oid(row.values[2]), context, catalogue)
                ).text
                items.append("\(key) : \(JSONDatum.text(row.values[3], oid(row.values[4]), context, catalogue))")
            }
            return try document("{ " + items.joined(separator: ", ") + " }")
        }
    }

    /// `ARRAY(SELECT …)` gives the type first.
    var isTypeFirst = false

    private func type(_ values: [SQLiteValue]) -> PostgresOID { oid(values[isTypeFirst ? 0 : 1]) }

    private func oid(_ value: SQLiteValue) -> PostgresOID {
        guard case .integer(let number) = value else { return .text }
        return PostgresOID(rawValue: UInt32(truncatingIfNeeded: number))
    }

    private func document(_ text: String) throws -> SQLiteValue {
        rows[0].values[0] == .integer(1) ? .text(try JSONText.canonical(text)) : .text(text)
    }

    private func compare(_ a: [SQLiteValue], _ b: [SQLiteValue]) -> Int {
        for (index, order) in orders.enumerated() where index < a.count && index < b.count {
            let isNull = (a[index] == .null, b[index] == .null)
            if isNull == (true, true) { continue }
            if isNull.0 || isNull.1 { return (isNull.0 == (order.flags & 2 != 0)) ? -1 : 1 }
            let result = DatumOrder.compare(a[index], b[index], order.type)
            if result != 0 { return order.flags & 1 != 0 ? -result : result }
        }
        return 0
    }
}

extension DatabaseFunctions {
    static func registerLists(on connection: SQLiteConnection, catalogue: Catalogue) throws(SQLiteError) {
        let kinds: [(String, ListAggregate.Kind)] = [
            ("pg_string_agg", .string), ("pg_bytea_agg", .bytes), ("pg_array_of", .array), ("pg_json_agg", .json),
            ("pg_json_object_agg", .object),
        ]
        let session: () -> (SessionContext, Catalogue)? = { [unowned connection, unowned catalogue] in
            (connection.context as? SessionContext).map { ($0, catalogue) }
        }
        for (name, kind) in kinds {
            try connection.addAggregate(name, argumentCount: -1) { ListAggregate(kind, isOrdered: false, session) }
            try connection.addAggregate(name + "_ordered", argumentCount: -1) {
                ListAggregate(kind, isOrdered: true, session)
            }
            try connection.addAggregate(name + "_distinct", argumentCount: -1) {
                DistinctRows(ListAggregate(kind, isOrdered: false, session))
            }
            try connection.addAggregate(name + "_distinct_ordered", argumentCount: -1) {
                DistinctRows(ListAggregate(kind, isOrdered: true, session))
            }
        }
        try connection.addAggregate("pg_array_query", argumentCount: 2) {
            let list = ListAggregate(.array, isOrdered: false, session)
            list.isTypeFirst = true
            return list
        }
    }
}
