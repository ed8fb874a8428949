import KernelConfiguration
import KernelJSON
import KernelStructures

/// Reads experiments from files: JSON or YAML, in the Toolkit's format or the documented short one.
public enum ExperimentDocument {
    /// Bytes of a file.
    public static let limitBytes = 4 << 20

    /// The document in the Toolkit's format.
    ///
    /// - Returns: also whether it was written in the short form.
    /// - Throws: `ExperimentError` with line and column.
    public static func read(_ bytes: [UInt8], file: String) throws(ExperimentError) -> (JSONValue, isShort: Bool) {
        guard bytes.count <= limitBytes else {
            throw ExperimentError(file, "is larger than \(byteCountText(limitBytes))")
        }
        if bytes.first(where: { $0 > 32 }) == UInt8(ascii: "{") {
            do throws(JSONError) { return (try JSONValue(parsing: bytes), false) } catch {
                throw ExperimentError("\(file):\(error.line):\(error.column)", error.problem)
            }
        }
        do throws(ConfigurationError) {
            let value = try YAML.parse(bytes, file: file)
            if let short = try ShortExperiment(value) { return (try short.document, true) }
            return (try json(value), false)
        } catch {
            throw ExperimentError(error.place.description, error.text)
        }
    }

    /// A YAML value as JSON: plain scalars that look like numbers, truth values or nothing are that (YAML 1.2's core
    /// schema), all else is text. Keys keep their order.
    ///
    /// - Throws: `ConfigurationError` if aliases make too much of it.
    static func json(_ value: ConfigurationValue) throws(ConfigurationError) -> JSONValue {
        var left = valueLimit
        return try json(value, &left)
    }

    /// Values in a document, those that aliases repeat counted each time.
    private static let valueLimit = 100_000

    private static func json(_ value: ConfigurationValue, _ left: inout Int) throws(ConfigurationError) -> JSONValue {
        left -= 1
        guard left > 0 else { throw ConfigurationError(value.place, "more than \(valueLimit) values") }
        switch value.content {
        case .scalar(let text): return value.isPlain ? plain(text) : .string(text)
        case .sequence(let items):
            var elements: [JSONValue] = []
            for item in items { elements.append(try json(item, &left)) }
            return .array(elements)
        case .mapping(let pairs):
            var members: [(key: String, value: JSONValue)] = []
            for pair in pairs {
                guard case .scalar(let name) = pair.key.content else { continue }
                members.append((name, try json(pair.value, &left)))
            }
            return .object(members)
        }
    }

    static func plain(_ text: String) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default:
            if let number = Int(text), text.first != "+" { return .integer(number) }
            let looksNumeric = text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 || [43, 45, 46, 69, 101].contains($0) }
            if looksNumeric, let number = Double(text), number.isFinite { return .number(number) }
            return .string(text)
        }
    }
}
