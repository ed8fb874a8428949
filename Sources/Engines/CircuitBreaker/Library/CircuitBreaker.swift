import KernelClock
import KernelStructures
import Synchronization

/// A circuit breaker for programs: many threads and tasks may use one at the same time.
///
/// ```swift
/// let breaker = CircuitBreaker(
///     "flaky-api",
///     .init(
///         failureThreshold: 5,  // open after 5 failures
///         successThreshold: 2,  // close after 2 successes in half-open
///         timeout: .seconds(30),  // try half-open after 30 s
///         windowSize: 10  // among the last 10 calls
///     ))
///
/// func data() async throws -> String {
///     do {
///         return try await breaker.execute { try await fetch("https://flaky-api.com/data") }
///     } catch is CallNotPermitted {
///         return cachedData()  // the circuit is open: nothing was sent
///     }
/// }
/// ```
///
/// The rules are `BreakerEngine`'s; this class puts a lock around it, a clock beside it, and keeps both off the way
/// where they are not needed:
///
/// - The lock is held while a result is counted, never during a call. While the last calls were all quick successes,
///   one more is counted without it (`QuickSuccesses`): it changes nothing that anybody is judged by.
/// - Whether a closed circuit lets a call pass, and an open one refuses it, is one atomic word, the *gate*; nobody
///   waits for a lock to be refused.
public final class CircuitBreaker: Sendable {
    public let name: String
    public let classifier: CallClassifier
    private let clock: (@Sendable () -> LabTime)?
    private let engine: Mutex<BreakerEngine>
    /// What the engine would answer without being asked; see `Gate`.
    private let gate: Atomic<Int64>
    private let refusals = Atomic<Int>(0)
    /// Counted beside the engine.
    private let quickSuccesses = QuickSuccesses()
    /// Above it a call is slow; changed together with the gate's epoch.
    private let slowThreshold: Atomic<Int64>
    /// How often it was reconfigured; changed within the lock.
    private let epoch = Atomic<Int>(0)
    private let listeners = BreakerListeners()

    /// - Parameters:
    ///   - clock: what time it is; the machine's monotonic clock unless given. It must never go back.
    ///   - seed: of the chance in `randomizedWaitFactor`. Breakers of a fleet need different ones.
    /// - Precondition: the configuration is valid (`validate`).
    public init(
        _ name: String, _ configuration: CircuitBreakerConfiguration = .init(), classifier: CallClassifier = .init(),
        clock: (@Sendable () -> LabTime)? = nil, seed: UInt64? = nil
    ) {
        do { try configuration.validate() } catch { preconditionFailure("circuit breaker \(name): \(error)") }
        self.name = name
        self.classifier = classifier
        self.clock = clock
        let now = clock?() ?? HostClock.monotonic
        let random = SeededRandom(seed: seed ?? stableHash(name) ^ UInt64(bitPattern: now.nanoseconds))
        let engine = BreakerEngine(configuration, now: now, random: random)
        gate = Atomic(Gate.word(engine, epoch: 0))
        slowThreshold = Atomic(configuration.slowCallDurationThreshold.nanoseconds)
        self.engine = Mutex(engine)
    }

    var now: LabTime { clock?() ?? HostClock.monotonic }
    /// Never ahead of `now`, and a few milliseconds behind at most: refuses a moment too long, never too early.
    private var roughNow: LabTime { clock?() ?? HostClock.coarseMonotonic }

    /// The engine's answer in one word: below 0, calls pass, and the word holds what their permits need; above 0, calls
    /// are refused until that time; 0, ask the engine.
    ///
    /// ```
    ///  passing:  ~( generation : 43 │ epoch : 16 │ quiet : 2 │ state : 2 )
    /// ```
    ///
    /// *Quiet* says that a quick success changes nothing (`BreakerEngine.quiet`), and the epoch which configuration
    /// says what is quick.
    private enum Gate {
        static let ask: Int64 = 0
        private static let passing: [CircuitState] = [.closed, .disabled, .metricsOnly]

