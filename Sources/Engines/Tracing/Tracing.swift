import KernelOTLP
import KernelStructures
import KernelTelemetry

/// Keeps the spans that everybody sends, and answers whose time went where.
///
/// ## The problem
///
/// A checkout took a second. Six services were at work on it, each with a log of its own in which nothing looks slow.
/// The second is in none of the lines; it is between them.
///
/// ## An everyday picture
///
/// A parcel that came late. Every depot has a book with the times of arrival and departure. Whoever lays the books side
/// by side, on one time line, sees at a glance where it lay: a long bar with nothing under it.
///
/// ## How
///
/// ```
/// spans ─▶ TailSampler ─▶ TraceStore ─▶ partitions by day, files of batches
///            keep or drop    │  index in memory: a summary a trace
///                            ▼
///                       TraceQuery ─▶ Trace ─▶ TraceTree ─▶ CriticalPath, SkewAdjustment ─▶ waterfall
///                       CallBook ─▶ dependencies       └──▶ ServiceGraph ─▶ topo
/// ```
///
/// A span says which span it is a part of; a tree follows. The *critical path* is what would have to become faster for
/// the whole to become faster: read from the end backwards, it is always the part that ended last.
///
/// ## Where it is wrong
///
/// Spans say what their authors thought worth saying: a gap may be work that nobody has named. Clocks of different
/// machines differ, so bars of different machines may be shifted against each other by more than they are long
/// (`SkewAdjustment`). And what a sampler dropped cannot be asked for afterwards.
public enum Tracing {
    /// OTLP over HTTP, and Jaeger's API.
    public static let collectorPort: UInt16 = 4318
    public static let queryPort: UInt16 = 16686
}

/// A span, with whom it is from.
public struct TracedSpan: Equatable, Sendable {
    public var span: OTLPSpan
    public var resource: OTLPResource
    public var scope: OTLPScope

    public init(_ span: OTLPSpan, resource: OTLPResource, scope: OTLPScope = OTLPScope()) {
        self.span = span
        self.resource = resource
        self.scope = scope
    }

    public var service: String { resource.serviceName }
    /// Which of its copies, where it says so.
    public var instance: String? { resource["service.instance.id"]?.text }
    public var isError: Bool { span.isError }
}

/// The spans of one trace that are known, in the order of their beginnings.
public struct Trace: Equatable, Sendable {
    public let id: TraceID
    public let spans: [TracedSpan]

    /// - Parameter spans: of one trace. One that came twice, equal to the last bit, counts once: whoever sends does not
    ///   know whether the first attempt has arrived.
    public init(_ id: TraceID, _ spans: [TracedSpan]) {
        self.id = id
        var seen: [SpanID: [TracedSpan]] = [:]
        var kept: [TracedSpan] = []
        for span in spans where span.span.traceID == id {
            if seen[span.span.spanID]?.contains(span) == true { continue }
            seen[span.span.spanID, default: []].append(span)
            kept.append(span)
        }
        self.spans = kept.enumerated().sorted {
            ($0.element.span.start, $0.offset) < ($1.element.span.start, $1.offset)
        }.map(\.element)
    }

    /// In nanoseconds since 1970.
    public var start: UInt64 { spans.first?.span.start ?? 0 }
    public var end: UInt64 { spans.reduce(start) { max($0, $1.span.end) } }
    public var duration: UInt64 { end - start }
    /// Each once, sorted.
    public var services: [String] { Set(spans.map(\.service)).sorted() }
    public var hasError: Bool { spans.contains { $0.isError } }
}

extension [OTLPTraces.Group] {
    /// One by one, with whom they are from.
    public var tracedSpans: [TracedSpan] {
        flatMap { group in
            group.spans.map { TracedSpan($0, resource: group.resource, scope: group.scope) }
        }
    }
}
