import CacheClusterEngine
import Testing

@Suite struct PlacementTests {
    private let names = (1...10).map { "70\($0 < 10 ? "0" : "")\($0)" }

    // Key modulo number of nodes would move nine of ten.
    // @covers DC-C1 DC-M3
    @Test(arguments: [PlacementAlgorithm.ring, .rendezvous, .maglev, .jump])
    func aNewNodeMovesItsPartOnly(algorithm: PlacementAlgorithm) {
        let before = SlotPlacement(names, algorithm: algorithm, depth: 2)
        let after = SlotPlacement(names + ["7011"], algorithm: algorithm, depth: 2)
        let moved = before.movement(to: after)
        #expect(moved * 100 <= SlotSet.slotCount * 12, "\(moved)")
        guard algorithm == .ring || algorithm == .rendezvous else { return }
        for slot in 0..<SlotSet.slotCount where before.owner(of: slot) != after.owner(of: slot) {
            let owner = after.owner(of: slot).map { after.members[$0] }
            let former = before.owner(of: slot).map { before.members[$0] }
            #expect(owner == "7011" || owner == former)
        }
    }

    @Test(arguments: PlacementAlgorithm.allCases) func sharesAreEvenAndChainsHaveEachNodeOnce(
        algorithm: PlacementAlgorithm
    ) {
        let placement = SlotPlacement(names, algorithm: algorithm, depth: 3)
        #expect(placement.shares.reduce(0, +) == SlotSet.slotCount)
        #expect(placement.skewPercent < 130, "\(placement.skewPercent)")
        for slot in stride(from: 0, to: SlotSet.slotCount, by: 7) { #expect(Set(placement[slot]).count == 3) }
    }

    @Test func aPlacementDependsOnTheNamesOnly() {
        let one = SlotPlacement(names, algorithm: .ring, depth: 2)
        #expect(one == SlotPlacement(names.reversed(), algorithm: .ring, depth: 2))
        #expect(SlotPlacement([], algorithm: .ring, depth: 2).owner(of: 5) == nil)
        #expect(SlotPlacement(["a"], algorithm: .maglev, depth: 3)[16_383] == [0])
    }
}
