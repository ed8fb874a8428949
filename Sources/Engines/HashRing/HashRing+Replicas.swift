// Several copies of a key, on nodes that do not fail together.

extension HashRing {
    /// The nodes that hold a key's copies, by index in `nodes`: its owner, and then those that come next on the ring.
    ///
    /// Points are many and nodes few, so the next point is often of a node that has a copy already; it is passed over
    /// (Dynamo, section 4.3: the preference list has distinct physical nodes only). Where nodes have zones, a node in a
    /// zone that has a copy is passed over as well, as long as there are zones without one; after that, those passed over
    /// are taken in the order of the ring, as by Cassandra's NetworkTopologyStrategy with its racks. Nodes without a zone
    /// are each a zone of their own.
    ///
    /// - Parameter count: how many are wanted (the replication factor). Fewer come if there are fewer nodes.
    public func replicaIndices(of key: String, count: Int) -> [Int] {
        replicaIndices(at: position(of: key), count: count)
    }

    /// The same for a position.
    public func replicaIndices(at position: UInt64, count: Int) -> [Int] {
        guard !positions.isEmpty, count > 0 else { return [] }
        let wanted = min(count, nodes.count)
        let zoneCount = self.zoneCount
        var chosen: [Int] = []
        var passedOver: [Int] = []
        var zones: [String] = []
        var zonesTaken = 0
        var point = pointIndex(at: position)
        for _ in positions.indices where chosen.count < wanted {
            let owner = Int(owners[point])
            point = point + 1 == positions.count ? 0 : point + 1
            if chosen.contains(owner) || passedOver.contains(owner) { continue }
            if let zone = nodes[owner].zone {
                if zones.contains(zone) {
                    passedOver.append(owner)
                    continue
                }
                zones.append(zone)
            }
            chosen.append(owner)
            zonesTaken += 1
            // Every zone has a copy: from here on the order of the ring is all that counts, from its beginning.
            if zonesTaken == zoneCount { break }
        }
        guard chosen.count < wanted else { return chosen }
        chosen += passedOver.prefix(wanted - chosen.count)
        for _ in positions.indices where chosen.count < wanted {
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

    /// Zones among the members that have a point; one without a zone counts by itself.
    private var zoneCount: Int {
        var zones: [String] = []
        var alone = 0
        for node in nodes {
            if let zone = node.zone {
                if !zones.contains(zone) { zones.append(zone) }
            } else {
                alone += 1
            }
        }
        return zones.count + alone
    }
}
