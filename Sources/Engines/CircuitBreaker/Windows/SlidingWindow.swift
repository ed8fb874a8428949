import KernelStructures

/// The calls by which a closed circuit is judged, in a ring of either kind.
///
/// Two fields and not an enumeration: a ring that is taken out of an enumeration to be changed is copied.
struct SlidingWindow: Sendable {
    private let type: CircuitBreakerConfiguration.SlidingWindowType
    private var byCount: CountWindow
    private var byTime: TimeWindow

    init(_ configuration: CircuitBreakerConfiguration, now: LabTime) {
        type = configuration.slidingWindowType
        let size = configuration.slidingWindowSize
        byCount = CountWindow(size: type == .countBased ? size : 1)
        byTime = TimeWindow(size: type == .timeBased ? size : 1, now: now)
    }

    /// - Returns: what the window adds up to with this call in it.
    mutating func record(_ call: RecordedCall, now: LabTime) -> Tally {
        if type == .countBased {
            byCount.record(call)
            return byCount.tally
        }
        return byTime.record(call, now: now)
    }

    func tally(now: LabTime) -> Tally { type == .countBased ? byCount.tally : byTime.tally(now: now) }

    /// Whether it is by their time that calls are in it.
    var isOfTime: Bool { type == .timeBased }

    /// What it adds up to where one more call like the others changes no more than how many there were: a window of
    /// time, or one of calls that is full. Otherwise nil.
    var settledTally: Tally? {
        if isOfTime { return byTime.knownTally }
        return byCount.tally.calls == byCount.size ? byCount.tally : nil
    }

    /// Adds successes that were counted elsewhere, to a window of time.
    mutating func add(successes: Int, second: Int64) {
        if isOfTime { byTime.add(successes: successes, second: second) }
    }

    /// Keeps what fits, if the kind stays the same; otherwise begins anew.
    func adapted(to configuration: CircuitBreakerConfiguration, now: LabTime) -> SlidingWindow {
        var other = SlidingWindow(configuration, now: now)
        guard type == other.type else { return other }
        if type == .countBased {
            other.byCount = byCount.resized(to: configuration.slidingWindowSize)
        } else {
            other.byTime = byTime.resized(to: configuration.slidingWindowSize)
        }
        return other
    }
}
