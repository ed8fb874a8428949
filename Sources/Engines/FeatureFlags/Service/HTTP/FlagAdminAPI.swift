import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire

/// The API for people and for `flags-cli`: answers are text, or JSON for those who accept it.
///
/// Every change may say in which environment it is meant (`?env=development`); without that it is the first one.
final class FlagAdminAPI {
    unowned let host: FeatureFlagsHost

    static let root = "/api/flags"

    init(_ host: FeatureFlagsHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        mountFlags(on: router)
        mountTargeting(on: router)
        mountQuestions(on: router)
        mountExperiments(on: router)
        mountSurroundings(on: router)
        router.on("GET", "/") { exchange in try FlagPage.page.answer(exchange) }
    }

    // MARK: What all routes have in common

    /// A request of an administrator, read as far as all are alike.
    struct Request {
        let exchange: HTTPExchange
        let who: String
        /// As it was said; nil for the first one.
        let environment: String?
        var query: HTTPQuery
        var name: String { exchange.parameters["name"] }

        /// The body; an empty object for none.
        func body(_ members: [String]) throws -> JSONCursor {
            let body = JSONCursor(exchange.body.isEmpty ? .object([]) : try exchange.json())
            try body.expectNoMembers(besides: members)
            return body
        }
    }

    func route(
        _ router: HTTPRouter, _ method: String, _ template: String, as kind: FlagToken.Kind = .admin,
        _ handler: @escaping (inout Request) throws -> Void
    ) {
        router.on(method, template) { [self] exchange in
            let token = try host.admit(exchange, as: kind)
            if token == nil, kind == .admin { try exchange.refuseForeignPages() }
            var query = try exchange.query()
            let environment = try query.take("env")
            var request = Request(
                exchange: exchange, who: host.person(exchange, token), environment: environment, query: query)
            try handler(&request)
        }
    }

    func answer(_ exchange: HTTPExchange, _ answer: FlagAnswer, status: Int = 200) {
        let isJSON = exchange.prefersJSON
        // A terminal says how wide it is; everybody else gets all of it.
        let columns = exchange.field("X-Flags-Columns").flatMap { Int($0) }.map { min(max($0, 20), 1000) }
        exchange.answer(
            status, text: host.render(answer, isJSON, columns),
            type: isJSON ? "application/json" : "text/plain; charset=utf-8")
    }

    /// Makes a change, and answers when it is durable.
    func change(_ request: Request, _ change: FlagChange) throws {
        try request.query.expectNothingElse()
        try host.change(change, by: request.who) { [self] outcome in
            answer(request.exchange, .changed(outcome.lines.map { "[FLAGS] \($0)" }))
        }
    }

    /// What becomes a path: a change without a body.
    private func routeChange(
        _ router: HTTPRouter, _ method: String, _ template: String, _ make: @escaping (Request) throws -> FlagChange
    ) {
        route(router, method, template) { [self] request in try change(request, try make(request)) }
    }

    // MARK: Flags

    private func mountFlags(on router: HTTPRouter) {
        let one = Self.root + "/{name}"
        route(router, "GET", Self.root) { [self] request in
            let isArchived = try request.query.takeFlag("archived")
            try request.query.expectNothingElse()
            let environment = try host.store.environment(request.environment)
            let flags =
                isArchived
                ? host.store.flags.values.filter(\.isArchived).sorted { $0.name < $1.name } : host.store.activeFlags
            answer(request.exchange, .flags(flags, environment: environment))
        }
        route(router, "POST", Self.root) { [self] request in try create(request) }
        route(router, "GET", one) { [self] request in
            try request.query.expectNothingElse()
            let environment = try host.store.environment(request.environment)
            let flag = try host.store.flag(request.name)
            let schedule = host.store.schedule(of: flag.name, in: environment)
            let segments = host.store.segments.mapValues(\.name)
            answer(
                request.exchange, .flag(flag, environment: environment, schedule: schedule, segments: segments))
        }
        route(router, "PATCH", one) { [self] request in
            let text = try request.body(["description"])["description"].string()
            try change(request, .describe(name: request.name, text: text))
        }
        routeChange(router, "DELETE", one) { .archive(name: $0.name) }
        routeChange(router, "POST", one + "/revive") { .revive(name: $0.name) }
        routeChange(router, "POST", one + "/kill") { .kill(name: $0.name) }
        routeChange(router, "POST", one + "/enable") {
            .setEnabled(name: $0.name, environment: $0.environment, true)
        }
        routeChange(router, "POST", one + "/disable") {
            .setEnabled(name: $0.name, environment: $0.environment, false)
        }
        routeChange(router, "POST", one + "/stale") { .setStale(name: $0.name, true) }
        routeChange(router, "DELETE", one + "/stale") { .setStale(name: $0.name, false) }
        route(router, "PUT", one + "/dependencies") { [self] request in
            let list = try request.body(["dependencies"])["dependencies"].array().map { try FlagDependency($0) }
            try change(request, .setDependencies(name: request.name, list))
        }
        route(router, "PUT", one + "/variants") { [self] request in
            let variants = try request.body(["variants"])["variants"].array().map { try FlagVariantDefinition($0) }
            try change(
                request, .setVariants(name: request.name, environment: request.environment, variants))
        }
    }

