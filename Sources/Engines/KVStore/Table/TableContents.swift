import KernelStorage

/// What stands around a table's data: found from the footer, read and checked.
struct TableContents {
    let index: Block
    let filter: Block?
    let properties: TableProperties?
    private let path: String
    private let size: Int

    init(file: any DiskFile, path: String, size: Int, propertiesOnly: Bool = false) throws(KVStoreError) {
        self.path = path
        self.size = size
        let footer = try Self.footer(of: file, path: path, size: size)
        let names = try Self.metaindex(footer, file: file, path: path, size: size)
        if let handle = names[TableFormat.propertiesName] {
            properties = Self.properties(try StoredBlock.read(handle, from: file, path: path))
        } else {
            properties = nil
        }
        index = try StoredBlock.read(footer.index, from: file, path: path)
        if let handle = names[TableFormat.filterName], !propertiesOnly {
            filter = try StoredBlock.read(handle, from: file, path: path)
        } else {
            filter = nil
        }
    }

    private static func damage(_ path: String, _ offset: Int?, _ detail: String) -> KVStoreError {
        .corruption(Corruption(file: path, offset: offset, detail: detail))
    }

    private static func footer(of file: any DiskFile, path: String, size: Int) throws(KVStoreError) -> Footer {
        let actual = file.size
        guard actual == size else { throw damage(path, nil, "has \(actual) bytes, and should have \(size)") }
        guard size >= TableFormat.footerByteCount else { throw damage(path, nil, "too short to be a table") }
        let start = size - TableFormat.footerByteCount
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try file.read(at: start, count: TableFormat.footerByteCount)
        } catch {
            throw .disk(error)
        }
        let footer = bytes.withUnsafeBytes { Footer(Bytes($0)) }
        guard let footer, footer.index.fits(size), footer.metaindex.fits(size) else {
            throw damage(path, start, "not the end of a table of LevelDB's format")
        }
        return footer
    }

    /// The names in the metaindex, and where they lead.
    private static func metaindex(_ footer: Footer, file: any DiskFile, path: String, size: Int)
        throws(KVStoreError) -> [String: BlockHandle]
    {
        let block = try StoredBlock.read(footer.metaindex, from: file, path: path)
        defer { withExtendedLifetime(block) {} }
        var names: [String: BlockHandle] = [:]
        var cursor = BlockCursor(holdsInternalKeys: false)
        if cursor.open(block.bytes) { cursor.seekToFirst() }
        while cursor.isValid {
            guard let handle = BlockHandle(cursor.value), handle.fits(size) else {
                throw damage(path, footer.metaindex.offset, "the metaindex leads out of the file")
            }
            names[String(decoding: cursor.key.raw, as: UTF8.self)] = handle
            cursor.next()
        }
        if cursor.isDamaged { throw damage(path, footer.metaindex.offset, "the metaindex cannot be read") }
        return names
    }

    /// Nil where there are none that could be understood: they are only told, never relied on.
    private static func properties(_ block: Block) -> TableProperties? {
        defer { withExtendedLifetime(block) {} }
        var result = TableProperties()
        var cursor = BlockCursor(holdsInternalKeys: false)
        guard cursor.open(block.bytes) else { return nil }
        cursor.seekToFirst()
        var hasEntries = false
        while cursor.isValid {
            var reader = ByteReader(cursor.value)
            if let number = reader.varint64().flatMap(Int.init(exactly:)) {
                switch String(decoding: cursor.key.raw, as: UTF8.self) {
                case "rocksdb.num.entries":
                    result.entries = number
                    hasEntries = true
                case "rocksdb.deleted.keys": result.deletions = number
                case "rocksdb.raw.key.size": result.keyByteCount = number
                case "rocksdb.raw.value.size": result.valueByteCount = number
                case "rocksdb.data.size": result.dataByteCount = number
                case "rocksdb.num.data.blocks": result.dataBlocks = number
                default: break
                }
            }
            cursor.next()
        }
        return hasEntries ? result : nil
    }

    /// The index, decoded. Index keys are stored in part; whole they lie in `keys`, which must live as long.
    func indexEntries(keys: ByteBuffer) throws(KVStoreError) -> [Table.IndexEntry] {
        var found: [(keyByteCount: Int, handle: BlockHandle)] = []
        var cursor = BlockCursor()
        let isBlock = cursor.open(index.bytes)
        if isBlock { cursor.seekToFirst() }
        while cursor.isValid {
            guard let handle = BlockHandle(cursor.value), handle.fits(size) else {
                throw Self.damage(path, nil, "the index leads out of the file")
            }
            found.append((cursor.key.count, handle))
            keys.append(cursor.key)
            cursor.next()
        }
        if !isBlock || cursor.isDamaged { throw Self.damage(path, nil, "the index cannot be read") }
        var start = UnsafePointer(keys.start)
        return found.map { keyByteCount, handle in
            defer { start += keyByteCount }
            return Table.IndexEntry(key: Bytes(start, keyByteCount), offset: handle.offset, size: handle.size)
        }
    }
}
