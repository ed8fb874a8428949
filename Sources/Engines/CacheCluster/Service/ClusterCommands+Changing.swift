import CacheClusterEngine
import CacheEngine
import CacheService
import KernelHosting
import KernelStructures
import KernelWire

extension CacheClusterHost {
    /// The subcommands of CLUSTER that change something, as redis-cli uses them.
    var changingSubcommands: [RESPCommand] {
        [
            sub("meet", -4, "Introduce this node to another") { [unowned self] in meet($0, $1) },
            sub("forget", 3, "Forget a node for a minute") { [unowned self] connection, words in
                guard let id = nodeID(connection, words, 2) else { return }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.forget(id) }
            },
            sub("replicate", 3, "Make this node a replica") { [unowned self] connection, words in
                guard let id = nodeID(connection, words, 2) else { return }
                if !cluster.isReplica, node.cache.keyCount > 0, !cluster.ring.isActive {
                    return connection.reply.error(
                        "ERR To set a master the node must be empty and without assigned slots.")
                }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.replicate(id) }
            },
            sub("failover", -2, "Take the place of this replica's master") { [unowned self] in failOver($0, $1) },
            sub("addslots", -3, "Give slots that nobody has to this node") { [unowned self] connection, words in
                guard let slots = slots(connection, words) else { return }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.addSlots(slots) }
            },
            sub("addslotsrange", -4, "The same for ranges") { [unowned self] connection, words in
                guard let slots = slotRanges(connection, words) else { return }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.addSlots(slots) }
            },
            sub("delslots", -3, "Take slots from whoever has them") { [unowned self] connection, words in
                guard let slots = slots(connection, words) else { return }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.deleteSlots(slots) }
            },
            sub("delslotsrange", -4, "The same for ranges") { [unowned self] connection, words in
                guard let slots = slotRanges(connection, words) else { return }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.deleteSlots(slots) }
            },
            sub("flushslots", 2, "Give up all slots of this node") { [unowned self] connection, _ in
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.flushSlots() }
            },
            sub("setslot", -4, "Say where a slot is, or is going") { [unowned self] in setSlot($0, $1) },
            sub("reset", -2, "Forget nodes and slots") { [unowned self] in reset($0, $1) },
            sub("bumpepoch", 2, "Take the next epoch") { [unowned self] connection, _ in
                let changed = cluster.bumpEpoch()
                node.node.enqueue { [self] in perform() }
                connection.reply.simple("\(changed ? "BUMPED" : "STILL") \(cluster.ownEpoch)")
            },
            sub("set-config-epoch", 3, "Give a new node its epoch") { [unowned self] connection, words in
                guard let epoch = words.integer(2), epoch >= 0 else {
                    return connection.reply.error("ERR Invalid config epoch specified: ", words.printed(2, limit: 32))
                }
                answer(connection) { cluster throws(ClusterRefusal) in try cluster.setConfigEpoch(epoch) }
            },
            sub("saveconfig", 2, "Write down what must not be forgotten") { [unowned self] connection, _ in
                cluster.saveAgain()
                node.node.enqueue { [self] in perform() }
                connection.reply.ok()
            },
        ]
    }

    private func answer(
        _ connection: RESPServerConnection, _ body: (CacheCluster) throws(ClusterRefusal) -> Void
    ) {
        do throws(ClusterRefusal) {
            try change(body)
            connection.reply.ok()
        } catch {
            connection.reply.error("ERR \(error)")
        }
    }

    /// `CLUSTER MEET host port [bus-port]`
    private func meet(_ connection: RESPServerConnection, _ words: RESPArguments) {
        guard words.count <= 5, let port = words.integer(3), (1...65535).contains(port) else {
            return connection.reply.error("ERR Invalid base port specified: ", words.printed(3, limit: 32))
        }
        let bus = words.count == 5 ? words.integer(4) ?? 0 : port + 10_000
        guard (1...65535).contains(bus) else {
            return connection.reply.error("ERR Invalid bus port specified: \(bus)")
        }
        let host = words.text(2)
        guard !host.isEmpty, host.utf8.count <= 255,
            HostPort(parsing: "\(host.contains(":") ? "[\(host)]" : host):1") != nil
        else {
            return connection.reply.error("ERR Invalid node address specified: ", words.printed(2, limit: 64))
        }
        cluster.introduce(to: host, busPort: bus)
        node.node.enqueue { [self] in perform() }
        connection.reply.ok()
    }

    private func slots(_ connection: RESPServerConnection, _ words: RESPArguments) -> [Int]? {
        var slots: [Int] = []
        for index in 2..<words.count {
            guard let slot = slotNumber(connection, words, index) else { return nil }
            slots.append(slot)
        }
        return slots
    }

    private func slotRanges(_ connection: RESPServerConnection, _ words: RESPArguments) -> [Int]? {
        guard words.count % 2 == 0 else {
            connection.reply.error("ERR wrong number of arguments for '\(words.text(1).lowercased())' command")
            return nil
        }
        var slots: [Int] = []
        for index in stride(from: 2, to: words.count, by: 2) {
            guard let first = slotNumber(connection, words, index),
                let last = slotNumber(connection, words, index + 1)
            else { return nil }
            guard first <= last else {
                connection.reply.error(
                    "ERR start slot number \(first) is greater than end slot number \(last)")
                return nil
            }
            // More than there are would be some of them twice.
            guard slots.count + (last - first) < SlotSet.slotCount else {
                connection.reply.error("ERR Slot \(first) specified multiple times")
                return nil
            }
            slots += first...last
        }
        return slots
    }

    /// `CLUSTER SETSLOT slot IMPORTING id | MIGRATING id | STABLE | NODE id`
    private func setSlot(_ connection: RESPServerConnection, _ words: RESPArguments) {
        guard let slot = slotNumber(connection, words, 2) else { return }
        let state: CacheCluster.SlotState
        if words.count == 4, words.isWord(3, "STABLE") {
            state = .stable
        } else if words.count == 5, let id = ClusterNodeID(words.text(4)) {
            if words.isWord(3, "MIGRATING") {
                state = .migrating(id)
            } else if words.isWord(3, "IMPORTING") {
                state = .importing(id)
            } else if words.isWord(3, "NODE") {
                state = .node(id)
            } else {
                return connection.reply.error(Self.setSlotError)
            }
        } else if words.count == 5 {
            return connection.reply.error("ERR I don't know about node ", words.printed(4, limit: 64))
        } else {
            return connection.reply.error(Self.setSlotError)
        }
        answer(connection) { cluster throws(ClusterRefusal) in try cluster.setSlot(slot, state) }
    }

    private static let setSlotError = "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"

    private func failOver(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let mode: CacheCluster.FailoverMode
        if words.count == 2 {
            mode = .handover
        } else if words.count == 3, words.isWord(2, "FORCE") {
            mode = .force
        } else if words.count == 3, words.isWord(2, "TAKEOVER") {
            mode = .takeover
        } else {
            return connection.reply.error("ERR syntax error")
        }
        answer(connection) { cluster throws(ClusterRefusal) in try cluster.failOver(mode) }
    }

    private func reset(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let isHard = words.count == 3 && words.isWord(2, "HARD")
        guard words.count == 2 || isHard || words.count == 3 && words.isWord(2, "SOFT") else {
            return connection.reply.error("ERR syntax error")
        }
        answer(connection) { cluster throws(ClusterRefusal) in try cluster.reset(isHard: isHard) }
    }
}
