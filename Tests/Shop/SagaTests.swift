import KernelStructures
import TestSupport
import Testing

@testable import ShopEngine

// @covers SHOP-S14 SHOP-S15 SHOP-C1 SHOP-H2 SHOP-H3 SHOP-M2
@Suite("The checkout's saga")
struct SagaTests {
    private static let stock = [StockLevel(productID: "p1", available: 5), StockLevel(productID: "p2", available: 3)]
    private static let order = [OrderLine("p1", 2), OrderLine("p2", 1)]

    private func world(_ card: String = "card_xxx") -> ShopWorld {
        var world = ShopWorld(stock: Self.stock)
        world.begin("o1", Self.order, total: 5000, card: card)
        return world
    }

    @Test("without trouble an order is confirmed, paid once and published once")
    func quiet() {
        var world = world()
        _ = world.run("o1") { _ in nil }
        #expect(world.stored["o1"]?.phase == .confirmed)
        #expect(world.ledger.complaints == [])
        #expect(world.ledger.chargedMinor == 5000)
        #expect(world.published.map(\.key) == ["order.created"])
        #expect(world.inventory.levels["p1"]?.sold == 2)
    }

    @Test("a declined card gives the pieces back")
    func declined() {
        var world = world("card_insufficient_funds")
        _ = world.run("o1") { _ in nil }
        #expect(world.stored["o1"]?.phase == .failed)
        #expect(world.stored["o1"]?.reason == "payment_declined")
        #expect(world.ledger.complaints == [])
        #expect(world.inventory.levels["p1"]?.available == 5)
        #expect(world.published.map(\.key) == ["order.failed"])
    }

