import KernelStructures
import Testing

@testable import CacheClusterEngine

/// What copies have, and how slots change hands without a death.
@Suite struct HandoverTests {
    @Test func aManualFailoverLosesNothing() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        // The write is on its way; until it has arrived nothing is written any more, and all is read.
        try cluster.tell(0, from: 3, .requestHandover)
        #expect(try cluster.obstacle(at: 0, slot: 0)?.hasPrefix("TRYAGAIN") == true)
        #expect(try cluster.obstacle(at: 0, slot: 0, isWrite: false) == nil)
        cluster.perform(cluster.nodes[0])
        #expect(cluster.nodes[0].isWritingPaused)
        #expect(cluster.run(upToMilliseconds: 1000) { cluster.owner(of: 0) == 3 })
        #expect(cluster.nodes[3].store.slots[0]?["k"] == "v" && !cluster.nodes[0].isWritingPaused)
        #expect(try cluster.engine(0).own.replicaOf == cluster.identity(3))
        #expect(try cluster.engine(0).lostWrites.count == 0)
    }

    @Test func aFailoverByForceNeedsVotesAndNotTheMaster() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 0])
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 300)
        let replica = try cluster.engine(3)
        try replica.failOver(.force)
        cluster.perform(cluster.nodes[3])
        #expect(cluster.run(upToMilliseconds: 1000) { cluster.owner(of: 0) == 3 })
        #expect(cluster.nodes[3].store.slots[0]?["k"] == "v" && !replica.isReplica)
        cluster.run(milliseconds: 2000)
        #expect(try cluster.engine(0).own.replicaOf == cluster.identity(3), "the former master follows")
        // Cut off from the masters it gets no votes, whatever it wants.
        let other = try cluster.engine(4)
        cluster.sides = [0, 0, 0, 0, 1]
        try other.failOver(.force)
        cluster.perform(cluster.nodes[4])
        cluster.run(milliseconds: 3000)
        #expect(cluster.owner(of: 0) == 3 && other.isReplica)
    }

    @Test func nobodyIsVotedForByForceWhoIsNoReplicaOfTheOwner() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0, 1])
        let known = try cluster.engine(2).map.version(of: 0)
        let claim = Ballot.Claim(slots: 0...0, version: known, copyReign: known.reign, copyOffset: 99)
        try cluster.tell(2, from: 4, epoch: 9, .ballot(Ballot(epoch: 9, isForced: true, claims: [claim])))
        let votes = try cluster.engine(2).takeEffects().compactMap { effect -> Vote? in
            if case .send(let message, _) = effect, case .vote(let vote) = message.content { return vote }
            return nil
        }
        #expect(votes.count == 1 && votes[0].granted.isEmpty)
    }

    @Test func aTakeoverAsksNobody() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 300)
        // The other masters are out of reach: no majority, and the slots are taken all the same.
        cluster.sides = [0, 1, 1, 0]
        cluster.kill(0)
        let replica = try cluster.engine(3)
        let epoch = replica.epoch
        try replica.failOver(.takeover)
        cluster.perform(cluster.nodes[3])
        #expect(cluster.owner(of: 0) == 3 && replica.epoch == epoch + 1 && !replica.isReplica)
        #expect(cluster.nodes[3].store.slots[0]?["k"] == "v")
        cluster.sides = [0, 0, 0, 0]
        cluster.run(milliseconds: 3000)
        for number in 1...2 { #expect(try cluster.engine(number).map.owner(of: 0) == cluster.identity(3)) }
    }

    @Test func aHandoverThatTakesTooLongIsOff() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        cluster.sides = [0, 0, 0, 1]
        #expect(cluster.write("k", "v", slot: 0, at: 0) != nil)
        try cluster.tell(0, from: 3, .requestHandover)
        cluster.perform(cluster.nodes[0])
        #expect(cluster.nodes[0].isWritingPaused)
        cluster.run(milliseconds: 1300)
        #expect(!cluster.nodes[0].isWritingPaused && cluster.owner(of: 0) == 0)
        #expect(cluster.write("k", "w", slot: 0, at: 0) != nil)
    }

    @Test func onlyAReplicaOfItsOwnIsHandedTo() throws {
        // On a ring masters have copies of one another's slots; that makes none of them the other's successor.
        let cluster = SimulatedCluster(seed: 1, nodeCount: 2) { $0.ring.virtualNodes = 8 }
        cluster.start(0)
        cluster.start(1, join: 0)
        #expect(cluster.run(upToMilliseconds: 10_000) { cluster.isHealthy(replicas: 1) })
        let master = try cluster.engine(0)
        let served = master.served
        try cluster.tell(0, from: 1, .requestHandover)
        cluster.perform(cluster.nodes[0])
        cluster.run(milliseconds: 300)
        #expect(!served.isEmpty && master.served == served && !master.isReplica)
    }

    @Test func whatACutOffMasterAcknowledgedIsListed() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(cluster.write("kept", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 300)
        cluster.sides = [1, 0, 0, 0]
        for slot in [0, 7] { #expect(cluster.write("gone", "v", slot: slot, at: 0) != nil) }
        let successor = try cluster.engine(3)
        #expect(cluster.run(upToMilliseconds: 10_000) { successor.served.contains(0) })
        #expect(cluster.nodes[3].store.slots[0] == ["kept": "v"])
        cluster.sides = [0, 0, 0, 0]
        cluster.run(milliseconds: 3000)
        let lost = try cluster.engine(0).lostWrites
        #expect(lost.writes.map(\.command) == ["SET 0", "SET 7"] && lost.count == 2 && !lost.isIncomplete)
        #expect(lost.writes.allSatisfy { $0.successor == cluster.identity(3) && $0.offset > $0.successorOffset })
        #expect(cluster.nodes[0].store.slots[0] == ["kept": "v"], "it has what its master has")
    }

    @Test func whatDiedWithItsMasterIsListedByItsSuccessor() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        #expect(cluster.write("kept", "v", slot: 0, at: 0) != nil)
        cluster.run(milliseconds: 300)
        cluster.sides = [1, 0, 0, 0]
        for slot in [0, 7] { #expect(cluster.write("gone", "v", slot: slot, at: 0) != nil) }
        var remains = try #require(cluster.engine(0).remains)
        cluster.kill(0)
        let successor = try cluster.engine(3)
        let early = successor.settle(&remains)
        #expect(early == 0 && !remains.isSettled, "nobody has its slots yet")
        #expect(cluster.run(upToMilliseconds: 10_000) { successor.served.contains(0) && successor.served.contains(7) })
        let elsewhere = try cluster.engine(1).settle(&remains)
        #expect(elsewhere == 0, "it took over nothing")
        let found = successor.settle(&remains)
        let again = successor.settle(&remains)
        #expect(found == 2 && remains.isSettled && again == 0, "each write once")
        let lost = successor.lostWrites.writes
        #expect(lost.map(\.command) == ["SET 0", "SET 7"] && lost.allSatisfy { $0.reason == .died })
    }

    @Test func onlyWhatItsSuccessorLacksIsLost() {
        var log = ReplicationLog(limitBytes: 1 << 20)
        for slot in [0, 7, 0, 7] {
            let commands = [DictionaryStore.command(slot, "k", "v")]
            log.append(.init(slot: slot, commands: commands, at: LabTime(nanoseconds: 0)))
        }
        func record(takenAt: Int) -> SlotMap.Record {
            SlotMap.Record(owner: nil, version: SlotVersion(epoch: 2), takenAt: takenAt)
        }
        var lost = LostWrites()
        lost.add(from: log, [0: record(takenAt: 1), 7: record(takenAt: 4)])
        #expect(lost.writes.map(\.offset) == [3] && lost.count == 1)
    }

    @Test func waitCountsCopiesThatHaveTheWrite() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        let master = try cluster.engine(0)
        let offset = try #require(cluster.write("k", "v", slot: 0, at: 0)).offset
        #expect(master.copyCount(of: [0], upTo: offset) == 0)
        cluster.run(milliseconds: 200)
        #expect(master.copyCount(of: [0], upTo: offset) == 1)
        #expect(master.copyCount(of: [0], upTo: offset + 1) == 0)
        #expect(master.copyCount(of: [0, 16_383], upTo: offset) == 0, "of the slot with the fewest")
        cluster.sides = [0, 0, 0, 1]
        let second = try #require(cluster.write("k", "w", slot: 0, at: 0)).offset
        cluster.run(milliseconds: 500)
        #expect(master.copyCount(of: [0], upTo: second) == 0)
        cluster.sides = [0, 0, 0, 0]
        cluster.run(milliseconds: 1000)
        #expect(master.copyCount(of: [0], upTo: second) == 1 && cluster.nodes[3].store.slots[0]?["k"] == "w")
    }

    @Test func whoFellTooFarBehindBeginsAnew() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0]) { $0.backlogBytes = 2000 }
        cluster.sides = [0, 0, 0, 1]
        for number in 0..<100 { #expect(cluster.write("k\(number)", "v", slot: 0, at: 0) != nil) }
        cluster.run(milliseconds: 600)
        cluster.sides = [0, 0, 0, 0]
        #expect(cluster.run(upToMilliseconds: 5000) { cluster.nodes[3].store.slots[0]?.count == 100 })
        #expect(cluster.run(upToMilliseconds: 5000) { cluster.nodes[0].engine?.map.copies(of: 0).count == 1 })
    }

    @Test func aPartThatDoesNotFollowIsNotTaken() throws {
        let cluster = try SimulatedCluster.placed(masters: 3, replicasOf: [0])
        let (master, replica) = (cluster.identity(0), try cluster.engine(3))
        let link = try #require(replica.links.first)
        func part(_ stream: UInt64, from: Int, _ value: String) -> ClusterMessage.Content {
            let command = DictionaryStore.command(0, "k", value)
            return .stream(
                StreamPart(
                    stream: stream, from: from, to: from + 1,
                    entries: [.init(offset: from + 1, slot: 0, commands: [command])]))
        }
        try cluster.tell(3, from: 0, part(link.stream, from: link.offset + 1, "gap"))
        try cluster.tell(3, from: 0, part(link.stream ^ 2, from: link.offset, "another stream"))
        #expect(cluster.nodes[3].store.slots[0] == nil && replica.followedOffset(of: master) == link.offset)
        try cluster.tell(3, from: 0, part(link.stream, from: link.offset, "next"))
        try cluster.tell(3, from: 0, part(link.stream, from: link.offset, "again"))
        #expect(cluster.nodes[3].store.slots[0]?["k"] == "next")
        #expect(replica.followedOffset(of: master) == link.offset + 1)
    }
}
