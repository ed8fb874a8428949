import HashRingEngine
import KernelStructures

/// Consistent hashing on a ring, with bounded loads if wanted.
///
/// ## The problem
///
/// A server that has seen a user's data before still has it in its cache: equal keys should go to the same server. Key
/// modulo number of servers does that, until a server comes or goes. Then the divisor changes, with four servers three
/// quarters of all keys belong elsewhere at once, and every cache is cold at the moment of greatest need.
///
/// ## An everyday picture
///
/// A ring road with filling stations. Wherever one joins it, one drives on clockwise to the first station. If a station
/// closes, only its own customers drive on to the next; a new one takes customers only from the one behind it. With
/// three stations one would own half of the road by accident, so each company opens many small ones. And where the
/// queue reaches back to the road (bounded loads), one drives on as well.
///
/// ## How
///
/// Karger, Lehman, Leighton, Panigrahy, Levine and Lewin, "Consistent Hashing and Random Trees" (STOC 1997, section 4).
/// Each server has points on a ring of 2⁴⁸ places, by the hash of its name; a key belongs to the first point at or
/// after its own hash. A server has 160 points for each unit of its weight, which leaves its share about 8 % (1 / √160)
/// from just at weight 1. Points are kept in one sorted array, place above and server below in 64 bits, and found by
/// binary search.
///
/// There are at most 65,536 points (or as many as all weights together, if that is more). A pool whose weights add up
/// to more than 409 has fewer points for each unit, so that each server that is new there also moves a few keys between
/// the others. Of the sums the greatest so far counts: that a server is down for a while never moves a key of another.
///
/// Weights are those configured. A server that starts slowly has its own keys from the beginning, because moving them
/// away and back would cost more in cold caches than it saves.
///
/// Bounded loads are by Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016). With a
/// factor c no server takes more than ⌈c · m · share⌉ requests, where m are all open requests with this one, and the
/// share is by weight, among the servers that may be chosen. (Here the weight of the moment counts, so a slow start is
/// felt after all, but only under load.) If it would, the key goes on to the next point. There is always room: if all
/// servers were full they had c · m requests, and there are less than m.
///
/// The search and the rule for a bounded load are those of the ring's own room, `HashRingEngine`. What is here
/// besides is what a balancer needs: servers that may not be chosen, weights of the moment, and points in half the
/// memory, since the place and the server share 64 bits.
///
/// O(log points) a choice; with bounded loads or refused servers O(servers) more, as those must be counted first.
///
/// ## Where it is wrong
///
/// Fair to keys, not to requests: if one key is half of the traffic, one server gets half of it, unless loads are
/// bounded. Fair only on average, see the 8 %; `Maglev.swift` is within a hundredth. And a client who chooses the keys,
/// as with URIs, can choose them all for one server, because the hash must be known to every balancer.
package struct ConsistentHashing: BalancingAlgorithm {
    private var pool = NamedPool()
    /// Sorted. The place on the ring in the upper 48 bits, the server's number in the lower 16.
    private var points: [UInt64] = []
    private var greatestTotalWeight = 0
    /// c, in hundredths; nil if loads are not bounded.
    private let balanceFactorPercent: Int?

    private static let pointsPerWeight = 160
    private static let pointLimit = 65_536

    /// - Parameter balanceFactorPercent: how much more than its share a server may have: 125 is a quarter more. Must be
    ///   above 100; nil for no bound.
    package init(balanceFactorPercent: Int? = nil) {
        precondition(
            balanceFactorPercent.map { $0 > 100 } ?? true, "at 100 % or less there is no room for all requests")
        self.balanceFactorPercent = balanceFactorPercent
    }

    package mutating func update(_ members: [PoolMember]) {
        if pool.update(members) { placePoints() }
    }

    private mutating func placePoints() {
        let servers = pool.seedsAndWeights
        let totalWeight = servers.reduce(0) { $0 + $1.weight }
        greatestTotalWeight = max(greatestTotalWeight, totalWeight, 1)
        let pointsPerWeight = min(Self.pointsPerWeight, max(1, Self.pointLimit / greatestTotalWeight))
        points.removeAll(keepingCapacity: true)
        points.reserveCapacity(totalWeight * pointsPerWeight)
        for (number, server) in servers.enumerated() {
            for index in 0..<server.weight * pointsPerWeight {
                points.append(chance(server.seed, index) & ~0xFFFF | UInt64(number))
            }
        }
        points.sort()
    }

    package mutating func choose(key: UInt64, load: (Int) -> Int, where mayBeChosen: (Int) -> Bool) -> Int? {
        guard !points.isEmpty else { return nil }
        let start = firstPoint(atOrAfter: mixed(key))
        guard let balanceFactorPercent else {
            let owner = owner(of: start)
            if mayBeChosen(owner.slot) { return owner.slot }
            // Without this a full pool would be searched point by point.
            guard pool.hasAny(where: mayBeChosen) else { return nil }
            return walk(from: start) { mayBeChosen($0.slot) }
        }
        var requests = 1
        var weight = 0
        for server in pool.servers where mayBeChosen(server.slot) {
            requests += load(server.slot)
            weight += server.effectiveWeight
        }
        guard weight > 0 else { return nil }
        return walk(from: start) {
            mayBeChosen($0.slot)
                && boundedLoadHasRoom(
                    load: load($0.slot), factorPercent: balanceFactorPercent, requests: requests,
                    weight: $0.effectiveWeight, totalWeight: weight)
        }
    }

    /// The slot of the first server that takes the request, clockwise from this point.
    private func walk(from start: Int, to takesIt: (NamedPool.Server) -> Bool) -> Int? {
        var point = start
        repeat {
            let server = owner(of: point)
            if takesIt(server) { return server.slot }
            point = point + 1 == points.count ? 0 : point + 1
        } while point != start
        return nil
    }

    private func owner(of point: Int) -> NamedPool.Server { pool.servers[Int(points[point] & 0xFFFF)] }

    /// After the last point comes the first again.
    private func firstPoint(atOrAfter hash: UInt64) -> Int {
        let index = firstIndex(in: points, atOrAfter: hash & ~0xFFFF)
        return index == points.count ? 0 : index
    }
}
