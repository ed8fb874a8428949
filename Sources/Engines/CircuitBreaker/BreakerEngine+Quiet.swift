import KernelStructures

extension BreakerEngine {
    /// Whether one more quick success would change nothing but how many there were: the circuit is closed and judges by
    /// the last calls, which all were quick successes. One that comes pushes one out that is like it.
    ///
    /// That is how a breaker spends most of its life, and so the library counts such calls beside the engine, where
    /// threads do not wait for one another.
    var isQuiet: Bool {
        guard state == .closed, let tally = window.fullTally, tally.failures == 0, tally.slowCalls == 0 else {
            return false
        }
        return verdict(on: tally, judgedCalls: configuration.judgedCalls, absolute: true) == nil
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
