import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine

/// Shlink's REST API, version 3, as far as it is about links: its clients can make, list, change and delete them.
///
/// Of single visits the last hundred of each link are kept. Not here: geolocation. To a key that holds for an author or
/// a domain, visits that found no link are not there, as to one of Shlink's with `NO_ORPHAN_VISITS`.
final class ShlinkAPI {
    unowned let host: ShortenerHost

    init(_ host: ShortenerHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        router.on("GET", "/rest/health") { [host] exchange in
            exchange.answer(
                host.isReady ? 200 : 503, json: ["status": host.isReady ? "pass" : "fail", "version": "4.0.0"],
                type: "application/health+json")
        }
        on(router, "POST", "/rest/v3/short-urls") { [self] exchange in try create(exchange) }
        on(router, "GET", "/rest/v3/short-urls") { [self] exchange in try list(exchange) }
        on(router, "GET", "/rest/v3/short-urls/{code}") { [self] exchange in
            let code = try key(exchange)
            LinkStatistics(host).read(code, for: exchange) { [self] result in
                guard case .success(let numbers) = result, numbers.link.deletedAt == nil else {
                    return refuse(exchange, code)
                }
                exchange.answer(json: json(numbers.link, exchange, clicks: numbers.clicks, bots: numbers.bots))
            }
        }
        on(router, "PATCH", "/rest/v3/short-urls/{code}") { [self] exchange in try edit(exchange) }
        on(router, "DELETE", "/rest/v3/short-urls/{code}") { [self] exchange in
            let now = host.node.wallClock.wholeMilliseconds
            let code = try key(exchange)
            try host.change(code, for: exchange, what: "deleted", { $0.deletedAt = now }) { [self] result in
                if case .success = result { exchange.answer(204) } else { refuse(exchange, code) }
            }
        }
        on(router, "GET", "/rest/v3/visits") { [self] exchange in totals(exchange, try host.caller(exchange)) }
        on(router, "GET", "/rest/v3/tags") { [self] exchange in try tags(exchange) }
        mountVisits(on: router)
        mountRules(on: router)
        mountDomains(on: router)
    }

    func on(
        _ router: HTTPRouter, _ method: String, _ template: String, _ handler: @escaping (HTTPExchange) throws -> Void
    ) {
        router.on(method, template) { [host] exchange in
            host.whenReady(exchange) {
                do throws(HTTPProblem) { try host.caller(exchange) } catch {
                    var problem = error
                    problem.type = "https://shlink.io/api/error/invalid-api-key"
                    throw problem
                }
                try handler(exchange)
            }
        }
    }

    /// - Parameter key: with the domain, if there was one.
    func refuse(_ exchange: HTTPExchange, _ key: String) {
        let (domain, code) = LinkKey.parts(key)
        let place = domain.map { " for domain \"\($0)\"" } ?? ""
        var problem = HTTPProblem(
            404, "No URL found with short code \"\(code)\"\(place)",
            remedy: "GET /rest/v3/short-urls lists those that there are")
        problem.type = "https://shlink.io/api/error/short-url-not-found"
        problem.title = "Short URL not found"
        problem.members = [("shortCode", .string(code))] + (domain.map { [("domain", .string($0))] } ?? [])
        exchange.refuse(problem)
    }

    // MARK: Making and changing

    private func create(_ exchange: HTTPExchange) throws {
        let body = JSONCursor(try exchange.json())
        var draft = LinkDraft(target: try body["longUrl"].string())
        draft.alias = try body["customSlug"].ifPresent?.string()
        draft.domain = try body["domain"].ifPresent.flatMap { try host.domain(try $0.string(), exchange) }
        draft.codeLength = try body["shortCodeLength"].ifPresent.map { cursor in
            guard let length = try? cursor.integer(in: Self.codeLengths) else {
                throw Self.invalid(["shortCodeLength"])
            }
            return length
        }
        draft.validSince = try LinkAPI.moment(body["validSince"])
        draft.expiresAt = try LinkAPI.moment(body["validUntil"])
        draft.maxVisits = try body["maxVisits"].ifPresent?.integer(in: 1...1_000_000_000_000)
        draft.title = try body["title"].ifPresent?.string()
        draft.tags = try body["tags"].ifPresent?.array().map { try $0.string() } ?? []
        draft.forwardsQuery = try body["forwardQuery"].ifPresent?.bool() ?? true
        draft.findsExisting = try body["findIfExists"].ifPresent?.bool() ?? false
        draft.comparesGiven = true
        draft.caller = try host.caller(exchange)
        // Links through this door are changed more often than followed by search engines.
        draft.redirect = .found
        try host.make(draft, for: exchange) { [self] result in
            switch result {
            case .success(let made) where made.isNew:
                exchange.answer(json: json(made.link, exchange, clicks: 0, bots: 0))
            case .success(let made):
                LinkStatistics(host).read(made.link.code) { [self] result in
                    guard case .success(let numbers) = result else { return refuse(exchange, made.link.code) }
                    exchange.answer(json: json(numbers.link, exchange, clicks: numbers.clicks, bots: numbers.bots))
                }
            case .failure(var problem):
                if problem.status == 409 {
                    problem.status = 400
                    problem.type = "https://shlink.io/api/error/non-unique-slug"
                    problem.title = "Invalid custom slug"
                }
                exchange.refuse(problem)
            }
        }
    }

