import KernelStructures

/// One load of one key, from the first who asked to the last who was told.
public struct FlightID: Hashable, Sendable {
    public let number: UInt64
}

struct FlightDeadline: Comparable, Sendable {
    let time: LabTime
    let id: FlightID
    static func < (a: FlightDeadline, b: FlightDeadline) -> Bool {
        a.time == b.time ? a.id.number < b.id.number : a.time < b.time
    }
}

/// What whoever runs a flight is to do next.
public enum FlightStep: Sendable {
    /// Ask the shared cache; report with `RemoteReply`.
    case ask(RemoteRequest)
    /// Wait so long, and report that it is over.
    case pause(LabDuration)
    /// Ask the source; report with `Loaded`.
    case load
    /// It is over for the runner. Those who waited have been told.
    case done(Result<CacheAnswer, CacheFailure>)
}

/// What a step came to.
public enum FlightReport: Sendable {
    case reply(RemoteReply)
    case paused
    case loaded(Loaded)
}

/// What the source said.
public enum Loaded: Sendable {
    /// - Parameter version: the source's own version of it; 0 where it has none.
    case value(any CacheObject, version: UInt64 = 0)
    /// It has nothing under that key.
    case absent
    case failed(String)
}

struct Flight: Sendable {
    let id: FlightID
    let key: String
    let reason: LoadReason
    let startedAt: LabTime
    var deadline: LabTime
    let loadedBy: String
    /// Those who are told at the end, in the order in which they came.
    var waiters: [Ticket] = []
    /// All who came, the first included.
    var requestCount = 1
    /// Whether what it brings may be stored: no write and no invalidation of the key since it began.
    var isOwned = true
    /// Generations of the key's tags when it began.
    let tags: [TagStamp]
    var stage = Stage.remote
    /// Words of the tags in the shared cache when it was asked.
    var tagWords: [SharedEntry.StoredTag] = []
    /// What stood in the shared cache before: what is there must still be that when the flight stores.
    var expected: [UInt8]?
    /// Whether `expected` is this flight's own lease.
    var hasLease = false
    /// Whether the shared cache takes part.
    var usesRemote: Bool
    var leaseDeadline = LabTime.distantFuture
    /// When the source was asked.
    var loadStartedAt = LabTime(nanoseconds: 0)
    /// What it brought, while that is being stored.
    var entry: CacheEntry?
    /// An entry of the shared cache that is no longer fresh, for the case that the source fails.
    var fallback: CacheEntry?
    var outcome: Result<CacheAnswer, CacheFailure>?
    /// Those who waited have been told.
    var isTold = false

    enum Stage: String, Sendable {
        case suspect, remote, tags, claim, lease, source, store, release

        /// Whether nothing was read yet that could be older than a change that is heard of now.
        var isBeforeSource: Bool {
            switch self {
            case .suspect, .remote, .tags, .claim, .lease: true
            case .source, .store, .release: false
            }
        }
    }
}

/// Why a key is loaded.
public enum LoadReason: String, Sendable, CaseIterable {
    /// Nothing of use was there.
    case miss
    /// Its time was over, and it was given out once more.
    case revalidation
    /// The configured share of its time was over.
    case ahead
    /// By chance, shortly before the end of its time.
    case early
}
