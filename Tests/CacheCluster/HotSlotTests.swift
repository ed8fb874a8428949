import KernelStructures
import Testing

@testable import CacheClusterEngine

/// Slots that are read very much have copies for readers, for as long as that lasts.
@Suite struct HotSlotTests {
    private static let slot = 40

    /// A ring of five with a copy of each slot; nobody but the owner and one other has a slot at first.
    private func ring(copies: Int = 2) throws -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: 3, nodeCount: 5) {
            $0.ring.virtualNodes = 8
            $0.hotReadsPerSecond = 1000
            $0.hotCopies = copies
        }
        for number in 0..<5 {
            cluster.start(number, join: number == 0 ? nil : 0)
            cluster.run(milliseconds: 300)
        }
        try #require(cluster.run(upToMilliseconds: 20_000) { cluster.isHealthy(replicas: 1) })
        return cluster
    }

    /// Reads at a node for some seconds, as many as that in each of them.
    private func read(
        _ cluster: SimulatedCluster, at node: Int, _ perSecond: Int, seconds: Int, slot: Int = HotSlotTests.slot
    ) {
        let engine = cluster.nodes[node].engine
        cluster.run(milliseconds: seconds * 1000) { for _ in 0..<perSecond / 100 { engine?.countRead(slot) } }
    }

    private func holders(_ cluster: SimulatedCluster) -> [Int] {
        cluster.nodes.indices.filter { cluster.nodes[$0].engine?.holdsCopy(of: Self.slot) == true }
    }

    @Test func aHotSlotIsCopiedAndTheCopiesAreGivenBack() throws {
        let cluster = try ring()
        let owner = try #require(cluster.owner(of: Self.slot))
        #expect(cluster.write("k", "v", slot: Self.slot, at: owner) != nil)
        cluster.run(milliseconds: 500)
        let counting = holders(cluster)
        #expect(counting.count == 1)
        read(cluster, at: owner, 3000, seconds: 4)
        let all = holders(cluster)
        #expect(all.count == 3 && cluster.nodes[owner].log.contains("heated \(Self.slot)"))
        let readers = all.filter { !counting.contains($0) }
        for number in readers {
            #expect(cluster.nodes[number].store.slots[Self.slot]?["k"] == "v")
            #expect(try cluster.obstacle(at: number, slot: Self.slot, isWrite: false, readsCopies: true) == nil)
            #expect(try cluster.obstacle(at: number, slot: Self.slot, isWrite: false)?.hasPrefix("MOVED") == true)
            #expect(try cluster.obstacle(at: number, slot: Self.slot, readsCopies: true)?.hasPrefix("MOVED") == true)
            // Everybody knows whom else to ask; and no election counts these copies.
            let known = try cluster.engine(number).readers(of: Self.slot)
            #expect(Set(known) == Set(all.map { cluster.identity($0) }))
            #expect(try !cluster.engine(number).map.copies(of: Self.slot).contains(cluster.identity(number)))
        }
        // They follow what is written.
        #expect(cluster.write("k", "w", slot: Self.slot, at: owner) != nil)
        cluster.run(milliseconds: 300)
        for number in readers { #expect(cluster.nodes[number].store.slots[Self.slot]?["k"] == "w") }
        // A little less than the threshold is hot still, wherever it is read.
        for number in readers { read(cluster, at: number, 700, seconds: 12) }
        #expect(holders(cluster) == all)
        read(cluster, at: owner, 300, seconds: 14)
        #expect(holders(cluster) == counting && cluster.nodes[owner].log.contains("cooled \(Self.slot)"))
        for number in readers { #expect(cluster.nodes[number].store.slots[Self.slot] == nil) }
        #expect(cluster.nodes[owner].log.count { $0.contains("heated") } == 1)
    }

    @Test func oneBusySecondIsNotEnough() throws {
        let cluster = try ring()
        let owner = try #require(cluster.owner(of: Self.slot))
        // At another place within the node's own seconds each time, and never above the threshold in two of them.
        for _ in 0..<5 {
            read(cluster, at: owner, 1200, seconds: 1)
            cluster.run(milliseconds: 2250)
        }
        #expect(holders(cluster).count == 1 && !cluster.nodes[owner].log.contains("heated \(Self.slot)"))
    }

    @Test func aCopyForReadersThatHearsNothingAnyMoreAnswersNobody() throws {
        let cluster = try ring()
        let owner = try #require(cluster.owner(of: Self.slot))
        let counting = holders(cluster)
        read(cluster, at: owner, 3000, seconds: 4)
        let reader = try #require(holders(cluster).first { !counting.contains($0) })
        func refusal() throws -> String? {
            try cluster.obstacle(at: reader, slot: Self.slot, isWrite: false, readsCopies: true)
        }
        #expect(try refusal() == nil)
        let age = try #require(try cluster.engine(reader).copyAge(of: Self.slot))
        #expect(age < .milliseconds(cluster.settings.nodeTimeoutMilliseconds))
        // The owner can be heard by all but this one; a majority can be, still.
        cluster.cutLinks = [(owner, reader)]
        cluster.run(milliseconds: cluster.settings.nodeTimeoutMilliseconds / 2)
        #expect(try refusal() == nil, "not older than a node timeout yet")
        cluster.run(milliseconds: cluster.settings.nodeTimeoutMilliseconds)
        #expect(try refusal()?.hasPrefix("MOVED") == true)
        cluster.cutLinks = []
        read(cluster, at: owner, 3000, seconds: 4)
        #expect(cluster.differingCopies.isEmpty)
    }

    @Test func thereAreAtMostSixteenHotSlots() throws {
        let cluster = try ring(copies: 1)
        let owner = try #require(cluster.owner(of: Self.slot))
        let engine = try cluster.engine(owner)
        let slots = Array(engine.served.slots.prefix(30))
        cluster.run(milliseconds: 5000) { for slot in slots { for _ in 0..<15 { engine.countRead(slot) } } }
        #expect(engine.hotSlots.count == HotSlots.limit)
        #expect(engine.hotSlots.allSatisfy { $0.hot.readers.count == 1 })
        // They are spread over the others.
        #expect(Set(engine.hotSlots.flatMap { $0.hot.readers }).count >= 3)
    }

    @Test func nothingIsCountedUnlessItIsAskedFor() {
        let cluster = SimulatedCluster(seed: 3, nodeCount: 1)
        cluster.start(0)
        let engine = cluster.nodes[0].engine
        _ = engine?.startRingIfEmpty()
        cluster.run(milliseconds: 5000) { for _ in 0..<1000 { engine?.countRead(Self.slot) } }
        #expect(engine?.hotSlots.isEmpty == true)
    }
}
