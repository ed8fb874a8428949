/// How much of the ring each node has: exactly, by adding up the lengths of its arcs.
///
/// Asking where many keys go would only estimate it: with 100,000 keys the estimate itself is off by a third of a per
/// cent. The arcs are known, so nothing needs to be estimated. Point *i* owns the positions after point *i* − 1 up to
/// its own; the first point also owns what comes after the last. All lengths together are 2⁶⁴, to the unit.
public struct Ownership: Sendable {
    /// For each node, in the order of the ring's `nodes`, the number of positions that it owns, 0…2⁶⁴.
    public let lengths: [UInt128]
    /// What it would have of the whole by weight alone.
    public let expectedShares: [Double]

    /// All positions.
    public static let whole = UInt128(1) << 64

    public init(_ ring: HashRing) {
        var lengths = [UInt128](repeating: 0, count: ring.nodes.count)
        if let last = ring.positions.last {
            var start = last
            for (index, position) in ring.positions.enumerated() {
                // Wraps around before the first point, and only there.
                let length = index == 0 ? Self.whole - UInt128(start) + UInt128(position) : UInt128(position - start)
                lengths[Int(ring.owners[index])] += length
                start = position
            }
        }
        self.lengths = lengths
        let total = Double(ring.nodes.reduce(0) { $0 + $1.pointCount })
        expectedShares = ring.nodes.map { Double($0.pointCount) / total }
    }

    /// Shares of the whole, 0…1.
    public var shares: [Double] { lengths.map { Double($0) / Double(Self.whole) } }

    /// The largest ratio of a share to what it should be: 1.1 means that some node needs a tenth more of everything.
    public var peakToMean: Double { zip(shares, expectedShares).map { $0 / $1 }.max() ?? 1 }

    /// The standard deviation of shares around what they should be, as a part of it; 0 is perfect.
    public var relativeDeviation: Double {
        guard !lengths.isEmpty else { return 0 }
        let squares = zip(shares, expectedShares).map { ($0 / $1 - 1) * ($0 / $1 - 1) }
        return (squares.reduce(0, +) / Double(squares.count)).squareRoot()
    }

    /// What chance alone makes of it: the expected deviation of a share of N equal nodes with V points each, as a
    /// part of the mean. Shares are then Beta(V, (N − 1)·V), whose deviation is √((N − 1) / (N·V + 1)) of its mean.
    public static func expectedDeviation(nodes: Int, virtualNodes: Int) -> Double {
        nodes < 2 ? 0 : (Double(nodes - 1) / Double(nodes * virtualNodes + 1)).squareRoot()
    }

    /// The fewest virtual nodes for which chance keeps the deviation below a bound, by the formula above.
    ///
    /// - Parameter deviation: as a part of the mean, more than 0.
    public static func virtualNodes(forDeviation deviation: Double, nodes: Int) -> Int {
        precondition(deviation > 0, "no number of virtual nodes makes shares equal")
        guard nodes > 1 else { return 1 }
        let needed = (Double(nodes - 1) / (deviation * deviation) - 1) / Double(nodes)
        return max(1, Int(min(needed, 1e15).rounded(.up)))
    }
}
