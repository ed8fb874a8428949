import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var stats: Command {
        let description = CommandDescription(
            "stats", "what the components count", usage: "[NODE|KIND…] [--json]", flags: [CommonFlags.json],
            arguments: .init([.node], 0...100), examples: ["stats", "stats lb", "stats Server-A --json"], group: .views,
            details: """
                With --json always a list: {"node", "kind", "stats"} for each. Of a balancer,
                errors is how often a server failed a request (no connection, no answer or a
                broken one), retries how often another one was asked then, unserved what the
                balancer had to answer itself (502, 503, 504); 5XX counts the servers' own
                answers of 500 and above.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            let found = session.jobs.running.flatMap(\.running).compactMap { process in
                process.component.flatMap { component in
                    component.stats.map { (process.nodeName ?? process.name, component.kind, $0) }
                }
            }
            let wanted = invocation.arguments.arguments.map { word in
                found.contains { matches(word, $0.0, $0.1) } ? word : session.nodeName(meantBy: word)
            }
            for word in wanted where !found.contains(where: { matches(word, $0.0, $0.1) }) {
                if session.isProcess, found.isEmpty {
                    throw CommandFailure("nothing \(Session.runsHere("a service's port answers /metrics"))")
                }
                throw CommandFailure("nothing called '\(word)' runs\(didYouMean(word, among: found.map(\.0)))")
            }
            let chosen =
                wanted.isEmpty ? found : found.filter { item in wanted.contains { matches($0, item.0, item.1) } }
            if chosen.isEmpty { return .view(View(.text("nothing runs that counts", json: .array([])))) }
            var view = View()
            // Always a list with an object for each node, one node or many: nobody has to ask first which it is.
            view.json = .array(
                chosen.map { name, kind, stats in
                    .object([
                        ("node", .string(name)), ("kind", .string(kind)),
                        ("stats", invocation.session.renderer.value(of: stats)),
                    ])
                })
            for (name, kind, stats) in chosen {
                view.parts.append(
                    .record([
                        .init("node", key: "node", .text(name, style: .strong)),
                        .init("kind", key: "kind", .text(kind)),
                    ]))
                view.parts += stats.parts
            }
            return .view(view)
        }
    }

    private static func matches(_ word: String, _ name: String, _ kind: String) -> Bool {
        name.lowercased() == word.lowercased() || kind == word.lowercased()
    }
}
