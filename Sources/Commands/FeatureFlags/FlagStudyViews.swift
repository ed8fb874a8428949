import CommandKit
import FeatureFlagsEngine
import FeatureFlagsService
import KernelJSON
import KernelStructures

private func percent(_ share: Double) -> String { fixedDecimal(share * 100, places: 1) + "%" }

extension FlagExplanation {
    /// The strategy that decided: one that is met, or of those whose constraints are, the most generous one.
    private var decisive: Strategy? {
        strategies.first(where: \.isMet)
            ?? strategies.filter(\.areConstraintsMet).max { ($0.rollout?.percent ?? 0) < ($1.rollout?.percent ?? 0) }
    }

    private var who: String {
        guard let decisive, !decisive.constraints.isEmpty || decisive.title != nil else { return "everybody" }
        return decisive.title ?? decisive.text
    }

    /// `flags-cli evaluate`: what was decided, and by what.
    func shortView(_ context: FlagContext) -> View {
        var lines = [
            "Flag: \(flag)", "User: \(context.userID ?? context.sessionID ?? "(nobody in particular)")",
        ]
        if let bucket = (decisive ?? strategies.first)?.rollout?.bucket {
            lines.append("Bucket: \(bucket) (out of 100)")
        }
        switch reason {
        case .strategy, .noStrategy:
            lines.append(decisive.map { "Rule match: \(who) (\($0.rule))" } ?? "Rule match: none")
        default: lines.append("Rule match: none (\(reason.rawValue))")
        }
        if let variant { lines.append("Variant: \(variant.name)\(variant.isOverride ? " (by override)" : "")") }
        lines.append("Result: \(isEnabled ? "ENABLED" : "DISABLED")")
        return View(.text(lines.joined(separator: "\n"), json: json(context)))
    }

    /// `flags-cli explain`: every step.
    func longView(_ context: FlagContext) -> View {
        var lines = ["\(flag): \(isEnabled ? "ENABLED" : "DISABLED"), because \(reason.rawValue)"]
        for parent in parents {
            lines.append("  parent \(parent.flag) must be \(parent.demand): \(Self.mark(parent.isMet))")
        }
        for (index, strategy) in strategies.enumerated() {
            lines.append("  strategy \(index + 1), \(strategy.rule): \(strategy.isMet ? "lets them in" : "does not")")
            for one in strategy.constraints {
                let value = one.value.map { "\"\($0)\"" } ?? "not known"
                let source = one.isFromSegment ? " (of a segment)" : ""
                lines.append("    \(one.text)\(source): is \(value), \(Self.mark(one.isMet))")
            }
            if let rollout = strategy.rollout { lines.append("    " + rollout.text) }
        }
        if let variant { lines.append("  " + variant.text) }
        return View(.text(lines.joined(separator: "\n"), json: json(context)))
    }

    private static func mark(_ isMet: Bool) -> String { isMet ? "met" : "not met" }

    private func json(_ context: FlagContext) -> JSONValue {
        .object([
            ("flag", .string(flag)), ("context", context.json), ("enabled", .bool(isEnabled)),
            ("reason", .string(reason.rawValue)),
            (
                "parents",
                .array(
                    parents.map {
                        .object([("flag", .string($0.flag)), ("demand", .string($0.demand)), ("met", .bool($0.isMet))])
                    })
            ), ("strategies", .array(strategies.map(\.json))), ("variant", variant?.json ?? .null),
        ])
    }
}

extension FlagExplanation.Strategy {
    fileprivate var text: String { constraints.map(\.text).joined(separator: " and ") }

    fileprivate var json: JSONValue {
        .object([
            ("name", .string(name)), ("title", title.map { .string($0) } ?? .null),
            (
                "constraints",
                .array(
                    constraints.map { one in
                        .object([
                            ("text", .string(one.text)), ("value", one.value.map { .string($0) } ?? .null),
                            ("segment", .bool(one.isFromSegment)), ("met", .bool(one.isMet)),
                        ])
                    })
            ),
            (
                "rollout",
                rollout.map { one in
                    .object([
                        ("percent", .integer(one.percent)), ("input", one.input.map { .string($0) } ?? .null),
                        ("hash", one.hash.map { .integer(Int($0)) } ?? .null),
                        ("bucket", one.bucket.map { .integer($0) } ?? .null),
                    ])
                } ?? .null
            ), ("met", .bool(isMet)),
        ])
    }
}

extension FlagExplanation.Rollout {
    fileprivate var text: String {
        guard let bucket else { return "nobody knows by what to divide: nobody" }
        guard let input, let hash else { return "by chance: bucket \(bucket), and \(percent)% are let in" }
        let order = bucket <= percent ? "at most" : "more than"
        return "murmur3(\"\(input)\") = \(hash), bucket \(bucket) of 100 is \(order) \(percent)"
    }
}

extension FlagExplanation.Variant {
    fileprivate var text: String {
        if isOverride { return "variant \(name), by override" }
        guard let bucket else { return "variant \(name)" }
        let source = input.map { "murmur3(\"\($0)\")" } ?? "chance"
        return "variant \(name), by \(source): \(bucket) of \(totalWeight)"
    }

    fileprivate var json: JSONValue {
        .object([
            ("name", .string(name)), ("payload", payload?.json ?? .null),
            ("bucket", bucket.map { .integer($0) } ?? .null), ("total_weight", .integer(totalWeight)),
            ("override", .bool(isOverride)),
        ])
    }
}

extension RolloutDifference {
    private static let shownLimit = 20

