import KernelJSON
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import ShopEngine

@Suite("The shop's nodes")
struct PlatformTests {
    // @covers SHOP-S13 SHOP-M1
    @Test("a checkout: reserved, charged, confirmed, and its steps can be read")
    func checkout() throws {
        let shop = try ShopPlatform()
        var answer: (status: Int, json: JSONValue) = (0, .null)
        shop.checkout(2) { answer = ($0, $1) }
        shop.world.pass(.seconds(1))
        #expect(answer.status == 200)
        #expect(answer.json.text == #"{"order_id": "o1", "status": "confirmed", "total": 1998}"#)
        var timeline: JSONValue = .null
        shop.ask("GET", "orders", "/orders/o1/timeline") { timeline = $1 }
        shop.world.pass(.seconds(1))
        let steps = try JSONCursor(timeline)["timeline"].array().map { try $0["what"].string() }
        #expect(steps == ["received", "reserved", "charged", "confirmed", "published"])
        let ledger = try shop.ledger()
        #expect(ledger.complaints == [])
        #expect(ledger.stock.first?.sold == 2)
        shop.shutDown()
    }

    @Test(
        "each node is killed at each moment of a checkout, and the books are in order",
        arguments: [
            "orders", "inventory", "payments", "db", "mq",
        ])
    func crashes(victim: String) throws {
        // A checkout takes some five milliseconds here.
        for moment in stride(from: 0, through: 6_000, by: isLong ? 100 : 750) {
            for card in ["card_xxx", "card_declined"] {
                let shop = try ShopPlatform()
                shop.checkout(2, card: card, key: "k1")
                shop.world.pass(.microseconds(moment))
                shop.kill(victim, powerLoss: moment % 1_500 == 0)
                shop.world.pass(.milliseconds(700))
                try shop.start(victim)
                shop.world.pass(.seconds(90))
                let ledger = try shop.ledger()
                #expect(ledger.complaints == [], "\(victim) at \(moment) µs, \(card)")
                #expect(ledger.pendingCount == 0, "\(victim) at \(moment) µs, \(card)")
                // Whoever asks again with the same key gets the same order, and no second one.
                var again: JSONValue = .null
                shop.checkout(2, card: card, key: "k1") { again = $1 }
                shop.world.pass(.seconds(20))
                #expect(again["order_id"] != nil, "\(victim) at \(moment) µs, \(card)")
                let after = try shop.ledger()
                #expect(after.orders.count == 1, "\(victim) at \(moment) µs, \(card)")
                #expect(after.complaints == [], "\(victim) at \(moment) µs, \(card)")
                shop.shutDown()
            }
        }
    }

    @Test("a hundred requests with one key at the same moment: one order, one charge")
    func oneKey() throws {
        let shop = try ShopPlatform()
        var statuses: [Int] = []
        // As a structured field's text it is the same key.
        for turn in 0..<100 {
            shop.checkout(1, key: turn % 2 == 0 ? "k1" : "\"k1\"") { status, _ in statuses.append(status) }
        }
        shop.world.pass(.seconds(10))
        #expect(statuses.count == 100)
        #expect(Set(statuses).isSubset(of: [200, 409]))
        #expect(statuses.contains(200))
        let ledger = try shop.ledger()
        #expect(ledger.orders.count == 1)
        #expect(ledger.payments.count == 1)
        #expect(ledger.complaints == [])
        // The same key with another wish.
        var status = 0
        shop.checkout(2, key: "k1") { code, _ in status = code }
        shop.world.pass(.seconds(1))
        #expect(status == 422)
        // Another customer's key is another key.
        shop.checkout(2, key: "k1", user: "u2") { code, _ in status = code }
        shop.world.pass(.seconds(1))
        #expect(status == 200)
        shop.shutDown()
    }

    // @covers SHOP-C3
    @Test(
        "more buyers than pieces, with locks and with versions: exactly as many orders as pieces",
        arguments: [
            false, true,
        ])
    func flashSale(isOptimistic: Bool) throws {
        try sale(buyers: 40, pieces: 10, isOptimistic: isOptimistic, declinePercent: 0, within: .zero)
    }

    @Test("ten thousand buyers within a minute, a hundred pieces", .enabled(if: isLong), arguments: [0, 30])
    func greatSale(declinePercent: Int) throws {
        try sale(
            buyers: 10_000, pieces: 100, isOptimistic: false, declinePercent: declinePercent, within: .seconds(60))
    }

    @Test("a sale at which some cards are declined: never more than there are, and declined pieces are sold again")
    func declinedSale() throws {
        try sale(buyers: 60, pieces: 10, isOptimistic: false, declinePercent: 40, within: .seconds(2))
    }

    private func sale(
        buyers: Int, pieces: Int, isOptimistic: Bool, declinePercent: Int, within time: LabDuration
    ) throws {
        var setup = ShopPlatform.Setup()
        setup.isOptimistic = isOptimistic
        setup.stock = pieces
        let shop = try ShopPlatform(setup)
        var random = SeededRandom(seed: 9)
        var confirmed = 0
        var refused = 0
        for buyer in 0..<buyers {
            let card = random.below(100) < declinePercent ? "card_declined" : "card_xxx"
            shop.checkout(card: card, user: "u\(buyer)") { status, _ in
                if status == 200 { confirmed += 1 } else if [402, 409].contains(status) { refused += 1 }
            }
            shop.world.pass(LabDuration(nanoseconds: time.nanoseconds / Int64(buyers)))
        }
        shop.world.pass(.seconds(30))
        let ledger = try shop.ledger()
        #expect(ledger.complaints == [])
        #expect(ledger.pendingCount == 0)
        #expect(ledger.stock.first?.sold == pieces)
        #expect(ledger.stock.first?.reserved == 0)
        #expect(ledger.count("confirmed") == pieces)
        #expect(confirmed == pieces)
        #expect(refused == buyers - pieces)
        shop.shutDown()
    }

