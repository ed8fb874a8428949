import CacheEngine
import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry

/// `INFO`, `stats` and `/metrics`: by Redis's names where it has them, and only what is true.
extension CacheNode {
    private typealias Line = (String, String)

    private static let sectionNames = [
        "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "commandstats", "cluster",
        "keyspace",
    ]

    func information(_ wanted: [String]) -> String {
        let others = companion?.information ?? []
        let names = Self.sectionNames + others.map(\.section).filter { !Self.sectionNames.contains($0) }
        return RESPServer.information(names, wanted: wanted) { name in
            let more = others.first { $0.section == name }?.lines ?? []
            return section(name).filter { line in !more.contains { $0.0 == line.0 } } + more
        }
    }

    private func section(_ name: String) -> [Line] {
        switch name {
        case "server":
            return server.serverSection(
                name: "sdlab cache-node", version: settings.server.compatibleVersion, mode: settings.server.mode,
                compatibility: "commands and replies as Redis 7.0 has them", port: port)
        case "clients": return clientSection
        case "memory": return memorySection
        case "persistence": return [("loading", "0"), ("aof_enabled", "0"), ("rdb_bgsave_in_progress", "0")]
        case "stats": return statisticsSection
        case "replication": return [("role", "master"), ("connected_slaves", "0")]
        case "cpu": return server.processorSection
        case "commandstats": return server.commandSection
        case "cluster": return [("cluster_enabled", "0")]
        default:
            guard cache.keyCount > 0 else { return [] }
            return [("db0", "keys=\(cache.keyCount),expires=\(cache.endingKeyCount),avg_ttl=0")]
        }
    }

    private var clientSection: [Line] {
        [
            ("connected_clients", "\(server.openConnectionCount)"), ("maxclients", "\(server.options.connectionLimit)"),
            ("blocked_clients", "\(waiting.count)"), ("tracking_clients", "\(tracking.clients.count)"),
            ("pubsub_clients", "\(server.openConnections.filter(\.subscriptions.isSubscribed).count)"),
            ("watching_keys", "\(watchers.count)"),
        ]
    }

    private var memorySection: [Line] {
        let used = cache.usedByteCount + clientByteCount
        let limit = cache.settings.maxMemory
        return [
            ("used_memory", "\(used)"), ("used_memory_human", byteCountText(used)),
            ("used_memory_peak", "\(max(used, cache.statistics.peakByteCount))"),
            ("used_memory_dataset", "\(cache.dataByteCount)"),
            ("used_memory_overhead", "\(cache.usedByteCount - cache.dataByteCount)"),
            ("used_memory_index", "\(cache.indexByteCount)"), ("used_memory_expiry", "\(cache.wheelByteCount)"),
            ("used_memory_policy", "\(cache.policyByteCount)"), ("used_memory_connections", "\(clientByteCount)"),
            ("used_memory_unused_places", "\(cache.unusedSlabByteCount)"), ("maxmemory", "\(limit)"),
            ("maxmemory_human", byteCountText(limit)), ("maxmemory_policy", cache.settings.policy.rawValue),
        ] + cache.policyDescription.map { ("policy_\($0.name)", $0.value) }
    }

    private var statisticsSection: [Line] {
        let counts = cache.statistics
        return [
            ("total_connections_received", "\(server.connectionsReceived)"),
            ("total_commands_processed", "\(server.commandCount)"), ("rejected_connections", "\(server.rejectedCount)"),
            ("total_error_replies", "\(server.errorCount)"), ("turns", "\(server.turnCount)"),
            ("expired_keys", "\(counts.expiredKeys)"), ("lazily_expired_keys", "\(counts.lazilyExpiredKeys)"),
            ("evicted_keys", "\(counts.evictedKeys)"), ("keyspace_hits", "\(counts.hits)"),
            ("keyspace_misses", "\(counts.misses)"), ("pubsub_channels", "\(channels.channelCount)"),
            ("pubsub_patterns", "\(channels.patterns.count)"),
            ("pubsubshard_channels", "\(channels.shardChannelCount)"),
            ("tracking_total_keys", "\(tracking.keyCount)"),
        ]
    }

    // MARK: stats and metrics

    public var statistics: [Statistic] {
        let counts = cache.statistics
        let asked = counts.hits + counts.misses
        return [
            .init("commands", server.commandCount, .counter("redis_commands_processed_total", "Commands so far")),
            .init("clients", server.openConnectionCount, .gauge("redis_connected_clients", "Connections of clients")),
            .init("keys", cache.keyCount, .gauge("cache_keys", "Keys")),
            .init("keys_that_end", cache.endingKeyCount, .gauge("cache_ending_keys", "Keys that have an end")),
            .init("memory", cache.usedByteCount, .gauge("redis_memory_used_bytes", "Bytes of keys and values")),
            .init("maxmemory", cache.settings.maxMemory, .gauge("redis_memory_max_bytes", "Its bound; 0: none")),
            .init("policy", cache.settings.policy.rawValue),
            .init("hits", counts.hits, .counter("redis_keyspace_hits_total", "Look-ups that found their key")),
            .init("misses", counts.misses, .counter("redis_keyspace_misses_total", "Look-ups that did not")),
            .init("hit_rate", .number(asked == 0 ? 0 : Double(counts.hits) / Double(asked), places: 3)),
            .init("expired", counts.expiredKeys, .counter("redis_expired_keys_total", "Keys whose time was over")),
            .init("evicted", counts.evictedKeys, .counter("redis_evicted_keys_total", "Keys there was no room for")),
        ] + (companion?.statistics ?? [])
    }

    /// By the names of redis_exporter, where it has them.
    public func collect(into page: inout MetricWriter) {
        page.counter("redis_connections_received_total", "Connections so far", server.connectionsReceived)
        page.counter("redis_rejected_connections_total", "Connections that were one too many", server.rejectedCount)
        page.gauge("redis_blocked_clients", "Connections that wait for a key", waiting.count)
        page.gauge("redis_tracking_clients", "Connections that are told of keys they have read", tracking.clients.count)
        page.family("redis_commands_total", .counter, "Commands so far, by name") { samples in
            for command in server.table.commands where command.callCount > 0 {
                samples.add(command.callCount, [("cmd", command.name)])
            }
        }
        companion?.collect(into: &page)
    }
}
