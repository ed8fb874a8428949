import Glibc
import KernelStructures

/// What a ring does when some keys are asked for far more often than others, with and without a bound on loads.
///
/// ## The problem
///
/// Requests are not spread over keys as keys are over the ring. In a library a few books are always lent and most
/// never; in most systems the k-th most wanted key gets about 1/k^s of what the first gets (Zipf's law; s is about 1).
/// With s = 1 and 10,000 keys a tenth of all requests are for one key, and so for one node, however many virtual nodes
/// it has.
///
/// ## What is shown
///
/// The same requests, one after another, on the ring alone and on the ring with bounded loads, where a request goes on
/// to the next node that has room. The first has the busiest node at several times the mean; the second never above the
/// bound, at the price that some requests are answered elsewhere: each such node needs a copy of the key.
public struct HotKeys: Sendable {
    public struct Settings: Equatable, Sendable {
        public var keys = 10_000
        public var requests = 100_000
        /// Zipf's exponent in hundredths: 0 for keys that are all alike.
        public var skewPercent = 100
        public var boundPercent = 125

        public static let keyRange = 1...1_000_000
        public static let requestRange = 1...1_000_000
        public static let skewRange = 0...300
        public static let boundRange = 101...1000
        public init() {}
    }

    public struct Row: Equatable, Sendable {
        /// The busiest node and its part of all requests.
        public let busiest: String
        public let busiestShare: Double
        /// The largest ratio of a node's requests to what it should have by weight.
        public let peakToMean: Double
        /// The part of requests that another node than the key's own answers.
        public let elsewhere: Double
        /// How many nodes answer for the hottest key.
        public let nodesOfHottest: Int
    }

    public let settings: Settings
    /// The part of all requests that is for the hottest key.
    public let hottestShare: Double
    public let ring: Row
    public let bounded: Row

    /// - Throws: `RingError.empty`.
    public init(_ ring: HashRing, _ settings: Settings, seed: UInt64 = 1) throws(RingError) {
        guard !ring.isEmpty else { throw .empty }
        self.settings = settings
        let positions = (0..<settings.keys).map { ring.position(of: "key:\($0)") }
        let requests = Self.requests(settings, seed)
        hottestShare = Double(requests.reduce(0) { $0 + ($1 == 0 ? 1 : 0) }) / Double(requests.count)
        self.ring = Self.row(ring, positions, requests) { ring.ownerIndex(at: $0)! }
        var bounded = BoundedLoadRing(ring, factorPercent: settings.boundPercent)
        self.bounded = Self.row(ring, positions, requests) { bounded.assign(at: $0) ?? ring.ownerIndex(at: $0)! }
    }

    /// Which key each request is for, the hottest being 0: drawn by inversion of the distribution.
    private static func requests(_ settings: Settings, _ seed: UInt64) -> [Int] {
        let skew = Double(settings.skewPercent) / 100
        var sums: [Double] = []
        sums.reserveCapacity(settings.keys)
        var sum = 0.0
        for rank in 1...settings.keys {
            sum += pow(Double(rank), -skew)
            sums.append(sum)
        }
        var random = SeededRandom(seed: seed)
        return (0..<settings.requests).map { _ in
            let target = random.unit() * sum
            var low = 0
            var high = sums.count - 1
            while low < high {
                let middle = (low + high) / 2
                if sums[middle] > target { high = middle } else { low = middle + 1 }
            }
            return low
        }
    }

    private static func row(
        _ ring: HashRing, _ positions: [UInt64], _ requests: [Int], _ assign: (UInt64) -> Int
    ) -> Row {
        var counts = [Int](repeating: 0, count: ring.nodes.count)
        var elsewhere = 0
        var answeringHottest: Set<Int> = []
        for key in requests {
            let node = assign(positions[key])
            counts[node] += 1
            if node != ring.ownerIndex(at: positions[key]) { elsewhere += 1 }
            if key == 0 { answeringHottest.insert(node) }
        }
        let weight = ring.nodes.reduce(0) { $0 + $1.weight }
        let busiest = counts.indices.max { counts[$0] < counts[$1] }!
        let ratios = zip(counts, ring.nodes).map { Double($0 * weight) / Double(requests.count * $1.weight) }
        return Row(
            busiest: ring.nodes[busiest].name, busiestShare: Double(counts[busiest]) / Double(requests.count),
            peakToMean: ratios.max()!, elsewhere: Double(elsewhere) / Double(requests.count),
            nodesOfHottest: answeringHottest.count)
    }
}
