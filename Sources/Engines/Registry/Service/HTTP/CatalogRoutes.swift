import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import RegistryEngine

/// `/v1/catalog`: what there is. `/v1/health`: how it is.
extension RegistryAPI {
    func mountCatalog(on router: HTTPRouter) {
        routePut(router, "/v1/catalog/register") { [self] exchange, _ in
            let command = try reading.catalogRegistration(try exchange.json(limits: Self.bodyLimits))
            carryOut(exchange, .catalogued(command)) { [self] _ in answerTrue(exchange) }
        }
        routePut(router, "/v1/catalog/deregister") { [self] exchange, _ in
            let command = try reading.catalogDeregistration(try exchange.json(limits: Self.bodyLimits))
            // As Consul does: what is not there need not be taken off.
            host.submit(.catalogued(command)) { [self] outcome in
                if case .refused(let error) = outcome, error.kind != .missing {
                    exchange.refuse(RegistryHost.problem(error))
                } else {
                    answerTrue(exchange)
                }
            }
        }
        route(router, "GET", "/v1/catalog/datacenters") { [self] exchange, _ in
            exchange.answer(json: .array([.string(settings.datacenter)]))
        }
        route(router, "GET", "/v1/catalog/nodes") { [self] exchange, query in
            let options = try Options(&query)
            let meta = try Self.metadata(&query)
            try answer(exchange, options, [.nodes]) { [settings] catalog in
                let nodes = catalog.sortedNodes.filter { Self.has($0.meta, meta) }
                return .array(nodes.map { catalog.json(of: $0, settings) })
            }
        }
        route(router, "GET", "/v1/catalog/services") { [self] exchange, query in
            var options = try Options(&query)
            let meta = try Self.metadata(&query)
            let filter = options.filter
            // It is about instances, and the answer about their names.
            options.filter = nil
            let topics: [WatchTopic] = meta.isEmpty && filter == nil ? [.services] : [.services, .nodes]
            try answer(exchange, options, topics) { [settings] catalog in
                let names = try catalog.serviceNames { instance in
                    try Self.has(catalog.nodes[instance.node]?.meta ?? [:], meta)
                        && filter?.accepts(catalog.catalogRow(of: instance, settings)) ?? true
                }
                return .object(names.map { ($0.name, .array($0.tags.map { .string($0) })) })
            }
        }
        route(router, "GET", "/v1/catalog/service/{name...}") { [self] exchange, query in
            let name = exchange.parameters["name"]
            let options = try Options(&query)
            let choice = try Choice(&query)
            try answer(exchange, options, [.service(name)], service: name) { [settings] catalog in
                .array(choice.instances(of: name, catalog).map { catalog.catalogRow(of: $0, settings) })
            }
        }
        mountCatalogNodes(on: router)
    }

    private func mountCatalogNodes(on router: HTTPRouter) {
        routeNode(router, "/v1/catalog/node/{name...}") { services, catalog in
            .object(services.map { ($0.id, catalog.json(of: $0)) })
        }
        routeNode(router, "/v1/catalog/node-services/{name...}") { services, catalog in
            .array(services.map { catalog.json(of: $0) })
        }
    }

    /// A node with its services, in the form that `list` gives them.
    private func routeNode(
        _ router: HTTPRouter, _ template: String,
        _ list: @escaping ([ServiceInstance], RegistryCatalog) -> JSONValue
    ) {
        route(router, "GET", template) { [self] exchange, query in
            let name = exchange.parameters["name"]
            try answer(exchange, try Options(&query), [.node(name)]) { [settings] catalog in
                guard let node = catalog.nodes[name] else { return .null }
                let services = catalog.instances(onNode: name).sorted { $0.id < $1.id }
                return .object([("Node", catalog.json(of: node, settings)), ("Services", list(services, catalog))])
            }
        }
    }

    // MARK: Health

    func mountHealth(on router: HTTPRouter) {
        route(router, "GET", "/v1/health/service/{name...}") { [self] exchange, query in
            let name = exchange.parameters["name"]
            let options = try Options(&query)
            let choice = try Choice(&query)
            try answer(exchange, options, [.service(name)], service: name) { [settings] catalog in
                .array(choice.instances(of: name, catalog).map { catalog.healthRow(of: $0, settings) })
            }
        }
        route(router, "GET", "/v1/health/node/{name...}") { [self] exchange, query in
            let name = exchange.parameters["name"]
            try answer(exchange, try Options(&query), [.node(name)]) { catalog in
                .array(catalog.checks(onNode: name).map(catalog.json(of:)))
            }
        }
        route(router, "GET", "/v1/health/checks/{name...}") { [self] exchange, query in
            let name = exchange.parameters["name"]
            try answer(exchange, try Options(&query), [.service(name)], service: name) { catalog in
                let checks = catalog.instances(of: name).flatMap { catalog.ownChecks(of: $0.key) }
                return .array(checks.map(catalog.json(of:)))
            }
        }
        route(router, "GET", "/v1/health/state/{state}") { [self] exchange, query in
            let word = exchange.parameters["state"]
            let status = ServiceStatus(rawValue: word)
            guard status != nil || word == "any" else {
                throw HTTPProblem(400, "'\(word)' is none of any, passing, warning, critical")
            }
            try answer(exchange, try Options(&query), [.checks]) { catalog in
                let checks = catalog.sortedNodes.flatMap { catalog.checks(onNode: $0.name) }
                return .array(checks.filter { status == nil || $0.status == status }.map(catalog.json(of:)))
            }
        }
    }

    // MARK: Which instances

    /// What a question about a service restricts its answer to.
    struct Choice {
        private var tags: [String]
        private var isPassingOnly = false
        private var meta: [String: String]
        private var near: String?

        /// - Throws: `HTTPError`.
        init(_ query: inout HTTPQuery) throws {
            tags = query.takeAll("tag")
            // `?passing` is enough; `?passing=false` says no.
            isPassingOnly = try query.takeBoolean("passing", ifEmpty: true) ?? isPassingOnly
            meta = try RegistryAPI.metadata(&query)
            near = try query.take("near")
        }

        func instances(of name: String, _ catalog: RegistryCatalog) -> [ServiceInstance] {
            var found = catalog.instances(of: name).filter { instance in
                tags.allSatisfy { tag in instance.tags.contains { $0.lowercased() == tag.lowercased() } }
                    && (!isPassingOnly || catalog.status(of: instance) == .passing)
                    && RegistryAPI.has(catalog.nodes[instance.node]?.meta ?? [:], meta)
            }
            // There are no coordinates here: the node itself is near, all others are as far.
            if let near { found = found.filter { $0.node == near } + found.filter { $0.node != near } }
            return found
        }
    }

    /// `node-meta=key:value`, as often as it stands there.
    static func metadata(_ query: inout HTTPQuery) throws -> [String: String] {
        var meta: [String: String] = [:]
        for pair in query.takeAll("node-meta") {
            let key = pair.prefix { $0 != ":" }
            meta[String(key)] = String(pair.dropFirst(key.count + 1))
        }
        return meta
    }

    static func has(_ meta: [String: String], _ wanted: [String: String]) -> Bool {
        wanted.allSatisfy { meta[$0.key] == $0.value }
    }
}
