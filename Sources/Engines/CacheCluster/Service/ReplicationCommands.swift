import CacheClusterEngine
import CacheEngine
import CacheService
import KernelHosting
import KernelStructures
import KernelWire

extension CacheClusterHost {
    /// Commands about copies, and about what a client knows of the cluster.
    var replicationCommands: [RESPCommand] {
        let flags: RESPCommand.Flags = [.loading, .stale, .fast]
        return [
            RESPCommand("asking", arity: 1, flags, group: "cluster", "Go on although a slot is only on its way here") {
                connection, _ in
                ClusterClientState.of(connection).client.isAsking = true
                connection.reply.ok()
            },
            RESPCommand("readonly", arity: 1, flags, group: "cluster", "Read from copies, too") { connection, _ in
                ClusterClientState.of(connection).client.readsCopies = true
                connection.reply.ok()
            },
            RESPCommand("readwrite", arity: 1, flags, group: "cluster", "Read from owners only") { connection, _ in
                ClusterClientState.of(connection).client.readsCopies = false
                connection.reply.ok()
            },
            RESPCommand("wait", arity: 3, group: "generic", "Wait until so many copies have what was written") {
                [unowned self] connection, words in
                guard let count = words.integer(1), let timeout = words.integer(2) else {
                    return connection.reply.error("ERR value is not an integer or out of range")
                }
                if timeout < 0 { return connection.reply.error("ERR timeout is negative") }
                if cluster.isReplica {
                    return connection.reply.error(
                        "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a "
                            + "replica is configured to be writable (which is not the default) writes to replicas "
                            + "are just local and are not propagated.")
                }
                // What was written just now has to leave before somebody waits for it.
                cluster.flush()
                perform()
                waits.begin(
                    connection, ClusterClientState.of(connection), count: count,
                    timeoutMilliseconds: min(timeout, 86_400_000), cluster)
            },
            RESPCommand("role", arity: 1, flags, group: "server", "Return the role in replication") {
                [unowned self] connection, _ in writeRole(connection)
            },
            RESPCommand("replicaof", arity: 3, [.admin], group: "server", "Refused in a cluster") { connection, _ in
                connection.reply.error("ERR REPLICAOF not allowed in cluster mode.")
            },
            RESPCommand("slaveof", arity: 3, [.admin], group: "server", "Refused in a cluster") { connection, _ in
                connection.reply.error("ERR REPLICAOF not allowed in cluster mode.")
            },
            RESPCommand("dbsize", arity: 1, [.readOnly, .fast], group: "server", "Return how many keys are its own") {
                [unowned self] connection, _ in connection.reply.integer(ownKeyCount)
            },
        ]
    }

    /// Keys of its own slots; a replica counts what it copies.
    var ownKeyCount: Int {
        cluster.isReplica ? node.cache.keyCount : cluster.keyCount(in: cluster.served)
    }

    private func writeRole(_ connection: RESPServerConnection) {
        if let master = cluster.own.replicaOf, let other = cluster.describe(master) {
            return connection.reply.value(
                .array([
                    .text("slave"), .text(other.host), .integer(other.port), .text("connected"),
                    .integer(cluster.followedOffset(of: master) ?? 0),
                ]))
        }
        let followers = cluster.followerIDs.compactMap { id in
            cluster.describe(id).map { other -> RESPValue in
                let offset = cluster.follower(id)?.acknowledged ?? 0
                return .array([.text(other.host), .text("\(other.port)"), .text("\(offset)")])
            }
        }
        connection.reply.value(.array([.text("master"), .integer(cluster.streamOffset), .array(followers)]))
    }

    /// `MIGRATE host port key | "" db timeout [COPY] [REPLACE] [AUTH p | AUTH2 u p] [KEYS key…]`
    var migrateCommand: RESPCommand {
        RESPCommand("migrate", arity: -6, [.write], group: "generic", "Move keys to another node") {
            [unowned self] connection, words in
            guard let order = migration(connection, words) else { return }
            node.keepTime()
            guard order.keys.contains(where: { node.cache.exists($0) }) else {
                return connection.reply.simple("NOKEY")
            }
            let migration = Migration(order, node, connection)
            guard connection.transaction == nil, migrations.begin(migration) else {
                return connection.reply.error("ERR too many migrations are under way")
            }
            migration.start()
        }
    }

    private func migration(_ connection: RESPServerConnection, _ words: RESPArguments) -> Migration.Order? {
        var order = Migration.Order()
        order.host = words.text(1)
        guard let port = words.integer(2), let number = UInt16(exactly: port), number > 0 else {
            connection.reply.error("ERR Invalid port")
            return nil
        }
        order.port = number
        guard words.integer(4) != nil, let timeout = words.integer(5) else {
            connection.reply.error("ERR value is not an integer or out of range")
            return nil
        }
        order.timeoutMilliseconds = timeout <= 0 ? 1000 : min(timeout, 3_600_000)
        var index = 6
        var usesKeys = false
        reading: while index < words.count {
            let left = words.count - index - 1
            if words.isWord(index, "COPY") {
                order.keepsKeys = true
            } else if words.isWord(index, "REPLACE") {
                order.replaces = true
            } else if words.isWord(index, "AUTH"), left >= 1 {
                order.password = words.bytes(index + 1)
                index += 1
            } else if words.isWord(index, "AUTH2"), left >= 2 {
                order.user = words.bytes(index + 1)
                order.password = words.bytes(index + 2)
                index += 2
            } else if words.isWord(index, "KEYS"), words[3].isEmpty {
                order.keys = (index + 1..<max(index + 1, words.count)).map { words.bytes($0) }
                usesKeys = true
                break reading
            } else {
                connection.reply.error("ERR syntax error")
                return nil
            }
            index += 1
        }
        if !usesKeys { order.keys = [words.bytes(3)] }
        return order
    }
}
