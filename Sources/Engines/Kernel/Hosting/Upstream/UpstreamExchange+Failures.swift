import KernelStructures
import KernelWire
import KernelWorld

/// What happens when a server fails a request: `UpstreamExchange` has the rules as a table.
extension UpstreamExchange {
    public final func client(_ connection: HTTPClientConnection, failed failure: HTTPClientFailure) {
        guard upstream === connection else { return }
        switch failure {
        case .notConnected(let reason): failed(.notConnected(reason))
        case .closed(let reason): failed(.closed(reason))
        case .malformed(let error): failed(.malformed(error))
        }
    }

    /// Whether doing it a second time is the same as doing it once, and can be done.
    final var mayRepeat: Bool { client.method.isIdempotent && body.isWhole }

    final func failed(_ failure: UpstreamFailure) {
        if pendingHead != nil {
            // Nothing of the answer has left: to the client there is none yet.
            dropPendingHead()
            phase = .sent
        }
        let hasAnswered = (upstream?.bytesOfResponse ?? 0) > 0
        let wasReused = isReused
        let hadBegun = phase == .responding
        let status = hadBegun ? upstream?.head.status ?? 502 : 502
        if case .closed = failure, !hasAnswered, mayRepeat, wasReused, !isSecondTry {
            // A kept connection that was closed meanwhile says nothing about the server: the same one is asked anew.
            upstream?.abort()
            end(.stale)
            isSecondTry = true
            attemptBegan()
            return connect()
        }
        willFail(failure)
        upstream?.abort()
        end(.failed(failure))
        if hadBegun {
            willCut(status)
            return conclude { $0.cutResponse() }
        }
        switch failure {
        case .unresolved, .notConnected: settle(failure, mayRepeat: true)
        case .closed: settle(failure, mayRepeat: mayRepeat && !hasAnswered)
        case .timedOut, .status: settle(failure, mayRepeat: mayRepeat)
        case .malformed: settle(failure, mayRepeat: false)
        }
    }

    /// Has the policy say what comes next.
    final func settle(_ failure: UpstreamFailure, mayRepeat: Bool) {
        switch recover(from: failure, mayRepeat: mayRepeat) {
        case .again where mayRepeat:
            isSecondTry = false
            next()
        case .again, .answer: refuse(failure.gatewayStatus, failure.text(pool.noun), after: failure)
        case .answered: break
        }
    }

    // MARK: Timeouts

    /// The time that all of the request may take is over, whoever has been slow: as if its server had not answered in
    /// time. `recover` must not choose `.again`.
    public final func expire() {
        switch phase {
        case .idle: break
        case .waiting:
            phase = .idle
            refuse(504, "there was no room in time", after: .timedOut)
        case .connecting, .sent, .responding: failed(.timedOut)
        }
    }

    /// One timer for all requests of a connection; it looks at the deadline when it fires.
    final func setDeadline(_ timeout: LabDuration) {
        let now = pool.node.world.now
        deadline = now + timeout
        if timer == nil {
            armTimer(now)
        } else if deadline < timerTime {
            // A timer that an earlier, longer wait has left behind would come too late.
            pool.node.cancel(timer)
            armTimer(now)
        }
    }

    private final func armTimer(_ now: LabTime) {
        timerTime = deadline
        timer = pool.node.after(deadline - now) { [self] in checkDeadline() }
    }

    private final func checkDeadline() {
        timer = nil
        guard phase != .idle, phase != .waiting else { return }
        let now = pool.node.world.now
        if now < deadline { return armTimer(now) }
        switch phase {
        case .idle, .waiting: break
        case .connecting: failed(.notConnected(.timedOut))
        case .sent where !isRequestComplete && upstream?.stream.isCongested != true:
            // It is the client that keeps everybody waiting; its connection's own timeout will see to it (408).
            setDeadline(timeouts.response)
        case .responding where client.isCongested:
            // So here: one who does not take the answer is told apart from one who does not give it.
            setDeadline(timeouts.response)
        case .sent, .responding: failed(.timedOut)
        }
    }
}
