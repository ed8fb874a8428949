import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine

// Single visits, and the rules that send some visitors elsewhere.
extension ShlinkAPI {
    func mountVisits(on router: HTTPRouter) {
        on(router, "GET", "/rest/v3/short-urls/{code}/visits") { [self] exchange in
            var query = try exchange.query()
            let code = try key(exchange, &query)
            let filter = try VisitFilter(&query)
            LinkStatistics(host).read(code, for: exchange) { [self] result in
                guard case .success = result else { return refuse(exchange, code) }
                list(code, filter, exchange)
            }
        }
        on(router, "GET", "/rest/v3/visits/orphan") { [self] exchange in
            let caller = try host.caller(exchange)
            var query = try exchange.query()
            let filter = try VisitFilter(&query)
            host.clicks.flush { [self] _ in list(caller.isAdmin ? Click.orphans : "", filter, exchange) }
        }
    }

    func mountRules(on router: HTTPRouter) {
        let template = "/rest/v3/short-urls/{code}/redirect-rules"
        on(router, "GET", template) { [self] exchange in
            let code = try key(exchange)
            LinkStatistics(host).read(code, for: exchange) { [self] result in
                guard case .success(let numbers) = result, numbers.link.deletedAt == nil else {
                    return refuse(exchange, code)
                }
                exchange.answer(json: Self.rules(numbers.link))
            }
        }
        on(router, "POST", template) { [self] exchange in try setRules(exchange) }
    }

    private func setRules(_ exchange: HTTPExchange) throws {
        let code = try key(exchange)
        let body = JSONCursor(try exchange.json())
        try body.expectNoMembers(besides: ["redirectRules", "defaultLongUrl"])
        let items = try body["redirectRules"].array()
        guard items.count <= RedirectRule.limit else {
            throw body["redirectRules"].error("there are more than \(RedirectRule.limit) rules")
        }
        let rules = try items.map { item in
            try RedirectRule(item) { [host] in try host.checkedTarget($0, exchange) }
        }
        try host.change(code, for: exchange, what: "changed rules") { (link) throws(HTTPProblem) in
            if link.deletedAt != nil { throw ShortenerHost.missing(code) }
            link.rules = rules
        } _: { [self] result in
            switch result {
            case .success(let link): exchange.answer(json: Self.rules(link))
            case .failure(let problem) where problem.status == 404: refuse(exchange, code)
            case .failure(let problem): exchange.refuse(problem)
            }
        }
    }

    private static func rules(_ link: Link) -> JSONValue {
        let rules = link.rules.enumerated().map { index, rule -> JSONValue in
            guard case .object(let members) = rule.json else { return .null }
            return .object(members + [(key: "priority", value: .integer(index + 1))])
        }
        return ["defaultLongUrl": .string(link.target), "redirectRules": .array(rules)]
    }

    // MARK: Visits

    /// Which of them are wanted.
    private struct VisitFilter {
        let page: Int
        let size: Int
        let since: LabTime?
        let until: LabTime?
        let excludesBots: Bool

        init(_ query: inout HTTPQuery) throws {
            page = try query.takeInteger("page", 1...1_000_000) ?? 1
            size = try query.takeInteger("itemsPerPage", 1...1000) ?? 20
            since = try Self.moment("startDate", &query)
            until = try Self.moment("endDate", &query)
            excludesBots = try query.take("excludeBots").map { $0 != "false" && $0 != "0" } ?? false
            _ = try query.take("type")
            try query.expectNothingElse()
        }

        private static func moment(_ name: String, _ query: inout HTTPQuery) throws -> LabTime? {
            guard let text = try query.take(name) else { return nil }
            guard let time = LabTime(parsing: text) else {
                throw HTTPProblem(
                    400, "\(name): '\(text.prefix(60))' is no time", remedy: "give one such as 2030-01-31T12:00:00Z")
            }
            return time
        }

        func takes(_ visit: RecentVisits.Visit) -> Bool {
            (since.map { visit.time >= $0 } ?? true) && (until.map { visit.time <= $0 } ?? true)
                && !(excludesBots && visit.agent.isBot)
        }
    }

    /// The newest first.
    private func list(_ code: String, _ filter: VisitFilter, _ exchange: HTTPExchange) {
        host.database.run("SELECT visits FROM url_recent WHERE code = $1", [.text(code)]) { [self] result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let rows):
                let all = RecentVisits(stored: rows.first?.first?.text).visits.reversed().filter(filter.takes)
                let items = all.dropFirst((filter.page - 1) * filter.size).prefix(filter.size)
                let url = host.shortURL(code, exchange)
                exchange.answer(json: [
                    "visits": [
                        "data": .array(items.map { Self.json($0, url) }),
                        "pagination": Self.pagination(filter.page, filter.size, items.count, of: all.count),
                    ]
                ])
            }
        }
    }

    private static func json(_ visit: RecentVisits.Visit, _ url: String) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("referer", .string(visit.referrer == Referrer.direct ? "" : visit.referrer)),
            ("date", .string("\(visit.time)")), ("userAgent", .string(visit.agent.rawValue)), ("visitLocation", .null),
            ("potentialBot", .bool(visit.agent.isBot)),
        ]
        if let path = visit.path {
            let isCode = (try? Alias.check(String(path.dropFirst()))) != nil
            members.append(("visitedUrl", .string(path)))
            members.append(("type", .string(isCode ? "invalid_short_url" : "regular_404")))
        } else {
            members.append(("visitedUrl", .string(url)))
        }
        return .object(members)
    }

    static func pagination(_ page: Int, _ size: Int, _ items: Int, of count: Int) -> JSONValue {
        [
            "currentPage": .integer(page), "pagesCount": .integer((count + size - 1) / size),
            "itemsPerPage": .integer(size), "itemsInCurrentPage": .integer(items), "totalItems": .integer(count),
        ]
    }
}
