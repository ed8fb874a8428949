import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ShopEngine
import ShopKitService

/// A processor of payments that speaks as much of Stripe's API as a shop needs, so that Stripe's own libraries can talk
/// to it, and that charges nobody.
public final class PaymentService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    private let store: PaymentStore?
    public private(set) var chargeCount = 0
    public private(set) var declineCount = 0
    public private(set) var refundCount = 0
    public private(set) var replayCount = 0

    public init(node: Node, settings: ShopSettings, service: ServiceOptions = ServiceOptions()) {
        host = ShopHost(node: node, tag: "PAYMENTS", settings: settings, options: service)
        store = host.database.map { PaymentStore($0) }
        let changes = [
            "/v1/payment_intents", "/v1/payment_intents/void", "/v1/payment_intents/{id}/confirm",
            "/v1/payment_intents/{id}/cancel", "/v1/refunds",
        ]
        for template in changes { host.on("POST", template) { [unowned self] exchange in change(exchange) } }
        host.on("GET", "/v1/payment_intents") { [unowned self] exchange in
            try list(exchange, "payment_intents", PaymentStore.intentColumns) { PaymentStore.intent($0).json }
        }
        host.on("GET", "/v1/payment_intents/{id}") { [unowned self] exchange in
            find(exchange, "payment_intents", PaymentStore.intentColumns) { PaymentStore.intent($0).json }
        }
        host.on("GET", "/v1/refunds") { [unowned self] exchange in
            try list(exchange, "refunds", PaymentStore.refundColumns) { PaymentStore.refund($0).json }
        }
        host.on("GET", "/v1/refunds/{id}") { [unowned self] exchange in
            find(exchange, "refunds", PaymentStore.refundColumns) { PaymentStore.refund($0).json }
        }
        host.on("GET", "/ledger") { [unowned self] exchange in ledger(exchange) }
    }

    // MARK: Life

    public func prepare() throws { host.prepare(announcement: "Listening on :\(port: host.settings.port)") }
    public func opened() {
        host.opened(schema: PaymentStore.schema) { [unowned self] in runtime.log("Connected to DB") }
    }
    public func stop(_ done: @escaping () -> Void) { host.stop(done) }
    public var complaints: [String] { host.complaints }
    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }

    public var statistics: [Statistic] {
        [
            .init("charges", chargeCount, .counter("payments_charges_total", "Cards that were charged")),
            .init("declines", declineCount, .counter("payments_declines_total", "Cards that were declined")),
            .init("refunds", refundCount, .counter("payments_refunds_total", "Amounts that were given back")),
            .init(
                "replays", replayCount,
                .counter("payments_replays_total", "Answers that were repeated for a known idempotency key")),
        ]
    }

    // MARK: Changes

    private func change(_ exchange: HTTPExchange) {
        let began = node.world.now
        do {
            let path = exchange.path.split(separator: "/").dropFirst().map(String.init)
            let form = try exchange.form().items.map { ($0.name, $0.value) }
            let request = try StripeRequest(path: path, form: form)
            let key = exchange.field("Idempotency-Key")
            log(request, key)
            store?.handle(request, key: key, nowSeconds: host.nowSeconds) { [weak self] result in
                self?.answered(exchange, result, since: began)
            }
        } catch let error as StripeError {
            refuse(exchange, error, since: began)
        } catch {
            refuse(exchange, StripeError(400, "\(error)"), since: began)
        }
    }

    private func refuse(_ exchange: HTTPExchange, _ error: StripeError, since began: LabTime) {
        host.answer(exchange, error.status, error.json.bytes(), since: began)
    }

    private func log(_ request: StripeRequest, _ key: String?) {
        guard case .create(let amount, let method?, true, _) = request else { return }
        let key = key ?? "none"
        runtime.log("Charging \("\(amount)") to \(method) (idempotency_key: \(id: key))")
    }

    private func answered(
        _ exchange: HTTPExchange, _ result: Result<PaymentBook.Answer, ShopStoreFailure>, since began: LabTime
    ) {
        switch result {
        case .failure(.conflict):
            let error = StripeError(
                409, type: "idempotency_error", code: "idempotency_key_in_use",
                "There is currently another in-progress request using this key.")
            refuse(exchange, error, since: began)
        case .failure(let failure):
            refuse(exchange, StripeError(500, type: "api_error", "\(failure)"), since: began)
        case .success(let answer):
            note(answer)
            if answer.isReplay { try? exchange.addField("Idempotent-Replayed", "true") }
            host.answer(exchange, answer.status, Array(answer.body.utf8), since: began)
        }
    }

    private func note(_ answer: PaymentBook.Answer) {
        if answer.isReplay { replayCount += 1 }
        switch answer.outcome {
        case .nothing: break
        case .charged(let intent):
            chargeCount += 1
            runtime.log("✓ Payment successful (charge_id: \(id: intent.chargeID ?? ""))")
        case .declined(_, let text):
            declineCount += 1
            runtime.log("✗ Payment failed: \(text)", level: .warning)
        case .refunded(let refund):
            refundCount += 1
            runtime.log("Refunded \("\(refund.amount)") of \(id: refund.chargeID)")
        case .voided(let orderID, let refunded):
            if refunded > 0 { refundCount += 1 }
            runtime.log(
                refunded > 0
                    ? "Refunded \("\(Money(minor: refunded))") of order \(id: orderID)"
                    : "Voided order \(id: orderID), which had no charge")
        }
    }

    // MARK: Reading

    private func find(
        _ exchange: HTTPExchange, _ table: String, _ columns: String, _ json: @escaping (ShopRow) -> JSONValue
    ) {
        let id = exchange.parameters["id"]
        host.database?.rows("select \(columns) from \(table) where id = $1", [.text(id)]) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                guard let row = rows.first else {
                    let error = StripeError(404, code: "resource_missing", "No such \(table.dropLast()): '\(id)'")
                    return exchange.answer(404, json: error.json)
                }
                exchange.answer(json: json(row))
            }
        }
    }

    private func list(
        _ exchange: HTTPExchange, _ table: String, _ columns: String, _ json: @escaping (ShopRow) -> JSONValue
    ) throws {
        var query = try exchange.query()
        let limit = try query.takeInteger("limit", 1...100) ?? 10
        let intent = try query.take("payment_intent")
        try query.expectNothingElse()
        let filter = intent == nil || table != "refunds" ? "" : " where payment_intent = $2"
        let parameters: [PostgresValue?] = [.number(limit + 1)] + (filter.isEmpty ? [] : [.text(intent ?? "")])
        let sql = "select \(columns) from \(table)\(filter) order by created_at desc, id desc limit $1"
        let path = exchange.path
        host.database?.rows(sql, parameters) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                exchange.answer(
                    json: .object([
                        ("object", "list"), ("data", .array(rows.prefix(limit).map(json))),
                        ("has_more", .bool(rows.count > limit)), ("url", .string(path)),
                    ]))
            }
        }
    }

    /// What the ledger adds up.
    private func ledger(_ exchange: HTTPExchange) {
        let sql =
            "select id, order_id, amount, currency, status, refunded, charge_id from payment_intents order by created_at, id"
        host.database?.rows(sql) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                let entries = rows.map { row -> JSONValue in
                    .object([
                        ("payment_intent", .string(row.text(0))),
                        ("order_id", row.optional(1).map { .string($0) } ?? .null),
                        ("charged_minor", .integer(row.text(4) == "succeeded" ? row.number(2) : 0)),
                        ("refunded_minor", .integer(row.number(5))),
                        ("charge", row.optional(6).map { .string($0) } ?? .null),
                        ("status", .string(row.text(4))),
                    ])
                }
                exchange.answer(json: .object([("payments", .array(entries))]))
            }
        }
    }
}
