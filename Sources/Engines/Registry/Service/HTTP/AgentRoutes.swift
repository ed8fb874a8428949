import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import RegistryEngine

/// `/v1/agent`: what the services of this registry's own node do.
extension RegistryAPI {
    func mountAgent(on router: HTTPRouter) {
        routePut(router, "/v1/agent/service/register") { [self] exchange, query in try register(exchange, &query) }
        routePut(router, "/v1/agent/service/deregister/{id...}") { [self] exchange, _ in
            let instance = try instance(exchange)
            carryOut(
                exchange, .deregister(node: instance.node, instance: instance.id, check: nil, unlessAfter: nil))
        }
        routePut(router, "/v1/agent/service/maintenance/{id...}") { [self] exchange, query in
            let instance = try instance(exchange)
            try maintain(exchange, &query, service: instance.id)
        }
        routePut(router, "/v1/agent/maintenance") { [self] exchange, query in
            try maintain(exchange, &query, service: "")
        }
        routePut(router, "/v1/agent/service/report/{id...}") { [self] exchange, query in
            try report(exchange, &query)
        }
        route(router, "GET", "/v1/agent/services") { [self] exchange, query in
            let options = try Options(&query)
            let rows = catalog.agent.instances(onNode: settings.node)
            let value = JSONValue.object(rows.map { ($0.id, catalog.json(of: $0)) })
            exchange.answer(bytes: try Self.bytes(value, options), type: "application/json")
        }
        route(router, "GET", "/v1/agent/service/{id...}") { [self] exchange, query in
            let options = try Options(&query)
            let instance = try instance(exchange)
            try answer(exchange, options, [.service(instance.name)]) { catalog in
                guard let now = catalog.agent.instances[instance.key] ?? catalog.instances[instance.key] else {
                    return .null
                }
                return catalog.json(of: now)
            }
        }
        route(router, "GET", "/v1/agent/health/service/id/{id...}") { [self] exchange, _ in
            answerHealth(exchange, [try instance(exchange)])
        }
        route(router, "GET", "/v1/agent/health/service/name/{name...}") { [self] exchange, _ in
            let name = exchange.parameters["name"]
            let found = catalog.instances(of: name).filter { $0.node == settings.node }
            guard !found.isEmpty else { throw RegistryError(.missing, "there is no service '\(name)' here") }
            answerHealth(exchange, found)
        }
        mountAgentSelf(on: router)
    }

    private func mountAgentSelf(on router: HTTPRouter) {
        route(router, "GET", "/v1/agent/self") { [self] exchange, _ in
            let configuration = JSONValue.object([
                ("Datacenter", .string(settings.datacenter)), ("NodeName", .string(settings.node)),
                ("NodeID", .string(settings.nodeID)), ("Server", true), ("Revision", ""), ("Version", "1.14.0"),
            ])
            exchange.answer(
                json: .object([
                    ("Config", configuration), ("Member", members[0]), ("Meta", .object([])), ("Stats", .object([])),
                    ("Coord", .null),
                ]))
        }
        route(router, "GET", "/v1/agent/members") { [self] exchange, _ in exchange.answer(json: .array(members)) }
        route(router, "GET", "/v1/status/leader") { [self] exchange, _ in
            exchange.answer(json: .string(host.group.map { $0.leader?.description ?? "" } ?? place))
        }
        route(router, "GET", "/v1/status/peers") { [self] exchange, _ in
            let peers = host.group.map { $0.members.map(\.address.description) } ?? [place]
            exchange.answer(json: .array(peers.map { .string($0) }))
        }
    }

    /// Where Consul's servers talk to one another; here it is only a name for the leader.
    private var place: String { "\(settings.address):8300" }

    /// This one first.
    private var members: [JSONValue] {
        guard let group = host.group else { return [member(settings.node, settings.address, 8301, isAlive: true)] }
        let all = group.members.sorted {
            ($0.id != group.settings.id ? 1 : 0, $0.id) < ($1.id != group.settings.id ? 1 : 0, $1.id)
        }
        return all.map { member($0.address.host, $0.address.host, $0.address.port, isAlive: $0.isConnected) }
    }

