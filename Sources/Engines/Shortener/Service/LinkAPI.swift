import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine

/// The documented API: `POST /api/shorten`, `GET /api/stats/{code}`, and what else one wants to do with links.
final class LinkAPI {
    unowned let host: ShortenerHost

    init(_ host: ShortenerHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        on(router, "POST", "/api/shorten") { [self] exchange in try shorten(exchange) }
        on(router, "GET", "/api/stats/{code}") { [self] exchange in
            let code = try host.code(exchange)
            var query = try exchange.query()
            let wantsDetails = try query.takeFlag("details")
            try query.expectNothingElse()
            LinkStatistics(host).read(code, for: exchange) { result in
                Self.answer(exchange, result) { $0.json(details: wantsDetails) }
            }
        }
        on(router, "GET", "/api/links") { [self] exchange in try list(exchange) }
        on(router, "GET", "/api/links/{code}") { [self] exchange in
            let code = try host.code(exchange)
            let caller = try host.caller(exchange)
            host.database.run([LinkTables.select(code)]) { [self] result in
                guard case .success(let rows) = result, let found = rows.first?.first.flatMap(LinkTables.link),
                    caller.mayUse(found.link)
                else {
                    if case .failure(let failure) = result { return exchange.refuse(ShortenerHost.problem(failure)) }
                    return exchange.refuse(ShortenerHost.missing(code))
                }
                exchange.answer(json: json(found.link, exchange, visits: found.visits))
            }
        }
        on(router, "PATCH", "/api/links/{code}") { [self] exchange in
            let change = try LinkChange(JSONCursor(try exchange.json()), host, exchange)
            try apply(change.description, exchange) { (link) throws(HTTPProblem) in try change.apply(to: &link) }
        }
        on(router, "DELETE", "/api/links/{code}") { [self] exchange in
            let now = host.node.wallClock.wholeMilliseconds
            try apply("deleted", exchange) { link in if link.deletedAt == nil { link.deletedAt = now } }
        }
        on(router, "GET", "/api/links/{code}/history") { [self] exchange in try history(exchange) }
        on(router, "GET", "/api/export") { [self] exchange in
            try host.expectAdmin(exchange)
            export(exchange, after: "", [])
        }
        on(router, "POST", "/api/import") { [self] exchange in
            try host.expectAdmin(exchange)
            try LinkImport(host, exchange).begin()
        }
        on(router, "GET", "/api/audit") { [self] exchange in
            try host.expectAdmin(exchange)
            ClickAudit(host: host).answer(exchange)
        }
        on(router, "POST", "/api/audit") { [self] exchange in
            try host.expectAdmin(exchange)
            try SeenClicks(host: host).answer(exchange)
        }
    }

    private func on(
        _ router: HTTPRouter, _ method: String, _ template: String, _ handler: @escaping (HTTPExchange) throws -> Void
    ) {
        router.on(method, template) { [host] exchange in
            host.whenReady(exchange) {
                try host.caller(exchange)
                try handler(exchange)
            }
        }
    }

    static func answer<Value>(
        _ exchange: HTTPExchange, _ result: Result<Value, HTTPProblem>, status: Int = 200, _ json: (Value) -> JSONValue
    ) {
        switch result {
        case .success(let value): answer(exchange, status, json(value))
        case .failure(let problem): exchange.refuse(problem)
        }
    }

    /// A line a member, as it is documented: people read this API's answers in terminals.
    private static func answer(_ exchange: HTTPExchange, _ status: Int, _ value: JSONValue) {
        guard case .object(let members) = value else { return exchange.answer(status, json: value) }
        var bytes = Array("{\n".utf8)
        for (index, member) in members.enumerated() {
            bytes += "  \(JSONValue.string(member.key).text): ".utf8
            member.value.write(to: &bytes, .spaced)
            bytes += (index + 1 < members.count ? ",\n" : "\n").utf8
        }
        exchange.answer(status, bytes: bytes + Array("}\n".utf8), type: "application/json")
    }

    // MARK: Making

    private func shorten(_ exchange: HTTPExchange) throws {
        var draft = try Self.draft(JSONCursor(try exchange.json()), now: host.node.wallClock)
        draft.caller = try host.caller(exchange)
        try host.make(draft, for: exchange) { [host] result in
            switch result {
            case .failure(let problem): exchange.refuse(problem)
            case .success(let made):
                Self.answer(
                    exchange, made.isNew ? 201 : 200,
                    [
                        "short_url": .string(host.shortURL(made.link.code, exchange)),
                        "original_url": .string(made.link.target), "expires_at": Self.json(made.link.expiresAt),
                    ])
            }
        }
    }