    @Test("each step, each trouble: crash before and after, question or reply lost, doubled, late, expired")
    func matrix() {
        for card in ["card_xxx", "card_declined"] {
            for trouble in ShopWorld.Trouble.allCases {
                for step in 0..<8 {
                    var world = world(card)
                    _ = world.run("o1") { $0 == step ? trouble : nil }
                    let phase = world.stored["o1"]?.phase
                    #expect(phase?.isTerminal == true, "\(card) \(trouble) at \(step): \(String(describing: phase))")
                    #expect(world.ledger.complaints == [], "\(card) \(trouble) at \(step)")
                    let expected: CheckoutSaga.Phase = card == "card_xxx" ? .confirmed : .failed
                    if trouble != .outsold { #expect(phase == expected, "\(card) \(trouble) at \(step)") }
                    #expect(Set(world.published.map { "\($0.orderID)-\($0.sequence)" }).count == 1)
                }
            }
        }
    }

    /// One world: six orders, some pieces too few for all of them, and troubles at random.
    private func chance(_ seed: Int, _ mutant: ShopWorld.Mutant? = nil) -> [String] {
        var random = SeededRandom(seed: UInt64(seed))
        var world = ShopWorld(stock: [
            StockLevel(productID: "p1", available: 6), StockLevel(productID: "p2", available: 4),
        ])
        world.mutant = mutant
        for number in 1...6 {
            let id = "o\(number)"
            let lines = [OrderLine(random.chance(0.5) ? "p1" : "p2", 1 + random.below(3))]
            let card = random.chance(0.3) ? "card_declined" : "card_xxx"
            world.begin(id, lines, total: 100 * number, card: card)
            var draws = random.fork(id)
            _ = world.run(id) { _ in
                draws.chance(0.35) ? ShopWorld.Trouble.allCases[draws.below(ShopWorld.Trouble.allCases.count)] : nil
            }
        }
        return world.complaints
    }

    @Test("worlds of chance: the books are in order in each of them")
    func seeds() {
        for seed in 0..<(isLong ? 10_000 : 300) {
            let complaints = chance(seed)
            #expect(complaints == [], "seed \(seed)")
            if !complaints.isEmpty { return }
        }
    }

    @Test("the search finds each of the four usual mistakes", arguments: ShopWorld.Mutant.allCases)
    func mutants(mutant: ShopWorld.Mutant) {
        #expect((0..<1_000).contains { !chance($0, mutant).isEmpty }, "\(mutant)")
    }

    @Test("a service that never answers: what may have happened is undone")
    func silence() {
        for silent in [CheckoutSaga.Call.reserve, .charge, .confirm] {
            var save = CheckoutSaga.Save()
            var saga = CheckoutSaga(orderID: "o1", save: &save)
            for _ in 0..<200 where !saga.phase.isTerminal {
                guard let call = saga.call else { break }
                let event: CheckoutSaga.Event =
                    call == silent
                    ? .unanswered("silent")
                    : [
                        .reserve: .reserved(reservationID: "r1", expiresAtSeconds: 1), .confirm: .confirmed,
                        .charge: .charged(paymentID: "pi_1", chargeID: "ch_1"), .void: .voided(refundedMinor: 1),
                        .release: .released,
                    ][call] ?? .due
                _ = saga.apply(event)
            }
            #expect(saga.phase == .failed)
            #expect(saga.reason == "\(silent.rawValue)_unavailable")
            #expect(saga.compensations == [])
        }
    }

    @Test("cards are charged and no reply ever comes: what was charged is given back")
    func lostReplies() {
        var world = world()
        // From the first charge on, until it has been given up.
        _ = world.run("o1") { (1..<40).contains($0) ? .replyLost : nil }
        #expect(world.stored["o1"]?.phase == .failed)
        #expect(world.stored["o1"]?.reason == "charge_unavailable")
        #expect(world.ledger.complaints == [])
        #expect(world.ledger.refundedMinor == 5000)
    }

    @Test("a compensation that never succeeds is parked, and goes on when a person says so")
    func parking() {
        var save = CheckoutSaga.Save()
        var saga = CheckoutSaga(orderID: "o1", save: &save)
        _ = saga.apply(.refused(reason: "out_of_stock"))
        for _ in 0..<CheckoutSaga.backwardLimit { _ = saga.apply(.unanswered("down")) }
        #expect(saga.phase == .parked)
        #expect(saga.next == .parked)
        #expect(saga.apply(.released) == nil)
        _ = saga.apply(.unparked)
        #expect(saga.next == .call(.release))
        _ = saga.apply(.released)
        #expect(saga.phase == .failed)
    }

    @Test("an answer that comes late or twice changes nothing")
    func stray() {
        var save = CheckoutSaga.Save()
        var saga = CheckoutSaga(orderID: "o1", save: &save)
        #expect(saga.apply(.confirmed) == nil)
        #expect(saga.apply(.charged(paymentID: "pi_1", chargeID: "ch_1")) == nil)
        #expect(saga.apply(.released) == nil)
        #expect(saga.phase == .reserving)
    }

    @Test("pauses grow, and stop growing")
    func pauses() {
        var save = CheckoutSaga.Save()
        var saga = CheckoutSaga(orderID: "o1", save: &save)
        _ = saga.apply(.refused(reason: "x"))
        var pauses: [Int] = []
        for _ in 0..<12 {
            _ = saga.apply(.unanswered("down"))
            if case .wait(let milliseconds) = saga.next { pauses.append(milliseconds) }
        }
        #expect(Array(pauses.prefix(4)) == [200, 400, 800, 1600])
        #expect(pauses.last == 60_000)
    }

    // @covers SHOP-C4
    @Test("what happens to an order is numbered without a gap, and so are its events")
    func sequence() {
        var save = CheckoutSaga.Save()
        var saga = CheckoutSaga(orderID: "o1", save: &save)
        var count = save.entries.count
        let events: [CheckoutSaga.Event] = [
            .unanswered("x"), .reserved(reservationID: "r1", expiresAtSeconds: 9), .confirmed, .unanswered("y"),
            .charged(paymentID: "pi_1", chargeID: "ch_1"), .confirmed, .confirmed,
        ]
        for event in events {
            guard let save = saga.apply(event) else { continue }
            count += save.entries.count
            #expect(saga.sequence == count)
            #expect((save.publishes != nil) == (saga.phase == .confirmed))
        }
        #expect(saga.phase == .confirmed)
        #expect(count == 7)
    }

    // @covers SHOP-C2 SHOP-H4 SHOP-M3
    @Test("a hundred thousand repeated charges with crashes, lost answers and voids: nobody is charged twice")
    func doubleCharges() {
        var random = SeededRandom(seed: 7)
        var number = 0
        var lostCount = 0
        for order in 0..<2_000 {
            var book = PaymentBook()
            let id = "o\(order)"
            let request = StripeRequest.create(
                amount: Money(minor: 100), paymentMethod: random.chance(0.2) ? "card_declined" : "card_xxx",
                confirms: true, orderID: id)
            var heard: Set<String> = []
            var isVoid = false
            for _ in 0..<50 {
                number += 10
                let before = book
                let isVoiding = random.below(200) == 0
                let answer = book.handle(
                    isVoiding ? .void(orderID: id) : request, key: isVoiding ? nil : id, number: number, nowSeconds: 1)
                switch random.below(4) {
                // It dies before its transaction is there: nothing of it has happened.
                case 0: book = before
                // It has happened, and nobody hears of it.
                case 1:
                    lostCount += 1
                    isVoid = isVoid || isVoiding
                default:
                    isVoid = isVoid || isVoiding
                    if !isVoiding { heard.insert(answer.body) }
                }
            }
            // All who heard anything heard the same, and whoever undid it has nothing to pay.
            let own = book.intents.values
            if own.count > 1 { Issue.record("\(id): \(own.count) charges") }
            if heard.count > (isVoid ? 2 : 1) { Issue.record("\(id): \(heard.count) different answers") }
            if isVoid, own.contains(where: { $0.paidMinor > 0 }) { Issue.record("\(id) is void and paid") }
        }
        #expect(lostCount > 20_000)
    }

    @Test("a key for each attempt, which is the usual mistake, is found by the ledger")
    func keyForEachAttempt() {
        var world = world()
        world.mutant = .keyPerRetry
        _ = world.run("o1") { $0 == 1 ? .replyLost : nil }
        #expect(world.ledger.complaints.contains { $0.contains("charged 2 times") })
    }
}
