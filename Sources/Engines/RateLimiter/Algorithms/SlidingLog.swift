import KernelStructures

/// Sliding log: write down when each request came, and count.
///
/// ## An everyday picture
///
/// A night club's doorman with a clicker and a notebook: at most a hundred guests in any hour. He writes the time of
/// each entry, and before he lets in the next he strikes out all that are more than an hour old. Nobody can argue with
/// him, and his notebook grows with every guest.
///
/// ## The algorithm
///
/// Exactly that: the times of admitted requests, oldest first. It keeps the promise that people have in mind when they
/// say "at most N in any hour": never more than N in any trailing period.
///
/// ## Memory, and where it is wrong
///
/// A limit of 100,000 an hour would need 100,000 times a key, and an attacker would be glad to have them written. So a
/// log has at most `size` + 1 entries. While the limit is `size` or less each request has its own and all is exact.
/// Beyond that an entry stands for all requests within a *grain* (period / size), under the time of the last of them:
/// some are remembered too long, by a grain at most, and none is forgotten too early. Errors are refusals, never
/// admissions, and with the usual size of 128 they come less than 1 % of a period too late.
package struct SlidingLog: LimitingAlgorithm {
    package let quota: Quota
    /// Entries that a key may have, but for one.
    package let size: Int
    /// Requests this close together share an entry; zero while there is one for each.
    package let grain: LabDuration

    package static let defaultSize = 128

    package init(quota: Quota, size: Int = Self.defaultSize) {
        self.quota = quota
        self.size = size
        let share = (quota.period.nanoseconds + Int64(size) - 1) / Int64(size)
        grain = quota.count <= size ? .zero : LabDuration(nanoseconds: share)
    }

    package struct Entry: Sendable {
        /// When the first request of the entry came; the last one decides how long the entry counts.
        var first: LabTime
        var last: LabTime
        var count: Int64
    }

    /// Oldest first.
    package struct State: Sendable {
        package var entries: [Entry] = []
    }

    package static let blank = State()
    package func fresh(_ now: LabTime) -> State { State() }

    /// Entries that are over are at the front.
    private func expired(_ state: State, _ now: LabTime) -> Int {
        state.entries.firstIndex { $0.last + quota.period > now } ?? state.entries.count
    }

    package func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment {
        let live = state.entries[expired(state, now)...]
        let limit = Int64(quota.count)
        let used = live.reduce(0) { $0 + $1.count }
        let isAllowed = used + cost <= limit
        var retryAfter = LabDuration.zero
        if !isAllowed { retryAfter = cost > limit ? .infinite : wait(live, toFree: used + cost - limit, now) }
        let resetAfter =
            isAllowed ? quota.period : live.last.map { $0.last + quota.period - now } ?? .zero
        return Assessment(
            isAllowed: isAllowed, limit: quota.count, remaining: Int(max(0, limit - used - (isAllowed ? cost : 0))),
            retryAfter: retryAfter, resetAfter: resetAfter)
    }

    private func wait(_ live: ArraySlice<Entry>, toFree needed: Int64, _ now: LabTime) -> LabDuration {
        var freed: Int64 = 0
        for entry in live {
            freed += entry.count
            if freed >= needed { return entry.last + quota.period - now }
        }
        return quota.period
    }

    package func charge(_ state: inout State, cost: Int64, _ now: LabTime) {
        state.entries.removeFirst(expired(state, now))
        // A clock that went back must not put a request before those that are there.
        let time = max(now, state.entries.last?.last ?? now)
        if let last = state.entries.last, last.last == time || grain > .zero && time - last.first < grain {
            state.entries[state.entries.count - 1].last = time
            state.entries[state.entries.count - 1].count += cost
        } else {
            state.entries.append(Entry(first: time, last: time, count: cost))
        }
    }

    package func restsAt(_ state: State) -> LabTime {
        state.entries.last.map { $0.last + quota.period } ?? LabTime(nanoseconds: .min)
    }

    package func indebted(until time: LabTime, _ now: LabTime) -> State {
        if time <= now { return State() }
        let last = time - quota.period
        return State(entries: [Entry(first: last, last: last, count: Int64(quota.count))])
    }
}
