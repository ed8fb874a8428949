import KernelJSON
import TimeSeriesEngine

/// What fields some lines have, with a guess at what their values are: what Grafana offers to filter by.
public struct DetectedFields: Sendable {
    /// What all values of a field are.
    public enum Kind: String, Sendable {
        case string, int, float, boolean, duration, bytes
    }

    public struct Field: Sendable {
        public let label: String
        public fileprivate(set) var kind: Kind
        /// `json` or `logfmt`; empty for a field that came beside the line.
        public fileprivate(set) var parsers: [String]
        /// Where it stands in an object; empty where it is none.
        public let path: [String]
        fileprivate var known: Set<String> = []

        /// Different values, up to a limit.
        public var cardinality: Int { known.count }
        /// Sorted by their bytes.
        public var values: [String] { known.sorted { byteOrder($0, $1) < 0 } }
    }

    private var fields: [Field] = []
    private var places: [String: Int] = [:]

    /// Fields and values of one that are kept; what comes beyond is left out.
    public static let fieldLimit = 1_000
    public static let valueLimit = 1_000
    private static let depthLimit = 8

    public init() {}

    /// Those that were found, by name.
    public var found: [Field] { fields.sorted { byteOrder($0.label, $1.label) < 0 } }

    public subscript(label: String) -> Field? { places[label].map { fields[$0] } }

    /// Looks at a line that has come through with its labels apart: see `LogQLRequest.isCategorized`.
    public mutating func add(_ entry: LogQLEntry) {
        for (name, value) in entry.parts?.metadata.pairs ?? [] { add(name, value, parser: "", path: []) }
        switch entry.line.withUnsafeBytes({ LineFields($0) }) {
        case .none: break
        case .logfmt(let pairs):
            for (key, value) in pairs where !value.isEmpty {
                add(JSONLine.labelName(key), value, parser: "logfmt", path: [])
            }
        case .json(let members): add(members, [])
        }
    }

    private mutating func add(_ members: [(key: String, value: JSONValue)], _ path: [String]) {
        guard path.count < Self.depthLimit else { return }
        for (key, value) in members {
            let own = path + [key]
            switch value {
            case .object(let inner): add(inner, own)
            // Of a list `| json` makes no label.
            case .array: break
            default:
                guard let text = value.labelText, !text.isEmpty else { continue }
                add(own.map(JSONLine.labelName).joined(separator: "_"), text, parser: "json", path: own)
            }
        }
    }

    private mutating func add(_ label: String, _ value: String, parser: String, path: [String]) {
        guard !label.isEmpty else { return }
        let kind = Self.kind(of: value)
        guard let place = places[label] else {
            guard fields.count < Self.fieldLimit else { return }
            places[label] = fields.count
            let parsers = parser.isEmpty ? [] : [parser]
            return fields.append(Field(label: label, kind: kind, parsers: parsers, path: path, known: [value]))
        }
        if fields[place].known.count < Self.valueLimit { fields[place].known.insert(value) }
        if !parser.isEmpty, !fields[place].parsers.contains(parser) { fields[place].parsers.append(parser) }
        if fields[place].kind != kind {
            let isNumber = [fields[place].kind, kind].allSatisfy { $0 == .int || $0 == .float }
            fields[place].kind = isNumber ? .float : .string
        }
    }

    private static func kind(of value: String) -> Kind {
        if Int64(value) != nil { return .int }
        if Double(value) != nil { return .float }
        if value == "true" || value == "false" { return .boolean }
        if GoDuration.parse(value) != nil { return .duration }
        return ByteSize.parse(value) != nil ? .bytes : .string
    }
}