    private func create(_ request: Request) throws {
        try request.query.expectNothingElse()
        let body = try request.body(["name", "type", "kind", "description"])
        let name = try body["name"].string()
        let type = try body["type"].ifPresent?.string() ?? "boolean"
        guard ["boolean", "variant"].contains(type) else {
            throw body["type"].error("'\(type)' is neither boolean nor variant")
        }
        let word = try body["kind"].ifPresent?.string() ?? "release"
        guard let kind = FlagKind(rawValue: word) else {
            let all = FlagKind.allCases.map(\.rawValue)
            throw body["kind"].error(
                "'\(word)' is none of \(all.joined(separator: ", "))\(didYouMean(word, among: all))")
        }
        let description = try body["description"].ifPresent?.string() ?? ""
        try host.change(
            .create(name: name, kind: kind, hasVariants: type == "variant", description: description), by: request.who
        ) { [self] _ in
            guard let flag = host.store.flags[name] else { return request.exchange.answer(404) }
            answer(request.exchange, .created(flag), status: 201)
        }
    }

    // MARK: Who sees it

    private func mountTargeting(on router: HTTPRouter) {
        let one = Self.root + "/{name}"
        route(router, "PUT", one + "/rollout") { [self] request in
            let body = try request.body(["percent", "stickiness"])
            let percent = try body["percent"].integer(in: 0...100)
            let stickiness = try body["stickiness"].ifPresent?.string()
            try change(
                request,
                .rollOut(
                    name: request.name, environment: request.environment, percent: percent, stickiness: stickiness))
        }
        route(router, "POST", one + "/rules") { [self] request in
            let body = try request.body(["rule", "segment", "percent"])
            let percent = try body["percent"].ifPresent?.integer(in: 0...100) ?? 100
            try change(
                request,
                .target(
                    name: request.name, environment: request.environment, rule: try body["rule"].ifPresent?.string(),
                    segment: try body["segment"].ifPresent?.string(), percent: percent))
        }
        route(router, "DELETE", one + "/rules") { [self] request in
            let rule = try request.query.take("rule")
            let segment = try request.query.take("segment")
            try change(
                request,
                .untarget(name: request.name, environment: request.environment, rule: rule, segment: segment))
        }
        route(router, "PUT", one + "/strategies") { [self] request in
            let strategies = try request.body(["strategies"])["strategies"].array().map { try FlagStrategy($0) }
            try change(request, .setStrategies(name: request.name, environment: request.environment, strategies))
        }
        route(router, "PUT", one + "/schedule") { [self] request in
            let body = try request.body(["steps", "every", "start"])
            let text = try body["every"].string()
            guard let every = LabDuration(parsing: text) else {
                throw body["every"].error("'\(text)' is no time such as 1h")
            }
            let start = try body["start"].ifPresent.map { cursor in
                guard let time = LabTime(parsing: try cursor.string()) else {
                    throw cursor.error("no time such as 2023-12-20T15:00:00Z")
                }
                return time
            }
            let steps = try body["steps"].array().map { try $0.integer(in: 0...100) }
            try change(
                request,
                .schedule(
                    name: request.name, environment: request.environment, steps: steps, every: every, start: start))
        }
        routeChange(router, "DELETE", one + "/schedule") {
            .unschedule(name: $0.name, environment: $0.environment)
        }
    }
}
