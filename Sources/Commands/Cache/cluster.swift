import CacheClusterEngine
import CacheClusterService
import CacheEngine
import CacheService
import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import ShellSession

extension CacheCommands {
    /// `cluster`: the caches' cluster as one of its nodes sees it.
    static var cluster: Command {
        let description = CommandDescription(
            "cluster", "who of a cache cluster has which slots, and how far its copies are",
            usage: "[NODE|KEY] [--json]",
            flags: [CommonFlags.json], arguments: .init([.node, .key], 0...1),
            examples: ["cluster", "cluster cache-2", "cluster user:1"],
            group: .views,
            details: """
                As the first node that runs has it, or the one that is named, without asking
                the others: during a partition two nodes may see different clusters. A word
                that is no node is a key: its slot, who has that, and where its copies are.
                NODE is what it is called in the cluster, AT the lab's node; SLOTS, KEYS what
                it serves; COPIED slots of others that it has copies of (known of the node
                that is asked only); EPOCH the number of the election that gave it its slots;
                OFFSET how many writes its stream has; LAG how many of those of the node that
                is asked it still lacks. Lost writes are those of all nodes that run together:
                acknowledged, and gone with a master that was cut off, or that died before
                they were copied. The latter no node knows: the lab keeps what was in the
                dead one's memory. cache-cli cluster lost-writes lists them.
                """)
        return Command(description) { invocation in
            let session = invocation.session
            let hosts = session.clusterHosts
            guard let first = hosts.first else {
                throw CommandFailure(
                    "no cache cluster runs; start a node of one: cache-node --port 7001 --cluster-port 17001")
            }
            guard let word = invocation.arguments.arguments.first else {
                return .view(first.host.view(session))
            }
            let meant = session.nodeName(meantBy: word).lowercased()
            if let match = hosts.first(where: { $0.name.lowercased() == meant }) {
                return .view(match.host.view(session))
            }
            if let node = session.node(meantBy: word) {
                throw CommandFailure(
                    "\(node.name) is no running node of a cluster; those are \(hosts.map(\.name).joined(separator: ", "))"
                )
            }
            return .view(first.host.view(ofKey: word, session))
        }
    }
}

extension Session {
    /// The nodes of cache clusters that run, by what the lab calls them.
    fileprivate var clusterHosts: [(name: String, host: CacheClusterHost)] {
        running(CacheNode.self).compactMap { name, node in
            (node.companion as? CacheClusterHost).map { (name: name, host: $0) }
        }
    }

    /// What the lab calls a node of a cluster, whether it runs or not; nil for one that is elsewhere.
    fileprivate func labName(of node: NodeDescription) -> String? {
        IPAddress(parsing: node.host).flatMap { world.nodes.at($0)?.name }
    }

    /// `7003 (cache-3)`
    fileprivate func place(of node: NodeDescription) -> String {
        labName(of: node).map { "\(node.name) (\($0))" } ?? node.name
    }
}

extension CacheNode: KeyExplaining {
    package func explanation(ofKey key: String, in session: Session) -> View? {
        (companion as? CacheClusterHost)?.view(ofKey: key, session)
    }
}

extension CacheClusterHost {
    fileprivate func view(_ session: Session) -> View {
        // Those of this cluster; each lists what it knows of, and no write twice.
        let lost = session.clusterHosts.reduce(0) { sum, other in
            cluster.describe(other.host.cluster.id) == nil ? sum : sum + other.host.cluster.lostWrites.count
        }
        let views = cluster.nodeViews
        let rows = views.map { view -> [View.Cell] in
            [
                .text(view.node.name), session.labName(of: view.node).map { .text($0) } ?? .none,
                .text(role(of: view)), state(of: view), .integer(view.slots.count),
                view.isFailed ? .none : .integer(view.keyCount), .integer(view.copiedSlots),
                .integer(view.configEpoch), .integer(view.streamOffset),
                view.isFailed ? .none : view.lag.map { .integer($0) } ?? .none,
            ]
        }
        let table = View.Table(
            [
                .init("NODE", key: "node"), .init("AT", key: "at", flexible: true), .init("ROLE", key: "role"),
                .init("STATE", key: "state"),
                .init("SLOTS", key: "slots", right: true), .init("KEYS", key: "keys", right: true),
                .init("COPIED", key: "copied_slots", right: true), .init("EPOCH", key: "epoch", right: true),
                .init("OFFSET", key: "offset", right: true), .init("LAG", key: "lag", right: true),
            ], rows: rows, whenEmpty: "no nodes")
        var view = View(.record(fields(lostWrites: lost)), .table(table))
        if !cluster.hotSlots.isEmpty { view.parts.append(.table(hotTable)) }
        return view
    }

    /// Where a key is, as this node knows it, whether it exists or not.
    fileprivate func view(ofKey key: String, _ session: Session) -> View {
        let slot = SlotNumber.of(Array(key.utf8))
        let view = cluster.view(ofSlot: slot)
        let hot = cluster.hotSlots.first { $0.1.slot == slot }?.1
        let readers = cluster.readers(of: slot).compactMap(cluster.describe).map(session.place)
        let from =
            view.wasTakenOver ? "taken over from a copy" : view.isPinned ? "placed by hand" : "placed by the ring"
        return View(
            .record([
                .init("key", key: "key", .text(key)), .init("slot", key: "slot", .integer(slot)),
                .init("owner", key: "owner", .text(view.owner.map(session.place) ?? "nobody")),
                .init("because", key: "because", .text(view.owner == nil ? "nobody has its slot" : from)),
                .init(
                    "copies", key: "copies",
                    .text(view.copies.isEmpty ? "none" : view.copies.map(session.place).joined(separator: ", "))),
                .init(
                    "hot", key: "hot",
                    .text(
                        hot.map { "\($0.readsPerSecond) reads/s, also read from \(readers.joined(separator: ", "))" }
                            ?? "no")),
            ]))
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

    private func fields(lostWrites: Int) -> [View.Field] {
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
            .init("lost writes", key: "lost_writes", .integer(lostWrites)),
        ]
    }
}
