import KernelStructures
import LoadBalancerEngine
import Testing

/// Every algorithm, for properties that all of them have.
enum Algorithm: CaseIterable, CustomTestStringConvertible {
    case roundRobin, leastConnections, randomOfTwo, hashRing, boundedHashRing, maglev

    /// Equal keys go to the same server, as long as nothing changes.
    static let keyed: [Algorithm] = [.hashRing, .maglev]
    static let unkeyed: [Algorithm] = [.roundRobin, .leastConnections, .randomOfTwo]

    var testDescription: String { "\(self)" }

    func make(seed: UInt64 = 1) -> any BalancingAlgorithm {
        switch self {
        case .roundRobin: RoundRobin()
        case .leastConnections: LeastConnections()
        case .randomOfTwo: RandomOfTwo(random: SeededRandom(seed: seed))
        case .hashRing: ConsistentHashing()
        case .boundedHashRing: ConsistentHashing(balanceFactorPercent: 125)
        case .maglev: Maglev()
        }
    }
}

/// An algorithm with servers a, b, c …, their open requests, and those that may not be chosen.
struct TestPool {
    var algorithm: any BalancingAlgorithm
    private(set) var members: [PoolMember] = []
    /// By slot.
    var open: [Int: Int] = [:]
    var refused: Set<Int> = []

    init(_ algorithm: any BalancingAlgorithm, _ members: [PoolMember] = []) {
        self.algorithm = algorithm
        update(members)
    }

    init(_ algorithm: any BalancingAlgorithm, weights: [Int]) { self.init(algorithm, Self.servers(weights)) }

    /// Servers with these weights. Slots have gaps, so that nobody takes one for an index.
    static func servers(_ weights: [Int]) -> [PoolMember] {
        weights.enumerated().map { PoolMember(slot: slot($0), name: "server-\($0)", weight: $1) }
    }

    static func slot(_ index: Int) -> Int { index * 3 + 2 }

    mutating func update(_ members: [PoolMember]) {
        self.members = members
        algorithm.update(members)
    }

    /// The slot.
    mutating func choose(_ key: UInt64 = 0) -> Int? {
        let (open, refused) = (open, refused)
        return algorithm.choose(key: key, load: { open[$0] ?? 0 }) { !refused.contains($0) }
    }

    /// Chooses, and keeps the request open.
    mutating func take(_ key: UInt64 = 0) -> Int? {
        let slot = choose(key)
        if let slot { open[slot, default: 0] += 1 }
        return slot
    }

    /// The names of the servers for keys 0, 1, 2 …; a dash if there is none.
    mutating func names(_ keys: Int) -> [String] {
        let names = Dictionary(uniqueKeysWithValues: members.map { ($0.slot, $0.name) })
        return (0..<keys).map { key in choose(UInt64(key)).flatMap { names[$0] } ?? "-" }
    }

    /// The same as letters without gaps: server-0 is a.
    mutating func letters(_ keys: Int) -> String {
        (0..<keys).map { key in
            choose(UInt64(key)).map { String(UnicodeScalar(UInt8(97 + ($0 - Self.slot(0)) / 3))) } ?? "-"
        }.joined()
    }

    /// How many of the requests with these keys each server gets, by index of `weights`.
    mutating func shares(_ keys: Range<Int>, keepingOpen: Bool = false) -> [Int] {
        var counts: [Int: Int] = [:]
        for key in keys {
            guard let slot = keepingOpen ? take(UInt64(key)) : choose(UInt64(key)) else { continue }
            counts[slot, default: 0] += 1
        }
        return members.map { counts[$0.slot] ?? 0 }
    }
}

/// The furthest that any count is from its share by weight, as a part of the share.
func greatestDeviation(_ counts: [Int], weights: [Int]) -> Double {
    let total = Double(counts.reduce(0, +))
    let weight = Double(weights.reduce(0, +))
    return zip(counts, weights).map { count, own in
        let share = total * Double(own) / weight
        return abs(Double(count) - share) / share
    }.max() ?? 0
}

extension SeededRandom {
    mutating func weights(_ count: ClosedRange<Int>, upTo greatest: Int) -> [Int] {
        (0..<count.lowerBound + below(count.count)).map { _ in 1 + below(greatest) }
    }

    mutating func inAnyOrder<Element>(_ elements: [Element]) -> [Element] {
        var rest = elements
        return elements.map { _ in rest.remove(at: below(rest.count)) }
    }
}
