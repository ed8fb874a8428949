import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine

/// YOURLS's API: one path, `action=` for what is wanted, `format=` for how it is answered.
final class YourlsAPI {
    unowned let host: ShortenerHost

    init(_ host: ShortenerHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        router.on("GET", "/yourls-api.php") { [self] exchange in try begin(exchange, try exchange.query()) }
        router.on("POST", "/yourls-api.php") { [self] exchange in
            var items = try exchange.query().items
            items += try exchange.form().items
            try begin(exchange, try HTTPQuery(parsing: HTTPQuery.text(items.map { ($0.name, $0.value) })))
        }
    }

    private struct Request {
        let format: String
        let exchange: HTTPExchange
        let caller: Caller
        var query: HTTPQuery
    }

    private func begin(_ exchange: HTTPExchange, _ query: HTTPQuery) throws {
        var query = query
        let action = try query.take("action") ?? ""
        let format = try query.take("format") ?? "xml"
        let signature = try query.take("signature")
        host.whenReady(exchange) { [self] in
            let caller = try host.caller(exchange, query: signature)
            let request = Request(format: format, exchange: exchange, caller: caller, query: query)
            switch action {
            case "shorturl": try shorten(request)
            case "expand": try expand(request)
            case "url-stats": try statistics(request)
            case "stats": try totals(request, withLinks: true)
            case "db-stats": try totals(request, withLinks: false)
            case "version": answer(request, [("version", "1.9.1")])
            default: fail(request, 400, "unknown-action", "Unknown or missing \"action\" parameter")
            }
        }
    }

    private func shorten(_ request: Request) throws {
        var query = request.query
        guard let url = try query.take("url") else {
            return fail(request, 400, "error:nourl", "Missing or malformed URL")
        }
        var draft = LinkDraft(target: url)
        draft.alias = try query.take("keyword").flatMap { $0.isEmpty ? nil : $0 }
        draft.title = try query.take("title")
        draft.findsExisting = true
        draft.caller = request.caller
        let made: (Result<(link: Link, isNew: Bool), HTTPProblem>) -> Void = { [self] result in
            switch result {
            case .success(let made):
                let short = host.shortURL(made.link.code, request.exchange)
                if request.format == "simple" { return request.exchange.answer(text: short) }
                let url: JSONValue = [
                    "keyword": .string(made.link.slug), "url": .string(made.link.target),
                    "title": .string(made.link.title ?? ""), "date": .string(Self.date(made.link.createdAt)),
                    "ip": "", "clicks": "0",
                ]
                answer(
                    request,
                    [
                        ("url", url), ("status", made.isNew ? "success" : "fail"),
                        ("code", made.isNew ? "" : "error:url"),
                        (
                            "message",
                            .string(
                                made.link.target + (made.isNew ? " added to database" : " already exists in database"))
                        ),
                        ("title", .string(made.link.title ?? "")), ("shorturl", .string(short)), ("statusCode", "200"),
                    ])
            case .failure(let problem): refuse(request, problem, alias: draft.alias)
            }
        }
        do throws(HTTPProblem) { try host.make(draft, for: request.exchange, made) } catch {
            refuse(request, error, alias: draft.alias)
        }
    }

    private func refuse(_ request: Request, _ problem: HTTPProblem, alias: String?) {
        switch problem.status {
        // YOURLS itself says so with 200, and its clients look at the code in such an answer only.
        case 409:
            fail(
                request, 400, "error:keyword",
                "Short URL \(alias ?? "") already exists in database or is reserved", head: 200)
        case 422: fail(request, 400, "error:noloop", "URL is a short URL")
        default: fail(request, problem.status, "error:url", problem.detail)
        }
    }

    /// A code, or a whole short address.
    private func code(_ request: Request) throws -> String {
        var query = request.query
        let code = String((try query.take("shorturl") ?? "").split(separator: "/").last ?? "")
        guard (try? Alias.check(code)) != nil else { throw ShortenerHost.missing(String(code.prefix(64))) }
        return LinkKey.make(code, domain: request.caller.domain)
    }

