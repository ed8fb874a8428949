import KernelJSON
import KernelSQLite

/// Stored values as JSON, for SQLite's `json_each`: that is how ours return rows.
enum JSONItems {
    static func text(_ value: SQLiteValue) -> String {
        switch value {
        case .null: "null"
        case .integer(let number): String(number)
        case .real(let number): number.isFinite ? "\(number)" : number < 0 ? "-9e999" : "9e999"
        case .text(let text): JSONValue.string(text).text
        case .blob(let bytes):
            JSONValue.string(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()).text
        }
    }

    static func list(_ values: [SQLiteValue]) -> SQLiteValue {
        .text("[" + values.map(text).joined(separator: ",") + "]")
    }
}
