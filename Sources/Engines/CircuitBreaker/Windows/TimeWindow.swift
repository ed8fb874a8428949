import KernelStructures

/// The calls of the last `size` seconds: TIME_BASED.
///
/// Not a list of calls, which a busy second would make long, but a ring of sums, one for each second of the clock. The
/// present second collects; when the clock has moved on, the seconds that fell out are taken from the total and their
/// places cleared. Each second is cleared once however many calls it had, so a call costs the same on average, at most
/// `size` steps after a pause, and nothing is allocated.
///
/// ```
/// size 5, now 12:00:07    ┌─────┬─────┬─────┬─────┬─────┐
///                         │ :05 │ :06 │ :07 │ :03 │ :04 │   total = the sum of the five
///                         └─────┴─────┴─────┴─────┴─────┘
/// ```
///
/// Where it is wrong: a second leaves as a whole. At 12:00:07.9 the oldest second counts from 12:00:03.0, at 12:00:07.0
/// from there as well: the window is between `size - 1` and `size` seconds long. And a service that is rarely asked has
/// too few calls in it to be judged at all, which is what `minimumNumberOfCalls` is for.
public struct TimeWindow: Sendable {
    private var seconds: [Tally]
    /// The place of the present second.
    private var head = 0
    /// The present second, counted from 1970.
    private var present: Int64
    private var total = Tally()

    /// - Parameter size: in seconds, at least 1.
    public init(size: Int, now: LabTime) {
        seconds = Array(repeating: Tally(), count: max(1, size))
        present = now.unixSeconds
    }

    public var size: Int { seconds.count }

    /// - Returns: what the window adds up to with this call in it.
    @discardableResult public mutating func record(_ call: RecordedCall, now: LabTime) -> Tally {
        advance(to: now)
        seconds[head].add(call)
        total.add(call)
        return total
    }

    /// Adds calls that were successes, none of them slow, in the second of that number, counted from 1970. Those that
    /// the window has left behind are no part of it.
    package mutating func add(successes: Int, second: Int64) {
        advance(toSecond: second)
        let age = present - second
        guard age < Int64(seconds.count) else { return }
        seconds[(head - Int(age) + seconds.count) % seconds.count].add(successes: successes)
        total.add(successes: successes)
    }

    /// What it adds up to, with what the next call may clear.
    var knownTally: Tally { total }

    /// What the last `size` seconds add up to.
    public func tally(now: LabTime) -> Tally {
        var sum = total
        let passed = max(0, min(now.unixSeconds - present, Int64(seconds.count)))
        // The seconds that the next call would clear.
        for step in 0..<Int(passed) { sum.remove(seconds[(head + 1 + step) % seconds.count]) }
        return sum
    }

    /// Forgets the seconds that have passed out of the window. A clock that goes back moves nothing.
    private mutating func advance(to now: LabTime) { advance(toSecond: now.unixSeconds) }

    private mutating func advance(toSecond second: Int64) {
        if second <= present { return }
        let steps = min(second - present, Int64(seconds.count))
        for _ in 0..<steps {
            head += 1
            if head == seconds.count { head = 0 }
            total.remove(seconds[head])
            seconds[head] = Tally()
        }
        present = second
    }

    /// The same seconds in a ring of another size, as many of the newest as it holds.
    public func resized(to size: Int) -> TimeWindow {
        var other = TimeWindow(size: size, now: LabTime(nanoseconds: present * 1_000_000_000))
        let kept = min(seconds.count, other.seconds.count)
        for age in 0..<kept {
            let old = seconds[(head - age + seconds.count) % seconds.count]
            other.seconds[(other.seconds.count - age) % other.seconds.count] = old
            other.total.add(old)
        }
        return other
    }
}
