import KernelStructures

/// A flag as its server keeps it: what clients get of it depends on the environment.
public struct FlagRecord: Equatable, Sendable {
    public let name: String
    public var description = ""
    public var kind: FlagKind
    /// Whether it is there for its variants, or for yes and no.
    public var hasVariants: Bool
    public let createdAt: LabTime
    public var isArchived = false
    /// Somebody has said that it can go.
    public var isStale = false
    public var hasImpressionData = false
    public var dependencies: [FlagDependency] = []
    /// By environment; one that is missing is off and has no strategies.
    public var states: [String: FlagState] = [:]
    /// When a client last said that it had evaluated it.
    public var lastSeenAt: LabTime?

    public init(_ name: String, kind: FlagKind, hasVariants: Bool = false, createdAt: LabTime) {
        self.name = name
        self.kind = kind
        self.hasVariants = hasVariants
        self.createdAt = createdAt
    }

    public func state(in environment: String) -> FlagState { states[environment] ?? FlagState(changedAt: createdAt) }

    /// What a client in that environment gets.
    public func definition(in environment: String) -> FlagDefinition {
        let state = state(in: environment)
        var definition = FlagDefinition(
            name, isEnabled: state.isEnabled, strategies: state.strategies, variants: state.variants,
            dependencies: dependencies)
        definition.description = description.isEmpty ? nil : description
        definition.kind = kind.rawValue
        definition.isStale = isStale
        definition.hasImpressionData = hasImpressionData
        return definition
    }
}

/// What a flag does in one environment.
public struct FlagState: Equatable, Sendable {
    public var isEnabled = false
    /// Switched off everywhere at once: nothing but a person's word switches it on again.
    public var isKilled = false
    public var strategies: [FlagStrategy] = []
    public var variants: [FlagVariantDefinition] = []
    public var changedAt: LabTime

    public init(changedAt: LabTime) { self.changedAt = changedAt }

    /// Where the gradual rollout for everybody stands; nil if there is none.
    var generalIndex: Int? {
        strategies.firstIndex {
            $0.name == "flexibleRollout" && $0.constraints.isEmpty && $0.segments.isEmpty && !$0.isDisabled
        }
    }

    /// Percent of all that see it, those whom strategies of their own concern left aside.
    public var generalPercent: Int {
        guard isEnabled else { return 0 }
        if strategies.isEmpty { return 100 }
        return generalIndex.flatMap { strategies[$0].rolloutPercent } ?? 0
    }

    /// Whether everybody sees it.
    public var isForEverybody: Bool {
        isEnabled
            && (strategies.isEmpty
                || strategies.contains {
                    $0.constraints.isEmpty && $0.segments.isEmpty && !$0.isDisabled
                        && ($0.name == "default" || $0.rolloutPercent == 100)
                })
    }
}

/// What a flag is there for, and how long such a flag is meant to live (Unleash's lifetimes).
public enum FlagKind: String, Sendable, CaseIterable {
    case release, experiment, operational
    case killSwitch = "kill-switch"
    case permission

    /// Nil for those that stay.
    public var lifetime: LabDuration? {
        switch self {
        case .release, .experiment: .seconds(40 * 86_400)
        case .operational: .seconds(7 * 86_400)
        case .killSwitch, .permission: nil
        }
    }
}

/// A rollout that goes on by itself: 1 %, 10 %, 50 %, 100 %.
public struct RolloutSchedule: Equatable, Sendable {
    public let flag: String
    public let environment: String
    /// Percents, in their order.
    public let steps: [Int]
    public let every: LabDuration
    /// The step that is next.
    public var next: Int
    public var nextAt: LabTime

    public init(
        flag: String, environment: String, steps: [Int], every: LabDuration, next: Int = 0, nextAt: LabTime
    ) {
        self.flag = flag
        self.environment = environment
        self.steps = steps
        self.every = every
        self.next = next
        self.nextAt = nextAt
    }

    public static let stepLimit = 100
    public static let everyRange: ClosedRange<LabDuration> = .seconds(1)...(.seconds(366 * 86_400))
}

/// A line of the audit log: who has changed what, and when.
public struct FlagAuditEntry: Equatable, Sendable {
    public let id: Int
    public let at: LabTime
    public let who: String
    /// Unleash's name for what happened: `feature-created`, `feature-environment-enabled` …
    public let kind: String
    public let flag: String?
    public let environment: String?
    /// In words: `10% → 50%`.
    public let text: String

    public init(
        id: Int, at: LabTime, who: String, kind: String, flag: String?, environment: String?, text: String
    ) {
        self.id = id
        self.at = at
        self.who = who
        self.kind = kind
        self.flag = flag
        self.environment = environment
        self.text = text
    }
}

/// Why the store does not do what it is told.
public struct FlagError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Sendable { case missing, conflict, invalid, tooMany, forbidden, unauthorized }
    public let kind: Kind
    public let problem: String
    public let remedy: String?

    public init(_ kind: Kind, _ problem: String, remedy: String? = nil) {
        self.kind = kind
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { remedy.map { "\(problem); \($0)" } ?? problem }
}
