import KernelStructures

/// Leaky bucket: whatever comes in, it comes out evenly.
///
/// ## An everyday picture
///
/// A bucket with a small hole. Pour in a glass or a whole jug, what runs out below is the same thin stream. Pour too
/// much and it spills over the rim: that is a refusal. The water in the bucket is requests that wait their turn.
///
/// ## The algorithm
///
/// The level is how much waits; it falls by the rate as time passes. A request is refused if it would overflow the
/// bucket; otherwise it is admitted with a *delay*: the time in which what is above the hole already runs out. The host
/// holds it for that long, so the server behind sees one request each 1/rate, never a volley. nginx's `limit_req` works
/// so, and with its `nodelay` (here `delay: false`) nothing is held: then it admits what a token bucket would.
///
/// ## Where it is wrong
///
/// Fairness costs time: the last of a burst of 20 at 10 a second waits two seconds, which a client may find worse than
/// being told to come back. The bucket holds burst requests at most, counted before they leak.
///
/// J. Turner (1986), as for the token bucket: the bucket *as a queue*; ATM's bucket *as a meter* is `GCRA`.
package struct LeakyBucket: LimitingAlgorithm {
    package let quota: Quota
    /// Whether admitted requests are told to wait.
    let isDelaying: Bool

    package init(quota: Quota, isDelaying: Bool) {
        self.quota = quota
        self.isDelaying = isDelaying
    }

    package struct State: Sendable {
        /// What waits, in units, at the time `at`.
        var level: Int64
        var at: LabTime
    }

    package static let blank = State(level: 0, at: LabTime(nanoseconds: 0))
    package func fresh(_ now: LabTime) -> State { State(level: 0, at: now) }

    @inline(__always) private func level(_ state: State, _ now: LabTime) -> Int64 {
        let elapsed = now.nanoseconds &- state.at.nanoseconds
        if elapsed <= 0 { return state.level }
        if elapsed >= quota.burstTime.nanoseconds { return 0 }
        return max(0, state.level - elapsed * quota.unitsPerNanosecond)
    }

    package func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment {
        let level = level(state, now)
        let room = quota.burstUnits - level
        guard cost <= quota.burst else {
            return Assessment(
                isAllowed: false, limit: quota.burst, remaining: Int(room / quota.unitsPerToken),
                retryAfter: .infinite, resetAfter: quota.time(for: level))
        }
        let need = cost * quota.unitsPerToken
        let isAllowed = need <= room
        let after = isAllowed ? level + need : level
        return Assessment(
            isAllowed: isAllowed, limit: quota.burst, remaining: Int((quota.burstUnits - after) / quota.unitsPerToken),
            retryAfter: isAllowed ? .zero : quota.time(for: need - room), resetAfter: quota.time(for: after),
            delay: isAllowed && isDelaying ? quota.time(for: level) : .zero)
    }

    package func charge(_ state: inout State, cost: Int64, _ now: LabTime) {
        state.level = level(state, now) + cost * quota.unitsPerToken
        state.at = max(state.at, now)
    }

    package func restsAt(_ state: State) -> LabTime { state.at + quota.time(for: state.level) }

    package func indebted(until time: LabTime, _ now: LabTime) -> State {
        let wait = (time - now).nanoseconds
        if wait <= 0 { return fresh(now) }
        if wait >= quota.time(for: quota.burstUnits).nanoseconds { return State(level: quota.burstUnits, at: now) }
        return State(level: wait * quota.unitsPerNanosecond, at: now)
    }
}
