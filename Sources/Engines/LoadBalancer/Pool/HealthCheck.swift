/// Decides from a row of probes whether a server is up: the counters that HAProxy calls `fall` and `rise`.
///
/// One failed probe proves nothing, as a packet may be lost; waiting for ten leaves clients with a dead server for
/// most of a minute. Any result of the other kind starts the count again, so a server that flaps at every second probe
/// changes state never.
///
/// ```
///              unhealthyAfter failures in a row
///        ┌────┐ ──────────────────────────────▶ ┌──────┐
///        │ up │                                 │ down │
///        └────┘ ◀────────────────────────────── └──────┘
///              healthyAfter successes in a row
/// ```
public struct HealthCheck: Equatable, Sendable {
    public private(set) var unhealthyAfter: Int
    public private(set) var healthyAfter: Int
    public private(set) var isUp = true
    /// Probes in a row that spoke against the present state.
    public private(set) var streak = 0

    enum Transition: Equatable {
        case none
        case wentDown(failures: Int)
        case wentUp(successes: Int)
    }

    init(unhealthyAfter: Int, healthyAfter: Int) {
        self.unhealthyAfter = unhealthyAfter
        self.healthyAfter = healthyAfter
    }

    mutating func record(passed: Bool) -> Transition {
        if passed == isUp {
            streak = 0
            return .none
        }
        streak += 1
        let reached = streak
        if isUp, reached >= unhealthyAfter {
            isUp = false
            streak = 0
            return .wentDown(failures: reached)
        }
        if !isUp, reached >= healthyAfter {
            isUp = true
            streak = 0
            return .wentUp(successes: reached)
        }
        return .none
    }

    /// Takes over other limits; the row so far counts towards them.
    mutating func adopt(_ settings: LoadBalancerConfiguration.HealthCheckSettings) {
        unhealthyAfter = settings.unhealthyAfter
        healthyAfter = settings.healthyAfter
    }

    /// Sets the state, whatever was seen.
    mutating func force(isUp: Bool) {
        self.isUp = isUp
        streak = 0
    }

    /// `2/3`: how far the row has come towards a change.
    var progress: String { "\(streak)/\(isUp ? unhealthyAfter : healthyAfter)" }
}
