import KernelStructures

/// Trying again, with more patience each time.
///
/// Somebody rings a doorbell. Nobody opens; they wait a little and ring again, then wait longer. What nobody sensible
/// does is to lean on the button, and yet that is what a loop with a fixed pause is to a service that is being
/// restarted with ten thousand clients at its door: they all failed in the same moment, so they all come back in the
/// same moment. Hence two things. *Exponential backoff*: each pause is a multiple of the one before, so the crowd
/// thins out. *Jitter*: each pause is drawn at random, so the crowd is no crowd.
///
/// ```
/// without jitter   ▇      ▇            ▇                         ▇     all at once, each time
/// with jitter      ▇   ▂▃▂▃▂▁    ▁▂▁▂▁▂▂▁▁▁      ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
/// ```
///
/// Where it is wrong: it only helps against failures that pass. Only calls that may be made twice may be retried,
/// which the caller must know. And three attempts at each of four layers are 81 calls at the bottom: `RetryBudget` is
/// there for that, and for a layer to retry that knows why.
///
/// Jitter after M. Brooker, "Exponential Backoff and Jitter" (2015).
public struct Retry: Sendable {
    public enum Jitter: String, CaseIterable, Sendable {
        /// The pause as computed.
        case none
        /// From zero to the pause: the least work for the service, and the default.
        case full
        /// From half of the pause to the pause: never at once.
        case equal
        /// From the first pause to three times the one before: grows by chance, forgets how many attempts there were.
        case decorrelated
    }

    public struct Configuration: Hashable, Sendable {
        /// The first attempt included.
        public var maxAttempts = 3
        /// The first pause, before jitter.
        public var waitDuration = LabDuration.milliseconds(500)
        public var exponentialBackoffMultiplier = 2.0
        /// No pause is longer, whatever the multiplier says. A service's own `Retry-After` may be.
        public var exponentialMaxWaitDuration = LabDuration.seconds(30)
        public var jitter = Jitter.full
        public var budget: RetryBudget.Configuration? = .init()

        public init() {}
    }

    public enum Decision: Equatable, Sendable {
        case again(after: LabDuration)
        case giveUp(Ending)
    }

    public enum Ending: String, Equatable, Sendable {
        /// `maxAttempts` were made.
        case attemptsExhausted
        /// Too large a share of the calls fails; more of them would not help anybody.
        case budgetExhausted
    }

    public let configuration: Configuration
    public private(set) var budget: RetryBudget?
    private var random: SeededRandom

    public init(_ configuration: Configuration = .init(), random: SeededRandom) {
        self.configuration = configuration
        self.random = random
        budget = configuration.budget.map { RetryBudget($0) }
    }

    /// A call was answered.
    public mutating func succeeded() { budget?.succeeded() }

    /// An attempt failed in a way that may pass. Is there another, and when?
    ///
    /// - Parameters:
    ///   - attempt: its number, from 1.
    ///   - previousWait: the pause before this attempt, for `decorrelated`.
    ///   - retryAfter: how long the service asked to be left alone: no pause is shorter.
    public mutating func failed(
        attempt: Int, previousWait: LabDuration = .zero, retryAfter: LabDuration = .zero
    ) -> Decision {
        budget?.failed()
        if attempt >= configuration.maxAttempts { return .giveUp(.attemptsExhausted) }
        if budget?.allowsRetry == false { return .giveUp(.budgetExhausted) }
        return .again(after: max(retryAfter, pause(after: attempt, previousWait)))
    }

    private mutating func pause(after attempt: Int, _ previous: LabDuration) -> LabDuration {
        let first = configuration.waitDuration.seconds
        let limit = max(first, configuration.exponentialMaxWaitDuration.seconds)
        var ceiling = first
        var count = 1
        while count < attempt, ceiling < limit {
            ceiling *= configuration.exponentialBackoffMultiplier
            count += 1
        }
        ceiling = min(ceiling, limit)
        return switch configuration.jitter {
        case .none: .seconds(ceiling)
        case .full: .seconds(ceiling * random.unit())
        case .equal: .seconds(ceiling / 2 * (1 + random.unit()))
        case .decorrelated:
            .seconds(min(limit, first + (max(first, previous.seconds * 3) - first) * random.unit()))
        }
    }
}
