import KVStoreEngine
import KernelHosting
import KernelStructures

/// `INFO`: sections of names and values, by Redis's names where it has them.
extension KVServer {
    private typealias Line = (String, String)

    private static let sectionNames = [
        "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "commandstats", "keyspace", "lsm",
    ]

    /// - Parameter keys: how many keys there are; needed if the section `keyspace` is wanted.
    func information(_ wanted: [String], keys: KeyCount = KeyCount()) -> String {
        RESPServer.information(Self.sectionNames, wanted: wanted) { section($0, keys) }
    }

    private func section(_ name: String, _ count: KeyCount) -> [Line] {
        switch name {
        case "server":
            return server.serverSection(
                name: "sdlab lsm-kv", version: settings.server.compatibleVersion,
                compatibility: "commands and replies of strings as Redis 7.0 has them", port: port)
        case "clients": return clientSection
        case "memory": return memorySection
        case "persistence": return persistenceSection
        case "stats": return statisticsSection
        case "replication": return [("role", "master"), ("connected_slaves", "0")]
        case "cpu": return server.processorSection
        case "commandstats": return server.commandSection
        case "keyspace":
            return count.keys == 0 ? [] : [("db0", "keys=\(count.keys),expires=\(count.expiring),avg_ttl=0")]
        default: return storeSection
        }
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
