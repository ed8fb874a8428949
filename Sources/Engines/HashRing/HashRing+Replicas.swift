// Several copies of a key, on nodes that do not fail together.

extension HashRing {
    /// The nodes that hold a key's copies, by index in `nodes`: its owner, and then those that come next on the ring.
    ///
    /// Points are many and nodes few, so the next point is often of a node that has a copy already; it is passed over
    /// (Dynamo, section 4.3: the preference list has distinct physical nodes only). Where nodes have zones, a node in
    /// a zone that has a copy is passed over as well, as long as there are zones without one; after that, those
    /// passed over are taken in the order of the ring, as by Cassandra's NetworkTopologyStrategy with its racks.
    /// Nodes without a zone are each a zone of their own.
    ///
    /// - Parameter count: how many are wanted (the replication factor). Fewer come if there are fewer nodes.
    public func replicaIndices(of key: String, count: Int) -> [Int] {
        replicaIndices(at: position(of: key), count: count)
    }

    /// The same for a position.
    public func replicaIndices(at position: UInt64, count: Int) -> [Int] {
        guard !positions.isEmpty, count > 0 else { return [] }
        let wanted = min(count, nodes.count)
        var chosen: [Int] = []
        chosen.reserveCapacity(wanted)
        var passedOver: [Int] = []
        var point = pointIndex(at: position)
        // At most once round: in ketama a node of little weight may have no point at all.
        var steps = positions.count
        // Once every zone has a copy, the order of the ring is all that counts.
        while chosen.count < min(wanted, zoneCount), steps > 0 {
            steps -= 1
            let owner = Int(owners[point])
            point = point + 1 == positions.count ? 0 : point + 1
            if chosen.contains(owner) || passedOver.contains(owner) { continue }
            if chosen.contains(where: { zones[$0] == zones[owner] }) {
                passedOver.append(owner)
            } else {
                chosen.append(owner)
            }
        }
        guard chosen.count < wanted else { return chosen }
        chosen += passedOver.prefix(wanted - chosen.count)
        while chosen.count < wanted, steps > 0 {
            steps -= 1
            let owner = Int(owners[point])
            point = point + 1 == positions.count ? 0 : point + 1
            if !chosen.contains(owner) { chosen.append(owner) }
        }
        return chosen
    }

    /// The names of the nodes that hold a key's copies.
    public func replicas(of key: String, count: Int) -> [String] {
        replicaIndices(of: key, count: count).map { nodes[$0].name }
    }
}
