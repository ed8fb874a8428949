/// Counts events a second: how many the last second had, and the most that any second had.
///
/// Two counters, for the second that runs and the one before it. In the middle of a second the answer is the running
/// count plus the part of the last one that a window of one second still covers, so it neither drops to zero at each
/// full second nor needs a list of times.
public struct RateMeter: Equatable, Sendable {
    private var second = Int64.min
    private var current = 0
    private var previous = 0
    public private(set) var maximum = 0

    public init() {}

    public mutating func count(_ now: LabTime) {
        roll(to: now.unixSeconds)
        current += 1
        if current > maximum { maximum = current }
    }

    private mutating func roll(to now: Int64) {
        if now == second { return }
        previous = now == second &+ 1 ? current : 0
        current = 0
        second = now
    }

    /// Events in the second that ends now.
    public func rate(_ now: LabTime) -> Int {
        var copy = self
        copy.roll(to: now.unixSeconds)
        let elapsed = now.nanoseconds - copy.second * 1_000_000_000
        let share = Double(copy.previous) * (1 - Double(elapsed) / 1e9)
        return copy.current + Int(share.rounded())
    }

    public mutating func forgetMaximum() { maximum = current }
}

/// An average that forgets: each new value moves it by a 1024th of the difference, once there have been so many.
public struct SlidingAverage: Equatable, Sendable {
    private static let window = 1024
    private var count = 0
    public private(set) var value = 0.0

    public init() {}

    public mutating func add(_ sample: Double) {
        if count < Self.window { count += 1 }
        value += (sample - value) / Double(count)
    }
}
