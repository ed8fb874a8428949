import KernelStructures

/// Passive checks: a server that fails real requests in a row is left out for a while.
///
/// An active check asks one question at one path every few seconds. A server can answer that and fail everything else:
/// its disk is full, its database is gone, one of its four workers hangs. The clients notice, so let them be the check.
/// Picture a shop assistant who is sent to the back room after five customers in a row walked out; longer each time.
///
/// As in Envoy: after `consecutive_5xx` answers of 500 to 599 in a row, or `consecutive_gateway_errors` failures in a
/// row of the kinds that say "the server is not there" (connection failures, timeouts, 502, 503, 504), a server is
/// ejected for `base_time` times the number of its ejections so far, at most `max_time`. Each `base_time` without
/// a new ejection takes one off that number. Not more than `max_percent` of the servers are out at a time, but one
/// always may be: if most servers fail, it is not the servers.
///
/// Where it is wrong: errors that are the request's fault (a path that always fails) eject one server after the other
/// as a client walks through them; `max_percent` limits the damage. And a server that gets no requests cannot be seen
/// to have recovered, so it returns by time alone.
public struct OutlierState: Equatable, Sendable {
    public internal(set) var consecutive5xx = 0
    public internal(set) var consecutiveGatewayErrors = 0
    /// When it returns; nil if it is in.
    public internal(set) var ejectedUntil: LabTime?
    /// What the next time out is multiplied with, less one.
    public internal(set) var multiplier = 0
    /// When the multiplier falls by one.
    var nextDecay: LabTime?

    public var isEjected: Bool { ejectedUntil != nil }

    /// What the outcome of one request is to a detector.
    enum Sample { case good, serverError, gatewayError }

    /// Counts one outcome; the reason for an ejection if it is time for one.
    mutating func record(_ sample: Sample, _ settings: LoadBalancerConfiguration.OutlierSettings) -> String? {
        switch sample {
        case .good:
            consecutive5xx = 0
            consecutiveGatewayErrors = 0
            return nil
        case .serverError:
            consecutive5xx += 1
            consecutiveGatewayErrors = 0
        case .gatewayError:
            // To a client a gateway error is a 5xx too.
            consecutive5xx += 1
            consecutiveGatewayErrors += 1
        }
        if let limit = settings.consecutive5xx, consecutive5xx >= limit { return "\(consecutive5xx) errors in a row" }
        if let limit = settings.consecutiveGatewayErrors, consecutiveGatewayErrors >= limit {
            return "\(consecutiveGatewayErrors) gateway errors in a row"
        }
        return nil
    }

    /// Takes it out; how long for.
    mutating func eject(_ settings: LoadBalancerConfiguration.OutlierSettings, now: LabTime) -> LabDuration {
        multiplier += 1
        let factor = min(multiplier, Int(settings.maxTime.nanoseconds / max(1, settings.baseTime.nanoseconds)) + 1)
        let time = min(settings.baseTime * factor, settings.maxTime)
        ejectedUntil = now + time
        nextDecay = nil
        consecutive5xx = 0
        consecutiveGatewayErrors = 0
        return time
    }

    /// When `tick` has something to do.
    var deadline: LabTime? { ejectedUntil ?? nextDecay }

    /// Returns whether it came back in.
    mutating func tick(_ settings: LoadBalancerConfiguration.OutlierSettings, now: LabTime) -> Bool {
        if let until = ejectedUntil {
            guard until <= now else { return false }
            ejectedUntil = nil
            nextDecay = now + settings.baseTime
            return true
        }
        if let decay = nextDecay, decay <= now {
            multiplier -= 1
            nextDecay = multiplier > 0 ? now + settings.baseTime : nil
        }
        return false
    }
}
