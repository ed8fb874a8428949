import KernelStructures
import LoadBalancerEngine
import Testing

@Suite("The hash ring")
struct HashRingTests {
    private static let seeds: ClosedRange<UInt64> = 1...25

    /// A release that moved keys would empty every cache behind it.
    @Test("keys are where they have always been")
    func golden() {
        var pool = TestPool(ConsistentHashing(), weights: [1, 1, 1, 2])
        #expect(pool.letters(40) == "cbcdccadabdacacdadccacbdaacdcaadcaddcddd")
    }

    @Test("when a server leaves, its keys move and no others, to all the others", arguments: seeds)
    func leaving(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        // Up to 12 · 256: more than there are points for at full density.
        let weights = random.weights(3...12, upTo: [1, 5, 256][random.below(3)])
        var pool = TestPool(ConsistentHashing(), weights: weights)
        let members = pool.members
        let before = pool.names(10_000)
        let absent = random.below(members.count)
        pool.update(members.enumerated().filter { $0.offset != absent }.map(\.element))
        let after = pool.names(10_000)
        for (old, new) in zip(before, after) where old != members[absent].name { #expect(old == new) }
        let moved = zip(before, after).count { $0 != $1 }
        let share = Double(weights[absent]) / Double(weights.reduce(0, +))
        #expect(moved > 0 && Double(moved) <= 10_000 * share * 1.25 + 10, "\(moved) of a share of \(share)")
        let heirs = Set(zip(before, after).filter { $0 != $1 }.map(\.1))
        if moved > 1000 { #expect(heirs.count == weights.count - 1) }
    }

    @Test("a refused server is walked over, just as if it had left", arguments: seeds)
    func refusal(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var refusing = TestPool(ConsistentHashing(), weights: random.weights(2...10, upTo: 5))
        var without = refusing
        let gone = Set(refusing.members.map(\.slot).filter { _ in random.chance(0.5) })
        refusing.refused = gone
        without.update(without.members.filter { !gone.contains($0.slot) })
        #expect(refusing.names(2000) == without.names(2000))
    }

    @Test("equal servers have equal shares, more or less", arguments: [2, 3, 10, 50])
    func evenness(_ count: Int) {
        var pool = TestPool(ConsistentHashing(), weights: Array(repeating: 1, count: count))
        let counts = pool.shares(0..<count * 2000)
        #expect(greatestDeviation(counts, weights: pool.members.map(\.weight)) < 0.25, "\(counts)")
    }

    @Test("where weights add up to more than there are points for, shares still are by weight")
    func heavy() {
        let weights = [256, 256, 100, 50] + Array(repeating: 256, count: 60)
        var pool = TestPool(ConsistentHashing(), weights: weights)
        let counts = pool.shares(0..<320_000)
        // Four points for each unit: 1000 for most, and 200 for the least.
        #expect(greatestDeviation(counts, weights: weights) < 0.18, "\(counts)")
    }

    @Test("a server that joins such a pool takes its share, and moves a few other keys")
    func joiningHeavy() {
        let servers = TestPool.servers(Array(repeating: 100, count: 11))
        var pool = TestPool(ConsistentHashing(), Array(servers.dropLast()))
        let before = pool.names(10_000)
        pool.update(servers)
        let after = pool.names(10_000)
        let moved = zip(before, after).filter { $0 != $1 }
        let gained = moved.count { $0.1 == "server-10" }
        #expect((700...1150).contains(gained), "\(gained)")
        // 65 points for each unit become 59.
        #expect((1...1000).contains(moved.count - gained), "\(moved.count - gained)")
    }

    // MARK: Bounded loads

    /// The servers in the order in which a key would go to them.
    private func order(of key: UInt64, in members: [PoolMember]) -> [PoolMember] {
        var ring = TestPool(ConsistentHashing(), members)
        return members.map { _ in
            let slot = ring.choose(key)!
            ring.refused.insert(slot)
            return members.first { $0.slot == slot }!
        }
    }

    /// The definition: ⌈c · m · share⌉, of those that may be chosen, with the new request counted in m.
    private func capacity(_ member: PoolMember, percent: Int, in allowed: [PoolMember], requests: Int) -> Int {
        let weight = allowed.reduce(0) { $0 + $1.effectiveWeight }
        let (quotient, rest) = (percent * requests * member.effectiveWeight).quotientAndRemainder(
            dividingBy: 100 * weight)
        return quotient + (rest > 0 ? 1 : 0)
    }

    /// A few keys are most of the traffic. Requests stay open for a while; servers are refused, and start slowly.
    @Test(
        "no server has more than its bound, and each key goes to the first on its way with room",
        arguments: [101, 110, 125, 200, 1000], 1...8 as ClosedRange<UInt64>)
    func bounds(_ percent: Int, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let members = TestPool.servers(random.weights(2...8, upTo: 4)).map {
            PoolMember(
                slot: $0.slot, name: $0.name, weight: $0.weight,
                effectiveWeight: random.chance(0.2) ? 1 + random.below($0.weight * 100) : nil)
        }
        let orders = (0..<20).map { order(of: UInt64($0), in: members) }
        var pool = TestPool(ConsistentHashing(balanceFactorPercent: percent), members)
        var walked = 0
        for _ in 0..<2000 {
            pool.refused = Set(members.map(\.slot).filter { _ in random.chance(0.05) })
            let allowed = members.filter { !pool.refused.contains($0.slot) }
            let requests = 1 + allowed.reduce(0) { $0 + (pool.open[$1.slot] ?? 0) }
            let key = min(random.below(20), random.below(20), random.below(20))
            let fitting = orders[key].first {
                !pool.refused.contains($0.slot)
                    && (pool.open[$0.slot] ?? 0) + 1
                        <= capacity($0, percent: percent, in: allowed, requests: requests)
            }
            #expect((fitting == nil) == allowed.isEmpty, "there is always room")
            #expect(pool.take(UInt64(key)) == fitting?.slot)
            if let fitting, fitting != orders[key][0] { walked += 1 }
            while random.chance(0.49) {
                let slot = members[random.below(members.count)].slot
                pool.open[slot] = max(0, (pool.open[slot] ?? 0) - 1)
            }
        }
        #expect(walked > 50, "the case is of use only if keys were in fact displaced")
    }

    @Test("with one key only, requests fill one server after the other up to the bound")
    func oneKey() {
        var pool = TestPool(ConsistentHashing(balanceFactorPercent: 150), weights: [1, 1, 1, 1])
        for _ in 0..<1000 { _ = pool.take(7) }
        // 1.5 · 1000 / 4 = 375 for the first two on the way, what is left for the third.
        #expect(pool.open.values.sorted() == [250, 375, 375])
    }

    @Test("a request alone goes where it belongs")
    func alone() {
        var bounded = TestPool(ConsistentHashing(balanceFactorPercent: 101), weights: [1, 2, 3, 4])
        var unbounded = TestPool(ConsistentHashing(), weights: [1, 2, 3, 4])
        #expect(bounded.names(2000) == unbounded.names(2000))
    }
}
