import KernelStructures

/// A circuit breaker: stops asking a service that does not answer, and finds out when it does again.
///
/// The everyday picture is the fuse box. A short circuit somewhere in the house draws more current than the wires
/// bear; the breaker does not repair the toaster, it keeps the house from burning. Somebody who flips it back while
/// the toaster still smokes hears it click again.
///
/// Why a timeout is not enough: when a service hangs, each caller waits out its timeout, holding a thread, a connection
/// and its own caller. At 100 requests a second and 30 s of timeout, 3,000 callers stand in line for a failure that was
/// certain from the first. The breaker turns that failure into one that costs nanoseconds, and takes the load from a
/// service that may be trying to get up.
///
/// ```
///                     failures ≥ threshold
///       ┌────────┐ ───────────────────────────▶ ┌────────┐ ◀───────────────┐
///       │ CLOSED │                              │  OPEN  │                 │ a trial call failed,
///       └────────┘ ◀──────────┐                 └────────┘                 │ or none came back
///        calls pass           │ trial calls          │ wait is over        │
///        and are counted      │ succeeded            ▼                     │
///                             │                 ┌───────────┐              │
///                             └──────────────── │ HALF_OPEN │ ─────────────┘
///                                               └───────────┘
///                                               a few trial calls pass
/// ```
///
/// Beside these three an operator has DISABLED (everything passes, nothing is counted), FORCED_OPEN (nothing passes)
/// and METRICS_ONLY (everything passes, and is counted).
///
/// Three things a first version gets wrong:
///
/// - *Late answers.* A call that began in one state may end in another: a call of the closed circuit that fails while
///   the half-open one is trying says nothing about now. Each change of state begins a new *generation*; a permit
///   carries the generation it was given in, and a result of an older one is counted as late and otherwise ignored.
/// - *Lost permits.* A trial call that is cancelled or never returns would hold its place for ever, and the circuit
///   would never close. `release` gives the place back, and `maxWaitDurationInHalfOpenState` ends a vain wait.
/// - *Small numbers.* One failure of one call is 100 %. Rates count from `minimumNumberOfCalls` on.
///
/// Where it is wrong: it judges by the past and by one caller's view. Calls that are under way when it opens still hit
/// the service (it overshoots by as many as run at a time), and if one of a service's ten machines fails, every caller
/// sees 10 % of failures and no breaker with a threshold of 50 % does anything: that is a load balancer's work.
///
/// A value without clock, lock or callback. Who embeds it hands in `now`, which should never go back. After M. Nygard,
/// "Release It!", second edition, chapter 5; names and rules of resilience4j 2.
public struct BreakerEngine: Sendable {
    public internal(set) var configuration: CircuitBreakerConfiguration
    public internal(set) var state = CircuitState.closed
    /// How often the state has changed.
    public internal(set) var generation = 0
    /// When the present state began.
    public internal(set) var since: LabTime
    /// When OPEN ends; distant in the other states.
    public internal(set) var openUntil = LabTime.distantFuture
    public internal(set) var counters = Counters()
    /// The last changes, the oldest first.
    public internal(set) var history: [Transition] = []
    var window: SlidingWindow
    /// What half-open has seen.
    var trial = Tally()
    /// Calls that half-open has let through and that have not come back.
    public internal(set) var trialsUnderWay = 0
    /// Since when half-open has waited for one of them.
    var waitingSince = LabTime(nanoseconds: 0)
    /// Openings since the circuit was last closed.
    var openings = 0
    var random: SeededRandom
    /// Stays open though its wait is over: of several breakers that share what they know, another one tries.
    public var awaitsTrialLease = false

    /// Changes that `history` keeps.
    public static let historyLimit = 32

    /// Calls so far, by how they ended. They only grow.
    public struct Counters: Hashable, Sendable {
        public var successes = 0
        public var failures = 0
        /// Calls that ended as neither: cancelled, or with an error that does not count.
        public var ignored = 0
        public var rejected = 0
        public var slowSuccesses = 0
        public var slowFailures = 0
        /// Results of calls that an earlier state let through.
        public var late = 0
        public var successDuration = LabDuration.zero
        public var failureDuration = LabDuration.zero
        public var maxDuration = LabDuration.zero

        public init() {}
    }

    /// - Parameter configuration: valid, see `validate`.
    public init(
        _ configuration: CircuitBreakerConfiguration, now: LabTime, random: SeededRandom = SeededRandom(seed: 1)
    ) {
        self.configuration = configuration
        self.random = random
        since = now
        window = SlidingWindow(configuration, now: now)
    }

    // MARK: Before a call

    /// Whether a call may be made. If so, its permit must come back once: with `onSuccess`, `onFailure` or `release`.
    public mutating func tryAcquire(now: LabTime) -> Admission {
        if isDue(now) { return admit(after: makeDueChange(now), now) }
        return admit(after: nil, now)
    }

