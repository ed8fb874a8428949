import KernelStructures

/// Makes a time that only goes forward out of one that may be set.
///
/// A limiter should be fed by a clock that nobody sets, and the lab's host does so. A library is fed by whoever uses
/// it. If its clock is put back by an hour, a naive limiter refuses everybody for an hour (their last request lies in
/// the future) or lets everybody in at once (the elapsed time is not what it expected). Here a step back is taken for
/// what it is: time goes on from where it was. And when the clock leaps forward again by at least as much, that is the
/// step being undone, not an hour in which everybody has rested.
///
/// A leap forward that nothing came before cannot be told from waiting, and is taken for it: each key gets its burst
/// once.
struct SteadyClock: Sendable {
    private var last: LabTime?
    /// What is added to the reading.
    private var offset = LabDuration.zero
    private(set) var stepsBack = 0

    @inline(__always) mutating func read(_ reading: LabTime) -> LabTime {
        guard let last else {
            self.last = reading
            return reading
        }
        self.last = reading
        if reading < last || offset > .zero { stepped(from: last, to: reading) }
        return reading + offset
    }

    private mutating func stepped(from last: LabTime, to reading: LabTime) {
        if reading < last {
            stepsBack += 1
            offset += last - reading
        } else if reading - last >= offset {
            offset = .zero
        }
    }
}
