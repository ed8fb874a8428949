import KernelJSON
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import ShopEngine

/// The whole shop on its real nodes, a world for each seed: orders at random, faults at random, and the ledger as
/// judge, which knows nothing of how anything is done.
@Suite("Worlds of chance, on real nodes")
struct SeededWorldTests {
    private static let worldsEach = isLong ? 100 : 10

    @Test("whatever breaks, the books are in order once it is mended", arguments: 0..<(isLong ? 100 : 30))
    func worlds(shard: Int) throws {
        for number in 0..<Self.worldsEach {
            let seed = UInt64(shard * Self.worldsEach + number)
            let complaints = try ShopChance(seed: seed).run()
            #expect(complaints == [], "seed \(seed)")
        }
    }
}

/// One world: what is done to it is drawn from its seed.
final class ShopChance {
    private let shop: ShopPlatform
    private var random: SeededRandom
    private var asked: [(key: String, orderID: String?)] = []

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed).fork("chance")
        var setup = ShopPlatform.Setup()
        setup.seed = seed
        setup.stock = 6
        setup.isOptimistic = random.chance(0.3)
        setup.hasMail = random.chance(0.3)
        setup.orders = random.chance(0.5) ? ["orders"] : ["orders-1", "orders-2"]
        shop = try ShopPlatform(setup)
    }

    /// What does not add up in the end.
    func run() throws -> [String] {
        defer { shop.shutDown() }
        for _ in 0..<(2 + random.below(4)) { plan() }
        for number in 0..<(1 + random.below(4)) {
            shop.world.pass(.microseconds(random.below(20_000)))
            order("k\(number)")
        }
        shop.world.pass(.seconds(40))
        _ = shop.world.faults.removeAll()
        for name in shop.names {
            if shop.isUp(name) { shop.world.nodes[name]?.thaw() } else { try shop.start(name) }
        }
        shop.world.pass(.seconds(200))
        return try judge()
    }

    private func order(_ key: String) {
        let index = asked.count
        asked.append((key, nil))
        let node = shop.setup.orders[random.below(shop.setup.orders.count)]
        let card = random.chance(0.25) ? "card_declined" : "card_xxx"
        shop.checkout(1 + random.below(3), card: card, key: key, at: node) { [weak self] _, answer in
            if case .string(let id)? = answer["order_id"] { self?.asked[index].orderID = id }
        }
    }

    /// Something that will go wrong in the next seconds, most often while a checkout is under way.
    private func plan() {
        let time = LabDuration.microseconds(random.chance(0.8) ? random.below(30_000) : random.below(5_000_000))
        let length = LabDuration.milliseconds(50 + random.below(12_000))
        let victim = shop.names[random.below(shop.names.count)]
        let other = shop.names[random.below(shop.names.count)]
        let kind = random.below(7)
        let losesPower = random.chance(0.4)
        _ = shop.world.after(time) { [weak shop] in
            guard let shop else { return }
            let world = shop.world
            switch kind {
            case 0, 1:
                guard shop.isUp(victim) else { return }
                shop.kill(victim, powerLoss: losesPower)
                _ = world.after(length) { [weak shop] in
                    if let shop, !shop.isUp(victim) { try? shop.start(victim) }
                }
            case 2:
                world.nodes[victim]?.freeze()
                _ = world.after(length) { world.nodes[victim]?.thaw() }
            case 3: world.inject(.block(partition: true), from: victim, to: other, both: true, for: length)
            case 4: world.inject(.reset, from: victim, to: other, both: true, for: .milliseconds(50))
            case 5:
                world.inject(
                    .latency(.milliseconds(400), jitter: .milliseconds(300)), from: victim, to: other, for: length)
            default: world.inject(.block(partition: false), from: victim, to: other, for: length)
            }
        }
    }

    private func judge() throws -> [String] {
        let ledger = try shop.ledger()
        var complaints = ledger.settledComplaints
        if ledger.orders.count > asked.count { complaints.append("\(ledger.orders.count) orders were made") }
        let known = Set(ledger.orders.map(\.id))
        for one in asked {
            if let id = one.orderID, !known.contains(id) { complaints.append("\(id) was promised and is not there") }
        }
        return complaints
    }
}
