import KernelAMQP
import KernelHosting
import KernelJSON
import MessageQueueEngine

/// Policies; and parameters of sorts that there are none of here.
extension ManagementAPI {
    func mountPolicies(on router: HTTPRouter) {
        list(router, "/api/policies") { [self] call in virtualHosts(call).flatMap { policies($0) } }
        list(router, "/api/policies/{vhost}") { [self] call in policies(try virtualHost(call)) }
        route(router, "GET", "/api/policies/{vhost}/{name}") { [self] call in
            let host = try virtualHost(call)
            guard let policy = host.policies[call.parameter("name")] else { throw Self.notFound }
            call.exchange.answer(json: Self.json(policy, in: host))
        }
        route(router, "PUT", "/api/policies/{vhost}/{name}", needs: .policymaker) { [self] call in
            let host = try virtualHost(call)
            let name = call.parameter("name")
            let isNew = host.policies[name] == nil
            try setPolicy(name, try call.object(), in: host)
            answer(call, isNew: isNew)
        }
        route(router, "DELETE", "/api/policies/{vhost}/{name}", needs: .policymaker) { [self] call in
            let host = try virtualHost(call)
            guard try broker.clearPolicy(call.parameter("name"), in: host, now: now) else { throw Self.notFound }
            call.exchange.answer(204)
        }
        for path in ["operator-policies", "vhost-limits", "parameters"] {
            list(router, "/api/\(path)") { _ in [] }
            list(router, "/api/\(path)/{vhost}") { _ in [] }
        }
        list(router, "/api/global-parameters") { [self] _ in globalParameters }
    }

    var globalParameters: [JSONValue] { [["name": "cluster_name", "value": .string(broker.settings.nodeName)]] }

    /// By name.
    func policies(_ host: VirtualHost) -> [JSONValue] {
        host.policies.values.sorted { $0.name < $1.name }.map { Self.json($0, in: host) }
    }

    /// - Throws: `HTTPProblem` 400, `BrokerPolicy.Wrong`.
    func setPolicy(_ name: String, _ body: JSONValue, in host: VirtualHost) throws {
        guard let pattern = body["pattern"]?.word else {
            throw Self.problem(400, "bad_request", "key_missing: pattern")
        }
        guard let json = body["definition"] else { throw Self.problem(400, "bad_request", "key_missing: definition") }
        guard let definition = AMQPTable(json) else {
            throw Self.problem(
                400, "bad_request", "definition: an object of texts, flags and numbers that 64 bits hold")
        }
        let word = body["apply-to"]?.word ?? "all"
        guard let target = BrokerPolicy.Target(rawValue: word) else {
            throw Self.problem(400, "bad_request", "apply-to: '\(word)' is neither queues, exchanges nor all")
        }
        let priority = try Self.number(body, "priority") ?? 0
        guard (-1_000_000...1_000_000).contains(priority) else {
            throw Self.problem(400, "bad_request", "priority: a number of at most a million")
        }
        let policy = try BrokerPolicy(
            name: name, pattern: pattern, target: target, priority: priority, definition: definition)
        try broker.set(policy, in: host, now: now)
    }

    static func json(_ policy: BrokerPolicy, in host: VirtualHost) -> JSONValue {
        [
            "vhost": .string(host.name), "name": .string(policy.name), "pattern": .string(policy.pattern),
            "apply-to": .string(policy.target.rawValue), "definition": policy.definition.json,
            "priority": .integer(policy.priority),
        ]
    }
}
