import HashRingEngine
import KernelStructures

/// What the node that holds the ring knows and answers: the ring, its last change, and the keys last looked up.
///
/// Pure: each request changes the state or not, and comes back as an answer and the lines to log.
public struct RingKeeper: Sendable {
    public struct Settings: Sendable {
        public var scheme = HashRing.Scheme.labels(.md5)
        /// Of nodes that do not say how many; nil for what is usual: 150, and 160 for ketama.
        public var virtualNodes: Int?
        /// Copies of each key.
        public var replicationFactor = 3
        public init() {}

        public var virtualNodesOrUsual: Int {
            virtualNodes ?? (scheme == .ketama ? 160 : RingNode.defaultVirtualNodes)
        }
    }

    public let settings: Settings
    public private(set) var ring: HashRing
    public private(set) var lastChange: Change?
    /// The last few, the newest first.
    public private(set) var recentKeys: [String] = []
    /// Keys looked up so far.
    public private(set) var lookupCount = 0

    /// A change that was made, or would be.
    public struct Change: Sendable {
        public enum Kind: String, Sendable { case add, remove, reweight }
        public let kind: Kind
        public let name: String
        public let movement: Movement
        public let before: HashRing
        public let after: HashRing
    }

    public struct Lookup: Sendable {
        public let key: String
        public let position: UInt64
        public let owner: String
        public let replicas: [String]
        public let replicationFactor: Int
    }

    /// More points than this are refused: an answer must be able to hold them all.
    public static let pointLimit = 100_000
    public static let replicationRange = 1...64
    private static let recentLimit = 4

    public init(_ settings: Settings = Settings()) {
        self.settings = settings
        ring = HashRing(scheme: settings.scheme)
    }

    /// The same with its first members, which nobody has added.
    ///
    /// - Throws: as `HashRing` does, and for too many points.
    public init(_ settings: Settings, members: [String]) throws(RingError) {
        self.init(settings)
        ring = try HashRing(
            members.map { RingNode($0, virtualNodes: settings.virtualNodesOrUsual) }, scheme: settings.scheme)
        if ring.pointCount > Self.pointLimit { throw .tooManyPoints(ring.pointCount, limit: Self.pointLimit) }
    }

    // MARK: Changes

    /// Adds a node; without a number of virtual nodes it has the usual one.
    public mutating func add(_ name: String, virtualNodes: Int?, weight: Int?, zone: String?) throws(RingError)
        -> [LogMessage]
    {
        let change = try previewAdding(name, virtualNodes: virtualNodes, weight: weight, zone: zone)
        make(change)
        let node = ring.nodes.last!
        let place: LogMessage = zone == nil ? "" : " in zone \(zone!)"
        let added: LogMessage = "Added \(name) with \(node.pointCount) virtual nodes\("\(place)")"
        return [added] + ownershipLines
    }

    public mutating func remove(_ name: String) throws(RingError) -> [LogMessage] {
        let change = try previewRemoving(name)
        make(change)
        let removed: LogMessage = "Removed \(name)"
        if ring.isEmpty { return [removed, "No node is left"] }
        return [removed, movedLine(change, whenOnly: "only \(name)'s keys")] + ownershipLines
    }

    public mutating func reweight(_ name: String, virtualNodes: Int?, weight: Int?) throws(RingError) -> [LogMessage] {
        let change = try previewReweighting(name, virtualNodes: virtualNodes, weight: weight)
        make(change)
        let count = ring.nodes.first { $0.name == name }!.pointCount
        let reweighted: LogMessage = "Reweighted \(name) to \(count) virtual nodes"
        return [reweighted, movedLine(change, whenOnly: "only to and from \(name)")] + ownershipLines
    }

    private mutating func make(_ change: Change) {
        ring = change.after
        lastChange = change
    }

    private func movedLine(_ change: Change, whenOnly text: String) -> LogMessage {
        let moved = change.movement.fraction
        let stray = change.movement.strayFraction(besides: change.name)
        if stray == 0 { return "Keys moved: \(share: moved) (\(text))" }
        return "Keys moved: \(share: moved) (\(share: stray) between others, as ketama has it)"
    }

    private var ownershipLines: [LogMessage] {
        zip(ring.nodes, Ownership(ring).shares).map { "\($0.name) owns \(share: $1) of ring" }
    }

    // MARK: What a change would do

    public func previewAdding(_ name: String, virtualNodes: Int?, weight: Int?, zone: String?) throws(RingError)
        -> Change
    {
        let node = RingNode(
            name, virtualNodes: virtualNodes ?? settings.virtualNodesOrUsual, weight: weight ?? 1, zone: zone)
        return try change(.add, name) { ring throws(RingError) in try ring.add(node) }
    }

    public func previewRemoving(_ name: String) throws(RingError) -> Change {
        try change(.remove, name) { ring throws(RingError) in try ring.remove(name) }
    }

    public func previewReweighting(_ name: String, virtualNodes: Int?, weight: Int?) throws(RingError) -> Change {
        try change(.reweight, name) { ring throws(RingError) in
            try ring.reweight(name, weight: weight, virtualNodes: virtualNodes)
        }
    }

    private func change(
        _ kind: Change.Kind, _ name: String, _ body: (inout HashRing) throws(RingError) -> Void
    ) throws(RingError) -> Change {
        var after = ring
        try body(&after)
        if after.pointCount > Self.pointLimit { throw .tooManyPoints(after.pointCount, limit: Self.pointLimit) }
        return Change(
            kind: kind, name: name, movement: Movement(from: ring, to: after), before: ring, after: after)
    }

    // MARK: Questions

    /// Looks keys up, and remembers the last of them for the drawing.
    public mutating func lookUp(_ keys: [String], replicationFactor: Int?) throws(RingError) -> [Lookup] {
        guard !ring.isEmpty else { throw .empty }
        let factor = replicationFactor ?? settings.replicationFactor
        lookupCount += keys.count
        for key in keys.suffix(Self.recentLimit) {
            recentKeys.removeAll { $0 == key }
            recentKeys.insert(key, at: 0)
        }
        recentKeys = Array(recentKeys.prefix(Self.recentLimit))
        return keys.map { lookup($0, factor) }
    }

    /// The same without being remembered or counted.
    public func lookup(_ key: String, _ factor: Int) -> Lookup {
        let position = ring.position(of: key)
        return Lookup(
            key: key, position: position, owner: ring.nodes[ring.ownerIndex(at: position)!].name,
            replicas: ring.replicaIndices(at: position, count: factor).map { ring.nodes[$0].name },
            replicationFactor: factor)
    }

    /// The drawing, with these keys in it; without any, the one looked up last.
    public func drawing(keys: [String]) -> [String] {
        RingDrawing.lines(ring, keys: keys.isEmpty ? Array(recentKeys.prefix(1)) : keys)
    }
}
