import KernelAMQP
import KernelHosting
import KernelJSON
import MessageQueueEngine

/// Everything that is defined, in one document: to be kept, or carried to another broker.
extension ManagementAPI {
    func mountDefinitions(on router: HTTPRouter) {
        route(router, "GET", "/api/definitions", needs: .administrator) { [self] call in
            call.exchange.answer(json: .object(head + global + topology(broker.sortedVirtualHosts, named: true)))
        }
        route(router, "GET", "/api/definitions/{vhost}", needs: .administrator) { [self] call in
            call.exchange.answer(json: .object(head + topology([try virtualHost(call)], named: false)))
        }
        route(router, "POST", "/api/definitions", needs: .administrator) { [self] call in
            try take(call.object(), into: nil)
            call.exchange.answer(204)
        }
        route(router, "POST", "/api/definitions/{vhost}", needs: .administrator) { [self] call in
            try take(call.object(), into: try virtualHost(call).name)
            call.exchange.answer(204)
        }
    }

    private typealias Members = [(key: String, value: JSONValue)]

    private var head: Members {
        [("rabbit_version", "3.10.8"), ("rabbitmq_version", "3.10.8"), ("product_name", "sdlab")]
    }

    private var global: Members {
        [
            ("users", .array(users.sortedUsers.map { Self.json($0) })),
            ("vhosts", .array(broker.sortedVirtualHosts.map { ["name": .string($0.name)] })),
            ("permissions", .array(users.sortedPermissions.map { Self.json($0) })), ("topic_permissions", []),
            ("parameters", []), ("global_parameters", .array(globalParameters)),
        ]
    }

    /// What outlives its connection.
    private func topology(_ hosts: [VirtualHost], named: Bool) -> Members {
        func placed(_ host: VirtualHost, _ json: JSONValue) -> JSONValue {
            guard case .object(let members) = json else { return json }
            return .object(members.filter { $0.key != "vhost" } + (named ? [("vhost", .string(host.name))] : []))
        }
        let queues = hosts.flatMap { host -> [JSONValue] in
            host.sortedQueues.filter { $0.isDurable && $0.exclusiveOwner == nil }.map { queue in
                placed(host, Self.definition(queue))
            }
        }
        let exchanges = hosts.flatMap { host -> [JSONValue] in
            host.sortedExchanges.filter { $0.isDurable && !$0.name.isEmpty && !$0.name.hasPrefix("amq.") }.map {
                placed(host, Self.definition($0))
            }
        }
        let bindings = hosts.flatMap { host -> [JSONValue] in
            self.bindings(host).map { binding -> JSONValue in
                guard case .object(let members) = json(binding, in: host) else { return .null }
                return placed(host, .object(members.filter { $0.key != "properties_key" }))
            }
        }
        let policies = hosts.flatMap { host -> [JSONValue] in self.policies(host).map { placed(host, $0) } }
        return [
            ("policies", .array(policies)),
            ("queues", .array(queues)), ("exchanges", .array(exchanges)), ("bindings", .array(bindings)),
        ]
    }

    private static func definition(_ queue: BrokerQueue) -> JSONValue {
        [
            "name": .string(queue.name), "durable": .bool(queue.isDurable), "auto_delete": .bool(queue.isAutoDelete),
            "arguments": queue.arguments.json,
        ]
    }

    private static func definition(_ exchange: Exchange) -> JSONValue {
        [
            "name": .string(exchange.name), "type": .string(exchange.kind.rawValue),
            "durable": .bool(exchange.isDurable), "auto_delete": .bool(exchange.isAutoDelete),
            "internal": .bool(exchange.isInternal), "arguments": exchange.arguments.json,
        ]
    }

    // MARK: Taking over

    /// Adds everything that a document defines; what there is already must be the same.
    ///
    /// - Throws: `HTTPProblem` 400 for the first that cannot be; what came before it stays.
    private func take(_ document: JSONValue, into name: String?) throws {
        func each(_ key: String, _ body: (JSONValue) throws -> Void) throws {
            guard let value = document[key] else { return }
            guard case .array(let elements) = value else {
                throw Self.problem(400, "bad_request", "\(key): a list")
            }
            for element in elements {
                guard case .object = element else {
                    throw Self.problem(400, "bad_request", "\(key): a list of objects")
                }
                try body(element)
            }
        }
        func host(_ element: JSONValue) throws -> VirtualHost {
            let wanted = name ?? element["vhost"]?.word ?? "/"
            guard let host = broker.virtualHosts[wanted] else {
                throw Self.problem(400, "bad_request", "vhost '\(wanted)' not found")
            }
            return host
        }
        if name == nil {
            try each("vhosts") { try addVirtualHost($0["name"]?.word ?? "") }
            try each("users") { try setUser($0["name"]?.word ?? "", $0) }
            try each("permissions") { try setPermission(of: $0["user"]?.word ?? "", in: $0["vhost"]?.word ?? "/", $0) }
        }
        try each("policies") { try setPolicy($0["name"]?.word ?? "", $0, in: host($0)) }
        try each("exchanges") { element in
            _ = try broker.operateDeclareExchange(
                element["name"]?.word ?? "", type: element["type"]?.word ?? "direct",
                isDurable: try Self.flag(element, "durable", else: true),
                isAutoDelete: try Self.flag(element, "auto_delete", else: false),
                isInternal: try Self.flag(element, "internal", else: false), arguments: arguments(element),
                in: host(element),
                now: now)
        }
        try each("queues") { element in
            _ = try broker.operateDeclareQueue(
                element["name"]?.word ?? "", isDurable: try Self.flag(element, "durable", else: true),
                isAutoDelete: try Self.flag(element, "auto_delete", else: false), arguments: arguments(element),
                in: host(element),
                now: now)
        }
        try each("bindings") { element in
            let target = element["destination"]?.word ?? ""
            try broker.operateBind(
                element["source"]?.word ?? "",
                to: element["destination_type"]?.word == "exchange" ? .exchange(target) : .queue(target),
                routingKey: element["routing_key"]?.word ?? "", arguments: arguments(element), in: host(element),
                now: now)
        }
    }
}
