import CRapidJSON

extension JSONValue {
    /// Reads one document, which may have blanks around it and nothing else.
    ///
    /// - Throws: `JSONError` with the place of the first mistake, or of what exceeds a limit.
    public init(parsing bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) throws(JSONError) {
        self = try JSONParser.parse(bytes, limits)
    }

    public init(parsing bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        self = try bytes.withUnsafeBufferPointer { bytes throws(JSONError) in
            try JSONParser.parse(UnsafeRawBufferPointer(bytes), limits)
        }
    }

    public init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }
}

/// Builds a value from the parser's events. A finished value waits on `values`, a member's name on `keys`, until the
/// end of what contains it says how many of them it takes.
private final class JSONParser {
    private let limits: JSONLimits
    private var values: [JSONValue] = []
    private var keys: [String] = []
    private var depth = 0
    private var valueCount = 0
    /// Why the parser was told to stop.
    private var problem: String?

    private init(_ limits: JSONLimits) { self.limits = limits }

    static func parse(_ bytes: UnsafeRawBufferPointer, _ limits: JSONLimits) throws(JSONError) -> JSONValue {
        guard bytes.count <= limits.bytes else {
            throw JSONError("more than the \(limits.bytes) bytes that are allowed", at: limits.bytes, in: bytes)
        }
        let parser = JSONParser(limits)
        // An empty buffer has no address, which the parser does not know.
        var nothing: CChar = 0
        let result = withExtendedLifetime(parser) {
            withUnsafePointer(to: events) { events in
                sdlab_json_parse(
                    bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? withUnsafePointer(to: &nothing) { $0 },
                    bytes.count, events, Unmanaged.passUnretained(parser).toOpaque())
            }
        }
        if let problem = result.problem {
            throw JSONError(parser.problem ?? String(cString: problem), at: result.offset, in: bytes)
        }
        guard let value = parser.values.first, parser.values.count == 1 else {
            throw JSONError("not JSON", at: result.offset, in: bytes)
        }
        return value
    }

    private static var events: sdlab_json_events {
        sdlab_json_events(
            null: { JSONParser.of($0).add(.null) },
            boolean: { JSONParser.of($0).add(.bool($1)) },
            number: { context, text, length in
                let parser = JSONParser.of(context)
                let bytes = UnsafeRawBufferPointer(start: text, count: length)
                return parser.add(JSONNumber.value(of: bytes, keepsDecimals: parser.limits.keepsDecimals))
            },
            string: { JSONParser.of($0).add(.string(JSONParser.text($1, $2))) },
            key: { context, text, length in
                JSONParser.of(context).keys.append(JSONParser.text(text, length))
                return true
            },
            start_object: { JSONParser.of($0).open() },
            end_object: { JSONParser.of($0).endObject($1) },
            start_array: { JSONParser.of($0).open() },
            end_array: { JSONParser.of($0).endArray($1) })
    }

    private static func of(_ context: UnsafeMutableRawPointer?) -> JSONParser {
        Unmanaged<JSONParser>.fromOpaque(context!).takeUnretainedValue()
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    }

    private func stop(_ problem: String) -> Bool {
        self.problem = problem
        return false
    }

    private func count() -> Bool {
        valueCount += 1
        return valueCount <= limits.values || stop("more than the \(limits.values) values that are allowed")
    }

    private func add(_ value: JSONValue) -> Bool {
        values.append(value)
        return count()
    }

    private func open() -> Bool {
        depth += 1
        guard depth <= limits.depth else {
            return stop("nested deeper than the \(limits.depth) levels that are allowed")
        }
        return count()
    }

    private func endArray(_ count: Int) -> Bool {
        depth -= 1
        let elements = Array(values.suffix(count))
        values.removeLast(count)
        values.append(.array(elements))
        return true
    }

    private func endObject(_ count: Int) -> Bool {
        depth -= 1
        var members = zip(keys.suffix(count), values.suffix(count)).map { (key: $0, value: $1) }
        keys.removeLast(count)
        values.removeLast(count)
        if let repeated = JSONDuplicates.merge(&members), limits.duplicates == .rejected {
            return stop("the object has two members named \(JSONValue.string(repeated).text)")
        }
        values.append(.object(members))
        return true
    }
}
