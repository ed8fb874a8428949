import KernelJSON
import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Making and changing json and jsonb.
    static var documentChanges: Table {
        Table(
            strict: [
                (
                    "pg_jsonb_concat",
                    { call in
                        let (a, b) = (try JSONText.parse(call.text(0)), try JSONText.parse(call.text(1)))
                        return .text(JSONText.canonical(concatenated(a, b)))
                    }
                ),
                ("pg_jsonb_delete", { try delete($0) }),
                (
                    "pg_jsonb_delete_path",
                    { call in
                        let path = try ArrayItems.texts(call.text(1)).compactMap { $0 }
                        return .text(
                            JSONText.canonical(changed(try JSONText.parse(call.text(0)), path[...], { _ in nil })))
                    }
                ),
                (
                    "pg_jsonb_set",
                    { call in
                        let path = try ArrayItems.texts(call.text(1)).compactMap { $0 }
                        let new = try JSONText.parse(call.text(2))
                        let mayCreate = call.count < 4 || call.flag(3)
                        let result = changed(try JSONText.parse(call.text(0)), path[...]) {
                            $0 != nil || mayCreate ? new : nil
                        }
                        return .text(JSONText.canonical(result))
                    }
                ),
                (
                    "pg_jsonb_insert",
                    { call in
                        let path = try ArrayItems.texts(call.text(1)).compactMap { $0 }
                        let new = try JSONText.parse(call.text(2))
                        return .text(
                            JSONText.canonical(changed(try JSONText.parse(call.text(0)), path[...]) { $0 ?? new }))
                    }
                ),
                (
                    "pg_json_strip_nulls",
                    { call in
                        let value = stripped(try JSONText.parse(call.text(0)))
                        return .text(call.flag(1) ? JSONText.canonical(value) : value.text)
                    }
                ),
            ],
            lenient: [
                (
                    "pg_to_json",
                    { call in
                        if call.isNull(1) { return .null }
                        let value = JSONDatum.text(call[1], call.type(2), call.context, call.catalogue)
                        return .text(call.flag(0) ? try JSONText.canonical(value) : value)
                    }
                ),
                (
                    "pg_json_build_array",
                    { call in
                        let items = stride(from: 1, to: call.count - 1, by: 2).map {
                            JSONDatum.text(call[$0], call.type($0 + 1), call.context, call.catalogue)
                        }
                        let text = "[" + items.joined(separator: ", ") + "]"
                        return .text(call.flag(0) ? try JSONText.canonical(text) : text)
                    }
                ),
                ("pg_json_build_object", { try buildObject($0, isCompact: false) }),
                ("pg_row_json", { try buildObject($0, isCompact: true) }),
            ])
    }

    private static func buildObject(_ call: FunctionCall, isCompact: Bool) throws(PostgresError) -> SQLiteValue {
        guard (call.count - 1) % 4 == 0 else {
            throw PostgresError(.invalidParameterValue, "argument list must have even number of elements")
        }
        var items: [String] = []
        for index in stride(from: 1, to: call.count - 3, by: 4) {
            guard !call.isNull(index) else {
                throw PostgresError(.nullValueNotAllowed, "argument \((index + 1) / 2): key must not be null")
            }
            let key = JSONValue.string(call.shown(index, call.type(index + 1))).text
            items.append(
                "\(key)\(isCompact ? ":" : " : ")\(JSONDatum.text(call[index + 2], call.type(index + 3), call.context, call.catalogue))"
            )
        }
        let text = "{" + items.joined(separator: isCompact ? "," : ", ") + "}"
        return .text(call.flag(0) ? try JSONText.canonical(text) : text)
    }

    private static func concatenated(_ a: JSONValue, _ b: JSONValue) -> JSONValue {
        switch (a, b) {
        case (.object(let first), .object(let second)):
            return .object(first.filter { member in !second.contains { $0.key == member.key } } + second)
        case (.array(let first), .array(let second)): return .array(first + second)
        case (.array(let first), _): return .array(first + [b])
        case (_, .array(let second)): return .array([a] + second)
        default: return .array([a, b])
        }
    }

    private static func delete(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let value = try JSONText.parse(call.text(0))
        if case .integer(let index) = call[1] {
            guard case .array(var elements) = value else {
                throw PostgresError(.invalidParameterValue, "cannot delete from object using integer index")
            }
            let place = index < 0 ? Int64(elements.count) + index : index
            if place >= 0, place < elements.count { elements.remove(at: Int(place)) }
            return .text(JSONText.canonical(.array(elements)))
        }
        let key = call.text(1)
        switch value {
        case .object(let members): return .text(JSONText.canonical(.object(members.filter { $0.key != key })))
        case .array(let elements):
            let kept = elements.filter { element in
                guard case .string(let text) = element else { return true }
                return text != key
            }
            return .text(JSONText.canonical(.array(kept)))
        default: throw PostgresError(.invalidParameterValue, "cannot delete from scalar")
        }
    }

    /// With another value at the end of a path; nil removes it. What leads there must exist.
    private static func changed(
        _ value: JSONValue, _ path: ArraySlice<String>, _ new: (JSONValue?) -> JSONValue?
    ) -> JSONValue {
        guard let step = path.first else { return value }
        let rest = path.dropFirst()
        func inner(_ old: JSONValue?) -> JSONValue? {
            if rest.isEmpty { return new(old) }
            return old.map { changed($0, rest, new) }
        }
        switch value {
        case .object(var members):
            let place = members.firstIndex { $0.key == step }
            let result = inner(place.map { members[$0].value })
            if let place {
                if let result { members[place].value = result } else { members.remove(at: place) }
            } else if let result {
                members.append((step, result))
            }
            return .object(members)
        case .array(var elements):
            guard let index = Int(step) else { return value }
            let place = index < 0 ? elements.count + index : index
            if elements.indices.contains(place) {
                if let result = inner(elements[place]) { elements[place] = result } else { elements.remove(at: place) }
            } else if rest.isEmpty, let result = new(nil) {
                elements.insert(result, at: index < 0 ? 0 : elements.count)
            }
            return .array(elements)
        default: return value
        }
    }

    private static func stripped(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members):
            return .object(
                members.compactMap { member in
                    if case .null = member.value { return nil }
                    return (member.key, stripped(member.value))
                })
        case .array(let elements): return .array(elements.map(stripped))
        default: return value
        }
    }
}

