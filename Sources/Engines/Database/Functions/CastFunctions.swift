import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Conversions, what narrows a type, and what refuses a row.
    static var casts: Table {
        Table(
            strict: [
                ("pg_parse", { try DatumCoding.parse($0.text(0), type: $0.type(1), $0.context, $0.catalogue) }),
                ("pg_text", { .text($0.shown(0, $0.type(1))) }),
                (
                    "pg_text_of",
                    { call in
                        switch call.type(1) {
                        case .bool: return .text(call.flag(0) ? "true" : "false")
                        case .bpchar:
                            let blanks = call.text(0).utf8.reversed().prefix { $0 == 32 }.count
                            return .text(String(decoding: call.text(0).utf8.dropLast(blanks), as: UTF8.self))
                        default: return .text(call.shown(0, call.type(1)))
                        }
                    }
                ),
                ("pg_name", { .text(clipped($0.text(0), 63)) }),
                ("pg_varchar", { .text(try fit($0, type: "character varying")) }),
                (
                    "pg_bpchar",
                    { call in
                        let text = try fit(call, type: "character")
                        let missing = Int(call.integer(1)) - text.unicodeScalars.count
                        return .text(missing > 0 ? text + String(repeating: " ", count: missing) : text)
                    }
                ),
                ("pg_jsonb", { .text(try JSONText.canonical($0.text(0))) }),
                (
                    "pg_limit",
                    { call in
                        guard call.integer(0) >= 0 else {
                            throw PostgresError(
                                call.text(1) == "LIMIT" ? "2201W" : "2201X", "\(call.text(1)) must not be negative")
                        }
                        return .integer(call.integer(0))
                    }
                ),
            ],
            lenient: [
                ("pg_not_null", { try notNull($0) }),
                ("pg_greatest", { extreme($0, isGreatest: true) }),
                ("pg_least", { extreme($0, isGreatest: false) }),
                ("pg_record", { record($0) }),
                (
                    "pg_typeof",
                    { call in .integer(call.integer(1)) }
                ),
                ("pg_column_size", { .integer(Int64(4 + $0.text(0).utf8.count)) }),
            ])
    }

    static func clipped(_ text: String, _ bytes: Int) -> String {
        var end =
            text.utf8.index(text.utf8.startIndex, offsetBy: bytes, limitedBy: text.utf8.endIndex) ?? text.utf8.endIndex
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }

    /// Within a number of characters: a cast cuts off what is too long, a column takes off blanks only.
    private static func fit(_ call: FunctionCall, type: String) throws(PostgresError) -> String {
        let text = call.text(0)
        let limit = Int(call.integer(1))
        if text.utf8.count <= limit { return text }
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex),
            end < scalars.endIndex
        else { return text }
        guard call.flag(2) || scalars[end...].allSatisfy({ $0 == " " }) else {
            throw PostgresError(.stringDataRightTruncation, "value too long for type \(type)(\(limit))")
        }
        return String(text[..<end])
    }

    private static func notNull(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        guard call.isNull(0) else { return call[0] }
        let table = try call.catalogue.relation(UInt32(truncatingIfNeeded: call.integer(1)))
        let column = table?.column(number: Int16(truncatingIfNeeded: call.integer(2)))?.name ?? "?"
        var error = PostgresError(
            .notNullViolation,
            "null value in column \"\(column)\" of relation \"\(table?.name ?? "?")\" violates not-null constraint")
        error.schema = table?.schema
        error.table = table?.name
        error.column = column
        throw error
    }

    /// NULL does not count.
    private static func extreme(_ call: FunctionCall, isGreatest: Bool) -> SQLiteValue {
        let type = call.type(0)
        var best = SQLiteValue.null
        for index in 1..<max(1, call.count) where !call.isNull(index) {
            let order = best == .null ? 1 : DatumOrder.compare(call[index], best, type) * (isGreatest ? 1 : -1)
            if order > 0 { best = call[index] }
        }
        return best
    }

    /// `(1,"a b",)`: values and their types by turns.
    private static func record(_ call: FunctionCall) -> SQLiteValue {
        var fields: [String] = []
        for index in stride(from: 0, to: call.count - 1, by: 2) {
            guard !call.isNull(index) else {
                fields.append("")
                continue
            }
            let text = call.shown(index, call.type(index + 1))
            let isPlain = !text.isEmpty && text.utf8.allSatisfy { !" ,()\"\\\n\t".utf8.contains($0) }
            fields.append(
                isPlain ? text : "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\"\"") + "\"")
        }
        return .text("(" + fields.joined(separator: ",") + ")")
    }
}

/// The order of stored values of one type.
enum DatumOrder {
    /// NaN is greater than other numbers.
    static func compare(_ a: SQLiteValue, _ b: SQLiteValue, _ type: PostgresOID) -> Int {
        switch (a, b) {
        case (.integer(let x), .integer(let y)): return x < y ? -1 : x > y ? 1 : 0
        case (.real(let x), .real(let y)): return x < y ? -1 : x > y ? 1 : 0
        case (.integer(let x), .real(let y)): return Double(x) < y ? -1 : Double(x) > y ? 1 : 0
        case (.real(let x), .integer(let y)): return x < Double(y) ? -1 : x > Double(y) ? 1 : 0
        case (.text(let x), .text(let y)): return compare(x, y, type)
        case (.blob(let x), .blob(let y)): return x.lexicographicallyPrecedes(y) ? -1 : x == y ? 0 : 1
        case (.null, .null): return 0
        case (.null, _): return 1
        case (_, .null): return -1
        case (.text, _): return 1
        default: return -1
        }
    }

    private static func compare(_ a: String, _ b: String, _ type: PostgresOID) -> Int {
        switch type {
        case .numeric: return DecimalNumber(stored: a).compare(DecimalNumber(stored: b))
        case .interval:
            let (x, y) = (IntervalValue(stored: a)?.comparisonKey ?? 0, IntervalValue(stored: b)?.comparisonKey ?? 0)
            return x < y ? -1 : x > y ? 1 : 0
        default: return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : a.utf8.elementsEqual(b.utf8) ? 0 : 1
        }
    }
}
