import KernelStructures

/// A breaker at one moment, for views and metrics.
public struct BreakerSnapshot: Sendable {
    public let name: String
    public let configuration: CircuitBreakerConfiguration
    public let state: CircuitState
    public let since: LabTime
    /// nil where nobody knows.
    public let retryAfter: LabDuration?
    /// The calls by which the present state is judged.
    public let tally: Tally
    /// In percent; nil as long as too few calls are in the window.
    public let failureRate: Double?
    public let slowCallRate: Double?
    public let trialsUnderWay: Int
    public let counters: BreakerEngine.Counters
    public let history: [Transition]

    /// - Parameter rejected: calls that were refused without asking the engine.
    public init(_ name: String, _ engine: BreakerEngine, now: LabTime, rejected: Int = 0) {
        self.init(name, engine, now: now, rejected: rejected, quick: .init())
    }

    /// - Parameter quick: successes that were counted beside the engine.
    init(_ name: String, _ engine: BreakerEngine, now: LabTime, rejected: Int, quick: QuickSuccesses.Count) {
        self.name = name
        configuration = engine.configuration
        state = engine.state
        since = engine.since
        retryAfter = engine.retryAfter(now: now)
        tally = engine.currentTally(now: now)
        failureRate = engine.failureRate(now: now)
        slowCallRate = engine.slowCallRate(now: now)
        trialsUnderWay = engine.trialsUnderWay
        var counters = engine.counters
        counters.rejected += rejected
        counters.add(quick)
        self.counters = counters
        history = engine.history
    }
}

/// The states that calls met, one letter a call, the newest last: `CCCCCOOOOHHC`.
public struct StateStrip: Sendable {
    private var letters: [Character] = []
    private var next = 0
    private let limit: Int

    /// - Parameter limit: letters that are kept, at least 1.
    public init(limit: Int = 60) { self.limit = max(1, limit) }

    public mutating func append(_ letter: Character) {
        if letters.count < limit { return letters.append(letter) }
        letters[next] = letter
        next = (next + 1) % limit
    }

    public var text: String { String(letters[next...] + letters[..<next]) }
}
