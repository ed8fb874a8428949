import CommandKit
import CommandServices
import KernelService
import KernelStructures
import ShellSession
import TracingEngine
import TracingService

extension TracingCommands {
    /// `jaeger`, `jaeger --storage ./traces --keep-slow 500ms --keep-errors`
    static var jaeger: Command {
        let kind = ServiceKind("jaeger", node: SpanExport.collectorName, port: .preset(Tracing.queryPort))
        let description = CommandDescription(
            "jaeger", "keeps traces: OTLP comes in, Jaeger's API answers", usage: "[FLAGS]",
            flags: kind.flags(
                listens: "where it answers Jaeger's API",
                [
                    .init("otlp-port", nil, .port, "where spans come in: OTLP over HTTP (\(Tracing.collectorPort))"),
                    .init("storage", "d", .file, "where the traces are (./traces)"),
                    .init("days", nil, .integer(1...3650), "days that are kept (7)"),
                    .init("max-bytes", nil, .byteCount, "drops the oldest files beyond that (1 GiB)"),
                    .init("max-spans", nil, .integer(1000...100_000_000), "and beyond so many spans (2000000)"),
                    .init("keep-slow", nil, .duration(), "tail sampling: keeps traces of at least so long"),
                    .init("keep-errors", nil, "tail sampling: keeps traces with an error"),
                    .init("keep-share", nil, .text("SHARE"), "tail sampling: keeps that share of all, such as 0.01"),
                    .init("keep-rate", nil, .integer(1...1_000_000), "tail sampling: keeps so many spans a second"),
                    .init("decision-wait", nil, .duration(), "how long a trace's spans are waited for (10s)"),
                ]),
            examples: [
                "jaeger", "jaeger --keep-slow 500ms --keep-errors --keep-share 0.01",
                "curl 'http://jaeger:16686/api/traces?service=orders&limit=10'",
            ], group: .components, role: .service, tags: ["JAEGER"],
            details: """
                While a node called jaeger runs, every node of the lab sends it its spans. With
                one of the --keep flags a trace is kept only if one of them wants it; without,
                all are: what is not decided yet waits in memory for --decision-wait, 100000
                spans at most, and is lost if jaeger is killed. So is what came within the last
                second, which is not synced yet. What is too much goes in whole files, of an
                eighth of --max-bytes and --max-spans at most; the newest trace stays whole. On
                a full disk spans are refused (503), and what is there is answered. Its API is
                Jaeger's: /api/services, /api/traces, /api/dependencies and /api/v3, for Grafana
                and whatever else reads Jaeger. In the lab, trace and topo show the same without
                it.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = TracingHost.Settings()
            if let port = arguments.port("otlp-port") { settings.collectorPort = port }
            if let days = arguments.integer("days") { settings.store.days = days }
            if let bytes = arguments.byteCount("max-bytes") {
                guard bytes >= 1 << 20 else { throw UsageError("jaeger: --max-bytes: at least 1MiB") }
                settings.store.bytes = bytes
            }
            if let spans = arguments.integer("max-spans") { settings.store.spanLimit = spans }
            if let wait = arguments.duration("decision-wait") { settings.sampling.decisionWait = wait }
            if let least = arguments.duration("keep-slow") { settings.sampling.policies.append(.latency(least)) }
            if arguments.has("keep-errors") { settings.sampling.policies.append(.errors) }
            if let share = try ServiceKind.share(arguments, "keep-share") {
                settings.sampling.policies.append(.share(share))
            }
            if let rate = arguments.integer("keep-rate") { settings.sampling.policies.append(.rate(rate)) }
            settings.directory = invocation.session.files.absolute(arguments.text("storage") ?? "./traces")
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.queryPort = service.port
                return TracingHost(node: node, settings: settings, options: service.options)
            }
        }
    }
}
