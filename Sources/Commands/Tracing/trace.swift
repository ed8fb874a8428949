import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ShellSession
import TracingEngine

extension TracingCommands {
    /// `trace last`, `trace 4bf92f35 --clocks`, `trace slowest --server jaeger:16686 --service orders`
    static var trace: Command {
        let description = CommandDescription(
            "trace", "where a request's time went: its spans as a waterfall", usage: "[last|slowest|ID|ORDER] [FLAGS]",
            flags: [
                .init("clocks", nil, "each beginning by the true clock, by the node's own, and as Jaeger adjusts it"),
                .init("count", "n", .integer(1...1000), "without a trace: the last so many (10)"),
                .init("server", "s", .endpoint, "asks a Jaeger's API instead of the lab"),
                .init("service", nil, .text("NAME"), "with --server last or slowest: of that service"),
                CommonFlags.glyphs, CommonFlags.json,
            ], arguments: .init([.text], 0...1),
            examples: ["trace", "trace last", "trace slowest --json", "trace 4bf92f35 --clocks", "trace o1"],
            group: .views,
            details: """
                Strong bars are the critical path: what would have to become faster for the
                whole to become faster. ✗ is an error, ≈ a fault that was in force. → is a call
                as its caller has measured it; the answer of the other is under it. last is the
                last request that came from a terminal or from outside: checks and scrapes are
                nobody's, and what was asked of a jaeger, a metrics-collector or a
                log-collector is not meant while there is another; ledger, log-query and
                mq-cli only look, and make no traces. ORDER is the shop's name of an order.
                … has not ended yet. The lab remembers the last
                \(SpanRecorder.capacity) spans, with or without a jaeger.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let glyphs = arguments.glyphs
            let word = arguments.arguments.first
            if let server = arguments.endpoint("server") {
                return .running(try remote(invocation, server, word ?? "last", glyphs))
            }
            if arguments.has("service") {
                throw UsageError("trace: --service is for --server, as a Jaeger is asked by service; leave it out")
            }
            let world = invocation.session.world
            let traces = LabTraces(world, watchers: watchers(invocation.session))
            guard let word else { return .view(list(traces, arguments.integer("count") ?? 10)) }
            let id = try traces.choose(word)
            let trace = traces.trace(id)
            let faults = TracedFault.all(in: world, from: labTime(trace.start), to: labTime(trace.end))
                .filter { $0.concerns(trace.services) }
            let clocks = TraceClocks(raw: traces.trace(id, isTrue: false), spans: traces.spans(of: id))
            return .view(
                Waterfall(
                    trace, faults: faults, clocks: clocks, open: traces.open, glyphs: glyphs,
                    columns: invocation.session.renderer.columns,
                    peerName: { text in IPAddress(parsing: text).flatMap { world.nodes.at($0)?.name } ?? text }
                ).view(showsClocks: arguments.has("clocks")))
        }
    }

    /// The nodes that keep what others tell of themselves.
    private static func watchers(_ session: Session) -> Set<String> {
        let kinds = ["jaeger", "metrics-collector", "log-collector", "log-agent", "alert-receiver"]
        let watching = session.jobs.running.flatMap(\.running).filter { process in
            process.component.map { kinds.contains($0.kind) } ?? false
        }
        return Set(watching.compactMap(\.nodeName))
    }

    private static func labTime(_ nanoseconds: UInt64) -> LabTime { LabTime(nanoseconds: Int64(clamping: nanoseconds)) }

    private static func list(_ traces: LabTraces, _ count: Int) -> View {
        let rows = traces.ids.suffix(count).map { id -> [View.Cell] in
            let trace = traces.trace(id)
            let tree = TraceTree(trace)
            let root = tree.main.map { tree.span($0) }
            return [
                View.Cell(String("\(id)".prefix(8)), json: .string("\(id)")),
                View.Cell(
                    labTime(trace.start).timeOfDay, json: .string(labTime(trace.start).description)),
                .duration(LabDuration(nanoseconds: Int64(clamping: trace.duration))), .integer(trace.spans.count),
                .integer(trace.services.count), .text(trace.hasError ? "✗" : "", style: .bad),
                .text(root.map { "\($0.service) \($0.span.name)" } ?? ""),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("TRACE", key: "trace_id"), .init("BEGAN", key: "began"),
                        .init("TOOK", key: "duration_ms", right: true), .init("SPANS", key: "spans", right: true),
                        .init("SERVICES", key: "services", right: true), .init("ERR", key: "error"),
                        .init("REQUEST", key: "request", flexible: true),
                    ], rows: rows, whenEmpty: "nothing was traced yet")))
    }

    // MARK: A Jaeger

    private static func remote(
        _ invocation: Invocation, _ server: HostPort, _ word: String, _ glyphs: Sparkline.Glyphs
    ) throws -> ServerQuestion {
        let target: String
        if word == "last" || word == "slowest" {
            guard let service = invocation.arguments.text("service") else {
                throw UsageError("trace: of which service? add --service NAME")
            }
            let query = HTTPQuery.text([("service", service), ("limit", word == "last" ? "1" : "1000")])
            target = "/api/traces\(query)"
        } else {
            guard let id = TraceID(word) else {
                throw UsageError("trace: '\(word)' is no trace's id; it has 32 digits 0-9a-f")
            }
            target = "/api/traces/\(id)"
        }
        return ServerQuestion(
            invocation.process, "GET", target, at: server,
            whenRefused: "no Jaeger answers at \(server); start one: jaeger", isObserver: true
        ) { response throws(CommandFailure) in
            let traces: [Trace]
            do {
                let answer = try JSONValue(parsing: response.body, limits: JSONLimits(bytes: 64 << 20))
                if !response.isSuccess {
                    throw CommandFailure(try JSONCursor(answer)["errors"][0]["msg"].string())
                }
                traces = try JaegerJSON.traces(answer)
            } catch {
                throw (error as? CommandFailure) ?? CommandFailure("\(server) does not answer as Jaeger does: \(error)")
            }
            guard let trace = traces.max(by: { $0.duration < $1.duration }), !trace.spans.isEmpty else {
                throw CommandFailure("\(server) has no such trace")
            }
            let view = Waterfall(trace, glyphs: glyphs, columns: invocation.session.renderer.columns)
                .view(showsClocks: false)
            return invocation.process.text(of: view, for: invocation.arguments)
        }
    }
}
