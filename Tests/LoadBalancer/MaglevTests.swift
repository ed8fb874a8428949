import KernelStructures
import LoadBalancerEngine
import Testing

@Suite("Maglev hashing")
struct MaglevTests {
    private static let seeds: ClosedRange<UInt64> = 1...25

    /// A release that moved keys would empty every cache behind it.
    @Test("keys are where they have always been")
    func golden() {
        var pool = TestPool(Maglev(), weights: [1, 1, 1, 2])
        #expect(pool.letters(40) == "bbddddbdbdabdddbadddccdacdccdabddadaadaa")
    }

    @Test("shares are as the weights say to within a hundredth", arguments: seeds)
    func shares(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = random.weights(2...10, upTo: [1, 4, 10][random.below(3)])
        var pool = TestPool(Maglev(), weights: weights)
        let keys = 200_000
        let counts = pool.shares(0..<keys)
        for (count, weight) in zip(counts, weights) {
            let share = Double(keys * weight) / Double(weights.reduce(0, +))
            // Besides, the keys are a sample: five standard deviations.
            #expect(abs(Double(count) - share) < share * 0.01 + 5 * share.squareRoot(), "\(counts) for \(weights)")
        }
    }

    @Test("when one of equal servers leaves, few keys of the others move", arguments: [3, 5, 10, 20, 100])
    func leaving(_ count: Int) {
        var pool = TestPool(Maglev(), weights: Array(repeating: 1, count: count))
        let members = pool.members
        let before = pool.names(20_000)
        for absent in [0, count / 2, count - 1] {
            pool.update(members.enumerated().filter { $0.offset != absent }.map(\.element))
            let after = pool.names(20_000)
            let stray = zip(before, after).count { $0 != $1 && $0 != members[absent].name }
            #expect(stray < 200, "\(stray)")
            #expect(!after.contains(members[absent].name))
        }
    }

    @Test("when one of unequal servers leaves, few keys of the others move", arguments: seeds)
    func leavingUnequal(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = random.weights(3...12, upTo: 8)
        var pool = TestPool(Maglev(), weights: weights)
        let members = pool.members
        let before = pool.names(10_000)
        let absent = random.below(members.count)
        pool.update(members.enumerated().filter { $0.offset != absent }.map(\.element))
        let stray = zip(before, pool.names(10_000)).count { $0 != $1 && $0 != members[absent].name }
        #expect(stray < 100, "\(stray) for \(weights) without \(absent)")
    }

    @Test("the keys of a refused server are spread over the others by weight, and nobody else's move", arguments: seeds)
    func refusal(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let weights = random.weights(3...8, upTo: 4)
        var pool = TestPool(Maglev(), weights: weights)
        let before = pool.names(40_000)
        let refused = random.below(weights.count)
        pool.refused = [TestPool.slot(refused)]
        let after = pool.names(40_000)
        var heirs = [Int](repeating: 0, count: weights.count)
        for (old, new) in zip(before, after) {
            if old == "server-\(refused)" { heirs[Int(new.dropFirst(7))!] += 1 } else { #expect(old == new) }
        }
        let rest = weights.indices.filter { $0 != refused }
        let moved = Double(heirs.reduce(0, +))
        for heir in rest {
            let share = moved * Double(weights[heir]) / Double(rest.reduce(0) { $0 + weights[$1] })
            #expect(abs(Double(heirs[heir]) - share) < 0.02 * share + 5 * share.squareRoot(), "\(heirs) of \(weights)")
        }
        #expect(pool.names(40_000) == after, "the same servers refused, the same choice")
    }

    @Test("nobody is without a seat, however light among however many")
    func lightest() {
        var pool = TestPool(Maglev(), weights: Array(repeating: 256, count: 400) + [1])
        pool.refused = Set((0..<400).map(TestPool.slot))
        #expect((0..<100).allSatisfy { pool.choose($0) == TestPool.slot(400) })
    }

    @Test("if hardly anybody may be chosen, keys are still spread over those", arguments: [2, 5])
    func scarcity(_ left: Int) {
        var pool = TestPool(Maglev(), weights: Array(repeating: 1, count: 100))
        pool.refused = Set((left..<100).map(TestPool.slot))
        let counts = pool.shares(0..<10_000).prefix(left)
        #expect(greatestDeviation(Array(counts), weights: Array(repeating: 1, count: left)) < 0.1, "\(counts)")
    }
}
