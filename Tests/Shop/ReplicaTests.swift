import KernelJSON
import KernelStructures
import TestSupport
import Testing

@testable import ShopEngine

@Suite("Several nodes that lead orders")
struct ReplicaTests {
    private static let patience = ReplicaWatch.patience

    private func time(_ seconds: Int64) -> LabTime { LabTime(nanoseconds: seconds * 1_000_000_000) }

    @Test("silent is who has not moved for ten seconds of the watcher's own time; nobody watches himself")
    func silence() {
        var watch = ReplicaWatch()
        let beats = [ReplicaWatch.Beat(name: "b", count: 7), .init(name: "a", count: 3), .init(name: "me", count: 1)]
        #expect(watch.look(at: beats, besides: "me", now: time(0)).isEmpty)
        #expect(watch.look(at: beats, besides: "me", now: time(9)).isEmpty)
        #expect(watch.look(at: beats, besides: "me", now: time(10)).map(\.name) == ["a", "b"])
        let moved = [ReplicaWatch.Beat(name: "b", count: 8), .init(name: "a", count: 3)]
        #expect(watch.look(at: moved, besides: "me", now: time(11)).map(\.name) == ["a"])
        #expect(watch.look(at: moved, besides: "me", now: time(20)).map(\.name) == ["a"])
        #expect(watch.look(at: moved, besides: "me", now: time(21)).map(\.name) == ["a", "b"])
        // One that has gone and come back begins anew, whatever it counts.
        #expect(watch.look(at: [], besides: "me", now: time(22)).isEmpty)
        #expect(watch.look(at: moved, besides: "me", now: time(23)).isEmpty)
    }

    private func platform() throws -> ShopPlatform {
        var setup = ShopPlatform.Setup()
        setup.orders = ["orders-1", "orders-2"]
        return try ShopPlatform(setup)
    }

    @Test("a node dies in the middle of a checkout and never comes back: another ends its order")
    func takeover() throws {
        for text in ["→ Reserving", "→ Processing", "→ Confirming"] {
            let shop = try platform()
            shop.world.journal.observer = { [world = shop.world] event in
                guard event.node == "orders-2", "\(event.body)".contains(text) else { return }
                _ = world.after(.zero) { [weak shop] in shop?.kill("orders-2") }
            }
            shop.checkout(2, at: "orders-2")
            shop.world.pass(.seconds(5))
            #expect(!shop.isUp("orders-2"))
            #expect(try shop.ledger().pendingCount == 1, "\(text)")
            shop.world.pass(.seconds(20))
            let ledger = try shop.ledger()
            #expect(ledger.count("confirmed") == 1, "\(text)")
            #expect(ledger.payments.count == 1, "\(text)")
            #expect(ledger.complaints == [], "\(text)")
            #expect(shop.lines(with: "Leading order o1 on, which was orders-2's").count == 1)
            shop.shutDown()
        }
    }

    @Test("a node that was only frozen finds its order in other hands, and lets go of it")
    func frozen() throws {
        let shop = try platform()
        shop.world.journal.observer = { [world = shop.world] event in
            guard event.node == "payments", "\(event.body)".contains("✓ Payment successful") else { return }
            _ = world.after(.zero) { world.nodes["orders-2"]?.freeze() }
        }
        shop.checkout(2, at: "orders-2")
        shop.world.pass(.seconds(25))
        #expect(try shop.ledger().count("confirmed") == 1)
        shop.world.journal.observer = nil
        shop.world.nodes["orders-2"]?.thaw()
        shop.world.pass(.seconds(10))
        #expect(shop.lines(with: "Order o1 is led by orders-1 now").count == 1)
        let ledger = try shop.ledger()
        #expect(ledger.orders.count == 1)
        #expect(ledger.payments.count == 1)
        #expect(ledger.complaints == [])
        // And it is in business again.
        var status = 0
        shop.checkout(1, at: "orders-2") { code, _ in status = code }
        shop.world.pass(.seconds(10))
        #expect(status == 200)
        shop.shutDown()
    }

    @Test("nodes that live lead their own orders, however long those take")
    func patience() throws {
        let shop = try platform()
        shop.kill("payments")
        shop.checkout(1, at: "orders-2")
        shop.world.pass(.seconds(30))
        #expect(shop.lines(with: "Leading order").isEmpty)
        try shop.start("payments")
        shop.world.pass(.seconds(60))
        #expect(try shop.ledger().count("confirmed") == 1)
        shop.shutDown()
    }
}
