import KernelStructures
import Testing

@testable import CacheClusterEngine

/// After a change of masters the other copies go on from where they were (Redis: PSYNC2, the second replication ID).
@Suite struct SuccessionTests {
    private func write(_ cluster: SimulatedCluster, _ keys: ClosedRange<Int>, at node: Int) {
        for number in keys {
            #expect(cluster.write("k\(number)", "v", slot: number % 50, at: node) != nil)
            // One letter at a time, so that none overtakes another.
            cluster.run(milliseconds: 5)
        }
    }

    /// A master with two replicas, of which the second has missed the last writes when the master dies.
    private func failover(_ change: (inout CacheCluster.Settings) -> Void = { _ in }) throws -> SimulatedCluster {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0], change)
        write(cluster, 1...100, at: 0)
        cluster.run(milliseconds: 300)
        cluster.sides = [0, 0, 0, 0, 1]
        write(cluster, 101...200, at: 0)
        cluster.run(milliseconds: 300)
        cluster.sides = [0, 0, 0, 0, 0]
        cluster.kill(0)
        return cluster
    }

    @Test func aCopyThatWasBehindIsSentOnlyWhatItLacks() throws {
        let cluster = try failover()
        let successor = try cluster.engine(3)
        #expect(cluster.run(upToMilliseconds: 15_000) { successor.served.contains(0) })
        let own = try #require(cluster.write("later", "v", slot: 0, at: 3))
        #expect(
            cluster.run(upToMilliseconds: 5000) {
                successor.follower(cluster.identity(4))?.acknowledged == own.offset
                    && successor.follower(cluster.identity(4))?.held == successor.served
            })
        #expect(cluster.differingCopies.isEmpty && cluster.nodes[4].store.slots[0]?.count == 5)
        #expect(successor.statistics.continuedSlots >= successor.served.count)
        #expect(successor.statistics.loadedSlots == 0 && successor.statistics.partialResyncs > 0)
    }

    @Test func withoutTheHistoryItIsLoadedAnew() throws {
        let cluster = try failover { $0.backlogBytes = 3000 }
        let successor = try cluster.engine(3)
        #expect(cluster.run(upToMilliseconds: 15_000) { successor.served.contains(0) })
        #expect(
            cluster.run(upToMilliseconds: 5000) {
                successor.follower(cluster.identity(4))?.held == successor.served && cluster.differingCopies.isEmpty
            })
        // Those that were written to; of the others it is known that nothing has happened.
        #expect((50...500).contains(successor.statistics.loadedSlots), "\(successor.statistics)")
    }

    @Test func aCopyThatHasMoreThanTheSuccessorIsLoadedAnew() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        write(cluster, 1...50, at: 0)
        cluster.run(milliseconds: 300)
        cluster.sides = [1, 0, 0, 0, 0]
        // Acknowledged by a master that is cut off, and in no other copy.
        #expect(cluster.write("gone", "v", slot: 7, at: 0) != nil)
        let isTaken = cluster.run(upToMilliseconds: 15_000) {
            cluster.living[3...].contains { $0.engine.served.contains(7) }
        }
        #expect(isTaken)
        cluster.sides = [0, 0, 0, 0, 0]
        #expect(cluster.run(upToMilliseconds: 15_000) { (try? cluster.engine(0))?.holdsCopy(of: 7) == true })
        #expect(cluster.nodes[0].store.slots[7]?["gone"] == nil && cluster.differingCopies.isEmpty)
    }

    @Test func aManualFailoverMovesNoDataAndGoesOnCounting() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        write(cluster, 1...100, at: 0)
        cluster.run(milliseconds: 300)
        let former = try cluster.engine(0)
        let (id, end) = (former.replicationID, former.streamOffset)
        let before = try cluster.engine(4).replicationID
        #expect(before == id && id.utf8.count == 40)
        try cluster.engine(3).failOver(.handover)
        cluster.perform(cluster.nodes[3])
        let successor = try cluster.engine(3)
        #expect(cluster.run(upToMilliseconds: 5000) { successor.served.contains(0) })
        #expect(successor.formerReplication?.id == id && successor.formerReplication?.nextOffset == end + 1)
        #expect(successor.streamOffset == end && successor.replicationID != id)
        #expect(
            cluster.run(upToMilliseconds: 10_000) {
                [0, 4].allSatisfy { successor.follower(cluster.identity($0))?.held == successor.served }
            })
        #expect(successor.statistics.loadedSlots == 0, "\(successor.statistics)")
        #expect(former.formerReplication == nil && former.replicationID == successor.replicationID)
    }

    @Test func whatWasFlushedIsNotPutBack() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        write(cluster, 1...50, at: 0)
        cluster.run(milliseconds: 300)
        cluster.sides = [0, 0, 0, 0, 1]
        let master = try cluster.engine(0)
        for slot in 0..<50 { cluster.nodes[0].store.clear(slot: slot) }
        master.wrote(slot: nil, [[Array("FLUSHALL".utf8)]])
        write(cluster, 51...60, at: 0)
        cluster.run(milliseconds: 300)
        cluster.sides = [0, 0, 0, 0, 0]
        cluster.kill(0)
        let successor = try cluster.engine(3)
        #expect(cluster.run(upToMilliseconds: 15_000) { successor.served.contains(0) })
        #expect(
            cluster.run(upToMilliseconds: 10_000) {
                successor.follower(cluster.identity(4))?.held == successor.served
            })
        #expect(cluster.differingCopies.isEmpty)
        #expect(cluster.nodes[4].store.slots.values.reduce(0) { $0 + $1.count } == 10)
    }

    @Test func whatComesAfterTheSuccessionIsSentToo() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        write(cluster, 1...50, at: 0)
        cluster.run(milliseconds: 300)
        // The second replica is away while the first takes over by hand, and is written to.
        cluster.sides = [0, 0, 0, 0, 1]
        write(cluster, 51...60, at: 0)
        cluster.run(milliseconds: 200)
        try cluster.engine(3).failOver(.handover)
        cluster.perform(cluster.nodes[3])
        #expect(cluster.run(upToMilliseconds: 5000) { cluster.owner(of: 0) == 3 })
        write(cluster, 61...90, at: 3)
        cluster.run(milliseconds: 300)
        cluster.sides = [0, 0, 0, 0, 0]
        let successor = try cluster.engine(3)
        #expect(
            cluster.run(upToMilliseconds: 10_000) {
                successor.follower(cluster.identity(4))?.held == successor.served
            })
        #expect(cluster.differingCopies.isEmpty && successor.statistics.loadedSlots == 0)
        #expect(cluster.nodes[4].store.slots.values.reduce(0) { $0 + $1.count } == 90)
    }

    @Test func aContinuationOfSomethingElseIsNotTaken() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        let replica = try cluster.engine(3)
        let link = try #require(replica.links.first)
        let reign = replica.map.version(of: 5).reign
        // It has lost its copy of slot 5 since it asked.
        replica.copyReigns[5] = 0
        replica.linksChanged()
        let part = SlotLoad.Part(
            slots: 5...5, reign: reign, base: .init(reign: SlotVersion(epoch: 0, handoff: 1), offset: 7),
            commands: [DictionaryStore.command(5, "k", "v")])
        try cluster.tell(3, from: 0, .load(SlotLoad(stream: link.stream, offset: link.offset, parts: [part])))
        #expect(cluster.nodes[3].store.slots[5] == nil && !replica.holdsCopy(of: 5))
    }

    @Test func whoDoesNotKnowThatASlotIsSomebodyElsesIsToldSoBeforeItIsSentMore() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        write(cluster, 1...50, at: 0)
        cluster.run(milliseconds: 300)
        cluster.sides = [0, 0, 0, 0, 1]
        write(cluster, 51...60, at: 0)
        cluster.run(milliseconds: 200)
        let former = try cluster.engine(0)
        let replica = try cluster.engine(4)
        let link = try #require(replica.links.first)
        let reign = replica.map.version(of: 0).reign
        try cluster.engine(3).failOver(.handover)
        cluster.perform(cluster.nodes[3])
        #expect(cluster.run(upToMilliseconds: 5000) { cluster.owner(of: 0) == 3 })
        _ = former.takeEffects()
        // It says that it has a copy of the reign before, and would be led past writes 51 to 60 without them.
        let follow = Follow(
            stream: link.stream, offset: link.offset, sequence: link.sequence,
            held: [.init(slots: 0...9, reign: reign)],
            missing: SlotSet(), refused: SlotSet())
        try cluster.tell(0, from: 4, .follow(follow))
        var (isTold, isSent) = (false, false)
        for case .send(let message, cluster.identity(4)) in former.takeEffects() {
            if case .slots(let runs, _) = message.content { isTold = runs.contains { $0.slots.contains(0) } }
            if case .stream = message.content { isSent = true }
        }
        #expect(isTold && !isSent)
        cluster.sides = [0, 0, 0, 0, 0]
        #expect(
            cluster.run(upToMilliseconds: 10_000) {
                (try? cluster.engine(3).follower(cluster.identity(4))?.held) == (try? cluster.engine(3).served)
            })
        #expect(cluster.differingCopies.isEmpty)
    }
}
