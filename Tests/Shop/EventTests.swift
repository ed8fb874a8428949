import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import ShopEngine

/// Orders' events, and connections to the broker that end where it hurts.
@Suite("Events on their way")
struct EventTests {
    @Test(
        "a connection to the broker ends at any message of its beginning: of every order somebody is told",
        arguments: [("mq", "notifications"), ("notifications", "mq"), ("mq", "orders"), ("orders", "mq")])
    func resets(from: String, to: String) throws {
        for number in 1...8 {
            var setup = ShopPlatform.Setup()
            setup.hasMail = true
            let shop = try ShopPlatform(setup)
            var count = 0
            shop.world.journal.observer = { [world = shop.world] event in
                guard case .message(_, from, to, _) = event.body else { return }
                count += 1
                guard count == number else { return }
                _ = world.after(.zero) { world.inject(.reset, from: from, to: to, both: true, for: .milliseconds(50)) }
            }
            // The connection of now ends, and the next one is hit while it begins.
            shop.world.inject(.reset, from: from, to: to, both: true, for: .milliseconds(20))
            shop.world.pass(.seconds(10))
            for order in 1...4 {
                shop.checkout(1, key: "k\(order)")
                shop.world.pass(.seconds(1))
            }
            shop.world.pass(.seconds(30))
            #expect(count >= number, "\(from) to \(to)")
            let ledger = try shop.ledger()
            #expect(ledger.orders.count == 4, "\(from) to \(to), message \(number)")
            #expect(ledger.settledComplaints == [], "\(from) to \(to), message \(number)")
            shop.shutDown()
        }
    }
}
