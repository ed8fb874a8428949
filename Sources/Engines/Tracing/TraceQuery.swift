import KernelOTLP
import KernelTelemetry

/// What is looked for: traces in which one span fulfils all of it.
public struct TraceQuery: Equatable, Sendable {
    public var service = ""
    /// Empty: any.
    public var operation = ""
    /// Attributes of the span, its service, its library, its events or its links; as text, which is what Jaeger
    /// compares.
    public var tags: [(key: String, value: String)] = []
    /// When the span began, in nanoseconds since 1970.
    public var from: UInt64 = 0
    public var through = UInt64.max
    /// How long it took, in nanoseconds; `longest` nil: any.
    public var shortest: UInt64 = 0
    public var longest: UInt64?
    /// Traces, those that began last first.
    public var limit = 100

    public init(service: String = "") { self.service = service }

    public static func == (a: TraceQuery, b: TraceQuery) -> Bool {
        a.service == b.service && a.operation == b.operation && a.from == b.from && a.through == b.through
            && a.shortest == b.shortest && a.longest == b.longest && a.limit == b.limit
            && a.tags.elementsEqual(b.tags) { $0 == $1 }
    }

    public func matches(_ trace: Trace) -> Bool { trace.spans.contains { matches($0) } }

    func matches(_ traced: TracedSpan) -> Bool {
        let span = traced.span
        guard service.isEmpty || traced.service == service, operation.isEmpty || span.name == operation,
            span.start >= from, span.start <= through, span.duration >= shortest, span.duration <= longest ?? .max
        else { return false }
        return tags.allSatisfy { tag in
            traced.attributeLists.contains { list in
                list.contains { $0.key == tag.key && $0.value.text == tag.value }
            } || traced.derivedTags.contains { $0 == tag }
        }
    }
}
