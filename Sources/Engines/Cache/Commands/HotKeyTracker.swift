import KernelStructures

/// Which keys are asked for most, out of very many, with a fixed number of counters: Space-Saving (Metwally, Agrawal
/// and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005).
///
/// ## An everyday picture
///
/// A scoreboard with room for a few names. Whoever scores and stands there gets a point more. Whoever does not takes
/// the place of the lowest name, and its points, too, plus one. So nobody who is really ahead can be missing: what has
/// more than its share of all points is on the board. What may be too much in a count is how many points the name took
/// over, and that is kept beside it.
public struct HotKeyTracker: Sendable {
    public struct Entry: Sendable, Equatable {
        public let key: [UInt8]
        public fileprivate(set) var weight: Int
        /// How much of it may be somebody else's.
        public fileprivate(set) var error: Int
    }

    private var entries: [Entry] = []
    private var places: [[UInt8]: Int] = [:]
    private let capacity: Int
    public private(set) var total = 0

    /// - Parameter count: how many keys are wanted; four times as many counters are kept.
    public init(count: Int) { capacity = max(16, count * 4) }

    public mutating func add(_ key: [UInt8], weight: Int = 1) {
        total &+= weight
        if let place = places[key] {
            entries[place].weight &+= weight
        } else if entries.count < capacity {
            places[key] = entries.count
            entries.append(Entry(key: key, weight: weight, error: 0))
        } else if let lowest = entries.indices.min(by: { entries[$0].weight < entries[$1].weight }) {
            let old = entries[lowest]
            places[old.key] = nil
            places[key] = lowest
            entries[lowest] = Entry(key: key, weight: old.weight &+ weight, error: old.weight)
        }
    }

    /// The keys of the largest weights, largest first.
    public func top(_ count: Int) -> [Entry] {
        let sorted = entries.sorted { a, b in
            a.weight == b.weight ? a.key.lexicographicallyPrecedes(b.key) : a.weight > b.weight
        }
        return Array(sorted.prefix(count))
    }
}
