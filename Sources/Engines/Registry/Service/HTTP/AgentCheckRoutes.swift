import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import RegistryEngine

extension RegistryAPI {
    func mountAgentChecks(on router: HTTPRouter) {
        route(router, "GET", "/v1/agent/checks") { [self] exchange, query in
            let options = try Options(&query)
            let checks = catalog.agent.checks(onNode: settings.node)
            let value = JSONValue.object(
                checks.map { ($0.id, catalog.json(of: $0, host.engine.checks[$0.key])) })
            exchange.answer(bytes: try Self.bytes(value, options), type: "application/json")
        }
        routePut(router, "/v1/agent/check/register") { [self] exchange, _ in
            let check = try reading.check(try exchange.json(limits: Self.bodyLimits))
            let node = CatalogNode(name: settings.node, address: "")
            carryOut(exchange, .register(node: node, instance: nil, checks: [check]))
        }
        routePut(router, "/v1/agent/check/deregister/{id...}") { [self] exchange, _ in
            let id = exchange.parameters["id"]
            carryOut(exchange, .deregister(node: settings.node, instance: nil, check: id, unlessAfter: nil))
        }
        for (word, status) in [("pass", ServiceStatus.passing), ("warn", .warning), ("fail", .critical)] {
            routePut(router, "/v1/agent/check/\(word)/{id...}") { [self] exchange, query in
                try tell(exchange, CheckResult(status, try query.take("note") ?? ""))
            }
        }
        routePut(router, "/v1/agent/check/update/{id...}") { [self] exchange, _ in
            let body = JSONCursor(try exchange.json(limits: Self.bodyLimits))
            let word = try (body["Status"].ifPresent ?? body["status"]).string()
            guard let status = ServiceStatus(rawValue: word.lowercased()) else {
                throw RegistryError(.malformed, "Status: '\(word)' is none of passing, warning, critical")
            }
            let output = try (body["Output"].ifPresent ?? body["output"]).ifPresent?.string() ?? ""
            try tell(exchange, CheckResult(status, output))
        }
    }

    private func tell(_ exchange: HTTPExchange, _ result: CheckResult) throws {
        let key = InstanceKey(node: settings.node, id: exchange.parameters["id"])
        carryOut(exchange, try host.engine.heard(key, result))
    }
}
