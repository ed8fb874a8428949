import FeatureFlagsEngine
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire

/// What is around the flags: the audit log, stale flags, environments, segments, tokens.
extension FlagAdminAPI {
    func mountSurroundings(on router: HTTPRouter) {
        route(router, "GET", "/api/audit") { [self] request in
            let limit = try request.query.takeInteger("limit", 1...FlagStore.auditLimit) ?? 50
            let flag = try request.query.take("flag")
            try request.query.expectNothingElse()
            let environment = try request.environment.map { try host.store.environment($0) }
            let entries = host.store.audit.filter { entry in
                (flag == nil || entry.flag == flag)
                    && (environment == nil || entry.environment == nil || entry.environment == environment)
            }
            answer(request.exchange, .audit(Array(entries.suffix(limit))))
        }
        route(router, "GET", "/api/stale") { [self] request in
            try request.query.expectNothingElse()
            answer(request.exchange, .stale(host.store.staleFlags(now: host.node.wallClock)))
        }
        route(router, "GET", "/api/environments") { [self] request in
            try request.query.expectNothingElse()
            answer(request.exchange, .environments(host.store.environments))
        }
        route(router, "POST", "/api/environments") { [self] request in
            try change(request, .addEnvironment(try request.body(["name"])["name"].string()))
        }
        mountSegments(on: router)
        mountTokens(on: router)
    }

    private func mountSegments(on router: HTTPRouter) {
        route(router, "GET", "/api/segments") { [self] request in
            try request.query.expectNothingElse()
            answer(request.exchange, .segments(host.store.segments.values.sorted { $0.id < $1.id }))
        }
        route(router, "POST", "/api/segments") { [self] request in
            let body = try request.body(["name", "constraints"])
            try putSegment(request, id: 0, body)
        }
        route(router, "PUT", "/api/segments/{id: Int}") { [self] request in
            let id = request.exchange.parameters.integer("id")
            guard host.store.segments[id] != nil else { throw FlagError(.missing, "there is no segment \(id)") }
            try putSegment(request, id: id, try request.body(["name", "constraints"]))
        }
        route(router, "DELETE", "/api/segments/{id: Int}") { [self] request in
            try change(request, .removeSegment(id: request.exchange.parameters.integer("id")))
        }
    }

    private func putSegment(_ request: Request, id: Int, _ body: JSONCursor) throws {
        try request.query.expectNothingElse()
        let constraints = try body["constraints"].array().map { try FlagConstraint($0) }
        let segment = FlagSegment(id: id, name: try body["name"].string(), constraints: constraints)
        try host.change(.putSegment(segment), by: request.who) { [self] outcome in
            let saved = outcome.id.flatMap { Int($0) }.flatMap { host.store.segments[$0] }
            answer(request.exchange, .segments(saved.map { [$0] } ?? []), status: id == 0 ? 201 : 200)
        }
    }

    private func mountTokens(on router: HTTPRouter) {
        route(router, "GET", "/api/tokens") { [self] request in
            try request.query.expectNothingElse()
            answer(request.exchange, .tokens(host.store.tokens.values.sorted { $0.name < $1.name }))
        }
        route(router, "POST", "/api/tokens") { [self] request in
            try request.query.expectNothingElse()
            let body = try request.body(["name", "kind"])
            let word = try body["kind"].ifPresent?.string() ?? "client"
            guard let kind = FlagToken.Kind(rawValue: word) else {
                throw body["kind"].error("'\(word)' is neither client nor admin")
            }
            // 160 bits: nobody guesses them. The form is that of Unleash's tokens.
            let bytes = host.node.draw { random in (0..<20).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
            let digits = bytes.map { hexadecimal(UInt64($0), 2) }.joined()
            let secret = "\(kind == .admin ? "*" : "default"):\(request.environment ?? "*").\(digits)"
            let token = FlagToken(
                name: try body["name"].string(), kind: kind, environment: request.environment,
                digest: FeatureFlagsHost.digest(secret), createdAt: host.node.wallClock)
            let now = host.node.wallClock
            let who = request.who
            let exchange = request.exchange
            try host.commit({ store throws(FlagError) in
                try store.addToken(token, by: who, now: now)
                return FlagOutcome()
            }) { [self] _ in answer(exchange, .token(token, secret: secret), status: 201) }
        }
        route(router, "DELETE", "/api/tokens/{name}") { [self] request in
            try request.query.expectNothingElse()
            let name = request.name
            let now = host.node.wallClock
            let who = request.who
            let exchange = request.exchange
            try host.commit({ store throws(FlagError) in
                try store.removeToken(name, by: who, now: now)
                return FlagOutcome()
            }) { [self] _ in answer(exchange, .changed(["[FLAGS] Token \(name) removed"])) }
        }
    }
}
