import KernelStructures
import Testing

@testable import CacheClusterEngine

/// Clusters whose slots were placed by hand, so that a test knows who has which.
extension SimulatedCluster {
    /// Masters without a ring, each with its part of the slots in their order, and replicas behind them.
    ///
    /// - Parameter replicasOf: a master's number for each replica.
    static func placed(
        masters: Int, replicasOf: [Int] = [], _ change: (inout CacheCluster.Settings) -> Void = { _ in }
    ) throws -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: 1, nodeCount: masters + replicasOf.count, change: change)
        for number in cluster.nodes.indices {
            cluster.start(number)
            if number > 0 {
                try cluster.engine(number).introduce(to: "n0", busPort: 17_001)
                cluster.perform(cluster.nodes[number])
            }
        }
        let others = cluster.nodes.count - 1
        let isAcquainted = cluster.run(upToMilliseconds: 5000) {
            cluster.living.allSatisfy { $0.engine.peers.count(where: \.isKnown) == others }
        }
        try #require(isAcquainted)
        for number in 0..<masters {
            try cluster.engine(number).addSlots(Array(cluster.slots(of: number, masters: masters)))
            cluster.perform(cluster.nodes[number])
        }
        for (place, master) in replicasOf.enumerated() {
            try cluster.engine(masters + place).replicate(cluster.identity(master))
            cluster.perform(cluster.nodes[masters + place])
        }
        let isReady = cluster.run(upToMilliseconds: 10_000) {
            guard cluster.isSettled else { return false }
            return cluster.living[..<masters].enumerated().allSatisfy { number, one in
                let copies = replicasOf.count(where: { $0 == number })
                let slots = cluster.slots(of: number, masters: masters)
                return one.engine.served.subtracting(one.engine.committed).isEmpty
                    && slots.allSatisfy { one.engine.map.copies(of: $0).count == copies }
            }
        }
        try #require(isReady)
        // What was learned is saved within a second.
        cluster.run(milliseconds: 1500)
        return cluster
    }

    private func slots(of number: Int, masters: Int) -> Range<Int> {
        let share = SlotSet.slotCount / masters + 1
        return number * share..<min(SlotSet.slotCount, (number + 1) * share)
    }

    func engine(_ number: Int) throws -> CacheCluster { try #require(nodes[number].engine) }

    func identity(_ number: Int) -> ClusterNodeID { nodes[number].identity }

    /// Runs until a node holds another for dead.
    func runUntil(_ number: Int, holdsForDead other: Int) throws {
        let engine = try engine(number)
        let isDead = run(upToMilliseconds: 10_000) { engine.peer(identity(other))?.isFailed == true }
        try #require(isDead)
    }

    /// What a node hears, without the network.
    func tell(_ number: Int, from other: Int, epoch: Int = 1, _ content: ClusterMessage.Content) throws {
        try engine(number).receive(ClusterMessage(sender: identity(other), epoch: epoch, content), now: now)
    }

    /// What a node says to a command of a client's.
    func obstacle(
        at number: Int, slot: Int?, isWrite: Bool = true, isAsking: Bool = false, readsCopies: Bool = false,
        keys: Int = 1, present: Int = 1
    ) throws -> String? {
        var client = ClusterClient()
        client.isAsking = isAsking
        client.readsCopies = readsCopies
        return try engine(number).obstacle(
            slot: slot, isWrite: isWrite, client: client, keyCount: keys, present: { present })
    }
}
