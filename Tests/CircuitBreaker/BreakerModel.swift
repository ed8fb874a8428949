import CircuitBreakerEngine
import KernelStructures

/// What a breaker does, said in the simplest way: it remembers every call since the last change of state, and reads its
/// decisions off that list. No rings, no sums, no counters that could drift.
struct BreakerModel {
    struct Call: Equatable {
        let ended: LabTime
        let failed: Bool
        let slow: Bool
    }

    let rules: CircuitBreakerConfiguration
    var state = CircuitState.closed
    /// Calls that ended since the state began.
    var calls: [Call] = []
    /// Trial calls that are under way, by number.
    var trials: Set<Int> = []
    /// Which state each call under way was let through in.
    var epochs: [Int: Int] = [:]
    var epoch = 0
    var openedAt = LabTime(nanoseconds: 0)
    var lastTrialEvent = LabTime(nanoseconds: 0)
    var late = 0
    var rejected = 0

    mutating func enter(_ next: CircuitState, _ now: LabTime) {
        state = next
        calls = []
        trials = []
        epoch += 1
        openedAt = now
    }

    /// - Returns: whether the call may be made.
    mutating func begin(_ number: Int, _ now: LabTime) -> Bool {
        if state == .open, now >= openedAt + rules.waitDurationInOpenState {
            enter(.halfOpen, now)
        } else if state == .halfOpen, !trials.isEmpty, rules.maxWaitDurationInHalfOpenState > .zero,
            now >= lastTrialEvent + rules.maxWaitDurationInHalfOpenState
        {
            enter(.open, now)
        }
        let mayPass: Bool
        switch state {
        case .halfOpen:
            let most = rules.permittedNumberOfCallsInHalfOpenState
            let needed = rules.successThreshold ?? most
            mayPass = trials.count < most && calls.count + trials.count < needed
            if mayPass, trials.isEmpty { lastTrialEvent = now }
            if mayPass { trials.insert(number) }
        case .open: mayPass = false
        default: mayPass = true
        }
        if mayPass { epochs[number] = epoch } else { rejected += 1 }
        return mayPass
    }

    /// - Parameter failed: nil for a call that was cancelled.
    mutating func end(_ number: Int, failed: Bool?, slow: Bool, _ now: LabTime) {
        guard epochs[number] == epoch else {
            late += 1
            return
        }
        if trials.remove(number) != nil { lastTrialEvent = now }
        guard let failed else { return }
        calls.append(Call(ended: now, failed: failed, slow: slow))
        switch state {
        case .closed: if isTooMuch(window(now)) { enter(.open, now) }
        case .halfOpen: judge(failed, now)
        default: break
        }
    }

    func window(_ now: LabTime) -> [Call] {
        if rules.slidingWindowType == .countBased { return calls.suffix(rules.slidingWindowSize) }
        let first = now.unixSeconds - Int64(rules.slidingWindowSize)
        return calls.filter { $0.ended.unixSeconds > first }
    }

    private func isTooMuch(_ window: [Call]) -> Bool {
        if let most = rules.failureThreshold, window.count(where: \.failed) >= most { return true }
        let minimum =
            rules.slidingWindowType == .countBased
            ? min(rules.minimumNumberOfCalls, rules.slidingWindowSize) : rules.minimumNumberOfCalls
        return window.count >= minimum && exceedsARate(window)
    }

    private func exceedsARate(_ window: [Call]) -> Bool {
        func share(_ part: Int) -> Double { Double(part * 100) / Double(window.count) }
        if let most = rules.failureRateThreshold, share(window.count(where: \.failed)) >= most { return true }
        if let most = rules.slowCallRateThreshold, share(window.count(where: \.slow)) >= most { return true }
        return false
    }

    private mutating func judge(_ failed: Bool, _ now: LabTime) {
        if let needed = rules.successThreshold {
            if failed { return enter(.open, now) }
            if calls.count == needed { enter(exceedsARate(calls) ? .open : .closed, now) }
        } else if failed, rules.failureRateThreshold == nil {
            enter(.open, now)
        } else if calls.count == rules.permittedNumberOfCallsInHalfOpenState {
            enter(exceedsARate(calls) ? .open : .closed, now)
        }
    }
}
