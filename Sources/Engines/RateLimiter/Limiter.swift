import KernelStructures
import Synchronization

/// The rate limiter as a library: for any thread, with a clock of its own.
///
/// ```swift
/// let limiter = try Limiter(.tokenBucket, rate: 10, burst: 20)
/// if limiter.allow("alice") { … }                    // plain: now or not at all
/// let decision = limiter.decide("alice", cost: 5)    // and what to tell the client
/// try await limiter.acquire("alice")                 // async: waits until there is room
/// ```
///
/// Several policies at once: `Limiter(policies)`, then `decide([.init(policy: 0, key: "alice"), …])`.
///
/// Decisions are made one at a time under a lock that is held for some 100 ns. The clock is a parameter, so that tests
/// need not wait; by default it is `ContinuousClock`, which nobody can put back.
public final class Limiter<C: Clock>: Sendable where C.Duration == Duration, C: Sendable, C.Instant: Sendable {
    public typealias Decision = RateLimiter.Decision

    private let engine: Mutex<RateLimiter>
    private let clock: C
    private let start: C.Instant

    /// - Parameter seed: of the secret of the key hash. Give one that outsiders cannot guess where keys are theirs to
    ///   choose; nil takes one from the system.
    public init(_ policies: [RateLimitPolicy], clock: C, seed: UInt64? = nil) {
        engine = Mutex(RateLimiter(policies, random: SeededRandom(seed: seed ?? SeededRandom.processSeed)))
        self.clock = clock
        start = clock.now
    }

    /// One policy.
    ///
    /// - Parameters:
    ///   - rate: requests a `period`.
    ///   - burst: requests at once, for algorithms that know bursts; nil for `rate`.
    /// - Throws: `QuotaError` where the numbers make no quota.
    public convenience init(
        _ algorithm: RateLimitPolicy.Algorithm, rate: Int, per period: Duration = .seconds(1), burst: Int? = nil,
        clock: C, seed: UInt64? = nil
    ) throws(QuotaError) {
        let quota = try Quota(rate, per: LabDuration(period), burst: burst)
        self.init([RateLimitPolicy("default", algorithm, quota)], clock: clock, seed: seed)
    }

    private var now: LabTime { LabTime(nanoseconds: 0) + LabDuration(start.duration(to: clock.now)) }

    /// Whether a request is admitted now. A refused one takes nothing.
    public func allow(_ key: String, cost: Int = 1) -> Bool { decide(key, cost: cost).isAllowed }

    /// Decides by the first policy, and says what is left and when to come back.
    public func decide(_ key: String, cost: Int = 1) -> Decision {
        engine.withLock { $0.decide(policy: 0, key: key, cost: cost, now: now) }
    }

    /// Decides by several policies: all or nothing.
    public func decide(_ charges: [RateLimiter.Charge]) -> Decision {
        engine.withLock { $0.decide(charges, now: now) }
    }

    /// What was admitted under a concurrency limit is over.
    public func finished(_ key: String, cost: Int = 1) {
        engine.withLock { $0.finished([.init(policy: 0, key: key, cost: cost)]) }
    }

    /// Waits until a request is admitted, and then for as long as a leaky bucket holds it back. Those that wait for the
    /// same key are not served in any order.
    ///
    /// - Throws: `CancellationError`; nothing has been taken then, unless it was already being held back.
    ///   `LimiterError.neverAdmitted` where the cost is above the limit.
    public func acquire(_ key: String, cost: Int = 1) async throws {
        while true {
            let decision = decide(key, cost: cost)
            if decision.isAllowed {
                if decision.delay > .zero { try await clock.sleep(for: decision.delay.duration) }
                return
            }
            guard decision.retryAfter < .infinite else { throw LimiterError.neverAdmitted(limit: decision.limit) }
            try await clock.sleep(for: decision.retryAfter.duration)
        }
    }

    /// By policy.
    public var counters: [RateLimitCounters] { engine.withLock { $0.counters } }
}

extension Limiter where C == ContinuousClock {
    public convenience init(_ policies: [RateLimitPolicy]) { self.init(policies, clock: ContinuousClock()) }

    public convenience init(
        _ algorithm: RateLimitPolicy.Algorithm, rate: Int, per period: Duration = .seconds(1), burst: Int? = nil
    ) throws(QuotaError) {
        try self.init(algorithm, rate: rate, per: period, burst: burst, clock: ContinuousClock())
    }
}

/// Why `acquire` gave up.
public enum LimiterError: Error, Equatable, Sendable {
    /// The cost is above what there can ever be at once.
    case neverAdmitted(limit: Int)
}
