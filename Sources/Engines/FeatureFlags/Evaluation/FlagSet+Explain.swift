import KernelStructures

/// Why somebody sees a feature, or does not: each step of the decision, with what was compared with what.
public struct FlagExplanation: Equatable, Sendable {
    public var flag: String
    public var isEnabled: Bool
    public var reason: Reason
    public var parents: [Parent] = []
    public var strategies: [Strategy] = []
    /// Nil for those who see nothing, and for a flag without variants.
    public var variant: Variant?

    public enum Reason: String, Sendable {
        case unknownFlag = "there is no such flag"
        case off = "the flag is off"
        case parent = "a parent does not allow it"
        case everybody = "the flag is on, and has no strategies"
        case strategy = "a strategy lets them in"
        case noStrategy = "no strategy lets them in"
    }

    public struct Parent: Equatable, Sendable {
        public let flag: String
        /// What is asked of it: `on`, `off`, `shows red or blue`.
        public let demand: String
        public let isMet: Bool
    }

    public struct Strategy: Equatable, Sendable {
        public let name: String
        public let title: String?
        public let constraints: [Constraint]
        public let areConstraintsMet: Bool
        /// Nil for a strategy without a percentage.
        public let rollout: Rollout?
        /// For other strategies: the rule in words.
        public let rule: String
        public let isMet: Bool
    }

    public struct Constraint: Equatable, Sendable {
        public let text: String
        /// What the context has there.
        public let value: String?
        public let isFromSegment: Bool
        public let isMet: Bool
    }

    public struct Rollout: Equatable, Sendable {
        public let percent: Int
        /// What was hashed: `group:id`; nil where chance decided, or what decides is missing.
        public let input: String?
        public let hash: UInt32?
        /// 1 to 100; nil where what decides is missing.
        public let bucket: Int?
    }

    public struct Variant: Equatable, Sendable {
        public let name: String
        public let payload: FlagPayload?
        public let input: String?
        public let bucket: Int?
        public let totalWeight: Int
        public let isOverride: Bool
    }
}

extension FlagSet {
    /// The whole way of a decision; it decides as `isEnabled` and `variant` do.
    public func explain(_ name: String, _ context: FlagContext, now: LabTime, chance: UInt64 = 0) -> FlagExplanation {
        guard let place = place(of: name) else {
            return FlagExplanation(flag: name, isEnabled: false, reason: .unknownFlag)
        }
        let flag = flags[place]
        var result = FlagExplanation(flag: name, isEnabled: false, reason: .noStrategy)
        result.parents = flag.definition.dependencies.map { one in
            .init(flag: one.feature, demand: Self.demand(one), isMet: allows(one, context, now, chance))
        }
        result.strategies = flag.strategies.map { Self.explain($0, context, now, chance) }
        result.isEnabled = isEnabled(at: place, context, now: now, chance: chance)
        if !flag.definition.isEnabled {
            result.reason = .off
        } else if result.parents.contains(where: { !$0.isMet }) {
            result.reason = .parent
        } else if flag.strategies.isEmpty {
            result.reason = .everybody
        } else if result.isEnabled {
            result.reason = .strategy
        }
        if result.isEnabled, let table = variantTable(flag, context, now, chance) {
            result.variant = Self.explain(table, context, chance)
        }
        return result
    }

    private static func demand(_ dependency: FlagDependency) -> String {
        guard dependency.isEnabled else { return "off" }
        return dependency.variants.isEmpty ? "on" : "shows " + dependency.variants.joined(separator: " or ")
    }

    private static func explain(
        _ strategy: CompiledStrategy, _ context: FlagContext, _ now: LabTime, _ chance: UInt64
    ) -> FlagExplanation.Strategy {
        let constraints = strategy.constraints.enumerated().map { index, constraint in
            FlagExplanation.Constraint(
                text: constraint.definition.text,
                value: ContextField(constraint.definition.contextName).value(in: context),
                isFromSegment: index >= strategy.ownConstraintCount, isMet: constraint.isMet(context, now: now))
        }
        var rollout: FlagExplanation.Rollout?
        var words = strategy.definition.name
        switch strategy.rule {
        case .rollout(let percent, let stickiness, let group):
            let id = stickiness.id(context)
            rollout = .init(
                percent: percent, input: id.map { "\(group):\($0)" },
                hash: id.map { RolloutHash.hash(group: group, id: $0) },
                bucket: CompiledStrategy.bucket(context, stickiness, group, chance))
            words = "\(percent)% rollout"
        case .dice(let percent): words = "\(percent)% by chance each time"
        case .everybody: words = "everybody"
        case .unknown: words = "unknown strategy \(strategy.definition.name): nobody"
        case .users(let list): words = "one of \(counted(list.count, "user"))"
        case .networks(let blocks): words = "one of \(counted(blocks.count, "network"))"
        case .hosts: words = "certain machines"
        }
        if strategy.lacksSegment { words += ", but a segment is missing" }
        if strategy.definition.isDisabled { words += ", but it is disabled" }
        return .init(
            name: strategy.definition.name, title: strategy.definition.title, constraints: constraints,
            areConstraintsMet: !strategy.lacksSegment && constraints.allSatisfy(\.isMet), rollout: rollout, rule: words,
            isMet: strategy.isMet(context, now: now, chance: chance))
    }

    private static func explain(
        _ table: VariantTable, _ context: FlagContext, _ chance: UInt64
    ) -> FlagExplanation.Variant? {
        guard let index = table.index(context, chance) else { return nil }
        let definition = table.definitions[index]
        return .init(
            name: definition.name, payload: definition.payload, input: table.id(context).map { "\(table.group):\($0)" },
            bucket: table.totalWeight > 0 ? table.bucket(context, chance) : nil, totalWeight: table.totalWeight,
            isOverride: table.isOverridden(context))
    }
}
