import CommandKit
import CommandServices
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    /// Every node with its address, its ports and who has `localhost` there.
    static var nodes: Command {
        let description = CommandDescription(
            "nodes", "the nodes: names, addresses, ports, states", usage: "[--json]", flags: [CommonFlags.json],
            examples: ["nodes", "nodes --json"], group: .jobs, role: .view,
            details: """
                A node's name is its host name. Every port is also reached as localhost:PORT;
                where several nodes have the same one, the first has localhost, marked *.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            var jobs: [String: Job] = [:]
            for job in session.jobs.running { if let name = job.nodeName { jobs[name] = job } }
            let rows = session.world.nodes.allServices.map { row($0, jobs[$0.name], now: session.world.now) }
            return .view(
                View(
                    .table(
                        .init(
                            [
                                .init("JOB", key: "job"), .init("NODE", key: "node", flexible: true),
                                .init("ADDRESS", key: "address"),
                                .init("PORTS", key: "ports", flexible: true),
                                .init("STATE", key: "state"), .init("CONNECTIONS", key: "connections", right: true),
                                .init("UP", key: "up", right: true),
                            ], rows: rows, whenEmpty: "no nodes; start one: backend --port 8081 &"))))
        }
    }

    private static func row(_ node: Node, _ job: Job?, now: LabTime) -> [View.Cell] {
        let ports =
            node.listeners.map { listener in
                "\(listener.port)" + (listener.mappedPort.map { "→\($0)" } ?? "") + (listener.ownsLocalhost ? "*" : "")
            } + node.datagramSockets.map { "\($0.port)/udp" }
        let style: View.Style = node.state == .running ? .good : node.state == .frozen ? .warning : .bad
        return [
            job.map { .text("%\($0.number)") } ?? .none, .text(node.name), .text(node.address.description),
            ports.isEmpty
                ? .none
                : View.Cell(ports.joined(separator: " "), json: .array(node.listeners.map { .integer(Int($0.port)) })),
            .text(node.state.rawValue, style: style), .integer(node.openConnections),
            node.isAlive ? .duration(now - node.startedAt) : .none,
        ]
    }
}
