/// Consistent hashing with bounded loads: as on the ring, but nobody has more than a bit above average.
///
/// ## The problem
///
/// A ring is fair to keys, and keys are not alike. If everybody asks for the same one, its node drowns while its
/// neighbours are idle.
///
/// ## An everyday picture
///
/// The filling stations at a ring road: one drives on to the first, unless the queue there reaches back to the road;
/// then one drives on. How long a queue may be is not fixed: a quarter more than everybody's average at this moment,
/// so it grows with the traffic, and there is always a station with room.
///
/// ## How
///
/// Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (SODA 2018). With m open assignments,
/// this one included, n nodes and a factor c > 1, a node takes at most ⌈c · m / n⌉; with weights, ⌈c · m · w / W⌉. A
/// key goes to the first node on its way round the ring that has room. All of them full would be c · m assignments,
/// and there are only m, so there is room. A change of one node moves O(1 / (c − 1)²) assignments for each that must
/// move.
///
/// ## Where it is wrong
///
/// Where a key goes depends on how busy nodes are, so two that look it up at different times may differ: right for
/// requests and caches, where a second copy costs a miss, and wrong for a store. Loads must be known.
public struct BoundedLoadRing: Sendable {
    public let ring: HashRing
    /// c in hundredths, above 100.
    public let factorPercent: Int
    /// Open assignments by node, in the order of `ring.nodes`.
    public private(set) var loads: [Int]
    public private(set) var total = 0
    private let totalWeight: Int

    /// - Precondition: the factor is above 100 %; at less there is not room for all.
    public init(_ ring: HashRing, factorPercent: Int = 125) {
        precondition(factorPercent > 100, "at 100 % or less there is no room for all assignments")
        self.ring = ring
        self.factorPercent = factorPercent
        loads = [Int](repeating: 0, count: ring.nodes.count)
        totalWeight = ring.nodes.reduce(0) { $0 + $1.weight }
    }

    /// Assigns a key to the first node on its way that has room. nil if there are no nodes.
    public mutating func assign(_ key: String) -> Int? { assign(at: ring.position(of: key)) }

    /// The same for a position.
    public mutating func assign(at position: UInt64) -> Int? {
        guard !ring.isEmpty else { return nil }
        var point = ring.pointIndex(at: position)
        for _ in ring.positions.indices {
            let owner = Int(ring.owners[point])
            if hasRoom(owner) {
                loads[owner] += 1
                total += 1
                return owner
            }
            point = point + 1 == ring.positions.count ? 0 : point + 1
        }
        // There is room for all among nodes that have points; all have, but in ketama with weights far apart.
        return nil
    }

    /// An assignment has ended.
    ///
    /// - Precondition: the node has one.
    public mutating func release(_ node: Int) {
        precondition(loads[node] > 0, "nothing is assigned to node \(node)")
        loads[node] -= 1
        total -= 1
    }

    /// The most that a node may have when the next assignment is counted: ⌈c · m · w / W⌉.
    public func capacity(of node: Int) -> Int {
        let (quotient, rest) = (factorPercent * (total + 1) * ring.nodes[node].weight)
            .quotientAndRemainder(dividingBy: 100 * totalWeight)
        return quotient + (rest > 0 ? 1 : 0)
    }

    private func hasRoom(_ node: Int) -> Bool {
        boundedLoadHasRoom(
            load: loads[node], factorPercent: factorPercent, requests: total + 1, weight: ring.nodes[node].weight,
            totalWeight: totalWeight)
    }
}

/// Whether one more keeps a load within ⌈c · m · w / W⌉.
///
/// For whole numbers, a load plus one that must not exceed ⌈x⌉ is the same as a load below x, so nothing is divided.
///
/// - Parameters:
///   - load: what it has already.
///   - factorPercent: c in hundredths.
///   - requests: m, the new one included.
@inlinable
public func boundedLoadHasRoom(load: Int, factorPercent: Int, requests: Int, weight: Int, totalWeight: Int) -> Bool {
    load * 100 * totalWeight < factorPercent * requests * weight
}
