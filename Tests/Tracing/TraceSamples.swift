import KernelOTLP
import KernelStructures
import KernelTelemetry
import TracingEngine

/// Makes spans by hand: ids are small numbers, times milliseconds.
func sample(
    _ id: UInt64, in parent: UInt64? = nil, trace: UInt64 = 1, _ service: String = "a", _ name: String = "work",
    from start: UInt64 = 0, to end: UInt64 = 10, kind: Int = 2, isError: Bool = false,
    _ attributes: [(String, OTLPValue)] = []
) -> TracedSpan {
    var span = OTLPSpan(TraceID(high: 0, low: trace)!, SpanID(id)!)
    span.parentID = parent.flatMap { SpanID($0) }
    span.name = name
    span.kind = kind
    span.start = 1_703_084_400_000_000_000 + start * 1_000_000
    span.end = 1_703_084_400_000_000_000 + end * 1_000_000
    span.statusCode = isError ? 2 : 0
    span.attributes = attributes.map { OTLPAttribute($0.0, $0.1) }
    return TracedSpan(span, resource: OTLPResource(service: service, node: service))
}

func trace(_ spans: [TracedSpan]) -> Trace { Trace(spans[0].span.traceID, spans) }

/// Traces of a seed, of several services, with attributes that repeat.
func randomSpans(_ count: Int, seed: UInt64, traces: Int = 50) -> [TracedSpan] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { index in
        let start = UInt64(random.below(10_000))
        return sample(
            UInt64(index + 1), in: random.chance(0.3) ? nil : UInt64(random.below(count) + 1),
            trace: UInt64(random.below(traces) + 1), "s\(random.below(5))", "op\(random.below(6))", from: start,
            to: start + UInt64(random.below(300)), kind: random.below(6), isError: random.chance(0.1),
            [
                ("color", .text(["red", "green", "blue"][random.below(3)])), ("size", .integer(Int64(random.below(4)))),
                ("big", .bool(random.chance(0.5))),
            ])
    }
}
