import KernelStructures
import LoadBalancerEngine
import Testing

@Suite("Least connections")
struct LeastConnectionsTests {
    @Test("an idle pool of equals is served in turn", arguments: 1...10)
    func idle(_ count: Int) {
        var pool = TestPool(LeastConnections(), weights: Array(repeating: 3, count: count))
        #expect((0..<count * 4).map { _ in pool.choose()! } == (0..<count * 4).map { TestPool.slot($0 % count) })
    }

    @Test("of an idle pool the strongest is chosen, until it is as busy for its weight as the others would be")
    func strongest() {
        var pool = TestPool(LeastConnections(), weights: [5, 1, 2])
        // With this request: 1/5, 2/5, then 3/5 against 1/2 of c.
        #expect(pool.letters(3) == "aaa")
        let taken = (0..<8).map { _ in (pool.take()! - TestPool.slot(0)) / 3 }
        #expect(taken.prefix(3) == [0, 0, 2])
        #expect(taken.sorted() == [0, 0, 0, 0, 0, 1, 2, 2], "a round in which everybody has what its weight says")
    }

    @Test("servers equally busy for their weights take turns as in round robin")
    func ties() {
        var pool = TestPool(LeastConnections(), weights: [5, 1, 1])
        pool.open = [TestPool.slot(0): 4]
        #expect(pool.letters(14) == "aabacaaaabacaa")
    }

    @Test("turns are kept when others come and go, and only the tied take part")
    func turns() {
        var pool = TestPool(LeastConnections(), weights: [1, 1, 1, 1])
        #expect(pool.letters(1) == "a")
        pool.open = [TestPool.slot(1): 1]
        #expect(pool.letters(1) == "c", "b is busy")
        pool.open = [:]
        pool.update(Array(pool.members.prefix(3)))
        #expect(pool.letters(4) == "bcab", "a begins no new round, and d has left")
    }

    @Test("a server that was the best until a better came has no turn")
    func givenUp() {
        var pool = TestPool(LeastConnections(), weights: [1, 1, 1, 1])
        pool.open = [TestPool.slot(0): 2, TestPool.slot(1): 1, TestPool.slot(3): 2]
        #expect(pool.letters(3) == "ccc")
        pool.open = [TestPool.slot(0): 2, TestPool.slot(1): 1, TestPool.slot(2): 2, TestPool.slot(3): 1]
        #expect(pool.letters(4) == "bdbd")
    }

    /// The definition, in fractions: no other server that may be chosen would be less busy for its weight.
    @Test("it is always a true minimum, and each of them in fair turns", arguments: 1...40 as ClosedRange<UInt64>)
    func model(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let members = TestPool.servers(random.weights(1...10, upTo: random.chance(0.5) ? 3 : 256)).map {
            PoolMember(
                slot: $0.slot, name: $0.name, weight: $0.weight,
                effectiveWeight: random.chance(0.3) ? random.below($0.weight * 100) + 1 : nil)
        }
        var pool = TestPool(LeastConnections(), members)
        for _ in 0..<1000 {
            pool.refused = Set(members.map(\.slot).filter { _ in random.chance(0.2) })
            let allowed = members.filter { !pool.refused.contains($0.slot) }
            guard let slot = pool.choose() else {
                #expect(allowed.isEmpty)
                continue
            }
            let chosen = members.first { $0.slot == slot }!
            for other in allowed {
                let own = ((pool.open[slot] ?? 0) + 1) * other.effectiveWeight
                let its = ((pool.open[other.slot] ?? 0) + 1) * chosen.effectiveWeight
                #expect(own <= its, "\(other.name) would have been better than \(chosen.name)")
            }
            pool.open[slot, default: 0] += 1
            for member in members where random.chance(0.1) { pool.open[member.slot] = random.below(5) }
        }
    }

    @Test("a server that has just begun to start is worth its first request when others have a hundred")
    func slowStart() {
        var members = TestPool.servers([1, 1])
        members[0] = PoolMember(slot: members[0].slot, name: members[0].name, weight: 1, effectiveWeight: 1)
        var pool = TestPool(LeastConnections(), members)
        pool.open = [members[1].slot: 98]
        #expect(pool.choose() == members[1].slot)
        pool.open = [members[1].slot: 100]
        #expect(pool.choose() == members[0].slot)
    }
}
