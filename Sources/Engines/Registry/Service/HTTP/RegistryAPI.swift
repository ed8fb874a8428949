import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import RegistryEngine

/// Consul's HTTP API, as far as its clients need it.
///
/// Parameters that mean nothing here (`token`, `ns`, `cached` …) are passed over, as Consul does: its clients send them
/// unasked.
final class RegistryAPI {
    unowned let host: RegistryHost

    init(_ host: RegistryHost) { self.host = host }

    var settings: RegistrySettings { host.settings }
    var catalog: RegistryCatalog { host.engine.catalog }
    var reading: RegistrationReading { RegistrationReading(settings) }

    /// The router holds this API by the handlers.
    func mount(on router: HTTPRouter) {
        mountAgent(on: router)
        mountAgentChecks(on: router)
        mountCatalog(on: router)
        mountHealth(on: router)
        mountKeys(on: router)
        mountSessions(on: router)
        mountEvents(on: router)
    }

    func route(
        _ router: HTTPRouter, _ method: String, _ template: String,
        _ handler: @escaping (HTTPExchange, inout HTTPQuery) throws -> Void
    ) {
        let isQuestion = method == "GET" && !template.hasPrefix("/v1/agent/") && !template.hasPrefix("/v1/status/")
        router.on(method, template) { [self] exchange in
            host.counted()
            var query = try exchange.query()
            let isStale = try query.take("stale") != nil
            try expectDatacenter(try query.take("dc"))
            guard isQuestion, !isStale, host.group != nil else { return try handler(exchange, &query) }
            host.whenCurrent { trouble in
                exchange.handle { exchange in
                    if let trouble { throw trouble }
                    try handler(exchange, &query)
                }
            }
        }
    }

    /// There is one datacenter here: an answer about another one would be about the wrong one.
    ///
    /// - Throws: `HTTPProblem` with Consul's words.
    private func expectDatacenter(_ name: String?) throws(HTTPProblem) {
        guard let name, !name.isEmpty, name.lowercased() != settings.datacenter.lowercased() else { return }
        throw HTTPProblem(
            500, "No path to datacenter", remedy: "this is \(settings.datacenter); ask a registry of \(name)")
    }

    /// Has a command carried out, and answers what it was refused for; everything else is the caller's to answer.
    func carryOut(
        _ exchange: HTTPExchange, _ command: RegistryCommand, _ then: @escaping (RegistryOutcome) -> Void
    ) {
        host.submit(command) { outcome in
            if case .refused(let error) = outcome {
                exchange.refuse(RegistryHost.problem(error))
            } else {
                then(outcome)
            }
        }
    }

    /// The same with an answer that is empty, as Consul's agents give it.
    func carryOut(_ exchange: HTTPExchange, _ command: RegistryCommand) {
        carryOut(exchange, command) { _ in exchange.answer() }
    }

    /// For clients that use either method, as those of different ages do.
    func routePut(
        _ router: HTTPRouter, _ template: String, _ handler: @escaping (HTTPExchange, inout HTTPQuery) throws -> Void
    ) {
        route(router, "PUT", template, handler)
        route(router, "POST", template, handler)
    }

    // MARK: Questions

    /// How a question is to be answered.
    struct Options {
        /// What the client knows already; nil: answer at once.
        var index: UInt64?
        var wait = LabDuration.seconds(300)
        var isPretty = false
        var filter: CatalogFilter?

        private static let longestWait = LabDuration.seconds(600)

        /// - Throws: `HTTPError`, `RegistryError`.
        init(_ query: inout HTTPQuery) throws {
            if let text = try query.take("index"), !text.isEmpty {
                guard let index = UInt64(text) else { throw HTTPProblem(400, "index: '\(text)' is no number") }
                self.index = index
            }
            if let text = try query.take("wait"), !text.isEmpty {
                guard let wait = LabDuration(parsing: text) else {
                    throw HTTPProblem(400, "wait: '\(text)' is not a duration such as 60s")
                }
                self.wait = wait == .zero ? self.wait : min(wait, Self.longestWait)
            }
            isPretty = try query.take("pretty") != nil
            if let text = try query.take("filter"), !text.isEmpty { filter = try CatalogFilter(parsing: text) }
        }
    }

