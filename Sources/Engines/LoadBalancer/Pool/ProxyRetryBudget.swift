import KernelStructures

/// Limits retries to a share of the requests.
///
/// A retry heals one failure and doubles the load on whoever is left. When a third of the servers dies, that is what
/// kills the rest: every failed request becomes three more (a retry storm). A budget turns "each request may be tried
/// four times" into "all requests together may be tried a fifth more often".
///
/// A purse (Finagle's RetryBudget): each request puts in `percent` hundredths of a coin, each second `min_per_second`
/// coins, and each retry takes one out. It holds what ten seconds put in by time, and at least ten coins.
struct ProxyRetryBudget: Sendable {
    private let percent: Int
    private let minPerSecond: Int
    private var hundredths: Int
    /// Up to when what time adds has been added.
    private var reckoned: LabTime
    private let limit: Int

    private static let windowSeconds = 10

    init(_ settings: LoadBalancerConfiguration.RetryBudgetSettings, now: LabTime) {
        percent = settings.percent
        minPerSecond = settings.minPerSecond
        limit = max(10, settings.minPerSecond * Self.windowSeconds) * 100
        hundredths = settings.minPerSecond * 100
        reckoned = now
    }

    mutating func requestArrived() { hundredths = min(limit, hundredths + percent) }

    /// Takes one retry out of the purse, if there is one in it.
    mutating func withdraw(now: LabTime) -> Bool {
        // A coin a second is a hundredth each ten milliseconds.
        let steps = Int((now - reckoned).nanoseconds) / 10_000_000
        hundredths = min(limit, hundredths + min(steps, Self.windowSeconds * 100) * minPerSecond)
        reckoned = reckoned + LabDuration.milliseconds(10 * steps)
        guard hundredths >= 100 else { return false }
        hundredths -= 100
        return true
    }
}
