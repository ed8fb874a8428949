import KernelStructures

/// Who changes if a flag is changed: exactly, person by person, and not by estimate.
public struct RolloutDifference: Equatable, Sendable {
    /// Users that were looked at.
    public let userCount: Int
    public let enabledBefore: Int
    public let enabledAfter: Int
    /// In the order in which they were given.
    public let gaining: [String]
    public let losing: [String]
    /// Those who see the feature before and after, but another variant.
    public let changingVariant: [String]

    /// Users that are looked at, at most.
    public static let userLimit = 1_000_000

    /// - Parameter users: each with the id under which it is listed.
    public init(
        flag: String, before: FlagSet, after: FlagSet, users: [(id: String, context: FlagContext)], now: LabTime
    ) {
        var gaining: [String] = []
        var losing: [String] = []
        var changing: [String] = []
        var counts = (before: 0, after: 0)
        for user in users {
            let chance = stableHash(user.id)
            let was = before.isEnabled(flag, user.context, now: now, chance: chance)
            let isNow = after.isEnabled(flag, user.context, now: now, chance: chance)
            counts.before += was ? 1 : 0
            counts.after += isNow ? 1 : 0
            switch (was, isNow) {
            case (false, true): gaining.append(user.id)
            case (true, false): losing.append(user.id)
            case (true, true):
                let old = before.variant(flag, user.context, now: now, chance: chance).name
                if old != after.variant(flag, user.context, now: now, chance: chance).name { changing.append(user.id) }
            case (false, false): break
            }
        }
        userCount = users.count
        enabledBefore = counts.before
        enabledAfter = counts.after
        self.gaining = gaining
        self.losing = losing
        changingVariant = changing
    }
}
