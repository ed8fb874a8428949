import KernelStructures

// Changes of state: those that time brings, and those that somebody orders.
extension BreakerEngine {
    // MARK: Time

    /// When `advance` has something to do, if no call comes before; distant if nothing is due.
    public var nextDeadline: LabTime {
        switch state {
        case .open where awaitsTrialLease: .distantFuture
        case .open: configuration.automaticTransitionFromOpenToHalfOpenEnabled ? openUntil : .distantFuture
        case .halfOpen: trialDeadline
        default: .distantFuture
        }
    }

    /// When half-open gives up waiting.
    var trialDeadline: LabTime {
        let limit = configuration.maxWaitDurationInHalfOpenState
        return trialsUnderWay > 0 && limit > .zero ? waitingSince + limit : .distantFuture
    }

    /// Does what is due at `now` even if no call comes. Whoever does not call it loses nothing but the moment: the next
    /// call does the same.
    public mutating func advance(now: LabTime) -> Transition? {
        nextDeadline <= now ? makeDueChange(now) : nil
    }

    /// Whether a call at `now` meets another state than the present one.
    func isDue(_ now: LabTime) -> Bool {
        switch state {
        case .open: openUntil <= now && !awaitsTrialLease
        case .halfOpen: trialDeadline <= now
        default: false
        }
    }

    mutating func makeDueChange(_ now: LabTime) -> Transition {
        state == .open
            ? transition(to: .halfOpen, .waitElapsed, now)
            : transition(to: .open, .trialTimedOut(underWay: trialsUnderWay), now)
    }

    // MARK: Orders

    /// Puts the circuit into any state, the present one too: what was counted in it is forgotten, and results of calls
    /// that are under way will be late.
    public mutating func order(_ state: CircuitState, now: LabTime) -> Transition {
        if state == .closed { openings = 0 }
        return transition(to: state, .ordered, now)
    }

    /// Another configuration from now on. The state stays, the window keeps what fits, and the end of OPEN is drawn
    /// again from when it began. Thresholds act with the next call.
    public mutating func reconfigure(_ configuration: CircuitBreakerConfiguration, now: LabTime) {
        let waits = waitSettings
        window = window.adapted(to: configuration, now: now)
        // Half-open begins to count anew: what it has seen may be more than it is to see now, and nothing would follow.
        trial = Tally()
        self.configuration = configuration
        if state == .open, waits != waitSettings { openUntil = since + wait() }
    }

    private var waitSettings: [Double] {
        [
            configuration.waitDurationInOpenState.seconds, configuration.exponentialBackoffMultiplier,
            configuration.exponentialMaxWaitDurationInOpenState.seconds, configuration.randomizedWaitFactor,
        ]
    }

    // MARK: The change itself

    mutating func transition(to next: CircuitState, _ reason: Reason, _ now: LabTime) -> Transition {
        let previous = state
        state = next
        generation += 1
        since = now
        trial = Tally()
        trialsUnderWay = 0
        waitingSince = now
        openUntil = .distantFuture
        var length: LabDuration?
        switch next {
        case .open:
            openings += 1
            length = wait()
            openUntil = now + length!
        case .closed, .metricsOnly, .disabled:
            if next == .closed { openings = 0 }
            window = SlidingWindow(configuration, now: now)
        case .halfOpen, .forcedOpen: break
        }
        let change = Transition(
            from: previous, to: next, time: now, reason: reason, generation: generation, wait: length)
        if history.count == Self.historyLimit { history.removeFirst() }
        history.append(change)
        return change
    }

    /// How long the present opening lasts: longer each time, up to a limit, and then drawn from around that.
    private mutating func wait() -> LabDuration {
        var seconds = configuration.waitDurationInOpenState.seconds
        let limit = max(seconds, configuration.exponentialMaxWaitDurationInOpenState.seconds)
        if configuration.exponentialBackoffMultiplier > 1 {
            var count = openings - 1
            while count > 0, seconds < limit {
                seconds *= configuration.exponentialBackoffMultiplier
                count -= 1
            }
            seconds = min(seconds, limit)
        }
        if configuration.randomizedWaitFactor > 0 {
            seconds *= 1 + configuration.randomizedWaitFactor * (random.unit() * 2 - 1)
        } else if configuration.exponentialBackoffMultiplier == 1 {
            return configuration.waitDurationInOpenState
        }
        return max(LabDuration(nanoseconds: 1), .seconds(seconds))
    }
}
