import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShopEngine
import ShopKitService

/// The inventory's rows: reads those that a request is about, lets `Inventory` decide, and writes what has changed.
///
/// Both ways of keeping two requests from the same last piece are here, to be compared. *Pessimistic*: the rows are
/// locked while they are read (`for update`), and whoever else wants them waits. *Optimistic*: they are read without
/// a lock and written on the condition that their versions are still the same; who was overtaken begins again. The
/// first costs waiting, the second work that was done for nothing; with much demand for one product that is most of it.
final class InventoryStore {
    enum Mode: String, CaseIterable, Sendable { case pessimistic, optimistic }

    enum Failure: Error {
        case refused(InventoryRefusal)
        case store(ShopStoreFailure)
    }

    typealias Decision = (inout Inventory, _ number: Int) throws(InventoryRefusal) -> Reservation?
    typealias Completion = (Result<(reservation: Reservation?, before: Inventory, after: Inventory), Failure>) -> Void

    let mode: Mode
    private let database: ShopDatabase
    /// Times that somebody else was faster.
    private(set) var conflictCount = 0

    /// Beginnings of one request before it gives up.
    private static let attemptLimit = 50

    static let schema = [
        """
        create table if not exists stock (product_id text primary key, available bigint not null, \
        reserved bigint not null, sold bigint not null, received bigint not null, version bigint not null)
        """,
        """
        create table if not exists reservations (order_id text primary key, id text not null, state text not null, \
        expires_at bigint not null, items text not null, version bigint not null)
        """,
        "create index if not exists reservations_by_state on reservations (state, expires_at)",
        "create sequence if not exists reservation_numbers",
    ]

    init(_ database: ShopDatabase, _ mode: Mode) {
        self.database = database
        self.mode = mode
    }

    /// Everything that an order and some products are about, changed as `decide` says.
    func change(
        orderID: String?, products: [String], _ decide: @escaping Decision, attempt: Int = 1,
        _ completion: @escaping Completion
    ) {
        let again: (ShopStoreFailure) -> Void = { [weak self] failure in
            guard let self, case .conflict = failure, attempt < Self.attemptLimit else {
                return completion(.failure(.store(failure)))
            }
            conflictCount += 1
            change(orderID: orderID, products: products, decide, attempt: attempt + 1, completion)
        }
        switch mode {
        case .pessimistic:
            database.transaction(failed: { completion(.failure(.store(ShopStoreFailure($0)))) }) { transaction in
                Change(orderID, products, lock: " for update", run: transaction.execute).read { result in
                    switch result {
                    case .failure(let failure): transaction.rollback { again(failure) }
                    case .success(let read):
                        Self.decide(read, decide, completion) { statements, done in
                            if statements.isEmpty { return transaction.rollback { done(nil) } }
                            transaction.finish(statements[...], done)
                        } refused: { refusal in
                            transaction.rollback { completion(.failure(.refused(refusal))) }
                        } failed: {
                            again($0)
                        }
                    }
                }
            }
        case .optimistic:
            Change(orderID, products, lock: "", run: database.execute).read { [database] result in
                switch result {
                case .failure(let failure): again(failure)
                case .success(let read):
                    Self.decide(read, decide, completion) { statements, done in
                        if statements.isEmpty { return done(nil) }
                        database.atomically(statements, done)
                    } refused: {
                        completion(.failure(.refused($0)))
                    } failed: {
                        again($0)
                    }
                }
            }
        }
    }

    private static func decide(
        _ read: (inventory: Inventory, number: Int), _ decide: Decision, _ completion: @escaping Completion,
        write: ([ShopStatement], @escaping (ShopStoreFailure?) -> Void) -> Void,
        refused: (InventoryRefusal) -> Void, failed: @escaping (ShopStoreFailure) -> Void
    ) {
        let before = read.inventory
        var after = before
        let reservation: Reservation?
        do throws(InventoryRefusal) { reservation = try decide(&after, read.number) } catch { return refused(error) }
        write(statements(from: before, to: after)) { failure in
            if let failure { return failed(failure) }
            completion(.success((reservation, before, after)))
        }
    }

    // MARK: Writing

