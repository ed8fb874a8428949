// What must hold at any moment; for tests.

extension CacheCluster {
    /// What is wrong; nil if nothing is.
    package func checkInvariants() -> String? {
        if served != served.intersection(ownSlots) { return "it serves slots of others" }
        if committed != committed.intersection(ownSlots) { return "it counts on slots of others" }
        if ownSlots != map.slots(of: own.id) { return "it does not know its own slots" }
        if !zip(peers, peers.dropFirst()).allSatisfy({ $0.id < $1.id }) { return "the nodes are out of order" }
        if successions.keys.contains(where: { !ownSlots.contains($0) }) { return "it succeeds to slots of others" }
        if followed.byteCount > followed.limitBytes { return "it remembers more than it may" }
        for follower in followers where follower.acknowledged > log.end {
            return "\(follower.id) is ahead of the stream"
        }
        for link in links {
            if !link.held.subtracting(link.wanted).isEmpty { return "a copy that is not wanted" }
            if !link.held.intersection(served).isEmpty { return "a copy of what it owns" }
        }
        return nil
    }
}
