import KernelStructures

/// Which place of the slab a key has; 0 is none.
public typealias ItemID = UInt32

/// What kind of value a key has.
public enum ValueKind: UInt8, Sendable, CaseIterable {
    case string, list, set, sortedSet, hash

    /// As `TYPE` names it.
    public var name: String {
        switch self {
        case .string: "string"
        case .list: "list"
        case .set: "set"
        case .sortedSet: "zset"
        case .hash: "hash"
        }
    }
}

/// One key: 64 bytes, a line of the processor's cache, beside a block of memory that has the key's bytes and, for a
/// string, its value's behind them.
///
/// ```
///  bucket (4 B) ──▶ Item (64 B) ──▶ block: k e y 1 h e l l o
///                       └ word: a list's, hash's … object, or how much room a string's block has
/// ```
///
/// A look-up touches three places in memory: the bucket, the item, the block.
struct Item {
    var hash: UInt64
    var block: UnsafeMutableRawPointer
    /// Milliseconds since 1970; 0: none.
    var expiry: Int
    /// The number of the write that made it what it is: memcached's "cas unique".
    var version: UInt64
    /// Of a string: bytes of the block. Of anything else: its object, retained once.
    var word: UInt
    var keyCount: UInt32
    var valueCount: UInt32
    /// The next one in its chain, or among the free places.
    var next: ItemID
    /// What a client of memcached's protocol left with its value.
    var clientFlags: UInt32
    /// Seconds of the cache's clock, without those above 32 bits.
    var accessedAt: UInt32
    var kind: ValueKind
    var marks: Marks
    /// Whether the place is in use.
    var isLive: Bool
    /// Another cache is responsible for it: it is not deleted or evicted by this one.
    var isCopy = false

    struct Marks: OptionSet {
        let rawValue: UInt8
        /// A string that was changed in place: Redis calls its encoding raw, whatever its bytes are.
        static let raw = Marks(rawValue: 1)
        /// memcached's meta commands: it is invalid and may be served until somebody has loaded it anew.
        static let stale = Marks(rawValue: 2)
        /// Somebody has been told to load it anew.
        static let isWon = Marks(rawValue: 4)
        /// It was read at least once.
        static let fetched = Marks(rawValue: 8)
        /// The sum of floating-point numbers: to Redis it is a text, even if it looks like a whole number.
        static let text = Marks(rawValue: 16)
    }

    var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: block, count: Int(keyCount)) }

    /// A string's value.
    var value: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: block + Int(keyCount), count: Int(valueCount))
    }

    /// Bytes of the block.
    var capacity: Int { kind == .string ? Int(word) : Int(keyCount) }

    /// What is not a string.
    var object: CacheValue {
        // Never null: `word` came from an object that is retained as long as the item is live.
        Unmanaged<CacheValue>.fromOpaque(UnsafeRawPointer(bitPattern: word)!).takeUnretainedValue()
    }
}

/// What a piece of memory costs. The C library gives out multiples of 16 bytes with 8 of its own before each, and large
/// pieces in pages; so this is what is taken, not what was asked for.
public enum MemoryCost {
    /// Of a block of so many bytes.
    @inline(__always) public static func block(_ byteCount: Int) -> Int {
        if byteCount >= 128 << 10 { return (byteCount + 16 + 4095) & ~4095 }
        return max(32, (byteCount + 8 + 15) & ~15)
    }

    /// Of an array of bytes: Swift keeps 32 bytes before them.
    @inline(__always) public static func bytes(_ bytes: [UInt8]) -> Int {
        bytes.isEmpty ? 0 : block(32 + bytes.count)
    }

    /// Of a value's object whose class has fields of so many bytes: behind Swift's header of 16 and `countedByteCount`.
    static func object<Fields>(_ fields: Fields.Type) -> Int { block(16 + 8 + MemoryLayout<Fields>.size) }

    /// Of an array's storage for so many elements of such a size.
    static func array(_ capacity: Int, stride: Int) -> Int { capacity == 0 ? 0 : block(32 + capacity * stride) }
}

/// Places for items: chunks of 1,024 that never move, so that a place can be named by a number of 32 bits. A chunk that
/// is empty is given back.
struct ItemSlab: ~Copyable {
    private static let chunkBits = 10
    private static let chunkCount = 1 << chunkBits
    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Item>?>
    private var chunkCapacity = 64
    private var used = 0
    /// Of each chunk: the first free place in it (0: none), and how many are live.
    private var freeHeads: [ItemID] = []
    private var liveCounts: [Int] = []
    /// Chunks with a free place, and those that were given back.
    private var roomy: [Int] = []
    private var vacant: [Int] = []
    private(set) var liveCount = 0
    private(set) var chunkTotal = 0

