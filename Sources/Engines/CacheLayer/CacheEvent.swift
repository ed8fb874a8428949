import KernelStructures

/// What happens in a cache layer, for whoever watches it.
public enum CacheEvent: Equatable, Sendable {
    case hit(key: String, CacheAnswer.Freshness, isNegative: Bool)
    /// The source is about to be asked; nil: nothing is loaded by itself.
    case miss(key: String, flight: FlightID?, LoadReason)
    /// One more waits for a flight: so many now.
    case joined(key: String, flight: FlightID, waiting: Int)
    case remoteHit(key: String)
    /// The source has answered. `requests`: all who are served by that.
    case queried(key: String, flight: FlightID, LabDuration, requests: Int, isFound: Bool)
    case loadFailed(key: String, flight: FlightID, String)
    /// Stored. `isNew`: by a write.
    case filled(key: String, LabDuration, isNew: Bool, isNegative: Bool)
    case served(key: String, flight: FlightID, requests: Int)
    case wrote(key: String, LabDuration, isRemoval: Bool)
    /// A write is durable, and waits for the source with others.
    case queued(key: String, waiting: Int)
    case invalidated(key: String)
    case invalidatedTag(String)
    case remoteFailed(String)
}
