import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine
import LockService
import ShellSession

extension LockCommands {
    /// `locks`
    static var locks: Command {
        let description = CommandDescription(
            "locks", "who has which lock, who waits for whom, and who waits for ever", usage: "[NODE] [FLAGS]",
            flags: [CommonFlags.glyphs, CommonFlags.json], arguments: .init([.node], 0...1),
            examples: ["locks", "locks lockserver-2"],
            group: .views,
            details: """
                As the leading member has it, or the one that is named, without asking the
                others. A circle of owners who wait for one another is a deadlock: it ends when
                a lease does.
                """)
        return Command(description) { invocation in
            .view(try invocation.session.lockMember(named: invocation.arguments.arguments.first).locksView)
        }
    }
}

extension LockHost {
    var locksView: View {
        let queues = queues
        var view = LockViews.list(queues) { [unowned self] in remaining($0) }
        let graph = WaitForGraph(queues)
        if graph.edges.isEmpty { return view }
        let lines =
            graph.edges.map { "\($0.waiter) ──\($0.lock)──▶ \($0.holder)" }
            + graph.deadlocks.map { "DEADLOCK: \(($0 + [$0[0]]).joined(separator: " → "))" }
        view.parts.append(
            .text(
                lines.joined(separator: "\n"),
                json: .object([
                    (
                        "waits_for",
                        .array(
                            graph.edges.map {
                                .object([
                                    ("waiter", .string($0.waiter)), ("holder", .string($0.holder)),
                                    ("lock", .string($0.lock)),
                                ])
                            })
                    ),
                    ("deadlocks", .array(graph.deadlocks.map { .array($0.map { .string($0) }) })),
                ])))
        return view
    }

    /// What `show` draws of a member.
    var picture: View { locksView }
}

enum LockViews {
    /// One line a claim: holders, then those who wait.
    static func list(_ queues: [LockQueue], remaining: (Int64) -> LabDuration? = { _ in nil }) -> View {
        let rows = queues.flatMap { queue in
            queue.claims.indices.map { index -> [View.Cell] in
                let claim = queue.claims[index]
                let isHolder = queue.isGranted(index)
                return [
                    .text(queue.name), .text(claim.owner),
                    .text(isHolder ? "holds" : "waits", style: isHolder ? .good : .plain),
                    .text(claim.kind.name), .integer(Int(claim.token)),
                    remaining(claim.lease).map { .duration($0) } ?? .none,
                ]
            }
        }
        return View(
            .table(
                .init(
                    [
                        .init("LOCK", key: "lock", flexible: true), .init("OWNER", key: "owner", flexible: true),
                        .init("STATE", key: "state"), .init("KIND", key: "kind"),
                        .init("TOKEN", key: "token", right: true), .init("LEASE", key: "expires_in_ms", right: true),
                    ], rows: rows, whenEmpty: "no locks")))
    }
}