    /// Shlink asks for four at least; longer ones than these nobody can count.
    private static let codeLengths = 4...ShortCode.lengths.upperBound

    private func edit(_ exchange: HTTPExchange) throws {
        let code = try key(exchange)
        let body = JSONCursor(try exchange.json())
        let target = try body["longUrl"].ifPresent.map { try host.checkedTarget(try $0.string(), exchange) }
        let since = try Self.change(body["validSince"], LinkAPI.moment)
        let until = try Self.change(body["validUntil"], LinkAPI.moment)
        let visits = try Self.change(body["maxVisits"]) { try $0.ifPresent?.integer(in: 1...1_000_000_000_000) }
        let title = try Self.change(body["title"]) { try $0.ifPresent?.string() }
        let tags = try body["tags"].ifPresent?.array().map { try $0.string() }
        try host.checkDetails(title: title ?? nil, tags: tags ?? [])
        try host.change(code, for: exchange, what: "changed") { (link) throws(HTTPProblem) in
            if link.deletedAt != nil { throw ShortenerHost.missing(code) }
            if let target { link.target = target }
            if let since { link.validSince = since }
            if let until { link.expiresAt = until }
            if let visits { link.maxVisits = visits }
            if let title { link.title = title }
            if let tags { link.tags = tags }
        } _: { [self] result in
            switch result {
            case .success(let link):
                LinkStatistics(host).read(code) { [self] result in
                    guard case .success(let numbers) = result else { return refuse(exchange, code) }
                    exchange.answer(json: json(link, exchange, clicks: numbers.clicks, bots: numbers.bots))
                }
            case .failure(let problem) where problem.status == 404: refuse(exchange, code)
            case .failure(let problem): exchange.refuse(problem)
            }
        }
    }

    /// Nil: it is not named, and stays. A null takes it away.
    private static func change<Value>(_ cursor: JSONCursor, _ read: (JSONCursor) throws -> Value?) throws -> Value?? {
        cursor.value == nil ? nil : .some(try read(cursor))
    }

    // MARK: Reading

    func json(_ link: Link, _ exchange: HTTPExchange, clicks: Int, bots: Int) -> JSONValue {
        [
            "shortUrl": .string(host.shortURL(link.code, exchange)), "shortCode": .string(link.slug),
            "longUrl": .string(link.target), "dateCreated": .string("\(link.createdAt)"),
            "tags": .array(link.tags.map { .string($0) }),
            "meta": [
                "validSince": LinkAPI.json(link.validSince), "validUntil": LinkAPI.json(link.expiresAt),
                "maxVisits": link.maxVisits.map { .integer($0) } ?? .null,
            ],
            "domain": link.domain.map { .string($0) } ?? .null, "title": link.title.map { .string($0) } ?? .null,
            "crawlable": false,
            "forwardQuery": .bool(link.forwardsQuery), "hasRedirectRules": .bool(!link.rules.isEmpty),
            "visitsSummary": ["total": .integer(clicks), "nonBots": .integer(clicks - bots), "bots": .integer(bots)],
        ]
    }

    private func totals(_ exchange: HTTPExchange, _ caller: Caller) {
        host.clicks.flush { [host] _ in
            host.database.run([
                LinkStatement(
                    "SELECT sum(visits), sum(bots) FROM url_links WHERE \(LinkTables.within("$1", "$2"))",
                    caller.filter),
                LinkStatement(
                    "SELECT sum(clicks), sum(CASE WHEN name = 'bot' THEN clicks ELSE 0 END) FROM url_agents "
                        + "WHERE code = $1", [.text(caller.isAdmin ? Click.orphans : "")]),
            ]) { result in
                switch result {
                case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
                case .success(let answers):
                    let summaries = answers.map { rows -> JSONValue in
                        let (all, bots) = (rows.first?.first?.integer ?? 0, rows.first?.last?.integer ?? 0)
                        return ["total": .integer(all), "nonBots": .integer(all - bots), "bots": .integer(bots)]
                    }
                    exchange.answer(json: [
                        "visits": [
                            "nonOrphanVisits": summaries[0], "orphanVisits": summaries[1],
                            "visitsCount": summaries[0]["total"] ?? 0, "orphanVisitsCount": summaries[1]["total"] ?? 0,
                        ]
                    ])
                }
            }
        }
    }

    private func tags(_ exchange: HTTPExchange) throws {
        let sql =
            "SELECT DISTINCT tags FROM url_links WHERE deleted_at IS NULL AND tags <> '' "
            + "AND \(LinkTables.within("$1", "$2")) LIMIT 100000"
        host.database.run(sql, try host.caller(exchange).filter) { result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let rows):
                let names = Set(rows.flatMap { LinkTables.tags($0.first?.text ?? "") }).sorted()
                exchange.answer(json: ["tags": ["data": .array(names.map { .string($0) })]])
            }
        }
    }
}
