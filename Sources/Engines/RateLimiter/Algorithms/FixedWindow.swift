import KernelStructures

/// Fixed window: so many an hour, counted from the full hour.
///
/// ## An everyday picture
///
/// A buffet with ten plates an hour. At the full hour the waiter puts out ten new plates, however many were left.
/// Simple, and everybody knows when the next plates come.
///
/// ## The algorithm
///
/// Time is cut into windows that begin at multiples of the period; a key is the window it was last seen in and a count.
/// In Redis it is `INCR` with `EXPIRE`, which must be one step: a crash between the two leaves a count that never ends.
///
/// ## Where it is wrong
///
/// At the seam. Ten plates at one minute to the hour and ten more at one minute past are twenty in two minutes, twice
/// what was meant, and every client that waits for the full hour comes at the same moment. The promise is: at most the
/// limit in each *window*, which is up to twice the limit in some stretch of that length. Sold as "at most N in any
/// hour" it is a lie; `SlidingLog` keeps that promise, and `SlidingCounter` nearly does.
package struct FixedWindow: LimitingAlgorithm {
    package let quota: Quota

    package init(quota: Quota) { self.quota = quota }

    package struct State: Sendable {
        /// Where the window begins that `count` is about.
        var start: LabTime
        var count: Int64
    }

    package static let blank = State(start: LabTime(nanoseconds: 0), count: 0)
    package func fresh(_ now: LabTime) -> State { State(start: start(of: now), count: 0) }

    private func start(of time: LabTime) -> LabTime {
        let remainder = time.nanoseconds % quota.period.nanoseconds
        return time - LabDuration(nanoseconds: remainder < 0 ? remainder + quota.period.nanoseconds : remainder)
    }

    /// The state as it is now. In a window that has not begun yet, as after a step back of the clock, the count goes
    /// on: going back must not give the quota again.
    private func current(_ state: State, _ now: LabTime) -> State {
        now - state.start < quota.period ? state : fresh(now)
    }

    package func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment {
        let state = current(state, now)
        let limit = Int64(quota.count)
        let untilNext = state.start + quota.period - now
        let left = limit - state.count
        let isAllowed = cost <= left
        let remaining = max(0, isAllowed ? left - cost : left)
        return Assessment(
            isAllowed: isAllowed, limit: quota.count, remaining: Int(remaining),
            retryAfter: isAllowed ? .zero : cost > limit ? .infinite : untilNext,
            resetAfter: remaining == limit ? .zero : untilNext)
    }

    package func charge(_ state: inout State, cost: Int64, _ now: LabTime) {
        state = current(state, now)
        state.count += cost
    }

    package func restsAt(_ state: State) -> LabTime { state.count == 0 ? state.start : state.start + quota.period }

    package func indebted(until time: LabTime, _ now: LabTime) -> State {
        State(start: start(of: now), count: time > now ? Int64(quota.count) : 0)
    }
}
