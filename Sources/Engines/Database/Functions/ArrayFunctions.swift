import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Arrays of one dimension, as texts such as `{1,NULL,"a b"}`.
    static var arrays: Table {
        Table(
            strict: [
                (
                    "pg_array_json",
                    { JSONItems.list(try ArrayItems.stored($0.text(0), $0.type(1), isVector: $0.count > 2)) }
                ),
                ("pg_unnest", { _ in .text("[]") }),
                (
                    "pg_generate_subscripts",
                    { call in
                        guard call.integer(1) == 1 else { return .text("[]") }
                        // The catalogue's vectors are counted from 0.
                        let first: Int64 = call.text(0).hasPrefix("{") ? 1 : 0
                        let count = try ArrayItems.texts(call.text(0)).count
                        return JSONItems.list((0..<Int64(count)).map { .integer($0 + first) })
                    }
                ),
                ("pg_element", { try element($0) }),
                (
                    "pg_array_cast",
                    { call in
                        let items = try ArrayItems.stored(call.text(0), call.type(1))
                        var values: [SQLiteValue] = []
                        for item in items {
                            guard item != .null else {
                                values.append(.null)
                                continue
                            }
                            let text = DatumCoding.text(item, type: call.type(1), call.context, call.catalogue)
                            values.append(try DatumCoding.parse(text, type: call.type(2), call.context, call.catalogue))
                        }
                        return .text(ArrayItems.text(values, call.type(2), call))
                    }
                ),
                ("pg_array_length", { try length($0) }),
                ("pg_array_upper", { try length($0) }),
                ("pg_array_lower", { call in try length(call) == .null ? .null : .integer(1) }),
                ("pg_array_ndims", { try ArrayItems.texts($0.text(0)).isEmpty ? .null : .integer(1) }),
                ("pg_cardinality", { .integer(Int64(try ArrayItems.texts($0.text(0)).count)) }),
                (
                    "pg_array_contains",
                    { call in
                        let all = Set(try ArrayItems.texts(call.text(0)).compactMap { $0 })
                        return .integer(
                            try ArrayItems.texts(call.text(1)).allSatisfy { $0.map(all.contains) ?? false } ? 1 : 0)
                    }
                ),
                (
                    "pg_array_overlaps",
                    { call in
                        let all = Set(try ArrayItems.texts(call.text(0)).compactMap { $0 })
                        return .integer(
                            try ArrayItems.texts(call.text(1)).contains { $0.map(all.contains) ?? false } ? 1 : 0)
                    }
                ),
                (
                    "pg_vector_position",
                    { call in
                        let place = call.text(0).split(separator: " ").firstIndex { Int64($0) == call.integer(1) }
                        return place.map { .integer(Int64($0)) } ?? .null
                    }
                ),
                (
                    "pg_string_to_table",
                    { call in
                        JSONItems.list(splitText(call.text(0), call.text(1)).map { .text($0) })
                    }
                ),
            ],
            lenient: [
                (
                    "pg_array",
                    { call in
                        .text(ArrayItems.text((1..<max(1, call.count)).map { call[$0] }, call.type(0), call))
                    }
                ),
                ("pg_array_concat", { try concatenated($0, 0, 1, $0.type(2)) }),
                ("pg_array_cat", { try concatenated($0, 0, 2, $0.type(1).element ?? .text) }),
                (
                    "pg_array_append",
                    { call in
                        let items = call.isNull(0) ? [] : try ArrayItems.stored(call.text(0), call.type(3))
                        return .text(ArrayItems.text(items + [call[2]], call.type(3), call))
                    }
                ),
                (
                    "pg_array_prepend",
                    { call in
                        let items = call.isNull(2) ? [] : try ArrayItems.stored(call.text(2), call.type(1))
                        return .text(ArrayItems.text([call[0]] + items, call.type(1), call))
                    }
                ),
                (
                    "pg_array_remove",
                    { call in
                        if call.isNull(0) { return .null }
                        let items = try ArrayItems.stored(call.text(0), call.type(3))
                        return .text(
                            ArrayItems.text(
                                items.filter { DatumOrder.compare($0, call[2], call.type(3)) != 0 }, call.type(3), call)
                        )
                    }
                ),
                (
                    "pg_array_position",
                    { call in
                        if call.isNull(0) { return .null }
                        let items = try ArrayItems.stored(call.text(0), call.type(3))
                        let place = items.firstIndex { DatumOrder.compare($0, call[2], call.type(3)) == 0 }
                        return place.map { .integer(Int64($0 + 1)) } ?? .null
                    }
                ),
                (
                    "pg_array_to_string",
                    { call in
                        if call.isNull(0) || call.isNull(1) { return .null }
                        let null = call.count > 2 && !call.isNull(2) ? call.text(2) : nil
                        let parts = try ArrayItems.texts(call.text(0)).compactMap { $0 ?? null }
                        return .text(parts.joined(separator: call.text(1)))
                    }
                ),
                (
                    "pg_string_to_array",
                    { call in
                        if call.isNull(0) { return .null }
                        let null = call.count > 2 && !call.isNull(2) ? call.text(2) : nil
                        let parts =
                            call.isNull(1)
                            ? call.text(0).unicodeScalars.map { String(Character($0)) }
                            : splitText(call.text(0), call.text(1))
                        return .text(
                            PostgresValue.array(parts.map { $0 == null ? nil : .text($0) }, element: .text).text)
                    }
                ),
            ])
    }

    private static func splitText(_ text: String, _ separator: String) -> [String] {
        if text.isEmpty { return [] }
        if separator.isEmpty { return [text] }
        return text.split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }

    private static func element(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let isVector = call.integer(3) == 0
        let items = try ArrayItems.stored(call.text(0), call.type(2), isVector: isVector)
        let index = Int(clamping: call.integer(1)) &- (isVector ? 0 : 1)
        return items.indices.contains(index) ? items[index] : .null
    }

    private static func length(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard call.integer(1) == 1 else { return .null }
        let count = try ArrayItems.texts(call.text(0)).count
        return count == 0 ? .null : .integer(Int64(count))
    }

    private static func concatenated(
        _ call: FunctionCall, _ first: Int, _ second: Int, _ element: PostgresOID
    ) throws(PostgresError) -> SQLiteValue {
        if call.isNull(first) { return call[second] }
        if call.isNull(second) { return call[first] }
        let items = try ArrayItems.stored(call.text(first), element) + ArrayItems.stored(call.text(second), element)
        return .text(ArrayItems.text(items, element, call))
    }
}

