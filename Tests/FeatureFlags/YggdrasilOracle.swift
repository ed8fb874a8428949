import FeatureFlagsEngine
import KernelJSON
import KernelStructures
import TestSupport
import Testing

/// Unleash's own engine, which most of its clients embed, as the judge of random flags.
///
/// Operands that cannot be read, empty lists of texts, operators of tomorrow and missing segments are left out: there
/// it gives up the whole flag, and lets everybody in by some of them; here only the strategy that has them lets nobody
/// in.
enum YggdrasilOracle {
    private static let texts = ["", "a", "abc", "ABC", "b", "é", "1", "12", "12.0", "-3", "1e3", "true"]
    private static let versions = [
        "1.0.0", "1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "2.1.3", "v1.0.0", "1.2", "",
    ]
    private static let addresses = ["10.0.0.1", "10.1.2.3", "192.168.0.1", "2001:db8::1", "nonsense", ""]
    private static let blocks = ["10.0.0.0/8", "10.0.0.1", "192.168.0.0/30", "2001:db8::/32", "10.0.0.0/33", "x"]
    private static let times = [
        "2023-12-20T14:00:00Z", "2023-12-20T16:00:00.500+01:00", "2024-01-01T00:00:00Z", "soon",
    ]
    private static let patterns = ["^a", "b$", "[0-9]+", "(?i)ABC", ".", "^$"]
    private static let numbers = ["1", "12", "12.0", "-3", "1000"]
    private static let fields = ["userId", "sessionId", "remoteAddress", "environment", "appName", "p", "q", "version"]

    static func compare(caseCount: Int) throws {
        var random = SeededRandom(seed: 16)
        func pick<T>(_ list: [T]) -> T { list[random.below(list.count)] }
        func constraint() -> FlagConstraint {
            let name = pick(FlagOperator.known)
            let kind = FlagOperator(name)
            let pool: [String]
            switch name.prefix(while: { $0 != "_" }) {
            case "SEMVER": pool = Array(versions.prefix(5))
            case "DATE": pool = Array(times.prefix(3))
            case "NUM": pool = numbers
            default: pool = name == "REGEX" ? patterns : name == "IN_CIDR" ? blocks : texts
            }
            let field = name.hasPrefix("DATE") ? "currentTime" : pick(fields)
            return FlagConstraint(
                field, kind, values: (0...random.below(2)).map { _ in pick(pool) }, value: pick(pool),
                isInverted: random.chance(0.3), ignoresCase: name.hasPrefix("STR") && random.chance(0.3))
        }
        func variants() -> [FlagVariantDefinition] {
            (0..<random.below(4)).map { index in
                FlagVariantDefinition(
                    "v\(index)", weight: random.below(5) * 10, stickiness: pick([nil, "userId", "p"]),
                    payload: random.chance(0.3) ? FlagPayload(type: "string", value: pick(texts)) : nil)
            }
        }
        func strategy(_ flag: String) -> FlagStrategy {
            var one = FlagStrategy(
                pick([
                    "default", "flexibleRollout", "flexibleRollout", "userWithId", "gradualRolloutUserId",
                    "gradualRolloutSessionId", "remoteAddress",
                ]))
            one.parameters = [
                "rollout": "\(random.below(101))", "percentage": "\(random.below(101))",
                "stickiness": pick(["default", "userId", "sessionId", "p"]), "groupId": pick([flag, "group"]),
                "userIds": pick(["1, 2,3", "", "7"]), "IPs": pick(["10.0.0.1, 192.168.0.0/30", "x, 10.1.2.3", ""]),
            ]
            one.constraints = (0..<random.below(3)).map { _ in constraint() }
            one.segments = random.chance(0.2) ? [1 + random.below(2)] : []
            one.variants = random.chance(0.3) ? variants() : []
            return one
        }
        var definitions = FlagDefinitions()
        definitions.segments = (1...2).map { FlagSegment(id: $0, name: "s\($0)", constraints: [constraint()]) }
        for index in 0..<200 {
            let name = "flag-\(index)"
            var flag = FlagDefinition(name, isEnabled: !random.chance(0.1), variants: variants())
            flag.strategies = (0..<random.below(3)).map { _ in strategy(name) }
            if index > 20, random.chance(0.2) {
                flag.dependencies = [
                    FlagDependency(
                        "flag-\(random.below(20))", isEnabled: !random.chance(0.3),
                        variants: random.chance(0.3) ? ["v0", "disabled"] : [])
                ]
            }
            definitions.flags.append(flag)
        }
        let cases = (0..<caseCount).map { _ -> (String, FlagContext) in
            var context = FlagContext("\(random.below(20))")
            if random.chance(0.5) { context.sessionID = "\(random.below(20))" }
            if random.chance(0.7) { context.remoteAddress = pick(addresses) }
            if random.chance(0.5) { context.environment = pick(texts) }
            if random.chance(0.5) { context.appName = pick(texts) }
            context.properties["p"] = pick(texts)
            if random.chance(0.7) { context.properties["q"] = pick(texts) }
            if random.chance(0.7) { context.properties["version"] = pick(versions) }
            context.currentTime = LabTime(parsing: pick(Array(times.prefix(3))))
            return ("flag-\(random.below(200))", context)
        }
        try judge(definitions, cases)
    }

    private static func judge(_ definitions: FlagDefinitions, _ cases: [(String, FlagContext)]) throws {
        let input = JSONValue.object([
            ("state", definitions.json),
            ("cases", .array(cases.map { .object([("flag", .string($0)), ("context", $1.json)]) })),
        ])
        let theirs = try TestPython.run(program, input: input.text(.compact)).split(separator: "\n")
        #expect(theirs.count == cases.count)
        let set = FlagSet(definitions)
        var differences: [String] = []
        for (line, (name, context)) in zip(theirs, cases) {
            let ours = "\(set.isOn(name, context)) \(set.variant(name, context, now: epoch).name)"
            guard ours != line else { continue }
            let flag = definitions.flags.first { $0.name == name }
            differences.append("theirs \(line), ours \(ours): \(flag?.json.text ?? "") for \(context.json.text)")
        }
        #expect(differences.isEmpty, "\(differences.count) differ:\n\(differences.prefix(5).joined(separator: "\n"))")
    }

    private static let program = """
        import json, sys
        from yggdrasil_engine.engine import UnleashEngine
        data = json.load(sys.stdin)
        engine = UnleashEngine()
        engine.take_state(json.dumps(data['state']))
        for case in data['cases']:
            on = engine.check_enabled(case['flag'], case['context']).is_enabled
            variant = engine.check_variant(case['flag'], case['context']).variant
            print('true' if on else 'false', variant.name if variant else 'disabled')
        """
}
