/// The last `size` calls: COUNT_BASED.
///
/// A ring. The call with number n lies at n modulo `size`, so the newest call overwrites the oldest, and the sum is
/// kept beside the ring: what is overwritten is taken out of it, what is written is added. A call costs the same with
/// ten places as with a million, and nothing is allocated.
///
/// ```
/// size 5           ┌───┬───┬───┬───┬───┐
/// call 7 comes  →  │ 5 │ 6 │ 2 │ 3 │ 4 │   2 leaves the sum, 7 takes its place
///                  └───┴───┴───┴───┴───┘
/// ```
///
/// What it cannot see is time: ten failures within a second and ten within a week look alike. A service that is asked
/// once an hour is judged by yesterday's calls. `TimeWindow` is the other way round.
public struct CountWindow: Sendable {
    private var ring: [RecordedCall]
    private var next = 0
    public private(set) var tally = Tally()

    /// - Parameter size: at least 1.
    public init(size: Int) { ring = Array(repeating: [], count: max(1, size)) }

    public var size: Int { ring.count }

    public mutating func record(_ call: RecordedCall) {
        if tally.calls == ring.count { tally.remove(ring[next]) }
        ring[next] = call
        tally.add(call)
        next += 1
        if next == ring.count { next = 0 }
    }

    /// The calls it holds, the oldest first.
    public var calls: [RecordedCall] {
        tally.calls < ring.count ? Array(ring[..<next]) : Array(ring[next...] + ring[..<next])
    }

    /// The same calls in a ring of another size, as many of the newest as it holds.
    public func resized(to size: Int) -> CountWindow {
        var other = CountWindow(size: size)
        for call in calls.suffix(other.size) { other.record(call) }
        return other
    }
}
