import HashRingEngine
import KernelStructures

/// By which rule slots are given to nodes.
public enum PlacementAlgorithm: String, CaseIterable, Sendable {
    case ring, rendezvous, jump, maglev

    var code: UInt8 { UInt8(Self.allCases.firstIndex(of: self) ?? 0) }
    init?(code: UInt8) {
        guard Int(code) < Self.allCases.count else { return nil }
        self = Self.allCases[Int(code)]
    }
}

/// Where each slot belongs, and where its copies do, if these are the nodes.
///
/// The slots lie round the ring in their order, at equal distances: slot 8192 is opposite of slot 0. A node's points
/// are where their labels' hashes are, and a slot belongs to the first point behind it, its copies to the nodes that
/// come next. So everybody who knows the same nodes comes to the same places, a node that comes or goes moves its own
/// part only, and what a node has are ranges of slots, some hundreds of them, and not thousands of single ones.
///
/// The ring's rivals are there to be compared. They know no neighbourhood, so they are asked for 16 slots at a time.
/// Rendezvous moves as little, Maglev is evenest and moves a little more, and jump, which knows numbers and no names,
/// is fine until a node in the middle goes.
public struct SlotPlacement: Equatable, Sendable {
    /// In the order of their names.
    public let members: [String]
    public let depth: Int
    /// For each slot, `depth` members by index: the owner, and those after it.
    private let chains: [UInt16]

    private static let blockSize = 16
    /// More nodes have no place on the ring.
    public static let memberLimit = 1000

    /// - Parameters:
    ///   - names: each once.
    ///   - depth: how many of those that come one after another are wanted, the owner included.
    public init(_ names: [String], algorithm: PlacementAlgorithm, depth: Int, virtualNodes: Int = 150) {
        members = Array(names.sorted().prefix(Self.memberLimit))
        self.depth = min(max(1, depth), members.count)
        let nodes = members.map { RingNode($0, virtualNodes: virtualNodes) }
        chains = members.isEmpty ? [] : Self.chains(nodes, algorithm, self.depth)
    }

    public subscript(slot: Int) -> [Int] {
        members.isEmpty ? [] : chains[slot * depth..<(slot + 1) * depth].map { Int($0) }
    }

    /// Whether a member is to have a slot or a copy of it, while another one owns it.
    func places(_ slot: Int, on member: Int, owner: Int?, _ replicas: Int) -> Bool {
        guard !members.isEmpty else { return false }
        if chains[slot * depth] == UInt16(member) { return true }
        var left = replicas
        for place in slot * depth..<(slot + 1) * depth where left > 0 && Int(chains[place]) != owner {
            if Int(chains[place]) == member { return true }
            left -= 1
        }
        return false
    }

    public func owner(of slot: Int) -> Int? { members.isEmpty ? nil : Int(chains[slot * depth]) }

    /// Slots by member.
    public var shares: [Int] {
        var shares = [Int](repeating: 0, count: members.count)
        if !members.isEmpty { for slot in 0..<SlotSet.slotCount { shares[Int(chains[slot * depth])] += 1 } }
        return shares
    }

    /// The largest share in per cent of the mean.
    public var skewPercent: Int { (shares.max() ?? 0) * members.count * 100 / SlotSet.slotCount }

    /// Slots that have another owner there.
    public func movement(to other: SlotPlacement) -> Int {
        (0..<SlotSet.slotCount).reduce(0) { count, slot in
            let here = owner(of: slot).map { members[$0] }
            let there = other.owner(of: slot).map { other.members[$0] }
            return here == there ? count : count + 1
        }
    }

    private static func chains(_ nodes: [RingNode], _ algorithm: PlacementAlgorithm, _ depth: Int) -> [UInt16] {
        var chains: [UInt16] = []
        chains.reserveCapacity(SlotSet.slotCount * depth)
        let chain = chooser(nodes, algorithm, depth)
        for slot in 0..<SlotSet.slotCount {
            var chosen = chain(slot).prefix(depth).map { UInt16($0) }
            // What is still missing comes in the order of names behind the owner.
            var next = Int(chosen.first ?? 0)
            while chosen.count < depth {
                next = next + 1 == nodes.count ? 0 : next + 1
                if !chosen.contains(UInt16(next)) { chosen.append(UInt16(next)) }
            }
            chains += chosen
        }
        return chains
    }

    private static func chooser(_ nodes: [RingNode], _ algorithm: PlacementAlgorithm, _ depth: Int)
        -> (Int) -> [Int]
    {
        switch algorithm {
        case .ring:
            guard let ring = try? HashRing(nodes, scheme: .labels(.murmur3)) else { return { _ in [] } }
            return { ring.replicaIndices(at: UInt64($0) << 50, count: depth) }
        case .rendezvous:
            let auction = RendezvousHash(nodes)
            return { auction.replicaIndices(at: mixed(UInt64($0 / blockSize)), count: depth) }
        case .jump: return { [JumpHash.bucket(of: mixed(UInt64($0 / blockSize)), buckets: nodes.count)] }
        case .maglev:
            guard let table = try? MaglevTable(nodes) else { return { _ in [] } }
            return { slot in
                let seat = MaglevTable.seat(of: mixed(mixed(UInt64(slot / blockSize))), table.size)
                var chosen: [Int] = []
                for step in 0..<min(table.size, 64 * depth) where chosen.count < depth {
                    let owner = Int(table.seats[(seat + step) % table.size])
                    if !chosen.contains(owner) { chosen.append(owner) }
                }
                return chosen
            }
        }
    }
}
