import KernelHosting
import KernelJSON
import KernelService
import KernelStructuredFields
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import MessageQueueService
import ShopEngine
import ShopKitService

/// Orders, and the orchestrator of their checkouts.
public final class OrderService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    let store: OrderStore?
    let runner: SagaRunner?
    private let link: BrokerLink?
    private let relay: OutboxRelay?
    private let takeover: OrderTakeover?
    private let latency: Histogram?
    /// Those who wait for an order's end.
    private var waiting: [String: [Waiter]] = [:]

    private final class Waiter {
        let exchange: HTTPExchange
        let began: LabTime
        var timer: TimerID?

        init(_ exchange: HTTPExchange, _ began: LabTime) {
            self.exchange = exchange
            self.began = began
        }
    }

    /// Then the client is told that it is still pending, and the saga goes on.
    public static let patience = LabDuration.milliseconds(2300)

    public init(node: Node, settings: ShopSettings, service: ServiceOptions = ServiceOptions()) {
        host = ShopHost(node: node, tag: "ORDERS", settings: settings, options: service)
        latency = try? host.runtime.metrics.histogram(
            "checkout_latency_seconds", "How long clients waited for an answer to their checkout")
        store = host.database.map { OrderStore($0, owner: node.name) }
        let runner = store.map { [host] in SagaRunner(host, $0) }
        self.runner = runner
        if let store, let runner {
            takeover = OrderTakeover(host, store, runner)
        } else {
            takeover = nil
        }
        link = settings.broker.map { BrokerLink(node, $0) }
        if let link, let database = host.database {
            relay = OutboxRelay(host, database, link)
        } else {
            relay = nil
        }
        addRoutes()
        self.runner?.onEnd = { [unowned self] order in ended(order) }
        self.runner?.onPublish = { [unowned self] in relay?.kick() }
        link?.onReady = { [unowned self] in
            runtime.log("Connected to MQ")
            relay?.kick()
        }
        link?.onTrouble = { [unowned self] text in runtime.log("MQ: \(text); trying again", level: .warning) }
    }

    private func addRoutes() {
        host.on("POST", "/checkout") { [unowned self] exchange in try checkout(exchange) }
        host.on("GET", "/orders") { [unowned self] exchange in try list(exchange) }
        host.on("GET", "/orders/{id}") { [unowned self] exchange in show(exchange) }
        host.on("GET", "/orders/{id}/timeline") { [unowned self] exchange in timeline(exchange) }
        host.on("POST", "/orders/{id}/resume") { [unowned self] exchange in resume(exchange) }
        host.on("GET", "/ledger") { [unowned self] exchange in ledger(exchange) }
    }

    // MARK: Life

    public func prepare() throws { host.prepare(announcement: "Listening on :\(port: host.settings.port)") }

    public func opened() {
        host.opened(schema: OrderStore.schema) { [unowned self] in
            runtime.log("Connected to DB")
            link?.start()
            recover()
            takeover?.start()
        }
    }

    /// What an earlier life has begun is brought to its end.
    private func recover() {
        store?.unfinished(of: node.name) { [weak self] result in
            guard let self else { return }
            guard case .success(let orders) = result else {
                node.after(.seconds(1)) { [weak self] in self?.recover() }
                return
            }
            if !orders.isEmpty {
                runtime.log("Going on with \(counted(orders.count, "order", "orders")) of an earlier life")
            }
            for order in orders { runner?.run(order) }
        }
    }

    public func stop(_ done: @escaping () -> Void) {
        let end = { [self] in host.stop(done) }
        if let link { link.close(end) } else { end() }
    }

    public var complaints: [String] {
        let parked = runner?.parkedCount ?? 0
        return host.complaints
            + (parked > 0 ? ["\(counted(parked, "order is", "orders are")) parked; see ledger"] : [])
    }

    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }

    public var statistics: [Statistic] {
        [
            .init(
                "orders_confirmed", runner?.confirmedCount ?? 0,
                .counter("orders_confirmed_total", "Orders that were paid and confirmed")),
            .init(
                "orders_failed", runner?.failedCount ?? 0,
                .counter("orders_failed_total", "Orders that came to nothing, and were undone")),
            .init("orders_open", runner?.openCount ?? 0, .gauge("orders_open", "Sagas under way")),
            .init(
                "orders_parked", runner?.parkedCount ?? 0,
                .gauge("orders_parked", "Sagas that wait for a person")),
            .init(
                "orders_taken_over", takeover?.takenCount ?? 0,
                .counter("orders_taken_over_total", "Orders of silent nodes that were led on here")),
            .init(
                "events_published", relay?.publishedCount ?? 0,
                .counter("orders_events_published_total", "Events that the broker has confirmed")),
        ]
    }

    // MARK: Checkout

    /// Who asks. The gateway says so, after it has looked at the token and struck out what the client claims.
    private func user(_ exchange: HTTPExchange) throws(HTTPProblem) -> (id: String, email: String) {
        guard let id = exchange.field("X-User-Id"), Product.isIdentifier(id) else {
            throw HTTPProblem(
                401, word: "unauthorized", "who asks? there is no X-User-Id",
                remedy: "come through the gateway with a token")
        }
        return (id, String((exchange.field("X-User-Email") ?? "").prefix(254)))
    }

    private func checkout(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let user = try user(exchange)
        let request = try CheckoutRequest(try exchange.json())
        guard let field = exchange.field("Idempotency-Key") else {
            return price(exchange, user, request, key: nil, since: began)
        }
        guard let given = Self.idempotencyKey(field), (1...Shop.identifierLimit).contains(given.count) else {
            throw HTTPProblem(
                400, word: "idempotency_key", "an Idempotency-Key has 1 to \(Shop.identifierLimit) characters",
                remedy: "as they are, or as the text of a structured field: \"8e03978e-40d5\"")
        }
        // Keys of different customers are different.
        let key = "\(user.id)/\(given)"
        known(key, request, exchange, since: began) { [weak self] in
            self?.price(exchange, user, request, key: key, since: began)
        }
    }

    /// draft-ietf-httpapi-idempotency-key-header-07 §2.1 has the key as a structured field's text, in quotation marks;
    /// almost everybody sends it without. Both are the same key. Nil for a text that is none.
    static func idempotencyKey(_ field: String) -> String? {
        guard field.hasPrefix("\"") else { return field }
        guard case .item(let item)? = try? StructuredField(field, as: .item), case .string(let key) = item.value else {
            return nil
        }
        return key
    }

    /// draft-ietf-httpapi-idempotency-key-header-07 §2.7: the same answer again; 409 while the first is under way; 422
    /// if the same key comes with another request.
    private func known(
        _ key: String, _ request: CheckoutRequest, _ exchange: HTTPExchange, since began: LabTime,
        orElse: @escaping () -> Void
    ) {
        store?.key(key) { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(nil): orElse()
            case .success(let (fingerprint, orderID)?):
                guard fingerprint == request.fingerprint else {
                    return exchange.refuse(
                        HTTPProblem(
                            422, word: "idempotency_mismatch", "this Idempotency-Key was used for another request",
                            remedy: "use a new key for each order"))
                }
                self?.replay(orderID, exchange, since: began)
            }
        }
    }

    private func replay(_ orderID: String, _ exchange: HTTPExchange, since began: LabTime) {
        store?.order(orderID) { [weak self] result in
            switch result {
            case .success(let order?) where order.saga.phase.isTerminal:
                try? exchange.addField("Idempotent-Replayed", "true")
                self?.answer(exchange, order, since: began)
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            default:
                exchange.refuse(
                    HTTPProblem(
                        409, word: "idempotency_in_progress",
                        "the request with this Idempotency-Key is still under way",
                        remedy: "ask again in a moment"))
            }
        }
    }

    /// Prices are the catalogue's, whatever the client thinks.
    private func price(
        _ exchange: HTTPExchange, _ user: (id: String, email: String), _ request: CheckoutRequest, key: String?,
        since began: LabTime
    ) {
        total(request.lines[...], nil, exchange) { [weak self] result in
            switch result {
            case .failure(let problem): exchange.refuse(problem)
            case .success(let total):
                self?.begin(exchange, user, request, total, key: key, since: began)
            }
        }
    }

    private func total(
        _ lines: ArraySlice<OrderLine>, _ sum: Money?, _ exchange: HTTPExchange,
        _ completion: @escaping (Result<Money, HTTPProblem>) -> Void
    ) {
        guard let line = lines.first else { return completion(.success(sum ?? Money(minor: 0))) }
        host.peer("products").ask(.init("GET", "/products/\(line.productID)"), for: exchange) { [weak self] result in
            switch result {
            case .failure(let failure):
                completion(
                    .failure(
                        HTTPProblem(503, word: "products_unavailable", "the catalogue does not answer: \(failure.text)")
                    ))
            case .success(let answer) where answer.status == 404:
                completion(.failure(HTTPProblem(.unknownProduct(line.productID))))
            case .success(let answer):
                guard case .integer(let minor)? = answer.json["price_minor"],
                    case .string(let code)? = answer.json["currency"], let currency = Money.Currency(code),
                    let amount = Money(minor: minor, currency).times(line.quantity)
                else {
                    return completion(
                        .failure(HTTPProblem(503, word: "products_unavailable", "the catalogue knows no price")))
                }
                guard let next = sum.map({ $0.plus(amount) }) ?? amount else {
                    return completion(
                        .failure(
                            HTTPProblem(400, word: "too_much", "that is more than can be charged at a time")))
                }
                self?.total(lines.dropFirst(), next, exchange, completion)
            }
        }
    }

    private func begin(
        _ exchange: HTTPExchange, _ user: (id: String, email: String), _ request: CheckoutRequest, _ total: Money,
        key: String?, since began: LabTime
    ) {
        guard total.minor > 0 else {
            return exchange.refuse(HTTPProblem(400, word: "nothing_to_pay", "there is nothing to pay"))
        }
        store?.number { [weak self] result in
            guard let self else { return }
            guard case .success(let number) = result else {
                if case .failure(let failure) = result { exchange.refuse(HTTPProblem(failure)) }
                return
            }
            var save = CheckoutSaga.Save()
            let saga = CheckoutSaga(orderID: "o\(number)", save: &save)
            let order = Order(
                id: "o\(number)", userID: user.id, email: user.email, lines: request.lines, total: total,
                paymentMethod: request.paymentMethod, createdAt: host.nowText, saga: saga, version: 1,
                traceparent: exchange.span?.context.traceparent)
            insert(order, save, exchange, request, key: key, since: began)
        }
    }

    private func insert(
        _ order: Order, _ save: CheckoutSaga.Save, _ exchange: HTTPExchange, _ request: CheckoutRequest, key: String?,
        since began: LabTime
    ) {
        store?.insert(order, save, key: key.map { ($0, request.fingerprint) }) { [weak self] failure in
            guard let self else { return }
            switch failure {
            case .conflict?:
                // Another request with the same key was faster: its order is the one.
                guard let key else { return exchange.refuse(HTTPProblem(ShopStoreFailure.conflict)) }
                known(key, request, exchange, since: began) {
                    exchange.refuse(HTTPProblem(ShopStoreFailure.conflict))
                }
            case .database?:
                exchange.refuse(HTTPProblem(failure!))
                adopt(order.id)
            case nil:
                runtime.log("Received checkout request (order_id: \(id: order.id))")
                wait(for: order, exchange, since: began)
                runner?.run(order, for: exchange)
            }
        }
    }

    /// The database went away while the order was being stored: it may be there all the same, and then somebody has to
    /// lead it to its end.
    private func adopt(_ id: String) {
        node.after(.seconds(1)) { [weak self] in
            self?.store?.order(id) { [weak self] result in
                switch result {
                case .success(nil): break
                case .success(let order?): self?.runner?.run(order)
                case .failure: self?.adopt(id)
                }
            }
        }
    }

    // MARK: Answers

    private func wait(for order: Order, _ exchange: HTTPExchange, since began: LabTime) {
        let waiter = Waiter(exchange, began)
        waiting[order.id, default: []].append(waiter)
        let rest = max(.zero, Self.patience - (node.world.now - began))
        waiter.timer = node.after(rest) { [weak self] in
            guard let self else { return }
            waiting[order.id]?.removeAll { $0 === waiter }
            if waiting[order.id]?.isEmpty == true { waiting[order.id] = nil }
            latency?.observe(node.world.now - began, within: exchange.span)
            // As it was when it began, which is what can be said for sure: it is not over.
            answer(exchange, order, since: began)
        }
    }

    private func ended(_ order: Order) {
        for waiter in waiting.removeValue(forKey: order.id) ?? [] {
            node.cancel(waiter.timer)
            latency?.observe(node.world.now - waiter.began, within: waiter.exchange.span)
            answer(waiter.exchange, order, since: waiter.began)
        }
    }

    private func answer(_ exchange: HTTPExchange, _ order: Order, since began: LabTime) {
        host.answer(exchange, order.answerStatus, Array((order.answer.text + "\n").utf8), since: began)
    }
}
