import KernelJSON
import KernelStructures

/// Puts the values of `configuration` and `secrets` where `${name}` stands.
///
/// A text that is nothing but one reference becomes the value itself, a number for instance; a reference to nothing
/// stays as it is, as in the Toolkit. A secret is known only to providers that name its group.
struct Substitution {
    private var configuration: [String: JSONValue] = [:]
    private var secrets: [String: [String: JSONValue]] = [:]
    private let budget = Budget()

    /// Bytes that references may still add: a few short lines can refer to one another until they fill the memory.
    private final class Budget {
        var leftBytes = 16 << 20

        /// - Returns: false if that is too much.
        func takes(_ value: JSONValue) -> Bool {
            if leftBytes > 0 { leftBytes -= value.text.utf8.count }
            return leftBytes > 0
        }
    }

    init(
        _ document: JSONCursor, variables: [(name: String, value: String)], environment: (String) -> String?
    ) throws(ExperimentError) {
        if let entries = document["configuration"].ifPresent {
            for (name, value) in try reading({ () throws(JSONTypeError) in try entries.members() }) {
                guard let found = try Self.value(value, environment) else { continue }
                configuration[name] = found
            }
        }
        for (name, value) in variables { configuration[name] = ExperimentDocument.plain(value) }
        // A value may itself refer to others, one step deep.
        configuration = configuration.mapValues { [configuration] in replaced(in: $0, configuration) }
        guard let groups = document["secrets"].ifPresent else { return }
        for (group, members) in try reading({ () throws(JSONTypeError) in try groups.members() }) {
            for (name, value) in try reading({ () throws(JSONTypeError) in try members.members() }) {
                secrets[group, default: [:]][name] = try Self.value(value, environment)
            }
        }
    }

    /// - Returns: nil for what is only known when a probe has run.
    private static func value(_ cursor: JSONCursor, _ environment: (String) -> String?) throws(ExperimentError)
        -> JSONValue?
    {
        guard case .object? = cursor.value, let type = cursor["type"].ifPresent else { return cursor.value }
        switch try reading({ () throws(JSONTypeError) in try type.string() }) {
        case "env":
            let key = try reading { () throws(JSONTypeError) in try cursor["key"].string() }
            guard let text = environment(key) else {
                if let preset = cursor["default"].value { return preset }
                throw ExperimentError(
                    cursor["key"].path, "the environment has no variable '\(key)', and there is no default")
            }
            return try converted(text, cursor["env_var_type"])
        case "probe": return nil
        default: return cursor.value
        }
    }

    /// The Toolkit's `env_var_type`.
    private static func converted(_ text: String, _ cursor: JSONCursor) throws(ExperimentError) -> JSONValue {
        guard cursor.ifPresent != nil else { return .string(text) }
        let type = try reading { () throws(JSONTypeError) in try cursor.string() }
        switch type {
        case "str", "bytes": return .string(text)
        case "int":
            if let number = Int(text) { return .integer(number) }
        case "float":
            if let number = Double(text), number.isFinite { return .number(number) }
        case "bool":
            return .bool(["true", "1", "yes"].contains(text.lowercased()))
        case "json":
            if let value = try? JSONValue(parsing: text) { return value }
        default: throw ExperimentError(cursor.path, "'\(type)' is no type; int, float, bool, str, bytes or json")
        }
        throw ExperimentError(cursor.path, "'\(text)' is no \(type)")
    }

    /// The document with all references replaced that its places may see.
    ///
    /// - Throws: `ExperimentError` if that makes too much of it.
    func applied(to document: JSONValue) throws(ExperimentError) -> JSONValue {
        guard case .object(let members) = document else { return document }
        let result = JSONValue.object(
            members.map { member in
                if ["configuration", "secrets"].contains(member.key) { return member }
                return (member.key, replaced(in: member.value, configuration))
            })
        if budget.leftBytes <= 0 { throw ExperimentError("configuration", "its references make too long a text") }
        return result
    }

    private func replaced(in value: JSONValue, _ known: [String: JSONValue]) -> JSONValue {
        switch value {
        case .string(let text): return replaced(text, known)
        case .array(let items): return .array(items.map { replaced(in: $0, known) })
        case .object(let members):
            var known = known
            for group in value["secrets"]?.names ?? [] { known.merge(secrets[group] ?? [:]) { $1 } }
            return .object(members.map { ($0.key, replaced(in: $0.value, known)) })
        default: return value
        }
    }

    private func replaced(_ text: String, _ known: [String: JSONValue]) -> JSONValue {
        guard text.contains("${") else { return .string(text) }
        var result = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { break }
            let name = String(rest[start.upperBound..<end])
            let after = rest.index(after: end)
            if let value = known[name], budget.takes(value) {
                if start.lowerBound == text.startIndex, after == text.endIndex { return value }
                result += rest[..<start.lowerBound]
                if case .string(let plain) = value { result += plain } else { result += value.text }
            } else {
                result += rest[..<after]
            }
            rest = rest[after...]
        }
        return .string(result + rest)
    }
}

extension JSONValue {
    /// The texts of a list.
    fileprivate var names: [String] {
        guard case .array(let items) = self else { return [] }
        return items.compactMap { item in
            if case .string(let text) = item { return text }
            return nil
        }
    }
}
