import KernelStructures

/// Until when something must be done.
///
/// A timeout is a length, and lengths add up: three attempts of 2 s behind a gateway of 5 s are one attempt too many,
/// as nobody waits for the third. A deadline is a moment, so it can be handed on: whoever works on a part of a call
/// takes the earlier of its own and its caller's, and does not begin what cannot end in time.
public struct Deadline: Hashable, Comparable, Sendable {
    public let time: LabTime

    public static let none = Deadline(time: .distantFuture)

    public init(time: LabTime) { self.time = time }
    public init(in duration: LabDuration, from now: LabTime) { time = now + duration }

    /// The earlier of this and `timeout` from now.
    public func narrowed(to timeout: LabDuration?, from now: LabTime) -> Deadline {
        guard let timeout else { return self }
        return min(self, Deadline(in: timeout, from: now))
    }

    public func hasPassed(_ now: LabTime) -> Bool { time <= now }
    /// Zero once it has passed.
    public func remaining(_ now: LabTime) -> LabDuration { max(.zero, time - now) }

    public static func < (a: Deadline, b: Deadline) -> Bool { a.time < b.time }
}
