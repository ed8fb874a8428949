import KernelStructures

/// When a circuit opens, how long it stays open, and how it is tried again. Names and meanings are resilience4j's, with
/// its defaults unless stated; `failureThreshold` and `successThreshold` are the plain counts of simpler breakers.
public struct CircuitBreakerConfiguration: Hashable, Sendable {
    public enum SlidingWindowType: String, CaseIterable, Sendable {
        /// The last `slidingWindowSize` calls.
        case countBased = "COUNT_BASED"
        /// The calls of the last `slidingWindowSize` seconds.
        case timeBased = "TIME_BASED"
    }

    /// Opens when this share of the calls in the window failed, in percent (above 0, to 100). nil: rates do not open
    /// it.
    public var failureRateThreshold: Double? = 50
    /// Opens when this share of the calls in the window was slow, in percent (above 0, to 100). nil: slowness does not.
    public var slowCallRateThreshold: Double? = 100
    /// A call that takes longer is slow.
    public var slowCallDurationThreshold = LabDuration.seconds(60)
    public var slidingWindowType = SlidingWindowType.countBased
    /// Calls or seconds, 1 to 1,000,000 (3,600 for seconds).
    public var slidingWindowSize = 100
    /// Rates mean nothing below so many calls in the window. With COUNT_BASED at most the window's size counts.
    public var minimumNumberOfCalls = 100

    /// How long calls are refused before some are let through to try.
    public var waitDurationInOpenState = LabDuration.seconds(60)
    /// Each further opening without a closing in between waits so many times longer; 1 is always the same.
    public var exponentialBackoffMultiplier = 1.0
    /// What the multiplier does not go beyond.
    public var exponentialMaxWaitDurationInOpenState = LabDuration.seconds(3600)
    /// Each wait is drawn from `1 - factor … 1 + factor` times its length, so that a fleet does not try at once. 0 to
    /// 1, 1 excluded.
    public var randomizedWaitFactor = 0.0

    /// How many calls may be under way in half-open, and, without `successThreshold`, how many are judged.
    public var permittedNumberOfCallsInHalfOpenState = 10
    /// Half-open ends in open when, for so long, none of the calls that it let through came back. Zero waits for ever.
    ///
    /// Two differences to resilience4j, both against its users' commonest complaint, a circuit that stays half-open:
    /// the default there is zero; and the time is counted there from the change of state, which also reopens a
    /// circuit that nobody happened to call.
    public var maxWaitDurationInHalfOpenState = LabDuration.seconds(60)
    /// Half-open begins by itself when the wait is over, not with the next call. Whoever embeds the engine calls
    /// `advance` at `nextDeadline`.
    public var automaticTransitionFromOpenToHalfOpenEnabled = false

    /// Opens when so many calls in the window failed, whatever their share. nil: counts do not open it.
    public var failureThreshold: Int?
    /// Closes after so many successes in half-open, and opens at the first failure there. nil: the rate of
    /// `permittedNumberOfCallsInHalfOpenState` calls decides.
    public var successThreshold: Int?

    /// resilience4j's defaults.
    public init() {}

    /// The configuration of breakers that count: open after `failureThreshold` failures among the last `windowSize`
    /// calls, try again after `timeout`, one call at a time, and close after `successThreshold` successes.
    public init(failureThreshold: Int, successThreshold: Int, timeout: LabDuration, windowSize: Int) {
        self.failureThreshold = failureThreshold
        self.successThreshold = successThreshold
        waitDurationInOpenState = timeout
        maxWaitDurationInHalfOpenState = timeout
        slidingWindowSize = windowSize
        failureRateThreshold = nil
        slowCallRateThreshold = nil
        permittedNumberOfCallsInHalfOpenState = 1
        minimumNumberOfCalls = 1
    }

    /// From how many calls on a rate means something.
    var judgedCalls: Int {
        slidingWindowType == .countBased ? min(minimumNumberOfCalls, slidingWindowSize) : minimumNumberOfCalls
    }
}

/// A configuration that makes no sense: which value, and what it may be.
public struct CircuitBreakerConfigurationError: Error, Equatable, CustomStringConvertible {
    public let name: String
    public let description: String

    init(_ name: String, _ value: String, _ range: String) {
        self.name = name
        description = "\(name): \(value) is not \(range)"
    }
}

extension CircuitBreakerConfiguration {
    /// - Throws: for the first value that is out of its range.
    public func validate() throws(CircuitBreakerConfigurationError) {
        try check("failureRateThreshold", percentage: failureRateThreshold)
        try check("slowCallRateThreshold", percentage: slowCallRateThreshold)
        try check("slowCallDurationThreshold", positive: slowCallDurationThreshold)
        let sizes = slidingWindowType == .countBased ? 1...1_000_000 : 1...3600
        try check("slidingWindowSize", slidingWindowSize, sizes)
        try check("minimumNumberOfCalls", minimumNumberOfCalls, 1...Int.max)
        try check("waitDurationInOpenState", positive: waitDurationInOpenState)
        try check("exponentialMaxWaitDurationInOpenState", positive: exponentialMaxWaitDurationInOpenState)
        try check("permittedNumberOfCallsInHalfOpenState", permittedNumberOfCallsInHalfOpenState, 1...Int.max)
        if let failureThreshold { try check("failureThreshold", failureThreshold, 1...Int.max) }
        if let successThreshold { try check("successThreshold", successThreshold, 1...Int.max) }
        if let failureThreshold, slidingWindowType == .countBased, failureThreshold > slidingWindowSize {
            throw .init("failureThreshold", "\(failureThreshold)", "within the window of \(slidingWindowSize) calls")
        }
        if maxWaitDurationInHalfOpenState < .zero {
            throw .init("maxWaitDurationInHalfOpenState", "\(maxWaitDurationInHalfOpenState)", "zero or longer")
        }
        if !(exponentialBackoffMultiplier >= 1 && exponentialBackoffMultiplier <= 1000) {
            throw .init("exponentialBackoffMultiplier", "\(exponentialBackoffMultiplier)", "within 1 to 1000")
        }
        if !(randomizedWaitFactor >= 0 && randomizedWaitFactor < 1) {
            throw .init("randomizedWaitFactor", "\(randomizedWaitFactor)", "at least 0 and below 1")
        }
    }

    private func check(_ name: String, percentage: Double?) throws(CircuitBreakerConfigurationError) {
        guard let percentage else { return }
        if !(percentage > 0 && percentage <= 100) {
            throw .init(name, trimmedDecimal(percentage, places: 3), "a percentage above 0, up to 100")
        }
    }

    private func check(_ name: String, positive duration: LabDuration) throws(CircuitBreakerConfigurationError) {
        if duration <= .zero { throw .init(name, "\(duration)", "longer than zero") }
    }

    private func check(_ name: String, _ number: Int, _ range: ClosedRange<Int>)
        throws(CircuitBreakerConfigurationError)
    {
        if range.contains(number) { return }
        let bound =
            range.upperBound == .max
            ? "\(range.lowerBound) or more" : "within \(range.lowerBound) to \(grouped(range.upperBound))"
        throw .init(name, "\(number)", bound)
    }
}
