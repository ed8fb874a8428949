import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ShopEngine
import ShopKitService

/// What is for sale: a catalogue with search, filters and categories, in a database, with a cache in front. How many
/// there are it asks the inventory, each time: a stock that is a minute old sells what is not there.
public final class ProductService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    private let demo: [Product]
    private let cache: PageCache?

    static let schema = [
        """
        create table if not exists products (number bigserial primary key, id text unique not null, \
        name text not null, description text not null, category text not null, price_minor bigint not null, \
        currency text not null, version bigint not null)
        """,
        "create index if not exists products_by_category on products (category)",
        "create table if not exists categories (id text primary key, title text not null)",
    ]

    static let columns = "id, name, description, category, price_minor, currency, version"

    public init(
        node: Node, settings: ShopSettings, demo: [Product] = [], service: ServiceOptions = ServiceOptions()
    ) {
        host = ShopHost(node: node, tag: "PRODUCTS", settings: settings, options: service)
        self.demo = demo
        cache = settings.cache.map { PageCache(node, $0) }
        host.on("GET", "/products") { [unowned self] exchange in try list(exchange) }
        host.on("POST", "/products") { [unowned self] exchange in try create(exchange) }
        host.on("GET", "/products/{id}") { [unowned self] exchange in show(exchange) }
        host.on("PUT", "/products/{id}") { [unowned self] exchange in
            try save(exchange, exchange.parameters["id"], try exchange.json())
        }
        host.on("DELETE", "/products/{id}") { [unowned self] exchange in
            remove(exchange, "products", exchange.parameters["id"])
        }
        host.on("GET", "/categories") { [unowned self] exchange in categories(exchange) }
        host.on("PUT", "/categories/{id}") { [unowned self] exchange in try saveCategory(exchange) }
        host.on("DELETE", "/categories/{id}") { [unowned self] exchange in
            remove(exchange, "categories", exchange.parameters["id"])
        }
    }

    // MARK: Life

    public func prepare() throws { host.prepare(announcement: "Listening on :\(port: host.settings.port)") }

    public func opened() {
        let insert = demo.map { product in
            "insert into products (\(Self.columns)) values ('\(product.id)', '\(product.name)', "
                + "'\(product.description)', '\(product.category)', \(product.price.minor), 'usd', 1) "
                + "on conflict (id) do nothing"
        }
        host.opened(schema: Self.schema + insert) { [unowned self] in
            runtime.log("Connected to DB")
            cache?.greet { [weak self] isThere in
                if isThere { self?.runtime.log("Connected to the cache") }
            }
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        cache?.close()
        host.stop(done)
    }

    public var complaints: [String] { host.complaints }
    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }
    public var statistics: [Statistic] {
        [
            .init(
                "cache_hits", cache?.hitCount ?? 0,
                .counter("products_cache_hits_total", "Pages that came from the cache")),
            .init(
                "cache_misses", cache?.missCount ?? 0,
                .counter("products_cache_misses_total", "Pages that the database was asked for")),
        ]
    }

    // MARK: Reading

    private func list(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let filter = try filter(exchange)
        load(filter) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let products):
                stock(of: products.map(\.id), exchange) { [weak self] stock in
                    let shown = products.filter { !filter.onlyInStock || (stock[$0.id] ?? 0) > 0 }
                    let rows = shown.map { $0.json(stock: stock.isEmpty ? nil : stock[$0.id] ?? 0) }
                    let page = JSONValue.object([("products", .array(rows))])
                    self?.host.answer(exchange, 200, Array((page.text + "\n").utf8), since: began)
                }
            }
        }
    }

    private func filter(_ exchange: HTTPExchange) throws -> ProductFilter {
        var query = try exchange.query()
        var filter = ProductFilter()
        filter.category = try query.take("category")
        if let text = try query.take("q") { filter.search(text) }
        let range = 0...(Money.largestMinor / 100)
        filter.minimum = try query.takeInteger("min_price", range).map { $0 * 100 }
        filter.maximum = try query.takeInteger("max_price", range).map { $0 * 100 }
        filter.onlyInStock = try query.takeFlag("in_stock")
        if let word = try query.take("sort") {
            guard let order = ProductFilter.Order(rawValue: word) else {
                let words = ProductFilter.Order.allCases.map(\.rawValue).joined(separator: ", ")
                throw HTTPProblem(400, "sort: '\(word)' is none of \(words)")
            }
            filter.order = order
        }
        filter.limit = try query.takeInteger("limit", ProductFilter.limitRange) ?? filter.limit
        filter.offset = try query.takeInteger("offset", ProductFilter.offsetRange) ?? 0
        try query.expectNothingElse()
        return filter
    }

    private func load(
        _ filter: ProductFilter, _ completion: @escaping (Result<[Product], ShopStoreFailure>) -> Void
    ) {
        let ask: (@escaping (Result<[Product], ShopStoreFailure>) -> Void) -> Void = { [weak self] done in
            let (condition, parameters) = filter.condition
            let sql =
                "select \(Self.columns) from products where \(condition) order by \(filter.orderSQL) "
                + "limit \(filter.limit) offset \(filter.offset)"
            let values = parameters.map { parameter -> PostgresValue in
                switch parameter {
                case .text(let text): .text(text)
                case .number(let number): .number(number)
                }
            }
            self?.host.database?.rows(sql, values) { done($0.map { $0.map(Self.product) }) }
        }
        guard let cache else { return ask(completion) }
        cache.page(filter.key, load: ask, completion)
    }

    static func product(_ row: ShopRow) -> Product {
        Product(
            id: row.text(0), name: row.text(1), description: row.text(2), category: row.text(3),
            price: Money(minor: row.number(4), Money.Currency(row.text(5)) ?? .usd), version: row.number(6))
    }

    /// What is available of each; empty if the inventory does not answer: a catalogue without numbers is better than
    /// none.
    private func stock(
        of ids: [String], _ exchange: HTTPExchange, _ completion: @escaping ([String: Int]) -> Void
    ) {
        guard !ids.isEmpty else { return completion([:]) }
        let list = PercentCoding.encode(ids.joined(separator: ","))
        host.peer("inventory").ask(.init("GET", "/stock?products=\(list)"), for: exchange) { result in
            guard case .success(let answer) = result, answer.isSuccess,
                case .array(let rows)? = answer.json["stock"]
            else { return completion([:]) }
            var stock: [String: Int] = ["": 0]
            for row in rows {
                if case .string(let id)? = row["product_id"], case .integer(let count)? = row["available"] {
                    stock[id] = count
                }
            }
            completion(stock)
        }
    }

    private func find(
        _ exchange: HTTPExchange, _ id: String, _ body: @escaping (Product?) -> Void
    ) {
        host.database?.rows("select \(Self.columns) from products where id = $1", [.text(id)]) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows): body(rows.first.map(Self.product))
            }
        }
    }

    private func show(_ exchange: HTTPExchange) {
        let id = exchange.parameters["id"]
        find(exchange, id) { [weak self] product in
            guard let product else { return exchange.refuse(Self.unknown(id)) }
            self?.stock(of: [id], exchange) { stock in
                exchange.answer(json: product.details(stock: stock.isEmpty ? nil : stock[id] ?? 0))
            }
        }
    }

    private static func unknown(_ id: String) -> HTTPProblem {
        HTTPProblem(404, word: "unknown_product", "there is no product '\(id)'", remedy: "GET /products shows them")
    }

    // MARK: Writing

    private func create(_ exchange: HTTPExchange) throws {
        let body = try exchange.json()
        if case .string(let id)? = body["id"] { return try save(exchange, id, body) }
        host.database?.rows("select nextval('products_number_seq')") { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                exchange.handle { _ in try self?.save(exchange, "p\(rows.first?.number(0) ?? 0)", body) }
            }
        }
    }

    /// A product as a whole; members that are not given stay as they are.
    private func save(_ exchange: HTTPExchange, _ id: String, _ body: JSONValue) throws {
        guard Product.isIdentifier(id) else { throw HTTPProblem(400, "'\(id)' cannot be a product's name") }
        find(exchange, id) { [weak self] present in
            exchange.handle { _ in
                do throws(Product.Invalid) {
                    self?.write(exchange, try Product(body, id: id, present: present), present)
                } catch {
                    throw HTTPProblem(400, error.text)
                }
            }
        }
    }

    private func write(_ exchange: HTTPExchange, _ product: Product, _ present: Product?) {
        var parameters: [PostgresValue?] = [
            .text(product.id), .text(product.name), .text(product.description), .text(product.category),
            .number(product.price.minor), .text(product.price.currency.code), .number(product.version),
        ]
        let statement: ShopStatement
        if let present {
            parameters.append(.number(present.version))
            statement = ShopStatement(
                "update products set name = $2, description = $3, category = $4, price_minor = $5, currency = $6, "
                    + "version = $7 where id = $1 and version = $8", parameters, expected: 1)
        } else {
            statement = ShopStatement(
                "insert into products (\(Self.columns)) values ($1, $2, $3, $4, $5, $6, $7)", parameters, expected: 1)
        }
        host.database?.atomically([statement]) { [weak self] failure in
            switch failure {
            case nil:
                self?.cache?.forgetAll()
                exchange.answer(present == nil ? 201 : 200, json: product.details(stock: nil))
            case .conflict?:
                exchange.refuse(
                    HTTPProblem(409, word: "conflict", "somebody else has changed '\(product.id)' meanwhile"))
            case .database?: exchange.refuse(HTTPProblem(failure!))
            }
        }
    }

    private func remove(_ exchange: HTTPExchange, _ table: String, _ id: String) {
        host.database?.execute("delete from \(table) where id = $1", [.text(id)]) { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(ShopStoreFailure(failure)))
            case .success(let results):
                self?.cache?.forgetAll()
                if results.last?.affectedCount == 0 { return exchange.refuse(Self.unknown(id)) }
                exchange.answer(204)
            }
        }
    }

    // MARK: Categories

    private func categories(_ exchange: HTTPExchange) {
        host.database?.rows(
            "select category, count(*) from products group by category order by category"
        ) { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let counts):
                self?.host.database?.rows("select id, title from categories order by id") { result in
                    switch result {
                    case .failure(let failure): exchange.refuse(HTTPProblem(failure))
                    case .success(let titles): exchange.answer(json: Self.categories(counts, titles))
                    }
                }
            }
        }
    }

    private static func categories(_ counts: [ShopRow], _ titles: [ShopRow]) -> JSONValue {
        var known: [String: (title: String, count: Int)] = [:]
        for row in titles { known[row.text(0)] = (row.text(1), 0) }
        for row in counts { known[row.text(0), default: (row.text(0), 0)].count = row.number(1) }
        let rows = known.sorted { $0.key < $1.key }.map { id, entry -> JSONValue in
            .object([("id", .string(id)), ("title", .string(entry.title)), ("products", .integer(entry.count))])
        }
        return .object([("categories", .array(rows))])
    }

    private func saveCategory(_ exchange: HTTPExchange) throws {
        let id = exchange.parameters["id"]
        let body = JSONCursor(try exchange.json())
        try body.expectNoMembers(besides: ["title"])
        let title = try body["title"].string()
        guard Product.isIdentifier(id), (1...Product.nameLimit).contains(title.count) else {
            throw HTTPProblem(400, "a category has a name of letters, digits, - and _, and a title")
        }
        let sql =
            "insert into categories (id, title) values ($1, $2) on conflict (id) do update set title = excluded.title"
        host.database?.execute(sql, [.text(id), .text(title)]) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(ShopStoreFailure(failure)))
            case .success: exchange.answer(json: .object([("id", .string(id)), ("title", .string(title))]))
            }
        }
    }
}
