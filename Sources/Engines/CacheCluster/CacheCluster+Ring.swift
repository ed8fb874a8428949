import KernelStructures

// What hands do with the ring.

extension CacheCluster {
    /// Where slots would be on a ring of the present masters.
    public func plan(_ change: (inout RingSettings) -> Void = { _ in }) -> SlotPlacement {
        var wanted = ring
        change(&wanted)
        return SlotPlacement(
            members.map(\.name), algorithm: wanted.algorithm, depth: wanted.replicas + 1,
            virtualNodes: wanted.virtualNodes)
    }

    /// Slots whose owner is not the plan's.
    public func misplacedSlots(_ plan: SlotPlacement) -> Int {
        (0..<SlotSet.slotCount).reduce(0) { count, slot in
            let there = map.owner(of: slot).flatMap(describe)?.name
            return plan.owner(of: slot).map({ plan.members[$0] }) == there ? count : count + 1
        }
    }

    /// From here on the ring decides about all slots, those too that were placed by hand.
    ///
    /// - Returns: how many slots will move.
    @discardableResult
    public func useRing(_ change: (inout RingSettings) -> Void) -> Int {
        let moving = misplacedSlots(plan(change))
        activateRing(change)
        return moving
    }

    /// Has the state written once more.
    public func saveAgain() { hasPromised = true }
}
