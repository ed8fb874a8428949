import CircuitBreakerEngine
import KernelStructures

// What follows from what: the layers from the outside to the inside, and back.
extension ResilientCalls {
    // MARK: Inward

    /// Asks the circuit, then the bulkhead, for leave.
    mutating func nextAttempt(_ id: CallID, _ now: LabTime, _ effects: inout [Effect]) {
        if calls[id]!.deadline.hasPassed(now) {
            return fallBack(id, .init(.timedOut, "its time was over before it began"), &effects)
        }
        calls[id]!.attempt += 1
        let admission = breaker.tryAcquire(now: now)
        guard let permit = admission.permit else {
            if let change = admission.change { effects.append(.changed(change)) }
            return failed(id, notPermitted(now), now, &effects)
        }
        guard bulkhead != nil else { return run(id, nil, permit, admission.change, now, &effects) }
        switch bulkhead!.enter(now: now) {
        case .admitted(let ticket): run(id, ticket, permit, admission.change, now, &effects)
        case .queued(let ticket):
            queued[ticket] = id
            calls[id]!.phase = .queued(ticket, permit)
            if let change = admission.change { effects.append(.changed(change)) }
            let end = calls[id]!.deadline.narrowed(to: bulkhead!.configuration.maxWaitDuration, from: now)
            effects.append(.timer(id, at: end.time))
        case .refused:
            _ = breaker.release(permit, now: now)
            if let change = admission.change { effects.append(.changed(change)) }
            failed(id, .init(.bulkheadFull, "too many calls at once"), now, &effects)
        }
    }

    private func notPermitted(_ now: LabTime) -> CallFailure {
        .init(.notPermitted, "circuit \(breaker.state.rawValue)", retryAfter: breaker.retryAfter(now: now) ?? .zero)
    }

    private mutating func run(
        _ id: CallID, _ ticket: Bulkhead.Ticket?, _ permit: Permit, _ change: Transition?, _ now: LabTime,
        _ effects: inout [Effect]
    ) {
        let permit = Permit(generation: permit.generation, startedAt: now, state: permit.state)
        let attempt = Deadline.none.narrowed(to: configuration.timeout, from: now)
        let deadline = min(attempt, calls[id]!.deadline)
        calls[id]!.phase = .running(ticket, permit, deadline)
        effects.append(.attempt(id, number: calls[id]!.attempt, permit, change: change))
        if deadline != .none { effects.append(.timer(id, at: deadline.time)) }
    }

    /// Its time in the line is over, or that of the whole call.
    func waitIsOver(_ id: CallID, _ ticket: Bulkhead.Ticket, _ now: LabTime) -> Bool {
        let inLine = (bulkhead?.deadline(of: ticket)).map { $0 <= now } ?? false
        return inLine || calls[id]!.deadline.hasPassed(now)
    }

    // MARK: Outward

    /// An attempt is over: counts it, gives its place away, and goes on.
    mutating func settle(
        _ id: CallID, _ ticket: Bulkhead.Ticket?, _ permit: Permit, _ outcome: Outcome, _ now: LabTime,
        _ effects: inout [Effect]
    ) {
        let reaction: Reaction
        var failure: CallFailure?
        switch outcome {
        case .success: reaction = breaker.onSuccess(permit, now: now)
        case .failure(let reason):
            reaction = breaker.onFailure(permit, now: now)
            failure = reason
        case .cancelled:
            reaction = breaker.release(permit, now: now)
            calls[id] = nil
        }
        effects.append(.counted(id, permit, failure: failure, reaction))
        leave(ticket, now, &effects)
        switch outcome {
        case .success:
            retry?.succeeded()
            finish(id, nil, &effects)
        case .failure(let reason): failed(id, reason, now, &effects)
        case .cancelled: break
        }
    }

    /// Gives a place away. Who gets it asked the circuit some time ago: if the state has changed since, it asks again,
    /// so that an open circuit is not overrun by those who stood in line.
    mutating func leave(_ ticket: Bulkhead.Ticket?, _ now: LabTime, _ effects: inout [Effect]) {
        var free = ticket
        while let ticket = free, let next = bulkhead?.leave(ticket) {
            free = nil
            guard let id = queued.removeValue(forKey: next), case .queued(_, let permit)? = calls[id]?.phase
            else {
                free = next
                continue
            }
            if permit.generation == breaker.generation {
                run(id, next, permit, nil, now, &effects)
                continue
            }
            let admission = breaker.tryAcquire(now: now)
            if let permit = admission.permit {
                run(id, next, permit, admission.change, now, &effects)
            } else {
                if let change = admission.change { effects.append(.changed(change)) }
                failed(id, notPermitted(now), now, &effects)
                free = next
            }
        }
    }

    /// An attempt came to nothing: another one, or what is left.
    mutating func failed(_ id: CallID, _ failure: CallFailure, _ now: LabTime, _ effects: inout [Effect]) {
        guard failure.mayPass, retry != nil, let call = calls[id] else { return fallBack(id, failure, &effects) }
        let decision = retry!.failed(
            attempt: call.attempt, previousWait: call.pause, retryAfter: failure.retryAfter)
        guard case .again(let pause) = decision, now + pause < call.deadline.time else {
            return fallBack(id, failure, &effects)
        }
        calls[id]!.pause = pause
        calls[id]!.phase = .pausing(until: now + pause)
        effects.append(.timer(id, at: now + pause))
    }

    mutating func fallBack(
        _ id: CallID, _ failure: CallFailure, after previous: Int? = nil, _ effects: inout [Effect]
    ) {
        guard let step = configuration.fallbacks.next(for: failure.kind, after: previous) else {
            return finish(id, failure, &effects)
        }
        calls[id]!.phase = .fallingBack(step: step, failure)
        effects.append(.fallback(id, step: step, failure))
    }

    mutating func finish(_ id: CallID, _ failure: CallFailure?, _ effects: inout [Effect]) {
        calls[id] = nil
        effects.append(.finish(id, failure))
    }
}
