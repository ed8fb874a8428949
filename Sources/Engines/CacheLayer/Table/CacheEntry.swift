import KernelStructures

/// A value as the cache keeps it: an object of which only its owner knows more. (A generic table would have to look its
/// types up at run time wherever the compiler does not know them, which costs more than the look-up itself.)
public typealias CacheObject = AnyObject & Sendable

/// A tag, and how often it had been invalidated when an entry's load began.
public struct TagStamp: Equatable, Sendable {
    public let tag: String
    public let generation: UInt64

    public init(tag: String, generation: UInt64) {
        self.tag = tag
        self.generation = generation
    }
}

/// What is known under one key, and how it came to be known.
public struct CacheEntry: Sendable {
    /// nil: the source has nothing under this key.
    public var value: (any CacheObject)?
    public var origin: Origin
    /// When the source was asked for it, or it was written.
    public var loadedAt: LabTime
    /// How long that took: XFetch's δ.
    public var loadDuration: LabDuration
    /// Until then it is given out and nothing is done.
    public var freshUntil: LabTime
    /// Until then it is given out while it is loaded anew.
    public var staleUntil: LabTime
    /// Until then it is given out where loading fails.
    public var errorUntil: LabTime
    /// From then on a reader has to look more closely: it may be time to load it early, or it is no longer fresh.
    public var checkFrom: LabTime
    /// The source's version of the value; 0 where it has none.
    public var version: UInt64
    public var weight: Int
    public var tags: [TagStamp]
    /// Who asked first, in the owner's words.
    public var loadedBy: String
    /// Readers that waited for the load, beside the first.
    public var waiterCount: Int
    public var hitCount: Int = 0

    /// Where it came from.
    public enum Origin: String, Sendable, CaseIterable {
        case source, remote, write, put
    }

    public init(
        value: (any CacheObject)?, origin: Origin, loadedAt: LabTime, loadDuration: LabDuration = .zero,
        freshUntil: LabTime, version: UInt64 = 0, weight: Int = 1, tags: [TagStamp] = [], loadedBy: String = "",
        waiterCount: Int = 0
    ) {
        self.value = value
        self.origin = origin
        self.loadedAt = loadedAt
        self.loadDuration = max(.zero, loadDuration)
        self.freshUntil = freshUntil
        staleUntil = freshUntil
        errorUntil = freshUntil
        checkFrom = freshUntil
        self.version = version
        self.weight = max(0, min(weight, Self.weightLimit))
        self.tags = tags
        self.loadedBy = loadedBy
        self.waiterCount = waiterCount
    }

    /// Sums of so many weights stay within 64 bits.
    static let weightLimit = Int(Int32.max)

    /// The moment after which it is of no use to anybody.
    public var endsAt: LabTime { max(freshUntil, staleUntil, errorUntil) }
}

/// What a read found.
public struct CacheAnswer: Sendable {
    /// nil: the source has nothing under this key.
    public let value: (any CacheObject)?
    public let freshness: Freshness
    public let version: UInt64
    public let loadedAt: LabTime
    /// How long the load took that began then: the value is of a moment within that time.
    public let loadDuration: LabDuration

    public enum Freshness: String, Sendable, CaseIterable {
        /// From the cache, within its time.
        case fresh
        /// From the cache, beyond its time: somebody loads it anew, or that has failed.
        case stale
        /// Just loaded, for this reader or for another.
        case loaded
        /// Written, and not yet in the source.
        case pending
    }

    public init(
        value: (any CacheObject)?, freshness: Freshness, version: UInt64, loadedAt: LabTime,
        loadDuration: LabDuration = .zero
    ) {
        self.value = value
        self.freshness = freshness
        self.version = version
        self.loadedAt = loadedAt
        self.loadDuration = loadDuration
    }

    init(_ entry: CacheEntry, _ freshness: Freshness) {
        self.init(
            value: entry.value, freshness: freshness, version: entry.version, loadedAt: entry.loadedAt,
            loadDuration: entry.loadDuration)
    }
}

/// Why a read or a write came to nothing.
public enum CacheFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The source failed, with its reason. All who waited for that load get the same.
    case source(String)
    /// The load took longer than so long.
    case timedOut(LabDuration)
    /// Whoever loaded gave up, and nobody was left to go on.
    case abandoned
    /// So many wait for this load already.
    case tooManyWaiters(Int)
    /// So many loads are under way already.
    case tooManyLoads(Int)
    /// So many writes wait to reach the source.
    case queueFull(Int)
    /// A write may have reached the source, or not.
    case outcomeUnknown(String)
    /// The queue of writes cannot be made durable.
    case notDurable(String)
    case closed

    public var description: String {
        switch self {
        case .source(let reason): reason
        case .timedOut(let limit): "no answer from the source within \(limit)"
        case .abandoned: "whoever loaded it gave up"
        case .tooManyWaiters(let count): "\(count) wait for this key already"
        case .tooManyLoads(let count): "\(count) loads are under way already"
        case .queueFull(let count): "\(count) writes wait for the source already"
        case .outcomeUnknown(let reason): "whether it was written is not known: \(reason)"
        case .notDurable(let reason): "the write could not be kept: \(reason)"
        case .closed: "the cache layer is closed"
        }
    }
}