    func view(_ flag: String, _ what: String) -> View {
        func share(_ count: Int) -> String { percent(userCount == 0 ? 0 : Double(count) / Double(userCount)) }
        func amount(_ count: Int) -> String { "\(grouped(count)) (\(share(count)))" }
        func list(_ users: [String]) -> String {
            let shown = users.prefix(Self.shownLimit).joined(separator: ", ")
            let more = users.count - Self.shownLimit
            return "\(grouped(users.count)) (\(share(users.count)))" + (users.isEmpty ? "" : ": \(shown)")
                + (more > 0 ? " and \(grouped(more)) more" : "")
        }
        var lines = [
            "\(flag) → \(what), of \(counted(userCount, "user"))",
            "Enabled:  \(amount(enabledBefore)) → \(amount(enabledAfter))",
            "Gaining:  \(list(gaining))", "Losing:   \(list(losing))",
        ]
        if !changingVariant.isEmpty { lines.append("Changing: \(list(changingVariant))") }
        let json = JSONValue.object([
            ("flag", .string(flag)), ("users", .integer(userCount)), ("before", .integer(enabledBefore)),
            ("after", .integer(enabledAfter)), ("gaining", .array(gaining.map { .string($0) })),
            ("losing", .array(losing.map { .string($0) })),
            ("changing_variant", .array(changingVariant.map { .string($0) })),
        ])
        return View(.text(lines.joined(separator: "\n"), json: json))
    }
}

extension FlagStatistics {
    var view: View {
        let total = cell.total
        let share = total == 0 ? 0 : Double(cell.yes) / Double(total)
        // A flag without variants has two sides all the same: those who do not see it, and those who do.
        let variants =
            cell.variants.isEmpty
            ? [("control", cell.no), ("treatment", cell.yes)]
            : cell.variants.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        let byVariant = variants.map { "\($0.0)=\(grouped($0.1))" }.joined(separator: ", ")
        let json = JSONValue.object([
            ("flag", .string(flag)), ("environment", .string(environment)), ("last_ms", .milliseconds(last)),
            ("evaluations", .integer(total)), ("enabled", .integer(cell.yes)),
            ("variants", .object(variants.map { ($0.0, .integer($0.1)) })),
        ])
        return View(
            .text(
                """
                Flag: \(flag)
                Evaluations: \(grouped(total))
                Enabled: \(grouped(cell.yes)) (\(percent(share)))
                By variant: \(byVariant)
                """, json: json))
    }
}

extension Experiment {
    func view(_ flag: String, _ goal: String) -> View {
        let rows = arms.map { arm -> [View.Cell] in
            let interval = "\(percent(arm.interval.lowerBound)) … \(percent(arm.interval.upperBound))"
            let difference = arm.difference.map { one -> String in
                let (low, high) = (Self.points(one.interval.lowerBound), Self.points(one.interval.upperBound))
                return "\(Self.points(one.value)) (\(low) … \(high))"
            }
            return [
                .text(arm.sample.variant), .integer(arm.sample.exposed), .integer(arm.sample.converted),
                .share(arm.rate), .text(interval), difference.map { .text($0) } ?? .none,
            ]
        }
        var view = View(
            .record([
                .init("experiment", key: "flag", .text(flag)), .init("goal", key: "goal", .text(goal)),
                .init("verdict", key: "verdict", .text(verdictText)),
                .init(
                    "ratio", key: "ratio_p",
                    ratioProbability.map {
                        .init(
                            hasRatioMismatch
                                ? "people are not divided as they should be (p = \(Self.small($0)))"
                                : "as it should be (p = \(Self.small($0)))", json: .number($0))
                    } ?? .none),
            ]),
            .table(
                .init(
                    [
                        .init("VARIANT", key: "name", flexible: true), .init("PEOPLE", key: "exposed", right: true),
                        .init("GOAL", key: "converted", right: true), .init("RATE", key: "rate", right: true),
                        .init("95% INTERVAL", key: "interval"), .init("AGAINST CONTROL", key: "difference"),
                    ], rows: rows, whenEmpty: "it has no variants")))
        view.json = json(flag, goal)
        return view
    }

    private var verdictText: String {
        switch verdict {
        case .nobody: "nobody has come yet"
        case .mismatch: "do not trust it: something loses people on one side"
        case .undecided: "undecided: no difference that chance would not explain"
        case .winner(let name): "\(name) is winning"
        case .controlWins(let name): "\(name) is best: everything else is worse"
        }
    }

    /// `+1.5`, in points of a percentage.
    private static func points(_ value: Double) -> String {
        (value < 0 ? "" : "+") + fixedDecimal(value * 100, places: 1)
    }

    private static func small(_ probability: Double) -> String {
        probability < 0.0001 ? "<0.0001" : fixedDecimal(probability, places: 4)
    }

    private func json(_ flag: String, _ goal: String) -> JSONValue {
        let arms = arms.map { arm -> JSONValue in
            .object([
                ("variant", .string(arm.sample.variant)), ("weight", .integer(arm.sample.weight)),
                ("exposed", .integer(arm.sample.exposed)), ("converted", .integer(arm.sample.converted)),
                ("rate", .number(arm.rate)),
                ("interval", .array([.number(arm.interval.lowerBound), .number(arm.interval.upperBound)])),
                (
                    "difference",
                    arm.difference.map { one in
                        .object([
                            ("value", .number(one.value)),
                            ("interval", .array([.number(one.interval.lowerBound), .number(one.interval.upperBound)])),
                            ("significant", .bool(one.isSignificant)),
                        ])
                    } ?? .null
                ),
            ])
        }
        return .object([
            ("flag", .string(flag)), ("goal", .string(goal)), ("verdict", .string(verdictText)),
            ("ratio_p", ratioProbability.map { .number($0) } ?? .null), ("variants", .array(arms)),
        ])
    }
}
