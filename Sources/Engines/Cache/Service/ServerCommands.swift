import CacheEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire

extension CacheNode {
    var serverCommands: [RESPCommand] {
        let group = "server"
        func flush(_ name: String) -> RESPCommand {
            RESPCommand(name, arity: -1, [.write], group: group, "Delete all keys") {
                [unowned self] connection, words in
                guard words.count == 1 || words.count == 2 && (words.isWord(1, "ASYNC") || words.isWord(1, "SYNC"))
                else { return connection.reply.error(Complaint.syntax) }
                removeAll()
                connection.reply.ok()
                if !cache.isInTransaction { afterCommand() }
            }
        }
        return [
            flush("flushdb"), flush("flushall"),
            RESPCommand("info", arity: -1, [.loading, .stale], group: group, "Describe the server") {
                [unowned self] connection, words in
                cache.now = nowMilliseconds
                let wanted = (1..<max(1, words.count)).map { words.text($0).lowercased() }
                connection.reply.verbatim(information(wanted))
            },
            RESPCommand("role", arity: 1, [.loading, .stale, .fast], group: group, "Return the role in replication") {
                connection, _ in
                connection.reply.value(.array([.text("master"), .integer(0), .array([])]))
            },
            RESPCommand("lastsave", arity: 1, [.loading, .stale, .fast], group: group, "Return when it was saved") {
                [unowned self] connection, _ in connection.reply.integer(startedSeconds)
            },
            refusal("save", "ERR there is nothing to save to: this cache lives in memory only"),
            refusal("bgsave", "ERR there is nothing to save to: this cache lives in memory only"),
            refusal("bgrewriteaof", "ERR there is no log: this cache lives in memory only"),
            RESPCommand("wait", arity: 3, group: "generic", "Return how many replicas have what was written") {
                connection, words in
                guard words.integer(1) != nil, let timeout = words.integer(2) else {
                    return connection.reply.error(Complaint.integer)
                }
                if timeout < 0 { return connection.reply.error("ERR timeout is negative") }
                connection.reply.integer(0)
            },
            slowLogCommand, latencyCommand,
        ] + ["cluster", "readonly", "readwrite", "asking"].map(noCluster)
    }

    /// What only a node of a cluster answers; its companion has these itself.
    private func noCluster(_ name: String) -> RESPCommand {
        RESPCommand(
            name, arity: name == "cluster" ? -2 : 1, [.loading, .stale], group: "cluster", "Refused: it is alone"
        ) { connection, _ in connection.reply.error("ERR This instance has cluster support disabled") }
    }

    private func refusal(_ name: String, _ text: String) -> RESPCommand {
        RESPCommand(name, arity: -1, [.admin], group: "server", "Refused: nothing is kept on a disk") {
            connection, _ in connection.reply.error(text)
        }
    }

    /// There is no log of slow commands; monitoring asks for it all the same.
    private var slowLogCommand: RESPCommand {
        RESPCommand(
            "slowlog", [], group: "server", "Empty: slow commands are not logged",
            subcommands: [
                RESPCommand("slowlog|get", arity: -2, group: "server", "Return nothing") { connection, _ in
                    connection.reply.array(0)
                },
                RESPCommand("slowlog|len", arity: 2, group: "server", "Return 0") { connection, _ in
                    connection.reply.integer(0)
                },
                RESPCommand("slowlog|reset", arity: 2, group: "server", "Do nothing") { connection, _ in
                    connection.reply.ok()
                },
            ])
    }

    private var latencyCommand: RESPCommand {
        RESPCommand(
            "latency", [], group: "server", "Empty: latencies are not recorded",
            subcommands: [
                RESPCommand("latency|latest", arity: 2, group: "server", "Return nothing") { connection, _ in
                    connection.reply.array(0)
                },
                RESPCommand("latency|history", arity: 3, group: "server", "Return nothing") { connection, _ in
                    connection.reply.array(0)
                },
                RESPCommand("latency|reset", arity: -2, group: "server", "Return 0") { connection, _ in
                    connection.reply.integer(0)
                },
            ])
    }

    private var startedSeconds: Int { Int((server.startedAt + node.clockSkew).unixSeconds) }

    private func removeAll() {
        let keys = watchers.keys.filter { cache.exists($0) }
        if let companion { companion.removeAll(cache) } else { cache.removeAll() }
        for key in keys where !cache.exists(key) { for client in watchers[key] ?? [] { client.isBroken = true } }
        if tracking.isOn { invalidateAll() }
        companion?.effect([Array("FLUSHALL".utf8)])
    }

    var memoryCommands: [RESPCommand] {
        let group = "server"
        return [
            RESPCommand("memory|stats", arity: 2, group: group, "Say what takes the memory") {
                [unowned self] connection, _ in
                connection.reply.map(memoryParts.map { ($0.0, .integer($0.1)) })
            },
            RESPCommand("memory|doctor", arity: 2, group: group, "Say whether the memory is in order") {
                [unowned self] connection, _ in connection.reply.verbatim(memoryAdvice)
            },
            RESPCommand("memory|purge", arity: 2, group: group, "Do nothing: empty places are given back at once") {
                connection, _ in connection.reply.ok()
            },
        ]
    }

    private var memoryParts: [(String, Int)] {
        let keys = max(1, cache.keyCount)
        return [
            ("peak.allocated", max(cache.statistics.peakByteCount, cache.usedByteCount)),
            ("total.allocated", cache.usedByteCount), ("keys.count", cache.keyCount),
            ("keys.bytes-per-key", cache.usedByteCount / keys), ("dataset.bytes", cache.dataByteCount),
            ("overhead.index", cache.indexByteCount), ("overhead.expiry", cache.wheelByteCount),
            ("overhead.policy", cache.policyByteCount), ("places.unused", cache.unusedSlabByteCount),
            ("clients.normal", clientByteCount), ("tracking.keys", tracking.keyCount),
        ]
    }

    var clientByteCount: Int { server.openConnections.reduce(0) { $0 + $1.inputByteCount + $1.outputByteCount } }

    private var memoryAdvice: String {
        let used = cache.usedByteCount
        if cache.settings.maxMemory == 0 {
            return "There is no bound: with maxmemory 0 this cache grows until the machine is full.\n"
        }
        if used > cache.settings.maxMemory {
            return "More is used than may be: nothing is left that the policy may evict.\n"
        }
        if cache.unusedSlabByteCount > used / 4 {
            return "More than a fifth of the memory is places of deleted keys, which wait for new ones.\n"
        }
        return "The memory is in order.\n"
    }

    /// `SCRIPT …`: which of the known scripts there are.
    var scriptCommand: RESPCommand {
        let group = "scripting"
        return RESPCommand(
            "script", [], group: group, "A container for commands on scripts",
            subcommands: [
                RESPCommand("script|load", arity: 3, group: group, "Return the digest of a script known here") {
                    connection, words in
                    let digest = LockScript.digest(of: words.bytes(2))
                    if LockScript(digest: digest) == nil {
                        connection.reply.error(LockScript.refusal)
                    } else {
                        connection.reply.bulk(digest)
                    }
                },
                RESPCommand("script|exists", arity: -3, group: group, "Say which scripts are known") {
                    connection, words in
                    connection.reply.array(words.count - 2)
                    for index in 2..<words.count {
                        connection.reply.integer(LockScript(digest: words.text(index).lowercased()) == nil ? 0 : 1)
                    }
                },
                RESPCommand("script|flush", arity: -2, group: group, "Do nothing: no scripts are kept") {
                    connection, _ in connection.reply.ok()
                },
            ])
    }
}