    private static func statements(from before: Inventory, to after: Inventory) -> [ShopStatement] {
        var statements: [ShopStatement] = []
        for level in after.sortedLevels where before.levels[level.productID] != level {
            let numbers = [level.available, level.reserved, level.sold, level.received, level.version]
            var parameters: [PostgresValue?] = [.text(level.productID)] + numbers.map { .number($0) }
            guard let old = before.levels[level.productID] else {
                statements.append(
                    ShopStatement(
                        "insert into stock (product_id, available, reserved, sold, received, version) "
                            + "values ($1, $2, $3, $4, $5, $6)", parameters, expected: 1))
                continue
            }
            parameters.append(.number(old.version))
            statements.append(
                ShopStatement(
                    "update stock set available = $2, reserved = $3, sold = $4, received = $5, version = $6 "
                        + "where product_id = $1 and version = $7", parameters, expected: 1))
        }
        for (id, reservation) in after.reservations.sorted(by: { $0.key < $1.key })
        where before.reservations[id] != reservation {
            statements.append(statement(for: reservation, before: before.reservations[id]))
        }
        return statements
    }

    private static func statement(for reservation: Reservation, before: Reservation?) -> ShopStatement {
        var parameters: [PostgresValue?] = [
            .text(reservation.orderID), .text(reservation.id), .text(reservation.state.rawValue),
            .number(reservation.expiresAtSeconds), .text(OrderLine.json(reservation.lines).text(.compact)),
            .number(reservation.version),
        ]
        guard let before else {
            return ShopStatement(
                "insert into reservations (order_id, id, state, expires_at, items, version) "
                    + "values ($1, $2, $3, $4, $5, $6)", parameters, expected: 1)
        }
        parameters.append(.number(before.version))
        return ShopStatement(
            "update reservations set id = $2, state = $3, expires_at = $4, items = $5, version = $6 "
                + "where order_id = $1 and version = $7", parameters, expected: 1)
    }

    // MARK: Reading

    /// Reads the rows of a request, by a transaction or without one.
    private struct Change {
        typealias Run = (String, [PostgresValue?], @escaping ShopDatabase.Completion) -> Void
        typealias Read = (Result<(inventory: Inventory, number: Int), ShopStoreFailure>) -> Void
        let orderID: String?
        let products: [String]
        let lock: String
        let run: Run

        init(_ orderID: String?, _ products: [String], lock: String, run: @escaping Run) {
            self.orderID = orderID
            self.products = products
            self.lock = lock
            self.run = run
        }

        func read(_ completion: @escaping Read) {
            guard let orderID else { return readLevels([], completion) }
            let sql = "select order_id, id, state, expires_at, items, version from reservations where order_id = $1"
            run(sql + lock, [.text(orderID)]) { result in
                switch result {
                case .failure(let failure): completion(.failure(ShopStoreFailure(failure)))
                case .success(let results):
                    readLevels(results.shopRows.map { InventoryStore.reservation($0) }, completion)
                }
            }
        }

        private func readLevels(_ reservations: [Reservation], _ completion: @escaping Read) {
            let names = Set(products + reservations.flatMap { $0.lines.map(\.productID) }).sorted()
            guard !names.isEmpty else { return readNumber(Inventory(reservations: reservations), completion) }
            // In the order of their names, so that nobody waits for somebody who waits for him.
            let places = names.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
            let sql =
                "select product_id, available, reserved, sold, received, version from stock "
                + "where product_id in (\(places)) order by product_id"
            run(sql + lock, names.map { .text($0) }) { result in
                switch result {
                case .failure(let failure): completion(.failure(ShopStoreFailure(failure)))
                case .success(let results):
                    let levels = results.shopRows.map { InventoryStore.level($0) }
                    readNumber(Inventory(levels: levels, reservations: reservations), completion)
                }
            }
        }

        /// For a reservation that there is not yet.
        private func readNumber(_ inventory: Inventory, _ completion: @escaping Read) {
            guard let orderID, inventory.reservations[orderID] == nil else {
                return completion(.success((inventory, 0)))
            }
            run("select nextval('reservation_numbers')", []) { result in
                switch result {
                case .failure(let failure): completion(.failure(ShopStoreFailure(failure)))
                case .success(let results): completion(.success((inventory, results.shopRows.first?.number(0) ?? 0)))
                }
            }
        }
    }

    static func level(_ row: ShopRow) -> StockLevel {
        StockLevel(
            productID: row.text(0), available: row.number(1), reserved: row.number(2), sold: row.number(3),
            received: row.number(4), version: row.number(5))
    }

    static func reservation(_ row: ShopRow) -> Reservation {
        let json = (try? JSONValue(parsing: row.text(4))) ?? .array([])
        return Reservation(
            id: row.text(1), orderID: row.text(0), lines: (try? OrderLine.read(JSONCursor(json))) ?? [],
            state: Reservation.State(rawValue: row.text(2)) ?? .released, expiresAtSeconds: row.number(3),
            version: row.number(5))
    }
}
