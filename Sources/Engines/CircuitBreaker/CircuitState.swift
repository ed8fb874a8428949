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
    public let permit: Permit?
    private let rare: RareChange?

    init(permit: Permit?, change: Transition?) {
        self.permit = permit
        rare = change.map { RareChange($0) }
    }

    /// The change of state that the request brought about.
    public var change: Transition? { rare?.change }
}

/// What came of a call's end.
public struct Reaction: Equatable, Sendable {
    /// The call belongs to an earlier state: it has been counted as late, and changed nothing else.
    public let isLate: Bool
    private let rare: RareChange?
    /// The threshold that is exceeded with this call. METRICS_ONLY does not act upon it.
    public let exceeded: Reason?

    public init(isLate: Bool = false, change: Transition? = nil, exceeded: Reason? = nil) {
        self.isLate = isLate
        rare = change.map { RareChange($0) }
        self.exceeded = exceeded
    }

    public var change: Transition? { rare?.change }
}

/// A change of state at the end of a pointer. Most calls change nothing, and to hand a hundred bytes of nothing from
/// function to function takes as long as the counting itself.
final class RareChange: Equatable, Sendable {
    let change: Transition

    init(_ change: Transition) { self.change = change }

    static func == (a: RareChange, b: RareChange) -> Bool { a.change == b.change }
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
    /// Another breaker for the same service found out.
    case shared(by: String)
}