    init() {
        chunks = .allocate(capacity: chunkCapacity)
        chunks.initialize(repeating: nil, count: chunkCapacity)
    }

    deinit {
        for index in 0..<used { chunks[index]?.deallocate() }
        chunks.deallocate()
    }

    @inline(__always) subscript(id: ItemID) -> UnsafeMutablePointer<Item> {
        // An id is only ever taken from a chain, a list or a wheel, which forget it before the item is freed.
        chunks[Int(id) >> Self.chunkBits].unsafelyUnwrapped + (Int(id) & (Self.chunkCount - 1))
    }

    /// Bytes that are allocated for places, used or not.
    var byteCount: Int { chunkTotal * MemoryCost.block(Self.chunkCount * MemoryLayout<Item>.stride) }
    /// One more than the largest place there can be.
    var limit: Int { used << Self.chunkBits }
    /// More keys than 32 bits can number are refused; one command may still add two million.
    var isFull: Bool { liveCount >= Int(UInt32.max) - 4 << 20 }

    /// A place for an item, which the caller initializes.
    mutating func allocate() -> ItemID {
        if roomy.isEmpty { addChunk() }
        let chunk = roomy[roomy.count - 1]
        let id = freeHeads[chunk]
        freeHeads[chunk] = self[id].pointee.next
        if freeHeads[chunk] == 0 { roomy.removeLast() }
        liveCounts[chunk] += 1
        liveCount += 1
        return id
    }

    mutating func free(_ id: ItemID) {
        let chunk = Int(id) >> Self.chunkBits
        if freeHeads[chunk] == 0 { roomy.append(chunk) }
        self[id].pointee.isLive = false
        self[id].pointee.next = freeHeads[chunk]
        freeHeads[chunk] = id
        liveCounts[chunk] -= 1
        liveCount -= 1
        // The last one to be used stays: it is where the next item goes.
        if liveCounts[chunk] == 0, roomy.count > 1 { giveBack(chunk) }
    }

    private mutating func giveBack(_ chunk: Int) {
        chunks[chunk]?.deallocate()
        chunks[chunk] = nil
        freeHeads[chunk] = 0
        chunkTotal -= 1
        roomy.removeAll { $0 == chunk }
        vacant.append(chunk)
    }

    private mutating func addChunk() {
        let index = vacant.popLast() ?? used
        if index == used {
            if used == chunkCapacity { widen() }
            used += 1
            freeHeads.append(0)
            liveCounts.append(0)
        }
        let chunk = UnsafeMutablePointer<Item>.allocate(capacity: Self.chunkCount)
        let base = index << Self.chunkBits
        // Place 0 of all is nobody's.
        let first = index == 0 ? 1 : 0
        for place in first..<Self.chunkCount {
            (chunk + place).initialize(
                to: Self.vacantItem(next: ItemID(place + 1 < Self.chunkCount ? base + place + 1 : 0)))
        }
        if first == 1 { chunk.initialize(to: Self.vacantItem(next: 0)) }
        chunks[index] = chunk
        freeHeads[index] = ItemID(base + first)
        liveCounts[index] = 0
        chunkTotal += 1
        roomy.append(index)
    }

    private static func vacantItem(next: ItemID) -> Item {
        Item(
            hash: 0, block: UnsafeMutableRawPointer(bitPattern: 16)!, expiry: 0, version: 0, word: 0, keyCount: 0,
            valueCount: 0, next: next, clientFlags: 0, accessedAt: 0, kind: .string, marks: [], isLive: false)
    }

    private mutating func widen() {
        let wider = UnsafeMutablePointer<UnsafeMutablePointer<Item>?>.allocate(capacity: chunkCapacity * 2)
        wider.update(from: chunks, count: chunkCapacity)
        (wider + chunkCapacity).initialize(repeating: nil, count: chunkCapacity)
        chunks.deallocate()
        chunks = wider
        chunkCapacity *= 2
    }

    /// The first live place at or after one, round the end; 0 if there is none.
    func live(from id: ItemID) -> ItemID {
        guard liveCount > 0, limit > 0 else { return 0 }
        var chunk = min(Int(id) >> Self.chunkBits, used - 1)
        var place = Int(id) & (Self.chunkCount - 1)
        for _ in 0...used {
            if liveCounts[chunk] > 0, let base = chunks[chunk] {
                while place < Self.chunkCount {
                    if base[place].isLive { return ItemID(chunk << Self.chunkBits + place) }
                    place += 1
                }
            }
            place = 0
            chunk = (chunk + 1) % used
        }
        return 0
    }
}
