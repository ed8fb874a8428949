import Glibc
import KernelStructures

/// Rendezvous hashing: every node bids for every key, and the highest bid has it.
///
/// ## The problem
///
/// That of `HashRing`, without its points: a few nodes, exact weights, no memory but the list of nodes.
///
/// ## An everyday picture
///
/// An auction at which each bidder's bid for a thing is fixed by fate: a hash of the bidder's name and the thing's.
/// If the winner leaves, the second-highest bid wins, and all things that somebody else had won stay where they are.
/// Whoever joins wins what it bids most for, and nothing else moves.
///
/// ## How
///
/// Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996), also known as highest random weight.
/// With u uniform in (0, 1) from the hash, a node of weight w bids −w / ln u: the chance to win is then exactly its
/// part of all weights (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005, the logarithmic
/// method), and a node whose weight grows only gains. Replicas are the next highest bids.
///
/// O(nodes) a look-up. A node's bids depend on its name and the key only; of two equal bids the first name's wins.
///
/// ## Where it is wrong
///
/// Every look-up asks every node: 20 ns each, so fine for ten nodes and a poor choice for a thousand.
public struct RendezvousHash: Sendable {
    public let nodes: [RingNode]
    private let seeds: [UInt64]
    private let hasEqualWeights: Bool

    public init(_ nodes: [RingNode]) {
        self.nodes = nodes
        seeds = nodes.map { mixed(RingHash.xxh64.position(of: $0.name)) }
        hasEqualWeights = nodes.allSatisfy { $0.weight == nodes[0].weight }
    }

    /// The index of the node that has a key; nil if there is no node.
    ///
    /// - Parameter key: a hash of the key.
    public func ownerIndex(at key: UInt64) -> Int? {
        if nodes.isEmpty { return nil }
        var best = 0
        if hasEqualWeights {
            // All bids grow with the hash alone: no logarithm needed, and the winner is the same.
            var highest = hash(0, key)
            for index in nodes.indices.dropFirst() {
                let other = hash(index, key)
                if other > highest || other == highest && nodes[index].name < nodes[best].name {
                    (best, highest) = (index, other)
                }
            }
            return best
        }
        var highest = bid(0, key)
        for index in nodes.indices.dropFirst() {
            let other = bid(index, key)
            if other > highest || other == highest && nodes[index].name < nodes[best].name {
                (best, highest) = (index, other)
            }
        }
        return best
    }

    /// The nodes with the highest bids, the highest first.
    public func replicaIndices(at key: UInt64, count: Int) -> [Int] {
        let order = nodes.indices.map { (index: $0, bid: bid($0, key)) }.sorted {
            $0.bid != $1.bid ? $0.bid > $1.bid : nodes[$0.index].name < nodes[$1.index].name
        }
        return order.prefix(max(0, count)).map(\.index)
    }

    private func hash(_ index: Int, _ key: UInt64) -> UInt64 { mixed(seeds[index] ^ key) >> 11 }

    /// −w / ln u, with u = (h + ½) / 2⁵³: never 0, never 1.
    private func bid(_ index: Int, _ key: UInt64) -> Double {
        -Double(nodes[index].weight) / log((Double(hash(index, key)) + 0.5) * 0x1p-53)
    }
}
