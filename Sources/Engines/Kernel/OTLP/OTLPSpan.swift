import KernelStructures
import KernelTelemetry

/// A span as it travels: OpenTelemetry's `Span` (opentelemetry-proto 1.x, trace/v1).
public struct OTLPSpan: Equatable, Sendable {
    public var traceID: TraceID
    public var spanID: SpanID
    public var parentID: SpanID?
    /// W3C's `tracestate`.
    public var state = ""
    public var flags: UInt32 = 0
    public var name = ""
    /// 0: nobody has said; 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    public var kind = 0
    /// Nanoseconds since 1970, by the clock of whoever made it.
    public var start: UInt64 = 0
    public var end: UInt64 = 0
    public var attributes: [OTLPAttribute] = []
    public var droppedAttributeCount = 0
    public var events: [Event] = []
    public var droppedEventCount = 0
    public var links: [Link] = []
    public var droppedLinkCount = 0
    /// 0: nobody has said; 1 all right, 2 an error.
    public var statusCode = 0
    public var statusMessage = ""

    public struct Event: Equatable, Sendable {
        public var time: UInt64 = 0
        public var name = ""
        public var attributes: [OTLPAttribute] = []

        public init() {}
    }

    public struct Link: Equatable, Sendable {
        public var traceID: TraceID
        public var spanID: SpanID
        public var state = ""
        public var attributes: [OTLPAttribute] = []

        public init(_ traceID: TraceID, _ spanID: SpanID) {
            self.traceID = traceID
            self.spanID = spanID
        }
    }

    /// Events and links of a span; more are counted and dropped.
    static let itemLimit = 128

    public init(_ traceID: TraceID, _ spanID: SpanID) {
        self.traceID = traceID
        self.spanID = spanID
    }

    public subscript(key: String) -> OTLPValue? { attributes.first { $0.key == key }?.value }

    public var isError: Bool { statusCode == 2 }
    /// In nanoseconds; 0 for one that ended before it began.
    public var duration: UInt64 { end > start ? end - start : 0 }

    /// A span of the lab's.
    ///
    /// - Parameter isTrue: by the lab's clock, and not by its node's own calendar, which is all that the node knows.
    public init(_ span: Span, isTrue: Bool = false) {
        let skew = isTrue ? LabDuration.zero : span.skew
        self.init(span.traceID, span.spanID)
        parentID = span.parentID
        state = span.state.description
        flags = 1
        name = span.name
        kind = Int(span.kind.rawValue)
        start = Self.nanoseconds(span.start + skew)
        end = max(start, Self.nanoseconds(span.end + skew))
        attributes = Self.attributes(span.attributes)
        events = span.events.map { event in
            var copy = Event()
            copy.time = Self.nanoseconds(event.time + skew)
            copy.name = event.name
            copy.attributes = Self.attributes(event.attributes)
            return copy
        }
        links = span.links.map { Link($0.traceID, $0.spanID) }
        switch span.status {
        case .unset: break
        case .ok: statusCode = 1
        case .error(let text):
            statusCode = 2
            statusMessage = text
        }
    }

    private static func nanoseconds(_ time: LabTime) -> UInt64 { UInt64(max(0, time.nanoseconds)) }

    private static func attributes(_ attributes: [Span.Attribute]) -> [OTLPAttribute] {
        attributes.map { OTLPAttribute($0.key, OTLPValue($0.value)) }
    }
}

extension OTLPResource {
    /// What a node says of itself.
    public init(service: String, node: String) {
        self.init([
            OTLPAttribute("service.name", .text(service)), OTLPAttribute("service.instance.id", .text(node)),
            OTLPAttribute("telemetry.sdk.name", .text("sdlab")),
            OTLPAttribute("telemetry.sdk.language", .text("swift")),
        ])
    }
}
