import KernelOTLP
import KernelTelemetry

/// What is kept in memory of a trace: when it began, who called whom in it, and where its spans stand. What can be
/// asked of them stands in `TraceFileIndex`.
struct TraceSummary: Sendable {
    /// Where some of its spans stand: one record of one file.
    struct Place: Hashable, Sendable {
        let file: UInt32
        let offset: UInt32
        let length: UInt32
    }

    let id: TraceID
    /// Of its first span, in nanoseconds since 1970.
    var start = UInt64.max
    /// When the last of its spans began.
    var last: UInt64 = 0
    /// Its calls, by `CallBook`'s numbers; `CallBook.unknown` while more may come.
    var shape = CallBook.unknown
    var spanCount = 0
    var places: [Place] = []

    init(_ id: TraceID) { self.id = id }
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
