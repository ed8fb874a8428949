import KernelJSON
import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Reading json and jsonb. Where there is a last argument, 1 stands for jsonb.
    static var documents: Table {
        Table(strict: [
            ("pg_json_member", { found(try JSONText.parse($0.text(0))[$0.text(1)], $0.flag(2)) }),
            ("pg_json_element", { found(element(try JSONText.parse($0.text(0)), $0.integer(1)), $0.flag(2)) }),
            ("pg_json_member_text", { plain(try JSONText.parse($0.text(0))[$0.text(1)]) }),
            ("pg_json_element_text", { plain(element(try JSONText.parse($0.text(0)), $0.integer(1))) }),
            (
                "pg_json_path",
                { found(at(try JSONText.parse($0.text(0)), try ArrayItems.texts($0.text(1))), $0.flag(2)) }
            ),
            ("pg_json_path_text", { plain(at(try JSONText.parse($0.text(0)), try ArrayItems.texts($0.text(1)))) }),
            (
                "pg_json_extract",
                { call in
                    let value = at(try JSONText.parse(call.text(1)), (2..<max(2, call.count)).map { call.text($0) })
                    return call.integer(0) == 2 ? plain(value) : found(value, call.flag(0))
                }
            ),
            ("pg_json_typeof", { .text(typeName(try JSONText.parse($0.text(0)))) }),
            (
                "pg_json_array_length",
                { call in
                    guard case .array(let elements) = try JSONText.parse(call.text(0)) else {
                        throw PostgresError(.invalidParameterValue, "cannot get array length of a non-array")
                    }
                    return .integer(Int64(elements.count))
                }
            ),
            ("pg_json_array_elements", { list(try elements($0).map { SQLiteValue.text($0.text) }) }),
            ("pg_jsonb_array_elements", { list(try elements($0).map { SQLiteValue.text(JSONText.canonical($0)) }) }),
            ("pg_json_array_elements_text", { list(try elements($0).map { plain($0) }) }),
            ("pg_jsonb_array_elements_text", { list(try elements($0).map { plain($0) }) }),
            ("pg_json_object_keys", { list(try members($0.text(0)).map { .text($0.key) }) }),
            ("pg_jsonb_object_keys", { list(try JSONText.sorted(members($0.text(0))).map { .text($0.key) }) }),
            (
                "pg_json_members",
                { call in
                    let items = try members(call.text(0)).map { member in
                        let value: SQLiteValue = call.flag(1) ? plain(member.value) : .text(member.value.text)
                        return JSONValue.string(member.key).text + ":" + JSONItems.text(value)
                    }
                    return .text("{" + items.joined(separator: ",") + "}")
                }
            ),
            (
                "pg_jsonb_contains",
                {
                    .integer(
                        contains(try JSONText.parse($0.text(0)), try JSONText.parse($0.text(1)), isTop: true) ? 1 : 0)
                }
            ),
            ("pg_jsonb_exists", { .integer(exists(try JSONText.parse($0.text(0)), $0.text(1)) ? 1 : 0) }),
            (
                "pg_jsonb_exists_any",
                { call in
                    let value = try JSONText.parse(call.text(0))
                    return .integer(
                        try ArrayItems.texts(call.text(1)).contains { $0.map { exists(value, $0) } ?? false } ? 1 : 0)
                }
            ),
            (
                "pg_jsonb_exists_all",
                { call in
                    let value = try JSONText.parse(call.text(0))
                    return .integer(
                        try ArrayItems.texts(call.text(1)).allSatisfy { $0.map { exists(value, $0) } ?? true } ? 1 : 0)
                }
            ),
            ("pg_jsonb_scalar", { try scalar($0) }),
            ("pg_jsonb_pretty", { .text(JSONPretty.text(try JSONText.parse($0.text(0)))) }),
        ])
    }

    private static func list(_ values: [SQLiteValue]) -> SQLiteValue { JSONItems.list(values) }

    /// Counted from the end if negative.
    private static func element(_ value: JSONValue, _ index: Int64) -> JSONValue? {
        guard case .array(let elements) = value else { return nil }
        let place = index < 0 ? Int64(elements.count) + index : index
        return place >= 0 && place < elements.count ? elements[Int(place)] : nil
    }

    static func at(_ value: JSONValue, _ path: [String?]) -> JSONValue? {
        var place: JSONValue? = value
        for step in path {
            guard let step, let current = place else { return nil }
            if case .array = current {
                place = Int64(step).flatMap { element(current, $0) }
            } else {
                place = current[step]
            }
        }
        return place
    }

    private static func found(_ value: JSONValue?, _ isBinary: Bool) -> SQLiteValue {
        value.map { .text(isBinary ? JSONText.canonical($0) : $0.text) } ?? .null
    }

    /// `->>`: texts without their quotes, null as NULL.
    static func plain(_ value: JSONValue?) -> SQLiteValue {
        switch value {
        case nil, .null?: .null
        case .string(let text)?: .text(text)
        case let other?: .text(JSONText.canonical(other))
        }
    }

    private static func typeName(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "boolean"
        case .integer, .unsigned, .number, .decimal: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    private static func elements(_ call: FunctionCall) throws(PostgresError) -> [JSONValue] {
        let value = try JSONText.parse(call.text(0))
        guard case .array(let elements) = value else {
            throw PostgresError(
                .invalidParameterValue,
                "cannot extract elements from \(typeName(value) == "object" ? "an object" : "a scalar")")
        }
        return elements
    }

    static func members(_ text: String) throws(PostgresError) -> [(key: String, value: JSONValue)] {
        let value = try JSONText.parse(text)
        guard case .object(let members) = value else {
            throw PostgresError(
                .invalidParameterValue,
                "cannot call json_object_keys on \(typeName(value) == "array" ? "an array" : "a scalar")")
        }
        return members
    }

    /// `@>`: an array contains a scalar only at the top.
    private static func contains(_ value: JSONValue, _ part: JSONValue, isTop: Bool = false) -> Bool {
        switch (value, part) {
        case (.object(_), .object(let wanted)):
            return wanted.allSatisfy { member in value[member.key].map { contains($0, member.value) } ?? false }
        case (.array(let elements), .array(let wanted)):
            return wanted.allSatisfy { item in elements.contains { contains($0, item) } }
        case (.array(let elements), _) where isTop:
            return elements.contains { JSONText.canonical($0) == JSONText.canonical(part) }
        default: return JSONText.canonical(value) == JSONText.canonical(part)
        }
    }

    private static func exists(_ value: JSONValue, _ key: String) -> Bool {
        switch value {
        case .object: return value[key] != nil
        case .array(let elements):
            return elements.contains { element in
                guard case .string(let text) = element else { return false }
                return text == key
            }
        case .string(let text): return text == key
        default: return false
        }
    }

    private static func scalar(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let value = try JSONText.parse(call.text(0))
        let type = call.type(1)
        switch value {
        case .bool(let isTrue) where type == .bool: return .integer(isTrue ? 1 : 0)
        case .integer, .unsigned, .number, .decimal:
            guard type != .bool else { break }
            let number = DecimalNumber(stored: try PostgresNumeric(parsing: JSONText.canonical(value)).description)
            if type == .numeric { return .text(number.text) }
            if type.isFloat { return DatumCoding.real(number.double) }
            guard let whole = number.roundedInt else { throw outOfRange(Int64(type.byteCount)) }
            return try DatumCoding.parse(String(whole), type: type, call.context, call.catalogue)
        default: break
        }
        throw PostgresError(
            .invalidParameterValue, "cannot cast jsonb \(typeName(value)) to type \(type.typeName)")
    }
}

/// `jsonb_pretty`
enum JSONPretty {
    static func text(_ value: JSONValue, _ indent: String = "") -> String {
        let inner = indent + "    "
        switch value {
        case .array(let elements) where !elements.isEmpty:
            return "[\n" + elements.map { inner + text($0, inner) }.joined(separator: ",\n") + "\n" + indent + "]"
        case .object(let members) where !members.isEmpty:
            let lines = JSONText.sorted(members).map {
                inner + JSONValue.string($0.key).text + ": " + text($0.value, inner)
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n" + indent + "}"
        case .array: return "[\n" + indent + "]"
        case .object: return "{\n" + indent + "}"
        default: return JSONText.canonical(value)
        }
    }
}
