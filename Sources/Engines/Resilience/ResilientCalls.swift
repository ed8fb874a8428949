import CircuitBreakerEngine
import KernelStructures

/// Calls to one service behind all its protections, in one order:
///
/// ```
/// fallback ( retry ( circuit breaker ( bulkhead ( timeout ( the attempt ) ) ) ) )
/// ```
///
/// Read from the inside, each has a reason to be where it is:
///
/// - *timeout* innermost: it limits one attempt, and nothing else waits on its clock;
/// - *bulkhead* around it: a place is held while an attempt runs, not while a retry pauses;
/// - *circuit breaker* around that: an attempt that times out is a failure that it must see. A full bulkhead is none,
///   as the service was not asked: the permit is released. The call's duration counts from when it has a place, or
///   the own queue would look like a slow service;
/// - *retry* around that: each attempt asks the circuit and counts in it, and an open circuit ends the retrying;
/// - *fallback* outermost: it sees the end of all attempts, whatever brought it about.
///
/// The other way round things break quietly. A retry inside the breaker hides two failures of three; a breaker
/// outside of the retry lets a call hammer an open circuit; a bulkhead around the retry holds places for calls that
/// sleep.
///
/// It is the state of the calls and nothing else: who embeds it starts attempts and timers when the effects say so, and
/// reports what came of them. Effects are in order.
public struct ResilientCalls: Sendable {
    public struct Configuration: Sendable {
        public var breaker = CircuitBreakerConfiguration()
        public var bulkhead: Bulkhead.Configuration?
        /// Of one attempt.
        public var timeout: LabDuration?
        public var retry: Retry.Configuration?
        public var fallbacks = FallbackChain()

        public init() {}
    }

    public struct CallID: Hashable, Sendable { public let number: Int }

    /// How an attempt ended, as the service's answer says.
    public enum Outcome: Hashable, Sendable {
        case success
        case failure(CallFailure)
        /// Neither: nobody wants the answer any more.
        case cancelled
    }

    public enum Effect: Sendable {
        /// Ask the service. `change` is what asking for leave did to the circuit.
        case attempt(CallID, number: Int, Permit, change: Transition?)
        /// The attempt took too long: stop it. What it still answers is ignored.
        case abandon(CallID)
        /// An attempt has been counted.
        case counted(CallID, Permit, failure: CallFailure?, Reaction)
        /// Call `timerFired` then. It takes the place of the call's timer before it.
        case timer(CallID, at: LabTime)
        /// Answer with a step of the chain, and report `fallbackEnded`.
        case fallback(CallID, step: Int, CallFailure)
        /// The call is over; nil: it succeeded.
        case finish(CallID, CallFailure?)
        /// The circuit changed its state without anybody's call.
        case changed(Transition)
    }

    enum Phase {
        /// Waits for a place in the bulkhead, with leave from the circuit.
        case queued(Bulkhead.Ticket, Permit)
        case running(Bulkhead.Ticket?, Permit, Deadline)
        case pausing(until: LabTime)
        case fallingBack(step: Int, CallFailure)
    }

    struct Call {
        var attempt = 0
        var pause = LabDuration.zero
        /// Of the whole call.
        let deadline: Deadline
        var phase: Phase?
    }

    public let configuration: Configuration
    public internal(set) var breaker: BreakerEngine
    public internal(set) var bulkhead: Bulkhead?
    public internal(set) var retry: Retry?
    var calls: [CallID: Call] = [:]
    var queued: [Bulkhead.Ticket: CallID] = [:]
    private var last = 0

    public init(_ configuration: Configuration, now: LabTime, random: SeededRandom) {
        self.configuration = configuration
        breaker = BreakerEngine(configuration.breaker, now: now, random: random.fork("breaker"))
        bulkhead = configuration.bulkhead.map { Bulkhead($0) }
        retry = configuration.retry.map { Retry($0, random: random.fork("retry")) }
    }

    /// Calls that are not over.
    public var openCount: Int { calls.count }

