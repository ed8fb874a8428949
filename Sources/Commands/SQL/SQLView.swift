import CommandKit
import KernelJSON
import KernelStructures
import KernelWire

/// Results as views: for people as texts, for programs by their types.
enum SQLView {
    static func table(_ result: PostgresResult) -> View {
        let columns = result.columns.map { column in
            View.Table.Column(column.name, key: column.name, right: isNumber(column.type), flexible: true)
        }
        let rows = result.rows.map { row in
            zip(result.columns, row.texts + Array(repeating: nil, count: max(0, columns.count - row.count))).map(cell)
        }
        let titles = columns.map(\.title).joined(separator: "  ")
        return View(.table(.init(columns, rows: rows, whenEmpty: titles)))
    }

    private static func isNumber(_ type: PostgresOID) -> Bool {
        [.int2, .int4, .int8, .float4, .float8, .numeric, .oid].contains(type)
    }

    private static func cell(_ column: ColumnDescription, _ text: String?) -> View.Cell {
        guard let text else { return View.Cell("", json: .null, style: .faint) }
        // A table has one line a row.
        let shown = text.replacing("\n", with: "↵").replacing("\t", with: " ")
        return View.Cell(shown, json: json(column.type, text))
    }

    private static func json(_ type: PostgresOID, _ text: String) -> JSONValue {
        switch type {
        case .bool: return .bool(text == "t")
        case .int2, .int4, .int8, .oid: return Int(text).map { .integer($0) } ?? .string(text)
        case .float4, .float8: return Double(text).flatMap { $0.isFinite ? .number($0) : nil } ?? .string(text)
        case .json, .jsonb: return (try? JSONValue(parsing: Array(text.utf8))) ?? .string(text)
        default: return .string(text)
        }
    }
}
