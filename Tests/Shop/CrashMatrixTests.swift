import KernelJSON
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import ShopEngine

/// Every step of a checkout, and everything that can happen to it, on the shop's real nodes.
@Suite("Each step and each trouble")
struct CrashMatrixTests {
    enum Trouble: CaseIterable {
        /// The orders' node dies before its question has left it.
        case crashBefore
        /// It dies when the question was carried out, and never hears the answer.
        case crashAfter
        /// It lives, and the answer is lost.
        case replyLost
        /// The question arrives a second time.
        case twice
        /// The service that was asked dies behind its work.
        case serviceCrash
    }

    /// What is asked, what the asker says before it, and what the asked one says behind it.
    struct Step: CustomTestStringConvertible {
        let name: String
        let service: String
        let before: String
        let after: String
        var card = "card_xxx"
        /// The same question again.
        var question: (method: String, target: String, body: String)?

        var testDescription: String { name }

        static let reservation = #"{"order_id": "o1", "items": [{"product_id": "p1", "quantity": 2}]}"#
        static let all = [
            Step(
                name: "reserve", service: "inventory", before: "→ Reserving", after: "Reserved 2x p1",
                question: ("POST", "/reservations", reservation)),
            Step(
                name: "charge", service: "payments", before: "→ Processing", after: "✓ Payment successful",
                question: (
                    "POST", "/v1/payment_intents",
                    "amount=199800&currency=usd&payment_method=card_xxx&confirm=true&metadata[order_id]=o1"
                )),
            Step(
                name: "decline", service: "payments", before: "→ Processing", after: "✗ Payment failed",
                card: "card_declined",
                question: (
                    "POST", "/v1/payment_intents",
                    "amount=199800&currency=usd&payment_method=card_declined&confirm=true&metadata[order_id]=o1"
                )),
            Step(
                name: "confirm", service: "inventory", before: "→ Confirming", after: "Confirmed reservation",
                question: ("POST", "/reservations/o1/confirm", "")),
            Step(
                name: "release", service: "inventory", before: "→ Releasing", after: "Released reservation",
                card: "card_declined", question: ("POST", "/reservations/o1/release", "")),
            Step(
                name: "void", service: "payments", before: "→ Voiding", after: "Refunded", card: "card_taken",
                question: ("POST", "/v1/payment_intents/void", "order_id=o1")),
            Step(name: "publish", service: "mq", before: "→ Publishing", after: "Published: order.created"),
        ]
    }

    @Test("each step of a checkout, each trouble: one charge, the books in order, one letter", arguments: Step.all)
    func matrix(step: Step) throws {
        for trouble in Trouble.allCases where trouble != .twice || step.question != nil {
            var setup = ShopPlatform.Setup()
            setup.hasMail = true
            let shop = try ShopPlatform(setup)
            var victim: String?
            shop.world.journal.observer = { [weak shop] event in
                guard let shop, case .log(let line) = event.body else { return }
                if step.card == "card_taken", line.text.contains("✓ Payment successful") { Self.takeAway(shop) }
                guard victim == nil else { return }
                victim = Self.strike(shop, step, trouble, line.text)
            }
            shop.checkout(2, card: step.card, key: "k1")
            shop.world.pass(.seconds(2))
            #expect(victim != nil, "\(step.name) \(trouble): nothing has happened")
            if let victim, !shop.isUp(victim) { try shop.start(victim) }
            shop.world.pass(.seconds(90))
            try judge(shop, step, "\(step.name) \(trouble)")
            shop.shutDown()
        }
    }

    @Test("no card is charged before it is stored that the pieces are reserved")
    func storedFirst() throws {
        let shop = try ShopPlatform()
        var fault: Int?
        var charges = 0
        shop.world.journal.observer = { [weak shop] event in
            guard let shop, case .log(let line) = event.body else { return }
            if line.text.contains("✓ Payment successful") { charges += 1 }
            guard fault == nil, line.text.contains("Reserved 2x p1") else { return }
            fault = shop.world.inject(.block(partition: false), from: "orders", to: "db")
        }
        shop.checkout(2, card: "card_xxx", key: "k1")
        shop.world.pass(.seconds(5))
        #expect(charges == 0)
        if let fault { _ = shop.world.faults.remove(fault) }
        shop.world.pass(.seconds(90))
        #expect(charges == 1)
        shop.shutDown()
    }

    /// Somebody has the pieces released while the card is charged, so that the charge has to be given back.
    private static func takeAway(_ shop: ShopPlatform) {
        _ = shop.world.after(.zero) { [weak shop] in
            shop?.ask("POST", "inventory", "/reservations/o1/release") { _, _ in }
        }
    }

    /// Does it when the time has come, and returns whom it has hit.
    private static func strike(_ shop: ShopPlatform, _ step: Step, _ trouble: Trouble, _ line: String) -> String? {
        let isBefore = line.contains(step.before)
        guard line.contains(trouble == .crashBefore ? step.before : step.after), isBefore == (trouble == .crashBefore)
        else { return nil }
        let world = shop.world
        switch trouble {
        case .crashBefore:
            // What it writes in this very turn must not get out.
            let fault = world.inject(.block(partition: false), from: "orders", to: step.service)
            _ = world.after(.zero) { [weak shop] in
                shop?.kill("orders")
                _ = world.faults.remove(fault)
            }
            return "orders"
        case .crashAfter:
            _ = world.after(.zero) { [weak shop] in shop?.kill("orders") }
            return "orders"
        case .replyLost:
            _ = world.after(.zero) { world.inject(.reset, from: step.service, to: "orders", for: .milliseconds(300)) }
            return "orders"
        case .twice:
            guard let question = step.question else { return nil }
            let fields =
                question.target.hasPrefix("/v1") && !question.target.hasSuffix("void")
                ? [(name: "Idempotency-Key", value: "o1")] : []
            _ = world.after(.zero) { [weak shop] in
                shop?.ask(
                    question.method, step.service, question.target, fields: fields, body: question.body
                ) { _, _ in }
            }
            return "orders"
        case .serviceCrash:
            _ = world.after(.zero) { [weak shop] in shop?.kill(step.service, powerLoss: true) }
            return step.service
        }
    }

    private func judge(_ shop: ShopPlatform, _ step: Step, _ name: String) throws {
        let ledger = try shop.ledger()
        #expect(ledger.complaints == [], "\(name)")
        #expect(ledger.orders.map(\.status) == [step.card == "card_xxx" ? "confirmed" : "failed"], "\(name)")
        #expect(ledger.payments.count { $0.chargedMinor > 0 } == (step.card == "card_declined" ? 0 : 1), "\(name)")
        // However often it was published.
        var letters: JSONValue = .null
        shop.ask("GET", "notifications", "/notifications?order=o1") { letters = $1 }
        var messages: JSONValue = .null
        shop.ask("GET", "mailbox", "/messages", port: 8025) { messages = $1 }
        shop.world.pass(.seconds(2))
        let emails = try JSONCursor(letters)["notifications"].array().filter { try $0["channel"].string() == "email" }
        #expect(emails.count == 1, "\(name)")
        #expect(try JSONCursor(messages)["messages"].array().count == 1, "\(name)")
        // Whoever asks again with his key hears of the same order.
        var again: JSONValue = .null
        shop.checkout(2, card: step.card, key: "k1") { again = $1 }
        shop.world.pass(.seconds(2))
        #expect(again["order_id"] == "o1", "\(name)")
    }
}