        static func word(_ engine: BreakerEngine, epoch: Int) -> Int64 {
            switch engine.state {
            case .closed, .disabled, .metricsOnly:
                ~Int64(
                    engine.generation << 20 | (epoch & 0xFFFF) << 4 | engine.quiet.rawValue << 2
                        | passing.firstIndex(of: engine.state)!)
            case .halfOpen: ask
            case .open: max(1, engine.openUntil.nanoseconds)
            case .forcedOpen: .max
            }
        }

        static func permit(_ word: Int64, now: LabTime) -> Permit {
            let state: CircuitState =
                switch ~word & 3 {
                case 0: .closed
                case 1: .disabled
                default: .metricsOnly
                }
            return Permit(generation: Int(~word >> 20), startedAt: now, state: state)
        }

        /// In which way it is quiet, in that generation.
        @inline(__always) static func quiet(_ word: Int64, _ generation: Int) -> BreakerEngine.Quiet {
            word < 0 && Int(~word >> 20) == generation ? quiet(word) : .no
        }

        @inline(__always) static func quiet(_ word: Int64) -> BreakerEngine.Quiet {
            word < 0 ? BreakerEngine.Quiet(rawValue: Int(~word >> 2 & 3)) ?? .no : .no
        }
    }

    // MARK: Two steps

    /// Leave for one call, to be given back once: `onSuccess`, `onError` or `release`. One that goes out of scope
    /// without is released, so that no path through the caller can leave the circuit half-open for ever.
    ///
    /// nil: the call is refused.
    public func tryAcquire() -> CallPermit? { acquire().map { CallPermit(breaker: self, permit: $0) } }

    @usableFromInline func acquire() -> Permit? {
        let word = gate.load(ordering: .acquiring)
        if word < 0 { return Gate.permit(word, now: now) }
        if word > 0, roughNow.nanoseconds < word {
            refusals.add(1, ordering: .relaxed)
            listeners.tell(8, .notPermitted)
            return nil
        }
        return acquireFromEngine()
    }

    private func acquireFromEngine() -> Permit? {
        let admission = withEngine { $0.tryAcquire(now: now) }
        if let change = admission.change { listeners.tell(32, .stateChange(change)) }
        if admission.permit == nil { listeners.tell(8, .notPermitted) }
        return admission.permit
    }

    /// Does something with the engine, whose window has by then all that was counted beside it.
    private func withEngine<R>(_ body: (inout BreakerEngine) -> R) -> R {
        engine.withLock { engine in
            if Gate.quiet(gate.load(ordering: .relaxed)) == .byTime {
                // Who counts looks at the gate while it holds its place. So it is shut first: what is counted later
                // goes through the engine, behind this.
                gate.store(Gate.ask, ordering: .sequentiallyConsistent)
                quickSuccesses.collect(second: now.unixSeconds) { engine.add(quickSuccesses: $0, second: $1) }
            }
            defer { publish(engine) }
            return body(&engine)
        }
    }

    /// Within the lock, so that gates appear in the engine's order.
    private func publish(_ engine: borrowing BreakerEngine) {
        let word = Gate.word(engine, epoch: epoch.load(ordering: .relaxed))
        if word != gate.load(ordering: .relaxed) { gate.store(word, ordering: .releasing) }
    }

    /// Counts a success beside the engine, if it was quick and nobody is judged by one more of them.
    ///
    /// That it was is one moment's truth: that of the second look at the gate. Between the two nothing has changed,
    /// since whoever changes the threshold shuts the gate before, and opens it with another epoch.
    @inline(__always) private func countBeside(_ duration: LabDuration, _ permit: Permit, _ now: LabTime) -> Bool {
        let word = gate.load(ordering: .acquiring)
        let quiet = Gate.quiet(word, permit.generation)
        guard quiet != .no, duration.nanoseconds <= slowThreshold.load(ordering: .acquiring) else { return false }
        if quiet == .byTime {
            return quickSuccesses.add(duration, second: now.unixSeconds) { gate.load(ordering: .acquiring) == word }
        }
        guard gate.load(ordering: .acquiring) == word else { return false }
        quickSuccesses.add(duration)
        return true
    }