    /// Answers with what `make` makes of the catalogue: at once, or when one of the topics has changed beyond what the
    /// client knows, or when it has waited long enough.
    ///
    /// A client that knows more than there is was told by a registry that is no more (its catalogue began anew): it is
    /// answered at once, and learns the present index.
    func answer(
        _ exchange: HTTPExchange, _ options: Options, _ topics: [WatchTopic], service: String? = nil,
        make: @escaping (RegistryCatalog) throws -> JSONValue
    ) throws {
        let current = topics.map(catalog.index(of:)).max() ?? 1
        guard let known = options.index, known > 0, known == current || known > current && known <= catalog.lastIndex
        else { return try finish(exchange, options, topics, service, way: "query", make) }
        let client = host.name(of: exchange.remote)
        var waiter: WatchTable.Waiter!
        waiter = .init(topics, index: known, question: Self.question(exchange)) { [self, unowned exchange] made in
            if let service { host.seen(service, by: client, way: "watch") }
            let bytes = made ?? (try? Self.bytes(make(catalog), options))
            respond(exchange, bytes ?? [], topics)
            return bytes
        }
        host.watches.add(waiter)
        exchange.onAbandon = { [watches = host.watches, waiter] in watches.remove(waiter!) }
        let jitter = host.node.draw { $0.jitter(LabDuration(nanoseconds: options.wait.nanoseconds / 32)) }
        let limit = options.wait + LabDuration(nanoseconds: options.wait.nanoseconds / 32) + jitter
        exchange.park(for: limit) { [self, waiter] exchange in
            host.watches.remove(waiter!)
            _ = waiter!.answer(nil)
            _ = exchange
        }
    }

    private func finish(
        _ exchange: HTTPExchange, _ options: Options, _ topics: [WatchTopic], _ service: String?, way: String,
        _ make: (RegistryCatalog) throws -> JSONValue
    ) throws {
        if let service { host.seen(service, by: host.name(of: exchange.remote), way: way) }
        respond(exchange, try Self.bytes(make(catalog), options), topics)
    }

    /// Method, path and parameters but for what a waiting client changes.
    private static func question(_ exchange: HTTPExchange) -> String {
        let target = exchange.head.target
        let parts = target.split(separator: "?", maxSplits: 1)
        let query = parts.count < 2 ? [] : parts[1].split(separator: "&")
        return parts[0] + "?"
            + query.filter { !$0.hasPrefix("index=") && !$0.hasPrefix("wait=") }.joined(separator: "&")
    }

    func respond(_ exchange: HTTPExchange, _ bytes: [UInt8], _ topics: [WatchTopic], status: Int = 200) {
        addFields(exchange, topics)
        exchange.answer(status, bytes: bytes, type: "application/json")
    }

    func addFields(_ exchange: HTTPExchange, _ topics: [WatchTopic]) {
        let index = topics.map(catalog.index(of:)).max() ?? max(catalog.lastIndex, 1)
        // Numbers and words: no field is refused.
        try? exchange.addField("X-Consul-Index", String(index))
        try? exchange.addField("X-Consul-KnownLeader", host.knowsLeader ? "true" : "false")
        let contact = host.sinceLeaderContact
        try? exchange.addField("X-Consul-LastContact", String(contact.nanoseconds / 1_000_000))
        try? exchange.addField("X-Consul-Effective-Consistency", consistency(exchange))
    }

    private func consistency(_ exchange: HTTPExchange) -> String {
        let isStale = (try? exchange.query())?.items.contains { $0.name == "stale" } ?? false
        return isStale && host.group != nil ? "stale" : host.leads ? "leader" : "consistent"
    }

    /// The rows that pass the filter, each on a line of its own.
    static func bytes(_ value: JSONValue, _ options: Options) throws -> [UInt8] {
        var value = value
        if let filter = options.filter {
            switch value {
            case .array(let rows): value = .array(try rows.filter { try filter.accepts($0) })
            case .object(let members): value = .object(try members.filter { try filter.accepts($0.value) })
            default: break
            }
        }
        if options.isPretty { return value.bytes(.pretty) + [10] }
        guard case .array(let rows) = value, case .object? = rows.first else { return value.bytes(.spaced) + [10] }
        var bytes = Array("[\n".utf8)
        for (number, row) in rows.enumerated() {
            if number > 0 { bytes += Array(",\n".utf8) }
            row.write(to: &bytes, .spaced)
        }
        return bytes + Array("\n]\n".utf8)
    }

    func answerTrue(_ exchange: HTTPExchange, _ flag: Bool = true) {
        exchange.answer(200, text: flag ? "true\n" : "false\n", type: "application/json")
    }

    /// The id in the path, which may contain slashes (RFC 3986 has them encoded, clients often do not).
    func rest(_ exchange: HTTPExchange, after prefix: String) throws -> String {
        let path = exchange.head.targetPath
        guard path.starts(with: prefix.utf8) else { return "" }
        do throws(PercentCoding.Malformed) {
            return try PercentCoding.decodeText(path.dropFirst(prefix.utf8.count))
        } catch {
            throw HTTPProblem(400, "\(error)")
        }
    }
}

extension HTTPQuery {
    /// A yes or no as Go's programs take it (`strconv.ParseBool`): `true`, `True`, `1`, `f` and the like. Nil if it was
    /// not given.
    ///
    /// - Throws: 400 for other words, and for none unless they mean something.
    mutating func takeBoolean(_ name: String, ifEmpty: Bool? = nil) throws -> Bool? {
        guard let word = try take(name) else { return nil }
        switch word {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default:
            if word.isEmpty, let ifEmpty { return ifEmpty }
            throw HTTPProblem(400, "\(name): '\(word)' is no yes and no no", remedy: "say true or false")
        }
    }
}
