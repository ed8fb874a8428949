import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var top: Command {
        let description = CommandDescription(
            "top", "all nodes at once: requests, answer times, failures, and their last minute",
            usage: "[--glyphs block|braille|ascii] [--json]", flags: [CommonFlags.glyphs, CommonFlags.json],
            examples: ["top", "watch 1s top", "top --json"], group: .views,
            details: """
                RPS counts what the network saw: what somebody sends who has connected to a
                node is a request, what comes back the answer. P99 is the time from a
                request to the end of its answer: of nodes that speak HTTP as they have
                measured it themselves, of others from its sending to the first of the
                answer, and of brokers, which speak unasked, there is none. Both are of the
                last ten seconds. ERR% is of the last minute: connections that failed, and
                of nodes that speak HTTP answers of 500 and above, among all answers and
                failed connections; of other nodes, among the connections that were tried.
                """)
        return Command(description) { invocation in
            let glyphs = invocation.arguments.glyphs
            return .view(view(invocation.session, glyphs))
        }
    }

    private static func view(_ session: Session, _ glyphs: Sparkline.Glyphs) -> View {
        let traffic = session.world.only(NodeTraffic.self) { NodeTraffic() }
        traffic.update(from: session.world)
        var jobs: [String: Int] = [:]
        for job in session.jobs.running { if let name = job.nodeName { jobs[name] = job.number } }
        // Of those who speak unasked there are no answer times.
        let talkers = Set(session.runningServices.filter { !$0.runtime.answersRequests }.map(\.node.name))
        let rows = session.world.nodes.allServices.map { node in
            row(
                node, jobs[node.name], traffic[node.name], talkers.contains(node.name) ? nil : p99(node, traffic),
                traffic.top, glyphs)
        }
        return View(
            .table(
                .init(
                    [
                        .init("JOB", key: "job"), .init("NODE", key: "node", flexible: true),
                        .init("PORT", key: "port"), .init("STATE", key: "state"),
                        .init("RPS", key: "requests_per_second", right: true),
                        .init("P99", key: "p99_ms", right: true), .init("ERR%", key: "errors_percent", right: true),
                        .init("LAST 60s", key: "last_60s"),
                    ], rows: rows, whenEmpty: "no nodes; start one: backend --port 8081 &")))
    }

    /// As the node has measured it; what the network saw where it measures nothing.
    private static func p99(_ node: Node, _ traffic: NodeTraffic) -> LabDuration? {
        NodeTraffic.Row.p99(of: node.requestTimes.recent(now: node.world.now)) ?? traffic[node.name].p99
    }

    /// What a node has answered counts where it says so itself; connections that failed count anyway.
    private static func errorPercent(_ node: Node, _ traffic: NodeTraffic.Row) -> Double? {
        let (answers, failures) = node.requestTimes.outcomes(now: node.world.now)
        guard answers > 0 else { return traffic.errorPercent }
        return 100 * Double(failures + traffic.failures) / Double(answers + traffic.failures)
    }

    private static func row(
        _ node: Node, _ job: Int?, _ traffic: NodeTraffic.Row, _ p99: LabDuration?, _ top: Int,
        _ glyphs: Sparkline.Glyphs
    ) -> [View.Cell] {
        let (mark, style): (String, View.Style) =
            switch node.state {
            case .running: ("●", .good)
            case .frozen: ("◌", .warning)
            default: ("✗", .bad)
            }
        let shown = glyphs == .ascii ? "" : mark + " "
        return [
            job.map { .text("%\($0)") } ?? .none, .text(node.name),
            node.listeners.first.map { .integer(Int($0.port)) } ?? .none,
            View.Cell(shown + node.state.rawValue, json: .string(node.state.rawValue), style: style),
            View.Cell(
                fixedDecimal(traffic.requestsPerSecond, places: 1), json: .number(traffic.requestsPerSecond)),
            p99.map { .duration($0) } ?? .none,
            errorPercent(node, traffic).map {
                View.Cell(fixedDecimal($0, places: 1), json: .number($0), style: $0 > 0 ? .bad : .plain)
            } ?? .none,
            View.Cell(
                Sparkline(glyphs, top: top).text(traffic.buckets), json: .array(traffic.buckets.map { .integer($0) })),
        ]
    }
}
