import CacheClusterEngine
import KernelService
import KernelStructures
import KernelTelemetry

// What INFO, CLUSTER INFO, stats and /metrics say.

extension CacheClusterHost {
    var informationLines: [(String, String)] {
        let views = cluster.nodeViews
        let assigned = SlotSet.slotCount - cluster.map.slots(of: nil).count
        let suspected = views.filter { $0.isSuspected && !$0.isFailed }.reduce(0) { $0 + $1.slots.count }
        let failed = views.filter(\.isFailed).reduce(0) { $0 + $1.slots.count }
        return [
            ("cluster_state", cluster.isWhole ? "ok" : "fail"), ("cluster_slots_assigned", "\(assigned)"),
            ("cluster_slots_ok", "\(assigned - suspected - failed)"), ("cluster_slots_pfail", "\(suspected)"),
            ("cluster_slots_fail", "\(failed)"), ("cluster_known_nodes", "\(views.count)"),
            ("cluster_size", "\(views.filter { !$0.slots.isEmpty }.count)"),
            ("cluster_current_epoch", "\(cluster.epoch)"), ("cluster_my_epoch", "\(cluster.ownConfigEpoch)"),
            ("cluster_stats_messages_sent", "\(cluster.statistics.sentMessages)"),
            ("cluster_stats_messages_received", "\(cluster.statistics.receivedMessages)"),
            ("total_cluster_links_buffer_limit_exceeded", "0"),
        ]
    }

    public var information: [(section: String, lines: [(String, String)])] {
        let counts = cluster.statistics
        let resyncs: [(String, String)] = [
            ("sync_full", "\(counts.fullResyncs)"), ("sync_partial_ok", "\(counts.partialResyncs)"),
            ("sync_partial_err", "0"), ("sync_loaded_slots", "\(counts.loadedSlots)"),
            ("sync_continued_slots", "\(counts.continuedSlots)"),
        ]
        return [
            ("stats", resyncs), ("replication", replicationLines), ("cluster", [("cluster_enabled", "1")]),
        ]
    }

    private var replicationLines: [(String, String)] {
        var lines: [(String, String)] = [("role", cluster.isReplica ? "slave" : "master")]
        if let master = cluster.own.replicaOf, let other = cluster.describe(master) {
            let isUp = cluster.peer(master)?.isSuspected == false && cluster.followedOffset(of: master) != nil
            lines += [
                ("master_host", other.host), ("master_port", "\(other.port)"),
                ("master_link_status", isUp ? "up" : "down"), ("master_sync_in_progress", "0"),
                ("slave_repl_offset", "\(cluster.followedOffset(of: master) ?? 0)"), ("slave_read_only", "1"),
            ]
        }
        let followers = cluster.followerIDs
        lines.append(("connected_slaves", "\(followers.count)"))
        for (index, id) in followers.enumerated() {
            guard let other = cluster.describe(id), let follower = cluster.follower(id) else { continue }
            let lag = cluster.streamOffset - follower.acknowledged
            lines.append(
                (
                    "slave\(index)",
                    "ip=\(other.host),port=\(other.port),state=online,offset=\(follower.acknowledged),lag=\(lag)"
                ))
        }
        let backlog = cluster.backlog
        let former = cluster.formerReplication
        let offset = cluster.own.replicaOf.map { cluster.followedOffset(of: $0) ?? 0 } ?? cluster.streamOffset
        return lines + [
            ("master_failover_state", cluster.handoff == nil ? "no-failover" : "waiting-for-sync"),
            ("master_replid", cluster.replicationID),
            ("master_replid2", former?.id ?? String(repeating: "0", count: 40)), ("master_repl_offset", "\(offset)"),
            ("second_repl_offset", "\(former?.nextOffset ?? -1)"), ("repl_backlog_active", "1"),
            ("repl_backlog_size", "\(backlog.limitBytes)"),
            ("repl_backlog_first_byte_offset", "\(backlog.start + 1)"), ("repl_backlog_histlen", "\(backlog.bytes)"),
        ]
    }

    public var statistics: [Statistic] {
        [
            .init("slots", cluster.served.count, .gauge("cache_cluster_slots", "Slots that it serves")),
            .init("copied_slots", cluster.copiedSlots.count, .gauge("cache_cluster_copied_slots", "Slots it copies")),
            .init("epoch", cluster.epoch, .gauge("cache_cluster_epoch", "The greatest epoch it has heard of")),
            .init("elections", cluster.statistics.elections, .counter("cache_cluster_elections_total", "It stood in")),
            .init("lost_writes", cluster.lostWrites.count),
            .init(
                "hot_slots", cluster.hotSlots.count,
                .gauge("cache_cluster_hot_slots", "Slots read so much that more nodes have a copy")),
        ]
    }

    public func collect(into page: inout MetricWriter) {
        page.gauge("cache_cluster_nodes", "Nodes that it knows, itself included", cluster.peers.count + 1)
        page.gauge("cache_cluster_state", "1 if every slot is served and a majority is there", cluster.isWhole ? 1 : 0)
        page.counter(
            "cache_cluster_lost_writes_total", "Acknowledged writes known to be lost", cluster.lostWrites.count)
        page.counter("cache_cluster_bus_sent_bytes_total", "Bytes sent to other nodes", bus.sentBytes)
        page.counter("cache_cluster_bus_received_bytes_total", "Bytes heard from other nodes", bus.receivedBytes)
    }
}
