import KernelAMQP
import KernelHosting
import KernelJSON
import KernelLog
import KernelStructures
import MessageQueueEngine

/// Exchanges, queues and bindings.
extension ManagementAPI {
    func mountTopology(on router: HTTPRouter) {
        mountExchanges(on: router)
        mountQueues(on: router)
        mountBindings(on: router)
    }

    // MARK: Exchanges

    private func mountExchanges(on router: HTTPRouter) {
        list(router, "/api/exchanges") { [self] call in
            virtualHosts(call).flatMap { host in host.sortedExchanges.map { json($0, in: host) } }
        }
        list(router, "/api/exchanges/{vhost}") { [self] call in
            let host = try virtualHost(call)
            return host.sortedExchanges.map { json($0, in: host) }
        }
        route(router, "GET", "/api/exchanges/{vhost}/{name}") { [self] call in
            let (exchange, host) = try exchange(call)
            call.exchange.answer(json: json(exchange, in: host))
        }
        route(router, "PUT", "/api/exchanges/{vhost}/{name}") { [self] call in
            let host = try virtualHost(call)
            let body = try call.object()
            let name = call.parameter("name")
            try check(call, .configure, on: name, in: host)
            guard let type = body["type"]?.word else { throw Self.problem(400, "bad_request", "key_missing: type") }
            let isNew = try broker.operateDeclareExchange(
                name, type: type, isDurable: try Self.flag(body, "durable", else: true),
                isAutoDelete: try Self.flag(body, "auto_delete", else: false),
                isInternal: try Self.flag(body, "internal", else: false),
                arguments: try arguments(body), in: host, now: now)
            answer(call, isNew: isNew)
        }
        route(router, "DELETE", "/api/exchanges/{vhost}/{name}") { [self] call in
            let (exchange, host) = try exchange(call)
            try check(call, .configure, on: exchange.name, in: host)
            try broker.operateDelete(exchange, ifUnused: call.option("if-unused") == "true", in: host, now: now)
            call.exchange.answer(204)
        }
    }

    func arguments(_ body: JSONValue) throws -> AMQPTable {
        switch body["arguments"] {
        case nil, .null?: return [:]
        // Some clients' empty tables are empty lists.
        case .array(let elements)? where elements.isEmpty: return [:]
        case .some(let json):
            guard let table = AMQPTable(json) else {
                throw Self.problem(400, "bad_request", "arguments: an object of texts, numbers and flags")
            }
            return table
        }
    }

