import KernelStructures
import Testing

@testable import CacheClusterEngine

@Suite struct SlotSetTests {
    @Test func rangesAreTheFewestThatMakeItUp() {
        let set = SlotSet([0, 1, 2, 63, 64, 100, 16_383])
        #expect(set.ranges == [0...2, 63...64, 100...100, 16_383...16_383])
        #expect(set.description == "0-2 63-64 100 16383")
        #expect(set.count == 7)
        #expect(SlotSet([-1, 16_384]).isEmpty)
    }

    @Test func setsBehaveAsSets() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<20 {
            let a = Set((0..<300).map { _ in random.below(SlotSet.slotCount) })
            let b = Set((0..<300).map { _ in random.below(SlotSet.slotCount) })
            #expect(SlotSet(a).union(SlotSet(b)) == SlotSet(a.union(b)))
            #expect(SlotSet(a).intersection(SlotSet(b)) == SlotSet(a.intersection(b)))
            #expect(SlotSet(a).subtracting(SlotSet(b)) == SlotSet(a.subtracting(b)))
            #expect(SlotSet(a).slots == a.sorted())
        }
    }

    @Test func versionsAreOrderedByEpochHandoffAndCopies() {
        let versions = [
            SlotVersion.none, SlotVersion(epoch: 1), SlotVersion(epoch: 1, copies: 3),
            SlotVersion(epoch: 1, handoff: 1),
            SlotVersion(epoch: 2),
        ]
        #expect(zip(versions, versions.dropFirst()).allSatisfy(<))
        #expect(SlotVersion(epoch: 1, handoff: 0xFFFF).afterHandoff == nil)
        #expect(SlotVersion(epoch: 1, copies: 0xFFFF).afterChangeOfCopies == nil)
        #expect(SlotVersion(epoch: 3, handoff: 2, copies: 9).reign == SlotVersion(epoch: 3, handoff: 2))
    }

    @Test func mapsBecomeTheSameInWhateverOrderTheyHear() {
        var random = SeededRandom(seed: 3)
        let (one, other) = (ClusterNodeID(random: &random), ClusterNodeID(random: &random))
        func record(_ owner: ClusterNodeID, _ epoch: Int, takenAt: Int? = nil) -> SlotMap.Record {
            SlotMap.Record(owner: owner, version: SlotVersion(epoch: epoch), takenAt: takenAt)
        }
        let (greater, less) = one < other ? (other, one) : (one, other)
        let records = [record(less, 1), record(greater, 1), record(less, 2), record(greater, 1)]
        for last in 1...records.count {
            let heard = Array(records[..<last])
            var (forth, back) = (SlotMap(), SlotMap())
            for record in heard { forth.merge(record, into: 5) }
            for record in heard.reversed() { back.merge(record, into: 5) }
            #expect(forth[5] == back[5] && forth.digest == back.digest)
            #expect(forth.owner(of: 5) == (last == 2 ? greater : less))
        }
        var map = SlotMap()
        #expect(map.merge(record(one, 2), into: 0) && !map.merge(record(other, 1), into: 0))
        let before = map.digest
        #expect(map.merge(record(one, 2, takenAt: 9), into: 1) && map.digest != before)
        #expect(map.runs().map(\.slots) == [0...0, 1...1], "what was taken over is told apart")
        #expect(map.wasTakenOver(1) && !map.wasTakenOver(0) && map.slotCount(of: one) == 2)
    }
}
