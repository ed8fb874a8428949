/// How a store is kept. The defaults are LevelDB's.
public struct KVStoreOptions: Equatable, Sendable {
    /// Bytes that the memtable may hold before it is written to a table.
    public var writeBufferByteCount = 4 << 20
    /// Bytes of blocks kept in memory.
    public var blockCacheByteCount = 8 << 20
    /// Tables kept open at a time; each takes a descriptor, and its index and filters take memory.
    public var openTableLimit = 990
    /// Bytes of a data block before it is closed: what one read takes from the disk.
    public var blockByteCount = 4096
    /// Every this many keys a block stores one whole; those between store what differs from their predecessor.
    public var restartInterval = 16
    /// Bits of Bloom filter a key; 0 for none. Ten give one false positive in a hundred.
    public var bloomBitsPerKey = 10
    /// Bytes of a table before compaction begins the next.
    public var tableByteCount = 2 << 20
    /// Tables of level 0 that start a compaction, that slow writers down, and that stop them.
    public var level0CompactionTrigger = 4
    public var level0SlowdownTrigger = 8
    public var level0StopTrigger = 12
    /// Bytes of level 1 before it is compacted; each further level may hold ten times as many.
    public var level1ByteCount = 10 << 20
    public var createIfMissing = true
    /// Nothing is written, not even a log; the directory may belong to a store that runs.
    public var isReadOnly = false
    /// Where the heights of the skip list's nodes begin.
    public var seed: UInt64 = 1

    public init() {}

    /// A key may have this many bytes, a value this many, a batch this many altogether.
    public static let keyByteLimit = 1 << 20
    public static let valueByteLimit = 64 << 20
    public static let batchByteLimit = 256 << 20
    /// Levels 0 to 6.
    public static let levelCount = 7

    /// What is out of range, or nil.
    var complaint: String? {
        if writeBufferByteCount < 4096 || writeBufferByteCount > 1 << 30 {
            return "the memtable's limit must be 4 KiB to 1 GiB"
        }
        if blockByteCount < 64 || blockByteCount > 4 << 20 { return "a block must be 64 B to 4 MiB" }
        if restartInterval < 1 || restartInterval > 1024 { return "the restart interval must be 1 to 1024" }
        if bloomBitsPerKey < 0 || bloomBitsPerKey > 64 { return "a Bloom filter has 0 to 64 bits a key" }
        if tableByteCount < 1024 || tableByteCount > 1 << 30 { return "a table must be 1 KiB to 1 GiB" }
        if blockCacheByteCount < 0 { return "the block cache cannot be smaller than nothing" }
        if openTableLimit < 1 { return "at least one table must be open at a time" }
        if level1ByteCount < 1024 { return "level 1 must be 1 KiB or more" }
        if level0CompactionTrigger < 1 || level0SlowdownTrigger < level0CompactionTrigger
            || level0StopTrigger < level0SlowdownTrigger
        {
            return "the triggers of level 0 must be 1 or more, and compaction <= slowdown <= stop"
        }
        return nil
    }
}
