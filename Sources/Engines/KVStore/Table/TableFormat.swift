/// The format of tables: LevelDB's, which RocksDB still reads.
///
///     table        := data block*, filter block, properties block, metaindex block, index block, footer
///     stored block := block, compression (1 byte), checksum (4 bytes, masked CRC-32C of both)
///     footer       := metaindex handle, index handle, zeros up to 40 bytes, magic number (8 bytes)
///     handle       := offset (varint), size without compression and checksum (varint)
///
/// The index has one entry for each data block: a key at or after the last of it and before the first of the next,
/// and the block's handle. The metaindex leads from names to the other blocks.
enum TableFormat {
    static let footerByteCount = 48
    static let trailerByteCount = 5
    static let magic: UInt64 = 0xDB47_7524_8B80_FB57
    static let filterName = "filter." + BloomFilter.policyName
    /// RocksDB's name, and its keys in it: its tools show them. LevelDB passes over what it does not know.
    static let propertiesName = "rocksdb.properties"
    /// What a block may take at most, once it is uncompressed: nobody makes them larger, and a damaged size must not
    /// take all memory.
    static let blockByteLimit = 512 << 20

    enum Compression: UInt8 {
        case none = 0
        case snappy = 1
    }
}

/// Where a block stands in its file.
struct BlockHandle: Equatable {
    var offset: Int
    /// Without the trailer.
    var size: Int

    init(offset: Int, size: Int) {
        self.offset = offset
        self.size = size
    }

    init?(_ reader: inout ByteReader) {
        guard let offset = reader.varint64(), let size = reader.varint64(), offset <= 1 << 50, size <= 1 << 40 else {
            return nil
        }
        self.init(offset: Int(offset), size: Int(size))
    }

    init?(_ bytes: Bytes) {
        var reader = ByteReader(bytes)
        self.init(&reader)
    }

    func append(to buffer: ByteBuffer) {
        buffer.appendVarint(UInt64(offset))
        buffer.appendVarint(UInt64(size))
    }

    /// Whether the block and its trailer lie within a file of that size, before the footer.
    func fits(_ fileByteCount: Int) -> Bool {
        size <= TableFormat.blockByteLimit
            && offset + size + TableFormat.trailerByteCount <= fileByteCount - TableFormat.footerByteCount
    }
}

/// The last 48 bytes of a table.
struct Footer: Equatable {
    var metaindex: BlockHandle
    var index: BlockHandle

    init(metaindex: BlockHandle, index: BlockHandle) {
        self.metaindex = metaindex
        self.index = index
    }

    init?(_ bytes: Bytes) {
        guard bytes.count == TableFormat.footerByteCount, (bytes.end - 8).fixed64 == TableFormat.magic else {
            return nil
        }
        var reader = ByteReader(bytes.prefix(40))
        guard let metaindex = BlockHandle(&reader), let index = BlockHandle(&reader) else { return nil }
        self.init(metaindex: metaindex, index: index)
    }

    func append(to buffer: ByteBuffer) {
        let start = buffer.count
        metaindex.append(to: buffer)
        index.append(to: buffer)
        while buffer.count < start + 40 { buffer.append(0) }
        buffer.append64(TableFormat.magic)
    }
}

/// What a table says about itself.
struct TableProperties: Equatable {
    /// Entries, versions and tombstones included.
    var entries = 0
    var deletions = 0
    var keyByteCount = 0
    var valueByteCount = 0
    var dataByteCount = 0
    var indexByteCount = 0
    var filterByteCount = 0
    var dataBlocks = 0

    /// By the names that RocksDB's tools look for, sorted.
    var numbers: [(String, Int)] {
        [
            ("rocksdb.data.size", dataByteCount), ("rocksdb.deleted.keys", deletions),
            ("rocksdb.filter.size", filterByteCount), ("rocksdb.index.size", indexByteCount),
            ("rocksdb.num.data.blocks", dataBlocks), ("rocksdb.num.entries", entries),
            ("rocksdb.raw.key.size", keyByteCount), ("rocksdb.raw.value.size", valueByteCount),
        ]
    }
}
