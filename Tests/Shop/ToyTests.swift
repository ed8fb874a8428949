import KernelStructures
import TestSupport
import Testing

@testable import ShopEngine

/// The shops that one writes first, each with what is wrong with it, beside the one that is here.
@Suite("Toy shops")
struct ToyTests {
    private static let order = [OrderLine("p1", 2)]

    /// One order, one crash before the `step`-th change is stored, and a judge who looks at every change.
    private func run(_ mutant: ShopWorld.Mutant?, card: String = "card_xxx", _ trouble: ShopWorld.Trouble, at step: Int)
        -> ShopWorld
    {
        var world = ShopWorld(stock: [StockLevel(productID: "p1", available: 5)])
        world.mutant = mutant
        world.begin("o1", Self.order, total: 5000, card: card)
        _ = world.run("o1") { $0 == step ? trouble : nil }
        return world
    }

    private func finds(_ mutant: ShopWorld.Mutant, card: String = "card_xxx", _ trouble: ShopWorld.Trouble) -> Bool {
        for step in 0..<8 {
            let complaints = run(nil, card: card, trouble, at: step).complaints
            #expect(complaints == [], "\(trouble) at \(step)")
        }
        return (0..<8).contains { !run(mutant, card: card, trouble, at: $0).complaints.isEmpty }
    }

    @Test("a saga in memory that is undone in a catch: whoever is killed meanwhile undoes nothing")
    func compensationInACatch() {
        #expect(finds(.compensationInCatch, card: "card_declined", .crashAfterSave))
        #expect(finds(.compensationInCatch, card: "card_declined", .crashBeforeSave))
    }

    @Test("published before the commit: whoever crashes in between has told of what is not there")
    func publishedBeforeTheCommit() {
        #expect(finds(.publishBeforeCommit, .crashBeforeSave))
        #expect(finds(.publishBeforeCommit, card: "card_declined", .crashBeforeSave))
    }

    @Test("a new key for each repetition: a lost answer is a second charge")
    func keyForEachRepetition() { #expect(finds(.keyPerRetry, .replyLost)) }

    @Test("no answer taken for a refusal: what was charged is kept for an order that failed")
    func timeoutTakenForARefusal() {
        // The toy: forgets to void, since it has heard of no charge.
        var book = PaymentBook()
        let charge = StripeRequest.create(
            amount: Money(minor: 5000), paymentMethod: "card_xxx", confirms: true, orderID: "o1")
        _ = book.handle(charge, key: "o1", number: 10, nowSeconds: 1)
        let toy = ShopLedger(
            stock: [], orders: [.init(id: "o1", status: "failed", totalMinor: 5000, lines: [])],
            payments: book.intents.values.map {
                .init(orderID: "o1", chargedMinor: $0.amount.minor, refundedMinor: $0.refundedMinor)
            })
        #expect(toy.complaints == ["o1 is failed: charged 5000, refunded 0, due 0"])
        // The saga: every reply of a charge is lost, and what nobody has heard of is given back.
        var world = ShopWorld(stock: [StockLevel(productID: "p1", available: 5)])
        world.begin("o1", Self.order, total: 5000, card: "card_xxx")
        _ = world.run("o1") { (1..<40).contains($0) ? .replyLost : nil }
        #expect(world.complaints == [])
        #expect(world.ledger.refundedMinor == 5000)
    }

    @Test("money in floating point: ten times ten cents is not a dollar")
    func floatsForMoney() throws {
        var toy = 0.0
        var till = Money(minor: 0)
        for _ in 0..<10 {
            toy += 0.1
            till = try #require(till.plus(Money(minor: 10)))
        }
        #expect(toy != 1)
        #expect(till == Money(minor: 100) && till.unitsText == "1")
        // $1.15 cut to cents loses one; here every amount is written and read exactly.
        #expect(Int(1.15 * 100) == 114)
        for minor in [1, 9, 10, 99, 100, 115, 1998, Money.largestMinor] {
            let parts = Money(minor: minor).unitsText.split(separator: ".")
            #expect(Int(parts[0])! * 100 + (parts.count > 1 ? Int(parts[1])! : 0) == minor)
        }
    }

    @Test("stock that is read, lessened and written: two who read the same sell the same piece")
    func readModifyWrite() throws {
        // The toy: both have read 1 before either has written.
        let read = 1
        let toySold = [read, read].filter { $0 >= 1 }.count
        #expect(toySold == 2)
        var inventory = Inventory(levels: [StockLevel(productID: "p1", available: 1)])
        var heldCount = 0
        for buyer in ["o1", "o2"] {
            let held = try? inventory.reserve(
                orderID: buyer, lines: [OrderLine("p1", 1)], id: "r-\(buyer)", nowSeconds: 1)
            heldCount += held == nil ? 0 : 1
        }
        #expect(heldCount == 1)
        #expect(inventory.levels["p1"]?.isBalanced == true)
    }
}
