import KernelStructures
import LoadBalancerEngine
import Testing

@Suite("The power of two choices")
struct RandomOfTwoTests {
    private static let seeds: ClosedRange<UInt64> = 1...20

    @Test("the two drawn are different: of two servers the less busy one is always found", arguments: seeds)
    func two(_ seed: UInt64) {
        var pool = TestPool(RandomOfTwo(random: SeededRandom(seed: seed)), weights: [9, 1])
        pool.open = [TestPool.slot(0): 1]
        #expect((0..<500).allSatisfy { _ in pool.choose() == TestPool.slot(1) })
        pool.open = [TestPool.slot(0): 8, TestPool.slot(1): 1]
        #expect((0..<500).allSatisfy { _ in pool.choose() == TestPool.slot(0) }, "eight for nine is less than one")
    }

    @Test("the busiest of all is never chosen, the second busiest only against it", arguments: seeds)
    func busiest(_ seed: UInt64) {
        let count = 10
        var pool = TestPool(RandomOfTwo(random: SeededRandom(seed: seed)), weights: Array(repeating: 1, count: count))
        for index in 0..<count { pool.open[TestPool.slot(index)] = index }
        let counts = pool.shares(0..<9000)
        #expect(counts[count - 1] == 0)
        // Of 45 pairs, server i is the less busy one in 9 − i: 200 requests for each pair, give or take 14.
        for index in 0..<count {
            let expected = 200 * (count - 1 - index)
            #expect(abs(counts[index] - expected) <= 5 * Int(Double(expected).squareRoot()), "\(counts)")
        }
    }

    /// As many balls as bins: blindly the fullest bin has 6 or 7, with two choices 3 or 4.
    @Test("the greatest load is far below that of blind chance", arguments: seeds)
    func balls(_ seed: UInt64) {
        let bins = 1000
        func greatest(_ balls: Int) -> (chosen: Int, blind: Int) {
            var pool = RandomOfTwo(random: SeededRandom(seed: seed))
            pool.update((0..<bins).map { PoolMember(slot: $0, name: "\($0)") })
            var blind = SeededRandom(seed: seed + 1000)
            var loads = [Int](repeating: 0, count: bins)
            var blindLoads = loads
            for _ in 0..<balls {
                loads[pool.choose(key: 0, load: { loads[$0] }, where: { _ in true })!] += 1
                blindLoads[blind.below(bins)] += 1
            }
            return (loads.max()!, blindLoads.max()!)
        }
        let once = greatest(bins)
        #expect(once.chosen <= 4 && once.chosen < once.blind)
        // With a hundred balls a bin chance is 25 to 40 above the mean; with two choices still 2 or 3.
        let often = greatest(bins * 100)
        #expect(often.chosen <= 104 && often.blind >= 120)
    }

    /// Nearly all tickets belong to servers that may not be chosen, so draws run out.
    @Test("what is left is shared by weight, even if hardly anybody may be chosen", arguments: seeds)
    func scarcity(_ seed: UInt64) {
        var pool = TestPool(
            RandomOfTwo(random: SeededRandom(seed: seed)),
            weights: [5, 1] + Array(repeating: 20, count: 30) + [1])
        pool.refused = Set((2..<32).map(TestPool.slot))
        let counts = pool.shares(0..<7000)
        // 5000, 1000, 1000, give or take 38 and 29.
        #expect(abs(counts[0] - 5000) < 190 && abs(counts[1] - 1000) < 145 && abs(counts[32] - 1000) < 145)
        // Idle, the first drawn wins; of those left the less busy one must still be found.
        pool.open = [TestPool.slot(0): 1, TestPool.slot(1): 1]
        pool.refused.insert(TestPool.slot(1))
        #expect((0..<500).allSatisfy { _ in pool.choose() == TestPool.slot(32) })
    }

    @Test("balancers with different chance choose differently, those with the same alike")
    func chance() {
        func choices(_ seed: UInt64) -> [String] {
            var pool = TestPool(RandomOfTwo(random: SeededRandom(seed: seed)), weights: [1, 1, 1, 1])
            return pool.names(100)
        }
        #expect(choices(1) == choices(1))
        #expect(choices(1) != choices(2))
    }
}
