import HashRingEngine
import KernelStructures

/// `node-0` … with these weights.
func members(_ weights: [Int], virtualNodes: Int = 150) -> [RingNode] {
    weights.enumerated().map { RingNode("node-\($0)", virtualNodes: virtualNodes, weight: $1) }
}

func members(_ count: Int, virtualNodes: Int = 150) -> [RingNode] {
    members(Array(repeating: 1, count: count), virtualNodes: virtualNodes)
}

/// What a ring is by definition: of all points, the first at or after the position, of those the one whose node's name
/// comes first; after the last comes the first again.
func ownerByDefinition(_ ring: HashRing, _ position: UInt64) -> String? {
    let points = ring.positions.indices.map { (ring.positions[$0], ring.label(ofPoint: $0).node) }
    return (points.filter { $0.0 >= position }.min { $0 < $1 } ?? points.min { $0 < $1 })?.1
}

/// Keys of many kinds: words, numbers, long ones, ones beyond ASCII.
func randomKeys(_ count: Int, seed: UInt64) -> [String] {
    var random = SeededRandom(seed: seed)
    let letters = Array("abcXYZ019:/-_.{} éß漢😀")
    return (0..<count).map { index in
        "\(index):" + String((0..<random.below(60)).map { _ in letters[random.below(letters.count)] })
    }
}

/// The largest difference that chance explains: four standard deviations of a share of about `share` among `count`.
func fourSigma(share: Double, of count: Int) -> Double { 4 * (share * (1 - share) / Double(count)).squareRoot() }