/// A stored value as JSON, as `to_json` makes it.
enum JSONDatum {
    static func text(
        _ value: SQLiteValue, _ type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) -> String {
        if value == .null { return "null" }
        if let element = type.element, case .text(let array) = value {
            let items = (try? ArrayItems.stored(array, element)) ?? []
            return "[" + items.map { text($0, element, context, catalogue) }.joined(separator: ",") + "]"
        }
        switch type {
        case .json, .jsonb: return DatumCoding.text(value, type: type, context, catalogue)
        case .bool: return value == .integer(0) ? "false" : "true"
        case .int2, .int4, .int8, .oid: return DatumCoding.text(value, type: type, context, catalogue)
        case .numeric, .float4, .float8:
            let shown = DatumCoding.text(value, type: type, context, catalogue)
            return shown.hasSuffix("y") || shown == "NaN" ? JSONValue.string(shown).text : shown
        case .timestamp, .timestamptz:
            var shown = DatumCoding.text(value, type: type, context, catalogue).replacing(" ", with: "T")
            if type == .timestamptz, !shown.hasSuffix("infinity"),
                !shown.dropFirst(10).drop(while: { $0 != "+" && $0 != "-" }).contains(":")
            {
                shown += ":00"
            }
            return JSONValue.string(shown).text
        default: return JSONValue.string(DatumCoding.text(value, type: type, context, catalogue)).text
        }
    }
}
