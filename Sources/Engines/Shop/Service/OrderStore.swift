import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShopEngine
import ShopKitService

/// The orders' rows: an order with its saga, what happened to it, and the events that are still to be published. What
/// belongs together is written in one transaction, so that none of it can be there without the rest.
final class OrderStore {
    static let schema = [
        """
        create table if not exists orders (id text primary key, user_id text not null, email text not null, \
        items text not null, total_minor bigint not null, currency text not null, payment_method text not null, \
        created_at text not null, owner text not null, phase text not null, compensations text not null, \
        attempts bigint not null, reason text, payment_id text, charge_id text, reservation_id text, \
        sequence bigint not null, version bigint not null)
        """,
        "alter table orders add column if not exists traceparent text",
        "create table if not exists order_nodes (name text primary key, beat bigint not null)",
        "create index if not exists orders_by_owner on orders (owner, phase)",
        "create index if not exists orders_by_user on orders (user_id)",
        """
        create table if not exists order_log (order_id text not null, sequence bigint not null, at text not null, \
        kind text not null, detail text not null, primary key (order_id, sequence))
        """,
        """
        create table if not exists outbox (number bigserial primary key, event_id text unique not null, \
        key text not null, body text not null, traceparent text)
        """,
        """
        create table if not exists checkout_keys (key text primary key, fingerprint text not null, \
        order_id text not null, created_at text not null)
        """,
        "create sequence if not exists order_numbers",
    ]

    static let columns =
        "id, user_id, email, items, total_minor, currency, payment_method, created_at, phase, compensations, attempts, "
        + "reason, payment_id, charge_id, reservation_id, sequence, version, traceparent, owner"

    private let database: ShopDatabase
    /// The node that leads an order: after a crash it goes on with its own.
    let owner: String

    init(_ database: ShopDatabase, owner: String) {
        self.database = database
        self.owner = owner
    }

    // MARK: Writing

    /// An order as it begins, with its idempotency key if the client has given one.
    func insert(
        _ order: Order, _ save: CheckoutSaga.Save, key: (name: String, fingerprint: String)?,
        _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        let saga = order.saga
        var statements = [
            ShopStatement(
                "insert into orders (\(Self.columns)) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
                    + "$13, $14, $15, $16, $17, $18, $19)",
                [
                    .text(order.id), .text(order.userID), .text(order.email), .text(order.linesJSON.text(.compact)),
                    .number(order.total.minor), .text(order.total.currency.code), .text(order.paymentMethod),
                    .text(order.createdAt), .text(saga.phase.rawValue), .text(Self.text(saga.compensations)),
                    .number(saga.attempts), nil, nil, nil, nil, .number(saga.sequence), .number(order.version),
                    order.traceparent.map { .text($0) }, .text(owner),
                ], expected: 1)
        ]
        if let key {
            // Two requests with one key at the same moment: the second fails here, and nothing of it has happened.
            statements.insert(
                ShopStatement(
                    "insert into checkout_keys (key, fingerprint, order_id, created_at) values ($1, $2, $3, $4)",
                    [.text(key.name), .text(key.fingerprint), .text(order.id), .text(order.createdAt)]), at: 0)
        }
        statements += Self.entries(order, save, at: order.createdAt)
        database.atomically(statements, completion)
    }

    /// A saga's next state, what happened, and what is to be published: all or nothing. `conflict` says that somebody
    /// else has changed the order meanwhile.
    func update(
        _ order: Order, _ save: CheckoutSaga.Save, at time: String, traceparent: String?,
        _ completion: @escaping (ShopStoreFailure?) -> Void
    ) {
        let saga = order.saga
        var statements = [
            ShopStatement(
                "update orders set phase = $2, compensations = $3, attempts = $4, reason = $5, payment_id = $6, "
                    + "charge_id = $7, reservation_id = $8, sequence = $9, version = $10, owner = $12 "
                    + "where id = $1 and version = $11",
                [
                    .text(order.id), .text(saga.phase.rawValue), .text(Self.text(saga.compensations)),
                    .number(saga.attempts), saga.reason.map { .text($0) }, saga.paymentID.map { .text($0) },
                    saga.chargeID.map { .text($0) }, saga.reservationID.map { .text($0) }, .number(saga.sequence),
                    .number(order.version), .number(order.version - 1), .text(owner),
                ], expected: 1)
        ]
        statements += Self.entries(order, save, at: time)
        if let key = save.publishes {
            statements.append(
                ShopStatement(
                    "insert into outbox (event_id, key, body, traceparent) values ($1, $2, $3, $4)",
                    [
                        .text(order.eventID), .text(key), .text(order.event(key, at: time).text(.compact)),
                        traceparent.map { .text($0) },
                    ]))
        }
        database.atomically(statements, completion)
    }

    private static func entries(_ order: Order, _ save: CheckoutSaga.Save, at time: String) -> [ShopStatement] {
        let first = order.saga.sequence - save.entries.count + 1
        return save.entries.enumerated().map { index, entry in
            ShopStatement(
                "insert into order_log (order_id, sequence, at, kind, detail) values ($1, $2, $3, $4, $5)",
                [
                    .text(order.id), .number(first + index), .text(time), .text(entry.kind),
                    .text(String(entry.detail.prefix(1000))),
                ])
        }
    }

