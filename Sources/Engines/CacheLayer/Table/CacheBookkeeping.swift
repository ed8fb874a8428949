import KernelStructures

/// Generations of tags. A tag that was never invalidated has generation 0 and takes no room.
struct TagTable: Sendable {
    private var generations: [String: UInt64] = [:]
    /// All tags begin anew here when everything is forgotten: generations never repeat.
    private var base: UInt64 = 0
    private var last: UInt64 = 0

    /// Tags that were invalidated and are remembered.
    static let limit = 100_000

    subscript(tag: String) -> UInt64 { generations[tag] ?? base }

    /// - Returns: false if there are too many to remember one more.
    mutating func bump(_ tag: String) -> Bool {
        if generations[tag] == nil, generations.count >= Self.limit { return false }
        last += 1
        generations[tag] = last
        return true
    }

    /// For when no entry is left that carries any of them.
    mutating func removeAll() {
        last += 1
        base = last
        generations = [:]
    }
}

/// Keys whose entry in the shared cache may be wrong, each until a time.
struct SuspectTable: Sendable {
    private var until: [String: LabTime] = [:]
    /// With more suspects than can be told apart, all are suspect until then.
    private(set) var allUntil: LabTime?

    static let limit = 10_000

    var count: Int { until.count }

    mutating func add(_ key: String, until time: LabTime) {
        guard until.count < Self.limit || until[key] != nil else {
            allUntil = max(allUntil ?? time, time)
            return
        }
        until[key] = time
    }

    func contains(_ key: String, now: LabTime) -> Bool {
        if let allUntil, now < allUntil { return true }
        return until[key].map { now < $0 } ?? false
    }

    mutating func remove(_ key: String) { until[key] = nil }
}

/// Why an entry is no longer there.
public enum RemovalReason: String, Sendable, CaseIterable {
    case expired, evicted, invalidated, written
    /// One of its tags was invalidated.
    case tag
    /// Another process has said so.
    case notified
}

/// The last entries that went, for `explain`.
struct RecentRemovals: Sendable {
    struct Removal: Sendable {
        let key: String
        let reason: RemovalReason
        let time: LabTime
    }

    private var ring: [Removal] = []
    private var next = 0
    static let limit = 512

    mutating func note(_ key: String, _ reason: RemovalReason, at time: LabTime) {
        let removal = Removal(key: key, reason: reason, time: time)
        if ring.count < Self.limit {
            ring.append(removal)
        } else {
            ring[next] = removal
        }
        next = (next + 1) % Self.limit
    }

    /// The newest of that key, or of all keys.
    func last(of key: String) -> Removal? {
        ring.filter { $0.key == key || $0.key == "*" }.max { $0.time < $1.time }
    }
}

/// What the layer counts.
public struct CacheCounters: Equatable, Sendable {
    /// Answered from this process's entries, fresh.
    public var hits = 0
    /// Of those and of the stale ones, where the answer was that there is nothing.
    public var negativeHits = 0
    /// Answered with an entry beyond its time while it was loaded anew.
    public var staleHits = 0
    /// Answered with an entry beyond its time because loading failed.
    public var staleIfError = 0
    public var misses = 0
    /// Of the misses, those that waited for another's load.
    public var coalesced = 0
    /// Questions to the source.
    public var loads = 0
    public var loadFailures = 0
    public var loadTime = LabDuration.zero
    public var timeouts = 0
    public var abandoned = 0
    /// Loads before the end of an entry's time, by chance (XFetch).
    public var earlyLoads = 0
    public var refreshesAhead = 0
    public var revalidations = 0
    /// Loads whose value was not stored, because the key had changed meanwhile.
    public var discardedFills = 0
    public var remoteHits = 0
    public var remoteMisses = 0
    public var remoteFailures = 0
    /// Entries of the shared cache that were no entries, or of another version.
    public var unreadable = 0
    public var leaseWaits = 0
    public var evictions = 0
    public var expirations = 0
    public var invalidations = 0
    /// Changes that other processes have told.
    public var notices = 0
    public var writes = 0
    public var writeFailures = 0
    /// Keys whose entry in the shared cache could not be changed.
    public var suspected = 0

    public init() {}

    /// Reads so far, and the share that asked neither the shared cache nor the source.
    public var reads: Int { hits &+ staleHits &+ misses }
    public var hitShare: Double { reads == 0 ? 0 : Double(hits &+ staleHits) / Double(reads) }
}
