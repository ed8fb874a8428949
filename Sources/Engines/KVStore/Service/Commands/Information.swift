import KVStoreEngine
import KernelHosting
import KernelStructures

/// `INFO`: sections of names and values, by Redis's names where it has them.
extension KVServer {
    private typealias Line = (String, String)

    private static let sectionNames = [
        "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "commandstats", "keyspace", "lsm",
    ]

    /// Whether a section is asked for, by its name or with others.
    func isWanted(_ name: String, _ wanted: [String]) -> Bool {
        if wanted.contains(where: { ["all", "everything", name].contains($0) }) { return true }
        return name != "commandstats" && (wanted.isEmpty || wanted.contains("default"))
    }

    /// - Parameter keys: how many keys there are; needed if the section `keyspace` is wanted.
    func information(_ wanted: [String], keys: KeyCount = KeyCount()) -> String {
        var text = ""
        for name in Self.sectionNames where isWanted(name, wanted) {
            if !text.isEmpty { text += "\r\n" }
            text += "# \(Self.title(name))\r\n"
            for (key, value) in section(name, keys) { text += "\(key):\(value)\r\n" }
        }
        return text
    }

    private static func title(_ name: String) -> String {
        ["lsm", "cpu"].contains(name) ? name.uppercased() : name.prefix(1).uppercased() + name.dropFirst()
    }

    private func section(_ name: String, _ count: KeyCount) -> [Line] {
        switch name {
        case "server": return serverSection
        case "clients": return clientSection
        case "memory": return memorySection
        case "persistence": return persistenceSection
        case "stats": return statisticsSection
        case "replication": return [("role", "master"), ("connected_slaves", "0")]
        case "cpu": return processorSection
        case "commandstats": return commandSection
        case "keyspace":
            return count.keys == 0 ? [] : [("db0", "keys=\(count.keys),expires=\(count.expiring),avg_ttl=0")]
        default: return storeSection
        }
    }

    /// Of the whole process; 0 where time is the lab's own, and processors have none.
    private var processorSection: [Line] {
        let used = node.world.processorTime
        func seconds(_ duration: LabDuration) -> String { fixedDecimal(duration.seconds, places: 6) }
        return [
            ("used_cpu_sys", seconds(used.system)), ("used_cpu_user", seconds(used.user)),
            ("used_cpu_sys_children", seconds(used.childrenSystem)),
            ("used_cpu_user_children", seconds(used.childrenUser)),
            ("used_cpu_sys_main_thread", seconds(used.threadSystem)),
            ("used_cpu_user_main_thread", seconds(used.threadUser)),
        ]
    }

    private var serverSection: [Line] {
        let uptime = Int((node.world.now - server.startedAt).seconds)
        return [
            ("redis_version", settings.server.compatibleVersion), ("redis_mode", "standalone"),
            ("arch_bits", "\(Int.bitWidth)"),
            ("server_name", "sdlab lsm-kv"), ("compatibility", "commands and replies of strings as Redis 7.0 has them"),
            ("tcp_port", "\(port)"), ("uptime_in_seconds", "\(uptime)"), ("uptime_in_days", "\(uptime / 86400)"),
            ("node", node.name),
        ]
    }

    private var clientSection: [Line] {
        [
            ("connected_clients", "\(server.openConnectionCount)"), ("maxclients", "\(server.options.connectionLimit)"),
            ("blocked_clients", "\(workWaiters.count)"), ("watched_keys", "\(watchers.count)"),
        ]
    }

    /// What is accounted for: memtables, blocks kept, and what connections hold.
    private var memorySection: [Line] {
        let shape = store.describe()
        let connections = server.openConnections.reduce(0) { $0 + $1.inputByteCount + $1.outputByteCount }
        let memtables = shape.memtableByteCount + (shape.immutableByteCount ?? 0)
        let used = memtables + shape.cacheByteCount + connections
        return [
            ("used_memory", "\(used)"), ("used_memory_human", byteCountText(used)),
            ("used_memory_memtables", "\(memtables)"), ("used_memory_block_cache", "\(shape.cacheByteCount)"),
            ("used_memory_connections", "\(connections)"), ("maxmemory", "0"), ("maxmemory_policy", "noeviction"),
        ]
    }

