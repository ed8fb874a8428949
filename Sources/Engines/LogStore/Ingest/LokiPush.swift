import KernelJSON
import KernelStructures
import TimeSeriesEngine

/// What a client of Loki pushes: streams with their entries.
///
/// ```
/// { "streams": [ { "stream": { "job": "app" },
///                  "values": [ [ "1704103200000000000", "a line", { "trace_id": "…" } ] ] } ] }
/// ```
public struct LokiPush: Equatable, Sendable {
    public struct Stream: Equatable, Sendable {
        public var labels: Labels
        public var entries: [Entry] = []
        public init(labels: Labels) { self.labels = labels }
    }

    public struct Entry: Equatable, Sendable {
        /// Nanoseconds since 1970.
        public var time: Int64
        public var line: [UInt8]
        public var metadata: Labels

        public init(time: Int64, line: [UInt8], metadata: Labels = Labels()) {
            self.time = time
            self.line = line
            self.metadata = metadata
        }
    }

    public var streams: [Stream] = []

    public init() {}

    public static let jsonLimits = JSONLimits(
        bytes: 64 << 20, depth: 16, values: 4_000_000, duplicates: .lastWins)

    /// - Throws: `JSONError`, `JSONTypeError`.
    public init(json bytes: [UInt8]) throws {
        let body = JSONCursor(try JSONValue(parsing: bytes, limits: Self.jsonLimits))
        for stream in try body["streams"].array() {
            var pairs: [(String, String)] = []
            for (name, value) in try stream["stream"].members() { pairs.append((name, try value.string())) }
            var own = Stream(labels: Labels(pairs))
            for value in try stream["values"].array() { own.entries.append(try Self.entry(value)) }
            streams.append(own)
        }
    }

    private static func entry(_ value: JSONCursor) throws -> Entry {
        let text = try value[0].string()
        guard let time = Int64(text) else { throw value[0].error("expected nanoseconds since 1970, not '\(text)'") }
        var metadata: [(String, String)] = []
        if let more = value[2].ifPresent {
            for (name, value) in try more.members() { metadata.append((name, try value.string())) }
        }
        return Entry(time: time, line: Array(try value[1].string().utf8), metadata: Labels(metadata))
    }
}
