import KernelStorage

/// A table that is open: its file, its index and its filters. The data stays on the disk until it is asked for.
final class Table {
    /// One data block, as the index describes it.
    struct IndexEntry {
        /// At or after the block's last key, before the next block's first.
        let key: Bytes
        let offset: Int
        let size: Int
        @inline(__always) var handle: BlockHandle { BlockHandle(offset: offset, size: size) }
    }

    let path: String
    let file: any DiskFile
    let properties: TableProperties
    /// The index's keys, one behind the other.
    private let keys = ByteBuffer()
    private let entries: UnsafeMutablePointer<IndexEntry>
    /// Data blocks.
    let count: Int
    private let filterBlock: Block?
    private let filter: FilterBlock?
    private let cache: BlockCache
    /// The cached data blocks.
    private let slots: UnsafeMutablePointer<Unmanaged<Block>?>

    /// Reads footer, index, filters and properties.
    ///
    /// - Parameter size: what the manifest says the file has.
    init(file: any DiskFile, path: String, size: Int, cache: BlockCache) throws(KVStoreError) {
        let contents = try TableContents(file: file, path: path, size: size)
        filterBlock = contents.filter
        filter = contents.filter.flatMap { FilterBlock($0.bytes) }
        if filterBlock != nil, filter == nil {
            throw .corruption(Corruption(file: path, offset: nil, detail: "the filters cannot be read"))
        }
        let list = try contents.indexEntries(keys: keys)
        count = list.count
        entries = .allocate(capacity: max(1, count))
        entries.initialize(from: list, count: count)
        slots = .allocate(capacity: max(1, count))
        slots.initialize(repeating: nil, count: max(1, count))
        properties = contents.properties ?? TableProperties()
        self.file = file
        self.path = path
        self.cache = cache
    }

    deinit {
        for index in 0..<count { cache.remove(slots + index) }
        slots.deallocate()
        entries.deallocate()
        file.close()
    }

    /// Bytes that it takes in memory, cached blocks not counted.
    var memoryByteCount: Int {
        keys.capacity + (filterBlock?.bytes.count ?? 0) + count * (MemoryLayout<IndexEntry>.stride + 8)
    }

    @inline(__always) func entry(_ index: Int) -> IndexEntry { entries[index] }

    /// The first block that may hold something at or after the key; `count` if there is none.
    @inline(__always) func firstBlock(atOrAfter userKey: Bytes, _ tag: UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) / 2
            if InternalKey.compare(entries[middle].key, userKey, tag) < 0 { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// A data block, from the cache or from the disk.
    @inline(__always) func block(_ index: Int, _ counters: Counters) throws(KVStoreError) -> Block {
        if let block = BlockCache.hit(slots + index) {
            counters.value.cacheHits &+= 1
            return block
        }
        return try readBlock(index, counters)
    }

    func isCached(_ index: Int) -> Bool { slots[index] != nil }

    @inline(never) private func readBlock(_ index: Int, _ counters: Counters) throws(KVStoreError) -> Block {
        let handle = entries[index].handle
        let block = try StoredBlock.read(handle, from: file, path: path)
        counters.value.blockReads &+= 1
        counters.value.blockReadByteCount &+= handle.size + TableFormat.trailerByteCount
        cache.insert(block, into: slots + index)
        return block
    }

    // MARK: Finding a key

    enum Answer {
        /// The value lies in the block.
        case found(ValueKind, value: Bytes, in: Block, index: Int)
        case absent(index: Int)
        case bloomNegative(index: Int)
        case outsideIndex
    }

    /// The newest version of a key at or before the tag's sequence number.
    ///
    /// - Parameter hash: `BloomFilter.hash` of the key.
    @inline(__always)
    func find(_ key: Bytes, _ tag: UInt64, hash: UInt32, _ cursor: inout BlockCursor, _ counters: Counters)
        throws(KVStoreError) -> Answer
    {
        counters.value.tablesAsked &+= 1
        let index = firstBlock(atOrAfter: key, tag)
        if index == count { return .outsideIndex }
        if let filter {
            counters.value.bloomChecks &+= 1
            if !filter.mayContain(hash, blockOffset: entries[index].offset) {
                counters.value.bloomNegatives &+= 1
                return .bloomNegative(index: index)
            }
        }
        let block = try block(index, counters)
        // The cursor's bytes are the block's.
        defer { withExtendedLifetime(block) {} }
        guard cursor.open(block.bytes) else { throw damaged(index) }
        cursor.seek(key, tag)
        if cursor.isDamaged { throw damaged(index) }
        guard cursor.isValid, cursor.key.userKey.equals(key) else {
            if filter != nil { counters.value.bloomFalsePositives &+= 1 }
            return .absent(index: index)
        }
        guard let kind = cursor.key.kind else { throw damaged(index) }
        return .found(kind, value: cursor.value, in: block, index: index)
    }

    func damaged(_ index: Int) -> KVStoreError {
        StoredBlock.damage(path, entries[index].handle, "the block's entries make no sense")
    }
}

/// Numbers that many parts of the store count up.
final class Counters {
    var value = KVStoreStatistics()
}
