import KernelStructures

/// All algorithms side by side: the same nodes, the same keys, the same change.
///
/// What one would like to have is even shares, few keys that move, none between nodes that stay, weights, and nodes
/// that may come and go as they like; no algorithm has everything. Here keys are counted, not arcs, since most
/// algorithms have none; so chance alone leaves shares about √(nodes / keys) from even.
public struct Comparison: Sendable {
    public enum Algorithm: String, CaseIterable, Sendable {
        case modulo, ring, ketama, boundedLoad = "bounded-load", jump, rendezvous, maglev, slots
    }

    public struct Settings: Sendable {
        /// How many keys: `key:0`, `key:1` …
        public var keys = 20_000
        public static let keyRange = 1...1_000_000
        /// What keys and labels are hashed by; ketama and the slots have hashes of their own.
        public var hash = RingHash.md5
        public var boundPercent = 125
        public var maglevSize = MaglevTable.defaultSize
        public init() {}
    }

    /// What a change did, as parts of all keys.
    public struct Shift: Equatable, Sendable {
        public let moved: Double
        /// Keys that moved between two nodes that were there before and after.
        public let stray: Double

        public init(moved: Double, stray: Double) {
            self.moved = moved
            self.stray = stray
        }
    }

    public struct Row: Sendable {
        public let algorithm: Algorithm
        /// The largest ratio of a node's keys to what it should have by weight.
        public let peakToMean: Double
        /// The standard deviation of that ratio from 1.
        public let relativeDeviation: Double
        /// nil where nothing is added, or removed.
        public let adding: Shift?
        public let removing: Shift?
    }

    public let rows: [Row]
    /// The part of keys that must move because the new node's share is so large, and the part of the one that leaves.
    public let leastAdding: Double?
    public let leastRemoving: Double?

    /// - Parameters:
    ///   - nodes: at least one.
    ///   - added: a node that comes.
    ///   - removed: the name of one that goes.
    /// - Throws: as `HashRing` does.
    public init(
        _ nodes: [RingNode], adding added: RingNode?, removing removed: String?, settings: Settings = Settings()
    ) throws(RingError) {
        guard !nodes.isEmpty else { throw .empty }
        // Throws what is wrong with the nodes, before anything is counted.
        var ring = try HashRing(nodes, scheme: .labels(settings.hash))
        if let added { try ring.add(added) }
        let more = added.map { nodes + [$0] }
        let fewer = try removed.map { name throws(RingError) in
            _ = try ring.index(of: name)
            return nodes.filter { $0.name != name }
        }
        let keys = (0..<settings.keys).map { "key:\($0)" }
        let positions = keys.map { settings.hash.position(of: $0) }
        var rows: [Row] = []
        for algorithm in Algorithm.allCases {
            var placement = Placement(algorithm, keys, positions, settings)
            let now = try placement.owners(nodes)
            // Each change begins with the present members: the slots remember what they were.
            var other = placement
            let after = try more.map { next throws(RingError) in try placement.owners(next) }
            let without = try fewer.map { next throws(RingError) in next.isEmpty ? [] : try other.owners(next) }
            let ratios = Self.ratios(now, nodes)
            let squares = ratios.map { ($0 - 1) * ($0 - 1) }
            rows.append(
                Row(
                    algorithm: algorithm, peakToMean: ratios.max()!,
                    relativeDeviation: (squares.reduce(0, +) / Double(squares.count)).squareRoot(),
                    adding: after.map { Self.shift(now, nodes, $0, more!) },
                    removing: without.map { Self.shift(now, nodes, $0, fewer!) }))
        }
        self.rows = rows
        let weight = nodes.reduce(0) { $0 + $1.weight }
        leastAdding = added.map { Double($0.weight) / Double(weight + $0.weight) }
        leastRemoving = removed.map { name in
            Double(nodes.first { $0.name == name }!.weight) / Double(weight)
        }
    }

    private static func ratios(_ owners: [Int], _ nodes: [RingNode]) -> [Double] {
        var counts = [Int](repeating: 0, count: nodes.count)
        for owner in owners { counts[owner] += 1 }
        let weight = nodes.reduce(0) { $0 + $1.weight }
        return zip(counts, nodes).map { Double($0 * weight) / Double(owners.count * $1.weight) }
    }

    private static func shift(_ old: [Int], _ before: [RingNode], _ new: [Int], _ after: [RingNode]) -> Shift {
        // No node is left: all keys are lost, and none went to another.
        if new.isEmpty { return Shift(moved: 1, stray: 0) }
        let newIndices = before.map { node in after.firstIndex { $0.name == node.name } }
        let stays = after.map { node in before.contains { $0.name == node.name } }
        var moved = 0
        var stray = 0
        for (from, to) in zip(old, new) where newIndices[from] != to {
            moved += 1
            if newIndices[from] != nil, stays[to] { stray += 1 }
        }
        return Shift(moved: Double(moved) / Double(old.count), stray: Double(stray) / Double(old.count))
    }
}

/// One algorithm with the keys of a comparison. Only the slots have a memory.
private struct Placement {
    let algorithm: Comparison.Algorithm
    let keys: [String]
    let positions: [UInt64]
    let settings: Comparison.Settings
    var slots = SlotTable()

    init(
        _ algorithm: Comparison.Algorithm, _ keys: [String], _ positions: [UInt64], _ settings: Comparison.Settings
    ) {
        self.algorithm = algorithm
        self.keys = keys
        self.positions = positions
        self.settings = settings
    }

    /// For each key, the index of its node; there must be one.
    mutating func owners(_ nodes: [RingNode]) throws(RingError) -> [Int] {
        switch algorithm {
        case .modulo: return positions.map { Int($0 % UInt64(nodes.count)) }
        case .jump: return positions.map { JumpHash.bucket(of: $0, buckets: nodes.count) }
        case .ring:
            let ring = try HashRing(nodes, scheme: .labels(settings.hash))
            return positions.map { ring.ownerIndex(at: $0)! }
        case .ketama:
            // Its own number of points, whatever that of others.
            let ring = try HashRing(
                nodes.map { RingNode($0.name, virtualNodes: 160, weight: $0.weight) }, scheme: .ketama)
            return try ring.ownerIndices(of: keys)
        case .boundedLoad:
            var ring = BoundedLoadRing(
                try HashRing(nodes, scheme: .labels(settings.hash)), factorPercent: settings.boundPercent)
            return positions.map { ring.assign(at: $0)! }
        case .rendezvous:
            let auction = RendezvousHash(nodes)
            return positions.map { auction.ownerIndex(at: $0)! }
        case .maglev:
            let table = try MaglevTable(nodes, size: settings.maglevSize)
            return positions.map { table.ownerIndex(at: $0)! }
        case .slots:
            try slots.update(nodes)
            return keys.map { slots.ownerIndex(of: $0)! }
        }
    }
}
