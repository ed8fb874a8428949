import KernelAMQP
import KernelHosting
import KernelJSON
import KernelStructures
import MessageQueueEngine

/// Connections, channels and consumers.
extension ManagementAPI {
    func mountClients(on router: HTTPRouter) {
        list(router, "/api/connections") { [self] call in connections(call).map(json) }
        list(router, "/api/vhosts/{vhost}/connections") { [self] call in
            let host = try virtualHost(call)
            return broker.sortedConnections.filter { $0.virtualHost === host }.map(json)
        }
        route(router, "GET", "/api/connections/{name}") { [self] call in
            call.exchange.answer(json: json(try connection(call)))
        }
        route(router, "DELETE", "/api/connections/{name}") { [self] call in
            let connection = try connection(call)
            let reason = call.exchange.field("X-Reason") ?? "Closed via management plugin"
            connection.close(reason: reason, now: now)
            call.exchange.answer(204)
        }
        list(router, "/api/connections/{name}/channels") { [self] call in
            try connection(call).sortedChannels.map(json)
        }
        list(router, "/api/channels") { [self] call in connections(call).flatMap { $0.sortedChannels.map(json) } }
        route(router, "GET", "/api/channels/{name}") { [self] call in
            let name = call.parameter("name")
            guard let channel = connections(call).flatMap(\.sortedChannels).first(where: { $0.name == name }) else {
                throw Self.notFound
            }
            call.exchange.answer(json: json(channel))
        }
        list(router, "/api/consumers") { [self] call in
            virtualHosts(call).flatMap { $0.sortedQueues.flatMap { $0.consumers.map { json($0) } } }
        }
        list(router, "/api/consumers/{vhost}") { [self] call in
            try virtualHost(call).sortedQueues.flatMap { $0.consumers.map { json($0) } }
        }
    }

    /// The user's own, or all for those who watch over the broker.
    private func connections(_ call: Call) -> [BrokerConnection] {
        broker.sortedConnections.filter { call.has("monitoring") || $0.user == call.user.name }
    }

    private func connection(_ call: Call) throws -> BrokerConnection {
        guard let found = connections(call).first(where: { name($0) == call.parameter("name") }) else {
            throw Self.notFound
        }
        return found
    }

    /// `127.0.0.1:40312 -> 127.0.0.1:5672`
    private func name(_ connection: BrokerConnection) -> String {
        "\(connection.peer) -> \(host.node.address):\(host.port)"
    }

    private func json(_ connection: BrokerConnection) -> JSONValue {
        let colon = connection.peer.lastIndex(of: ":") ?? connection.peer.endIndex
        let port = Int(connection.peer[colon...].dropFirst()) ?? 0
        return [
            "name": .string(name(connection)), "user": .string(connection.user),
            "vhost": connection.virtualHost.map { .string($0.name) } ?? .null,
            "channels": .integer(connection.channels.count), "state": .string(state(connection)),
            "protocol": "AMQP 0-9-1", "type": "network", "node": .string(broker.settings.nodeName),
            "peer_host": .string(String(connection.peer[..<colon])), "peer_port": .integer(port),
            "host": .string(host.node.address.description), "port": .integer(Int(host.port)),
            "auth_mechanism": .string(connection.mechanism), "client_properties": connection.clientProperties.json,
            "channel_max": .integer(Int(connection.channelMax)), "frame_max": .integer(Int(connection.frameMax)),
            "timeout": .integer(Int(connection.heartbeatSeconds)),
            "connected_at": .integer(Int(connection.connectedAt.nanoseconds / 1_000_000)),
        ]
    }

    private func state(_ connection: BrokerConnection) -> String {
        if connection.isBlocked { return "blocked" }
        return connection.isCongested ? "flow" : connection.phase.rawValue
    }

    private func json(_ channel: BrokerChannel) -> JSONValue {
        [
            "name": .string(channel.name), "number": .integer(Int(channel.number)), "state": "running",
            "user": .string(channel.user), "vhost": .string(channel.virtualHostName),
            "consumer_count": .integer(channel.consumers.count),
            "messages_unacknowledged": .integer(channel.unackedCount),
            "messages_unconfirmed": .integer(channel.unconfirmedCount),
            "prefetch_count": .integer(channel.prefetchCount),
            "global_prefetch_count": .integer(channel.sharedPrefetchCount),
            "confirm": .bool(channel.mode == .confirm), "transactional": .bool(channel.mode == .transaction),
            "node": .string(broker.settings.nodeName),
        ]
    }

    func json(_ consumer: BrokerConsumer) -> JSONValue {
        let single = consumer.queue.singleActiveConsumer
        let isActive = single == nil || single === consumer
        return [
            "consumer_tag": .string(consumer.tag), "exclusive": .bool(consumer.isExclusive),
            "ack_required": .bool(!consumer.isAutomatic), "prefetch_count": .integer(consumer.prefetchCount),
            "active": .bool(isActive), "activity_status": isActive ? "up" : "waiting",
            "arguments": consumer.arguments.json, "messages_unacknowledged": .integer(consumer.unackedCount),
            "queue": [
                "name": .string(consumer.queue.name), "vhost": .string(consumer.queue.virtualHostName),
            ],
            "channel_details": ["name": .string(consumer.channelName)],
        ]
    }
}
