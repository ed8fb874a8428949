import FeatureFlagsEngine
import KernelStructures
import TestSupport
import Testing

@Suite("Constraints")
struct ConstraintTests {
    private func isMet(_ constraint: FlagConstraint, _ context: FlagContext, now: LabTime = epoch) -> Bool {
        flagSet([FlagStrategy("default", constraints: [constraint])]).isOn("f", context, now: now)
    }

    private func met(_ operator: FlagOperator, _ operand: String, _ values: [String]) -> [Bool] {
        values.map { value in
            let constraint =
                `operator`.takesList
                ? FlagConstraint("x", `operator`, values: [operand]) : FlagConstraint("x", `operator`, value: operand)
            return isMet(constraint, FlagContext(properties: ["x": value]))
        }
    }

    @Test("versions are ordered as Semantic Versioning says")
    func versions() {
        let order = [
            "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
            "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
            "99999999999999999999999999.0.0",
        ]
        for (index, version) in order.enumerated() {
            #expect(met(.versionLess, version, order) == order.indices.map { $0 < index })
            #expect(met(.versionGreaterOrEqual, version, order) == order.indices.map { $0 >= index })
        }
        #expect(
            met(.versionEqual, "1.0.0", ["1.0.0+build", "1.0.0", "v1.0.0", "1.0", "01.0.0", "1.0.0-", ""]) == [
                true, true, false, false, false, false, false,
            ])
    }

    @Test("numbers, texts, networks and times")
    func others() {
        #expect(
            met(.numberLess, "18", ["17.5", "18", "abc", "", "-1e3", "0x1"]) == [
                true, false, false, false, true, false,
            ])
        #expect(met(.numberEqual, "12.0", ["12", "12.00", "12.1"]) == [true, true, false])
        // As Unleash's clients read them.
        #expect(
            met(.numberGreater, "5", ["inf", "-Infinity", "nan", "+INF", "infinite"]) == [
                true, false, false, true, false,
            ])
        #expect(met(.numberEqual, "inf", ["inf", "nan", "1"]) == [true, false, false])
        #expect(met(.startsWith, "a", ["abc", "cab", ""]) == [true, false, false])
        #expect(met(.endsWith, "é", ["café", "cafe"]) == [true, false])
        #expect(met(.contains, "b", ["abc", "ac"]) == [true, false])
        #expect(met(.matches, "^a+$", ["aaa", "ab"]) == [true, false])
        #expect(
            met(.isInNetwork, "10.0.0.0/8", ["10.2.3.4", "11.0.0.1", "::ffff:10.0.0.1", "x"]) == [
                true, false, true, false,
            ])
        #expect(met(.isInNetwork, "2001:db8::/32", ["2001:db8::1", "2001:db9::1"]) == [true, false])
        #expect(
            met(.dateBefore, "2024-01-01T00:00:00Z", ["2023-12-31T23:59:59.9Z", "2024-01-01T00:00:00Z", "?"]) == [
                true, false, false,
            ])
    }

    @Test("all constraints of a strategy are to be met, and one strategy of several")
    func together() {
        let american = FlagConstraint("country", .isIn, values: ["US"])
        let adult = FlagConstraint("age", .numberGreater, value: "17")
        let both = flagSet([.rollout(percent: 100, group: "f", constraints: [american, adult])])
        let either = flagSet([american, adult].map { .rollout(percent: 100, group: "f", constraints: [$0]) })
        for (country, age, all, some) in [
            ("US", "18", true, true), ("US", "17", false, true), ("FR", "18", false, true), ("FR", "17", false, false),
        ] {
            let context = FlagContext("1", ["country": country, "age": age])
            #expect(both.isOn("f", context) == all && either.isOn("f", context) == some, "\(country) \(age)")
        }
    }

    @Test("the time is the context's, or else now")
    func now() {
        let after = FlagConstraint("currentTime", .dateAfter, value: "2023-12-20T15:00:00Z")
        #expect(!isMet(after, .init()) && isMet(after, .init(), now: epoch + .seconds(1)))
        #expect(isMet(after, FlagContext(currentTime: epoch + .seconds(5))))
    }

    @Test("an unknown field meets nothing but NOT_IN; what cannot be read is never met, inverted or not")
    func unknown() {
        for name in FlagOperator.known {
            let value = name.hasPrefix("SEMVER") ? "1.0.0" : name.hasPrefix("DATE") ? "2024-01-01T00:00:00Z" : "1"
            var constraint = FlagConstraint("missing", FlagOperator(name), values: ["1"], value: value)
            #expect(isMet(constraint, .init()) == (name == "NOT_IN"), "\(name)")
            constraint.isInverted = true
            #expect(isMet(constraint, .init()) == (name != "NOT_IN"), "\(name) inverted")
        }
        for (name, value) in [
            ("REGEX", "("), ("SEMVER_EQ", "v1.0.0"), ("NUM_LT", "x"), ("DATE_AFTER", "yesterday"), ("TOMORROWS", "1"),
            ("REGEX", nil), ("NUM_EQ", ""),
        ] as [(String, String?)] {
            for isInverted in [false, true] {
                let constraint = FlagConstraint("x", FlagOperator(name), value: value, isInverted: isInverted)
                #expect(!isMet(constraint, FlagContext(properties: ["x": "1"])), "\(name) \(value ?? "nil")")
            }
        }
    }

    @Test("random definitions and contexts are decided as yggdrasil decides them", .enabled(if: TestPython.canRun))
    func oracle() throws {
        try YggdrasilOracle.compare(caseCount: isLong ? 20_000 : 600)
    }

    @Test("a strategy of tomorrow lets nobody in, and a segment that is missing keeps everybody out")
    func closed() {
        #expect(!flagSet([FlagStrategy("quantumRollout")]).isOn("f"))
        #expect(!flagSet([FlagStrategy("default", segments: [7])]).isOn("f"))
        #expect(!FlagSet.empty.isOn("f"))
    }
}
