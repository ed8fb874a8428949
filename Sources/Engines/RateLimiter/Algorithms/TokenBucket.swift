import KernelStructures

/// Token bucket: save up, then spend.
///
/// ## An everyday picture
///
/// A jar for the bus fare. Every six minutes somebody drops a coin in, and when the jar is full the next coin stays
/// out. Each ride costs one coin. Who has not travelled for two hours can take the whole family (that is the burst);
/// who travels all day gets one ride each six minutes (that is the rate); who finds the jar empty walks, or waits for a
/// coin.
///
/// ## The algorithm
///
/// Nobody has to drop coins. It is enough to know how many there were and when that was: how many have come since then
/// follows from the clock. So a key is two numbers, and a key that is not used costs nothing.
///
/// ## Where it is wrong
///
/// In any stretch of time t it admits up to burst + rate × t, which is its promise. Who reads "10 a second" as "never
/// more than 10 in one second" is surprised: after a rest it is burst + 10. Two clients can also be equally busy and
/// look very different to the server, one even and one in volleys; see `LeakyBucket` for the opposite choice.
///
/// J. Turner, "New directions in communications" (1986); RFC 2697.
package struct TokenBucket: LimitingAlgorithm {
    package let quota: Quota

    package init(quota: Quota) { self.quota = quota }

    package struct State: Sendable {
        /// Tokens in units (see `Quota`) at the time `at`.
        var level: Int64
        var at: LabTime

        package init(level: Int64, at: LabTime) {
            self.level = level
            self.at = at
        }
    }

    package static let blank = State(level: 0, at: LabTime(nanoseconds: 0))
    package func fresh(_ now: LabTime) -> State { State(level: quota.burstUnits, at: now) }

    /// What the jar holds now. A clock that went back adds nothing and takes nothing.
    @inline(__always) private func level(_ state: State, _ now: LabTime) -> Int64 {
        let elapsed = now.nanoseconds &- state.at.nanoseconds
        if elapsed <= 0 { return state.level }
        // Compared as time first: the product might not fit.
        if elapsed >= quota.burstTime.nanoseconds { return quota.burstUnits }
        return min(quota.burstUnits, state.level + elapsed * quota.unitsPerNanosecond)
    }

    package func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment {
        let level = level(state, now)
        guard cost <= quota.burst else {
            return Assessment(
                isAllowed: false, limit: quota.burst, remaining: Int(level / quota.unitsPerToken),
                retryAfter: .infinite, resetAfter: quota.time(for: quota.burstUnits - level))
        }
        let need = cost * quota.unitsPerToken
        let isAllowed = level >= need
        let left = isAllowed ? level - need : level
        return Assessment(
            isAllowed: isAllowed, limit: quota.burst, remaining: Int(left / quota.unitsPerToken),
            retryAfter: isAllowed ? .zero : quota.time(for: need - level),
            resetAfter: quota.time(for: quota.burstUnits - left))
    }

    package func charge(_ state: inout State, cost: Int64, _ now: LabTime) {
        state.level = level(state, now) - cost * quota.unitsPerToken
        state.at = max(state.at, now)
    }

    package func restsAt(_ state: State) -> LabTime { state.at + quota.time(for: quota.burstUnits - state.level) }

    package func indebted(until time: LabTime, _ now: LabTime) -> State {
        let wait = (time - now).nanoseconds
        if wait <= 0 { return fresh(now) }
        if wait >= quota.time(for: quota.burstUnits).nanoseconds { return State(level: 0, at: now) }
        return State(level: quota.burstUnits - wait * quota.unitsPerNanosecond, at: now)
    }
}
