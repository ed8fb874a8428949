import KernelStructures

/// Sliding counter: two counts that stand for a moving window.
///
/// ## An everyday picture
///
/// You may eat ten sweets in any 24 hours, but write down only a number a day. At noon you reckon: half of yesterday
/// lies within the last 24 hours, so half of yesterday's sweets count, and all of today's. If you ate yesterday's
/// evenly, that is right. If you ate them all at breakfast you are too strict with yourself, and if all at bedtime too
/// lenient.
///
/// ## The algorithm
///
/// Fixed windows again, but each key also keeps the count of the window before, and the estimate for the last period is
/// `previous × (what is left of the period) + current`. No fraction is formed: both sides are multiplied by the period,
/// and compared as 128-bit numbers.
///
/// ## Where it is wrong
///
/// By as much as the traffic was uneven. Cloudflare compared it with exact counting over 400 million requests: 0.003 %
/// were decided otherwise than they should have been, by 6 % of the rate at most on average. Against a client that
/// knows how it works it is worse: all at the end of one window, and again as soon as the estimate lets it. The oracle
/// beside it (`Oracle/`) counts both kinds of mistakes for the traffic you really have.
///
/// Cloudflare, "How we built rate limiting capable of scaling to millions of domains" (2017).
package struct SlidingCounter: LimitingAlgorithm {
    package let quota: Quota

    package init(quota: Quota) { self.quota = quota }

    package struct State: Sendable {
        var start: LabTime
        /// Of the window that begins at `start`, and of the one before. A quota is at most 10^9, which fits.
        var current: Int32
        var previous: Int32
    }

    package static let blank = State(start: LabTime(nanoseconds: 0), current: 0, previous: 0)
    package func fresh(_ now: LabTime) -> State { State(start: start(of: now), current: 0, previous: 0) }

    private func start(of time: LabTime) -> LabTime {
        let remainder = time.nanoseconds % quota.period.nanoseconds
        return time - LabDuration(nanoseconds: remainder < 0 ? remainder + quota.period.nanoseconds : remainder)
    }

    /// The state moved on to the window of now; a clock that went back moves nothing.
    private func moved(_ state: State, _ now: LabTime) -> State {
        let distance = now - state.start
        if distance < quota.period { return state }
        if distance < quota.period * 2 {
            return State(start: state.start + quota.period, current: 0, previous: state.current)
        }
        return fresh(now)
    }

    package func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment {
        let state = moved(state, now)
        let period = Int128(quota.period.nanoseconds)
        // After a step back of the clock the window has not begun: all of the one before counts.
        let into = max(0, Int128((now - state.start).nanoseconds))
        let limit = Int128(quota.count)
        let used = Int128(state.previous) * (period - into) + Int128(state.current) * period
        let isAllowed = used + Int128(cost) * period <= limit * period
        let usedAfter = isAllowed ? used + Int128(cost) * period : used
        let remaining = max(0, (limit * period - usedAfter) / period)
        let current = Int64(state.current) + (isAllowed ? cost : 0)
        return Assessment(
            isAllowed: isAllowed, limit: quota.count, remaining: Int(remaining),
            retryAfter: isAllowed ? .zero : retryAfter(state, cost: cost, now),
            resetAfter: current > 0
                ? state.start + quota.period * 2 - now : usedAfter > 0 ? state.start + quota.period - now : .zero)
    }

    /// The first moment at which the estimate leaves room, in this window or in the next.
    private func retryAfter(_ state: State, cost: Int64, _ now: LabTime) -> LabDuration {
        if cost > Int64(quota.count) { return .infinite }
        let end = state.start + quota.period
        if let inThis = offset(previous: state.previous, room: Int64(quota.count) - Int64(state.current) - cost) {
            return state.start + inThis - now
        }
        // In the next window this one's count is the previous one, and the cost alone must fit beside it.
        let inNext = offset(previous: state.current, room: Int64(quota.count) - cost) ?? quota.period
        return end + inNext - now
    }

    /// How far into a window the weighted previous count is `room` or less; nil if there is no room at all.
    private func offset(previous: Int32, room: Int64) -> LabDuration? {
        if room < 0 { return nil }
        if Int64(previous) <= room { return .zero }
        let share = Int128(room) * Int128(quota.period.nanoseconds) / Int128(previous)
        return quota.period - LabDuration(nanoseconds: Int64(share))
    }

    package func charge(_ state: inout State, cost: Int64, _ now: LabTime) {
        state = moved(state, now)
        state.current += Int32(cost)
    }

    package func restsAt(_ state: State) -> LabTime {
        state.current > 0
            ? state.start + quota.period * 2 : state.previous > 0 ? state.start + quota.period : state.start
    }

    package func indebted(until time: LabTime, _ now: LabTime) -> State {
        if time <= now { return fresh(now) }
        let start = start(of: now)
        let full = Int32(quota.count)
        return State(start: start, current: time > start + quota.period ? full : 0, previous: full)
    }
}
