import KernelStructures

extension BreakerEngine {
    /// Whether one more quick success would change nothing but how many there were.
    ///
    /// The circuit is closed, and all calls in its window were quick successes. Where the last calls count, the window
    /// is full, too: one that comes pushes one out that is like it. Where it is the last seconds that count, the window
    /// has to hear how many there were in which second, before anything else happens to it (`add`).
    ///
    /// That is how a breaker spends most of its life, and so the library counts such calls beside the engine, where
    /// threads do not wait for one another.
    enum Quiet: Int { case no, byCalls, byTime }

    var quiet: Quiet {
        guard state == .closed, let tally = window.settledTally, tally.failures == 0, tally.slowCalls == 0,
            // However many they are.
            verdict(on: tally, judgedCalls: 0, absolute: true) == nil
        else { return .no }
        return window.isOfTime ? .byTime : .byCalls
    }

    /// Quick successes of one second that were counted beside it.
    mutating func add(quickSuccesses calls: Int, second: Int64) {
        window.add(successes: calls, second: second)
    }
}

extension BreakerEngine.Counters {
    /// Adds quick successes that were counted elsewhere.
    mutating func add(_ others: QuickSuccesses.Count) {
        successes += others.calls
        successDuration += others.duration
        maxDuration = max(maxDuration, others.maxDuration)
    }
}
