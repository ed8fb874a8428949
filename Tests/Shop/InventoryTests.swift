import KernelStructures
import TestSupport
import Testing

@testable import ShopEngine

// @covers SHOP-S10 SHOP-S11 SHOP-S12 SHOP-H5
@Suite("The inventory")
struct InventoryTests {
    private func inventory(_ available: Int = 3) -> Inventory {
        Inventory(levels: [
            StockLevel(productID: "p1", available: available), StockLevel(productID: "p2", available: 1),
        ])
    }

    @Test("reserved, then sold; and each of both may be asked for twice")
    func confirm() throws {
        var stock = inventory()
        for _ in 0..<2 {
            _ = try stock.reserve(orderID: "o1", lines: [OrderLine("p1", 2)], id: "r1", nowSeconds: 0)
            #expect(stock.levels["p1"]?.available == 1)
            #expect(stock.levels["p1"]?.reserved == 2)
        }
        for _ in 0..<2 {
            let state = try stock.confirm(orderID: "o1").state
            #expect(state == .confirmed)
            #expect(stock.levels["p1"]?.reserved == 0)
            #expect(stock.levels["p1"]?.sold == 2)
        }
    }

    @Test("all lines or none")
    func allOrNone() {
        var stock = inventory()
        let lines = [OrderLine("p1", 1), OrderLine("p2", 2)]
        #expect(throws: InventoryRefusal.outOfStock(productID: "p2", wanted: 2, available: 1)) {
            try stock.reserve(orderID: "o1", lines: lines, id: "r1", nowSeconds: 0)
        }
        #expect(stock.levels == inventory().levels)
    }

    @Test("lines of one product are one line: three times two of five are too many")
    func gathered() {
        var stock = inventory(5)
        #expect(throws: InventoryRefusal.self) {
            try stock.reserve(
                orderID: "o1", lines: Array(repeating: OrderLine("p1", 2), count: 3), id: "r", nowSeconds: 0)
        }
        let huge = [OrderLine("p1", Int.max), OrderLine("p1", Int.max)]
        #expect(Inventory.gathered(huge) == [OrderLine("p1", Int.max)])
    }

    @Test("a release before its reservation bars it")
    func barred() {
        var stock = inventory()
        _ = stock.release(orderID: "o1", id: "r1")
        #expect(throws: InventoryRefusal.released(orderID: "o1")) {
            try stock.reserve(orderID: "o1", lines: [OrderLine("p1", 1)], id: "r2", nowSeconds: 0)
        }
        #expect(stock.levels["p1"]?.available == 3)
    }

    @Test("five minutes, not a second less; then the pieces are free")
    func expiry() throws {
        var stock = inventory()
        _ = try stock.reserve(orderID: "o1", lines: [OrderLine("p1", 3)], id: "r1", nowSeconds: 100)
        #expect(stock.expire(orderID: "o1", nowSeconds: 399) == false)
        #expect(stock.expire(orderID: "o1", nowSeconds: 400) == true)
        #expect(stock.expire(orderID: "o1", nowSeconds: 400) == false)
        #expect(stock.levels["p1"]?.available == 3)
    }

    @Test("expired while the card was charged: confirmed if the pieces are there, refused if they are gone")
    func expiryRacingPayment() throws {
        var stock = inventory()
        _ = try stock.reserve(orderID: "o1", lines: [OrderLine("p1", 3)], id: "r1", nowSeconds: 0)
        _ = stock.expire(orderID: "o1", nowSeconds: 300)
        var other = stock
        let state = try stock.confirm(orderID: "o1").state
        #expect(state == .confirmed)
        #expect(stock.levels["p1"]?.sold == 3)
        _ = try other.reserve(orderID: "o2", lines: [OrderLine("p1", 1)], id: "r2", nowSeconds: 301)
        #expect(throws: InventoryRefusal.expired(orderID: "o1")) { try other.confirm(orderID: "o1") }
        #expect(other.levels["p1"]?.sold == 0)
    }

    @Test("the same order with other pieces is another wish")
    func differs() throws {
        var stock = inventory()
        _ = try stock.reserve(orderID: "o1", lines: [OrderLine("p1", 1)], id: "r1", nowSeconds: 0)
        #expect(throws: InventoryRefusal.differs(orderID: "o1")) {
            try stock.reserve(orderID: "o1", lines: [OrderLine("p1", 2)], id: "r1", nowSeconds: 0)
        }
    }

    // @covers SHOP-M5
    @Test("a flash sale: ten thousand buyers, a hundred pieces, a hundred sold")
    func flashSale() {
        var stock = Inventory(levels: [StockLevel(productID: "p1", available: 100)])
        var confirmed = 0
        for buyer in 0..<10_000 {
            let order = "o\(buyer)"
            if (try? stock.reserve(orderID: order, lines: [OrderLine("p1", 1)], id: "r\(buyer)", nowSeconds: 0)) != nil,
                (try? stock.confirm(orderID: order)) != nil
            {
                confirmed += 1
            }
        }
        #expect(confirmed == 100)
        #expect(
            stock.levels["p1"].map { [$0.available, $0.reserved, $0.sold] } == [0, 0, 100])
    }

    @Test("whatever is asked in whatever order: pieces neither appear nor vanish")
    func balance() {
        for seed in 0..<(isLong ? 5_000 : 200) {
            var random = SeededRandom(seed: UInt64(seed))
            var stock = inventory(4)
            for _ in 0..<60 {
                let order = "o\(random.below(6))"
                switch random.below(4) {
                case 0:
                    _ = try? stock.reserve(
                        orderID: order, lines: [OrderLine(random.chance(0.5) ? "p1" : "p2", 1 + random.below(2))],
                        id: "r", nowSeconds: 0)
                case 1: _ = try? stock.confirm(orderID: order)
                case 2: _ = stock.release(orderID: order, id: "r")
                default: _ = stock.expire(orderID: order, nowSeconds: 300)
                }
                let isBalanced = stock.sortedLevels.allSatisfy { $0.isBalanced }
                #expect(isBalanced, "seed \(seed)")
            }
        }
    }

    @Test("a delivery that would make less than nothing, or more than is allowed, is refused")
    func deliveries() {
        var level = StockLevel(productID: "p1", available: 3, sold: 2)
        #expect(level.receive(-4) == false)
        #expect(level.receive(Int.min) == false)
        #expect(level.receive(StockLevel.limit) == false)
        #expect(level.receive(-3) == true)
        #expect(level.isBalanced)
    }
}
