import KernelStorage

/// Writes a table from entries that come in order.
final class TableBuilder {
    private let file: any DiskFile
    private let options: KVStoreOptions
    private let output = ByteBuffer(capacity: 96 << 10)
    private var data: BlockBuilder
    private var index: BlockBuilder
    private var filter: FilterBlockBuilder?
    private let handleBuffer = ByteBuffer(capacity: 32)
    /// The data block that was closed last; its index entry waits for the next key, to find a short separator.
    private var pending: BlockHandle?
    private let pendingLastKey = ByteBuffer(capacity: 64)
    /// Bytes that are in the file; `output` comes after them.
    private var writtenByteCount = 0
    private(set) var properties = TableProperties()
    private(set) var smallest: [UInt8] = []

    private static let writeByteCount = 64 << 10

    /// - Parameter file: empty.
    init(file: any DiskFile, options: KVStoreOptions) {
        self.file = file
        self.options = options
        data = BlockBuilder(restartInterval: options.restartInterval)
        index = BlockBuilder(restartInterval: 1)
        if options.bloomBitsPerKey > 0 { filter = FilterBlockBuilder(bitsPerKey: options.bloomBitsPerKey) }
        filter?.startBlock(at: 0)
    }

    @inline(__always) private var offset: Int { writtenByteCount &+ output.count }
    /// Bytes of the table so far, those of the open data block included.
    @inline(__always) var byteCount: Int { offset &+ data.byteCount }
    var entryCount: Int { properties.entries }
    /// The last key; valid until the next `add`.
    var largest: Bytes { data.isEmpty ? pendingLastKey.bytes : data.key }

    /// - Parameter key: an internal key, larger than the one before.
    @inline(__always) func add(_ key: Bytes, _ value: Bytes) throws(DiskError) {
        if data.isEmpty { startBlock(key) }
        filter?.add(key.userKey)
        data.add(key, value)
        properties.entries &+= 1
        properties.keyByteCount &+= key.count
        properties.valueByteCount &+= value.count
        if key.kind == .deletion { properties.deletions &+= 1 }
        if data.byteCount >= options.blockByteCount { try finishBlock() }
    }

    private func startBlock(_ key: Bytes) {
        if properties.entries == 0 { smallest = key.array }
        guard let handle = pending else { return }
        addIndexEntry(Separator.between(internal: pendingLastKey.bytes, key), handle)
        pending = nil
    }

    private func addIndexEntry(_ key: [UInt8], _ handle: BlockHandle) {
        handleBuffer.count = 0
        handle.append(to: handleBuffer)
        key.withUnsafeBytes { index.add(Bytes($0), handleBuffer.bytes) }
    }

    private func finishBlock() throws(DiskError) {
        pendingLastKey.count = 0
        pendingLastKey.append(data.key)
        pending = store(data.finish())
        data.reset()
        properties.dataBlocks += 1
        filter?.startBlock(at: offset)
        if output.count >= Self.writeByteCount { try write() }
    }

    /// Adds a block with its trailer.
    private func store(_ block: Bytes) -> BlockHandle {
        let handle = BlockHandle(offset: offset, size: block.count)
        let compression = TableFormat.Compression.none.rawValue
        output.append(block)
        output.append(compression)
        output.append32(MaskedChecksum.of(block, then: compression))
        return handle
    }

    private func write() throws(DiskError) {
        try file.write(output.bytes.raw, at: writtenByteCount)
        writtenByteCount += output.count
        output.count = 0
    }

    /// Writes what comes after the data, and syncs. Afterwards `byteCount` is the file's size.
    func finish() throws(DiskError) {
        if !data.isEmpty { try finishBlock() }
        if let handle = pending { addIndexEntry(Separator.after(internal: pendingLastKey.bytes), handle) }
        pending = nil
        properties.dataByteCount = offset
        var metaindex: [(String, BlockHandle)] = []
        if filter != nil {
            let bytes = filter!.finish()
            properties.filterByteCount = bytes.count
            metaindex.append((TableFormat.filterName, store(bytes)))
        }
        properties.indexByteCount = index.byteCount
        metaindex.append((TableFormat.propertiesName, store(propertiesBlock())))
        let metaindexHandle = store(metaindexBlock(metaindex))
        let indexHandle = store(index.finish())
        Footer(metaindex: metaindexHandle, index: indexHandle).append(to: output)
        data.reset()
        try write()
        try file.sync()
    }

    /// Bytes of the finished table.
    var finishedByteCount: Int { writtenByteCount }

    private func metaindexBlock(_ entries: [(String, BlockHandle)]) -> Bytes {
        data = BlockBuilder(restartInterval: 1)
        for (name, handle) in entries {
            handleBuffer.count = 0
            handle.append(to: handleBuffer)
            withBytes(of: name.utf8) { data.add($0, handleBuffer.bytes) }
        }
        return data.finish()
    }

    private func propertiesBlock() -> Bytes {
        data = BlockBuilder(restartInterval: 1)
        var entries: [(String, [UInt8])] = [
            ("rocksdb.comparator", Array(VersionEdit.comparatorName.utf8)),
            ("rocksdb.filter.policy", filter == nil ? [] : Array(BloomFilter.policyName.utf8)),
        ]
        for (name, number) in properties.numbers {
            handleBuffer.count = 0
            handleBuffer.appendVarint(UInt64(number))
            entries.append((name, handleBuffer.bytes.array))
        }
        for (name, value) in entries.sorted(by: { $0.0 < $1.0 }) {
            withBytes(of: name.utf8) { name in withBytes(of: value) { data.add(name, $0) } }
        }
        return data.finish()
    }
}
