import FeatureFlagsEngine
import KernelStructures

/// What the server answers, before anybody decided how to show it.
public enum FlagAnswer: Sendable {
    case created(FlagRecord)
    /// Something was changed, and these lines were logged.
    case changed([String])
    case flags([FlagRecord], environment: String)
    /// With the names of segments by their numbers.
    case flag(FlagRecord, environment: String, schedule: RolloutSchedule?, segments: [Int: String])
    /// The short form, and the long one.
    case evaluation(FlagExplanation, FlagContext)
    case explanation(FlagExplanation, FlagContext)
    case difference(RolloutDifference, flag: String, what: String)
    case stats(FlagStatistics)
    case experiment(Experiment, flag: String, goal: String)
    case audit([FlagAuditEntry])
    case stale([StaleFlag])
    case environments([String])
    case segments([FlagSegment])
    case tokens([FlagToken])
    /// The one moment in which a key is seen.
    case token(FlagToken, secret: String)
    /// Those outside see no variant, and take no part in the experiment.
    case recorded(Int, outside: Int, dropped: Int)
}

/// How often a flag was evaluated.
public struct FlagStatistics: Sendable {
    public let flag: String
    public let environment: String
    public let last: LabDuration
    public let cell: FlagCounts.Cell
}
