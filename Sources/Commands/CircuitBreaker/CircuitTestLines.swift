import CircuitBreakerEngine
import KernelStructures
import ResilienceEngine

/// What `circuit-test` prints, and the strips that views show.
struct CircuitTestLines {
    var configuration: CircuitBreakerConfiguration
    let fallback: String?
    private(set) var states = StateStrip()
    /// `.` succeeded, `x` failed, `-` was refused, `?` ended too late or as neither.
    private(set) var endings = StateStrip()
    /// What is known of calls that are not over: how the circuit was when they were counted.
    private var counts: [ResilientCalls.CallID: Counted] = [:]
    private var hasToldOfRefusal = false
    private var isRecovering = false
    /// Requests that are over, by how they ended, and how often the circuit has opened.
    private var succeeded = 0
    private var failed = 0
    private var rejected = 0
    private var openings = 0

    /// The last line of all: `100 requests: 52 succeeded, 5 failed, 43 rejected; the circuit opened once`
    var summary: String {
        let opened = openings == 0 ? "never opened" : openings == 1 ? "opened once" : "opened \(openings) times"
        let all = KernelStructures.counted(succeeded + failed + rejected, "request")
        return "\(all): \(succeeded) succeeded, \(failed) failed, \(rejected) rejected; the circuit \(opened)"
    }

    mutating func changed(_ change: Transition) { if change.to == .open { openings += 1 } }

    private struct Counted {
        let state: CircuitState
        let text: String
        let isLate: Bool
        var failure: CallFailure?
    }

    init(configuration: CircuitBreakerConfiguration, fallback: String?) {
        self.configuration = configuration
        self.fallback = fallback
    }

    /// `Request 47: TRYING (circuit: HALF-OPEN)`
    func trying(_ number: Int, _ change: Transition) -> String? {
        change.to == .halfOpen ? "Request \(number): TRYING (circuit: \(Self.name(.halfOpen)))" : nil
    }

    /// - Parameters:
    ///   - tally: after the call was counted.
    ///   - isSlow: whether it took longer than a call may.
    mutating func counted(
        _ id: ResilientCalls.CallID, _ permit: Permit, _ failure: CallFailure?, _ reaction: Reaction, _ tally: Tally,
        isSlow: Bool
    ) {
        var detail = reaction.isLate ? "too late to count" : detail(permit.state, failure, reaction, tally)
        if isSlow, !reaction.isLate {
            var (slow, calls) = (tally.slowCalls, tally.calls)
            for case .slowCallRate(let found, let all)? in [reaction.exceeded, reaction.change?.reason] {
                (slow, calls) = (found, all)
            }
            detail += "\(detail.isEmpty ? "" : ", ")slow: \(slow) of \(calls)"
        }
        counts[id] = Counted(state: permit.state, text: detail, isLate: reaction.isLate, failure: failure)
        if reaction.change?.to == .open { hasToldOfRefusal = false }
        if reaction.change?.to == .closed { isRecovering = true }
    }

    /// What stands behind the state: `failures: 3/5`, `successes: 1/2`.
    private func detail(
        _ state: CircuitState, _ failure: CallFailure?, _ reaction: Reaction, _ tally: Tally
    ) -> String {
        switch state {
        case .halfOpen:
            let wanted = configuration.successThreshold ?? configuration.permittedNumberOfCallsInHalfOpenState
            return "successes: \(successes(reaction, tally))/\(wanted)"
        case .closed where failure != nil, .metricsOnly where failure != nil:
            if let limit = configuration.failureThreshold {
                if case .failureCount(let count, _)? = reaction.exceeded { return "failures: \(count)/\(limit)" }
                return "failures: \(tally.failures)/\(limit)"
            }
            if case .failureRate(let failures, let calls)? = reaction.exceeded {
                return "failures: \(failures) of \(calls)"
            }
            if reaction.change != nil { return "" }
            return "failures: \(tally.failures) of \(tally.calls)"
        default: return ""
        }
    }

    private func successes(_ reaction: Reaction, _ tally: Tally) -> Int {
        switch reaction.change?.reason {
        case .trialSucceeded(let calls): calls
        case .trialFailed(let successes): successes
        case .failureRate(let failures, let calls): calls - failures
        case .slowCallRate(_, let calls): calls
        default: tally.successes
        }
    }

    mutating func fallingBack(_ id: ResilientCalls.CallID, _ failure: CallFailure) {
        if counts[id] == nil { counts[id] = Counted(state: .open, text: "", isLate: false) }
        counts[id]!.failure = failure
    }

    /// The line of a request that is over.
    ///
    /// - Parameter state: of the circuit now, for those that never got through it.
    mutating func line(
        _ number: Int, _ id: ResilientCalls.CallID, _ failure: CallFailure?, state: CircuitState, isVerbose: Bool
    ) -> String {
        let counted = counts.removeValue(forKey: id)
        let reason = failure ?? counted?.failure
        if let reason, reason.kind != .failed, reason.kind != .timedOut {
            return refused(number, reason, state)
        }
        let met = counted?.state ?? state
        let details = [Self.name(met), counted?.text ?? ""].filter { !$0.isEmpty }.joined(separator: ", ")
        states.append(met.letter)
        endings.append(counted?.isLate == true ? "?" : reason == nil ? "." : "x")
        if reason == nil { succeeded += 1 } else { failed += 1 }
        var line = "Request \(number): \(reason == nil ? "OK" : "FAIL") (circuit: \(details))"
        if isVerbose, let reason { line += ": \(reason.text)" }
        if reason != nil { line += answered }
        if reason == nil, met == .closed, isRecovering {
            line += " ← Recovered!"
            isRecovering = false
        }
        return line
    }

    private mutating func refused(_ number: Int, _ reason: CallFailure, _ state: CircuitState) -> String {
        endings.append("-")
        rejected += 1
        guard reason.kind == .notPermitted else {
            states.append(state.letter)
            return "Request \(number): REJECTED (bulkhead: \(reason.text))" + answered
        }
        states.append(state.letter)
        var line = "Request \(number): REJECTED (circuit: \(Self.name(state)))" + answered
        if !hasToldOfRefusal, state == .open { line += " ← Fast fail, didn't even try" }
        hasToldOfRefusal = true
        return line
    }

    private var answered: String { fallback.map { ", answered with: \($0)" } ?? "" }

    /// `HALF-OPEN`, as the documented session writes it.
    private static func name(_ state: CircuitState) -> String { state.rawValue.replacing("_", with: "-") }
}
