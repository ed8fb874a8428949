import KernelStructures

/// Feature flags, made ready to be asked: which features somebody sees, and in which variant.
///
/// ## The problem
///
/// A new checkout is finished, and nobody knows what it does to a million people at once. If it is on as soon as it is
/// deployed, the first mistake is everybody's, and the way back is another deployment. So the code ships dark, and a
/// switch decides at each request who sees it: nobody, the staff, one percent, half of those in one country, all. The
/// switch must not cost anything (it is asked on the way of every request), must give the same person the same answer
/// each time, on every machine, and must go off everywhere at once when the new checkout burns.
///
/// ## An everyday picture
///
/// A theatre with an open dress rehearsal. At the door stands an usher with a list of *strategies*: friends of the
/// house; critics; and of everybody else those whose ticket's number ends in 0. Whoever fits one of them may go in. The
/// usher rolls no dice: the ticket's number is the same tomorrow, so whoever was in today is in tomorrow, and if the
/// house lets in those with a 1 as well, nobody who was in is sent away. He has the list in his hand and rings nobody
/// up; when the office changes it, he is sent a new one.
///
/// ## How
///
/// The model is Unleash's (its client specification, v6), so that its clients decide as this does:
///
/// ```
/// flag ── parents must be on ──▶ strategies, one of which must be met
///                                   └─ constraints and segments: all of them
///                                   └─ a rule: percent of a hash, names, addresses …
///                                   └─ variants of its own, or else the flag's: by a second hash over weights
/// ```
///
/// `RolloutHash` gives 1 to 100 for a flag's group and a person; somebody is in if that is not above the rollout's
/// percent. So raising the percent only adds people, and two flags do not share their first percent. Definitions are
/// compiled when they come (patterns, versions, lists, networks), and a decision is a look-up, a few comparisons and a
/// hash, without an allocation.
///
/// The other parts stand beside it: `Rules/` makes strategies from `user.country == "US" and not user.beta`,
/// `FlagSet+Explain` says why somebody is in or out, `Analysis/` who would change, and which variant is winning,
/// `Store/` is what the server knows, `Client/` what a program uses.
///
/// ## Where it is wrong
///
/// A percentage is of hashes, not of people who come: of 10 users 10 percent may be none. People who change what
/// decides (a session that begins anew, a device without a login) change sides. And a flag that nobody takes away again
/// is a branch in the code that nobody dares to touch: see the report of stale flags.
public struct FlagSet: Sendable {
    public let definitions: FlagDefinitions
    let flags: [CompiledFlag]
    private let places: [String: Int]

    struct CompiledFlag: Sendable {
        let definition: FlagDefinition
        let strategies: [CompiledStrategy]
        let variants: VariantTable?
    }

    public static let empty = FlagSet(FlagDefinitions())

    /// - Parameter hostName: the machine's, for the strategy `applicationHostname`.
    public init(_ definitions: FlagDefinitions, hostName: String? = nil) {
        self.definitions = definitions
        let segments = Dictionary(definitions.segments.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        flags = definitions.flags.map { flag in
            CompiledFlag(
                definition: flag,
                strategies: flag.strategies.map {
                    CompiledStrategy($0, flag: flag.name, segments: segments, hostName: hostName)
                }, variants: VariantTable(flag.variants, group: flag.name))
        }
        places = Dictionary(
            definitions.flags.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { $1 })
    }

    public var names: [String] { definitions.flags.map(\.name) }

    /// Where a flag stands in `definitions`; nil for one that there is not.
    public func place(of name: String) -> Int? { places[name] }

    public func contains(_ name: String) -> Bool { places[name] != nil }

    // MARK: Decisions

    /// Whether somebody sees a feature; nobody sees one that there is not.
    ///
    /// - Parameters:
    ///   - now: what time it is, for constraints on it.
    ///   - chance: 64 random bits, for whoever has neither user nor session; the same ones give the same answer.
    public func isEnabled(_ name: String, _ context: FlagContext, now: LabTime, chance: UInt64 = 0) -> Bool {
        guard let place = places[name] else { return false }
        return isEnabled(at: place, context, now: now, chance: chance)
    }

    /// - Parameter place: from `place(of:)`.
    public func isEnabled(at place: Int, _ context: FlagContext, now: LabTime, chance: UInt64 = 0) -> Bool {
        let flag = flags[place]
        if !flag.definition.dependencies.isEmpty, !parentsAllow(flag, context, now, chance) { return false }
        return isOn(flag, context, now, chance)
    }

    /// What somebody is shown; the variant called `disabled` for those who see nothing.
    public func variant(_ name: String, _ context: FlagContext, now: LabTime, chance: UInt64 = 0) -> FlagVariant {
        guard let place = places[name] else { return .disabled(isFeatureEnabled: false) }
        return variant(at: place, context, now: now, chance: chance)
    }

    public func variant(at place: Int, _ context: FlagContext, now: LabTime, chance: UInt64 = 0) -> FlagVariant {
        let flag = flags[place]
        guard parentsAllow(flag, context, now, chance) else { return .disabled(isFeatureEnabled: false) }
        return ownVariant(flag, context, now, chance)
    }

    // MARK: One flag, without its parents

    private func isOn(_ flag: CompiledFlag, _ context: FlagContext, _ now: LabTime, _ chance: UInt64) -> Bool {
        guard flag.definition.isEnabled else { return false }
        if flag.strategies.isEmpty { return true }
        for strategy in flag.strategies where strategy.isMet(context, now: now, chance: chance) { return true }
        return false
    }

    func ownVariant(_ flag: CompiledFlag, _ context: FlagContext, _ now: LabTime, _ chance: UInt64) -> FlagVariant {
        guard flag.definition.isEnabled else { return .disabled(isFeatureEnabled: false) }
        guard let table = variantTable(flag, context, now, chance) else {
            return .disabled(isFeatureEnabled: isOn(flag, context, now, chance))
        }
        return table.choose(context, chance)
    }

    /// The variants of the first strategy that is met, or else the flag's; nil if it has none, or none is met.
    func variantTable(_ flag: CompiledFlag, _ context: FlagContext, _ now: LabTime, _ chance: UInt64) -> VariantTable? {
        if flag.strategies.isEmpty { return flag.variants }
        guard let met = flag.strategies.first(where: { $0.isMet(context, now: now, chance: chance) }) else {
            return nil
        }
        return met.variants ?? flag.variants
    }

    // MARK: Parents

    /// Parents have no parents: one that has, and one that does not exist, lets nobody in (so there are no circles).
    func parentsAllow(_ flag: CompiledFlag, _ context: FlagContext, _ now: LabTime, _ chance: UInt64) -> Bool {
        flag.definition.dependencies.allSatisfy { allows($0, context, now, chance) }
    }

    func allows(_ dependency: FlagDependency, _ context: FlagContext, _ now: LabTime, _ chance: UInt64) -> Bool {
        guard let place = places[dependency.feature], flags[place].definition.dependencies.isEmpty else { return false }
        let isOn = isOn(flags[place], context, now, chance)
        guard dependency.isEnabled else { return !isOn }
        if !isOn || dependency.variants.isEmpty { return isOn }
        return dependency.variants.contains(ownVariant(flags[place], context, now, chance).name)
    }
}
