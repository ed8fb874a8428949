import FeatureFlagsEngine
import KernelStructures
import TestSupport
import Testing

@Suite("Targeting rules")
struct RuleTests {
    private func holds(_ rule: String, _ context: FlagContext, now: LabTime = epoch) throws -> Bool {
        let strategies = try TargetingRule(parsing: rule).strategies(percent: 100, group: "f", stickiness: "random")
        return flagSet(strategies).isOn("f", context, now: now)
    }

    // @covers FLAG-C4 FLAG-H6 FLAG-M3
    @Test("the documented rule, for each kind of person")
    func documented() throws {
        let rule = #"user.country == "US" and not (user.beta or user.age < 18)"#
        let products = try TargetingRule(parsing: rule).products()
        #expect(products.map { $0.map(\.text) } == [[#"country == "US""#, #"beta != "true""#, "not age < 18"]])
        for (properties, expected) in [
            (["country": "US"], true), (["country": "US", "age": "18"], true), (["country": "US", "age": "17"], false),
            (["country": "US", "beta": "true"], false), (["country": "US", "beta": "false", "age": "40"], true),
            (["country": "CA"], false), ([:], false),
        ] {
            #expect(try holds(rule, FlagContext("1", properties)) == expected, "\(properties)")
        }
    }

    @Test(
        "each comparison",
        arguments: [
            (#"user.plan in ["pro", "team"]"#, ["plan": "team"], ["plan": "free"]),
            (#"user.plan not in ['pro']"#, ["plan": "free"], ["plan": "pro"]),
            (#"user.plan != "pro""#, [:], ["plan": "pro"]),
            (#"user.age >= 18 && user.age <= 65"#, ["age": "18"], ["age": "66"]),
            ("user.age > 18 || user.vip", ["vip": "true"], ["age": "18"]),
            ("user.age == 18", ["age": "18.0"], ["age": "19"]), ("user.age != 18", ["age": "19"], ["age": "18"]),
            ("user.score < -1.5", ["score": "-2"], ["score": "-1"]),
            (#"user.version >= "2.1.0""#, ["version": "2.10.0"], ["version": "2.1.0-rc.1"]),
            (
                #"user.since < "2024-01-01T00:00:00Z""#, ["since": "2023-05-05T00:00:00Z"],
                ["since": "2024-05-05T00:00:00Z"]
            ),
            (#"user.since before "2024-01-01T00:00:00Z""#, ["since": "2023-05-05T00:00:00Z"], [:]),
            (#"user.email endsWith "@example.org""#, ["email": "a@example.org"], ["email": "a@example.com"]),
            (#"user.email startsWith "a""#, ["email": "ab"], ["email": "ba"]),
            (#"user.email contains "@""#, ["email": "a@b"], ["email": "ab"]),
            (#"user.name matches "^\d+$""#, ["name": "12"], ["name": "a1"]),
            (#"!(user.a or user.b)"#, [:], ["b": "true"]), ("not not user.a", ["a": "true"], [:]),
            (#"user.quote == "say \"hi\"""#, ["quote": #"say "hi""#], [:]),
            ("user.a == true and user.b == false", ["a": "true", "b": "false"], ["a": "true"]),
        ] as [(String, [String: String], [String: String])])
    func comparisons(_ rule: String, _ met: [String: String], _ unmet: [String: String]) throws {
        #expect(try holds(rule, FlagContext("1", met)), "\(rule) for \(met)")
        #expect(try !holds(rule, FlagContext("1", unmet)), "\(rule) for \(unmet)")
    }

    @Test("fields with places of their own")
    func fields() throws {
        #expect(try holds(#"user.id == "7""#, FlagContext("7")))
        #expect(try holds(#"user.ip within "10.0.0.0/8""#, FlagContext(remoteAddress: "10.1.1.1")))
        #expect(
            try holds(#"environment == "prod" and appName == "web""#, FlagContext(environment: "prod", appName: "web")))
        #expect(try holds(#"now after "2023-01-01T00:00:00Z""#, FlagContext()))
        #expect(try !holds(#"now < "2023-01-01T00:00:00Z""#, FlagContext()))
    }

    @Test(
        "a mistake is shown where it is",
        arguments: [
            ("", 1, "there is nothing"), ("user.country = \"US\"", 14, "write =="),
            ("user.country == US", 17, "text stands in quotes"), ("user.country ==", 16, "instead of the end"),
            ("user.a and", 11, "expected a field"), ("(user.a", 1, "not closed"), ("user.a)", 7, "does not go on"),
            ("user.a user.b", 8, "no comparison"), ("user.a contians \"x\"", 8, "did you mean contains?"),
            ("user.version > \"tall\"", 16, "has no order"), ("user.a in [\"x\" \"y\"]", 16, "expected ',' or ']'"),
            ("user.a == \"x", 11, "does not end"), ("user.a matches \"(\"", 16, ""),
            ("user.a < 1.2.3", 10, "is no number"),
            ("user.ip within \"10.0.0.0/99\"", 16, "no network"), ("and", 1, "expected a field"),
            ("user. == 1", 1, "is no field"), ("user.a # b", 8, "means nothing"),
            ("user.a not user.b", 12, "expected 'in'"),
        ])
    func mistakes(_ rule: String, _ character: Int, _ problem: String) {
        do {
            let parsed = try TargetingRule(parsing: rule)
            Issue.record("'\(rule)' was read as \(parsed)")
        } catch {
            #expect(error.character == character, "\(rule): \(error)")
            #expect(problem.isEmpty || error.problem.contains(problem), "\(rule): \(error)")
        }
    }

    @Test("what needs too many strategies is refused, and what only looks as if is not")
    func sizes() throws {
        let pairs = (0..<6).map { "(user.a\($0) or user.b\($0))" }
        #expect(try TargetingRule(parsing: pairs.prefix(5).joined(separator: " and ")).products().count == 32)
        #expect(throws: TargetingRuleError.self) {
            try TargetingRule(parsing: pairs.joined(separator: " and ")).products()
        }
        let same = Array(repeating: "(user.a or user.b)", count: 60).joined(separator: " and ")
        #expect(try TargetingRule(parsing: same).products().count == 2)
        #expect(try TargetingRule(parsing: "user.a or user.a and user.b").products().count == 1)
        #expect(try TargetingRule(parsing: "user.a and not user.a").products().isEmpty)
        let many = (0..<80).map { "user.f\($0)" }.joined(separator: " and ")
        #expect(throws: TargetingRuleError.self) { try TargetingRule(parsing: many).products() }
        #expect(throws: TargetingRuleError.self) {
            try TargetingRule(parsing: String(repeating: "(", count: 1_000) + "user.a")
        }
        #expect(throws: TargetingRuleError.self) { try TargetingRule(parsing: String(repeating: "a", count: 5_000)) }
    }

    @Test("random rules: what is printed reads as the same rule, and the strategies decide as the rule does")
    func random() throws {
        var random = SeededRandom(seed: 4)
        var decided = 0
        for _ in 0..<(isLong ? 20_000 : 600) {
            let text = Self.rule(&random, depth: 4)
            let rule = try TargetingRule(parsing: text)
            #expect(try TargetingRule(parsing: rule.description).description == rule.description)
            guard let products = try? rule.products() else { continue }
            decided += 1
            for _ in 0..<20 {
                var known: [String: String] = [:]
                for name in ["a", "b", "c", "d"] where random.chance(0.6) { known[name] = "\(random.below(3))" }
                let context = FlagContext(properties: known)
                let set = flagSet(products.map { FlagStrategy("default", constraints: $0) } + [FlagStrategy("none")])
                #expect(set.isOn("f", context) == Self.value(of: text, known), "\(text) for \(known)")
            }
        }
        #expect(decided > 300)
    }

    /// `a == "1"`, `b < 2` … with logic around.
    private static func rule(_ random: inout SeededRandom, depth: Int) -> String {
        let field = "abcd".randomElement(using: &random)!
        switch depth == 0 ? random.below(3) : random.below(6) {
        case 0: return "user.\(field) == \"\(random.below(3))\""
        case 1: return "user.\(field) < \(random.below(3))"
        case 2: return "user.\(field) not in [\"\(random.below(3))\"]"
        case 3: return "not (\(rule(&random, depth: depth - 1)))"
        case 4: return "(\(rule(&random, depth: depth - 1)) or \(rule(&random, depth: depth - 1)))"
        default: return "(\(rule(&random, depth: depth - 1)) and \(rule(&random, depth: depth - 1)))"
        }
    }

    /// Another way to the same answer: each comparison becomes T or F, and then the text is folded up.
    private static func value(of rule: String, _ known: [String: String]) -> Bool {
        var text = rule
        for field in ["a", "b", "c", "d"] {
            for number in 0...2 {
                let value = known[field].flatMap { Int($0) }
                func put(_ comparison: String, _ holds: Bool) {
                    text = text.split(separator: comparison, omittingEmptySubsequences: false).joined(
                        separator: holds ? "T" : "F")
                }
                put("user.\(field) == \"\(number)\"", value == number)
                put("user.\(field) < \(number)", value.map { $0 < number } ?? false)
                put("user.\(field) not in [\"\(number)\"]", value != number)
            }
        }
        let foldings = [
            ("not (T)", "F"), ("not (F)", "T"), ("(T or T)", "T"), ("(T or F)", "T"), ("(F or T)", "T"),
            ("(F or F)", "F"),
            ("(T and T)", "T"), ("(T and F)", "F"), ("(F and T)", "F"), ("(F and F)", "F"),
        ]
        while text.count > 1 {
            let before = text
            for (pattern, result) in foldings {
                text = text.split(separator: pattern, omittingEmptySubsequences: false).joined(separator: result)
            }
            if text == before { break }
        }
        return text == "T"
    }

    @Test("random bytes are refused or read, and never anything else")
    func fuzz() {
        var random = SeededRandom(seed: 9)
        let words = [
            "user.a", "and", "or", "not", "(", ")", "==", "!=", "<", "\"", "'", "\\", "in", "[", "]", ",", "1", "-",
            ".",
            "é", "😀", " ", "\n", "\u{0}", "matches", "within", "true", "user", "1.2.3", "&&", "|", "=",
        ]
        for _ in 0..<(isLong ? 200_000 : 5_000) {
            let text = (0..<random.below(12)).map { _ in words[random.below(words.count)] }.joined(
                separator: random.chance(0.5) ? " " : "")
            do {
                let rule = try TargetingRule(parsing: text)
                #expect((try? TargetingRule(parsing: rule.description).description) == rule.description, "\(text)")
            } catch {
                if let character = error.character { #expect((1...text.count + 1).contains(character)) }
            }
        }
    }
}
