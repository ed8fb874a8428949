import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import RegistryEngine

/// `/v1/session` and `/v1/event`.
extension RegistryAPI {
    private func newID() -> String { host.newID() }

    func mountSessions(on router: HTTPRouter) {
        routePut(router, "/v1/session/create") { [self] exchange, _ in
            let body = exchange.body.isEmpty ? JSONValue.object([]) : try exchange.json(limits: Self.bodyLimits)
            let session = try reading.session(body, id: newID())
            carryOut(exchange, .createSession(session)) { _ in
                exchange.answer(json: .object([("ID", .string(session.id))]))
            }
        }
        routePut(router, "/v1/session/destroy/{id}") { [self] exchange, _ in
            carryOut(exchange, .destroySession(exchange.parameters["id"])) { [self] _ in answerTrue(exchange) }
        }
        routePut(router, "/v1/session/renew/{id}") { [self] exchange, _ in
            let id = exchange.parameters["id"]
            carryOut(exchange, .renewSession(id)) { [self] _ in
                exchange.answer(json: .array(catalog.sessions[id].map { [RegistryCatalog.json(of: $0)] } ?? []))
            }
        }
        route(router, "GET", "/v1/session/info/{id}") { [self] exchange, query in
            let id = exchange.parameters["id"]
            try answerSessions(exchange, &query) { $0.id == id }
        }
        route(router, "GET", "/v1/session/node/{name...}") { [self] exchange, query in
            let name = exchange.parameters["name"]
            try answerSessions(exchange, &query) { $0.node == name }
        }
        route(router, "GET", "/v1/session/list") { [self] exchange, query in
            try answerSessions(exchange, &query) { _ in true }
        }
    }

    private func answerSessions(
        _ exchange: HTTPExchange, _ query: inout HTTPQuery, _ isMeant: @escaping (RegistrySession) -> Bool
    ) throws {
        try answer(exchange, try Options(&query), [.sessions]) { catalog in
            let sessions = catalog.sessions.values.filter(isMeant)
            return .array(
                sessions.sorted { ($0.createIndex, $0.id) < ($1.createIndex, $1.id) }.map(RegistryCatalog.json(of:)))
        }
    }

    // MARK: Events

    func mountEvents(on router: HTTPRouter) {
        routePut(router, "/v1/event/fire/{name...}") { [self] exchange, query in
            var event = RegistryEvent(id: newID(), name: exchange.parameters["name"])
            event.payload = exchange.body
            event.nodeFilter = try query.take("node") ?? ""
            event.serviceFilter = try query.take("service") ?? ""
            event.tagFilter = try query.take("tag") ?? ""
            guard event.payload.count <= Self.payloadLimitBytes else {
                throw HTTPProblem(413, "the payload is larger than \(byteCountText(Self.payloadLimitBytes))")
            }
            carryOut(exchange, .fire(event)) { _ in exchange.answer(json: RegistryCatalog.json(of: event)) }
        }
        route(router, "GET", "/v1/event/list") { [self] exchange, query in
            let name = try query.take("name") ?? ""
            try answer(exchange, try Options(&query), [.events]) { catalog in
                .array(catalog.events.filter { name.isEmpty || $0.name == name }.map(RegistryCatalog.json(of:)))
            }
        }
    }

    private static let payloadLimitBytes = 64 * 1024
}
