import KernelStructures
import Testing

@testable import CacheClusterEngine

/// Where a client is sent (Redis cluster specification, "Redirection and resharding"), and what hands may change.
@Suite struct RoutingTests {
    @Test func aClientIsSentToTheOwner() throws {
        let cluster = try SimulatedCluster.placed(masters: 3)
        #expect(try cluster.obstacle(at: 0, slot: 0) == nil)
        #expect(try cluster.obstacle(at: 0, slot: 16_383) == "MOVED 16383 n2:7003")
        #expect(try cluster.obstacle(at: 2, slot: 6000) == "MOVED 6000 n1:7002")
        #expect(try cluster.obstacle(at: 0, slot: nil)?.hasPrefix("CROSSSLOT") == true)
        #expect(try cluster.obstacle(at: 0, slot: 16_384) == "ERR Invalid slot")
        try cluster.engine(2).deleteSlots([16_383])
        cluster.perform(cluster.nodes[2])
        cluster.run(milliseconds: 500)
        for number in 0..<3 {
            #expect(try cluster.obstacle(at: number, slot: 16_383) == "CLUSTERDOWN Hash slot not served")
        }
        #expect(try !cluster.engine(0).isWhole)
    }

    @Test func aSlotOnItsWayIsServedOnBothSides() throws {
        let cluster = try SimulatedCluster.placed(masters: 3)
        let (source, target) = (try cluster.engine(0), try cluster.engine(1))
        #expect(cluster.write("k", "v", slot: 5, at: 0) != nil)
        try target.setSlot(5, .importing(source.id))
        try source.setSlot(5, .migrating(target.id))
        // The owner: what is still here is served, what is not is there.
        #expect(try cluster.obstacle(at: 0, slot: 5, present: 1) == nil)
        #expect(try cluster.obstacle(at: 0, slot: 5, present: 0) == "ASK 5 n1:7002")
        #expect(try cluster.obstacle(at: 0, slot: 5, keys: 2, present: 0) == "ASK 5 n1:7002")
        #expect(try cluster.obstacle(at: 0, slot: 5, keys: 2, present: 1)?.hasPrefix("TRYAGAIN") == true)
        #expect(try cluster.obstacle(at: 0, slot: 5, keys: 2, present: 2) == nil)
        // Where it goes: only for those who were sent.
        #expect(try cluster.obstacle(at: 1, slot: 5) == "MOVED 5 n0:7001")
        #expect(try cluster.obstacle(at: 1, slot: 5, isAsking: true) == nil)
        let half = try cluster.obstacle(at: 1, slot: 5, isAsking: true, keys: 2, present: 1)
        #expect(half?.hasPrefix("TRYAGAIN") == true)
        #expect(try cluster.obstacle(at: 1, slot: 6, isAsking: true) == "MOVED 6 n0:7001")

        #expect(throws: ClusterRefusal.self, "it has keys") { try source.setSlot(5, .node(target.id)) }
        cluster.nodes[0].store.clear(slot: 5)
        for number in [1, 0] {
            try cluster.engine(number).setSlot(5, .node(target.id))
            cluster.perform(cluster.nodes[number])
        }
        cluster.run(milliseconds: 500)
        #expect(try cluster.obstacle(at: 0, slot: 5) == "MOVED 5 n1:7002")
        #expect(try cluster.obstacle(at: 1, slot: 5) == nil)
        #expect(try cluster.obstacle(at: 2, slot: 5) == "MOVED 5 n1:7002")
    }

    @Test func copiesServeThoseWhoAskForThem() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(try cluster.obstacle(at: 3, slot: 0, isWrite: false) == "MOVED 0 n0:7001")
        #expect(try cluster.obstacle(at: 3, slot: 0, isWrite: false, readsCopies: true) == nil)
        #expect(try cluster.obstacle(at: 3, slot: 0, isWrite: true, readsCopies: true) == "MOVED 0 n0:7001")
        #expect(try cluster.obstacle(at: 3, slot: 6000, isWrite: false, readsCopies: true) == "MOVED 6000 n1:7002")
        #expect(try cluster.engine(3).writeObstacle?.hasPrefix("READONLY") == true)
        #expect(try cluster.engine(0).writeObstacle == nil)
    }

    @Test func whoIsCutOffServesNobody() throws {
        let cluster = try SimulatedCluster.placed(masters: 3)
        cluster.sides = [1, 0, 0]
        cluster.run(milliseconds: 1500)
        #expect(try cluster.obstacle(at: 0, slot: 0, isWrite: false) == "CLUSTERDOWN The cluster is down")
        #expect(try cluster.obstacle(at: 1, slot: 6000) == nil)
        cluster.sides = [0, 0, 0]
        let engine = try cluster.engine(0)
        #expect(cluster.run(upToMilliseconds: 2000) { engine.majoritySince != nil })
        #expect(try cluster.obstacle(at: 0, slot: 0)?.hasPrefix("CLUSTERDOWN") == true, "it may have been replaced")
        cluster.run(milliseconds: 400)
        #expect(try cluster.obstacle(at: 0, slot: 0) == nil)
    }

    @Test func whatHandsMustNotDoIsRefused() throws {
        let cluster = try SimulatedCluster.placed(masters: 2, replicasOf: [0])
        func refusal(_ number: Int, _ body: (CacheCluster) throws -> Void) -> String? {
            do {
                try body(try cluster.engine(number))
                return nil
            } catch { return "\(error)" }
        }
        let (first, second) = (cluster.identity(0), cluster.identity(1))
        #expect(refusal(0) { try $0.addSlots([16_383]) } == "Slot 16383 is already busy")
        #expect(refusal(0) { try $0.deleteSlots([3, 3]) } == "Slot 3 specified multiple times")
        #expect(refusal(2) { try $0.deleteSlots([0]) } == nil)
        #expect(refusal(2) { try $0.addSlots([0]) } == "A replica owns no slots")
        #expect(refusal(0) { try $0.replicate(second) }?.hasPrefix("To set a master the node must be empty") == true)
        let replica = cluster.identity(2)
        #expect(refusal(1) { try $0.replicate(replica) } == "I can only replicate a master, not a replica.")
        #expect(refusal(0) { try $0.forget(first) } == "I tried hard but I can't forget myself...")
        #expect(refusal(2) { try $0.forget(first) } == "Can't forget my master!")
        #expect(refusal(0) { try $0.setSlot(16_383, .migrating(second)) } == "I'm not the owner of hash slot 16383")
        #expect(refusal(1) { try $0.setSlot(16_383, .importing(first)) }?.hasPrefix("I'm already the owner") == true)
        #expect(refusal(0) { try $0.failOver(.force) } == "You should send CLUSTER FAILOVER to a replica")
        #expect(cluster.write("k", "v", slot: 1, at: 0) != nil)
        #expect(refusal(0) { try $0.flushSlots() } == "DB must be empty to perform CLUSTER FLUSHSLOTS.")
        #expect(refusal(0) { try $0.reset(isHard: true) }?.contains("containing keys") == true)
    }
}
