import CommandKit
import CommandServices
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService
import ShellSession

extension LoadBalancerCommands {
    /// `pool lb`
    static var pool: Command {
        let description = CommandDescription(
            "pool", "the servers behind a load balancer, and their last minute",
            usage: "[NODE] [--glyphs block|braille|ascii] [--json]", flags: [CommonFlags.glyphs, CommonFlags.json],
            arguments: .init([.node], 0...1), examples: ["pool", "pool lb --glyphs ascii", "pool lb --json"],
            group: .views,
            details: """
                FOR is how long it has been in this state; ACTIVE what it works on, of at most
                max_connections; WAIT who waits for it and no other. ERR is how often it failed
                a request: no connection, no answer, a broken one; 5XX its answers of 500 and
                above. P50 and P99 are of the answers of the last 60 s, and the curve is of the
                requests that ended then, all curves at the same scale.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let glyphs = arguments.glyphs
            let host = try invocation.session.balancer(named: arguments.arguments.first)
            return .view(host.poolView(glyphs, now: invocation.session.world.now))
        }
    }
}

extension LoadBalancerHost {
    /// Characters of a curve: six seconds each.
    private static let curveWidth = 10

    func poolView(_ glyphs: Sparkline.Glyphs, now: LabTime) -> View {
        let parts = Self.curveWidth * glyphs.valuesPerCharacter
        let secondsPerPart = TrafficHistory.seconds / parts
        let latencies = engine.recording?.latencies(since: now - .seconds(TrafficHistory.seconds)) ?? [:]
        let present = engine.present
        let curves = present.map { engine.traffic?.requests(slot: $0.slot, parts: parts, now: now) ?? [] }
        let top = curves.joined().max() ?? 0
        let sparkline = Sparkline(glyphs, top: top)
        let rows = zip(present, curves).map { entry, curve in
            row(
                entry.slot, entry.server, latencies[entry.server.serial] ?? [],
                .init(
                    sparkline.text(curve),
                    json: .array(curve.map { .number(Double($0) / Double(secondsPerPart)) })), now: now)
        }
        let total = curves.joined().reduce(0, +)
        return View(
            .record([
                .init("pool", key: "pool", poolCell()),
                .init("algorithm", key: "algorithm", .text(configuration.algorithm.rawValue)),
                .init("waiting", key: "waiting", .integer(engine.waitingCount)),
                .init("requests/s", key: "requests_per_second", rate(total, TrafficHistory.seconds)),
                .init("peak/s", key: "peak_per_second", rate(top, secondsPerPart)),
            ]),
            .table(.init(Self.columns, rows: rows, whenEmpty: "no servers")))
    }

    private static let columns: [View.Table.Column] = [
        .init("SERVER", key: "server", flexible: true), .init("STATE", key: "state"),
        .init("FOR", key: "state_for_ms", right: true),
        .init("WT", key: "weight", right: true), .init("ACTIVE", key: "active", right: true),
        .init("WAIT", key: "waiting", right: true), .init("ERR", key: "errors", right: true),
        .init("5XX", key: "answers_5xx", right: true),
        .init("P50", key: "p50_ms", right: true), .init("P99", key: "p99_ms", right: true),
        .init("LAST 60s", key: "requests_per_second"),
    ]

    /// `2/3`, and why it is not those that are up.
    private func poolCell() -> View.Cell {
        let present = engine.present
        let size = present.count { engine.isInPool($0.slot) }
        let mode = engine.poolMode
        return .init(
            "\(size)/\(present.count)" + (mode == .normal ? "" : ", \(mode.rawValue)"),
            json: .object([
                ("in", .integer(size)), ("of", .integer(present.count)), ("mode", .string(mode.rawValue)),
            ]), style: mode == .normal ? .plain : .warning)
    }

    private func rate(_ count: Int, _ seconds: Int) -> View.Cell {
        let value = Double(count) / Double(seconds)
        return .init(trimmedDecimal(value, places: 2), json: .number(value))
    }

    private func activeCell(_ server: Server) -> View.Cell {
        let limit = server.settings.maxConnections
        return .init(
            "\(server.active)" + (limit.map { "/\($0)" } ?? ""),
            json: .object([("now", .integer(server.active)), ("limit", limit.map { .integer($0) } ?? .null)]))
    }

    private func row(
        _ slot: Int, _ server: Server, _ latencies: [LabDuration], _ curve: View.Cell, now: LabTime
    ) -> [View.Cell] {
        let style: View.Style = engine.isInPool(slot) ? .good : server.state == "up" ? .faint : .bad
        return [
            .text(server.name), .text(server.state, style: style), .duration(now - server.lastChange),
            .integer(server.weight), activeCell(server), .integer(server.waiting),
            .integer(server.counters.errors, style: server.counters.errors > 0 ? .warning : .plain),
            .integer(server.counters.answers[5], style: server.counters.answers[5] > 0 ? .warning : .plain),
            latencies.isEmpty ? .none : .duration(Replay.percentile(latencies, 50)),
            latencies.isEmpty ? .none : .duration(Replay.percentile(latencies, 99)), curve,
        ]
    }
}
