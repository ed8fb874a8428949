import KernelJSON
import KernelStructures
import TestSupport
import Testing

@testable import ShopEngine

// @covers SHOP-S16 SHOP-S17
@Suite("Payments in Stripe's manner")
struct PaymentTests {
    private func create(
        _ amount: Int = 1000, card: String = "pm_card_visa", order: String? = "o1", confirms: Bool = true
    ) -> StripeRequest {
        .create(amount: Money(minor: amount), paymentMethod: card, confirms: confirms, orderID: order)
    }

    @Test("the same key and request: the same answer, and one charge")
    func replay() {
        var book = PaymentBook()
        let first = book.handle(create(), key: "k1", number: 1, nowSeconds: 5)
        let second = book.handle(create(), key: "k1", number: 2, nowSeconds: 6)
        #expect(first.status == 200)
        #expect(second.body == first.body)
        #expect(second.isReplay)
        #expect(book.intents.count == 1)
    }

    @Test("the same key and another request is an error, and charges nobody")
    func mismatch() {
        var book = PaymentBook()
        _ = book.handle(create(), key: "k1", number: 1, nowSeconds: 5)
        let second = book.handle(create(2000), key: "k1", number: 2, nowSeconds: 6)
        #expect(second.status == 400)
        #expect(second.body.contains("idempotency_error"))
        #expect(book.intents.count == 1)
    }

    @Test("a decline is kept for its key; what fails validation is not")
    func kept() {
        var book = PaymentBook()
        let declined = book.handle(create(card: "card_declined"), key: "k1", number: 1, nowSeconds: 5)
        #expect(declined.status == 402)
        #expect(book.handle(create(card: "card_declined"), key: "k1", number: 2, nowSeconds: 5).isReplay)
        let refused = book.handle(.confirm(id: "pi_9", paymentMethod: nil), key: "k2", number: 3, nowSeconds: 5)
        #expect(refused.status == 404)
        #expect(book.answers["k2"] == nil)
    }

    @Test("keys have 1 to 255 characters")
    func keyLength() {
        var book = PaymentBook()
        for key in ["", String(repeating: "k", count: 256)] {
            #expect(book.handle(create(), key: key, number: 1, nowSeconds: 5).status == 400)
        }
        #expect(book.handle(create(), key: String(repeating: "k", count: 255), number: 1, nowSeconds: 5).status == 200)
    }

    @Test("a refund gives back what is left, once")
    func refunds() {
        var book = PaymentBook()
        _ = book.handle(create(), key: nil, number: 1, nowSeconds: 5)
        func refund(_ amount: Int?) -> StripeRequest {
            .refund(intentID: "pi_1", chargeID: nil, amountMinor: amount, reason: nil)
        }
        #expect(book.handle(refund(400), key: nil, number: 2, nowSeconds: 6).status == 200)
        #expect(book.handle(refund(601), key: nil, number: 3, nowSeconds: 6).status == 400)
        #expect(book.handle(refund(nil), key: nil, number: 4, nowSeconds: 6).status == 200)
        let last = book.handle(refund(nil), key: nil, number: 5, nowSeconds: 6)
        #expect(last.body.contains("charge_already_refunded"))
        #expect(book.intents["pi_1"]?.paidMinor == 0)
    }

    @Test("voided: refunded if it was charged, and never charged after")
    func void() {
        var book = PaymentBook()
        _ = book.handle(create(), key: "o1", number: 1, nowSeconds: 5)
        let first = book.handle(.void(orderID: "o1"), key: nil, number: 10, nowSeconds: 6)
        #expect(first.outcome == .voided(orderID: "o1", refundedMinor: 1000))
        let second = book.handle(.void(orderID: "o1"), key: nil, number: 20, nowSeconds: 6)
        #expect(second.outcome == .voided(orderID: "o1", refundedMinor: 0))
        #expect(second.body == first.body)
        _ = book.handle(.void(orderID: "o2"), key: nil, number: 30, nowSeconds: 6)
        #expect(book.handle(create(order: "o2"), key: "o2", number: 40, nowSeconds: 7).status == 400)
        #expect(book.intents.count == 1)
    }

    @Test("cards say what they say at Stripe's")
    func cards() {
        #expect(CardVerdict(card: "pm_card_visa") == .approved)
        #expect(CardVerdict(card: "card_xxx") == .approved)
        for (card, code) in [
            ("pm_card_chargeDeclined", "generic_decline"),
            ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
            ("pm_card_chargeDeclinedLostCard", "lost_card"), ("4000000000009979", "stolen_card"),
        ] {
            guard case .declined(_, let decline, _) = CardVerdict(card: card) else {
                Issue.record("\(card) was approved")
                continue
            }
            #expect(decline == code)
        }
    }

    @Test("forms are read as Stripe reads them")
    func forms() throws {
        let form = [("amount", "1998"), ("currency", "USD"), ("confirm", "true"), ("payment_method", "card_xxx")]
        #expect(
            try StripeRequest(path: ["payment_intents"], form: form.map { (name: $0.0, value: $0.1) })
                == create(1998, card: "card_xxx", order: nil))
        for (path, form, code) in [
            (["payment_intents"], [("currency", "usd")], "parameter_missing"),
            (["payment_intents"], [("amount", "1.5"), ("currency", "usd")], "parameter_invalid_integer"),
            (["payment_intents"], [("amount", "-1"), ("currency", "usd")], "parameter_invalid_integer"),
            (["payment_intents"], [("amount", "100000000"), ("currency", "usd")], "parameter_invalid_integer"),
            (["payment_intents"], [("amount", "1"), ("currency", "usd"), ("amonut", "1")], "parameter_unknown"),
            (["refunds"], [], "parameter_missing"),
        ] {
            do throws(StripeError) {
                _ = try StripeRequest(path: path, form: form.map { (name: $0.0, value: $0.1) })
                Issue.record("\(form) was read")
            } catch {
                #expect(error.code == code)
            }
        }
    }

    @Test("forms of chance are read or refused, and what was read charges at most once a key")
    func fuzz() {
        var random = SeededRandom(seed: 3)
        let names = [
            "amount", "currency", "confirm", "payment_method", "metadata[order_id]", "x", "order_id", "reason",
        ]
        let values = [
            "1", "0", "-5", "usd", "EUR", "true", "card_xxx", "", "o1", "99999999", "💥", "9223372036854775808",
        ]
        let paths = [
            ["payment_intents"], ["payment_intents", "void"], ["payment_intents", "pi_1", "confirm"],
            ["payment_intents", "pi_1", "cancel"], ["refunds"], [], ["x"],
        ]
        var book = PaymentBook()
        for round in 0..<3_000 {
            let form = (0..<random.below(6)).map { _ in
                (name: names[random.below(names.count)], value: values[random.below(values.count)])
            }
            guard let request = try? StripeRequest(path: paths[random.below(paths.count)], form: form) else { continue }
            let before = book.intents.count
            let first = book.handle(request, key: "k\(round)", number: round * 10, nowSeconds: 1)
            let middle = book.intents
            let second = book.handle(request, key: "k\(round)", number: round * 10 + 5, nowSeconds: 1)
            #expect(!first.isKept || second.body == first.body)
            #expect(!first.isKept || book.intents == middle)
            #expect(book.intents.count <= before + 1)
        }
        for intent in book.intents.values { #expect((0...intent.amount.minor).contains(intent.refundedMinor)) }
    }
}