/// The elements of an array.
enum ArrayItems {
    /// As their texts; nil for NULL.
    static func texts(_ array: String) throws(PostgresError) -> [String?] {
        guard array.hasPrefix("{") else { return array.split(separator: " ").map(String.init) }
        guard case .array(let values, _) = try PostgresValue(text: array, type: .textArray) else { return [] }
        return values.map { value in
            guard case .text(let text)? = value else { return nil }
            return text
        }
    }

    /// - Parameter isVector: `1 2 3`, as the catalogue has lists of columns.
    static func stored(_ array: String, _ element: PostgresOID, isVector: Bool = false) throws(PostgresError)
        -> [SQLiteValue]
    {
        var values: [SQLiteValue] = []
        for text in try texts(array) {
            guard let text else {
                values.append(.null)
                continue
            }
            switch element {
            case .int2, .int4, .int8, .oid, .regclass, .regtype:
                values.append(Int64(text).map { .integer($0) } ?? .text(text))
            case .interval: values.append(.text(try IntervalValue(parsing: text).stored))
            case .time: values.append(.integer(try TimeOfDay.parse(text)))
            case .text, .varchar, .bpchar, .name, .char, .numeric, .json, .jsonb, .uuid: values.append(.text(text))
            default: values.append(DatumCoding.stored(try PostgresValue(text: text, type: element)))
            }
        }
        return values
    }

    static func text(_ values: [SQLiteValue], _ element: PostgresOID, _ call: FunctionCall) -> String {
        text(values, element, call.context, call.catalogue)
    }

    static func text(
        _ values: [SQLiteValue], _ element: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) -> String {
        let items = values.map { value -> PostgresValue? in
            value == .null ? nil : .text(DatumCoding.text(value, type: element, context, catalogue))
        }
        return PostgresValue.array(items, element: .text).text
    }
}
