import CommandKit
import CommandServices
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService
import ShellSession

extension LoadBalancerCommands {
    /// `replay lb --algorithm least-connections`
    static var replay: Command {
        let algorithms = LoadBalancerConfiguration.Algorithm.allCases.map(\.rawValue)
        let description = CommandDescription(
            "replay", "runs a load balancer's past requests under other algorithms",
            usage: "[NODE] [--algorithm NAME…] [--json]",
            flags: [
                .init("algorithm", nil, .choice(algorithms), repeatable: true, "to try (all)"),
                CommonFlags.json,
            ],
            arguments: .init([.node], 0...1),
            examples: [
                "replay", "replay --algorithm least-connections", "replay lb --algorithm random --algorithm maglev",
            ],
            group: .views,
            details: """
                A simulation, in no time. Each of the last \(grouped(ArrivalRecording.limit)) requests
                arrives when it did, and occupies the server that the algorithm chooses for
                as long as it took then, times how slow that server is compared with the one
                that had it. The recorded time includes the server's own queue and the
                network, so differences come out too small; stickiness, health and retries
                are left out.
                IMBALANCE is the largest share of requests by the mean share (1 is fair); BUSY
                the same of the time they took; MOVED went to another server than they did.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let host = try invocation.session.balancer(named: arguments.arguments.first)
            guard let replay = host.engine.replay else { throw CommandFailure("nothing is recorded here") }
            guard !replay.requests.isEmpty else { throw CommandFailure("no request has been answered yet") }
            guard !replay.servers.isEmpty else { throw CommandFailure("no server is in the pool to replay on") }
            let chosen = arguments.texts("algorithm")
            let names = chosen.isEmpty ? algorithms : chosen
            return .view(host.replayed(replay, names.compactMap { .init(rawValue: $0) }))
        }
    }
}

extension LoadBalancerHost {
    fileprivate func replayed(_ replay: Replay, _ algorithms: [LoadBalancerConfiguration.Algorithm]) -> View {
        var rows = [row("as recorded", replay.recorded(), isMeasured: true)]
        for algorithm in algorithms {
            let outcome = replay.run(
                algorithm, random: engine.replayRandom, balanceFactor: configuration.hashBalanceFactorPercent)
            rows.append(row(algorithm.rawValue, outcome, isMeasured: false))
        }
        let span = replay.requests.last!.arrived - replay.requests[0].arrived
        return View(
            .record([
                .init(
                    "recorded", key: "recorded",
                    .init(
                        "\(counted(replay.requests.count, "request")) under \(configuration.algorithm.rawValue)",
                        json: .integer(replay.requests.count))),
                .init("within", key: "span_ms", .duration(span)),
                .init(
                    "servers", key: "servers",
                    .init(
                        replay.servers.map(\.name).joined(separator: ", "),
                        json: .array(replay.servers.map { .string($0.name) }))),
            ]),
            .table(
                .init(
                    [
                        .init("ALGORITHM", key: "algorithm"), .init("REQUESTS", key: "requests", right: true),
                        .init("IMBALANCE", key: "imbalance", right: true),
                        .init("BUSY", key: "busy_imbalance", right: true), .init("P50", key: "p50_ms", right: true),
                        .init("P99", key: "p99_ms", right: true), .init("MAX", key: "max_ms", right: true),
                        .init("MOVED", key: "moved", right: true),
                    ], rows: rows, whenEmpty: "")))
    }

    private func row(_ name: String, _ outcome: Replay.Outcome, isMeasured: Bool) -> [View.Cell] {
        [
            .text(name, style: isMeasured ? .strong : .plain), .integer(outcome.requests),
            ratio(outcome.imbalance), ratio(outcome.busyImbalance), .duration(outcome.median),
            .duration(outcome.percentile99), .duration(outcome.slowest),
            isMeasured ? .none : .integer(outcome.moved),
        ]
    }

    private func ratio(_ value: Double) -> View.Cell { .init(fixedDecimal(value, places: 2), json: .number(value)) }
}
