import KernelJSON
import KernelWire

/// The texts of json and jsonb.
enum JSONText {
    /// For json: as it was written, if it is JSON.
    static func checked(_ text: String) throws(PostgresError) -> String {
        _ = try parse(text, duplicates: .lastWins)
        return text
    }

    /// For jsonb: members sorted by length and bytes, the last of several with one name, one blank behind `:` and `,`.
    static func canonical(_ text: String) throws(PostgresError) -> String {
        var result = ""
        write(try parse(text, duplicates: .lastWins), into: &result)
        return result
    }

    static func parse(_ text: String, duplicates: JSONLimits.Duplicates = .lastWins) throws(PostgresError) -> JSONValue
    {
        do throws(JSONError) {
            var limits = JSONLimits(
                bytes: 256 << 20, depth: JSONLimits.deepest, values: 10_000_000, duplicates: duplicates)
            limits.keepsDecimals = true
            return try JSONValue(parsing: text, limits: limits)
        } catch {
            throw PostgresError(
                .invalidTextRepresentation, "invalid input syntax for type json", detail: "\(error)")
        }
    }

    static func canonical(_ value: JSONValue) -> String {
        var result = ""
        write(value, into: &result)
        return result
    }

    private static func write(_ value: JSONValue, into text: inout String) {
        switch value {
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += ", " }
                write(element, into: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in sorted(members).enumerated() {
                if index > 0 { text += ", " }
                text += JSONValue.string(member.key).text + ": "
                write(member.value, into: &text)
            }
            text += "}"
        case .decimal(let written):
            // jsonb keeps numbers as decimals.
            text += (try? PostgresNumeric(parsing: written).description) ?? written
        default: text += value.text
        }
    }

    /// In jsonb's order.
    static func sorted(_ members: [(key: String, value: JSONValue)]) -> [(key: String, value: JSONValue)] {
        members.sorted { a, b in
            let (first, second) = (a.key.utf8, b.key.utf8)
            if first.count != second.count { return first.count < second.count }
            return first.lexicographicallyPrecedes(second)
        }
    }
}
