import KernelOTLP
import KernelStorage
import KernelStructures
import KernelTelemetry
import TracingEngine

/// What a collector pays for each span: 20 µs are fifty thousand a second on one core.
let tracingBenchmarks: [Benchmark] = [
    Benchmark("tracing", "a span read from OTLP (protobuf)", barNanoseconds: 10_000, barAllocations: nil, threads: [1])
    {
        let body = someBody(seed: 1).protobuf()
        return { count, _ in
            for _ in 0...count / spansABody { keep(try? OTLPTraces(protobuf: body)) }
        }
    },
    Benchmark(
        "tracing", "a span taken in: read, kept, found", barNanoseconds: 20_000, barAllocations: nil, threads: [1]
    ) {
        let store = emptyStore()
        let bodies = (0..<64).map { someBody(seed: UInt64($0)).protobuf() }
        return { count, _ in
            for index in 0...count / spansABody {
                guard let traces = try? OTLPTraces(protobuf: bodies[index % bodies.count]) else { continue }
                try? store.add(traces.groups.tracedSpans, now: .documentedEpoch)
            }
        }
    },
    Benchmark(
        "tracing", "a search for 20 of 10,000 traces by a tag", barNanoseconds: 20_000_000, barAllocations: nil,
        threads: [1]
    ) {
        let store = emptyStore()
        for seed in 0..<1_000 {
            try? store.add(someBody(seed: UInt64(seed)).groups.tracedSpans, now: .documentedEpoch)
        }
        var query = TraceQuery(service: "s3")
        query.tags = [("http.response.status_code", "503")]
        query.limit = 20
        return { [query] count, _ in for _ in 0..<count { keep(try? store.find(query)) } }
    },
]

/// Spans of a body, ten a trace.
private let spansABody = 100

private func emptyStore() -> TraceStore {
    let disk = NodeDisk(base: SimulatedDisk(capacityBytes: 4 << 30), owner: DiskOwner(1))
    guard let store = try? TraceStore(disk, directory: "/traces", now: .documentedEpoch) else {
        fatalError("an empty disk takes a store")
    }
    return store
}

private func someBody(seed: UInt64) -> OTLPTraces {
    var random = SeededRandom(seed: seed)
    var groups: [OTLPTraces.Group] = []
    for _ in 0..<spansABody / 10 {
        let trace = TraceID(random: &random)
        for service in 0..<5 {
            let spans = (0..<2).map { _ -> OTLPSpan in
                var span = OTLPSpan(trace, SpanID(random: &random))
                span.name = "GET /orders/{id}"
                span.kind = 2
                span.start = UInt64(LabTime.documentedEpoch.nanoseconds) + random.next() % 1_000_000_000
                span.end = span.start + random.next() % 1_000_000
                span.attributes = [
                    OTLPAttribute("http.request.method", .text("GET")), OTLPAttribute("url.path", .text("/orders/7")),
                    OTLPAttribute("http.response.status_code", .integer(random.chance(0.01) ? 503 : 200)),
                    OTLPAttribute("server.address", .text("orders")), OTLPAttribute("server.port", .integer(8080)),
                ]
                return span
            }
            let resource = OTLPResource(service: "s\(service)", node: "s\(service)-\(random.below(3))")
            groups.append(.init(resource: resource, spans: spans))
        }
    }
    return OTLPTraces(groups)
}
