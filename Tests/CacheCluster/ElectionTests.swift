import KernelStructures
import Testing

@testable import CacheClusterEngine

/// Who is dead, who stands, who gets which votes, and whose copy is good enough.
@Suite struct ElectionTests {
    /// What a node answers to a candidate for slot 0, and whether it was saved before it was said.
    private func vote(
        _ cluster: SimulatedCluster, of number: Int, for candidate: Int, epoch: Int, version: SlotVersion? = nil,
        offset: Int = 0
    ) throws -> (vote: Vote, isSavedBefore: Bool) {
        let engine = try cluster.engine(number)
        let known = version ?? engine.map.version(of: 0)
        let claim = Ballot.Claim(slots: 0...0, version: known, copyReign: known.reign, copyOffset: offset)
        try cluster.tell(number, from: candidate, epoch: epoch, .ballot(Ballot(epoch: epoch, claims: [claim])))
        var isSaved = false
        for effect in engine.takeEffects() {
            switch effect {
            case .save(let bytes):
                cluster.nodes[number].saved = bytes
                isSaved = true
            case .send(let message, let id) where id == cluster.identity(candidate):
                if case .vote(let vote) = message.content { return (vote, isSaved) }
            default: break
            }
        }
        throw ClusterRefusal("no answer")
    }

    // MARK: Who is dead