    func json(_ exchange: Exchange, in host: VirtualHost) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("name", .string(exchange.name)), ("vhost", .string(host.name)), ("type", .string(exchange.kind.rawValue)),
            ("durable", .bool(exchange.isDurable)), ("auto_delete", .bool(exchange.isAutoDelete)),
            ("internal", .bool(exchange.isInternal)), ("arguments", exchange.arguments.json),
            ("user_who_performed_action", "guest"),
        ]
        if exchange.publishedCount > 0 {
            let stats = Self.json(
                exchange.publishedCount, exchange.rates, now: now, [("publish_in", \.self)])
            members.append(("message_stats", stats))
        }
        return .object(members)
    }

    // MARK: Queues

    private func mountQueues(on router: HTTPRouter) {
        list(router, "/api/queues") { [self] call in
            virtualHosts(call).flatMap { $0.sortedQueues.map { json($0) } }
        }
        list(router, "/api/queues/{vhost}") { [self] call in try virtualHost(call).sortedQueues.map { json($0) } }
        route(router, "GET", "/api/queues/{vhost}/{name}") { [self] call in
            let queue = try queue(call)
            guard case .object(var members) = json(queue) else { return }
            members.append(("consumer_details", .array(queue.consumers.map { json($0) })))
            call.exchange.answer(json: .object(members))
        }
        route(router, "PUT", "/api/queues/{vhost}/{name}") { [self] call in
            let host = try virtualHost(call)
            let body = try call.object()
            let name = call.parameter("name")
            try check(call, .configure, on: name, in: host)
            let isNew = try broker.operateDeclareQueue(
                name, isDurable: try Self.flag(body, "durable", else: true),
                isAutoDelete: try Self.flag(body, "auto_delete", else: false),
                arguments: try arguments(body), in: host, now: now)
            answer(call, isNew: isNew)
        }
        route(router, "DELETE", "/api/queues/{vhost}/{name}") { [self] call in
            let queue = try queue(call)
            try check(call, .configure, on: queue.name, in: virtualHost(call))
            try broker.operateDelete(
                queue, ifUnused: call.option("if-unused") == "true", ifEmpty: call.option("if-empty") == "true",
                now: now)
            call.exchange.answer(204)
        }
        route(router, "DELETE", "/api/queues/{vhost}/{name}/contents") { [self] call in
            let queue = try queue(call)
            try check(call, .read, on: queue.name, in: virtualHost(call))
            _ = try broker.operatePurge(queue, now: now)
            call.exchange.answer(204)
        }
        list(router, "/api/queues/{vhost}/{name}/bindings") { [self] call in
            let queue = try queue(call)
            let host = try virtualHost(call)
            return bindings(host).filter { $0.destination == .queue(queue.name) }.map { json($0, in: host) }
        }
    }

    func json(_ queue: BrokerQueue) -> JSONValue {
        let waiting: JSONValue = queue.backlogSince.map { .milliseconds(now - $0) } ?? .null
        let json: JSONValue = [
            "name": .string(queue.name), "vhost": .string(queue.virtualHostName), "durable": .bool(queue.isDurable),
            "auto_delete": .bool(queue.isAutoDelete), "exclusive": .bool(queue.exclusiveOwner != nil),
            "arguments": queue.arguments.json, "type": .string(queue.settings.kind.rawValue),
            "node": .string(broker.settings.nodeName), "state": queue.isUnreadable ? "down" : "running",
            "policy": queue.policyName.map { .string($0) } ?? .null, "consumers": .integer(queue.consumerCount),
            "single_active_consumer_tag": queue.singleActiveConsumer.map { .string($0.tag) } ?? .null,
            "messages": .integer(queue.readyCount + queue.heldCount), "messages_ready": .integer(queue.readyCount),
            "messages_unacknowledged": .integer(queue.heldCount),
            "messages_paged_out": .integer(queue.pagedCount),
            "message_bytes": .integer(queue.readyBytes + queue.heldBytes),
            "message_bytes_ready": .integer(queue.readyBytes),
            "message_bytes_unacknowledged": .integer(queue.heldBytes), "backlog_milliseconds": waiting,
            "message_stats": Self.json(
                queue.counters, queue.rates, now: now,
                [
                    ("publish", \.published), ("deliver", \.delivered), ("deliver_no_ack", \.deliveredWithoutAck),
                    ("get", \.got), ("deliver_get", \.deliveredOrGot), ("ack", \.acknowledged),
                    ("redeliver", \.redelivered),
                ]),
        ]
        guard let group = broker.group, queue.isReplicated, case .object(var members) = json else { return json }
        members.append(("leader", group.view.leader.map { .string($0) } ?? .null))
        members.append(("members", .array(group.view.members.map { .string($0) })))
        members.append(("online", .array(group.view.online.map { .string($0) })))
        return .object(members)
    }

    /// Counters as RabbitMQ shows them: each with how many there are a second.
    static func json<Counters>(
        _ counters: Counters, _ rates: CounterWindow<Counters>, now: LabTime,
        _ names: [(name: String, counter: KeyPath<Counters, Int>)]
    ) -> JSONValue {
        .object(
            names.flatMap { name, counter -> [(key: String, value: JSONValue)] in
                // Tenths, as people read them.
                let rate = (rates.rate(counter, counters, now: now) * 10).rounded() / 10
                return [
                    (name, .integer(counters[keyPath: counter])), (name + "_details", ["rate": .number(rate)]),
                ]
            })
    }

    // MARK: Bindings

    /// With those to the default exchange, which every queue has.
    func bindings(_ host: VirtualHost) -> [Binding] { host.sortedExchanges.flatMap(\.bindings) }

    private func mountBindings(on router: HTTPRouter) {
        list(router, "/api/bindings") { [self] call in
            virtualHosts(call).flatMap { host in implicit(host) + bindings(host).map { json($0, in: host) } }
        }
        list(router, "/api/bindings/{vhost}") { [self] call in
            let host = try virtualHost(call)
            return implicit(host) + bindings(host).map { json($0, in: host) }
        }
        for end in ["source", "destination"] {
            list(router, "/api/exchanges/{vhost}/{name}/bindings/\(end)") { [self] call in
                let (exchange, host) = try exchange(call)
                return bindings(host).filter {
                    end == "source" ? $0.source == exchange.name : $0.destination == .exchange(exchange.name)
                }.map { json($0, in: host) }
            }
        }
        for letter in ["q", "e"] {
            mountBindings(on: router, "/api/bindings/{vhost}/e/{source}/\(letter)/{destination}", letter)
        }
    }

    private func mountBindings(on router: HTTPRouter, _ template: String, _ letter: String) {
        func destination(_ call: Call) -> Destination {
            letter == "q" ? .queue(call.parameter("destination")) : .exchange(call.parameter("destination"))
        }
        func between(_ call: Call, _ host: VirtualHost) -> [Binding] {
            bindings(host).filter { $0.source == call.parameter("source") && $0.destination == destination(call) }
        }
        list(router, template) { [self] call in
            let host = try virtualHost(call)
            return between(call, host).map { json($0, in: host) }
        }
        route(router, "POST", template) { [self] call in
            let host = try virtualHost(call)
            let body = try call.object()
            let target = destination(call)
            try check(call, .write, on: target.name, in: host)
            try check(call, .read, on: call.parameter("source"), in: host)
            try broker.operateBind(
                call.parameter("source"), to: target, routingKey: body["routing_key"]?.word ?? "",
                arguments: try arguments(body), in: host, now: now)
            call.exchange.answer(201)
        }
        route(router, "GET", template + "/{key}") { [self] call in
            let host = try virtualHost(call)
            guard let binding = between(call, host).first(where: { Self.key($0) == call.parameter("key") }) else {
                throw Self.notFound
            }
            call.exchange.answer(json: json(binding, in: host))
        }
        route(router, "DELETE", template + "/{key}") { [self] call in
            let host = try virtualHost(call)
            guard let binding = between(call, host).first(where: { Self.key($0) == call.parameter("key") }) else {
                throw Self.notFound
            }
            try check(call, .write, on: binding.destination.name, in: host)
            try broker.operateUnbind(binding, in: host, now: now)
            call.exchange.answer(204)
        }
    }

    /// What tells bindings with the same ends apart: the routing key, and a sum of the arguments.
    static func key(_ binding: Binding) -> String {
        let key = binding.routingKey.isEmpty ? "~" : binding.routingKey
        if binding.arguments.isEmpty { return key }
        let sum = binding.arguments.encoded.withUnsafeBytes { LogBatch.checksum($0) }
        return "\(key)~\(hexadecimal(UInt64(sum), 8))"
    }

    func json(_ binding: Binding, in host: VirtualHost) -> JSONValue {
        [
            "source": .string(binding.source), "vhost": .string(host.name),
            "destination": .string(binding.destination.name),
            "destination_type": binding.destination.isQueue ? "queue" : "exchange",
            "routing_key": .string(binding.routingKey), "arguments": binding.arguments.json,
            "properties_key": .string(Self.key(binding)),
        ]
    }

    private func implicit(_ host: VirtualHost) -> [JSONValue] {
        host.sortedQueues.map {
            [
                "source": "", "vhost": .string(host.name), "destination": .string($0.name), "destination_type": "queue",
                "routing_key": .string($0.name), "arguments": [:], "properties_key": .string($0.name),
            ]
        }
    }
}
