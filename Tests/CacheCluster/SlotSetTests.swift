import CacheClusterEngine
import KernelStructures
import Testing

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
}
