import KernelJSON
import KernelRegularExpressions
import KernelStructures

/// What is expected of a probe, in the Toolkit's forms and one of the lab's own.
///
/// | in the document                                        | met if                                                 |
/// |--------------------------------------------------------|--------------------------------------------------------|
/// | `200`, `true`, `"text"`                                | the status, or the whole output, equals it             |
/// | `[200, 404]`                                           | it is one of these                                     |
/// | `{type: range, range: [a, b], target}`                 | a ≤ it ≤ b                                             |
/// | `{type: regex, pattern, target}`                       | the pattern is found in it                             |
/// | `{type: jsonpath, path, count, expect, target}`        | the path finds something: so many values, those values |
/// | `{type: probe, …}`                                     | that probe says true                                   |
/// | `{type: expression, expect}`                           | the expression holds: `status == 200 AND latency < 1s` |
///
/// `target` is a member of the output: `status`, `body`, `headers`, `stdout`, `stderr`.
public indirect enum Tolerance: Sendable {
    case scalar(JSONValue)
    case oneOf([JSONValue])
    case range(Double, Double, target: String?)
    case regex(RegularExpression, target: String?)
    case jsonPath(JSONPath, count: Int?, expected: JSONValue?, target: String?)
    case probe(Activity)
    case expression(ProbeExpression)

    init(_ cursor: JSONCursor, _ reader: inout ActivityReader) throws(ExperimentError) {
        switch cursor.value {
        case .array(let values)?: self = .oneOf(values)
        case .object?: self = try Self.typed(cursor, &reader)
        case .some(let value): self = .scalar(value)
        case nil: throw ExperimentError(cursor.path, "a tolerance is missing")
        }
    }

    private static func typed(_ cursor: JSONCursor, _ reader: inout ActivityReader) throws(ExperimentError)
        -> Tolerance
    {
        let type = try reading { () throws(JSONTypeError) in try cursor["type"].string() }
        let target = try reading { () throws(JSONTypeError) in try cursor["target"].ifPresent?.string() }
        switch type {
        case "range":
            let bounds = try reading { () throws(JSONTypeError) in try cursor["range"].array() }
            guard bounds.count == 2 else { throw ExperimentError(cursor["range"].path, "a range has two ends") }
            return try reading { () throws(JSONTypeError) in
                .range(try bounds[0].number(), try bounds[1].number(), target: target)
            }
        case "regex":
            let text = try reading { () throws(JSONTypeError) in try cursor["pattern"].string() }
            do throws(RegularExpressionError) { return .regex(try RegularExpression(text), target: target) } catch {
                throw ExperimentError(cursor["pattern"].path, error.description)
            }
        case "jsonpath": return try jsonPath(cursor, target)
        case "probe": return .probe(try reader.activity(cursor, needsTolerance: false))
        case "expression":
            let text = try reading { () throws(JSONTypeError) in try cursor["expect"].string() }
            do throws(ProbeExpression.Malformed) { return .expression(try ProbeExpression(parsing: text)) } catch {
                throw ExperimentError(cursor["expect"].path, error.description)
            }
        default:
            throw ExperimentError(
                cursor["type"].path,
                "'\(type)' is no tolerance; there are range, regex, jsonpath, probe and expression")
        }
    }

    private static func jsonPath(_ cursor: JSONCursor, _ target: String?) throws(ExperimentError) -> Tolerance {
        let text = try reading { () throws(JSONTypeError) in try cursor["path"].string() }
        let count = try reading { () throws(JSONTypeError) in try cursor["count"].ifPresent?.integer(in: 0...1_000_000)
        }
        do throws(JSONPath.Malformed) {
            return .jsonPath(
                try JSONPath(parsing: text), count: count, expected: cursor["expect"].value, target: target)
        } catch {
            throw ExperimentError(cursor["path"].path, error.description)
        }
    }

    /// Whether an expectation is one that another probe has to judge first.
    public var judge: Activity? {
        if case .probe(let activity) = self { return activity }
        return nil
    }

    // MARK: Judging

    /// - Returns: for `probe`, whether the observation says true: it is that of the judging probe.
    public func judge(_ observation: Observation) -> Judgement {
        let output = observation.output
        switch self {
        case .scalar(let wanted):
            let value = Self.statusOrValue(output, isNumber: wanted.size != nil)
            return Judgement(value == wanted, else: "\(Self.shown(value)), not \(wanted.text)")
        case .oneOf(let values):
            let value = Self.statusOrValue(output, isNumber: true)
            var isMet = values.contains(value)
            // Of a plain number two are the ends of a range.
            if output["status"] == nil, values.count == 2, let low = values[0].size, let high = values[1].size,
                let size = value.size
            {
                isMet = low <= size && size <= high
            }
            return Judgement(
                isMet, else: "\(Self.shown(value)), not one of \(JSONValue.array(values).text)")
        case .range(let low, let high, let target):
            let value = Self.part(target, of: output)
            guard let number = value.size ?? Self.plain(value).flatMap({ Double($0) }) else {
                return .unmet("\(Self.shown(value)) is no number")
            }
            return Judgement(
                low <= number && number <= high,
                else: "\(JSONValue.number(number).text), not within \(JSONValue.number(low).text) to "
                    + JSONValue.number(high).text)
        case .regex(let pattern, let target):
            let value = Self.part(target, of: output)
            let text = Self.plain(value) ?? value.text
            return Judgement(pattern.matches(text), else: "'\(pattern.pattern)' is not found in \(Self.shown(value))")
        case .jsonPath(let path, let count, let expected, let target):
            return Self.judge(path, count, expected, Self.part(target, of: output))
        case .probe: return Judgement(Self.isTrue(observation), else: "the probe that judges says no")
        case .expression(let expression): return expression.judge(observation)
        }
    }

    private static func judge(_ path: JSONPath, _ count: Int?, _ expected: JSONValue?, _ value: JSONValue) -> Judgement
    {
        // What came as text may be JSON all the same.
        let document = plain(value).flatMap { try? JSONValue(parsing: $0) } ?? value
        let found = path.values(in: document)
        guard let expected else {
            guard let count else { return Judgement(!found.isEmpty, else: "\(path.text) finds nothing") }
            return Judgement(
                found.count == count, else: "\(path.text) finds \(counted(found.count, "value")), not \(count)")
        }
        let wanted: [JSONValue]
        if case .array(let values) = expected { wanted = values } else { wanted = [expected] }
        return Judgement(found == wanted, else: "\(path.text) is \(shown(.array(found))), not \(expected.text)")
    }

    private static func isTrue(_ observation: Observation) -> Bool {
        switch observation.content {
        case .http(let status, _, _, _): (200..<300).contains(status)
        case .process(let status, _, _): status == 0
        case .value(let value): value == .bool(true)
        }
    }

    /// The status of what has one, as the Toolkit does for numbers and lists.
    private static func statusOrValue(_ output: JSONValue, isNumber: Bool) -> JSONValue {
        if isNumber, let status = output["status"] { return status }
        return output
    }

    private static func part(_ target: String?, of output: JSONValue) -> JSONValue {
        guard let target, let part = output[target] else { return output }
        return part
    }

    private static func plain(_ value: JSONValue) -> String? {
        if case .string(let text) = value { return text }
        return nil
    }

    private static func shown(_ value: JSONValue) -> String {
        let text = value.text
        return text.count > 60 ? text.prefix(60) + "…" : text
    }
}
