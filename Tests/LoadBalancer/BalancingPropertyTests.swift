import KernelStructures
import LoadBalancerEngine
import Testing

/// What holds for every algorithm, and for both of those that send equal keys to the same server.
@Suite("Balancing algorithms")
struct BalancingPropertyTests {
    private static let seeds: ClosedRange<UInt64> = 1...25

    @Test("nobody is chosen from an empty pool", arguments: Algorithm.allCases)
    func empty(_ algorithm: Algorithm) {
        var pool = TestPool(algorithm.make())
        #expect(pool.choose() == nil)
        pool.update(TestPool.servers([1, 2]))
        #expect(pool.choose() != nil)
        pool.update([])
        #expect(pool.choose() == nil)
        var untouched = algorithm.make()
        #expect(untouched.choose(key: 1, load: { _ in 0 }, where: { _ in true }) == nil, "before the first update")
    }

    @Test("a single server is chosen always, however busy, unless it may not be", arguments: Algorithm.allCases)
    func single(_ algorithm: Algorithm) {
        for weight in [1, 7, 256] {
            var pool = TestPool(algorithm.make(), weights: [weight])
            #expect((0..<500).allSatisfy { pool.take(UInt64($0)) == TestPool.slot(0) })
            pool.refused = [TestPool.slot(0)]
            #expect((0..<100).allSatisfy { pool.choose(UInt64($0)) == nil })
        }
    }

    /// Servers come and go, change their weights, start slowly, are refused, and work on some requests for long.
    @Test("a member that may be chosen is chosen, if there is one", arguments: Algorithm.allCases, seeds)
    func membership(_ algorithm: Algorithm, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var pool = TestPool(algorithm.make(seed: seed))
        for _ in 0..<60 {
            let all = TestPool.servers(random.weights(1...12, upTo: random.chance(0.5) ? 3 : 256))
            let presence = [0.1, 0.5, 1.0][random.below(3)]
            let members = all.filter { _ in random.chance(presence) }.map {
                let isStarting = random.chance(0.2)
                return PoolMember(
                    slot: $0.slot, name: $0.name, weight: $0.weight,
                    effectiveWeight: isStarting ? random.below($0.weight * 100 + 1) : nil)
            }
            pool.update(random.inAnyOrder(members))
            for _ in 0..<20 {
                let refusal = [0, 0.5, 0.9][random.below(3)]
                pool.refused = Set(all.map(\.slot).filter { _ in random.chance(refusal) })
                let allowed = Set(members.map(\.slot)).subtracting(pool.refused)
                if let slot = pool.take(random.next()) {
                    #expect(allowed.contains(slot))
                    if random.chance(0.7) { pool.open[slot]! -= 1 }
                } else {
                    #expect(allowed.isEmpty)
                }
            }
        }
    }

    @Test("shares are as the weights say, when requests stay open", arguments: Algorithm.allCases, seeds)
    func shares(_ algorithm: Algorithm, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = random.weights(2...8, upTo: 9)
        var pool = TestPool(algorithm.make(seed: seed), weights: weights)
        let counts = pool.shares(0..<20_000, keepingOpen: true)
        let allowed =
            switch algorithm {
            case .roundRobin, .leastConnections: 0.005
            case .randomOfTwo: 0.01
            // 160 points at weight 1: a standard deviation of 8 %.
            case .hashRing, .boundedHashRing: 0.25
            // The least share is a 64th: 300 keys, give or take 17.
            case .maglev: 0.15
            }
        #expect(greatestDeviation(counts, weights: weights) < allowed, "\(counts) for \(weights)")
        if algorithm == .boundedHashRing {
            let share = zip(counts, weights).map { Double($0) * Double(weights.reduce(0, +)) / Double($1) / 20_000 }
            #expect(share.max()! < 1.251, "\(counts) for \(weights)")
        }
    }

    @Test("an idle pool is shared by weight as well", arguments: [Algorithm.roundRobin, .randomOfTwo], seeds)
    func idleShares(_ algorithm: Algorithm, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = random.weights(2...8, upTo: 9)
        var pool = TestPool(algorithm.make(seed: seed), weights: weights)
        let counts = pool.shares(0..<20_000)
        // The least share is a 64th: 300 requests, give or take 17.
        let allowed = algorithm == .roundRobin ? 0.005 : 0.15
        #expect(greatestDeviation(counts, weights: weights) < allowed, "\(counts) for \(weights)")
    }

    @Test("a server that starts slowly gets as much less", arguments: Algorithm.unkeyed)
    func slowStart(_ algorithm: Algorithm) {
        let members = TestPool.servers([2, 2, 2]).enumerated().map { index, member in
            PoolMember(
                slot: member.slot, name: member.name, weight: 2, effectiveWeight: index == 1 ? 20 : nil)
        }
        var pool = TestPool(algorithm.make(), members)
        let counts = pool.shares(0..<21_000, keepingOpen: true)
        #expect(greatestDeviation(counts, weights: [10, 1, 10]) < 0.1, "\(counts)")
    }

