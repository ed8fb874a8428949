import KernelOTLP
import KernelTelemetry

/// What is kept in memory of a trace, so that most of those that nobody asks for need not be read.
struct TraceSummary: Sendable {
    /// Where some of its spans stand: one record of one file.
    struct Place: Hashable, Sendable {
        let file: UInt32
        let offset: UInt32
        let length: UInt32
    }

    let id: TraceID
    var start = UInt64.max
    var end: UInt64 = 0
    /// Of the slowest of its spans.
    var longest: UInt64 = 0
    var spanCount = 0
    var hasError = false
    /// Each service once.
    var services: [UInt32] = []
    var places: [Place] = []
    var marks = TraceMarks()

    init(_ id: TraceID) { self.id = id }

    mutating func add(_ span: TracedSpan, service: UInt32) {
        start = min(start, span.span.start)
        end = max(end, span.span.end)
        longest = max(longest, span.span.duration)
        spanCount += 1
        hasError = hasError || span.isError
        if !services.contains(service), services.count < 64 { services.append(service) }
        marks.insert(span)
    }

    /// Whether it may have spans of that service: one with too many services may have any.
    func mayHave(_ service: UInt32) -> Bool { services.count >= 64 || services.contains(service) }
}

/// A Bloom filter of 512 bits for what can be asked of a trace's spans: operations, and attributes with their values.
///
/// With forty different ones in a trace one in three hundred questions is answered "perhaps" for nothing; then the
/// trace is read, and seen not to match.
struct TraceMarks: Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)

    private static let probes = 4

    private static func hash(_ key: String, _ value: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        for byte in value.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        return hash ^ (hash >> 31)
    }

    mutating func insert(_ key: String, _ value: String) {
        let hash = Self.hash(key, value)
        withUnsafeMutableBytes(of: &words) { bytes in
            for probe in 0..<Self.probes {
                let bit = Int(truncatingIfNeeded: hash >> UInt64(9 * probe)) & 511
                bytes[bit >> 3] |= 1 << UInt8(bit & 7)
            }
        }
    }

    func mayContain(_ key: String, _ value: String) -> Bool {
        let hash = Self.hash(key, value)
        return withUnsafeBytes(of: words) { bytes in
            (0..<Self.probes).allSatisfy { probe in
                let bit = Int(truncatingIfNeeded: hash >> UInt64(9 * probe)) & 511
                return bytes[bit >> 3] & (1 << UInt8(bit & 7)) != 0
            }
        }
    }

    /// The name under which an operation is marked, which no attribute has.
    static let operationKey = ""

    mutating func insert(_ span: TracedSpan) {
        insert(Self.operationKey, span.span.name)
        for list in span.attributeLists { for attribute in list { insert(attribute.key, attribute.value.text) } }
        for (key, value) in span.derivedTags { insert(key, value) }
    }
}

extension TracedSpan {
    /// Everything of a span that can be asked for by name: its own attributes, its service's, its library's, those of
    /// its events and its links.
    var attributeLists: [[OTLPAttribute]] {
        [span.attributes, resource.attributes, scope.attributes] + span.events.map(\.attributes)
            + span.links.map(\.attributes)
    }

    /// What Jaeger shows as tags, and OTLP has members for.
    var derivedTags: [(key: String, value: String)] {
        var tags: [(key: String, value: String)] = []
        if let kind = JaegerJSON.kindName(span.kind) { tags.append(("span.kind", kind)) }
        if span.isError { tags.append(("error", "true")) }
        if span.statusCode == 1 { tags.append(("otel.status_code", "OK")) }
        if span.statusCode == 2 { tags.append(("otel.status_code", "ERROR")) }
        if !span.statusMessage.isEmpty { tags.append(("otel.status_description", span.statusMessage)) }
        if !scope.name.isEmpty { tags += [("otel.scope.name", scope.name), ("otel.library.name", scope.name)] }
        if !scope.version.isEmpty {
            tags += [("otel.scope.version", scope.version), ("otel.library.version", scope.version)]
        }
        for event in span.events where !event.name.isEmpty { tags.append(("event", event.name)) }
        return tags
    }
}
