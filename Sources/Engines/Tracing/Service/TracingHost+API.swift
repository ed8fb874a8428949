import KernelHosting
import KernelJSON
import KernelOTLP
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWire
import TracingEngine

/// Jaeger's API as its own page, Grafana and Kiali ask it: version 1 as JSON of Jaeger's own, version 3 as OTLP.
extension TracingHost {
    func mountAPI() {
        on("/api/services") { host, _ in
            let services = host.store.services
            return JaegerJSON.answer(.array(services.map { .string($0) }), total: services.count)
        }
        on("/api/services/{service}/operations") { host, exchange in
            let names = host.store.operations(of: exchange.parameters["service"]).map(\.name)
            let unique = names.reduce(into: [String]()) { if $0.last != $1 { $0.append($1) } }
            return JaegerJSON.answer(.array(unique.map { .string($0) }), total: unique.count)
        }
        on("/api/operations") { host, exchange in
            var query = try exchange.query()
            guard let service = try query.take("service"), !service.isEmpty else {
                throw HTTPProblem(400, "parameter 'service' is required")
            }
            let operations = try host.operations(service, kind: try query.take("spanKind"), "spanKind")
            return JaegerJSON.answer(.array(operations), total: operations.count)
        }
        on("/api/traces") { host, exchange in
            var query = try exchange.query()
            let ids = query.takeAll("traceID")
            let traces: [Trace]
            if ids.isEmpty {
                traces = try host.find(try TraceParameters.version1(query, now: host.node.wallClock))
            } else {
                traces = try ids.prefix(Self.idLimit).compactMap { try host.store.trace(try Self.id($0)) }
            }
            return JaegerJSON.answer(.array(traces.map { Self.adjusted($0, raw: false) }))
        }
        on("/api/traces/{id}") { host, exchange in
            var query = try exchange.query()
            let isRaw = try query.take("raw") == "true"
            guard let trace = try host.store.trace(try Self.id(exchange.parameters["id"])) else {
                throw HTTPProblem(404, "trace not found")
            }
            return JaegerJSON.answer([Self.adjusted(trace, raw: isRaw)])
        }
        on("/api/dependencies") { host, exchange in
            var query = try exchange.query()
            let end = try TraceParameters.milliseconds(try query.take("endTs"), "endTs") ?? host.nowNanoseconds
            let lookback =
                try TraceParameters.milliseconds(try query.take("lookback"), "lookback") ?? 86_400_000_000_000
            let (calls, effort) = try host.store.calls(from: end > lookback ? end - lookback : 0, through: end)
            host.counts(query: effort)
            return JaegerJSON.answer(JaegerJSON.dependencies(calls), total: calls.count)
        }
        mountVersion3()
    }

    private func mountVersion3() {
        on("/api/v3/services") { host, _ in
            .object([("services", .array(host.store.services.map { .string($0) }))])
        }
        on("/api/v3/operations") { host, exchange in
            var query = try exchange.query()
            let kind = try query.take("span_kind")
            let operations = try host.operations(try query.take("service") ?? "", kind: kind, "spanKind")
            return .object([("operations", .array(operations))])
        }
        on("/api/v3/traces/{id}") { host, exchange in
            guard let trace = try host.store.trace(try Self.id(exchange.parameters["id"])) else {
                throw HTTPProblem(404, "trace not found")
            }
            return Self.result([trace])
        }
        on("/api/v3/traces") { host, exchange in
            Self.result(try host.find(try TraceParameters.version3(try exchange.query())))
        }
    }

    /// Traces that one request can name.
    private static let idLimit = 100

    private func on(_ path: String, _ answer: @escaping (TracingHost, HTTPExchange) throws -> JSONValue) {
        let isVersion3 = path.hasPrefix("/api/v3/")
        router.on("GET", path) { [unowned self] exchange in
            do {
                exchange.answer(json: try answer(self, exchange))
            } catch {
                let problem = Self.problem(error)
                let text = problem.detail
                exchange.answer(
                    problem.status,
                    json: isVersion3
                        ? .object([
                            (
                                "error",
                                .object([("httpCode", .integer(problem.status)), ("message", .string(text))])
                            )
                        ])
                        : JaegerJSON.failure(problem.status, text))
            }
        }
    }

    private static func problem(_ error: any Error) -> HTTPProblem {
        switch error {
        case let error as HTTPProblem: error
        case let error as HTTPError: HTTPProblem(error)
        case let error as JSONError: HTTPProblem(400, "\(error)")
        case let error as JSONTypeError: HTTPProblem(400, "\(error)")
        default: HTTPProblem(500, "\(error)")
        }
    }

    private static func id(_ text: String) throws(HTTPProblem) -> TraceID {
        guard let id = TraceID(text) else { throw HTTPProblem(400, "'\(text)' is no trace id: 1 to 32 digits 0-9a-f") }
        return id
    }

    private var nowNanoseconds: UInt64 { UInt64(max(0, node.wallClock.nanoseconds)) }

    private func find(_ query: TraceQuery) throws(DiskError) -> [Trace] {
        let (traces, effort) = try store.find(query)
        counts(query: effort)
        return traces
    }

    private func operations(_ service: String, kind: String?, _ key: String) throws(HTTPProblem) -> [JSONValue] {
        var wanted: Int?
        if let kind, !kind.isEmpty {
            guard let number = JaegerJSON.kind(named: kind) else {
                throw HTTPProblem(400, "'\(kind)' is no kind of span: internal, server, client, producer, consumer")
            }
            wanted = number
        }
        return store.operations(of: service).filter { wanted == nil || $0.kind == wanted }.map { operation in
            .object([
                ("name", .string(operation.name)), (key, .string(JaegerJSON.kindName(operation.kind) ?? "")),
            ])
        }
    }

    /// As Jaeger shows traces: with clocks adjusted, and a warning where they were.
    private static func adjusted(_ trace: Trace, raw: Bool) -> JSONValue {
        if raw { return JaegerJSON.trace(trace) }
        let tree = TraceTree(trace)
        let shifts = SkewAdjustment.shifts(tree)
        var spans = trace.spans
        var warnings = [String](repeating: "", count: spans.count)
        for (place, node) in tree.nodes.enumerated() where shifts[place] != 0 {
            let shift = shifts[place]
            spans[node.index].span.start = SkewAdjustment.shifted(spans[node.index].span.start, by: shift)
            spans[node.index].span.end = SkewAdjustment.shifted(spans[node.index].span.end, by: shift)
            for event in spans[node.index].span.events.indices {
                let time = spans[node.index].span.events[event].time
                spans[node.index].span.events[event].time = SkewAdjustment.shifted(time, by: shift)
            }
            warnings[node.index] =
                "clock skew adjustment: \(LabDuration(nanoseconds: shift)) were added, so that it lies within its parent"
        }
        // Warnings go with their spans into the new order.
        let order = spans.indices.sorted { (spans[$0].span.start, $0) < (spans[$1].span.start, $1) }
        return JaegerJSON.trace(Trace(trace.id, spans), warnings: order.map { warnings[$0] })
    }

    private static func result(_ traces: [Trace]) -> JSONValue {
        let groups = traces.flatMap(\.spans).map {
            OTLPTraces.Group(resource: $0.resource, scope: $0.scope, spans: [$0.span])
        }
        return .object([("result", OTLPTraces(groups).json())])
    }
}
