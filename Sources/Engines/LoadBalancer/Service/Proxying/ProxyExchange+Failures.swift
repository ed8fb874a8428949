import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// What happens when a server fails a request: `HTTPProxy` has the rules as a table.
extension ProxyExchange {
    func client(_ connection: HTTPClientConnection, failed failure: HTTPClientFailure) {
        if upstream === connection { serverFailed(failure) }
    }

    /// Whether doing it a second time is the same as doing it once.
    var mayRepeat: Bool { !sentBody && client.method.isIdempotent }

    var hasAlternative: Bool {
        tried.count <= host.configuration.retries && host.engine.hasCandidate(excluding: tried)
    }

    func serverFailed(_ failure: HTTPClientFailure) {
        let answered = (upstream?.bytesOfResponse ?? 0) > 0
        let wasReused = isReused
        let hadBegun = phase == .responding
        if case .malformed(let error) = failure { noteBadResponse(error) }
        failureCode = Self.code(of: failure, hadBegun: hadBegun)
        let status = hadBegun ? upstream?.head.status ?? 502 : 502
        upstream?.abort()
        switch failure {
        case .notConnected:
            finish(.failed)
            if host.configuration.retryOn.connectFailure {
                tryNext()
            } else {
                respondBadGateway("the backend could not be reached")
            }
        case .closed where !answered && mayRepeat && wasReused && !isRetryOnSameServer:
            // A kept connection that was closed meanwhile says nothing about the server: the same one is asked anew.
            finish(.stale)
            isRetryOnSameServer = true
            attemptBegan = now
            host.engine.requestBegan(server: server)
            connect()
        case .closed where !answered && mayRepeat && host.configuration.retryOn.emptyResponse:
            finish(.failed)
            tryNext()
        case .closed, .malformed:
            finish(.failed)
            if hadBegun {
                cut(failureCode, status: status)
            } else {
                respondBadGateway(Self.text(failure))
            }
        }
    }

    private static func text(_ failure: HTTPClientFailure) -> String {
        switch failure {
        case .malformed(let error): error.text
        default: "the backend closed the connection without an answer"
        }
    }

    private static func code(of failure: HTTPClientFailure, hadBegun: Bool) -> String {
        switch failure {
        case .notConnected(.timedOut): "sC"
        case .notConnected: "SC"
        case .closed: hadBegun ? "SD" : "SH"
        case .malformed: hadBegun ? "PD" : "PH"
        }
    }

    private func respondBadGateway(_ text: String) { answer(502, failureCode, text) }

    /// Sends the request to another server, if any attempt is left and the budget has one.
    func tryNext() {
        guard tried.count <= host.configuration.retries else { return giveUp(.noServer) }
        guard host.engine.mayRetry(now: now) else {
            host.engine.unserved()
            return answer(503, failureCode, "a backend failed, and the retry budget is spent")
        }
        host.engine.retried(after: server)
        arrival.attempt += 1
        isRetryOnSameServer = false
        chooseServer()
    }

    /// Every server that could be asked has failed, or there is none.
    func giveUp(_ reason: DecisionLog.Reason) {
        phase = .idle
        host.engine.unserved()
        let text =
            switch reason {
            case .lineIsFull: "every backend is full, and so is the queue"
            case .mayNotMove: "your backend is not available"
            default: tried.isEmpty ? "no backend is in the pool" : "no backend could be reached"
            }
        let retryAfter = max(1, Int(host.configuration.healthCheck.interval.seconds))
        let code = reason == .lineIsFull ? "RQ" : tried.isEmpty ? "SC" : failureCode
        answer(503, code, fields: tried.isEmpty ? [("Retry-After", "\(retryAfter)")] : [], text)
    }

    // MARK: Timeouts

    /// One timer for all requests of a connection; it looks at the deadline when it fires.
    func setDeadline(_ timeout: LabDuration) {
        deadline = now + timeout
        if timer == nil {
            armTimer()
        } else if deadline < timerTime {
            // A timer that an earlier, longer wait has left behind would come too late.
            node.cancel(timer)
            armTimer()
        }
    }

    private func armTimer() {
        timerTime = deadline
        timer = node.after(deadline - now) { [self] in checkDeadline() }
    }

    private func checkDeadline() {
        timer = nil
        guard phase != .idle, phase != .waiting else { return }
        if now < deadline { return armTimer() }
        switch phase {
        case .idle, .waiting: break
        case .connecting: serverFailed(.notConnected(.timedOut))
        case .sent where !requestComplete && upstream?.stream.isCongested != true:
            // It is the client that keeps everybody waiting; its own timeout will see to it.
            setDeadline(host.configuration.timeouts.response)
        case .sent: answerCameTooLate()
        case .responding where client.isCongested:
            setDeadline(host.configuration.timeouts.response)
        case .responding:
            let status = upstream?.head.status ?? 502
            upstream?.abort()
            finish(.failed)
            cut("sD", status: status)
        }
    }

    private func answerCameTooLate() {
        upstream?.abort()
        finish(.failed)
        failureCode = "sH"
        if host.configuration.retryOn.responseTimeout, mayRepeat, hasAlternative { return tryNext() }
        answer(504, "sH", "the backend did not answer in time")
    }
}