    // MARK: What the embedder reports

    /// - Parameter deadline: when nobody waits for the call any more; no attempt is begun that would begin after it.
    public mutating func begin(now: LabTime, deadline: Deadline = .none) -> (CallID, [Effect]) {
        last += 1
        let id = CallID(number: last)
        calls[id] = Call(deadline: deadline)
        var effects: [Effect] = []
        nextAttempt(id, now, &effects)
        return (id, effects)
    }

    /// An attempt is over. One that was abandoned is unknown by then, and changes nothing.
    public mutating func attemptEnded(_ id: CallID, _ outcome: Outcome, now: LabTime) -> [Effect] {
        guard case .running(let ticket, let permit, _)? = calls[id]?.phase else { return [] }
        var effects: [Effect] = []
        settle(id, ticket, permit, outcome, now, &effects)
        return effects
    }

    public mutating func timerFired(_ id: CallID, now: LabTime) -> [Effect] {
        var effects: [Effect] = []
        switch calls[id]?.phase {
        case .queued(let ticket, let permit)? where waitIsOver(id, ticket, now):
            _ = bulkhead?.leave(ticket)
            queued[ticket] = nil
            _ = breaker.release(permit, now: now)
            failed(id, .init(.bulkheadTimeout, "no place in time"), now, &effects)
        case .running(let ticket, let permit, let deadline)? where deadline.hasPassed(now):
            effects.append(.abandon(id))
            settle(id, ticket, permit, .failure(.init(.timedOut, "timed out")), now, &effects)
        case .pausing(let until)? where until <= now: nextAttempt(id, now, &effects)
        default: break
        }
        return effects
    }

    /// - Parameter failure: why the step could not answer; nil if it did.
    public mutating func fallbackEnded(_ id: CallID, _ failure: CallFailure?, now: LabTime) -> [Effect] {
        guard case .fallingBack(let step, let reason)? = calls[id]?.phase else { return [] }
        var effects: [Effect] = []
        if failure == nil { finish(id, nil, &effects) } else { fallBack(id, reason, after: step, &effects) }
        return effects
    }

    /// Nobody wants the call's result any more: places and permits go back, and nothing is counted.
    public mutating func cancel(_ id: CallID, now: LabTime) -> [Effect] {
        guard let call = calls[id] else { return [] }
        var effects: [Effect] = []
        switch call.phase {
        case .queued(let ticket, let permit)?:
            _ = bulkhead?.leave(ticket)
            queued[ticket] = nil
            _ = breaker.release(permit, now: now)
        case .running(let ticket, let permit, _)?:
            effects.append(.abandon(id))
            _ = breaker.release(permit, now: now)
            leave(ticket, now, &effects)
        default: break
        }
        calls[id] = nil
        return effects
    }

    /// When `advance` has something to do.
    public var nextDeadline: LabTime { breaker.nextDeadline }

    public mutating func advance(now: LabTime) -> [Effect] {
        breaker.advance(now: now).map { [.changed($0)] } ?? []
    }

    // MARK: Others

    /// Takes over what another breaker for the same service has found.
    public mutating func adopt(_ finding: SharedFinding, remaining: LabDuration, now: LabTime) -> [Effect] {
        breaker.adopt(finding, remaining: remaining, now: now).map { [.changed($0)] } ?? []
    }

    /// See `BreakerEngine.awaitsTrialLease`.
    public mutating func awaitTrialLease(_ awaits: Bool) { breaker.awaitsTrialLease = awaits }

    // MARK: Orders

    /// Puts the circuit into a state.
    public mutating func order(_ state: CircuitState, now: LabTime) -> [Effect] {
        [.changed(breaker.order(state, now: now))]
    }

    /// Another configuration of the circuit from now on, which must be valid.
    public mutating func reconfigure(breaker configuration: CircuitBreakerConfiguration, now: LabTime) {
        breaker.reconfigure(configuration, now: now)
    }
}