    private mutating func admit(after change: Transition?, _ now: LabTime) -> Admission {
        switch state {
        case .closed, .disabled, .metricsOnly: return .init(permit: permit(now), change: change)
        case .halfOpen where mayTry:
            if trialsUnderWay == 0 { waitingSince = now }
            trialsUnderWay += 1
            return .init(permit: permit(now), change: change)
        case .halfOpen, .open, .forcedOpen:
            counters.rejected += 1
            return .init(permit: nil, change: change)
        }
    }

    private func permit(_ now: LabTime) -> Permit { Permit(generation: generation, startedAt: now, state: state) }

    /// Half-open has a free place, and the answers that it waits for may not be enough.
    private var mayTry: Bool {
        guard trialsUnderWay < configuration.permittedNumberOfCallsInHalfOpenState else { return false }
        if let needed = configuration.successThreshold { return trial.successes + trialsUnderWay < needed }
        return trial.calls + trialsUnderWay < configuration.permittedNumberOfCallsInHalfOpenState
    }

    // MARK: After a call

    public mutating func onSuccess(_ permit: Permit, now: LabTime) -> Reaction { ended(permit, failed: false, now) }
    public mutating func onFailure(_ permit: Permit, now: LabTime) -> Reaction { ended(permit, failed: true, now) }

    /// The call came to nothing that says anything about the service: it was cancelled, or never made, or its error
    /// does not count.
    public mutating func release(_ permit: Permit, now: LabTime) -> Reaction {
        guard accepts(permit) else { return lateResult() }
        if state == .disabled { return Reaction() }
        counters.ignored += 1
        if state == .halfOpen { trialReturned(now) }
        return Reaction()
    }

    private func accepts(_ permit: Permit) -> Bool {
        permit.generation == generation && !(state == .halfOpen && trialsUnderWay == 0)
    }

    private mutating func lateResult() -> Reaction {
        counters.late += 1
        return Reaction(isLate: true)
    }

    private mutating func trialReturned(_ now: LabTime) {
        trialsUnderWay -= 1
        waitingSince = now
    }

    private mutating func ended(_ permit: Permit, failed: Bool, _ now: LabTime) -> Reaction {
        guard accepts(permit) else { return lateResult() }
        let duration = now - permit.startedAt
        let call = RecordedCall(
            rawValue: (failed ? 1 : 0) | (duration > configuration.slowCallDurationThreshold ? 2 : 0))
        if state == .disabled { return Reaction() }
        count(call, duration)
        if state == .halfOpen {
            trialReturned(now)
            trial.add(call)
            return Reaction(change: judgeTrial(failed: failed, now))
        }
        let tally = window.record(call, now: now)
        guard let verdict = verdict(on: tally, judgedCalls: configuration.judgedCalls, absolute: true) else {
            return Reaction()
        }
        if state == .metricsOnly { return Reaction(exceeded: verdict) }
        return Reaction(change: transition(to: .open, verdict, now), exceeded: verdict)
    }

    private mutating func count(_ call: RecordedCall, _ duration: LabDuration) {
        if call.contains(.failed) {
            counters.failures += 1
            counters.failureDuration += duration
            if call.contains(.slow) { counters.slowFailures += 1 }
        } else {
            counters.successes += 1
            counters.successDuration += duration
            if call.contains(.slow) { counters.slowSuccesses += 1 }
        }
        counters.maxDuration = max(counters.maxDuration, duration)
    }

    /// Which threshold the calls exceed; nil if none.
    func verdict(on tally: Tally, judgedCalls: Int, absolute: Bool) -> Reason? {
        if absolute, let limit = configuration.failureThreshold, tally.failures >= limit {
            return .failureCount(tally.failures, calls: tally.calls)
        }
        guard tally.calls >= judgedCalls else { return nil }
        if let limit = configuration.failureRateThreshold, tally.failureRate >= limit {
            return .failureRate(failures: tally.failures, calls: tally.calls)
        }
        if let limit = configuration.slowCallRateThreshold, tally.slowCallRate >= limit {
            return .slowCallRate(slow: tally.slowCalls, calls: tally.calls)
        }
        return nil
    }

    private mutating func judgeTrial(failed: Bool, _ now: LabTime) -> Transition? {
        if failed, configuration.successThreshold != nil || configuration.failureRateThreshold == nil {
            return transition(to: .open, .trialFailed(successes: trial.successes), now)
        }
        if trial.calls < trialsWanted { return nil }
        if let verdict = verdict(on: trial, judgedCalls: 1, absolute: false) {
            return transition(to: .open, verdict, now)
        }
        return transition(to: .closed, .trialSucceeded(calls: trial.calls), now)
    }
}
