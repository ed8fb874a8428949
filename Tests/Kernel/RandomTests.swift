import KernelStructures
import TestSupport
import Testing

@Suite("Seeded chance")
struct RandomTests {
    @Test("is xoshiro256** seeded by SplitMix64, number for number")
    func reference() {
        // SplitMix64 of state 0 begins with these; they are the four words of the generator's first state.
        #expect(mixed(0x9E37_79B9_7F4A_7C15) == 0xE220_A839_7B1D_CDAF)
        #expect(mixed(0x9E37_79B9_7F4A_7C15 &* 2) == 0x6E78_9E6A_A1B9_65F4)
        var random = SeededRandom(seed: 0)
        // rotl(s1 * 5, 7) * 9 with s1 = 0x6E789E6AA1B965F4
        let product = 0x6E78_9E6A_A1B9_65F4 as UInt64 &* 5
        #expect(random.next() == ((product << 7) | (product >> 57)) &* 9)
    }

    @Test("is the same for the same seed and another for another")
    func determinism() {
        var a = SeededRandom(seed: 42)
        var b = SeededRandom(seed: 42)
        var c = SeededRandom(seed: 43)
        let first = (0..<1000).map { _ in a.next() }
        #expect(first == (0..<1000).map { _ in b.next() })
        #expect(first != (0..<1000).map { _ in c.next() })
        #expect(Set(first).count == 1000)
    }

    @Test("forks by label, whatever was drawn before, and apart from its parent")
    func forks() {
        var parent = SeededRandom(seed: 5)
        var early = parent.fork("node-a")
        for _ in 0..<17 { _ = parent.next() }
        var late = parent.fork("node-a")
        var other = parent.fork("node-b")
        let draws = (0..<100).map { _ in early.next() }
        #expect(draws == (0..<100).map { _ in late.next() })
        #expect(Set(draws).isDisjoint(with: (0..<100).map { _ in other.next() }))
        #expect(Set(draws).isDisjoint(with: (0..<100).map { _ in parent.next() }))
    }

    @Test("forks of similar labels are uncorrelated")
    func independence() {
        let parent = SeededRandom(seed: 1)
        var same = 0
        for index in 0..<200 {
            var a = parent.fork("client \(index)")
            var b = parent.fork("client \(index + 1)")
            for _ in 0..<50 where a.chance(0.5) == b.chance(0.5) { same += 1 }
        }
        // 10,000 fair coins: five standard deviations are 250.
        #expect(abs(same - 5000) < 250)
    }

    @Test("is uniform below a bound", arguments: [2, 3, 7, 10, 1000])
    func uniform(_ bound: Int) {
        var random = SeededRandom(seed: UInt64(bound))
        var counts = [Int](repeating: 0, count: bound)
        let draws = bound * 1000
        for _ in 0..<draws { counts[random.below(bound)] += 1 }
        // Chi-squared with bound − 1 degrees of freedom: mean bound − 1, deviation √(2(bound − 1)).
        let chiSquared = counts.reduce(0.0) { $0 + (Double($1) - 1000) * (Double($1) - 1000) / 1000 }
        let freedom = Double(bound - 1)
        #expect(chiSquared < freedom + 5 * (2 * freedom).squareRoot() + 5)
    }

    @Test("reaches both ends of its ranges and nothing beyond")
    func bounds() {
        var random = SeededRandom(seed: 9)
        #expect((0..<100).allSatisfy { _ in random.below(1) == 0 })
        #expect((0..<1000).allSatisfy { _ in (0..<Int.max).contains(random.below(.max)) })
        let units = (0..<100_000).map { _ in random.unit() }
        #expect(units.allSatisfy { $0 >= 0 && $0 < 1 } && units.min()! < 0.001 && units.max()! > 0.999)
        #expect(abs(units.reduce(0, +) / 100_000 - 0.5) < 0.005)
        #expect((0..<1000).allSatisfy { _ in !random.chance(0) && random.chance(1) })
        let jitters = (0..<10_000).map { _ in random.jitter(.milliseconds(50)).nanoseconds }
        #expect(jitters.min()! >= -50_000_000 && jitters.max()! <= 50_000_000)
        #expect(jitters.min()! < -49_000_000 && jitters.max()! > 49_000_000)
        #expect(random.jitter(.zero) == .zero && random.jitter(.seconds(-1)) == .zero)
    }

    @Test("has hashes that are the same in every process")
    func hashes() {
        #expect(stableHash("") == 0xCBF2_9CE4_8422_2325)
        #expect(stableHash("a") == 0xAF63_DC4C_8601_EC8C)
        #expect(stableHash("foobar") == 0x8594_4171_F739_67E8)
    }
}
