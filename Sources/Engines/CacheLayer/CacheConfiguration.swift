import KernelStructures

/// How reads and writes go past a cache; several can be combined where they do not contradict one another.
///
/// Names and meanings are those of Kleppmann, "Designing Data-Intensive Applications", and of the JSR 107 family of
/// libraries.
public struct CacheStrategy: OptionSet, Hashable, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// A read that finds nothing loads from the source by itself, and keeps what it got.
    public static let readThrough = CacheStrategy(rawValue: 1)
    /// A write goes to the source first, and into the cache once that has worked.
    public static let writeThrough = CacheStrategy(rawValue: 2)
    /// A write is kept in a queue and in the cache; the source hears of it later, in batches.
    public static let writeBehind = CacheStrategy(rawValue: 4)
    /// A write goes to the source, and the cache forgets the key: the next read loads it.
    public static let writeAround = CacheStrategy(rawValue: 8)
    /// A read near the end of an entry's life has it loaded again, before anybody has to wait for that.
    public static let refreshAhead = CacheStrategy(rawValue: 16)
    /// The program looks, loads and puts by itself: `cached`, `put`, `invalidate`. Nothing happens by itself.
    public static let cacheAside = CacheStrategy([])

    /// How a write goes: exactly one of them.
    var writing: CacheStrategy {
        for one in [CacheStrategy.writeThrough, .writeBehind, .writeAround] where contains(one) { return one }
        return .writeAround
    }
}

/// Everything that can be chosen about a cache layer. All times are of the clock that its owner gives it.
public struct CacheConfiguration: Sendable {
    public var strategy: CacheStrategy
    /// How long an entry is fresh, before `jitter`.
    public var ttl: LabDuration
    /// By how much of itself `ttl` may be shorter or longer, so that entries that were made together do not end
    /// together: 0.1 makes 9 to 11 minutes of 10. From 0 to 1.
    public var jitter: Double
    /// How long after that it may still be given out while somebody loads it anew (RFC 5861 §3).
    public var staleWhileRevalidate = LabDuration.zero
    /// How long after `ttl` it may be given out where loading fails (RFC 5861 §4).
    public var staleIfError = LabDuration.zero
    /// How long it is remembered that the source has nothing under a key; zero: not at all.
    public var negativeTTL = LabDuration.seconds(30)
    /// The share of an entry's life after which `refreshAhead` loads it again. From 0 to 1.
    public var refreshAheadAt = 0.8
    /// β of XFetch: 1 is the optimum for loads that take as long as the last one, more loads earlier, 0 never early.
    public var earlyExpiration = 1.0
    /// Whether all who want a key that is being loaded wait for that load. Off, each loads for itself: to be compared.
    public var singleFlight: Bool
    /// How long a load may take; then whoever waits is told, and the next one may try.
    public var loaderTimeout = LabDuration.seconds(10)
    /// Entries at most.
    public var maximumEntries = 10_000
    /// The sum of all weights at most; nil for no such bound.
    public var maximumWeight: Int?
    /// Those who may wait for one load.
    public var maximumWaiters = 100_000
    /// Loads under way at a time; further readers of other keys are refused.
    public var maximumLoads = 10_000
    /// In front of each key in the shared cache: `user:`.
    public var keyPrefix: String
    /// A number that grows whenever the stored form changes; entries of another one count as missing.
    public var schemaVersion: UInt32 = 1
    /// How long the right to fill a key of the shared cache is held. While it is, other processes wait.
    public var leaseDuration = LabDuration.seconds(10)
    /// How long another process's load is waited for before this one loads for itself.
    public var leaseWait = LabDuration.seconds(2)
    /// How often is looked meanwhile.
    public var leasePoll = LabDuration.milliseconds(20)
    /// Whether entries of this process are given out without asking the shared cache; off where nobody would tell it
    /// of changes and every read has to be as new as the shared cache.
    public var keepsLocally = true
    /// How long this process may use an entry without asking the shared cache, where nobody tells it of changes; nil
    /// for as long as the entry is fresh.
    public var localTTL: LabDuration?
    /// Whether `Effect.event` is told, for whoever watches.
    public var tellsEvents = false

    public init(
        strategy: CacheStrategy = [.readThrough, .writeThrough], ttl: LabDuration = .seconds(600),
        keyPrefix: String = "", jitter: Double = 0.1, singleFlight: Bool = true
    ) {
        self.strategy = strategy
        self.ttl = ttl
        self.keyPrefix = keyPrefix
        self.jitter = jitter
        self.singleFlight = singleFlight
    }

    /// What makes no sense in a configuration.
    public struct Invalid: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// - Throws: `Invalid`, naming the setting, the value and what it may be.
    public func validate() throws(Invalid) {
        func check(_ isValid: Bool, _ text: String) throws(Invalid) {
            if !isValid { throw Invalid(description: text) }
        }
        let writes = [CacheStrategy.writeThrough, .writeBehind, .writeAround].filter { strategy.contains($0) }
        try check(
            writes.count <= 1,
            "strategy: a write goes through, behind or around the cache; choose one of them")
        try check(
            !strategy.contains(.refreshAhead) || strategy.contains(.readThrough),
            "strategy: refreshAhead loads by itself, which needs readThrough")
        try check(ttl > .zero, "ttl: \(ttl) is not longer than 0")
        try check((0...1).contains(jitter), "jitter: \(jitter) is not a share of 0 to 1")
        try check(
            refreshAheadAt > 0 && refreshAheadAt < 1, "refreshAheadAt: \(refreshAheadAt) is not between 0 and 1")
        try check(
            earlyExpiration >= 0 && earlyExpiration <= 1000, "earlyExpiration: \(earlyExpiration) is not 0 to 1000")
        for (name, time) in [
            ("staleWhileRevalidate", staleWhileRevalidate), ("staleIfError", staleIfError),
            ("negativeTTL", negativeTTL), ("leaseWait", leaseWait),
        ] {
            try check(time >= .zero, "\(name): \(time) is less than 0")
        }
        for (name, time) in [
            ("loaderTimeout", loaderTimeout), ("leaseDuration", leaseDuration), ("leasePoll", leasePoll),
        ] {
            try check(time > .zero, "\(name): \(time) is not longer than 0")
        }
        try check(localTTL.map { $0 > .zero } ?? true, "localTTL: it is not longer than 0")
        for (name, limit) in [
            ("maximumEntries", maximumEntries), ("maximumWaiters", maximumWaiters), ("maximumLoads", maximumLoads),
            ("maximumWeight", maximumWeight ?? 1),
        ] {
            try check((1...Self.countLimit).contains(limit), "\(name): \(limit) is not 1 to \(Self.countLimit)")
        }
    }

    /// What can be counted in 32 bits.
    public static let countLimit = Int(Int32.max) - 1
}

extension LabDuration {
    /// Saturates, as all of them do.
    public static func minutes(_ count: Int) -> LabDuration { .seconds(60) * count }
}