    @Test("pieces that expire while the card is charged: sold once, and whoever paid for nothing has it back")
    func expiryRacingPayment() throws {
        for milliseconds in stride(from: 1_000, through: 4_000, by: isLong ? 100 : 750) {
            var setup = ShopPlatform.Setup()
            setup.stock = 1
            setup.holdSeconds = 2
            let shop = try ShopPlatform(setup)
            shop.world.inject(
                .latency(.milliseconds(milliseconds), jitter: .zero), from: "payments", to: "orders", for: .seconds(8))
            shop.checkout(user: "u1")
            for rival in 2...8 {
                shop.world.pass(.milliseconds(700))
                shop.checkout(user: "u\(rival)")
            }
            shop.world.pass(.seconds(120))
            let ledger = try shop.ledger()
            #expect(ledger.complaints == [], "\(milliseconds) ms")
            #expect(ledger.pendingCount == 0, "\(milliseconds) ms")
            #expect(ledger.count("confirmed") == 1, "\(milliseconds) ms")
            #expect(ledger.stock.first?.sold == 1, "\(milliseconds) ms")
            shop.shutDown()
        }
    }

    // @covers SHOP-S18 SHOP-I5
    @Test("payments do not answer: pending after 2.3 s, and confirmed once they do")
    func pending() throws {
        let shop = try ShopPlatform()
        shop.kill("payments")
        var answer: (status: Int, json: JSONValue) = (0, .null)
        shop.checkout { answer = ($0, $1) }
        shop.world.pass(.seconds(3))
        #expect(answer.status == 200)
        #expect(answer.json["payment_status"] == "pending")
        shop.world.pass(.seconds(3))
        #expect(shop.world.journal.text.contains("Circuit to payments: CLOSED → OPEN"))
        try shop.start("payments")
        shop.world.pass(.seconds(30))
        let ledger = try shop.ledger()
        #expect(ledger.count("confirmed") == 1)
        #expect(ledger.complaints == [])
        shop.shutDown()
    }

    @Test("pieces that are held for five minutes are free again")
    func expiry() throws {
        let shop = try ShopPlatform()
        shop.ask(
            "POST", "inventory", "/reservations",
            body: #"{"order_id": "x1", "items": [{"product_id": "p1", "quantity": 4}]}"#
        ) { _, _ in }
        shop.world.pass(.seconds(1))
        #expect(try shop.ledger().stock.first?.reserved == 4)
        shop.world.pass(.seconds(295))
        #expect(try shop.ledger().stock.first?.reserved == 4)
        shop.world.pass(.seconds(10))
        #expect(try shop.ledger().stock.first?.available == 10)
        shop.shutDown()
    }

    @Test("the broker is away: orders go on, and their events are published when it is back")
    func brokerAway() throws {
        let shop = try ShopPlatform()
        shop.kill("mq")
        var status = 0
        shop.checkout { code, _ in status = code }
        shop.world.pass(.seconds(2))
        #expect(status == 200)
        try shop.start("mq")
        shop.world.pass(.seconds(30))
        let text = shop.world.journal.text
        let published = text.split(separator: "\n").filter { $0.contains("Published: order.created") }
        #expect(published.count == 1)
        shop.shutDown()
    }

    // @covers SHOP-S7 SHOP-S8 SHOP-S9
    @Test("the catalogue: made, found, filtered, changed, removed")
    func catalogue() throws {
        let shop = try ShopPlatform()
        var answers: [(Int, JSONValue)] = []
        func ask(_ method: String, _ target: String, _ body: String? = nil) {
            shop.ask(method, "products", target, body: body) { answers.append(($0, $1)) }
            shop.world.pass(.seconds(1))
        }
        ask("POST", "/products", #"{"name": "Desk, 100% oak", "category": "furniture", "price_minor": 24099}"#)
        ask("GET", "/products?q=oak%20100%25")
        ask("GET", "/products?max_price=500&sort=-price")
        ask("PUT", "/products/p2", #"{"price": 200}"#)
        ask("GET", "/products/p2")
        ask("PUT", "/categories/furniture", #"{"title": "Furniture"}"#)
        ask("GET", "/categories")
        ask("DELETE", "/products/p2")
        ask("GET", "/products/p2")
        ask("GET", "/products?sort=size")
        ask("POST", "/products", #"{"name": "X", "category": "a b", "price": 1}"#)
        #expect(answers.map(\.0) == [201, 200, 200, 200, 200, 200, 200, 204, 404, 400, 400])
        #expect(answers[1].1["products"]?[0]?["price"]?.text == "240.99")
        #expect(answers[2].1["products"]?[0]?["id"] == "p2")
        #expect(answers[4].1["price"] == 200)
        #expect(answers[4].1["name"] == "Desk, 100% oak")
        shop.shutDown()
    }
}
