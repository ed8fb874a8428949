import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ShopEngine
import ShopKitService

/// How many pieces there are, for whom they are held, and which are sold: `Inventory` over a database.
public final class InventoryService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    public let options: Options
    private let store: InventoryStore?
    private var sweepTimer: TimerID?
    private var sweepAtSeconds = Int.max

    public struct Options: Sendable {
        /// Rows are locked while they are read, or compared when they are written.
        public var isOptimistic = false
        public var holdSeconds = Shop.holdSeconds
        /// Products that are there from the beginning, with what is in stock.
        public var demo: [(id: String, count: Int)] = []

        public init() {}
        public static let holdRange = 1...86_400
    }

    public init(
        node: Node, settings: ShopSettings, options: Options = Options(), service: ServiceOptions = ServiceOptions()
    ) {
        host = ShopHost(node: node, tag: "INVENTORY", settings: settings, options: service)
        self.options = options
        store = host.database.map { InventoryStore($0, options.isOptimistic ? .optimistic : .pessimistic) }
        host.on("GET", "/stock") { [unowned self] exchange in try list(exchange) }
        host.on("GET", "/stock/{id}") { [unowned self] exchange in
            let id = exchange.parameters["id"]
            level(exchange, id) { exchange.answer(json: $0.json) }
        }
        host.on("PUT", "/stock/{id}") { [unowned self] exchange in try deliver(exchange) }
        host.on("POST", "/reservations") { [unowned self] exchange in try reserve(exchange) }
        host.on("GET", "/reservations/{order}") { [unowned self] exchange in try find(exchange) }
        host.on("POST", "/reservations/{order}/confirm") { [unowned self] exchange in confirm(exchange) }
        host.on("POST", "/reservations/{order}/release") { [unowned self] exchange in release(exchange) }
    }

    // MARK: Life

    public func prepare() throws { host.prepare(announcement: "Listening on :\(port: host.settings.port)") }

    public func opened() {
        host.opened(schema: InventoryStore.schema + demoSchema) { [unowned self] in
            runtime.log("Connected to DB")
            sweep()
        }
    }

    private var demoSchema: [String] {
        options.demo.map { id, count in
            "insert into stock values ('\(id)', \(count), 0, 0, \(count), 1) on conflict (product_id) do nothing"
        }
    }

    public func stop(_ done: @escaping () -> Void) { host.stop(done) }
    public var complaints: [String] { host.complaints }
    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }

    public var statistics: [Statistic] {
        [
            .init(
                "conflicts", store?.conflictCount ?? 0,
                .counter("inventory_conflicts_total", "Times that a request was overtaken and began again"))
        ]
    }

    // MARK: Stock

    private func list(_ exchange: HTTPExchange) throws {
        var query = try exchange.query()
        let names = try query.take("products")?.split(separator: ",").map(String.init)
        try query.expectNothingElse()
        guard (names?.count ?? 0) <= 1000 else { throw HTTPProblem(400, "more than 1000 products at a time") }
        let places = (names ?? []).indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        let filter = names == nil ? "" : names!.isEmpty ? " where false" : " where product_id in (\(places))"
        let sql =
            "select product_id, available, reserved, sold, received, version from stock\(filter) order by product_id"
        host.database?.rows(sql, (names ?? []).map { .text($0) }) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                exchange.answer(
                    json: .object([("stock", .array(rows.map { InventoryStore.level($0).json }))]))
            }
        }
    }

    private func level(_ exchange: HTTPExchange, _ id: String, _ body: @escaping (StockLevel) -> Void) {
        let sql = "select product_id, available, reserved, sold, received, version from stock where product_id = $1"
        host.database?.rows(sql, [.text(id)]) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                guard let row = rows.first else { return exchange.refuse(HTTPProblem(.unknownProduct(id))) }
                body(InventoryStore.level(row))
            }
        }
    }

    /// A delivery: `{"add": 10}`, or `{"available": 47}` after a stocktaking.
    private func deliver(_ exchange: HTTPExchange) throws {
        let id = exchange.parameters["id"]
        guard Product.isIdentifier(id) else { throw HTTPProblem(400, "'\(id)' cannot be a product's name") }
        let body = JSONCursor(try exchange.json())
        try body.expectNoMembers(besides: ["add", "available"])
        let added = try body["add"].ifPresent?.integer(in: -StockLevel.limit...StockLevel.limit)
        let available = try body["available"].ifPresent?.integer(in: 0...StockLevel.limit)
        guard (added == nil) != (available == nil) else {
            throw HTTPProblem(400, "how many?", remedy: "send {\"add\": 10} or {\"available\": 47}")
        }
        var isRefused = false
        let decide: InventoryStore.Decision = { inventory, _ in
            var level = inventory.levels[id] ?? StockLevel(productID: id, available: 0)
            let count = added ?? ((available ?? 0) - level.available)
            isRefused = !level.receive(count)
            level.version += 1
            if !isRefused { inventory.put(level) }
            return nil
        }
        store?.change(orderID: nil, products: [id], decide) { result in
            switch result {
            case .failure(let failure): Self.refuse(exchange, failure)
            case .success(let (_, _, after)):
                guard !isRefused, let level = after.levels[id] else {
                    return exchange.refuse(
                        HTTPProblem(409, word: "not_so_many", "there are not so many to take away, or too many in all"))
                }
                exchange.answer(json: level.json)
            }
        }
    }

    private static func refuse(_ exchange: HTTPExchange, _ failure: InventoryStore.Failure) {
        switch failure {
        case .refused(let refusal): exchange.refuse(HTTPProblem(refusal))
        case .store(let failure): exchange.refuse(HTTPProblem(failure))
        }
    }

    // MARK: Reservations

    private func reserve(_ exchange: HTTPExchange) throws {
        let body = JSONCursor(try exchange.json())
        let orderID = try body["order_id"].string()
        guard Product.isIdentifier(orderID) else { throw body["order_id"].error("no order has such a name") }
        let lines = Inventory.gathered(try OrderLine.read(body["items"]))
        let now = host.nowSeconds
        let hold = options.holdSeconds
        let decide: InventoryStore.Decision = { inventory, number throws(InventoryRefusal) in
            try inventory.reserve(
                orderID: orderID, lines: lines, id: "r\(number)", nowSeconds: now, holdSeconds: hold)
        }
        store?.change(orderID: orderID, products: lines.map(\.productID), decide) { [weak self] result in
            switch result {
            case .failure(let failure): Self.refuse(exchange, failure)
            case .success(let (reservation, before, _)):
                guard let self, let reservation else { return }
                if before.reservations[orderID] != reservation { logReserved(reservation) }
                schedule(reservation.expiresAtSeconds)
                exchange.answer(201, json: reservation.json)
            }
        }
    }

    private func logReserved(_ reservation: Reservation) {
        let lines = reservation.lines.map { "\($0.quantity)x \($0.productID)" }.joined(separator: ", ")
        let hold = LabDuration.seconds(options.holdSeconds).description.replacing("m", with: "min")
        runtime.log("Reserved \(lines) (reservation_id: \(id: reservation.id), expires: \(hold))")
    }

    private func find(_ exchange: HTTPExchange) throws {
        let orderID = exchange.parameters["order"]
        let sql = "select order_id, id, state, expires_at, items, version from reservations where order_id = $1"
        host.database?.rows(sql, [.text(orderID)]) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                guard let row = rows.first else {
                    return exchange.refuse(HTTPProblem(.notReserved(orderID: orderID)))
                }
                exchange.answer(json: InventoryStore.reservation(row).json)
            }
        }
    }

    private func confirm(_ exchange: HTTPExchange) {
        let orderID = exchange.parameters["order"]
        let decide: InventoryStore.Decision = { inventory, _ throws(InventoryRefusal) in
            try inventory.confirm(orderID: orderID)
        }
        store?.change(orderID: orderID, products: [], decide) { [weak self] result in
            self?.settled(exchange, result, orderID, "Confirmed") { $0.onHand }
        }
    }

    private func release(_ exchange: HTTPExchange) {
        let orderID = exchange.parameters["order"]
        guard Product.isIdentifier(orderID) else {
            return exchange.refuse(HTTPProblem(400, "'\(orderID)' cannot be an order's name"))
        }
        let decide: InventoryStore.Decision = { inventory, number in
            inventory.release(orderID: orderID, id: "r\(number)")
        }
        store?.change(orderID: orderID, products: [], decide) { [weak self] result in
            self?.settled(exchange, result, orderID, "Released") { $0.available }
        }
    }

    private func settled(
        _ exchange: HTTPExchange,
        _ result: Result<(reservation: Reservation?, before: Inventory, after: Inventory), InventoryStore.Failure>,
        _ orderID: String, _ verb: String, _ shown: (StockLevel) -> Int
    ) {
        switch result {
        case .failure(let failure): Self.refuse(exchange, failure)
        case .success(let (reservation, before, after)):
            guard let reservation else { return }
            if before.reservations[orderID] != reservation {
                log(verb, reservation, before, after, shown)
            }
            exchange.answer(json: reservation.json)
        }
    }

    private func log(
        _ verb: String, _ reservation: Reservation, _ before: Inventory, _ after: Inventory,
        _ shown: (StockLevel) -> Int
    ) {
        let changes = reservation.lines.compactMap { line -> String? in
            guard let old = before.levels[line.productID], let new = after.levels[line.productID] else { return nil }
            let name = reservation.lines.count > 1 ? "\(line.productID) " : ""
            return "\(name)\(shown(old)) → \(shown(new))"
        }
        guard !changes.isEmpty else {
            return runtime.log("\(verb) order \(id: orderText(reservation)), which had nothing reserved")
        }
        runtime.log("\(verb) reservation \(id: reservation.id), stock: \(changes.joined(separator: ", "))")
    }

    private func orderText(_ reservation: Reservation) -> String { reservation.orderID }

    // MARK: Expiry

    private func schedule(_ seconds: Int) {
        guard seconds < sweepAtSeconds else { return }
        sweepAtSeconds = seconds
        node.cancel(sweepTimer)
        sweepTimer = node.after(.seconds(min(max(0, seconds - host.nowSeconds), 86_400) + 1)) { [weak self] in
            self?.sweep()
        }
    }

    /// Gives back what has been held for too long, and finds out when the next one is due.
    private func sweep() {
        sweepAtSeconds = Int.max
        let sql = "select order_id, expires_at from reservations where state = 'held' order by expires_at limit 100"
        host.database?.rows(sql) { [weak self] result in
            guard let self else { return }
            guard case .success(let rows) = result else { return schedule(host.nowSeconds + 5) }
            let now = host.nowSeconds
            let due = rows.filter { $0.number(1) <= now }.map { $0.text(0) }
            if let next = rows.first(where: { $0.number(1) > now }) { schedule(next.number(1)) }
            expire(due[...])
            if due.count == rows.count, !due.isEmpty { schedule(now + 1) }
        }
    }

    private func expire(_ orders: ArraySlice<String>) {
        guard let orderID = orders.first else { return }
        let now = host.nowSeconds
        let decide: InventoryStore.Decision = { inventory, _ in
            inventory.expire(orderID: orderID, nowSeconds: now) ? inventory.reservations[orderID] : nil
        }
        store?.change(orderID: orderID, products: [], decide) { [weak self] result in
            guard let self else { return }
            if case .success(let (reservation?, before, after)) = result {
                log("Expired", reservation, before, after) { $0.available }
            }
            expire(orders.dropFirst())
        }
    }
}

extension StockLevel {
    var json: JSONValue {
        .object([
            ("product_id", .string(productID)), ("available", .integer(available)), ("reserved", .integer(reserved)),
            ("sold", .integer(sold)), ("received", .integer(received)), ("version", .integer(version)),
        ])
    }
}

extension Reservation {
    var json: JSONValue {
        .object([
            ("reservation_id", .string(id)), ("order_id", .string(orderID)), ("state", .string(state.rawValue)),
            ("expires_at", .integer(expiresAtSeconds)), ("items", OrderLine.json(lines)),
        ])
    }
}
