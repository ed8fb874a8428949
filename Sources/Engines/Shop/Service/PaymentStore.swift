import KernelHosting
import KernelStructures
import KernelWire
import ShopEngine
import ShopKitService

/// The payments' rows: fills in a `PaymentBook` with those that a request is about, and stores what it has changed
/// together with the key's answer, in one transaction. So a card is charged and its key known in the same moment.
final class PaymentStore {
    static let schema = [
        """
        create table if not exists payment_intents (id text primary key, order_id text, amount bigint not null, \
        currency text not null, status text not null, payment_method text, charge_id text, refunded bigint not null, \
        decline_code text, created_at bigint not null)
        """,
        "create index if not exists payment_intents_by_order on payment_intents (order_id)",
        "create index if not exists payment_intents_by_charge on payment_intents (charge_id)",
        """
        create table if not exists refunds (id text primary key, payment_intent text not null, charge text not null, \
        amount bigint not null, currency text not null, reason text, created_at bigint not null)
        """,
        """
        create table if not exists payment_keys (key text primary key, fingerprint text not null, \
        status bigint not null, body text not null, created_at bigint not null)
        """,
        "create table if not exists voided_orders (order_id text primary key)",
        "create sequence if not exists payment_numbers increment by 10",
    ]

    static let intentColumns =
        "id, order_id, amount, currency, status, payment_method, charge_id, refunded, decline_code, created_at"

    private let database: ShopDatabase

    init(_ database: ShopDatabase) { self.database = database }

    func handle(
        _ request: StripeRequest, key: String?, nowSeconds: Int,
        _ completion: @escaping (Result<PaymentBook.Answer, ShopStoreFailure>) -> Void
    ) {
        database.transaction(failed: { completion(.failure(ShopStoreFailure($0))) }) { transaction in
            Self.fill(request, key, transaction) { result in
                switch result {
                case .failure(let failure): transaction.rollback { completion(.failure(failure)) }
                case .success(let (before, number)):
                    var book = before
                    let answer = book.handle(request, key: key, number: number, nowSeconds: nowSeconds)
                    let statements = Self.statements(from: before, to: book, nowSeconds)
                    if statements.isEmpty { return transaction.rollback { completion(.success(answer)) } }
                    transaction.finish(statements[...]) { failure in
                        completion(failure.map { .failure($0) } ?? .success(answer))
                    }
                }
            }
        }
    }

    // MARK: Reading

    private typealias Filled = (Result<(PaymentBook, Int), ShopStoreFailure>) -> Void

    private static func fill(
        _ request: StripeRequest, _ key: String?, _ transaction: ShopTransaction, _ completion: @escaping Filled
    ) {
        var steps: [(sql: String, parameters: [PostgresValue?], take: (inout PaymentBook, [ShopRow]) -> Void)] = []
        if let key {
            steps.append(
                (
                    "select fingerprint, status, body from payment_keys where key = $1 for update", [.text(key)],
                    { book, rows in
                        guard let row = rows.first else { return }
                        book.keep(.init(fingerprint: row.text(0), status: row.number(1), body: row.text(2)), for: key)
                    }
                ))
        }
        let intents = "select \(intentColumns) from payment_intents where"
        let put: (inout PaymentBook, [ShopRow]) -> Void = { book, rows in for row in rows { book.put(intent(row)) } }
        var order: String?
        switch request {
        case .create(_, _, _, let orderID): order = orderID
        case .void(let orderID):
            order = orderID
            steps.append(("\(intents) order_id = $1 for update", [.text(orderID)], put))
        case .confirm(let id, _), .cancel(let id):
            steps.append(("\(intents) id = $1 for update", [.text(id)], put))
        case .refund(let id, let charge, _, _):
            steps.append(
                (
                    "\(intents) id = $1 or charge_id = $2 for update", [.text(id ?? ""), .text(charge ?? "")], put
                ))
        }
        if let order {
            steps.append(
                (
                    "select order_id from voided_orders where order_id = $1", [.text(order)],
                    { book, rows in for row in rows { book.bar(row.text(0)) } }
                ))
        } else {
            steps.append(
                (
                    "select order_id from voided_orders where order_id in (select order_id from payment_intents "
                        + "where id = $1)", [.text(request.intentID)],
                    { book, rows in for row in rows { book.bar(row.text(0)) } }
                ))
        }
        run(steps[...], PaymentBook(), transaction, completion)
    }

