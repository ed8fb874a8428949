import KernelStructures
import Testing

@testable import CacheClusterEngine

/// What a WAIT that reached a majority of a slot's copies promises: the ways in which such a write was once lost, or a
/// cluster did not come back, each by itself.
@Suite struct PromiseTests {
    private func ring(of count: Int, replicas: Int = 1) throws -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: 1, nodeCount: count) {
            $0.ring.replicas = replicas
            $0.ring.virtualNodes = 8
        }
        for number in 0..<count {
            cluster.start(number, join: number == 0 ? nil : 0)
            cluster.run(milliseconds: 200)
        }
        try #require(cluster.run(upToMilliseconds: 20_000) { cluster.isHealthy(replicas: replicas) })
        return cluster
    }

    /// Runs in steps so small that nothing else happens once somebody serves a slot.
    private func runUntil(_ cluster: SimulatedCluster, somebodyServes slot: Int, but former: Int) throws -> Int {
        for _ in 0..<2000 {
            cluster.run(milliseconds: 10)
            let owners = cluster.living.filter { $0.engine.served.contains(slot) && $0.node.number != former }
            if let owner = owners.first { return owner.node.number }
        }
        throw ClusterRefusal("nobody has taken the slot over")
    }

    // Of three, two have the write, and one of those is gone: the new owner and a copy that lacks it are left. Then the
    // new owner is gone, too, before it has told the other anything. That one alone is no majority of the three.
    @Test func aCopyThatIsBehindDoesNotSucceedWhoTookOverBeforeIt() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        cluster.sides = [0, 0, 0, 0, 1]
        let place = try #require(cluster.write("k", "v", slot: 0, at: 0))
        cluster.run(milliseconds: 300)
        #expect(try cluster.engine(0).copyCount(of: [0], upTo: place.offset) == 1, "a majority of three with the owner")
        cluster.sides = [1, 0, 0, 0, 0]
        #expect(try runUntil(cluster, somebodyServes: 0, but: 0) == 3)
        cluster.run(milliseconds: 10)
        let laggard = try cluster.engine(4)
        #expect(laggard.map.owner(of: 0) == cluster.identity(3) && cluster.nodes[4].store.slots[0] == nil)
        cluster.sides = [1, 0, 0, 2, 0]
        cluster.run(milliseconds: 10_000)
        #expect(!laggard.served.contains(0))
        cluster.sides = [0, 0, 0, 0, 0]
        #expect(cluster.run(upToMilliseconds: 20_000) { cluster.isSettled })
        #expect(cluster.read("k", slot: 0) == "v")
    }

    // The only copy takes over, and is cut off before it has a copy of its own: what it has nobody else has.
    @Test func whoHasTheOnlyCopyIsWaitedFor() throws {
        let cluster = try ring(of: 5)
        let slot = 7
        let owner = try #require(cluster.owner(of: slot))
        let place = try #require(cluster.write("k", "v", slot: slot, at: owner))
        cluster.run(milliseconds: 300)
        #expect(try cluster.engine(owner).copyCount(of: [slot], upTo: place.offset) == 1)
        cluster.sides[owner] = 1
        let successor = try runUntil(cluster, somebodyServes: slot, but: owner)
        cluster.run(milliseconds: 10)
        cluster.sides[successor] = 2
        cluster.run(milliseconds: 10_000)
        let others = cluster.living.filter { $0.node.number != owner && $0.node.number != successor }
        #expect(others.allSatisfy { $0.engine.map.owner(of: slot) == cluster.identity(successor) })
        cluster.sides = cluster.sides.map { _ in 0 }
        #expect(cluster.run(upToMilliseconds: 20_000) { cluster.isHealthy(replicas: 1) })
        #expect(cluster.read("k", slot: slot) == "v")
    }

    // The same with a copy that died: the owner that lost it is not left with none that counts, or anybody might begin
    // with nothing.
    @Test func theLastCopyCountsThoughItIsGone() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        cluster.kill(3)
        try cluster.runUntil(0, holdsForDead: 3)
        cluster.run(milliseconds: 1000)
        #expect(try cluster.engine(0).map.copies(of: 0) == [cluster.identity(3)])
    }

    // What was handed to a node by hand has no copies yet, and what it holds may have been promised elsewhere.
    @Test func whoWasHandedASlotWithoutCopiesIsWaitedFor() throws {
        let cluster = try ring(of: 4)
        let slot = 7
        let owner = try #require(cluster.owner(of: slot))
        let engine = try cluster.engine(owner)
        let version = try #require(engine.map.version(of: slot).afterHandoff)
        engine.publish([(slot, SlotMap.Record(owner: engine.id, version: version))])
        cluster.perform(cluster.nodes[owner])
        cluster.run(milliseconds: 10)
        cluster.sides[owner] = 1
        cluster.run(milliseconds: 8000)
        for (node, other) in cluster.living where node.number != owner {
            #expect(other.map[slot].owner == engine.id && other.map.copies(of: slot).isEmpty)
        }
        cluster.sides[owner] = 0
        #expect(cluster.run(upToMilliseconds: 20_000) { cluster.isHealthy(replicas: 1) })
    }

    // Whoever told WAIT of a copy remembers that when the copy is gone: another one counts only if it has as much.
    @Test func whatWasPromisedOfACopyThatIsGoneIsAskedOfTheNext() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        cluster.sides = [0, 0, 0, 0, 1]
        let place = try #require(cluster.write("k", "v", slot: 0, at: 0))
        cluster.run(milliseconds: 300)
        let owner = try cluster.engine(0)
        #expect(owner.copyCount(of: [0], upTo: place.offset) == 1)
        owner.peer(cluster.identity(3))?.failedAt = cluster.now
        owner.followers.removeAll { $0.id == cluster.identity(3) }
        #expect(owner.follower(cluster.identity(4))?.held.contains(0) == true)
        owner.reviewCopies()
        #expect(owner.map.copies(of: 0).contains(cluster.identity(3)))
    }

    // It is counted upon that a voter knows the present copies, and that a copy takes nothing more: after a restart,
    // too.
    @Test func whatANodeHasNotedItKnowsAfterARestart() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        let voter = try cluster.engine(1)
        var record = voter.map[0]
        record.version = try #require(record.version.afterChangeOfCopies)
        try cluster.tell(1, from: 0, .slots([SlotMap.Run(slots: 0...0, record: record)], ticket: 5))
        var (saved, isNoted) = ([UInt8](), false)
        for effect in voter.takeEffects() {
            if case .save(let bytes) = effect, !isNoted { saved = bytes }
            if case .send(let message, _) = effect, message.content == .noted(ticket: 5) { isNoted = true }
        }
        #expect(isNoted)
        try #require(!saved.isEmpty)
        let restarted = try CacheCluster(voter.own, store: DictionaryStore(), saved: saved)
        #expect(restarted.map.version(of: 0) == record.version)
    }

    @Test func whoVouchedForACandidateTakesNothingMoreAfterARestart() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        let replica = try cluster.engine(3)
        let claim = Ballot.Claim(
            slots: 0...0, version: replica.map.version(of: 0), copyReign: replica.map.version(of: 0).reign,
            copyOffset: 0)
        try cluster.tell(3, from: 4, epoch: 90, .ballot(Ballot(epoch: 90, isForced: true, claims: [claim])))
        cluster.perform(cluster.nodes[3])
        #expect(!replica.holdsCopy(of: 0))
        cluster.kill(3)
        cluster.start(3)
        let fences = try cluster.engine(3).fences
        #expect(fences[0] == 90 && fences[1] == 0)
    }

    // Voters that voted in an election which nobody won note nothing older any more: the owner stands again, or it
    // could not promise anything until it dies.
    @Test func anOwnerWhoseChangesNobodyNotesIsElectedAgain() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        let owner = try cluster.engine(0)
        for number in [1, 2] {
            try cluster.engine(number).votedEpochs[0] = 50
            try cluster.engine(number).heard(epoch: 50)
        }
        var record = owner.map[0]
        record.version = try #require(record.version.afterChangeOfCopies)
        owner.publish([(0, record)])
        #expect(!owner.committed.contains(0))
        #expect(cluster.run(upToMilliseconds: 8000) { owner.committed.contains(0) })
        #expect(owner.map.version(of: 0).epoch > 50 && owner.served.contains(0))
    }

    // Its copy does not answer, and need not: it has everything, and the votes say that nobody else does.
    @Test func anOwnerIsElectedAgainWithoutItsCopies() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        for number in [3, 4] { cluster.kill(number) }
        let owner = try cluster.engine(0)
        owner.stand(for: SlotSet([0]))
        cluster.perform(cluster.nodes[0])
        cluster.run(milliseconds: 200)
        #expect(owner.served.contains(0) && owner.map.version(of: 0).epoch > 1)
    }

    // Who was examined goes by one record: an election that is under way when it changes is not about the slot any
    // more.
    @Test func anElectionIsAboutOneRecord() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        let candidate = try cluster.engine(3)
        candidate.stand(for: SlotSet([0, 1]))
        var record = candidate.map[0]
        record.version = try #require(record.version.afterChangeOfCopies)
        try cluster.tell(3, from: 0, .slots([SlotMap.Run(slots: 0...0, record: record)], ticket: 0))
        #expect(candidate.election?.slots == SlotSet([1]))
    }

    // One more node has a say now, so that whoever goes by the record before may have a majority without it.
    @Test func whoTakesOverWithACopyThatDidNotCountIsMadeKnownFirst() throws {
        let cluster = try ring(of: 4)
        let spare = 3
        let id = cluster.identity(spare)
        let engine = try cluster.engine(spare)
        let slot = try #require(
            (0..<SlotSet.slotCount).first { !engine.map.copies(of: $0).contains(id) && engine.map.owner(of: $0) != id })
        let owner = try #require(cluster.owner(of: slot))
        let record = engine.map[slot]
        engine.copyReigns[slot] = record.version.reign.bits
        engine.copyOffsets[slot] = try cluster.engine(owner).streamOffset
        for number in 0..<4 where number != spare {
            cluster.nodes[number].engine?.peer(cluster.identity(owner))?.failedAt = cluster.now
        }
        engine.peer(cluster.identity(owner))?.failedAt = cluster.now
        engine.stand(for: SlotSet([slot]))
        cluster.perform(cluster.nodes[spare])
        for _ in 0..<20 where !engine.served.contains(slot) {
            cluster.now = cluster.now + .milliseconds(1)
            cluster.run(milliseconds: 0)
            cluster.deliver()
        }
        #expect(engine.served.contains(slot) && !engine.committed.contains(slot))
        #expect(engine.map.copies(of: slot).count == 2)
    }

    // With nobody left who could have anything, hands say so: CLUSTER FORGET.
    @Test func whoIsForgottenIsNotWaitedFor() throws {
        let cluster = try ring(of: 5)
        let slot = 7
        let owner = try #require(cluster.owner(of: slot))
        let first = try #require(try cluster.engine(owner).map.copies(of: slot).first)
        let copy = try #require(cluster.nodes.firstIndex { $0.identity == first })
        for number in [owner, copy] { cluster.kill(number) }
        cluster.run(milliseconds: 8000)
        #expect(cluster.owner(of: slot) == nil, "one of them may come back with everything")
        for (_, engine) in cluster.living {
            for number in [owner, copy] { try engine.forget(cluster.identity(number)) }
        }
        #expect(cluster.run(upToMilliseconds: 20_000) { cluster.isHealthy(replicas: 1) })
    }

    // A follower's older account that comes after a newer one would have slots left out of the stream that it has.
    @Test func whatAFollowerWantsIsNumbered() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        let replica = try cluster.engine(3)
        replica.links[0].broken.insert(5)
        replica.linksChanged()
        let before = replica.links[0].sequence
        replica.links[0].wanted.remove(5)
        replica.now = replica.now + .seconds(1)
        replica.tickLinks()
        #expect(replica.links[0].sequence == before + 1)
        replica.now = replica.now + .seconds(1)
        replica.tickLinks()
        #expect(replica.links[0].sequence == before + 1, "nothing new")
    }
}
