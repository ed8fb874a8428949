import FeatureFlagsEngine
import Glibc
import KernelStructures
import TestSupport
import Testing

@Suite("Rollouts")
struct RolloutTests {
    // @covers FLAG-H1
    @Test(
        "buckets are those of Unleash's clients",
        arguments: [
            ("gr1", "123", 73), ("groupX", "999", 25), ("new-checkout-flow", "123", 75),
        ])
    func known(_ group: String, _ id: String, _ bucket: Int) {
        #expect(RolloutHash.bucket(group: group, id: id, of: 100) == bucket)
    }

    @Test("the hash is mmh3's, whatever the length and the letters", .enabled(if: TestPython.canRun))
    func oracle() throws {
        let keys = (0..<200).map { String("aé漢😀z0".repeated(toLength: $0)) }
        let theirs = try TestPython.run(
            """
            import sys, mmh3
            for line in sys.stdin.read().split('\\n'): print(mmh3.hash('g:' + line, 86028157, signed=False))
            """,
            input: keys.joined(separator: "\n"))
        let ours = keys.map { "\(RolloutHash.hash(group: "g", id: $0, seed: RolloutHash.variantSeed))\n" }.joined()
        #expect(ours == theirs)
    }

    // @covers FLAG-H2 FLAG-C1 FLAG-M2
    @Test("raising the percentage only adds people, step by step from nobody to all")
    func monotonic() {
        let users = (0..<2_000).map { FlagContext("user-\($0)") }
        var previous = Array(repeating: false, count: users.count)
        for percent in 0...100 {
            let set = flagSet([.rollout(percent: percent, group: "f")])
            let now = users.map { set.isOn("f", $0) }
            #expect(zip(previous, now).allSatisfy { !$0 || $1 })
            let expected = Double(percent) / 100 * 2_000
            #expect(abs(Double(now.count { $0 }) - expected) <= 4 * (2_000 * 0.25).squareRoot())
            previous = now
        }
        #expect(previous.allSatisfy { $0 })
        #expect(users.allSatisfy { !flagSet([.rollout(percent: 0, group: "f")]).isOn("f", $0) })
    }

    @Test("the first percents of two flags have nothing to do with one another")
    func independent() {
        let count = 100_000
        let a = flagSet([.rollout(percent: 10, group: "a")], name: "a")
        let b = flagSet([.rollout(percent: 10, group: "b")], name: "b")
        var both = 0
        for user in 0..<count where a.isOn("a", FlagContext("\(user)")) && b.isOn("b", FlagContext("\(user)")) {
            both += 1
        }
        #expect(abs(Double(both) - 0.01 * Double(count)) < 4 * (0.01 * 0.99 * Double(count)).squareRoot())
    }

    @Test("flags whose strategies name no group do not begin with the same people either")
    func independentByName() {
        let strategy = FlagStrategy("flexibleRollout", parameters: ["rollout": "10"])
        let a = flagSet([strategy], name: "a")
        let b = flagSet([strategy], name: "b")
        let first = (0..<10_000).filter { a.isOn("a", FlagContext("\($0)")) }
        let both = first.count { b.isOn("b", FlagContext("\($0)")) }
        #expect((900...1_100).contains(first.count) && (50...150).contains(both))
    }

    @Test("who is let in first has nothing to do with who gets which variant")
    func variantsAreIndependent() {
        let set = flagSet(
            [.rollout(percent: 10, group: "f")], variants: [.init("a", weight: 50), .init("b", weight: 50)])
        let people = (0..<20_000).map { FlagContext("\($0)") }.filter { set.isOn("f", $0) }
        let share = Double(people.count { set.variant("f", $0, now: epoch).name == "a" }) / Double(people.count)
        #expect(abs(share - 0.5) < 0.06)
    }

    @Test("nobody in particular is drawn by chance, and who lacks what decides stays out")
    func anonymous() {
        let usual = flagSet([.rollout(percent: 30, group: "f")])
        let on = (0..<10_000).count { usual.isOn("f", chance: mixed(UInt64($0))) }
        #expect(abs(on - 3_000) < 200)
        let byPlan = flagSet([.rollout(percent: 100, group: "f", stickiness: "plan")])
        #expect(!byPlan.isOn("f", FlagContext("1")) && byPlan.isOn("f", FlagContext("1", ["plan": "pro"])))
        #expect(usual.isOn("f", FlagContext(sessionID: "9")) == usual.isOn("f", FlagContext("9")))
    }

    // @covers FLAG-H3
    @Test("variants get the shares of their weights, and everybody keeps his")
    func variants() {
        let set = flagSet(
            [],
            variants: [.init("a", weight: 33), .init("b", weight: 33), .init("c", weight: 34), .init("d", weight: 0)])
        var counts: [String: Int] = [:]
        for user in 0..<30_000 {
            let context = FlagContext("\(user)")
            let variant = set.variant("f", context, now: epoch).name
            #expect(set.variant("f", context, now: epoch, chance: 7).name == variant)
            counts[variant, default: 0] += 1
        }
        for (name, weight) in [("a", 33), ("b", 33), ("c", 34)] {
            let share = Double(weight) / 100
            let sigma = (30_000 * share * (1 - share)).squareRoot()
            #expect(abs(Double(counts[name] ?? 0) - 30_000 * share) < 4 * sigma)
        }
        #expect(counts["d"] == nil)
    }

    @Test("no weights, negative ones and absurd ones are no reason to fall over")
    func weights() {
        for weights in [[0], [-5, 0], [Int.max, Int.max], [Int.min]] {
            let variants = weights.enumerated().map { FlagVariantDefinition("v\($0)", weight: $1) }
            let set = flagSet([], variants: variants)
            _ = set.variant("f", FlagContext("1"), now: epoch)
            _ = set.explain("f", FlagContext("1"), now: epoch)
        }
        for rollout in ["", "x", "1e400", "-3", "1000", "nan", "0x10"] {
            let strategy = FlagStrategy("flexibleRollout", parameters: ["rollout": rollout])
            #expect(flagSet([strategy]).isOn("f", FlagContext("1")) == (rollout == "1000"))
        }
    }
}

extension String {
    fileprivate func repeated(toLength count: Int) -> String {
        let letters = Array(self)
        return String((0..<count).map { letters[$0 * 7 % letters.count] })
    }
}