    private func expand(_ request: Request) throws {
        let code = try code(request)
        host.find(code) { [self] result in
            guard case .success(let entry) = result, let link = entry.link, link.deletedAt == nil else {
                return fail(request, 404, "error:notfound", "Error: short URL not found")
            }
            if request.format == "simple" { return request.exchange.answer(text: link.target) }
            answer(
                request,
                [
                    ("keyword", .string(link.slug)), ("shorturl", .string(host.shortURL(code, request.exchange))),
                    ("longurl", .string(link.target)), ("title", .string(link.title ?? "")), ("message", "success"),
                    ("statusCode", "200"),
                ])
        }
    }

    private func statistics(_ request: Request) throws {
        let code = try code(request)
        LinkStatistics(host).read(code) { [self] result in
            guard case .success(let numbers) = result, numbers.link.deletedAt == nil,
                request.caller.mayUse(numbers.link)
            else {
                return fail(request, 404, "error:notfound", "Error: short URL not found")
            }
            answer(
                request,
                [
                    ("statusCode", "200"), ("message", "success"),
                    ("link", link(numbers.link, clicks: numbers.clicks, request)),
                ])
        }
    }

    private func link(_ link: Link, clicks: Int, _ request: Request) -> JSONValue {
        [
            "shorturl": .string(host.shortURL(link.code, request.exchange)), "url": .string(link.target),
            "title": .string(link.title ?? ""), "timestamp": .string(Self.date(link.createdAt)), "ip": "",
            "clicks": .string("\(clicks)"),
        ]
    }

    /// `2024-01-15 10:30:00`, in UTC.
    private static func date(_ time: LabTime) -> String {
        String("\(time)".prefix(19)).replacing("T", with: " ")
    }

    /// How links are put in order by `filter=`.
    private static let orders = [
        "top": "visits DESC, code", "bottom": "visits, code", "last": "created_at DESC, code", "rand": "random()",
    ]

    private func totals(_ request: Request, withLinks: Bool) throws {
        var query = request.query
        let filter = withLinks ? try query.take("filter") : nil
        let limit = try query.takeInteger("limit", 0...1000) ?? 10
        let start = try query.takeInteger("start", 0...1_000_000_000) ?? 0
        let order = filter.flatMap { Self.orders[$0] } ?? "code"
        let count = filter == nil ? 0 : limit
        let condition = "WHERE deleted_at IS NULL AND \(LinkTables.within("$1", "$2"))"
        let own = request.caller.filter
        host.clicks.flush { [self] _ in
            host.database.run([
                LinkStatement("SELECT count(*), coalesce(sum(visits), 0) FROM url_links \(condition)", own),
                LinkStatement(
                    "SELECT \(LinkTables.columns) FROM url_links \(condition) ORDER BY \(order) LIMIT $3 OFFSET $4",
                    own + [.integer(Int64(count)), .integer(Int64(start))]),
            ]) { [self] result in
                guard case .success(let answers) = result, let row = answers[0].first else {
                    return fail(request, 503, "error:db", "Error: the database does not answer")
                }
                let numbers: JSONValue = [
                    "total_links": .string(row.first?.text ?? "0"), "total_clicks": .string(row.last?.text ?? "0"),
                ]
                let links = answers[1].compactMap(LinkTables.link).enumerated().map { index, found in
                    (key: "link_\(index + 1)", value: link(found.link, clicks: found.visits, request))
                }
                answer(
                    request,
                    (links.isEmpty ? [] : [(key: "links", value: .object(links))]) + [
                        ("stats", numbers), ("db-stats", numbers), ("statusCode", "200"), ("message", "success"),
                    ])
            }
        }
    }

    // MARK: Answers

    /// - Parameter head: the status of the answer itself, if another.
    private func fail(_ request: Request, _ status: Int, _ code: String, _ message: String, head: Int? = nil) {
        if request.format == "simple" { return request.exchange.answer(status, text: message) }
        answer(
            request,
            [
                ("status", "fail"), ("code", .string(code)), ("message", .string(message)),
                ("statusCode", .string("\(status)")),
            ], status: head ?? status)
    }

    private func answer(_ request: Request, _ members: [(key: String, value: JSONValue)], status: Int = 200) {
        guard request.format == "xml" else { return request.exchange.answer(status, json: .object(members)) }
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<result>\(Self.xml(.object(members)))</result>\n"
        request.exchange.answer(status, text: text, type: "application/xml")
    }

    private static func xml(_ value: JSONValue) -> String {
        switch value {
        case .object(let members): members.map { "<\($0.key)>\(xml($0.value))</\($0.key)>" }.joined()
        case .string(let text):
            text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
        default: "\(value)"
        }
    }
}