    private static func run(
        _ steps: ArraySlice<(sql: String, parameters: [PostgresValue?], take: (inout PaymentBook, [ShopRow]) -> Void)>,
        _ book: PaymentBook, _ transaction: ShopTransaction, _ completion: @escaping Filled
    ) {
        guard let step = steps.first else {
            return transaction.execute("select nextval('payment_numbers')") { result in
                completion(result.map { (book, $0.shopRows.first?.number(0) ?? 0) }.mapError { ShopStoreFailure($0) })
            }
        }
        transaction.execute(step.sql, step.parameters) { result in
            switch result {
            case .failure(let failure): completion(.failure(ShopStoreFailure(failure)))
            case .success(let results):
                var book = book
                step.take(&book, results.shopRows)
                run(steps.dropFirst(), book, transaction, completion)
            }
        }
    }

    static func intent(_ row: ShopRow) -> PaymentIntent {
        PaymentIntent(
            id: row.text(0), amount: Money(minor: row.number(2), Money.Currency(row.text(3)) ?? .usd),
            status: PaymentIntent.Status(rawValue: row.text(4)) ?? .canceled, paymentMethod: row.optional(5),
            chargeID: row.optional(6), refundedMinor: row.number(7), declineCode: row.optional(8),
            orderID: row.optional(1), createdAtSeconds: row.number(9))
    }

    static func refund(_ row: ShopRow) -> Refund {
        Refund(
            id: row.text(0), intentID: row.text(1), chargeID: row.text(2),
            amount: Money(minor: row.number(3), Money.Currency(row.text(4)) ?? .usd), reason: row.optional(5),
            createdAtSeconds: row.number(6))
    }

    static let refundColumns = "id, payment_intent, charge, amount, currency, reason, created_at"

    // MARK: Writing

    private static func statements(
        from before: PaymentBook, to after: PaymentBook, _ nowSeconds: Int
    ) -> [ShopStatement] {
        var statements: [ShopStatement] = []
        for (id, intent) in after.intents.sorted(by: { $0.key < $1.key }) where before.intents[id] != intent {
            statements.append(statement(intent, isNew: before.intents[id] == nil))
        }
        for refund in after.refunds {
            statements.append(
                ShopStatement(
                    "insert into refunds (\(refundColumns)) values ($1, $2, $3, $4, $5, $6, $7)",
                    [
                        .text(refund.id), .text(refund.intentID), .text(refund.chargeID), .number(refund.amount.minor),
                        .text(refund.amount.currency.code), refund.reason.map { .text($0) },
                        .number(refund.createdAtSeconds),
                    ]))
        }
        for order in after.barred.subtracting(before.barred).sorted() {
            statements.append(
                ShopStatement(
                    "insert into voided_orders (order_id) values ($1) on conflict (order_id) do nothing",
                    [.text(order)]))
        }
        for (key, answer) in after.answers.sorted(by: { $0.key < $1.key }) where before.answers[key] == nil {
            // Somebody else with the same key at the same moment: one of both fails here, and nothing of it happened.
            statements.append(
                ShopStatement(
                    "insert into payment_keys (key, fingerprint, status, body, created_at) values ($1, $2, $3, $4, $5)",
                    [
                        .text(key), .text(answer.fingerprint), .number(answer.status), .text(answer.body),
                        .number(nowSeconds),
                    ]))
        }
        return statements
    }

    private static func statement(_ intent: PaymentIntent, isNew: Bool) -> ShopStatement {
        let parameters: [PostgresValue?] = [
            .text(intent.id), intent.orderID.map { .text($0) }, .number(intent.amount.minor),
            .text(intent.amount.currency.code), .text(intent.status.rawValue), intent.paymentMethod.map { .text($0) },
            intent.chargeID.map { .text($0) }, .number(intent.refundedMinor), intent.declineCode.map { .text($0) },
            .number(intent.createdAtSeconds),
        ]
        if isNew {
            return ShopStatement(
                "insert into payment_intents (\(intentColumns)) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                parameters, expected: 1)
        }
        return ShopStatement(
            "update payment_intents set order_id = $2, amount = $3, currency = $4, status = $5, payment_method = $6, "
                + "charge_id = $7, refunded = $8, decline_code = $9, created_at = $10 where id = $1",
            parameters, expected: 1)
    }
}

extension StripeRequest {
    /// Which intent it names; empty for none.
    var intentID: String {
        switch self {
        case .confirm(let id, _), .cancel(let id): id
        case .refund(let id, _, _, _): id ?? ""
        case .create, .void: ""
        }
    }
}
