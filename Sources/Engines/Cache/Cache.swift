import KernelRedis
import KernelStructures
import KernelWire

/// An in-memory cache that knows Redis's values and commands: strings, lists, sets, sorted sets and hashes under keys
/// that may end, within a bound of memory.
///
/// ## The problem
///
/// A cache is a promise in two halves: what was put in a moment ago is there and comes at once, and the machine does
/// not run out of memory. The halves contradict each other, so something has to go, and the art is in what. A cache
/// that forgets the wrong things is slower than none: everybody asks it first, in vain.
///
/// ## An everyday picture
///
/// The desk of a librarian. Books that people keep asking for lie on it, within reach; the desk has an edge, and for
/// each book that is put on it another one goes back to the stacks. Some carry a slip, "needed until Friday": after
/// Friday nobody is given them, even if they still lie there, and in quiet minutes the librarian clears them away
/// without being asked.
///
/// ## How
///
/// ```
///  words ──▶ command ──▶ room? ──▶ keys and values ──▶ reply
///                          │             ├──▶ touched: who watches or has cached the key
///                    eviction policy     ├──▶ event: keyspace notifications
///                                        └──▶ effect: the same change as one command, for copies
/// ```
///
/// - `KeyIndex` finds a key's `Item`; `ItemSlab` has the items, and the values are in `Values/`.
/// - An end is looked at with each read (lazy), and `ExpiryWheel` knows which ends are due (active), so that what
///   nobody reads goes as well.
/// - `Eviction/` has one file a policy. Memory is counted as the C library gives it out, piece by piece.
/// - `Commands/` has the commands. Each is a function of cache, words and reply.
///
/// It takes `now` and words, and gives replies and effects. It knows no network and no clock; a node, a replica and a
/// test all drive it in the same way.
///
/// ## Where it is wrong
///
/// Everything is lost when the process ends; that is what makes it a cache. And one loop serves all clients: a command
/// over a million elements (`SMEMBERS`, `KEYS`) keeps everybody waiting.
public final class Cache {
    public internal(set) var settings: CacheSettings
    /// Milliseconds since 1970. The host sets it before each command.
    public var now = 0
    /// A copy of another cache: keys whose end has passed are hidden, but only the original deletes and evicts.
    public var isReplica = false {
        didSet { if oldValue != isReplica { isEvicting = false } }
    }
    public internal(set) var statistics = CacheStatistics()

    var slab = ItemSlab()
    var index = KeyIndex()
    let hasher: SipHash
    var random: SeededRandom
    var policy: (any EvictionPolicy)?
    var wheel = ExpiryWheel()
    var slots: SlotTable?
    /// Of keys and strings; of all other values.
    var blockByteCount = 0
    var objectByteCount = 0
    /// How many keys have an end.
    var endingCount = 0
    /// How many changes there have been: a command that leaves it as it was has changed nothing.
    var changes = 0
    /// The number of the newest write.
    var version: UInt64 = 0
    /// More has to be evicted than was done at once.
    public internal(set) var isEvicting = false
    /// What stands for the present command in the stream of effects, if not its own words.
    var effectWords: [[[UInt8]]]?
    /// Keys that blocked clients may be waiting for, in the order in which they were filled.
    var readyKeys: [[UInt8]] = []
    /// Whether anybody waits for a key.
    public var hasWaiters = false
    /// Within a transaction: who waits is not served before its end, and effects are gathered.
    public internal(set) var isInTransaction = false
    var gatheredEffects: [[[UInt8]]] = []
    var gatheringDepth = 0

    /// Called for each key that was changed or deleted: whoever watches it or has cached it must know.
    public var onTouch: ((UnsafeRawBufferPointer) -> Void)?
    /// Called for the events whose classes `settings.notifications` has.
    public var onEvent: ((_ name: String, _ key: UnsafeRawBufferPointer) -> Void)?
    /// Called with each change as one command that makes the same change in a copy.
    public var onEffect: (([[UInt8]]) -> Void)?

    public init(_ settings: CacheSettings = CacheSettings(), seed: UInt64 = 1) {
        self.settings = settings
        var random = SeededRandom(seed: seed)
        hasher = SipHash(random: &random)
        self.random = random
        if settings.keepsSlots { slots = SlotTable() }
        policy = settings.policy.makePolicy(seed: random.next())
    }

    deinit { releaseAll() }

    /// How many keys there are, those that have ended and were not deleted yet included.
    public var keyCount: Int { index.count }
    /// How many of them have an end.
    public var endingKeyCount: Int { endingCount }

    /// Bytes that keys, values and what finds and orders them take. This is what `maxMemory` bounds.
    public var usedByteCount: Int {
        blockByteCount + objectByteCount + slab.liveCount * MemoryLayout<Item>.stride + index.byteCount
            + wheel.byteCount + (policy?.byteCount ?? 0) + (slots?.byteCount ?? 0)
    }
    /// Bytes of places for items that nobody uses at present.
    public var unusedSlabByteCount: Int { slab.byteCount - slab.liveCount * MemoryLayout<Item>.stride }
    /// Remembers how much it was at the most; called now and then.
    public func notePeak() { statistics.peakByteCount = max(statistics.peakByteCount, usedByteCount) }
    /// Of keys and values alone.
    public var dataByteCount: Int { blockByteCount + objectByteCount }
}

public struct CacheSettings: Sendable {
    /// Bytes; 0: no bound.
    public var maxMemory = 0
    public var policy = EvictionChoice.noEviction
    public var encodings = EncodingLimits()
    public var notifications = KeyspaceEvents()
    /// Whether the keys of each cluster slot can be listed: costs 8 bytes a key.
    public var keepsSlots = false
    /// Bytes of the largest string.
    public var stringByteLimit = 512 << 20

    public init() {}
}

/// What a cache has counted since it began, or since `CONFIG RESETSTAT`.
public struct CacheStatistics: Sendable {
    public var hits = 0
    public var misses = 0
    public var expiredKeys = 0
    public var evictedKeys = 0
    /// Keys that were deleted because somebody asked for them after their end.
    public var lazilyExpiredKeys = 0
    public var peakByteCount = 0
}

/// Why a command was not carried out.
public enum CacheError: Error, Sendable {
    case wrongType
    case syntax
    case notInteger
    case notFloat
    case noSuchKey
    case outOfMemory
    /// The whole text of the reply.
    case text(String)
    /// A text around a word of the client's.
    case word(String, [UInt8], String)
    /// Nothing is there to be taken: the client may wait.
    case wouldBlock(BlockingRequest)

    /// The reply: a text, with a word of the client's in the middle.
    var reply: (before: String, word: [UInt8], after: String) {
        switch self {
        case .wrongType: ("WRONGTYPE Operation against a key holding the wrong kind of value", [], "")
        case .syntax: (Complaint.syntax, [], "")
        case .notInteger: (Complaint.integer, [], "")
        case .notFloat: (Complaint.float, [], "")
        case .noSuchKey: ("ERR no such key", [], "")
        case .outOfMemory: ("OOM command not allowed when used memory > 'maxmemory'.", [], "")
        case .text(let text): (text, [], "")
        case .word(let before, let word, let after): (before, word, after)
        case .wouldBlock: ("ERR nothing is there", [], "")
        }
    }
}

/// What a client waits for.
public struct BlockingRequest: Sendable {
    /// Any of them will do; the command is tried again when one has been filled.
    public let keys: [[UInt8]]
    /// Milliseconds; 0: for ever.
    public let timeoutMilliseconds: Int
    /// What it is told when the time is over.
    public let whenOver: Nothing

    public enum Nothing: Sendable { case null, nullArray }
}
