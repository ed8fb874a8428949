import KernelHosting
import KernelJSON
import KernelStructures
import KernelTelemetry
import ShopEngine
import ShopKitService

/// What can be read of orders, and what a person can do about one.
extension OrderService {
    private func find(_ exchange: HTTPExchange, _ body: @escaping (Order) -> Void) {
        let id = exchange.parameters["id"]
        let user = exchange.field("X-User-Id")
        store?.order(id) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let order):
                // Somebody else's order is none that he may know of. Without a name it is the shop itself that asks.
                guard let order, user == nil || order.userID == user else {
                    return exchange.refuse(HTTPProblem(404, word: "unknown_order", "there is no order '\(id)'"))
                }
                body(order)
            }
        }
    }

    func show(_ exchange: HTTPExchange) { find(exchange) { exchange.answer(json: $0.details) } }

    func list(_ exchange: HTTPExchange) throws {
        var query = try exchange.query()
        let limit = try query.takeInteger("limit", 1...1000) ?? 50
        try query.expectNothingElse()
        store?.orders(user: exchange.field("X-User-Id"), limit: limit) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let orders): exchange.answer(json: .object([("orders", .array(orders.map(\.answer)))]))
            }
        }
    }

    func timeline(_ exchange: HTTPExchange) {
        find(exchange) { [weak self] order in
            self?.store?.log(of: order.id) { result in
                switch result {
                case .failure(let failure): exchange.refuse(HTTPProblem(failure))
                case .success(let rows):
                    let events = rows.map { row -> JSONValue in
                        .object([
                            ("sequence", .integer(row.number(0))), ("at", .string(row.text(1))),
                            ("what", .string(row.text(2))), ("detail", .string(row.text(3))),
                        ])
                    }
                    let trace = order.traceparent.flatMap { try? TraceContext(traceparent: [$0]) }
                    exchange.answer(
                        json: .object([
                            ("order", order.details),
                            ("trace_id", trace.map { .string("\($0.traceID)") } ?? .null),
                            ("timeline", .array(events)),
                        ]))
                }
            }
        }
    }

    func resume(_ exchange: HTTPExchange) {
        find(exchange) { [weak self] order in
            guard order.saga.phase == .parked else {
                return exchange.refuse(
                    HTTPProblem(409, word: "not_parked", "order '\(order.id)' is \(order.saga.phase.rawValue)"))
            }
            self?.runner?.unpark(order) { failure in
                if let failure { return exchange.refuse(HTTPProblem(failure)) }
                exchange.answer(202, json: order.details)
            }
        }
    }

    /// What the ledger adds up.
    func ledger(_ exchange: HTTPExchange) {
        store?.orders(user: nil, limit: 1_000_000) { result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let orders): exchange.answer(json: .object([("orders", .array(orders.map(\.details)))]))
            }
        }
    }
}
