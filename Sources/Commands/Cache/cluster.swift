import CacheClusterEngine
import CacheClusterService
import CacheService
import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import ShellSession

extension CacheCommands {
    /// `cluster`: the caches' cluster as one of its nodes sees it.
    static var cluster: Command {
        let description = CommandDescription(
            "cluster", "who of a cache cluster has which slots, and how far its copies are", usage: "[NODE] [--json]",
            flags: [CommonFlags.json], arguments: .init([.node], 0...1), examples: ["cluster", "cluster cache-2"],
            group: .views,
            details: """
                As the first node that runs has it, or the one that is named, without asking
                the others: during a partition two nodes may see different clusters.
                """)
        return Command(description) { invocation in
            .view(try invocation.session.clusterHost(named: invocation.arguments.arguments.first).view)
        }
    }
}

extension Session {
    fileprivate func clusterHost(named name: String?) throws -> CacheClusterHost {
        let found = running(CacheNode.self).compactMap { name, node in
            (node.companion as? CacheClusterHost).map { (name: name, host: $0) }
        }
        let names = found.map(\.name)
        if let name {
            let meant = nodeName(meantBy: name).lowercased()
            if let match = found.first(where: { $0.name.lowercased() == meant }) { return match.host }
            throw CommandFailure("no node of a cluster is called '\(name)'\(didYouMean(name, among: names))")
        }
        guard let first = found.first else {
            throw CommandFailure(
                "no cache cluster runs; start a node of one: cache-node --port 7001 --cluster-port 17001")
        }
        return first.host
    }
}

extension CacheClusterHost {
    var view: View {
        let views = cluster.nodeViews
        let rows = views.map { view -> [View.Cell] in
            [
                .text(view.node.name), .text(role(of: view)), state(of: view), .integer(view.slots.count),
                .integer(view.keyCount), .integer(view.copiedSlots), .integer(view.configEpoch),
                .integer(view.streamOffset), view.lag.map { .integer($0) } ?? .none,
            ]
        }
        let table = View.Table(
            [
                .init("NODE", key: "node"), .init("ROLE", key: "role"), .init("STATE", key: "state"),
                .init("SLOTS", key: "slots", right: true), .init("KEYS", key: "keys", right: true),
                .init("COPIED", key: "copied_slots", right: true), .init("EPOCH", key: "epoch", right: true),
                .init("OFFSET", key: "offset", right: true), .init("LAG", key: "lag", right: true),
            ], rows: rows, whenEmpty: "no nodes")
        var view = View(.record(fields), .table(table))
        if !cluster.hotSlots.isEmpty { view.parts.append(.table(hotTable)) }
        return view
    }

    private var hotTable: View.Table {
        let rows = cluster.hotSlots.map { owner, hot -> [View.Cell] in
            let readers = cluster.readers(of: hot.slot).compactMap { cluster.describe($0)?.name }
            return [
                .integer(hot.slot), hotKeys.names[hot.slot].map { .text($0) } ?? .none,
                .text(cluster.describe(owner)?.name ?? owner.short), .integer(hot.readsPerSecond),
                .text(readers.isEmpty ? "nobody" : readers.joined(separator: ", ")),
            ]
        }
        return View.Table(
            [
                .init("HOT SLOT", key: "hot_slot", right: true), .init("KEY", key: "key", flexible: true),
                .init("OWNER", key: "owner"), .init("READS/S", key: "reads_per_second", right: true),
                .init("ALSO READ FROM", key: "readers"),
            ], rows: rows, whenEmpty: "no hot slots")
    }

    private func role(of view: CacheCluster.NodeView) -> String {
        guard let master = view.node.replicaOf else { return "master" }
        return "replica of \(cluster.describe(master)?.name ?? master.short)"
    }

    private func state(of view: CacheCluster.NodeView) -> View.Cell {
        if view.isFailed { return .text("failed", style: .bad) }
        return view.isSuspected ? .text("silent", style: .bad) : .text("up", style: .good)
    }

    private var fields: [View.Field] {
        let plan = cluster.placement ?? cluster.plan()
        let ring = cluster.ring
        let text =
            ring.isActive
            ? "\(ring.algorithm.rawValue), \(ring.virtualNodes) points a node, \(counted(ring.replicas, "replica"))"
            : "none; slots are placed by hand"
        return [
            .init(
                "state", key: "state",
                .text(cluster.isWhole ? "ok" : cluster.isInMajority ? "slots without a master" : "no majority")),
            .init("ring", key: "ring", .text(text)),
            .init(
                "fullest", key: "skew_percent",
                View.Cell("\(plan.skewPercent) % of the mean", json: .integer(plan.skewPercent))),
            .init("misplaced", key: "misplaced_slots", .integer(cluster.misplacedSlots(plan))),
            .init("lost writes", key: "lost_writes", .integer(cluster.lostWrites.count)),
        ]
    }
}
