import KernelStructures

/// The state of a circuit, under resilience4j's names.
public enum CircuitState: String, CaseIterable, Sendable {
    /// Calls pass and are counted.
    case closed = "CLOSED"
    /// Calls are refused until the wait is over.
    case open = "OPEN"
    /// A few calls pass, to try.
    case halfOpen = "HALF_OPEN"
    /// All calls pass, none is counted.
    case disabled = "DISABLED"
    /// All calls are refused until somebody changes that.
    case forcedOpen = "FORCED_OPEN"
    /// All calls pass and are counted, whatever the counts say.
    case metricsOnly = "METRICS_ONLY"

    /// One letter for strips: `CCCCCOOOOHHC`; the operator's states are small.
    public var letter: Character {
        switch self {
        case .closed: "C"
        case .open: "O"
        case .halfOpen: "H"
        case .disabled: "d"
        case .forcedOpen: "f"
        case .metricsOnly: "m"
        }
    }

    /// `half_open`, as metrics have it.
    public var label: String { rawValue.lowercased() }
}

/// Leave for one call.
public struct Permit: Hashable, Sendable {
    /// Of the state that gave it.
    public let generation: Int
    public let startedAt: LabTime
    /// The state that gave it.
    public let state: CircuitState

    public init(generation: Int, startedAt: LabTime, state: CircuitState) {
        self.generation = generation
        self.startedAt = startedAt
        self.state = state
    }
}

/// The answer to a request for a permit.
public struct Admission: Equatable, Sendable {
    /// nil: the call is refused.
    public var permit: Permit?
    /// The change of state that the request brought about.
    public var change: Transition?
}

/// What came of a call's end.
public struct Reaction: Equatable, Sendable {
    /// The call belongs to an earlier state: it has been counted as late, and changed nothing else.
    public var isLate = false
    public var change: Transition?
    /// The threshold that is exceeded with this call. METRICS_ONLY does not act upon it.
    public var exceeded: Reason?

    public init(isLate: Bool = false, change: Transition? = nil, exceeded: Reason? = nil) {
        self.isLate = isLate
        self.change = change
        self.exceeded = exceeded
    }
}

/// A change of state.
public struct Transition: Hashable, Sendable {
    public let from: CircuitState
    public let to: CircuitState
    public let time: LabTime
    public let reason: Reason
    /// Of the state that begins.
    public let generation: Int
    /// How long OPEN will last; nil for other states.
    public let wait: LabDuration?
}

/// Why a circuit changed its state.
public enum Reason: Hashable, Sendable {
    case failureCount(Int, calls: Int)
    case failureRate(failures: Int, calls: Int)
    case slowCallRate(slow: Int, calls: Int)
    /// The wait in OPEN is over.
    case waitElapsed
    case trialSucceeded(calls: Int)
    case trialFailed(successes: Int)
    /// Half-open waited in vain for calls that it had let through.
    case trialTimedOut(underWay: Int)
    /// Somebody said so.
    case ordered
}
