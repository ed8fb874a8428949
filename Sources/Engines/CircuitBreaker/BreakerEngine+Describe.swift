import KernelStructures

// What commands and metrics show.
extension BreakerEngine {
    /// The calls by which the present state is judged.
    public func currentTally(now: LabTime) -> Tally {
        state == .halfOpen ? trial : window.tally(now: now)
    }

    /// In percent; nil as long as too few calls are in the window.
    public func failureRate(now: LabTime) -> Double? { rate(now, \.failureRate) }
    /// In percent; nil as long as too few calls are in the window.
    public func slowCallRate(now: LabTime) -> Double? { rate(now, \.slowCallRate) }

    private func rate(_ now: LabTime, _ rate: (Tally) -> Double) -> Double? {
        let tally = currentTally(now: now)
        let needed = state == .halfOpen ? trialsWanted : configuration.judgedCalls
        return tally.calls >= needed ? rate(tally) : nil
    }

    /// Calls by which half-open is judged.
    public var trialsWanted: Int {
        configuration.successThreshold ?? configuration.permittedNumberOfCallsInHalfOpenState
    }

    /// How long a call at `now` would have to wait to have a chance; nil where nobody knows.
    public func retryAfter(now: LabTime) -> LabDuration? {
        switch state {
        case .open: max(.zero, openUntil - now)
        case .closed, .disabled, .metricsOnly: .zero
        case .halfOpen, .forcedOpen: nil
        }
    }
}

extension Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .failureCount(let failures, let calls): "\(failures) of the last \(counted(calls, "call")) failed"
        case .failureRate(let failures, let calls):
            "\(Self.percent(failures, calls)) of the last \(counted(calls, "call")) failed"
        case .slowCallRate(let slow, let calls):
            "\(Self.percent(slow, calls)) of the last \(counted(calls, "call")) were slow"
        case .waitElapsed: "the wait was over"
        case .trialSucceeded(let calls): "\(counted(calls, "trial call")) succeeded"
        case .trialFailed(0): "the first trial call failed"
        case .trialFailed(let successes): "a trial call failed after \(counted(successes, "success", "successes"))"
        case .trialTimedOut(let count): "\(counted(count, "trial call")) did not come back"
        case .ordered: "somebody ordered it"
        case .shared(let owner): "\(owner) found out"
        }
    }

    private static func percent(_ part: Int, _ whole: Int) -> String {
        trimmedDecimal(Double(part) * 100 / Double(max(1, whole)), places: 1) + "%"
    }
}
