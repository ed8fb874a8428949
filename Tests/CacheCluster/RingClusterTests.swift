import CacheClusterEngine
import KernelStructures
import Testing

@Suite struct RingClusterTests {
    private func ring(of count: Int, replicas: Int = 1, seed: UInt64 = 1) -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: seed, nodeCount: count) { $0.ring.replicas = replicas }
        for number in 0..<count {
            cluster.start(number, join: number == 0 ? nil : 0)
            cluster.run(milliseconds: 300)
        }
        return cluster
    }

    @Test func nodesThatJoinTakeTheirPartOfTheSlots() {
        let cluster = ring(of: 3)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.isHealthy(replicas: 1) })
        let counts = cluster.living.map { $0.engine.served.count }
        #expect(counts.reduce(0, +) == SlotSet.slotCount)
        #expect(counts.allSatisfy { $0 > 4000 && $0 < 7000 }, "\(counts)")
        #expect(cluster.nodes[0].log == ["Node 7001 started, ring: [7001]"])
        #expect(cluster.nodes[1].log == ["Node 7002 joined, ring: [7001, 7002]"])
        #expect(cluster.nodes[2].log == ["Node 7003 joined, ring: [7001, 7002, 7003]"])
        for (_, engine) in cluster.living { #expect(engine.checkInvariants() == nil) }
    }

    @Test func whenANodeDiesItsKeysAreServedFromTheirCopies() {
        let cluster = ring(of: 3)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.isHealthy(replicas: 1) })
        var written = 0
        for slot in stride(from: 0, to: SlotSet.slotCount, by: 100) {
            let owner = cluster.owner(of: slot) ?? 0
            if cluster.write("key\(slot)", "value", slot: slot, at: owner) != nil { written += 1 }
        }
        #expect(written == 164)
        cluster.run(milliseconds: 1000)
        let doomed = cluster.nodes[1].store.slots.filter { cluster.owner(of: $0.key) == 1 }.count
        cluster.kill(1)
        #expect(
            cluster.run(upToMilliseconds: 10_000) {
                cluster.living.allSatisfy { $0.engine.slotCount(of: cluster.nodes[1].identity) == 0 }
            })
        #expect(
            cluster.nodes[0].log.suffix(2) == [
                "Node 7002 unreachable, redistributing \(doomed) keys...",
                "Redistribution complete, ring: [7001, 7003]",
            ])
        for slot in stride(from: 0, to: SlotSet.slotCount, by: 100) {
            #expect(cluster.read("key\(slot)", slot: slot) == "value", "slot \(slot)")
        }
    }

    // @covers DC-H3
    @Test func replicationThatIsAddedLaterGoesToTheNextNodesOnTheRing() throws {
        let cluster = ring(of: 4, replicas: 0)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.isHealthy(replicas: 0) })
        let engine = try #require(cluster.nodes[0].engine)
        #expect(engine.ring.replicas == 0 && engine.slotRanges.contains { $0.copies.isEmpty })
        engine.useRing { $0.replicas = 2 }
        cluster.perform(cluster.nodes[0])
        #expect(cluster.run(upToMilliseconds: 20_000) { cluster.isHealthy(replicas: 2) })
        let plan = engine.plan()
        for range in engine.slotRanges {
            let chain = plan[range.slots.lowerBound].map { plan.members[$0] }
            #expect(engine.describe(range.owner)?.name == chain[0])
            #expect(Set(range.copies.compactMap { engine.describe($0)?.name }) == Set(chain[1...]))
        }
    }
}