    /// Of Serf's numbers 1 is alive, 4 failed.
    private func member(_ name: String, _ address: String, _ port: UInt16, isAlive: Bool) -> JSONValue {
        .object([
            ("Name", .string(name)), ("Addr", .string(address)), ("Port", .integer(Int(port))),
            ("Tags", .object([("dc", .string(settings.datacenter)), ("role", "consul")])),
            ("Status", .integer(isAlive ? 1 : 4)),
        ])
    }

    /// The instance that the path means.
    ///
    /// - Throws: `RegistryError` if there is none.
    private func instance(_ exchange: HTTPExchange) throws -> ServiceInstance {
        let word = exchange.parameters["id"]
        guard let found = host.engine.instance(word, onNode: settings.node) else {
            let several = catalog.instances(of: word).map(\.id)
            if several.count > 1 {
                throw RegistryError(
                    .refused, "several instances are called '\(word)'",
                    remedy: "say which: \(several.prefix(5).joined(separator: ", "))")
            }
            throw RegistryError(.missing, "there is no service '\(word)' here")
        }
        return found
    }

    private func register(_ exchange: HTTPExchange, _ query: inout HTTPQuery) throws {
        let replaces = try query.takeFlag("replace-existing-checks")
        let body = try exchange.json(limits: Self.bodyLimits)
        let caller = exchange.remote?.address.description ?? settings.address
        var (instance, checks) = try reading.service(body, caller: caller)
        let id = instance.id.isEmpty ? host.operate { engine, _ in (engine.id(for: instance), []) } : instance.id
        RegistrationReading.name(&instance, &checks, id: id)
        if replaces {
            for check in catalog.ownChecks(of: instance.key) where !checks.contains(where: { $0.id == check.id }) {
                host.submit(.deregister(node: check.node, instance: nil, check: check.id, unlessAfter: nil))
            }
        }
        let node = CatalogNode(name: settings.node, address: "")
        carryOut(exchange, .register(node: node, instance: instance, checks: checks))
    }

    /// Consul's clients send no member twice, but people do who paste.
    static let bodyLimits = JSONLimits(bytes: 1 << 20, depth: 32, values: 100_000)

    private func maintain(_ exchange: HTTPExchange, _ query: inout HTTPQuery, service: String) throws {
        let id = CatalogCheck.maintenanceID(of: service)
        guard let begins = try query.takeBoolean("enable") else {
            throw HTTPProblem(400, "is maintenance to begin or to end?", remedy: "add ?enable=true or ?enable=false")
        }
        guard begins else {
            // It may not have been in maintenance: then it is not afterwards.
            return host.submit(.deregister(node: settings.node, instance: nil, check: id, unlessAfter: nil)) { _ in
                exchange.answer()
            }
        }
        var check = CatalogCheck(
            node: settings.node, id: id, name: service.isEmpty ? "Node Maintenance Mode" : "Service Maintenance Mode")
        check.serviceID = service
        check.notes = try query.take("reason") ?? "Maintenance mode is enabled, without a reason"
        let node = CatalogNode(name: settings.node, address: "")
        carryOut(exchange, .register(node: node, instance: nil, checks: [check]))
    }

    private func report(_ exchange: HTTPExchange, _ query: inout HTTPQuery) throws {
        let instance = try instance(exchange)
        let failures = try query.takeInteger("failures", 0...1_000_000) ?? 0
        let successes = try query.takeInteger("successes", 0...1_000_000) ?? 0
        let name = host.name(of: exchange.remote)
        carryOut(
            exchange,
            .report(
                node: instance.node, instance: instance.id, failures: failures, successes: successes, by: name))
    }

    /// The status says it in a word: 200, 429 for warning, 503 for critical.
    private func answerHealth(_ exchange: HTTPExchange, _ instances: [ServiceInstance]) {
        let worst = instances.map { catalog.status(of: $0) }.max() ?? .passing
        let status = worst == .passing ? 200 : worst == .warning ? 429 : 503
        let rows = instances.map { instance in
            JSONValue.object([
                ("AggregatedStatus", .string(catalog.status(of: instance).rawValue)),
                ("Service", catalog.json(of: instance)),
                ("Checks", .array(catalog.checks(of: instance).map(catalog.json(of:)))),
            ])
        }
        exchange.answer(status, json: rows.count == 1 ? rows[0] : .array(rows))
    }
}

extension HTTPExchange {
    /// An empty 200, as Consul's agents answer.
    func answer() { answer(200) }
}