    @Test func oneWitnessIsNotEnough() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        // The replicas see it too; they have no say.
        cluster.sides = [1, 0, 0, 1, 1]
        cluster.run(milliseconds: 4000)
        let (alone, other) = (try cluster.engine(0), try cluster.engine(1))
        let lost = try #require(alone.peer(cluster.identity(1)))
        #expect(lost.isSuspected && !lost.isFailed)
        #expect(other.peer(cluster.identity(0))?.isFailed == true)
        #expect(alone.epoch == 1, "nobody has stood")
    }

    @Test func whoWasHeldForDeadIsBelievedOnlyWhenOthersHadTimeToTakeOver() throws {
        let cluster = try SimulatedCluster.placed(masters: 3)
        cluster.sides = [1, 0, 0]
        try cluster.runUntil(1, holdsForDead: 0)
        cluster.sides = [0, 0, 0]
        let peer = try #require(try cluster.engine(1).peer(cluster.identity(0)))
        cluster.run(milliseconds: 1000)
        #expect(!peer.isSuspected && peer.isFailed)
        cluster.run(milliseconds: 2500)
        #expect(!peer.isFailed)
    }

    @Test func whoStoodStillDoesNotBlameOthers() throws {
        let cluster = try SimulatedCluster.placed(masters: 3)
        let engine = try cluster.engine(0)
        engine.tick(now: cluster.now + .seconds(30))
        #expect(engine.peers.allSatisfy { !$0.isSuspected })
        #expect(!engine.isInMajority, "it may have been replaced meanwhile")
    }

    @Test func whoIsForgottenStaysSoForAMinute() throws {
        let cluster = try SimulatedCluster.placed(masters: 3)
        let (engine, id) = (try cluster.engine(1), cluster.identity(2))
        try engine.forget(id)
        // Both it and the third, which knows it, go on talking.
        cluster.run(milliseconds: 5000)
        #expect(engine.peer(id) == nil)
        cluster.now = cluster.now + .seconds(60)
        cluster.run(milliseconds: 3000)
        #expect(engine.peer(id) != nil)
    }

    @Test func strangersAreNotBelieved() throws {
        let cluster = try SimulatedCluster.placed(masters: 2)
        let stranger = SimulatedCluster(seed: 99, nodeCount: 1).identity(0)
        let engine = try cluster.engine(0)
        var heartbeat = try cluster.engine(1).heartbeat(.ping)
        heartbeat.node.id = stranger
        engine.receive(ClusterMessage(sender: stranger, epoch: 1, .heartbeat(heartbeat)), now: cluster.now)
        #expect(engine.peer(stranger) == nil)
        heartbeat.kind = .meet
        engine.receive(ClusterMessage(sender: stranger, epoch: 1, .heartbeat(heartbeat)), now: cluster.now)
        #expect(engine.peer(stranger) != nil)
    }

    // MARK: Votes

    @Test func aVoteIsGivenOnceAnEpochAndNotForgotten() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        for number in [0, 3, 4] { cluster.kill(number) }
        try cluster.runUntil(1, holdsForDead: 0)
        let first = try vote(cluster, of: 1, for: 3, epoch: 7)
        #expect(first.vote.granted == SlotSet([0]) && first.isSavedBefore)
        #expect(try vote(cluster, of: 1, for: 4, epoch: 7).vote.granted.isEmpty)
        #expect(try vote(cluster, of: 1, for: 4, epoch: 8).vote.granted == SlotSet([0]))
        #expect(try vote(cluster, of: 1, for: 3, epoch: 7).vote.granted.isEmpty, "an older one")
        // A restart takes its data, not its word.
        cluster.kill(1)
        cluster.start(1)
        try cluster.runUntil(1, holdsForDead: 0)
        #expect(try vote(cluster, of: 1, for: 3, epoch: 8).vote.granted.isEmpty)
        #expect(try vote(cluster, of: 1, for: 3, epoch: 1000).vote.granted == SlotSet([0]))
    }

    @Test func nobodyVotesAgainstALivingOwnerOrForWhoKnowsLess() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(try vote(cluster, of: 1, for: 3, epoch: 5).vote.granted.isEmpty)
        for number in [0, 3] { cluster.kill(number) }
        try cluster.runUntil(1, holdsForDead: 0)
        #expect(try vote(cluster, of: 1, for: 3, epoch: 6, version: SlotVersion.none).vote.granted.isEmpty)
        #expect(try vote(cluster, of: 1, for: 3, epoch: 1).vote.granted.isEmpty, "its reign is from that epoch")
        #expect(try vote(cluster, of: 1, for: 3, epoch: 6).vote.granted == SlotSet([0]))
    }

    @Test func aReplicaHasNoVoteAndVouchesOnlyForCopiesThatAreNotBehindItsOwn() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        let offset = try #require(cluster.write("k", "v", slot: 0, at: 0)).offset
        cluster.run(milliseconds: 300)
        for number in [0, 4] { cluster.kill(number) }
        cluster.sides = [0, 0, 0, 1, 0]
        let replica = try cluster.engine(3)
        // It cannot stand: it is alone. Who is dead it hears from the others.
        cluster.run(milliseconds: 1500)
        try cluster.tell(3, from: 1, .failed(cluster.identity(0)))
        let behind = try vote(cluster, of: 3, for: 4, epoch: 90, offset: offset - 1).vote
        #expect(behind.granted.isEmpty && behind.examined.isEmpty && behind.empty.isEmpty)
        let level = try vote(cluster, of: 3, for: 4, epoch: 91, offset: offset).vote
        #expect(level.granted.isEmpty && level.examined == SlotSet([0]))
        // From here on the former owner has nothing to say to it.
        #expect(!replica.holdsCopy(of: 0) && replica.holdsCopy(of: 1))
    }

    // MARK: Elections

    @Test func aMasterThatDiesIsReplacedByItsReplica() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 300)
        cluster.kill(0)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.owner(of: 0) == 3 })
        #expect(cluster.read("k", slot: 0) == "v")
        cluster.run(milliseconds: 500)
        #expect(try !cluster.engine(3).isReplica && cluster.engine(3).epoch > 1)
        #expect(try cluster.obstacle(at: 1, slot: 0) == "MOVED 0 n3:7004")
        // It comes back, and follows.
        cluster.start(0)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.nodes[0].store.slots[0]?["k"] == "v" })
        #expect(try cluster.engine(0).own.replicaOf == cluster.identity(3))
    }

    @Test func aCopyThatMayBeBehindDoesNotWin() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        cluster.sides = [0, 0, 0, 0, 1]
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 200)
        cluster.kill(0)
        // The one that lacks the write is with the majority, the one that has it is not.
        cluster.sides = [0, 0, 0, 1, 0]
        cluster.run(milliseconds: 6000)
        #expect(cluster.owner(of: 0) == nil)
        cluster.sides = [0, 0, 0, 0, 0]
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.owner(of: 0) != nil })
        #expect(cluster.read("k", slot: 0) == "v")
    }

    @Test func whoComesBackEmptyDoesNotServeWhatItsCopiesHave() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 300)
        cluster.kill(0)
        cluster.start(0)
        #expect(try cluster.obstacle(at: 0, slot: 0)?.hasPrefix("CLUSTERDOWN The slot's data was lost") == true)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.owner(of: 0) != nil })
        #expect(cluster.owner(of: 0) == 3 && cluster.read("k", slot: 0) == "v")
    }

    @Test func emptyHandsWinOnlyWhenAllAreKnownToBeEmpty() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        for number in [0, 3] { cluster.kill(number) }
        cluster.start(0)
        cluster.run(milliseconds: 6000)
        #expect(cluster.owner(of: 0) == nil, "its copy may come back with everything")
        cluster.start(3)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.owner(of: 0) == 0 })
    }
}
