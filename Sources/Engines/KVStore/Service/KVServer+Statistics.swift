import KVStoreEngine
import KernelService
import KernelTelemetry

extension KVServer {
    public var statistics: [Statistic] {
        let shape = store.describe()
        let counts = shape.statistics
        return [
            .init("commands", server.commandCount, .counter("redis_commands_processed_total", "Commands so far")),
            .init("clients", server.openConnectionCount, .gauge("redis_connected_clients", "Connections of clients")),
            .init("appendfsync", settings.synchronization.rawValue),
            .init("writes", counts.writes, .counter("lsm_writes_total", "Puts and deletes so far")),
            .init("commits", commitCount, .counter("lsm_commits_total", "Turns that wrote something")),
            .init("syncs", counts.syncs, .counter("lsm_syncs_total", "Syncs of the log")),
            .init("reads", counts.gets, .counter("lsm_reads_total", "Look-ups so far")),
            .init("memtable", shape.memtableEntries, .gauge("lsm_memtable_entries", "Entries that are in memory")),
            .init("tables", shape.tableCount, .gauge("lsm_tables", "Sorted tables on the disk")),
            .init("table_bytes", shape.tableByteCount, .gauge("lsm_table_bytes", "Their bytes")),
            .init(
                "write_amplification", .number(counts.writeAmplification, places: 2),
                .gauge("lsm_write_amplification", "Bytes written for each byte that a client wrote")),
            .init(
                "read_amplification", .number(counts.readAmplification, places: 2),
                .gauge("lsm_read_amplification", "Blocks read for each look-up")),
            .init(
                "space_amplification", .number(shape.spaceAmplification, places: 2),
                .gauge("lsm_space_amplification", "Bytes on the disk for each byte of live data, at most")),
            .init("stall", shape.stall?.description ?? "none"),
            .init("read-only", shape.readOnly?.description ?? "no"),
        ]
    }

    /// By the names of redis_exporter, where it has them.
    public func collect(into page: inout MetricWriter) {
        page.counter("redis_connections_received_total", "Connections so far", server.connectionsReceived)
        page.counter("redis_rejected_connections_total", "Connections that were one too many", server.rejectedCount)
        page.counter("redis_expired_keys_total", "Keys deleted because their time was over", expiredKeyCount)
        page.counter("redis_keyspace_hits_total", "Look-ups that found their key", keys.hits)
        page.counter("redis_keyspace_misses_total", "Look-ups that did not", keys.misses)
        page.gauge("redis_blocked_clients", "Connections that wait for background work", workWaiters.count)
        page.family("redis_commands_total", .counter, "Commands so far, by name") { samples in
            for command in server.table.commands where command.callCount > 0 {
                samples.add(command.callCount, [("cmd", command.name)])
            }
        }
        page.family("lsm_level_bytes", .gauge, "Bytes of a level's tables") { samples in
            for level in store.describe().levels { samples.add(level.byteCount, [("level", "\(level.number)")]) }
        }
    }
}
