import KernelStructures

/// Whom a flag is shown to: people of a rule, of a segment, or those of a segment whom the rule means.
struct TargetedPeople {
    private let rule: TargetingRule?
    private let segment: FlagSegment?

    /// - Throws: `FlagError` where the rule cannot be read, or there is no such segment.
    init(rule text: String?, segment name: String?, in store: FlagStore) throws(FlagError) {
        guard text != nil || name != nil else {
            throw FlagError(.invalid, "whom?", remedy: "give a rule or a segment")
        }
        do throws(TargetingRuleError) {
            rule = if let text { try TargetingRule(parsing: text) } else { nil }
        } catch {
            throw FlagError(.invalid, error.description)
        }
        let names = store.segments.values.map(\.name).sorted()
        if let name {
            guard let found = store.segments.values.first(where: { $0.name == name }) else {
                throw FlagError(
                    .missing, "there is no segment '\(name.prefix(60))'\(didYouMean(name, among: names))",
                    remedy: "flags-cli segments lists them")
            }
            segment = found
        } else {
            segment = nil
        }
        // Whoever writes `user.segment == "staff"` means the segment, and would ask for an attribute of that name.
        let asked = try rule?.namedSegments ?? []
        if let meant = asked.first(where: names.contains) {
            throw FlagError(
                .invalid, "user.segment would be a field of the context, and '\(meant)' is a segment",
                remedy: "use --segment \(meant) (in the API: \"segment\": \"\(meant)\")")
        }
    }

    /// What the strategies that it makes are known by.
    var title: String {
        guard let segment else { return rule?.description ?? "" }
        return "segment \(segment.name)" + (rule.map { " and (\($0.description))" } ?? "")
    }

    /// `US users` for a rule about one country, `users with …` for all others.
    var text: String {
        if segment == nil, case .constraint(let constraint)? = rule, constraint.operator == .isIn,
            constraint.values.count == 1, ["country", "region", "plan", "tenant"].contains(constraint.contextName)
        {
            return "\(constraint.values[0]) users"
        }
        if segment != nil, rule == nil { return "users of \(title)" }
        return segment == nil ? "users with \(title)" : "users of \(title)"
    }

    func strategies(percent: Int, group: String) throws(FlagError) -> [FlagStrategy] {
        var made: [FlagStrategy]
        do throws(TargetingRuleError) {
            made =
                try rule?.strategies(percent: percent, group: group)
                ?? [.rollout(percent: percent, group: group)]
        } catch {
            throw FlagError(.invalid, error.description)
        }
        for index in made.indices {
            made[index].title = title
            if let segment { made[index].segments = [segment.id] }
        }
        return made
    }
}

extension TargetingRule {
    /// What the rule compares `user.segment` with.
    fileprivate var namedSegments: [String] {
        get throws(FlagError) {
            do throws(TargetingRuleError) {
                return try products().flatMap { $0 }.filter { $0.contextName == "segment" }.flatMap {
                    $0.values + ($0.value.map { [$0] } ?? [])
                }
            } catch {
                throw FlagError(.invalid, error.description)
            }
        }
    }
}
