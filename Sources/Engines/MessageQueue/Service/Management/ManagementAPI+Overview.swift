import KernelAMQP
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import MessageQueueEngine

/// The broker as a whole, its one node, and its health.
extension ManagementAPI {
    func mountOverview(on router: HTTPRouter) {
        route(router, "GET", "/api/overview") { [self] call in call.exchange.answer(json: overview(call)) }
        list(router, "/api/nodes", needs: .monitoring) { [self] _ in [node] + otherNodes }
        route(router, "GET", "/api/nodes/{name}", needs: .monitoring) { [self] call in
            guard call.parameter("name") == broker.settings.nodeName else { throw Self.notFound }
            call.exchange.answer(json: node)
        }
        route(router, "GET", "/api/cluster-name") { [self] call in
            call.exchange.answer(json: ["name": .string(broker.settings.nodeName)])
        }
        list(router, "/api/extensions") { _ in [] }
    }

    private func overview(_ call: Call) -> JSONValue {
        let hosts = virtualHosts(call)
        let queues = hosts.flatMap(\.sortedQueues)
        let ready = queues.reduce(0) { $0 + $1.readyCount }
        let unacked = queues.reduce(0) { $0 + $1.heldCount }
        let connections = broker.sortedConnections
        let counters = broker.counters
        return [
            "management_version": "3.10.8", "rates_mode": "basic", "product_version": "3.10.8",
            "product_name": "RabbitMQ", "rabbitmq_version": "3.10.8",
            "cluster_name": .string(broker.settings.nodeName), "node": .string(broker.settings.nodeName),
            "exchange_types": .array(
                Exchange.Kind.allCases.map { ["name": .string($0.rawValue), "enabled": true] }),
            "message_stats": Self.json(
                counters, broker.rates, now: now,
                [
                    ("publish", \.published), ("confirm", \.confirmed), ("return_unroutable", \.returned),
                    ("drop_unroutable", \.unroutable), ("deliver", \.delivered),
                    ("deliver_no_ack", \.deliveredWithoutAck), ("get", \.got), ("get_no_ack", \.gotWithoutAck),
                    ("deliver_get", \.deliveredOrGot), ("get_empty", \.gotEmpty), ("ack", \.acknowledged),
                    ("redeliver", \.redelivered),
                ]),
            "churn_rates": [
                "connection_created": .integer(counters.connectionsOpened),
                "connection_closed": .integer(counters.connectionsClosed),
                "channel_created": .integer(counters.channelsOpened),
                "channel_closed": .integer(counters.channelsClosed),
                "queue_declared": .integer(counters.queuesDeclared), "queue_created": .integer(counters.queuesCreated),
                "queue_deleted": .integer(counters.queuesDeleted),
            ],
            "queue_totals": [
                "messages": .integer(ready + unacked), "messages_ready": .integer(ready),
                "messages_unacknowledged": .integer(unacked),
            ],
            "object_totals": [
                "channels": .integer(connections.reduce(0) { $0 + $1.channels.count }),
                "connections": .integer(connections.count),
                "consumers": .integer(queues.reduce(0) { $0 + $1.consumers.count }),
                "exchanges": .integer(hosts.reduce(0) { $0 + $1.exchanges.count }), "queues": .integer(queues.count),
            ],
            "listeners": .array(listeners),
        ]
    }

    private var listeners: [JSONValue] {
        func listener(_ protocolName: String, _ port: UInt16) -> JSONValue {
            [
                "node": .string(broker.settings.nodeName), "protocol": .string(protocolName), "ip_address": "0.0.0.0",
                "port": .integer(Int(port)),
            ]
        }
        return [listener("amqp", host.port)] + (host.settings.managementPort.map { [listener("http", $0)] } ?? [])
    }

    /// The other members of its group, of which only that much is known here.
    private var otherNodes: [JSONValue] {
        guard let view = broker.group?.view else { return [] }
        return view.members.filter { $0 != broker.settings.nodeName }.map {
            ["name": .string($0), "type": "disc", "running": .bool(view.online.contains($0))]
        }
    }

    private var node: JSONValue {
        let log = host.store?.log
        return [
            "name": .string(broker.settings.nodeName), "type": "disc", "running": true,
            "uptime": .milliseconds(now - host.startedAt), "mem_used": .integer(broker.memoryBytes),
            "mem_limit": .integer(broker.settings.memoryLimitBytes), "mem_alarm": .bool(broker.isAlarmed),
            "disk_free_alarm": false, "processors": 1, "run_queue": 0, "partitions": [], "rates_mode": "basic",
            "log_bytes": .integer(log?.sizeBytes ?? 0), "log_live_bytes": .integer(log?.liveBytes ?? 0),
            "log_segments": .integer(log?.segmentNumbers.count ?? 0), "log_syncs": .integer(log?.counters.syncs ?? 0),
            "log_batches": .integer(log?.counters.batches ?? 0),
        ]
    }

    // MARK: Health

    func mountHealth(on router: HTTPRouter) {
        for name in ["alarms", "local-alarms"] {
            check(router, name) { [self] _ in broker.isAlarmed ? "memory alarm" : nil }
        }
        check(router, "virtual-hosts") { _ in nil }
        check(router, "node-is-mirror-sync-critical") { _ in nil }
        check(router, "node-is-quorum-critical") { [self] _ in
            guard let view = broker.group?.view else { return nil }
            // Without this one there would be no majority.
            return view.online.count - 1 > view.members.count / 2
                ? nil : "\(view.online.count) of \(view.members.count) members are online"
        }
        check(router, "port-listener/{port}") { [self] call in
            let port = UInt16(call.parameter("port"))
            return port == host.port || (port != nil && port == host.settings.managementPort)
                ? nil : "no listener on port \(call.parameter("port"))"
        }
        check(router, "protocol-listener/{protocol}") { call in
            ["amqp", "amqp091", "amqp0-9-1", "http"].contains(call.parameter("protocol").lowercased())
                ? nil : "no listener for protocol \(call.parameter("protocol"))"
        }
        route(router, "GET", "/api/aliveness-test/{vhost}") { [self] call in
            let host = try virtualHost(call)
            try checkAliveness(host)
            call.exchange.answer(json: ["status": "ok"])
        }
    }

    /// - Parameter complaint: nil: all is well.
    private func check(_ router: HTTPRouter, _ name: String, _ complaint: @escaping (Call) -> String?) {
        route(router, "GET", "/api/health/checks/\(name)") { call in
            guard let reason = complaint(call) else { return call.exchange.answer(json: ["status": "ok"]) }
            call.exchange.answer(503, json: ["status": "failed", "reason": .string(reason)])
        }
    }

    /// Sends a message through a queue of its own, which stays, as RabbitMQ has it.
    private func checkAliveness(_ host: VirtualHost) throws {
        let name = "aliveness-test"
        _ = try broker.operateDeclareQueue(
            name, isDurable: false, isAutoDelete: false, arguments: [:], in: host, now: now)
        guard let exchange = host.exchanges[""], let queue = host.queues[name] else { throw Self.notFound }
        _ = try broker.operatePublish(
            AMQPProperties(), body: Array("test_message".utf8), routingKey: name, to: exchange, in: host, now: now)
        let taken = try broker.operateTake(queue, count: 1, .acknowledge, now: now)
        if taken.isEmpty { throw Self.problem(500, "failed", "the message did not come back") }
    }
}