    private static func text(_ compensations: [CheckoutSaga.Compensation]) -> String {
        compensations.map(\.rawValue).joined(separator: " ")
    }

    // MARK: Reading

    func number(_ completion: @escaping (Result<Int, ShopStoreFailure>) -> Void) {
        database.rows("select nextval('order_numbers')") { completion($0.map { $0.first?.number(0) ?? 0 }) }
    }

    func order(_ id: String, _ completion: @escaping (Result<Order?, ShopStoreFailure>) -> Void) {
        database.rows("select \(Self.columns) from orders where id = $1", [.text(id)]) {
            completion($0.map { $0.first.map(Self.order) })
        }
    }

    /// Orders that a node has begun and not ended: an earlier life of this one, or somebody who says nothing any more.
    func unfinished(of owner: String, _ completion: @escaping (Result<[Order], ShopStoreFailure>) -> Void) {
        let sql =
            "select \(Self.columns) from orders where owner = $1 and phase not in ('confirmed', 'failed', 'parked') "
            + "order by id"
        database.rows(sql, [.text(owner)]) { completion($0.map { $0.map(Self.order) }) }
    }

    // MARK: Several nodes

    /// Says that this node is there, and reads who else has.
    func beat(_ completion: @escaping (Result<[ReplicaWatch.Beat], ShopStoreFailure>) -> Void) {
        let sql =
            "insert into order_nodes (name, beat) values ($1, 1) "
            + "on conflict (name) do update set beat = order_nodes.beat + 1"
        database.rows(sql, [.text(owner)]) { [database] result in
            if case .failure(let failure) = result { return completion(.failure(failure)) }
            database.rows("select name, beat from order_nodes order by name limit \(ReplicaWatch.limit)") {
                completion($0.map { $0.map { .init(name: $0.text(0), count: $0.number(1)) } })
            }
        }
    }

    /// Takes an order over. Nil if somebody was faster, or its owner has come back: then its version is another.
    func claim(_ order: Order, of other: String, _ completion: @escaping (Order?) -> Void) {
        var claimed = order
        claimed.version += 1
        claimed.owner = owner
        let statement = ShopStatement(
            "update orders set owner = $1, version = $2 where id = $3 and owner = $4 and version = $5",
            [.text(owner), .number(claimed.version), .text(order.id), .text(other), .number(order.version)],
            expected: 1)
        database.atomically([statement]) { [claimed] failure in completion(failure == nil ? claimed : nil) }
    }

    /// A node that has left nothing behind need not be watched any more; if it comes back it says so.
    func forget(_ beat: ReplicaWatch.Beat, _ done: @escaping () -> Void) {
        database.execute(
            "delete from order_nodes where name = $1 and beat = $2", [.text(beat.name), .number(beat.count)]
        ) { _ in done() }
    }

    func orders(
        user: String?, limit: Int, _ completion: @escaping (Result<[Order], ShopStoreFailure>) -> Void
    ) {
        let filter = user == nil ? "" : " where user_id = $2"
        let parameters: [PostgresValue?] = [.number(limit)] + (user.map { [.text($0)] } ?? [])
        database.rows(
            "select \(Self.columns) from orders\(filter) order by created_at desc, id desc limit $1", parameters
        ) { completion($0.map { $0.map(Self.order) }) }
    }

    /// The order that a key belongs to, and what was asked with it.
    func key(
        _ name: String,
        _ completion: @escaping (Result<(fingerprint: String, orderID: String)?, ShopStoreFailure>) -> Void
    ) {
        database.rows("select fingerprint, order_id from checkout_keys where key = $1", [.text(name)]) { result in
            completion(result.map { rows in rows.first.map { ($0.text(0), $0.text(1)) } })
        }
    }

    func log(of id: String, _ completion: @escaping (Result<[ShopRow], ShopStoreFailure>) -> Void) {
        database.rows(
            "select sequence, at, kind, detail from order_log where order_id = $1 order by sequence", [.text(id)],
            completion)
    }

    private static func order(_ row: ShopRow) -> Order {
        let items = (try? JSONValue(parsing: row.text(3))) ?? .array([])
        let saga = CheckoutSaga(
            orderID: row.text(0), phase: CheckoutSaga.Phase(rawValue: row.text(8)) ?? .parked,
            compensations: row.text(9).split(separator: " ").compactMap {
                CheckoutSaga.Compensation(rawValue: String($0))
            },
            attempts: row.number(10), reason: row.optional(11), paymentID: row.optional(12),
            chargeID: row.optional(13), reservationID: row.optional(14), sequence: row.number(15))
        return Order(
            id: row.text(0), userID: row.text(1), email: row.text(2),
            lines: (try? OrderLine.read(JSONCursor(items))) ?? [],
            total: Money(minor: row.number(4), Money.Currency(row.text(5)) ?? .usd), paymentMethod: row.text(6),
            createdAt: row.text(7), saga: saga, version: row.number(16), traceparent: row.optional(17),
            owner: row.optional(18))
    }
}
