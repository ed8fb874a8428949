import CacheClusterEngine
import CacheEngine
import CacheService
import KernelHosting
import KernelStructures
import KernelWire

extension CacheClusterHost {
    /// Subcommands that Redis does not have: where a key is and why, the ring, and what was lost.
    var ringSubcommands: [RESPCommand] {
        [
            sub("locate", 3, "Return a key's slot, its owner, and where its copies are") {
                [unowned self] connection, words in locate(connection, words)
            },
            hotSlotsSubcommand,
            sub("ring", -2, "Return how the ring places slots, or change it") { [unowned self] in ring($0, $1) },
            sub("lost-writes", 2, "Return acknowledged writes that a failover or a death has lost") {
                [unowned self] connection, _ in
                let writes = cluster.lostWrites.writes
                connection.reply.array(writes.count)
                for write in writes {
                    connection.reply.map([
                        ("command", .text(write.command)), ("slot", .integer(write.slot)),
                        ("at", .text("\(write.at)")), ("offset", .integer(write.offset)),
                        ("successor-offset", .integer(write.successorOffset)),
                        ("successor", .text(write.successor.map { "\($0)" } ?? "")), ("epoch", .integer(write.epoch)),
                        ("successor-name", .text(write.successor.flatMap(cluster.describe)?.name ?? "")),
                        ("master", .text(write.master.map { "\($0)" } ?? "")),
                        ("master-name", .text(write.master.flatMap(cluster.describe)?.name ?? "")),
                        ("reason", .text(write.reason.rawValue)),
                    ])
                }
            },
        ]
    }

    private func locate(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let slot = SlotNumber.of(words[2])
        let view = cluster.view(ofSlot: slot)
        let copies = view.copies.map { RESPValue.text($0.name) }
        let readers = cluster.readers(of: slot).compactMap(cluster.describe)
        var fields: [(String, RESPValue)] = [
            ("slot", .integer(slot)), ("node", view.owner.map { .text($0.name) } ?? .null),
            ("address", view.owner.map { .text($0.address) } ?? .null),
            ("source", .text(view.wasTakenOver ? "replica" : "owner")), ("copies", .array(copies)),
            ("version", .text("\(view.version)")), ("pinned", .integer(view.isPinned ? 1 : 0)),
        ]
        // Only where it is hot: whom else a reader may ask.
        if !readers.isEmpty {
            fields.append(("readers", .array(readers.flatMap { [RESPValue.text($0.name), .text($0.address)] })))
        }
        connection.reply.map(fields)
    }

    /// `CLUSTER RING [USE algorithm] [REPLICAS count]`
    private func ring(_ connection: RESPServerConnection, _ words: RESPArguments) {
        var algorithm: PlacementAlgorithm?
        var replicas: Int?
        var index = 2
        while index + 1 < words.count {
            if words.isWord(index, "USE"), let one = PlacementAlgorithm(rawValue: words.text(index + 1).lowercased()) {
                algorithm = one
            } else if words.isWord(index, "REPLICAS"), let count = words.integer(index + 1),
                RingSettings.replicaRange.contains(count)
            {
                replicas = count
            } else {
                break
            }
            index += 2
        }
        guard index == words.count else {
            return connection.reply.error(
                "ERR CLUSTER RING [USE ring|rendezvous|jump|maglev] [REPLICAS 0-8]")
        }
        if algorithm != nil || replicas != nil { return changeRing(connection, algorithm, replicas) }
        let plan = cluster.placement ?? cluster.plan()
        let pairs = zip(plan.members, plan.shares).flatMap { [RESPValue.text($0), .integer($1)] }
        connection.reply.map([
            ("active", .integer(cluster.ring.isActive ? 1 : 0)), ("algorithm", .text(cluster.ring.algorithm.rawValue)),
            ("replicas", .integer(cluster.ring.replicas)), ("virtual-nodes", .integer(cluster.ring.virtualNodes)),
            ("skew-percent", .integer(plan.skewPercent)), ("misplaced-slots", .integer(cluster.misplacedSlots(plan))),
            ("shares", .array(pairs)),
        ])
    }

    private func changeRing(
        _ connection: RESPServerConnection, _ algorithm: PlacementAlgorithm?, _ replicas: Int?
    ) {
        let moved = cluster.useRing {
            if let algorithm { $0.algorithm = algorithm }
            if let replicas { $0.replicas = replicas }
        }
        node.node.enqueue { [self] in perform() }
        connection.reply.integer(moved)
    }
}
