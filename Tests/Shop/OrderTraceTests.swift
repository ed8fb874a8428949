import KernelStructures
import KernelTelemetry
import KernelWorld
import TestSupport
import Testing

@testable import ShopEngine

/// One connected trace for each order, whatever it goes through.
@Suite("The trace of an order")
struct OrderTraceTests {
    /// The order's trace: how many of its spans have no parent in it, and which services it has gone through.
    private func trace(_ world: World) throws -> (roots: [String], services: Set<String>, names: Set<String>) {
        let all = world.spans.all
        let saga = try #require(all.first { $0.name.hasPrefix("saga") })
        let spans = all.filter { $0.traceID == saga.traceID }
        let known = Set(spans.map(\.spanID))
        let roots = spans.filter { span in span.parentID.map { !known.contains($0) } ?? true }
        return (roots.map(\.name), Set(spans.map(\.service)), Set(spans.map(\.name)))
    }

    private func platform(_ orders: [String] = ["orders"]) throws -> ShopPlatform {
        var setup = ShopPlatform.Setup()
        setup.hasMail = true
        setup.orders = orders
        return try ShopPlatform(setup)
    }

    @Test("from the checkout over the queue to the letter: one tree")
    func queue() throws {
        let shop = try platform()
        shop.checkout()
        shop.world.pass(.seconds(5))
        let (roots, services, _) = try trace(shop.world)
        #expect(roots.count == 1, "\(roots)")
        #expect(services.isSuperset(of: ["orders", "products", "inventory", "payments", "notifications"]))
        shop.shutDown()
    }

    @Test("an order that is led on after a crash goes on in its trace, over the queue too", arguments: [true, false])
    func resumed(isSameNode: Bool) throws {
        let shop = try platform(["orders-1", "orders-2"])
        shop.world.journal.observer = { [world = shop.world] event in
            guard "\(event.body)".contains("→ Processing") else { return }
            _ = world.after(.zero) { [weak shop] in shop?.kill("orders-2") }
        }
        shop.checkout(at: "orders-2")
        shop.world.pass(.seconds(1))
        shop.world.journal.observer = nil
        if isSameNode { try shop.start("orders-2") }
        shop.world.pass(.seconds(30))
        #expect(try shop.ledger().count("confirmed") == 1)
        let (roots, services, names) = try trace(shop.world)
        #expect(roots.count == 1, "\(roots)")
        #expect(services.contains("notifications"))
        #expect(names.isSuperset(of: ["saga", "saga, led on"]))
        shop.shutDown()
    }

    @Test("a payment that comes after the answer is in the trace")
    func pending() throws {
        let shop = try platform()
        shop.kill("payments")
        shop.checkout()
        shop.world.pass(.seconds(4))
        try shop.start("payments")
        shop.world.pass(.seconds(30))
        #expect(try shop.ledger().count("confirmed") == 1)
        let (roots, services, _) = try trace(shop.world)
        #expect(roots.count == 1, "\(roots)")
        #expect(services.isSuperset(of: ["payments", "notifications"]))
        shop.shutDown()
    }
}