    @usableFromInline func ended(_ permit: Permit, _ outcome: CallClassifier.Outcome, error: (any Error)? = nil) {
        let now = now
        if outcome == .success, countBeside(now - permit.startedAt, permit, now) {
            return listeners.tell(1, .success(now - permit.startedAt))
        }
        let reaction = withEngine { engine in
            switch outcome {
            case .success: engine.onSuccess(permit, now: now)
            case .failure: engine.onFailure(permit, now: now)
            case .ignored: engine.release(permit, now: now)
            }
        }
        let duration = now - permit.startedAt
        if reaction.isLate { return listeners.tell(16, .late(duration)) }
        switch outcome {
        case .success: listeners.tell(1, .success(duration))
        case .failure: listeners.tell(2, .failure(duration, error))
        case .ignored: listeners.tell(4, .ignored(duration))
        }
        if let change = reaction.change {
            listeners.tell(32, .stateChange(change))
        } else if let exceeded = reaction.exceeded {
            listeners.tell(64, .thresholdExceeded(exceeded))
        }
    }

    /// The error of a refusal.
    @usableFromInline func refusal() -> CallNotPermitted {
        engine.withLock { CallNotPermitted(name: name, state: $0.state, retryAfter: $0.retryAfter(now: now)) }
    }

    // MARK: Events

    /// Calls `action` with every event from now on: on the thread that caused it, outside any lock. With several
    /// threads the order between events is not certain; changes of state carry their generation.
    public func onEvent(_ action: @escaping @Sendable (BreakerEvent) -> Void) { listeners.add(.max, action) }

    public func onStateChange(_ action: @escaping @Sendable (Transition) -> Void) {
        listeners.add(32) { if case .stateChange(let change) = $0 { action(change) } }
    }

    public func onSuccess(_ action: @escaping @Sendable (LabDuration) -> Void) {
        listeners.add(1) { if case .success(let duration) = $0 { action(duration) } }
    }

    public func onFailure(_ action: @escaping @Sendable (LabDuration, (any Error)?) -> Void) {
        listeners.add(2) { if case .failure(let duration, let error) = $0 { action(duration, error) } }
    }

    // MARK: Looking and ordering

    /// The state now. With `automaticTransitionFromOpenToHalfOpenEnabled` what is due happens here, too.
    public var state: CircuitState {
        advance()
        return engine.withLock { $0.state }
    }

    public var snapshot: BreakerSnapshot {
        advance()
        return withEngine {
            BreakerSnapshot(
                name, $0, now: now, rejected: refusals.load(ordering: .relaxed), quick: quickSuccesses.total)
        }
    }

    /// Does what is due though nobody calls. For a program's own timer, if it wants to hear of half-open in time.
    public func advance() { changing { $0.advance(now: now) } }

    /// Puts the circuit into a state: CLOSED to reset it, FORCED_OPEN, DISABLED, METRICS_ONLY, OPEN.
    public func order(_ state: CircuitState) { changing { $0.order(state, now: now) } }

    /// Takes over what another breaker for the same service has found, which this program learned from a store.
    public func adopt(_ finding: SharedFinding, remaining: LabDuration) {
        changing { $0.adopt(finding, remaining: remaining, now: now) }
    }

    /// Another configuration from now on; state and window stay as far as they fit.
    ///
    /// - Throws: if it is not valid; nothing has changed then.
    public func reconfigure(_ configuration: CircuitBreakerConfiguration) throws(CircuitBreakerConfigurationError) {
        try configuration.validate()
        withEngine { engine in
            gate.store(Gate.ask, ordering: .sequentiallyConsistent)
            slowThreshold.store(
                configuration.slowCallDurationThreshold.nanoseconds, ordering: .sequentiallyConsistent)
            epoch.wrappingAdd(1, ordering: .relaxed)
            engine.reconfigure(configuration, now: now)
        }
    }

    private func changing(_ body: (inout BreakerEngine) -> Transition?) {
        let change = withEngine(body)
        if let change { listeners.tell(32, .stateChange(change)) }
    }
}
