import CommandKit
import KernelJSON
import KernelStructures
import KernelWire

/// Results as views: for people as texts, for programs by their types.
enum SQLView {
    /// Whether each value has a line of its own, as psql's `\x` decides it: always, never, or where a row is wider than
    /// the terminal.
    enum Expansion: String {
        case on, off, auto

        /// What psql says of it.
        var text: String {
            self == .auto ? "Expanded display is used automatically." : "Expanded display is \(rawValue)."
        }
    }

    static func table(_ result: PostgresResult) -> View {
        // What stands alone, such as a line of EXPLAIN, is not cut.
        let isFlexible = result.columns.count > 1
        let columns = result.columns.map { column in
            View.Table.Column(column.name, key: column.name, right: isNumber(column.type), flexible: isFlexible)
        }
        let rows = cells(result)
        let titles = columns.map(\.title).joined(separator: "  ")
        return View(.table(.init(columns, rows: rows, whenEmpty: titles)))
    }

    private static func cells(_ result: PostgresResult) -> [[View.Cell]] {
        let count = result.columns.count
        return result.rows.map { row in
            zip(result.columns, row.texts + Array(repeating: nil, count: max(0, count - row.count))).map(cell)
        }
    }

    /// Columns of a terminal that its rows take if nothing is cut.
    static func width(_ result: PostgresResult) -> Int {
        var widths = result.columns.map { displayWidth(printable($0.name)) }
        for row in cells(result) {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], displayWidth(cell.text)) }
        }
        return widths.reduce(0, +) + 2 * max(0, widths.count - 1)
    }

    /// A line for each value, as psql's expanded display has it.
    ///
    /// - Parameter columns: how long the lines between the records may be.
    static func records(_ result: PostgresResult, columns: Int) -> String {
        let names = result.columns.map { printable($0.name) }
        let rows = cells(result)
        let nameWidth = names.map { displayWidth($0) }.max() ?? 0
        let valueWidth = rows.flatMap { $0 }.map { displayWidth($0.text) }.max() ?? 0
        let rule =
            String(repeating: "-", count: nameWidth + 1) + "+" + String(repeating: "-", count: valueWidth + 1)
        var text = ""
        for (index, row) in rows.enumerated() {
            let head = "-[ RECORD \(index + 1) ]"
            text += head + String(rule.prefix(columns).dropFirst(head.count)) + "\n"
            for (name, cell) in zip(names, row) {
                let space = String(repeating: " ", count: nameWidth - displayWidth(name))
                text += "\(name)\(space) |\(cell.text.isEmpty ? "" : " ")\(cell.text)\n"
            }
        }
        return text
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
