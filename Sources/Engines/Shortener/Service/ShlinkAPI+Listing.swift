import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine

// The list of links: which of them, in what order, and which page of it.
extension ShlinkAPI {
    /// What is asked for.
    private struct Listing {
        let page: Int
        let size: Int
        let order: String
        private var conditions = ["deleted_at IS NULL"]
        private(set) var values: [ColumnValue] = []

        private static let tagLimit = 32
        private static let columns = [
            "longUrl": "target", "shortCode": "code", "dateCreated": "created_at", "visits": "visits",
            "nonBotVisits": "visits - bots", "title": "title",
        ]

        init(_ exchange: HTTPExchange, _ host: ShortenerHost) throws {
            var query = try exchange.query()
            page = try query.takeInteger("page", 1...1_000_000) ?? 1
            size = try query.takeInteger("itemsPerPage", 1...1000) ?? 10
            order = try Self.order(try query.take("orderBy"))
            // Shlink's clients ask for more than is here, and do without it.
            if let term = try query.take("searchTerm"), !term.isEmpty {
                add(.text(term)) {
                    "replace(target || ' ' || code || tags, \($0), '') <> target || ' ' || code || tags"
                }
            }
            let tags = (query.takeAll("tags[]") + query.takeAll("tags")).filter { !$0.isEmpty }
            guard tags.count <= Self.tagLimit else { throw ShlinkAPI.invalid(["tags"]) }
            let mode = try query.take("tagsMode") ?? "any"
            guard ["any", "all"].contains(mode) else { throw ShlinkAPI.invalid(["tagsMode"]) }
            addTags(tags, mode == "all" ? " AND " : " OR ")
            for (name, sign) in [("startDate", ">="), ("endDate", "<=")] {
                guard let text = try query.take(name) else { continue }
                guard let time = LabTime(parsing: text) else { throw ShlinkAPI.invalid([name]) }
                add(ColumnValue(time)) { "created_at \(sign) \($0)" }
            }
            if let name = try query.take("domain") {
                let domain = name == "DEFAULT" ? nil : try host.domain(name, exchange)
                add(.text(domain.map { $0 + "/" } ?? "DEFAULT")) { LinkTables.at($0) }
            }
            let caller = try host.caller(exchange)
            if !caller.isAdmin {
                values += caller.filter
                conditions.append(LinkTables.within("$\(values.count - 1)", "$\(values.count)"))
            }
        }

        private static func order(_ text: String?) throws(HTTPProblem) -> String {
            guard let text else { return "created_at DESC" }
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard let column = columns[String(parts[0])], parts.count <= 2,
                let way = parts.count == 1 ? "ASC" : ["ASC", "DESC"].first(where: { $0 == parts[1] })
            else { throw ShlinkAPI.invalid(["orderBy"]) }
            return "\(column) \(way)"
        }

        private mutating func add(_ value: ColumnValue, _ condition: (_ parameter: String) -> String) {
            values.append(value)
            conditions.append("(\(condition("$\(values.count)")))")
        }

        private mutating func addTags(_ tags: [String], _ conjunction: String) {
            if tags.isEmpty { return }
            let parts = tags.map { tag in
                values.append(.text(" \(tag) "))
                return "replace(tags, $\(values.count), '') <> tags"
            }
            conditions.append("(\(parts.joined(separator: conjunction)))")
        }

        var condition: String { conditions.joined(separator: " AND ") }
    }

    func list(_ exchange: HTTPExchange) throws {
        let listing = try Listing(exchange, host)
        let (page, size, count) = (listing.page, listing.size, listing.values.count)
        host.database.run([
            LinkStatement("SELECT count(*) FROM url_links WHERE \(listing.condition)", listing.values),
            LinkStatement(
                "SELECT \(LinkTables.columns) FROM url_links WHERE \(listing.condition) "
                    + "ORDER BY \(listing.order), code LIMIT $\(count + 1) OFFSET $\(count + 2)",
                listing.values + [.integer(Int64(size)), .integer(Int64((page - 1) * size))]),
        ]) { [self] result in
            switch result {
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            case .success(let answers):
                let count = answers[0].first?.first?.integer ?? 0
                let links = answers[1].compactMap(LinkTables.link)
                exchange.answer(json: [
                    "shortUrls": [
                        "data": .array(links.map { json($0.link, exchange, clicks: $0.visits, bots: $0.bots) }),
                        "pagination": Self.pagination(page, size, links.count, of: count),
                    ]
                ])
            }
        }
    }
}
