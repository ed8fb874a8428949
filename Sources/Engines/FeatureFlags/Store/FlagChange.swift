import KernelStructures

/// Everything that can be told to a store of flags. A flag's environment is nil for the first one there is.
public enum FlagChange: Sendable {
    case create(name: String, kind: FlagKind, hasVariants: Bool, description: String)
    case describe(name: String, text: String)
    case archive(name: String)
    case revive(name: String)
    case setStale(name: String, Bool)
    case setEnabled(name: String, environment: String?, Bool)
    /// Off in every environment at once.
    case kill(name: String)
    case rollOut(name: String, environment: String?, percent: Int, stickiness: String?)
    /// By a rule, a segment's name, or both.
    case target(name: String, environment: String?, rule: String?, segment: String? = nil, percent: Int)
    /// Without a rule and a segment all of them.
    case untarget(name: String, environment: String?, rule: String?, segment: String? = nil)
    case setStrategies(name: String, environment: String?, [FlagStrategy])
    case addStrategy(name: String, environment: String?, FlagStrategy)
    case replaceStrategy(name: String, environment: String?, id: String, FlagStrategy)
    case removeStrategy(name: String, environment: String?, id: String)
    /// Without an environment in all of them, as Unleash has it.
    case setVariants(name: String, environment: String?, [FlagVariantDefinition])
    case setDependencies(name: String, [FlagDependency])
    case putSegment(FlagSegment)
    case removeSegment(id: Int)
    case schedule(name: String, environment: String?, steps: [Int], every: LabDuration, start: LabTime?)
    case unschedule(name: String, environment: String?)
    case addEnvironment(String)
}

/// What came of a change.
public struct FlagOutcome: Sendable {
    /// To be logged by whoever runs the store.
    public var lines: [LogMessage] = []
    /// Environments whose clients have something new.
    public var environments: [String] = []
    /// The segment that was made, the strategy that was added.
    public var id: String?

    public init(lines: [LogMessage] = [], environments: [String] = [], id: String? = nil) {
        self.lines = lines
        self.environments = environments
        self.id = id
    }
}
