import KernelStructures

/// What is known about one key, and how that came about.
public struct CacheExplanation: Sendable {
    public let key: String
    public let entry: Entry?
    /// The load that is under way.
    public let flight: Load?
    /// Whether a write is under way.
    public let isBeingWritten: Bool
    /// Since when a write waits for the source.
    public let pendingSince: LabTime?
    /// Whether the shared cache is not believed about it.
    public let isSuspect: Bool
    /// Why, and when, the last entry went.
    public let lastRemoval: (reason: RemovalReason, time: LabTime)?

    public struct Entry: Sendable {
        public let state: State
        public let isNegative: Bool
        public let origin: CacheEntry.Origin
        public let loadedAt: LabTime
        public let loadDuration: LabDuration
        public let loadedBy: String
        public let waiterCount: Int
        public let hitCount: Int
        public let freshUntil: LabTime
        public let staleUntil: LabTime
        public let errorUntil: LabTime
        /// From when on a reader may load it early.
        public let earlyFrom: LabTime?
        public let version: UInt64
        public let weight: Int
        public let tags: [String]
    }

    public enum State: String, Sendable {
        case fresh, stale
        /// Only where loading fails.
        case onlyIfError = "stale-if-error"
        case expired
        /// One of its tags was invalidated.
        case invalid
    }

    public struct Load: Sendable {
        public let reason: String
        public let step: String
        public let since: LabTime
        public let deadline: LabTime
        public let by: String
        public let waiterCount: Int
    }
}

extension CacheLayer {
    /// Looks at a key without touching it.
    public func explain(_ key: String, now: LabTime) -> CacheExplanation {
        let flight = joinable[key].flatMap { flights[$0] }
        return CacheExplanation(
            key: key,
            entry: table[key].map { entry in
                .init(
                    state: state(of: entry, now: now), isNegative: entry.value == nil, origin: entry.origin,
                    loadedAt: entry.loadedAt, loadDuration: entry.loadDuration, loadedBy: entry.loadedBy,
                    waiterCount: entry.waiterCount, hitCount: entry.hitCount, freshUntil: entry.freshUntil,
                    staleUntil: entry.staleUntil, errorUntil: entry.errorUntil,
                    earlyFrom: entry.checkFrom < entry.freshUntil ? entry.checkFrom : nil, version: entry.version,
                    weight: entry.weight, tags: entry.tags.map(\.tag))
            },
            flight: flight.map {
                .init(
                    reason: $0.reason.rawValue, step: $0.stage.rawValue, since: $0.startedAt, deadline: $0.deadline,
                    by: $0.loadedBy, waiterCount: $0.requestCount - 1)
            },
            isBeingWritten: writes.isWriting(key), pendingSince: queue.pending(key)?.since,
            isSuspect: suspects.contains(key, now: now),
            lastRemoval: removals.last(of: key).map { ($0.reason, $0.time) })
    }

    private func state(of entry: CacheEntry, now: LabTime) -> CacheExplanation.State {
        if !hasCurrentTags(entry) { return .invalid }
        if now < entry.freshUntil { return .fresh }
        if now < entry.staleUntil { return .stale }
        return now < entry.errorUntil ? .onlyIfError : .expired
    }

    public var entryCount: Int { table.count }
    public var totalWeight: Int { table.totalWeight }
    public var loadCount: Int { flights.count }
    public var suspectCount: Int { suspects.count }
    /// Readers that wait for a load.
    public var waitingCount: Int { flights.values.reduce(0) { $0 + $1.waiters.count } }
    /// The keys of this process, the oldest first.
    public var keys: [String] { table.keysInOrder }

    /// What is broken, in words; empty where all is well. For tests.
    public var brokenInvariants: [String] {
        var broken = table.brokenInvariants + queue.brokenInvariants
        for (key, id) in joinable {
            guard let flight = flights[id] else {
                broken.append("\(key) can be joined, and its flight is over")
                continue
            }
            if flight.key != key { broken.append("the flight of \(key) is for \(flight.key)") }
            if !flight.isOwned, !writes.isWriting(key) { broken.append("the flight of \(key) was disowned") }
        }
        for flight in flights.values where flight.waiters.count > configuration.maximumWaiters {
            broken.append("\(flight.waiters.count) wait for \(flight.key)")
        }
        return broken.sorted()
    }
}
