import KernelStructures

/// What of its cluster's state a client has said it knows.
public struct ClusterClient: Sendable {
    /// ASKING: the next command may concern a slot that is on its way here.
    public var isAsking = false
    /// READONLY: copies will do.
    public var readsCopies = false
    public init() {}
}

// Whether a command can be carried out here, and where else.

extension CacheCluster {
    /// What stands in the way of a command; nil if it can be carried out here (Redis cluster specification,
    /// "Redirection and resharding").
    ///
    /// - Parameters:
    ///   - slot: the one slot of all its keys; nil if they are of several.
    ///   - present: of its keys, how many are here; only asked while the slot is moving.
    public func obstacle(
        slot: Int?, isWrite: Bool, client: ClusterClient, keyCount: Int, present: () -> Int
    ) -> String? {
        guard let slot else { return "CROSSSLOT Keys in request don't hash to the same slot" }
        guard slot >= 0, slot < SlotSet.slotCount else { return "ERR Invalid slot" }
        if served.contains(slot) {
            if !isInMajority { return "CLUSTERDOWN The cluster is down" }
            return ownObstacle(slot, isWrite, keyCount, present)
        }
        if importing[slot] != nil, client.isAsking {
            if keyCount > 1, present() < keyCount {
                return "TRYAGAIN Multiple keys request during rehashing of slot"
            }
            return nil
        }
        guard let owner = map.owner(of: slot) else {
            return startRingForFirstKey() ? nil : "CLUSTERDOWN Hash slot not served"
        }
        if owner == own.id { return "CLUSTERDOWN The slot's data was lost with this node's memory; looking for a copy" }
        if client.readsCopies, !isWrite, mayAnswer(fromCopyOf: slot), isInMajority { return nil }
        guard let node = describe(owner) else { return "CLUSTERDOWN Hash slot not served" }
        return "MOVED \(slot) \(node.address)"
    }

    private func ownObstacle(_ slot: Int, _ isWrite: Bool, _ keyCount: Int, _ present: () -> Int) -> String? {
        if isWrite, let handoff, handoff.slots.contains(slot) {
            return "TRYAGAIN The slot is being handed to another node"
        }
        guard let target = migrating[slot] else { return nil }
        let here = present()
        if here == keyCount { return nil }
        if here > 0 { return "TRYAGAIN Multiple keys request during rehashing of slot" }
        guard let node = describe(target) else { return nil }
        return "ASK \(slot) \(node.address)"
    }

    /// Why a write without keys cannot be carried out here.
    public var writeObstacle: String? {
        isReplica ? "READONLY You can't write against a read only replica." : nil
    }
}
