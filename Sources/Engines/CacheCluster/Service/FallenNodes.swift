import CacheClusterEngine
import KernelWorld

/// What dead cache nodes of this lab had in memory, kept until somebody has taken their slots over: one in each World.
///
/// A node that runs as a process of its own has a World of its own, and nobody to remember it.
final class FallenNodes {
    private var remains: [Remains] = []
    /// How many there were in all.
    private(set) var deaths = 0

    /// The latest are kept; each has a backlog at most.
    static let limit = 64

    static func of(_ world: World) -> FallenNodes { world.only(FallenNodes.self) { FallenNodes() } }

    func add(_ one: Remains) {
        deaths += 1
        remains.append(one)
        if remains.count > Self.limit { remains.removeFirst() }
    }

    /// - Returns: how many lost writes this node has listed.
    func settle(with cluster: CacheCluster) -> Int {
        var count = 0
        for index in remains.indices { count += cluster.settle(&remains[index]) }
        remains.removeAll(where: \.isSettled)
        return count
    }
}
