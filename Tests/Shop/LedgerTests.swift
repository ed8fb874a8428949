import KernelJSON
import TestSupport
import Testing

@testable import ShopEngine

/// What the judge sees, and when: each thing that a shop can do in the wrong order, and the same in the right one.
@Suite("The ledger as judge")
struct LedgerTests {
    private func ledger(
        _ phase: CheckoutSaga.Phase, paid: [(charged: Int, refunded: Int)] = [], events: [String]? = nil,
        stock: StockLevel = StockLevel(productID: "p1", available: 5)
    ) -> ShopLedger {
        let status = phase == .confirmed ? "confirmed" : phase == .failed ? "failed" : "pending"
        return ShopLedger(
            stock: [stock],
            orders: [.init(id: "o1", status: status, totalMinor: 500, lines: [OrderLine("p1", 1)], phase: phase)],
            payments: paid.map { .init(orderID: "o1", chargedMinor: $0.charged, refundedMinor: $0.refunded) },
            events: events.map { $0.map { .init(orderID: "o1", type: $0) } })
    }

    @Test("charged before it is stored that the pieces are reserved: seen while it lasts, whatever comes of it")
    func chargedTooEarly() {
        #expect(ledger(.reserving).liveComplaints == [])
        let early = ledger(.reserving, paid: [(500, 0)])
        #expect(early.liveComplaints == ["o1: charged 500 before it is stored that its pieces are reserved"])
        #expect(early.complaints == early.liveComplaints)
        for phase in [CheckoutSaga.Phase.charging, .confirming, .undoing, .parked] {
            #expect(ledger(phase, paid: [(500, 0)]).liveComplaints == [], "\(phase)")
        }
    }

    @Test("an event tells of what is stored, or it is a lie")
    func events() {
        for phase in CheckoutSaga.Phase.allCases {
            for (type, due) in [("order.created", CheckoutSaga.Phase.confirmed), ("order.failed", .failed)] {
                let complaints = ledger(phase, events: [type]).liveComplaints
                #expect(complaints.isEmpty == (phase == due), "\(type) \(phase)")
            }
        }
        #expect(ledger(.charging, events: ["order.seen"]).liveComplaints == [])
        var nobodys = ledger(.confirmed, events: [])
        nobodys.orders = []
        nobodys.events = [.init(orderID: "o9", type: "order.created")]
        #expect(nobodys.liveComplaints == ["o9: order.created was published, and there is no such order"])
    }

    @Test("two charges are one too many at every moment, given back or not")
    func doubleCharge() {
        let twice = ledger(.confirming, paid: [(500, 0), (500, 0)])
        #expect(twice.liveComplaints == ["o1: charged 2 times"])
        #expect(ledger(.confirmed, paid: [(500, 0), (500, 500)]).liveComplaints == ["o1: charged 2 times"])
    }

    @Test("money that is kept for an order that failed, and pieces that are not given back")
    func kept() {
        #expect(
            ledger(.failed, paid: [(500, 0)]).complaints == ["o1 is failed: charged 500, refunded 0, due 0"])
        #expect(ledger(.failed, paid: [(500, 500)]).complaints == [])
        var held = StockLevel(productID: "p1", available: 5)
        held.available = 4
        held.reserved = 1
        #expect(ledger(.failed, stock: held).complaints == ["p1: 1 reserved for orders that are over"])
        #expect(ledger(.undoing, stock: held).complaints == [])
    }

    @Test("when all is settled nobody is under way, and somebody was told of everybody")
    func settled() {
        var sold = StockLevel(productID: "p1", available: 5)
        sold.available = 4
        sold.sold = 1
        let confirmed = ledger(.confirmed, paid: [(500, 0)], events: ["order.created"], stock: sold)
        #expect(confirmed.settledComplaints == [])
        #expect(
            ledger(.confirmed, paid: [(500, 0)], events: [], stock: sold).settledComplaints
                == ["o1 is confirmed, and nobody was told"])
        // Where nobody listens nobody can be told.
        #expect(ledger(.confirmed, paid: [(500, 0)], stock: sold).settledComplaints == [])
        for phase in CheckoutSaga.Phase.allCases where !phase.isTerminal {
            #expect(ledger(phase, events: []).settledComplaints.contains("o1 is not over: \(phase.rawValue)"))
            #expect(ledger(phase, events: []).complaints == [], "\(phase)")
        }
    }

    @Test("the services' answers are read, with and without events and phases")
    func reading() throws {
        let orders = try JSONValue(
            parsing: #"{"orders": [{"order_id": "o1", "status": "pending", "phase": "charging", "total_minor": 1, "#
                + #""items": [{"product_id": "p1", "quantity": 1}]}]}"#)
        let rest = try JSONValue(
            parsing: #"{"stock": [], "payments": [], "events": [{"order_id": "o1", "type": "order.created"}]}"#)
        let with = try ShopLedger(orders: orders, stock: rest, payments: rest, events: rest)
        #expect(with.orders.first?.phase == .charging)
        #expect(with.events == [.init(orderID: "o1", type: "order.created")])
        #expect(with.liveComplaints.count == 1)
        let without = try ShopLedger(orders: orders, stock: rest, payments: rest)
        #expect(without.events == nil && without.liveComplaints == [])
    }

    @Test("what somebody has a say in who does not answer is not judged, and all else is")
    func silent() throws {
        let orders = try JSONValue(
            parsing: #"{"orders": [{"order_id": "o1", "status": "confirmed", "total_minor": 500, "#
                + #""items": [{"product_id": "p1", "quantity": 1}]}]}"#)
        let stock = try JSONValue(
            parsing: #"{"stock": [{"product_id": "p1", "available": 1, "reserved": 0, "sold": 0, "received": 2}]}"#)
        let payments: JSONValue = ["payments": []]
        let all = try ShopLedger(orders: orders, stock: stock, payments: payments)
        #expect(all.complaints.count == 3 && all.silent == [])
        let unbalanced = "p1: available 1 + reserved 0 + sold 0 is not the 2 received"
        let unsold = "p1: 0 sold, and orders were confirmed for 1"
        let unpaid = "o1 is confirmed: charged 0, refunded 0, due 500"
        let noMoney = try ShopLedger(orders: orders, stock: stock, payments: .null)
        #expect(noMoney.complaints == [unbalanced, unsold] && noMoney.silent == [.payments])
        #expect(noMoney.json(stock: stock)["charged_minor"] == .null && noMoney.json(stock: stock)["confirmed"] == 1)
        #expect(try ShopLedger(orders: orders, stock: .null, payments: payments).complaints == [unpaid])
        #expect(try ShopLedger(orders: .null, stock: stock, payments: payments).complaints == [unbalanced])
    }
}
