import KernelStructures

/// By what people keep what they were given.
enum Stickiness: Sendable, Equatable {
    /// The user, or else the session, or else nobody: chance decides.
    case usual
    case random
    case field(ContextField)

    init(_ name: String?) {
        self =
            switch name {
            case nil, "", "default": .usual
            case "random": .random
            case let name?: .field(ContextField(name))
            }
    }

    /// Nil where chance decides, or nothing does.
    @inline(__always)
    func id(_ context: FlagContext) -> String? {
        switch self {
        case .usual: context.userID ?? context.sessionID
        case .random: nil
        case .field(let field): field.value(in: context)
        }
    }
}

/// A strategy made ready.
struct CompiledStrategy: Sendable {
    let definition: FlagStrategy
    /// Its own, and those of its segments.
    let constraints: [CompiledConstraint]
    /// How many of them are its own; the others come from segments.
    let ownConstraintCount: Int
    /// A segment that nobody knows keeps everybody out.
    let lacksSegment: Bool
    let rule: Rule
    let variants: VariantTable?

    enum Rule: Sendable {
        case everybody
        /// A strategy of tomorrow lets nobody in.
        case unknown
        case rollout(percent: Int, Stickiness, group: String)
        /// Chance at each evaluation, and nobody keeps what he had.
        case dice(percent: Int)
        case users(Set<String>)
        case networks([AddressBlock])
        case hosts(Bool)
    }

    init(_ definition: FlagStrategy, flag: String, segments: [Int: FlagSegment], hostName: String?) {
        self.definition = definition
        let known = definition.segments.compactMap { segments[$0] }
        lacksSegment = known.count < definition.segments.count
        ownConstraintCount = definition.constraints.count
        constraints = (definition.constraints + known.flatMap(\.constraints)).map(CompiledConstraint.init)
        rule = Self.rule(definition, flag: flag, hostName: hostName)
        variants = VariantTable(
            definition.variants, group: definition.parameters["groupId"] ?? flag,
            stickiness: definition.parameters["stickiness"])
    }

    private static func rule(_ definition: FlagStrategy, flag: String, hostName: String?) -> Rule {
        let parameters = definition.parameters
        func percent(_ name: String) -> Int { parameters[name].flatMap(FlagNumber.percent) ?? 0 }
        func list(_ name: String) -> [Substring] {
            (parameters[name] ?? "").split(separator: ",").map { part in
                let start = part.drop { $0.isWhitespace }
                return start.lastIndex { !$0.isWhitespace }.map { start[...$0] } ?? start.prefix(0)
            }.filter { !$0.isEmpty }
        }
        switch definition.name {
        case "default": return .everybody
        case "flexibleRollout":
            let group = parameters["groupId"].flatMap { $0.isEmpty ? nil : $0 } ?? flag
            return .rollout(percent: percent("rollout"), Stickiness(parameters["stickiness"]), group: group)
        case "gradualRolloutUserId":
            return .rollout(percent: percent("percentage"), .field(.userID), group: parameters["groupId"] ?? "")
        case "gradualRolloutSessionId":
            return .rollout(percent: percent("percentage"), .field(.sessionID), group: parameters["groupId"] ?? "")
        case "gradualRolloutRandom": return .dice(percent: percent("percentage"))
        case "userWithId": return .users(Set(list("userIds").map(String.init)))
        case "remoteAddress": return .networks(list("IPs").compactMap { AddressBlock(parsing: $0) })
        case "applicationHostname":
            let wanted = hostName?.lowercased()
            return .hosts(wanted != nil && list("hostNames").contains { $0.lowercased() == wanted })
        default: return .unknown
        }
    }

    /// - Parameter chance: 64 random bits of this evaluation.
    func isMet(_ context: FlagContext, now: LabTime, chance: UInt64) -> Bool {
        if lacksSegment || definition.isDisabled { return false }
        for constraint in constraints where !constraint.isMet(context, now: now) { return false }
        return letsIn(context, chance)
    }

    func letsIn(_ context: FlagContext, _ chance: UInt64) -> Bool {
        switch rule {
        case .everybody: return true
        case .unknown: return false
        case .rollout(let percent, let stickiness, let group):
            guard let bucket = Self.bucket(context, stickiness, group, chance) else { return false }
            return bucket <= percent
        case .dice(let percent): return Self.drawn(chance) <= percent
        case .users(let list): return context.userID.map { list.contains($0) } ?? false
        case .networks(let blocks):
            guard let address = context.remoteAddress.flatMap({ IPAddress(parsing: $0) }) else { return false }
            return blocks.contains { $0.contains(address) }
        case .hosts(let isOne): return isOne
        }
    }

    /// 1 to 100; nil where the field that decides is missing.
    static func bucket(_ context: FlagContext, _ stickiness: Stickiness, _ group: String, _ chance: UInt64) -> Int? {
        if let id = stickiness.id(context) { return RolloutHash.bucket(group: group, id: id, of: 100) }
        switch stickiness {
        case .usual, .random: return drawn(chance)
        case .field: return nil
        }
    }

    private static func drawn(_ chance: UInt64) -> Int { Int(chance % 100) + 1 }
}

/// Variants made ready: who gets which.
struct VariantTable: Sendable {
    let definitions: [FlagVariantDefinition]
    let group: String
    private let stickiness: Stickiness
    private let results: [FlagVariant]
    let totalWeight: Int
    private let overrides: [(field: ContextField, values: Set<String>, index: Int)]

    /// Nil for no variants.
    ///
    /// - Parameter stickiness: where the first variant says nothing of its own.
    init?(_ definitions: [FlagVariantDefinition], group: String, stickiness usual: String? = nil) {
        guard let first = definitions.first else { return nil }
        self.definitions = definitions
        self.group = group
        stickiness = Stickiness(first.stickiness ?? usual)
        totalWeight = definitions.reduce(0) {
            $0 + max(0, min($1.weight, FlagVariantDefinition.weightRange.upperBound))
        }
        results = definitions.map {
            FlagVariant($0.name, payload: $0.payload, isEnabled: true, isFeatureEnabled: true)
        }
        overrides = definitions.enumerated().flatMap { index, one in
            one.overrides.map { (ContextField($0.contextName), Set($0.values), index) }
        }
    }

    func choose(_ context: FlagContext, _ chance: UInt64) -> FlagVariant {
        guard let index = index(context, chance) else { return .disabled(isFeatureEnabled: true) }
        return results[index]
    }

    /// Nil where all weights are 0.
    func index(_ context: FlagContext, _ chance: UInt64) -> Int? {
        for override in overrides {
            if let value = override.field.value(in: context), override.values.contains(value) { return override.index }
        }
        guard totalWeight > 0 else { return nil }
        let bucket = bucket(context, chance)
        var sum = 0
        for (index, definition) in definitions.enumerated() {
            sum += definition.weight
            if bucket <= sum { return index }
        }
        return nil
    }

    func isOverridden(_ context: FlagContext) -> Bool {
        overrides.contains { one in one.field.value(in: context).map { one.values.contains($0) } ?? false }
    }

    func id(_ context: FlagContext) -> String? { stickiness.id(context) }

    /// 1 to the sum of weights.
    func bucket(_ context: FlagContext, _ chance: UInt64) -> Int {
        if let id = id(context) {
            return RolloutHash.bucket(group: group, id: id, of: totalWeight, seed: RolloutHash.variantSeed)
        }
        return Int(mixed(chance) % UInt64(totalWeight)) + 1
    }
}
