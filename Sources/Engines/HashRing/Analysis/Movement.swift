/// What a change of the ring moves: exactly which positions, from whom to whom.
///
/// ## The problem
///
/// "Only K/N keys move" is the whole point of consistent hashing, and usually it is believed because a thousand keys
/// were tried. A sample can miss a small arc that went from one survivor to another, and such an arc is just the bug
/// to look for. But a ring is nothing more than a few thousand borders: between two neighbouring borders, of the old
/// ring and the new one together, all positions have one old owner and one new one.
///
/// ## An everyday picture
///
/// Two maps of the same coast, before and after a reform of the counties, on transparent paper. Put one on the other:
/// each piece between two lines, whichever map they are on, had one county and has one now. Colour those that
/// changed, and add up their lengths; nobody needs to ask the inhabitants.
///
/// ## How
///
/// One merge of the two sorted arrays, O(points). Ranges have both ends in them; they never wrap around zero, so an
/// arc that does is listed in two parts, as Cassandra lists its token ranges. Lengths are whole numbers of 128 bits,
/// since the whole ring, 2⁶⁴, does not fit into 64.
public struct Movement: Sendable {
    /// Positions that changed hands, neighbours with the same owners put together.
    public let ranges: [Range]

    public struct Range: Equatable, Sendable {
        /// The first position that moves.
        public let first: UInt64
        /// The last one.
        public let last: UInt64
        /// nil if nobody had it: the ring was empty.
        public let from: String?
        /// nil if nobody has it: the ring is empty now.
        public let to: String?

        public init(first: UInt64, last: UInt64, from: String?, to: String?) {
            self.first = first
            self.last = last
            self.from = from
            self.to = to
        }

        /// How many positions there are.
        public var length: UInt128 { UInt128(last - first) + 1 }
    }

    /// - Precondition: both rings place keys by the same scheme; otherwise a key has no position that they share.
    public init(from before: HashRing, to after: HashRing) {
        precondition(before.scheme == after.scheme, "a key is elsewhere on a ring with another hash")
        var ranges: [Range] = []
        Self.forEachSegment(before, after) { first, last, old, new in
            let from = old.map { before.nodes[$0].name }
            let to = new.map { after.nodes[$0].name }
            if from == to { return }
            if let previous = ranges.last, previous.last &+ 1 == first, previous.from == from, previous.to == to {
                ranges[ranges.count - 1] = Range(first: previous.first, last: last, from: from, to: to)
            } else {
                ranges.append(Range(first: first, last: last, from: from, to: to))
            }
        }
        self.ranges = ranges
    }

    /// Calls `body` for all pieces between two borders of either ring, with their owners, by index.
    private static func forEachSegment(
        _ a: HashRing, _ b: HashRing, _ body: (_ first: UInt64, _ last: UInt64, _ old: Int?, _ new: Int?) -> Void
    ) {
        var (i, j) = (0, 0)
        var first: UInt64 = 0
        while true {
            let last = min(
                i < a.positions.count ? a.positions[i] : .max, j < b.positions.count ? b.positions[j] : .max)
            body(first, last, owner(a, i), owner(b, j))
            if last == .max { return }
            first = last + 1
            while i < a.positions.count, a.positions[i] == last { i += 1 }
            while j < b.positions.count, b.positions[j] == last { j += 1 }
        }
    }

    /// Whose a piece is that ends at or before this point; after the last point comes the first.
    private static func owner(_ ring: HashRing, _ point: Int) -> Int? {
        ring.positions.isEmpty ? nil : Int(ring.owners[point < ring.positions.count ? point : 0])
    }

    // MARK: Sums

    /// How many positions moved, 0…2⁶⁴.
    public var movedLength: UInt128 { ranges.reduce(0) { $0 + $1.length } }

    /// The part of all positions that moved, 0…1; of all keys, too, as far as the hash is even.
    public var fraction: Double { Double(movedLength) / Double(Ownership.whole) }

    public struct Transfer: Equatable, Sendable {
        public let from: String?
        public let to: String?
        public var length: UInt128
        public var rangeCount: Int
        /// As a part of the whole ring.
        public var fraction: Double { Double(length) / Double(Ownership.whole) }
    }

    /// Who gives how much to whom, the largest first.
    public var transfers: [Transfer] {
        var found: [Transfer] = []
        for range in ranges {
            if let index = found.firstIndex(where: { $0.from == range.from && $0.to == range.to }) {
                found[index].length += range.length
                found[index].rangeCount += 1
            } else {
                found.append(Transfer(from: range.from, to: range.to, length: range.length, rangeCount: 1))
            }
        }
        return found.sorted {
            $0.length != $1.length
                ? $0.length > $1.length : ($0.from ?? "", $0.to ?? "") < ($1.from ?? "", $1.to ?? "")
        }
    }

    /// The part of all positions that moved although neither end is the node that changed. Consistent hashing
    /// promises 0.
    public func strayFraction(besides name: String) -> Double {
        let stray = ranges.reduce(UInt128(0)) { $0 + ($1.from == name || $1.to == name ? 0 : $1.length) }
        return Double(stray) / Double(Ownership.whole)
    }
}
