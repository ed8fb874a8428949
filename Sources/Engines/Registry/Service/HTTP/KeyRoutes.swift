import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import RegistryEngine

/// `/v1/kv`: keys and values, and locks on them. `/v1/txn`: several at once.
extension RegistryAPI {
    private static let root = "/v1/kv/"

    func mountKeys(on router: HTTPRouter) {
        for template in ["/v1/kv", "/v1/kv/{key...}"] {
            route(router, "GET", template) { [self] exchange, query in try getKey(exchange, &query) }
            routePut(router, template) { [self] exchange, query in try putKey(exchange, &query) }
            route(router, "DELETE", template) { [self] exchange, query in try deleteKey(exchange, &query) }
        }
        routePut(router, "/v1/txn") { [self] exchange, _ in try transact(exchange) }
    }

    private func key(_ exchange: HTTPExchange) throws -> String { try rest(exchange, after: Self.root) }

    private func getKey(_ exchange: HTTPExchange, _ query: inout HTTPQuery) throws {
        let key = try key(exchange)
        let options = try Options(&query)
        let separator = try query.take("separator") ?? ""
        if try query.take("keys") != nil {
            return try answerRows(exchange, options, prefix: key) { catalog in
                Self.names(catalog.entries[under: key].map(\.key), prefix: key, separator).map { .string($0) }
            }
        }
        if try query.take("recurse") != nil {
            return try answerRows(exchange, options, prefix: key) { catalog in
                catalog.entries[under: key].map(RegistryCatalog.json(of:))
            }
        }
        guard !key.isEmpty else { throw HTTPProblem(400, "which key?", remedy: "or add ?recurse") }
        if try query.take("raw") != nil, options.index == nil {
            addFields(exchange, [.key(key)])
            guard let entry = catalog.entries[key] else { return exchange.answer(404) }
            return exchange.answer(bytes: entry.value, type: "text/plain; charset=utf-8")
        }
        try answerKey(exchange, options, key)
    }

    /// One key; 404 without a body if there is none, as Consul's clients expect.
    private func answerKey(_ exchange: HTTPExchange, _ options: Options, _ key: String) throws {
        if catalog.entries[key] == nil, options.index.map({ $0 < catalog.index(of: .key(key)) }) ?? true {
            addFields(exchange, [.key(key)])
            return exchange.answer(404)
        }
        try answer(exchange, options, [.key(key)]) { catalog in
            .array(catalog.entries[key].map { [RegistryCatalog.json(of: $0)] } ?? [])
        }
    }

    private func answerRows(
        _ exchange: HTTPExchange, _ options: Options, prefix: String, _ rows: @escaping (RegistryCatalog) -> [JSONValue]
    ) throws {
        let topic = WatchTopic.prefix(prefix)
        if rows(catalog).isEmpty, options.index.map({ $0 < catalog.index(of: topic) }) ?? true {
            addFields(exchange, [topic])
            return exchange.answer(404)
        }
        try answer(exchange, options, [topic]) { .array(rows($0)) }
    }

    /// Keys up to the separator behind the prefix, each once.
    static func names(_ keys: [String], prefix: String, _ separator: String) -> [String] {
        guard !separator.isEmpty else { return keys }
        var names: [String] = []
        for key in keys {
            var name = key
            let rest = key.dropFirst(prefix.count)
            if let range = rest.firstRange(of: separator) { name = String(key[..<range.upperBound]) }
            if names.last != name { names.append(name) }
        }
        return names
    }

    private func putKey(_ exchange: HTTPExchange, _ query: inout HTTPQuery) throws {
        let key = try key(exchange)
        let flags = UInt64(try query.takeInteger("flags", 0...Int.max) ?? 0)
        let value = exchange.body
        let operation: KeyOperation
        if let index = try query.takeInteger("cas", 0...Int.max) {
            operation = .compareAndSet(key: key, value: value, flags: flags, index: UInt64(index))
        } else if let session = try query.take("acquire") {
            let isHeld = catalog.session(holding: key) == session
            if !isHeld, host.operate({ engine, now in (engine.isDelayed(key, now: now), []) }) {
                return answerTrue(exchange, false)
            }
            operation = .acquire(key: key, value: value, flags: flags, session: session)
        } else if let session = try query.take("release") {
            operation = .release(key: key, value: value, flags: flags, session: session)
        } else {
            operation = .set(key: key, value: value, flags: flags)
        }
        carryOut(exchange, .key(operation)) { [self] outcome in answerTrue(exchange, outcome != .unmet) }
    }

    private func deleteKey(_ exchange: HTTPExchange, _ query: inout HTTPQuery) throws {
        let key = try key(exchange)
        let operation: KeyOperation
        if try query.take("recurse") != nil {
            operation = .deleteTree(prefix: key)
        } else if let index = try query.takeInteger("cas", 0...Int.max) {
            operation = .compareAndDelete(key: key, index: UInt64(index))
        } else {
            guard !key.isEmpty else { throw HTTPProblem(400, "which key?", remedy: "or add ?recurse") }
            operation = .delete(key: key)
        }
        carryOut(exchange, .key(operation)) { [self] outcome in answerTrue(exchange, outcome != .unmet) }
    }

    private func transact(_ exchange: HTTPExchange) throws {
        let operations = try reading.transaction(try exchange.json(limits: Self.bodyLimits))
        carryOut(exchange, .transaction(operations)) { outcome in
            guard case .transaction(let entries, let errors) = outcome else { return }
            Self.answer(exchange, entries, errors)
        }
    }

    private static func answer(
        _ exchange: HTTPExchange, _ entries: [KeyEntry], _ errors: [RegistryOutcome.TransactionFailure]
    ) {
        let failures = errors.map { error in
            JSONValue.object([("OpIndex", .integer(error.operation)), ("What", .string(error.text))])
        }
        exchange.answer(
            errors.isEmpty ? 200 : 409,
            json: .object([
                ("Results", .array(entries.map { .object([("KV", RegistryCatalog.json(of: $0))]) })),
                ("Errors", errors.isEmpty ? .null : .array(failures)),
            ]))
    }
}