    static func draft(_ body: JSONCursor, now: LabTime) throws -> LinkDraft {
        try body.expectNoMembers(besides: [
            "url", "alias", "expires_at", "expires_in", "valid_since", "max_visits", "redirect", "title", "tags",
            "forward_query", "find_existing",
        ])
        var draft = LinkDraft(target: try body["url"].string())
        draft.alias = try body["alias"].ifPresent?.string()
        draft.expiresAt = try moment(body["expires_at"])
        if let seconds = try body["expires_in"].ifPresent?.integer(in: 1...lifeLimitSeconds) {
            draft.expiresAt = now.wholeMilliseconds + .seconds(seconds)
        }
        draft.validSince = try moment(body["valid_since"])
        draft.maxVisits = try body["max_visits"].ifPresent?.integer(in: 1...1_000_000_000_000)
        draft.redirect = try redirect(body["redirect"])
        draft.title = try body["title"].ifPresent?.string()
        draft.tags = try body["tags"].ifPresent?.array().map { try $0.string() } ?? []
        draft.forwardsQuery = try body["forward_query"].ifPresent?.bool() ?? false
        draft.findsExisting = try body["find_existing"].ifPresent?.bool() ?? false
        return draft
    }

    /// A hundred years: what lies behind is no time that the lab can say.
    private static let lifeLimitSeconds = 100 * 366 * 86_400

    static func moment(_ cursor: JSONCursor) throws -> LabTime? {
        guard let text = try cursor.ifPresent?.string() else { return nil }
        guard let time = LabTime(parsing: text) else {
            throw cursor.error("'\(text.prefix(60))' is no time such as 2030-01-31T12:00:00Z, before 2262")
        }
        return time.wholeMilliseconds
    }

    static func redirect(_ cursor: JSONCursor) throws -> Redirect? {
        guard let status = try cursor.ifPresent?.integer() else { return nil }
        guard let redirect = Redirect(rawValue: status) else {
            throw cursor.error("\(status) is none of 301, 302, 307, 308")
        }
        return redirect
    }

    static func json(_ time: LabTime?) -> JSONValue { time.map { .string("\($0)") } ?? .null }

    // MARK: Reading

    func json(_ link: Link, _ exchange: HTTPExchange, visits: Int) -> JSONValue {
        [
            "code": .string(link.code), "short_url": .string(host.shortURL(link.code, exchange)),
            "original_url": .string(link.target), "created_at": Self.json(link.createdAt),
            "valid_since": Self.json(link.validSince), "expires_at": Self.json(link.expiresAt),
            "max_visits": link.maxVisits.map { .integer($0) } ?? .null, "redirect": .integer(link.redirect.rawValue),
            "title": link.title.map { .string($0) } ?? .null, "tags": .array(link.tags.map { .string($0) }),
            "forward_query": .bool(link.forwardsQuery), "rules": .array(link.rules.map(\.json)),
            "owner": link.owner.map { .string($0) } ?? .null, "deleted_at": Self.json(link.deletedAt),
            "version": .integer(link.version), "clicks": .integer(visits),
        ]
    }

