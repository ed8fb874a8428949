/// A flag as its clients get it: Unleash's client feature (`GET /api/client/features`).
public struct FlagDefinition: Equatable, Sendable {
    public var name: String
    public var description: String?
    /// What it is there for: `release`, `experiment`, `operational`, `kill-switch`, `permission`.
    public var kind = "release"
    public var project = "default"
    public var isEnabled: Bool
    public var isStale = false
    /// Whether clients are to tell of each evaluation.
    public var hasImpressionData = false
    /// One that is met is enough; none at all means everybody.
    public var strategies: [FlagStrategy]
    /// For whoever is let in by a strategy without variants of its own.
    public var variants: [FlagVariantDefinition]
    public var dependencies: [FlagDependency]

    public init(
        _ name: String, isEnabled: Bool, strategies: [FlagStrategy] = [], variants: [FlagVariantDefinition] = [],
        dependencies: [FlagDependency] = []
    ) {
        self.name = name
        self.isEnabled = isEnabled
        self.strategies = strategies
        self.variants = variants
        self.dependencies = dependencies
    }
}

/// One way to be let in: constraints and segments that must all be met, and then a rule such as a gradual rollout.
public struct FlagStrategy: Equatable, Sendable {
    /// In the store of its server; nil in what clients get.
    public var id: String?
    public var name: String
    /// For people: the rule it was made from.
    public var title: String?
    public var parameters: [String: String]
    public var constraints: [FlagConstraint]
    /// Numbers of segments.
    public var segments: [Int]
    public var variants: [FlagVariantDefinition]
    public var isDisabled = false

    public init(
        _ name: String, title: String? = nil, parameters: [String: String] = [:], constraints: [FlagConstraint] = [],
        segments: [Int] = [], variants: [FlagVariantDefinition] = []
    ) {
        self.name = name
        self.title = title
        self.parameters = parameters
        self.constraints = constraints
        self.segments = segments
        self.variants = variants
    }

    /// A gradual rollout: so many percent of those that meet the constraints, the same ones each time.
    public static func rollout(
        percent: Int, group: String, stickiness: String = "default", title: String? = nil,
        constraints: [FlagConstraint] = []
    ) -> FlagStrategy {
        FlagStrategy(
            "flexibleRollout", title: title,
            parameters: ["rollout": "\(percent)", "stickiness": stickiness, "groupId": group], constraints: constraints)
    }

    /// Percent of a gradual rollout; nil for other strategies.
    public var rolloutPercent: Int? {
        name == "flexibleRollout" ? parameters["rollout"].flatMap(FlagNumber.percent) : nil
    }
}

/// A question about one field of the context.
public struct FlagConstraint: Hashable, Sendable {
    public var contextName: String
    public var `operator`: FlagOperator
    /// For operators that take a list.
    public var values: [String]
    /// For operators that take one value.
    public var value: String?
    public var isInverted: Bool
    public var ignoresCase: Bool

    public init(
        _ contextName: String, _ operator: FlagOperator, values: [String] = [], value: String? = nil,
        isInverted: Bool = false, ignoresCase: Bool = false
    ) {
        self.contextName = contextName
        self.operator = `operator`
        self.values = values
        self.value = value
        self.isInverted = isInverted
        self.ignoresCase = ignoresCase
    }
}

/// Unleash's operators; one that nobody knows is never met.
public enum FlagOperator: Hashable, Sendable {
    case isIn, isNotIn, startsWith, endsWith, contains
    case numberEqual, numberGreater, numberGreaterOrEqual, numberLess, numberLessOrEqual
    case dateAfter, dateBefore
    case versionEqual, versionGreater, versionGreaterOrEqual, versionLess, versionLessOrEqual
    case matches, isInNetwork
    case unknown(String)

    private static let names: [(String, FlagOperator)] = [
        ("IN", .isIn), ("NOT_IN", .isNotIn), ("STR_STARTS_WITH", .startsWith), ("STR_ENDS_WITH", .endsWith),
        ("STR_CONTAINS", .contains), ("NUM_EQ", .numberEqual), ("NUM_GT", .numberGreater),
        ("NUM_GTE", .numberGreaterOrEqual), ("NUM_LT", .numberLess), ("NUM_LTE", .numberLessOrEqual),
        ("DATE_AFTER", .dateAfter), ("DATE_BEFORE", .dateBefore), ("SEMVER_EQ", .versionEqual),
        ("SEMVER_GT", .versionGreater), ("SEMVER_GTE", .versionGreaterOrEqual), ("SEMVER_LT", .versionLess),
        ("SEMVER_LTE", .versionLessOrEqual), ("REGEX", .matches), ("IN_CIDR", .isInNetwork),
    ]

    public static var known: [String] { names.map(\.0) }

    public init(_ name: String) { self = Self.names.first { $0.0 == name }?.1 ?? .unknown(name) }

    public var name: String {
        if case .unknown(let name) = self { return name }
        return Self.names.first { $0.1 == self }?.0 ?? ""
    }

    public var isKnown: Bool { if case .unknown = self { false } else { true } }

