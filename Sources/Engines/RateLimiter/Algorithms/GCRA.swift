import KernelStructures

/// GCRA, the generic cell rate algorithm: a token bucket that remembers a single time.
///
/// ## An everyday picture
///
/// A doctor who sees a patient each ten minutes, and a receptionist who keeps no list, only one note: *the next free
/// appointment*. Nobody came this morning? Then the note says a time long past, and counts as *now*. Somebody comes:
/// the note moves ten minutes on. It may run ahead of the clock, but not by more than the chairs in the waiting room
/// allow: with six chairs, an hour. Who comes when it would is told when to come back, and the note stays as it is.
///
/// ## The algorithm
///
/// The note is the *theoretical arrival time* (TAT). A request of cost n would move it to max(TAT, now) + n × T, where
/// T is the time between two requests of the rate. It is admitted if that is no further than burst × T ahead of now.
///
/// The same promise as the token bucket, decision by decision (a test compares them over millions); redis-cell
/// (`CL.THROTTLE`) works this way, because one time is easy to store and to let expire.
///
/// ## Where it is wrong
///
/// As the token bucket. And its one number is a time of *somebody's* clock: two machines with clocks an hour apart that
/// share it will give an hour's worth away, or refuse for an hour. Share a TAT only under one clock.
///
/// ITU-T I.371 (1993), Annex A.
package struct GCRA: LimitingAlgorithm {
    package var quota: Quota

    package init(quota: Quota) { self.quota = quota }

    /// A TAT: whole nanoseconds, and a fraction of one counted in `Quota.unitsPerNanosecond`-ths.
    package struct State: Sendable {
        var nanoseconds: Int64
        var fraction: Int64
    }

    package static let blank = State(nanoseconds: 0, fraction: 0)
    package func fresh(_ now: LabTime) -> State { State(nanoseconds: now.nanoseconds, fraction: 0) }

    /// How far the TAT is ahead of now, in units; not negative.
    @inline(__always) private func ahead(_ state: State, _ now: LabTime) -> Int64 {
        let distance = state.nanoseconds &- now.nanoseconds
        if distance < 0 { return 0 }
        // Further than any request can have pushed it: the clock went back, or the quota became smaller.
        if distance > quota.burstTime.nanoseconds { return quota.burstUnits }
        return min(
            distance * quota.unitsPerNanosecond + min(state.fraction, quota.unitsPerNanosecond), quota.burstUnits)
    }

    package func assess(_ state: State, cost: Int64, _ now: LabTime) -> Assessment {
        let ahead = ahead(state, now)
        let free = quota.burstUnits - ahead
        guard cost <= quota.burst else {
            return Assessment(
                isAllowed: false, limit: quota.burst, remaining: Int(free / quota.unitsPerToken),
                retryAfter: .infinite, resetAfter: quota.time(for: ahead))
        }
        let need = cost * quota.unitsPerToken
        let isAllowed = need <= free
        let left = isAllowed ? free - need : free
        return Assessment(
            isAllowed: isAllowed, limit: quota.burst, remaining: Int(left / quota.unitsPerToken),
            retryAfter: isAllowed ? .zero : quota.time(for: need - free),
            resetAfter: quota.time(for: quota.burstUnits - left))
    }

    package func charge(_ state: inout State, cost: Int64, _ now: LabTime) {
        let units = ahead(state, now) + cost * quota.unitsPerToken
        state.nanoseconds = now.nanoseconds + units / quota.unitsPerNanosecond
        state.fraction = units % quota.unitsPerNanosecond
    }

    package func restsAt(_ state: State) -> LabTime {
        LabTime(nanoseconds: state.nanoseconds) + LabDuration(nanoseconds: state.fraction > 0 ? 1 : 0)
    }

    package func indebted(until time: LabTime, _ now: LabTime) -> State {
        State(nanoseconds: max(time, now).nanoseconds, fraction: 0)
    }
}