    private func list(_ exchange: HTTPExchange) throws {
        var query = try exchange.query()
        let limit = try query.takeInteger("limit", 1...1000) ?? 100
        let after = try query.take("after") ?? ""
        let tag = try query.take("tag")
        try query.expectNothingElse()
        let values: [ColumnValue] =
            [.text(after), .integer(Int64(limit + 1)), .text(tag.map { " \($0) " } ?? "")]
            + (try host.caller(exchange).filter)
        let sql =
            "SELECT \(LinkTables.columns) FROM url_links WHERE code > $1 AND deleted_at IS NULL "
            + "AND ($3 = '' OR replace(tags, $3, '') <> tags) AND \(LinkTables.within("$4", "$5")) "
            + "ORDER BY code LIMIT $2"
        host.database.run(sql, values) { [self] result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let rows):
                let links = rows.prefix(limit).compactMap(LinkTables.link)
                exchange.answer(json: [
                    "links": .array(links.map { json($0.link, exchange, visits: $0.visits) }),
                    "after": rows.count > limit ? links.last.map { .string($0.link.code) } ?? .null : .null,
                ])
            }
        }
    }

    private func history(_ exchange: HTTPExchange) throws {
        let code = try host.code(exchange)
        let filter = try host.caller(exchange).filter
        host.database.run([
            LinkStatement(
                "SELECT 1 FROM url_links WHERE code = $1 AND \(LinkTables.within("$2", "$3"))", [.text(code)] + filter),
            LinkStatement(
                "SELECT version, changed_at, what FROM url_history WHERE code = $1 ORDER BY version LIMIT 1000",
                [.text(code)]),
        ]) { result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let answers) where answers.first?.isEmpty != false:
                exchange.refuse(ShortenerHost.missing(code))
            case .success(let answers):
                exchange.answer(
                    json: .array(
                        answers[1].map { row in
                            [
                                "version": .integer(row[0].integer ?? 0), "changed_at": Self.json(row[1].time),
                                "what": .string(row[2].text ?? ""),
                            ]
                        }))
            }
        }
    }

    /// All links, one as JSON a line, read a thousand at a time.
    private func export(_ exchange: HTTPExchange, after: String, _ before: [UInt8]) {
        let sql = "SELECT \(LinkTables.columns) FROM url_links WHERE code > $1 ORDER BY code LIMIT 1000"
        host.database.run(sql, [.text(after)]) { [self] result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let rows):
                var bytes = before
                let links = rows.compactMap(LinkTables.link)
                for link in links {
                    json(link.link, exchange, visits: link.visits).write(to: &bytes)
                    bytes.append(10)
                }
                guard links.count == 1000, let last = links.last, bytes.count < Self.exportLimitBytes else {
                    return exchange.answer(bytes: bytes, type: "application/x-ndjson")
                }
                export(exchange, after: last.link.code, bytes)
            }
        }
    }

    private static let exportLimitBytes = 256 << 20

    // MARK: Changing

    private func apply(
        _ what: String, _ exchange: HTTPExchange, _ body: @escaping (inout Link) throws(HTTPProblem) -> Void
    ) throws {
        try host.change(try host.code(exchange), for: exchange, what: what, body) { [self] result in
            guard case .success(let link) = result else { return Self.answer(exchange, result) { _ in .null } }
            LinkStatistics(host).read(link.code) { [self] numbers in
                Self.answer(exchange, numbers) { json(link, exchange, visits: $0.clicks) }
            }
        }
    }
}

/// What a PATCH changes; what it does not name stays.
struct LinkChange {
    private var steps: [(name: String, step: (inout Link) -> Void)] = []

    init(_ body: JSONCursor, _ host: ShortenerHost, _ exchange: HTTPExchange) throws {
        try body.expectNoMembers(besides: [
            "url", "expires_at", "valid_since", "max_visits", "redirect", "title", "tags", "forward_query",
        ])
        for (name, value) in try body.members() {
            let step = try Self.step(name, value, host, exchange)
            steps.append((name, step))
        }
    }

    private static func step(
        _ name: String, _ value: JSONCursor, _ host: ShortenerHost, _ exchange: HTTPExchange
    ) throws -> (inout Link) -> Void {
        switch name {
        case "url":
            let target = try host.checkedTarget(try value.string(), exchange)
            return { $0.target = target }
        case "expires_at":
            let time = try LinkAPI.moment(value)
            return { $0.expiresAt = time }
        case "valid_since":
            let time = try LinkAPI.moment(value)
            return { $0.validSince = time }
        case "max_visits":
            let count = try value.ifPresent?.integer(in: 1...1_000_000_000_000)
            return { $0.maxVisits = count }
        case "redirect":
            let redirect = try LinkAPI.redirect(value) ?? host.settings.redirect
            return { $0.redirect = redirect }
        case "title":
            let title = try value.ifPresent?.string()
            try host.checkDetails(title: title, tags: [])
            return { $0.title = title }
        case "tags":
            let tags = try value.ifPresent?.array().map { try $0.string() } ?? []
            try host.checkDetails(title: nil, tags: tags)
            return { $0.tags = tags }
        default:
            let forwards = try value.bool()
            return { $0.forwardsQuery = forwards }
        }
    }

    var description: String { "changed " + steps.map(\.name).joined(separator: ", ") }

    func apply(to link: inout Link) throws(HTTPProblem) {
        guard link.deletedAt == nil else {
            throw HTTPProblem(410, "the link was deleted", remedy: "make a new one")
        }
        for step in steps { step.step(&link) }
    }
}