    /// Whether it takes a list of values, any of which will do.
    public var takesList: Bool {
        switch self {
        case .isIn, .isNotIn, .startsWith, .endsWith, .contains, .isInNetwork: true
        default: false
        }
    }
}

/// A named list of constraints that several strategies share.
public struct FlagSegment: Equatable, Sendable {
    public var id: Int
    public var name: String
    public var constraints: [FlagConstraint]

    public init(id: Int, name: String, constraints: [FlagConstraint]) {
        self.id = id
        self.name = name
        self.constraints = constraints
    }
}

/// One of several things that a flag can show, and how large its share is.
public struct FlagVariantDefinition: Equatable, Sendable {
    public var name: String
    /// Of the sum of all weights.
    public var weight: Int
    /// By which field people keep their variant; the first variant's counts for all.
    public var stickiness: String?
    public var payload: FlagPayload?
    /// Who gets it whatever the weights.
    public var overrides: [FlagOverride]

    public init(
        _ name: String, weight: Int, stickiness: String? = nil, payload: FlagPayload? = nil,
        overrides: [FlagOverride] = []
    ) {
        self.name = name
        self.weight = weight
        self.stickiness = stickiness
        self.payload = payload
        self.overrides = overrides
    }
}

public struct FlagOverride: Equatable, Sendable {
    public var contextName: String
    public var values: [String]

    public init(_ contextName: String, _ values: [String]) {
        self.contextName = contextName
        self.values = values
    }
}

/// What comes with a variant.
public struct FlagPayload: Equatable, Sendable {
    /// `string`, `csv`, `json` or `number`.
    public var type: String
    public var value: String

    public init(type: String, value: String) {
        self.type = type
        self.value = value
    }

    public static let types = ["string", "json", "csv", "number"]
}

/// Another flag that must be on (or off) first.
public struct FlagDependency: Equatable, Sendable {
    public var feature: String
    public var isEnabled: Bool
    /// If there are any, the parent must show one of them.
    public var variants: [String]

    public init(_ feature: String, isEnabled: Bool = true, variants: [String] = []) {
        self.feature = feature
        self.isEnabled = isEnabled
        self.variants = variants
    }
}

/// What a client is given to decide with.
public struct FlagDefinitions: Equatable, Sendable {
    public var flags: [FlagDefinition]
    public var segments: [FlagSegment]

    public init(_ flags: [FlagDefinition] = [], segments: [FlagSegment] = []) {
        self.flags = flags
        self.segments = segments
    }
}

/// What somebody is shown.
public struct FlagVariant: Equatable, Sendable {
    public let name: String
    public let payload: FlagPayload?
    /// False for the one that stands for "none".
    public let isEnabled: Bool
    public let isFeatureEnabled: Bool

    public init(_ name: String, payload: FlagPayload?, isEnabled: Bool, isFeatureEnabled: Bool) {
        self.name = name
        self.payload = payload
        self.isEnabled = isEnabled
        self.isFeatureEnabled = isFeatureEnabled
    }

    /// The name of the variant of those who get none.
    public static let disabledName = "disabled"

    public static func disabled(isFeatureEnabled: Bool) -> FlagVariant {
        FlagVariant(disabledName, payload: nil, isEnabled: false, isFeatureEnabled: isFeatureEnabled)
    }
}

enum FlagNumber {
    /// A number in decimal digits, with a point or an exponent perhaps; nil for all that `Double` takes beyond.
    static func value(_ text: String) -> Double? {
        guard text.utf8.count <= 64,
            text.utf8.allSatisfy({ (48...57).contains($0) || [43, 45, 46, 69, 101].contains($0) }),
            let value = Double(text), value.isFinite
        else { return nil }
        return value
    }

    /// What a constraint compares: as in Rust, which Unleash's clients read numbers by, `inf` and `nan` are some, too.
    static func compared(_ text: String) -> Double? {
        if let value = value(text) { return value }
        let isNegative = text.hasPrefix("-")
        switch (text.hasPrefix("+") || isNegative ? text.dropFirst() : text[...]).lowercased() {
        case "inf", "infinity": return isNegative ? -.infinity : .infinity
        case "nan": return .nan
        default: return nil
        }
    }

    /// 0 to 100; what lies beyond counts as the nearer end.
    static func percent(_ text: String) -> Int? { value(text).map { Int(min(100, max(0, $0))) } }
}

extension FlagDefinitions {
    /// Puts the segments' constraints into the strategies, for clients that know no segments. A segment that there is
    /// not becomes a constraint that nobody meets.
    public mutating func inlineSegments() {
        let known = Dictionary(segments.map { ($0.id, $0.constraints) }, uniquingKeysWith: { $1 })
        for flag in flags.indices {
            for strategy in flags[flag].strategies.indices {
                for id in flags[flag].strategies[strategy].segments {
                    flags[flag].strategies[strategy].constraints += known[id] ?? [FlagConstraint("segment", .isIn)]
                }
                flags[flag].strategies[strategy].segments = []
            }
        }
        segments = []
    }
}
