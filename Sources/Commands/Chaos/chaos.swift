import ChaosEngine
import CommandKit
import CommandServices
import KernelConfiguration
import KernelJSON
import KernelStructures
import ShellSession

extension ChaosCommands {
    /// `chaos verify FILE`, `chaos export FILE`, `chaos search FILE`
    static var chaos: Command {
        let description = CommandDescription(
            "chaos", "looks into experiments, exports them, and searches for schedules of faults that break a platform",
            operates: false, subcommands: verbs, group: .faults,
            details: """
                The short form of an experiment:
                  experiment:
                    name: API resilience test
                    hypothesis: a degraded response when the payment service is slow
                    steady_state:
                      - probe: http
                        url: http://api/checkout
                        expect: status == 200 AND latency < 500ms
                        degraded: status == 200 AND body contains "pending"
                    method:
                      - action: network-latency
                        target: payment-service
                        latency: 2s
                        duration: 60s
                    rollback:
                      - {action: network-restore, target: payment-service}
                Probes: http (url, method, headers, body, timeout), process (command). expect
                and degraded compare status, latency, body, json.PATH, header.NAME with == !=
                < <= > >= contains matches, joined by AND, OR, NOT. Actions: network-latency,
                -loss, -corruption, -duplication, -reordering, -throttle, -partition,
                -blackhole, connection-reset, connection-refuse, http-failure, disk-full,
                disk-slow, disk-sync-failure, disk-torn-write, cpu-hog, memory-exhaustion,
                process-kill, -stop, -pause, -resume, -restart, power-failure, clock-skew,
                network-restore, restore. target: a node, or a pattern such as payment-*;
                selector_percent, cohort (a header), budget (requests) keep it small, and the
                experiment's node_budget. Also background, pauses, wait, guards (probes that
                abort), measures, strategy, frequency; key: WORD gives each request of a probe
                an Idempotency-Key of its own. metrics: {url: http://metrics:9090, latency:
                HISTOGRAM, errors: EXPRESSION, window: 30s, queries: {NAME: PROMQL}} puts into
                the report what the collector saw before, during and after ($window in a query
                is the phase). programs: [{name, command, port, memory, disk: {path, size}}] are
                programs of this machine; see help chaos-runner.
                JSON or YAML of the Chaos Toolkit is read as well; python providers are not run.
                """)
        return Command(description) { invocation in
            switch invocation.arguments.verb {
            case "verify": return .view(try verify(invocation))
            case "export": return try export(invocation)
            default: return try ChaosSearch(invocation).run()
            }
        }
    }

    private static let file = CommandDescription.Arguments([.file], 1...1)
    private static let variables = CommandDescription.Flag(
        "var", nil, .text("NAME=VALUE"), repeatable: true, "a value of the configuration")

    private static var verbs: [Subcommand] {
        [
            .init(
                "verify", "says whether an experiment is well formed, and what is in it", usage: "FILE",
                flags: [variables, CommonFlags.json], arguments: file,
                examples: ["chaos verify chaos-experiment.yaml"]),
            .init(
                "export", "an experiment for the Chaos Toolkit's own program", usage: "FILE [--to FILE]",
                flags: [
                    variables, .init("to", nil, .file, "where it is written, instead of being shown"),
                    .init("api", nil, .text("URL"), "where the lab's API of faults is (http://localhost:8474)"),
                ], arguments: file, examples: ["chaos export chaos-experiment.yaml --to experiment.json"],
                details: """
                    chaos run experiment.json carries it out from outside: a toxiproxy node of the
                    lab serves the API that injects faults. What the Toolkit cannot say is left
                    out, and listed on standard error.
                    """),
            .init(
                "search", "tries random schedules of faults against an invariant, and shrinks what breaks it",
                usage: "FILE [--seeds N] [FLAGS]",
                flags: [
                    .init("seeds", "n", .integer(1...1_000_000), "how many schedules (100)"),
                    .init("seed", nil, .integer(0...Int.max), "the first seed (1)"),
                    .init("experiment", nil, .file, "where the shrunk schedule is written as an experiment"),
                    .init("transcript", nil, .file, "and as a transcript"), CommonFlags.json,
                ], arguments: file,
                examples: ["chaos search platform.yaml --seeds 1000"],
                details: """
                    FILE:
                      search:
                        setup: |                # typed into a fresh lab
                          spawn 2 backend --port 8081 --name web
                        workload: |             # typed in a second terminal, beside the faults
                          curl -s http://web-1:8081/
                        invariant: curl -sf http://web-1:8081/      # must succeed afterwards
                        always: ledger check --live # asked meanwhile; status 1: broken
                        nodes: [web-*]          # whom faults may hit (every service)
                        faults: [kill, latency]
                        horizon: 30s
                        settle: 10s
                        most: 4
                    Each seed is a world of its own in virtual time. Where there is a workload, most
                    faults begin between two effects: while the n-th message from one service to
                    another is under way (what was done is not yet known, what is asked has not
                    arrived). Status 0 if the invariant held in all of them, 1 if one broke it.
                    """),
        ]
    }

    // MARK: Verifying

    private static func verify(_ invocation: Invocation) throws -> View {
        let experiment = try ExperimentFile.read(invocation)
        let all = (experiment.hypothesis?.probes ?? []) + experiment.method + experiment.rollbacks
        let python = all.filter { if case .python = $0.provider { true } else { false } }.map(\.name)
        return View(
            .record([
                .init("experiment", key: "title", .text(experiment.title)),
                .init("hypothesis", key: "hypothesis", .text(experiment.hypothesis?.title ?? "none")),
                .init("probes", key: "probes", .integer(experiment.hypothesis?.probes.count ?? 0)),
                .init("steps", key: "steps", .integer(experiment.method.count)),
                .init("rollbacks", key: "rollbacks", .integer(experiment.rollbacks.count)),
                .init("guards", key: "guards", .integer(experiment.guards.count)),
                .init(
                    "not run here", key: "not_run",
                    View.Cell(
                        python.isEmpty ? "nothing" : python.joined(separator: ", ") + " (python)",
                        json: .array(python.map { .string($0) }))),
            ]))
    }

    private static func export(_ invocation: Invocation) throws -> Outcome {
        let experiment = try ExperimentFile.read(invocation)
        let export = ToolkitExport(experiment, api: invocation.arguments.text("api") ?? "http://localhost:8474")
        let text = String(decoding: export.document.bytes(.pretty), as: UTF8.self) + "\n"
        if let path = invocation.arguments.text("to") {
            do { try invocation.session.files.write(Array(text.utf8), to: path) } catch {
                throw CommandFailure("\(error)")
            }
        } else {
            invocation.process.output.write(text)
        }
        for loss in export.losses { invocation.process.complain("the Toolkit has no \(loss)") }
        return .success
    }
}
