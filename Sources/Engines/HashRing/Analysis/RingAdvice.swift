/// How many virtual nodes a ring needs.
///
/// Few points make uneven shares, many cost memory and make changes slow; how many are enough is arithmetic, and people
/// guess it. Shares of N equal nodes with V points each deviate by √((N − 1) / (N·V + 1)) of their mean (see
/// `Ownership.expectedDeviation`), so halving the deviation takes four times as many points. That is what chance does
/// on average; what these nodes' own names do is measured beside it, and is sometimes better and sometimes worse.
///
/// Where it is wrong: shares of the ring are not shares of the load. If a few keys are asked for all the time, no
/// number of virtual nodes evens that out: see `HotKeys`.
public struct RingAdvice: Sendable {
    public struct Row: Sendable, Equatable {
        public let virtualNodes: Int
        /// As parts of a fair share.
        public let expectedDeviation: Double
        /// nil where the ring would have more than `measuredPointLimit` points.
        public let measuredDeviation: Double?
        public let measuredPeakToMean: Double?
        /// Of all points, with their owners.
        public let bytes: Int
    }

    public let nodes: Int
    /// What the deviation is to stay below.
    public let deviation: Double
    /// The fewest virtual nodes a node for which chance does that.
    public let virtualNodes: Int
    /// A quarter and half as many, these, and twice as many.
    public let rows: [Row]

    /// Larger rings are not built only to be measured.
    public static let measuredPointLimit = 200_000
    public static let nodeRange = 2...1000
    /// Percent of a fair share.
    public static let percentRange = 0.1...100.0
    /// A position and an owner.
    private static let bytesPerPoint = 12

    /// - Parameters:
    ///   - names: of the nodes, 2…1000.
    ///   - deviation: of a share, as a part of it, 0.001…1.
    ///   - scheme: where points lie.
    /// - Throws: as `HashRing` does.
    public init(_ names: [String], deviation: Double, scheme: HashRing.Scheme) throws(RingError) {
        nodes = names.count
        self.deviation = deviation
        // Ketama has its points in fours.
        let unit = scheme == .ketama ? 4 : 1
        func whole(_ count: Int) -> Int { (count + unit - 1) / unit * unit }
        virtualNodes = whole(Ownership.virtualNodes(forDeviation: deviation, nodes: names.count))
        var rows: [Row] = []
        for count in [virtualNodes / 4, virtualNodes / 2, virtualNodes, virtualNodes * 2].map(whole) where count > 0 {
            guard rows.last?.virtualNodes != count else { continue }
            var measured: Ownership?
            if names.count * count <= Self.measuredPointLimit, RingNode.virtualNodeRange.contains(count) {
                measured = Ownership(
                    try HashRing(names.map { RingNode($0, virtualNodes: count) }, scheme: scheme))
            }
            rows.append(
                Row(
                    virtualNodes: count,
                    expectedDeviation: Ownership.expectedDeviation(nodes: names.count, virtualNodes: count),
                    measuredDeviation: measured?.relativeDeviation, measuredPeakToMean: measured?.peakToMean,
                    bytes: names.count * count * Self.bytesPerPoint))
        }
        self.rows = rows
    }
}
