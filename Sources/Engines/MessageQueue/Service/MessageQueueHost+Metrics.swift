import KernelService
import KernelTelemetry
import MessageQueueEngine

/// By RabbitMQ's names, so that its dashboards and alerts fit.
extension MessageQueueHost {
    public var statistics: [Statistic] {
        let queues = broker.virtualHosts.values.flatMap { $0.queues.values }
        func sum(_ value: (BrokerQueue) -> Int) -> Int { queues.reduce(0) { $0 + value($1) } }
        let ready = sum(\.readyCount)
        let unacked = sum(\.heldCount)
        let connections = broker.connections.values
        return groupStatistics + [
            .init("connections", connections.count, .gauge("rabbitmq_connections", "Connections currently open")),
            .init(
                "channels", connections.reduce(0) { $0 + $1.channels.count },
                .gauge("rabbitmq_channels", "Channels currently open")),
            .init("queues", queues.count, .gauge("rabbitmq_queues", "Queues available")),
            .init("consumers", sum(\.consumers.count), .gauge("rabbitmq_consumers", "Consumers currently connected")),
            .init(
                "ready", ready, .gauge("rabbitmq_queue_messages_ready", "Messages ready to be delivered to consumers")),
            .init(
                "unacknowledged", unacked,
                .gauge("rabbitmq_queue_messages_unacked", "Messages delivered to consumers but not yet acknowledged")),
            .init(
                "messages", ready + unacked,
                .gauge("rabbitmq_queue_messages", "Sum of ready and unacknowledged messages")),
            .init(
                "message_bytes", sum(\.readyBytes) + sum(\.heldBytes),
                .gauge("rabbitmq_queue_messages_bytes", "Size in bytes of ready and unacknowledged messages")),
            .init(
                "memory_bytes", broker.memoryBytes,
                .gauge("rabbitmq_queue_process_memory_bytes", "Memory in bytes used by messages")),
            .init(
                "paged_out", sum(\.pagedCount),
                .gauge("rabbitmq_queue_messages_paged_out", "Messages that wait on the disk only")),
            .init(
                "memory_alarm", broker.isAlarmed ? 1 : 0,
                .gauge("rabbitmq_alarms_memory_used_watermark", "1 while publishers wait because memory is short")),
            .init(
                "published", broker.counters.published,
                .counter("rabbitmq_global_messages_received_total", "Messages received from publishers")),
            .init(
                "confirmed", broker.counters.confirmed,
                .counter("rabbitmq_global_messages_confirmed_total", "Messages confirmed to publishers")),
            .init(
                "acknowledged", broker.counters.acknowledged,
                .counter("rabbitmq_global_messages_acknowledged_total", "Messages acknowledged by consumers")),
            .init(
                "redelivered", broker.counters.redelivered,
                .counter("rabbitmq_global_messages_redelivered_total", "Messages redelivered to consumers")),
        ]
    }

    private var groupStatistics: [Statistic] {
        guard let member else { return [] }
        return [
            .init("leader", member.group.view.leader ?? "none"),
            .init("term", member.member.term, .gauge("rabbitmq_raft_term_total", "Term of the group")),
            .init(
                "applied_index", member.member.appliedIndex,
                .gauge("rabbitmq_raft_log_last_applied_index", "Commands that this member has carried out")),
            .init(
                "open_operations", member.group.desk.openCount,
                .gauge("rabbitmq_group_open_operations", "What this member waits for the group to agree on")),
        ]
    }

    public func collect(into page: inout MetricWriter) {
        let counters = broker.counters
        let totals: [(String, Int, String)] = [
            ("connections_opened", counters.connectionsOpened, "Connections opened"),
            ("connections_closed", counters.connectionsClosed, "Connections closed or terminated"),
            ("channels_opened", counters.channelsOpened, "Channels opened"),
            ("channels_closed", counters.channelsClosed, "Channels closed"),
            ("queues_declared", counters.queuesDeclared, "Queues declared"),
            ("queues_created", counters.queuesCreated, "Queues created"),
            ("queues_deleted", counters.queuesDeleted, "Queues deleted"),
            (
                "global_messages_unroutable_returned", counters.returned,
                "Messages that no queue wanted and that were returned to their publishers"
            ),
            (
                "global_messages_unroutable_dropped", max(0, counters.unroutable - counters.returned),
                "Messages that no queue wanted and that were dropped"
            ),
            (
                "global_messages_delivered_consume_manual_ack", counters.delivered,
                "Messages delivered to consumers that acknowledge"
            ),
            (
                "global_messages_delivered_consume_auto_ack", counters.deliveredWithoutAck,
                "Messages delivered to consumers that do not acknowledge"
            ),
            ("global_messages_delivered_get_manual_ack", counters.got, "Messages got and to be acknowledged"),
            ("global_messages_delivered_get_auto_ack", counters.gotWithoutAck, "Messages got without acknowledging"),
            ("global_messages_get_empty", counters.gotEmpty, "Times that there was no message to get"),
            ("global_messages_dead_lettered", counters.deadLettered, "Messages that went to dead letters"),
        ]
        for (name, value, help) in totals { page.counter("rabbitmq_\(name)_total", help, value) }
        // As RabbitMQ's /metrics/detailed names them; of very many queues the first ones only.
        let queues = broker.sortedVirtualHosts.flatMap(\.sortedQueues).prefix(Self.detailLimit)
        func detail(_ name: String, _ help: String, _ value: (BrokerQueue) -> Int) {
            page.family("rabbitmq_detailed_queue_\(name)", .gauge, help) { samples in
                for queue in queues {
                    samples.add(value(queue), [("vhost", queue.virtualHostName), ("queue", queue.name)])
                }
            }
        }
        detail("messages_ready", "Messages ready to be delivered", \.readyCount)
        detail("messages_unacked", "Messages delivered and not acknowledged", \.unackedCount)
        detail("consumers", "Consumers of the queue", \.consumers.count)
    }

    /// Queues that are shown one by one.
    private static let detailLimit = 1000
}