    private var persistenceSection: [Line] {
        [
            ("loading", "0"), ("aof_enabled", "1"), ("appendfsync", settings.synchronization.rawValue),
            ("commits", "\(commitCount)"), ("syncs", "\(store.statistics.syncs)"),
            ("aof_last_write_status", commitFailure == nil ? "ok" : "err"),
            ("unsynced_bytes", "\(store.unsyncedByteCount)"),
            ("read_only", store.readOnlyReason.map(\.description) ?? "no"),
        ] + savingInformation
    }

    private var statisticsSection: [Line] {
        [
            ("total_connections_received", "\(server.connectionsReceived)"),
            ("total_commands_processed", "\(server.commandCount)"), ("rejected_connections", "\(server.rejectedCount)"),
            ("total_error_replies", "\(server.errorCount)"), ("turns", "\(server.turnCount)"),
            ("expired_keys", "\(expiredKeyCount)"), ("evicted_keys", "0"), ("keyspace_hits", "\(keys.hits)"),
            ("keyspace_misses", "\(keys.misses)"),
        ]
    }

    private var commandSection: [Line] {
        server.table.commands.filter { $0.callCount > 0 }.map {
            ("cmdstat_\($0.name)", "calls=\($0.callCount),failed_calls=\($0.failureCount)")
        }
    }

    /// As LevelDB's `leveldb.stats`, and the three amplifications.
    private var storeSection: [Line] {
        let shape = store.describe()
        let statistics = shape.statistics
        func ratio(_ value: Double) -> String { fixedDecimal(value, places: 2) }
        let levels = shape.levels.filter { !$0.tables.isEmpty }.map { level in
            (
                "level\(level.number)",
                "tables=\(level.tables.count),bytes=\(level.byteCount),score=\(ratio(level.score))"
            )
        }
        return [
            ("memtable_entries", "\(shape.memtableEntries)"), ("memtable_bytes", "\(shape.memtableByteCount)"),
            ("memtable_limit_bytes", "\(shape.memtableLimitByteCount)"),
        ] + levels + [
            ("tables", "\(shape.tableCount)"), ("table_bytes", "\(shape.tableByteCount)"),
            ("write_amplification", ratio(statistics.writeAmplification)),
            ("table_write_amplification", ratio(statistics.tableWriteAmplification)),
            ("read_amplification", ratio(statistics.readAmplification)),
            ("space_amplification", ratio(shape.spaceAmplification)),
            ("writes", "\(statistics.writes)"), ("written_bytes", "\(statistics.writtenByteCount)"),
            ("log_bytes", "\(statistics.logByteCount)"), ("flush_bytes", "\(statistics.flushByteCount)"),
            ("compaction_bytes", "\(statistics.compactionByteCount)"), ("flushes", "\(statistics.flushes)"),
            ("compactions", "\(statistics.compactions)"), ("trivial_moves", "\(statistics.trivialMoves)"),
            ("gets", "\(statistics.gets)"), ("memtable_hits", "\(statistics.memtableHits)"),
            ("block_reads", "\(statistics.blockReads)"), ("cache_hit_share", ratio(statistics.cacheHitShare)),
            ("bloom_checks", "\(statistics.bloomChecks)"), ("bloom_negatives", "\(statistics.bloomNegatives)"),
            ("bloom_false_positive_share", fixedDecimal(statistics.bloomFalsePositiveShare, places: 4)),
            ("stalls_memtable", "\(statistics.memtableStalls)"), ("stalls_level0", "\(statistics.level0Stops)"),
            ("slowdowns_level0", "\(statistics.level0Slowdowns)"), ("stall", shape.stall?.description ?? "none"),
        ]
    }
}