    @Test("an update that changes nothing changes nothing", arguments: Algorithm.allCases, seeds)
    func idleUpdates(_ algorithm: Algorithm, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = random.weights(1...8, upTo: 9)
        var quiet = TestPool(algorithm.make(seed: seed), weights: weights)
        var busy = quiet
        for key in 0..<500 {
            if random.chance(0.3) { busy.update(busy.members) }
            #expect(quiet.take(UInt64(key)) == busy.take(UInt64(key)))
        }
    }

    @Test("a copy goes its own way, and the same way", arguments: Algorithm.allCases)
    func copies(_ algorithm: Algorithm) {
        var pool = TestPool(algorithm.make(), weights: [3, 2, 1, 1])
        _ = pool.shares(0..<10)
        var copy = pool
        let choices = copy.names(100)
        copy.update([])
        #expect(pool.names(100) == choices)
    }

    // MARK: Keys

    @Test("a key stays with its server, whatever the loads", arguments: Algorithm.keyed)
    func stickiness(_ algorithm: Algorithm) {
        var pool = TestPool(algorithm.make(), weights: [1, 2, 3, 1])
        let before = pool.names(2000)
        pool.open = [TestPool.slot(0): 1000, TestPool.slot(2): 3]
        #expect(pool.names(2000) == before)
    }

    @Test("two balancers agree, whatever the order and the slots of their servers", arguments: Algorithm.keyed, seeds)
    func agreement(_ algorithm: Algorithm, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let members = TestPool.servers(random.weights(2...12, upTo: random.chance(0.5) ? 5 : 256))
        var one = TestPool(algorithm.make(seed: 1), members)
        let others = random.inAnyOrder(members).enumerated().map {
            PoolMember(slot: 100 - $0, name: $1.name, weight: $1.weight)
        }
        var other = TestPool(algorithm.make(seed: 2), others)
        #expect(one.names(2000) == other.names(2000))
    }

    @Test("slots may be dealt anew without a key noticing", arguments: Algorithm.keyed)
    func renumbering(_ algorithm: Algorithm) {
        var pool = TestPool(algorithm.make(), weights: [1, 2, 3])
        let before = pool.names(1000)
        pool.update(pool.members.map { PoolMember(slot: 50 - $0.slot, name: $0.name, weight: $0.weight) })
        #expect(pool.names(1000) == before)
    }

    @Test("a server that leaves and comes back has the same keys as before", arguments: Algorithm.keyed, seeds)
    func restoration(_ algorithm: Algorithm, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        // Up to 12 · 256: more than a ring has points for at full density.
        let members = TestPool.servers(random.weights(2...12, upTo: random.chance(0.5) ? 5 : 256))
        var pool = TestPool(algorithm.make(), members)
        let before = pool.names(2000)
        for _ in 0..<3 {
            let absent = random.below(members.count)
            pool.update(members.enumerated().filter { $0.offset != absent }.map(\.element))
            #expect(!pool.names(2000).contains(members[absent].name))
        }
        pool.update(members)
        #expect(pool.names(2000) == before)
    }

    @Test("a server that starts slowly has its own keys at once", arguments: Algorithm.keyed)
    func slowStartMovesNoKey(_ algorithm: Algorithm) {
        var pool = TestPool(algorithm.make(), weights: [2, 2, 2, 2])
        let before = pool.names(2000)
        pool.update(
            pool.members.map { PoolMember(slot: $0.slot, name: $0.name, weight: $0.weight, effectiveWeight: $0.slot) })
        #expect(pool.names(2000) == before)
    }

    @Test("a change of weight moves keys to its server or away from it, hardly others", arguments: Algorithm.keyed)
    func weightChange(_ algorithm: Algorithm) {
        var pool = TestPool(algorithm.make(), weights: [2, 2, 2, 2])
        let before = pool.names(10_000)
        var members = pool.members
        members[1] = PoolMember(slot: members[1].slot, name: members[1].name, weight: 4)
        pool.update(members)
        let after = pool.names(10_000)
        let gained = zip(before, after).count { $0 != $1 && $1 == "server-1" }
        let stray = zip(before, after).count { $0 != $1 && $1 != "server-1" }
        // From a quarter to two fifths.
        #expect((1200...1800).contains(gained), "\(gained)")
        #expect(stray <= (algorithm == .hashRing ? 0 : 50), "\(stray)")
    }

    @Test("keys that lie close together are spread as well as any", arguments: Algorithm.keyed)
    func poorKeys(_ algorithm: Algorithm) {
        let generators: [(Int) -> UInt64] = [
            { UInt64($0) }, { UInt64($0) << 32 }, { UInt64($0) << 48 }, { UInt64($0) * 0x100_0000 + 0x7F00_0001 },
        ]
        for generate in generators {
            var pool = TestPool(algorithm.make(), weights: [1, 1, 1, 1])
            var counts: [Int: Int] = [:]
            for index in 0..<8000 { counts[pool.choose(generate(index))!, default: 0] += 1 }
            #expect(pool.members.allSatisfy { (1500...2500).contains(counts[$0.slot] ?? 0) }, "\(counts)")
        }
    }
}
