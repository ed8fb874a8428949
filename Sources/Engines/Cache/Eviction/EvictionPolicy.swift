import KernelStructures

/// Who has to go when there is no room: told of each item that comes, is used and goes, it names the next victim.
///
/// It knows items by their place and by the hash of their key, which is the same when a key comes back.
protocol EvictionPolicy: AnyObject {
    /// Bytes that its lists and counters take.
    var byteCount: Int { get }
    func insert(_ id: ItemID, hash: UInt64)
    func access(_ id: ItemID, hash: UInt64)
    /// - Parameter isEviction: whether it goes because of this policy, which may want to remember that it was there.
    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool)
    /// Who is to go next; nil if nobody is left. The caller removes it.
    func victim() -> ItemID?
    /// How often an item was used, as far as it knows.
    func frequency(_ id: ItemID, hash: UInt64) -> Int?
    /// For people: what it is doing. Names and values.
    var description: [(name: String, value: String)] { get }
}

extension EvictionPolicy {
    func frequency(_ id: ItemID, hash: UInt64) -> Int? { nil }
    var description: [(name: String, value: String)] { [] }
}

/// Which items may be evicted, and by which policy.
public enum EvictionChoice: String, CaseIterable, Sendable {
    case noEviction = "noeviction"
    case allKeysLRU = "allkeys-lru"
    case allKeysLFU = "allkeys-lfu"
    case allKeysRandom = "allkeys-random"
    case volatileLRU = "volatile-lru"
    case volatileLFU = "volatile-lfu"
    case volatileRandom = "volatile-random"
    case volatileTTL = "volatile-ttl"
    case allKeysWTinyLFU = "allkeys-wtinylfu"
    case allKeysS3FIFO = "allkeys-s3fifo"
    case allKeysAdaptive = "allkeys-adaptive"
    case volatileWTinyLFU = "volatile-wtinylfu"
    case volatileS3FIFO = "volatile-s3fifo"
    case volatileAdaptive = "volatile-adaptive"

    /// Whether only keys with an end are evicted.
    public var isVolatile: Bool { rawValue.hasPrefix("volatile") }
    public var countsFrequency: Bool { rawValue.hasSuffix("lfu") }
    /// What of its name says how it chooses.
    var method: Substring { rawValue.split(separator: "-").last ?? "" }

    /// nil where nothing is evicted, or the wheel of ends says whom.
    func makePolicy(seed: UInt64) -> (any EvictionPolicy)? {
        switch self {
        case .noEviction, .volatileTTL: nil
        case .allKeysLRU, .volatileLRU: LRUPolicy()
        case .allKeysLFU, .volatileLFU: LFUPolicy()
        case .allKeysRandom, .volatileRandom: RandomPolicy(seed: seed)
        case .allKeysWTinyLFU, .volatileWTinyLFU: WTinyLFUPolicy()
        case .allKeysS3FIFO, .volatileS3FIFO: S3FIFOPolicy()
        case .allKeysAdaptive, .volatileAdaptive: AdaptivePolicy()
        }
    }
}

extension Cache {
    /// Items that are evicted at once at most: whoever lowers the bound by a gigabyte must not stop all clients.
    static let evictionBatch = 1000

    /// Evicts until the memory is within its bound.
    ///
    /// - Returns: whether it is, or will be soon; false if nothing is left that may go.
    func makeRoom() -> Bool {
        guard settings.maxMemory > 0, !isReplica else { return true }
        var count = 0
        while usedByteCount > settings.maxMemory {
            guard count < Self.evictionBatch else {
                isEvicting = true
                return true
            }
            guard let id = victim() else {
                isEvicting = false
                return false
            }
            statistics.evictedKeys += 1
            drop(id, isEviction: true)
            count += 1
        }
        isEvicting = false
        return true
    }

    private func victim() -> ItemID? {
        if settings.policy == .volatileTTL { return wheel.soonest { slab[$0].pointee.expiry } }
        return policy?.victim()
    }

    /// Goes on with what `isEvicting` says is left.
    public func evictSome() { _ = makeRoom() }

    /// Changes the bound, and begins to evict if it is passed.
    public func setMaxMemory(_ byteCount: Int) {
        settings.maxMemory = byteCount
        isEvicting = settings.maxMemory > 0 && usedByteCount > settings.maxMemory
    }

    /// Changes the policy. The new one meets all keys in no particular order.
    public func setPolicy(_ choice: EvictionChoice) {
        guard choice != settings.policy else { return }
        settings.policy = choice
        let policy = choice.makePolicy(seed: random.next())
        self.policy = policy
        guard let policy else { return }
        _ = index.scan(from: 0, limit: .max, in: slab) { id in
            if isEvictable(id) { policy.insert(id, hash: slab[id].pointee.hash) }
        }
    }
}

extension Cache {
    /// Whether a command that may need more memory would be refused now.
    public var isOutOfMemory: Bool { settings.maxMemory > 0 && usedByteCount > settings.maxMemory && !makeRoom() }
}
