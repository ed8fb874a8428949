import CacheClusterEngine
import CacheEngine
import CacheService
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire

extension CacheClusterHost {
    typealias Action = RESPCommand.Action

    public var commands: [RESPCommand] { [clusterCommand] + replicationCommands + [migrateCommand] }

    func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping Action) -> RESPCommand {
        RESPCommand("cluster|" + name, arity: arity, [.loading, .stale], group: "cluster", summary, action: action)
    }

    /// `CLUSTER …`: what there is, and what can be changed by hand.
    private var clusterCommand: RESPCommand {
        let subcommands = readingSubcommands + changingSubcommands + ringSubcommands
        let help = sub("help", 2, "Say what there is") { connection, _ in
            connection.reply.bulks(RESPServer.helpLines("CLUSTER", subcommands))
        }
        return RESPCommand(
            "cluster", [], group: "cluster", "A container for cluster commands", subcommands: subcommands + [help])
    }

    // MARK: Reading

    private var readingSubcommands: [RESPCommand] {
        [
            sub("info", 2, "Describe the cluster's state") { [unowned self] connection, _ in
                let text = informationLines.map { "\($0.0):\($0.1)\r\n" }.joined()
                connection.reply.verbatim(text)
            },
            sub("nodes", 2, "Describe the nodes, a line each") { [unowned self] connection, _ in
                connection.reply.verbatim(cluster.nodeViews.map { line($0) + "\n" }.joined())
            },
            sub("slots", 2, "Return who has which slots") { [unowned self] in writeSlots($0, $1) },
            sub("shards", 2, "Return masters with their slots and replicas") { [unowned self] in writeShards($0, $1) },
            sub("myid", 2, "Return this node's identity") { [unowned self] connection, _ in
                connection.reply.bulk("\(cluster.id)")
            },
            sub("keyslot", 3, "Return a key's slot") { connection, words in
                connection.reply.integer(SlotNumber.of(words[2]))
            },
            sub("countkeysinslot", 3, "Return how many keys a slot has here") { [unowned self] connection, words in
                guard let slot = slotNumber(connection, words, 2) else { return }
                connection.reply.integer(node.cache.keyCount(inSlot: slot))
            },
            sub("getkeysinslot", 4, "Return keys of a slot") { [unowned self] connection, words in
                guard let slot = slotNumber(connection, words, 2) else { return }
                guard let count = words.integer(3), count >= 0 else {
                    return connection.reply.error("ERR Invalid number of keys")
                }
                node.keepTime()
                let keys = node.cache.keys(inSlot: slot, limit: count)
                connection.reply.array(keys.count)
                for key in keys { connection.reply.bulk(key) }
            },
            sub("replicas", 3, "Return the replicas of a node") { [unowned self] in writeReplicas($0, $1) },
            sub("slaves", 3, "Return the replicas of a node") { [unowned self] in writeReplicas($0, $1) },
            sub("count-failure-reports", 3, "Return how many say that a node is gone") {
                [unowned self] connection, words in
                guard let id = nodeID(connection, words, 2) else { return }
                connection.reply.integer(cluster.failureReportCount(id) ?? 0)
            },
            sub("links", 2, "Return the connections to other nodes") { [unowned self] connection, _ in
                let peers = cluster.peers
                connection.reply.array(peers.count)
                for peer in peers {
                    connection.reply.map([
                        ("direction", .text("to")), ("node", .text("\(peer.id)")),
                        ("create-time", .integer(0)), ("events", .text("rw")),
                        ("send-buffer-allocated", .integer(0)), ("send-buffer-used", .integer(0)),
                    ])
                }
            },
        ]
    }

    func slotNumber(_ connection: RESPServerConnection, _ words: RESPArguments, _ index: Int) -> Int? {
        guard let slot = words.integer(index), slot >= 0, slot < SlotSet.slotCount else {
            connection.reply.error("ERR Invalid or out of range slot")
            return nil
        }
        return slot
    }

    func nodeID(_ connection: RESPServerConnection, _ words: RESPArguments, _ index: Int) -> ClusterNodeID? {
        guard let id = ClusterNodeID(words.text(index)), cluster.describe(id) != nil else {
            connection.reply.error("ERR Unknown node ", words.printed(index, limit: 64))
            return nil
        }
        return id
    }

    /// A line of CLUSTER NODES.
    func line(_ view: CacheCluster.NodeView) -> String {
        var flags: [String] = view.isSelf ? ["myself"] : []
        flags.append(view.node.replicaOf == nil ? "master" : "slave")
        if view.isFailed { flags.append("fail") } else if view.isSuspected { flags.append("fail?") }
        let master = view.node.replicaOf.map { "\($0)" } ?? "-"
        func milliseconds(_ time: LabTime?) -> Int { time.map { Int($0.nanoseconds / 1_000_000) } ?? 0 }
        let pinged = view.isConnected ? 0 : milliseconds(view.pingedAt)
        var text = "\(view.node.id) \(view.node.address)@\(view.node.busPort) \(flags.joined(separator: ",")) "
        text += "\(master) \(pinged) \(milliseconds(view.heardAt)) \(view.configEpoch) "
        text += view.isConnected ? "connected" : "disconnected"
        for range in view.slots.ranges {
            text += range.count == 1 ? " \(range.lowerBound)" : " \(range.lowerBound)-\(range.upperBound)"
        }
        guard view.isSelf else { return text }
        for (slot, id) in cluster.migrating.sorted(by: { $0.key < $1.key }) { text += " [\(slot)->-\(id)]" }
        for (slot, id) in cluster.importing.sorted(by: { $0.key < $1.key }) { text += " [\(slot)-<-\(id)]" }
        return text
    }

    private func writeReplicas(_ connection: RESPServerConnection, _ words: RESPArguments) {
        guard let id = nodeID(connection, words, 2) else { return }
        guard cluster.describe(id)?.replicaOf == nil else {
            return connection.reply.error("ERR The specified node is not a master")
        }
        connection.reply.bulks(cluster.nodeViews.filter { $0.node.replicaOf == id }.map(line))
    }

    // MARK: Slots and shards

    private func writeSlots(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let ranges = servedRanges
        connection.reply.array(ranges.count)
        for (slots, nodes) in ranges {
            connection.reply.array(2 + nodes.count)
            connection.reply.integer(slots.lowerBound)
            connection.reply.integer(slots.upperBound)
            for one in nodes {
                connection.reply.array(4)
                connection.reply.bulk(one.host)
                connection.reply.integer(one.port)
                connection.reply.bulk("\(one.id)")
                connection.reply.array(0)
            }
        }
    }

    private func writeShards(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let views = cluster.nodeViews
        let masters = views.filter { $0.node.replicaOf == nil }
        connection.reply.array(masters.count)
        for master in masters {
            let nodes = [master] + views.filter { $0.node.replicaOf == master.node.id }
            connection.reply.map(2)
            connection.reply.bulk("slots")
            let ranges = master.slots.ranges
            connection.reply.array(ranges.count * 2)
            for range in ranges {
                connection.reply.integer(range.lowerBound)
                connection.reply.integer(range.upperBound)
            }
            connection.reply.bulk("nodes")
            connection.reply.array(nodes.count)
            for view in nodes {
                connection.reply.map([
                    ("id", .text("\(view.node.id)")), ("port", .integer(view.node.port)),
                    ("ip", .text(view.node.host)), ("endpoint", .text(view.node.host)),
                    ("role", .text(view.node.replicaOf == nil ? "master" : "replica")),
                    ("replication-offset", .integer(view.streamOffset)),
                    ("health", .text(view.isFailed ? "fail" : "online")),
                ])
            }
        }
    }
}
