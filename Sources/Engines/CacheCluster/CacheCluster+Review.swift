import KernelStructures

// What follows from a change of nodes, slots or the ring; at most once a tick, because it looks at all slots.

extension CacheCluster {
    func review() {
        needsReview = false
        refreshPlacement()
        reviewLinks()
        makeKnown()
        reviewCopies()
        reviewHandoffs()
    }

    /// The ring of those masters that are not held for dead.
    private func refreshPlacement() {
        guard ring.isActive else {
            placement = nil
            placementIDs = []
            return
        }
        let nodes = members
        var named: [(name: String, id: ClusterNodeID)] = []
        for node in nodes {
            // Two of one name are told apart by what nobody shares.
            let isTaken = named.contains { $0.name == node.name }
            named.append((isTaken ? "\(node.name)@\(node.id)" : node.name, node.id))
        }
        named.sort { $0.name < $1.name }
        let ids = named.map(\.id)
        if placement != nil, ids == placementIDs { return }
        placementIDs = ids
        placement = SlotPlacement(
            named.map(\.name), algorithm: ring.algorithm, depth: ring.replicas + 1, virtualNodes: ring.virtualNodes)
    }
}
