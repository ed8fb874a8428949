import KernelStorage

/// Walks over tables whose keys do not overlap, one after the other as if they were one: a level, or a single table.
///
/// The first blocks come one by one through the cache. Who then goes on forward is reading all of it, and gets a piece
/// of many blocks with one read, past the cache: a scan must not drive out what others need again.
final class TablesIterator: InternalIterator {
    private let files: [FileMetadata]
    private let tables: TableCache
    private var fileIndex = 0
    private var table: Table?
    private var blockIndex = 0
    private var cursor = BlockCursor()
    /// What the cursor's bytes lie in, unless they lie in `ahead`.
    private var block: Block?
    private var ahead: ReadAhead?
    /// Blocks in a row that were entered from the one before.
    private var run: Int
    private static let runBeforeReadingAhead = 3

    /// - Parameter readsAll: reads ahead from the first block on.
    init(_ files: [FileMetadata], _ tables: TableCache, readsAll: Bool = false) {
        self.files = files
        self.tables = tables
        run = readsAll ? Self.runBeforeReadingAhead : 0
    }

    @inline(__always) private func show() throws(KVStoreError) {
        if cursor.isValid {
            key = cursor.key
            value = cursor.value
            isValid = true
        } else {
            isValid = false
            if cursor.isDamaged, let table { throw table.damaged(min(blockIndex, table.count - 1)) }
        }
    }

    private func openTable(_ index: Int) throws(KVStoreError) {
        if fileIndex != index || table == nil {
            block = nil
            ahead?.forget()
            table = try tables.table(files[index])
            fileIndex = index
        }
    }

    private func openBlock(_ index: Int) throws(KVStoreError) {
        isValid = false
        blockIndex = index
        guard let table else { return }
        let bytes: Bytes
        if run >= Self.runBeforeReadingAhead {
            if ahead == nil { ahead = ReadAhead() }
            (bytes, block) = try ahead!.block(index, of: table, tables.counters)
        } else {
            let cached = try table.block(index, tables.counters)
            block = cached
            bytes = cached.bytes
        }
        guard cursor.open(bytes) else { throw table.damaged(index) }
    }

    override func seek(_ userKey: Bytes, _ tag: UInt64) throws(KVStoreError) {
        isValid = false
        let index = files.count == 1 ? 0 : Version.firstFile(files, atOrAfter: userKey, tag)
        if index == files.count { return }
        try openTable(index)
        if run < Self.runBeforeReadingAhead { run = 0 }
        let start = table!.firstBlock(atOrAfter: userKey, tag)
        if start < table!.count {
            try openBlock(start)
            cursor.seek(userKey, tag)
            if cursor.isValid || cursor.isDamaged { return try show() }
        }
        // The index key was beyond the last key of its block, or of its table.
        blockIndex = start
        try goForward()
    }

    override func seekToFirst() throws(KVStoreError) {
        isValid = false
        if files.isEmpty { return }
        try openTable(0)
        blockIndex = -1
        try goForward()
    }

    override func seekToLast() throws(KVStoreError) {
        isValid = false
        if files.isEmpty { return }
        try openTable(files.count - 1)
        run = 0
        blockIndex = table!.count
        try goBackward()
    }

    override func next() throws(KVStoreError) {
        cursor.next()
        if cursor.isValid {
            key = cursor.key
            value = cursor.value
            return
        }
        if cursor.isDamaged { return try show() }
        run &+= 1
        try goForward()
    }

    override func previous() throws(KVStoreError) {
        run = 0
        cursor.previous()
        if cursor.isValid || cursor.isDamaged { return try show() }
        try goBackward()
    }

    /// To the first entry of the blocks after this one.
    private func goForward() throws(KVStoreError) {
        while true {
            blockIndex += 1
            while blockIndex >= table!.count {
                if fileIndex + 1 >= files.count {
                    isValid = false
                    return
                }
                try openTable(fileIndex + 1)
                blockIndex = 0
            }
            try openBlock(blockIndex)
            cursor.seekToFirst()
            if cursor.isValid || cursor.isDamaged { return try show() }
        }
    }

    /// To the last entry of the blocks before this one.
    private func goBackward() throws(KVStoreError) {
        while true {
            blockIndex -= 1
            while blockIndex < 0 {
                if fileIndex == 0 {
                    isValid = false
                    return
                }
                try openTable(fileIndex - 1)
                blockIndex = table!.count - 1
            }
            try openBlock(blockIndex)
            cursor.seekToLast()
            if cursor.isValid || cursor.isDamaged { return try show() }
        }
    }
}

/// A piece of a table with many blocks, read at once.
final class ReadAhead {
    private static let pieceByteCount = 128 << 10
    private let buffer = ByteBuffer(capacity: pieceByteCount)
    private var start = 0

    func forget() { buffer.count = 0 }

    /// A block, with its checksum verified. The bytes are valid until the next call; where the block was compressed,
    /// they lie in the block that is returned with them.
    func block(_ index: Int, of table: Table, _ counters: Counters) throws(KVStoreError) -> (Bytes, Block?) {
        let handle = table.entry(index).handle
        let needed = handle.size + TableFormat.trailerByteCount
        if handle.offset < start || handle.offset + needed > start + buffer.count {
            try fill(from: handle.offset, needed, index, table, counters)
        }
        let stored = Bytes(UnsafePointer(buffer.start + (handle.offset - start)), needed)
        switch try StoredBlock.check(stored, handle, path: table.path) {
        case .none: return (stored.prefix(handle.size), nil)
        case .snappy:
            let block = try StoredBlock.uncompressed(stored.prefix(handle.size), handle, path: table.path)
            return (block.bytes, block)
        }
    }

    /// Reads from a block's beginning to the end of the last block that fits.
    private func fill(from offset: Int, _ needed: Int, _ index: Int, _ table: Table, _ counters: Counters)
        throws(KVStoreError)
    {
        let last = table.entry(table.count - 1)
        let dataEnd = last.offset + last.size + TableFormat.trailerByteCount
        let wanted = max(needed, min(Self.pieceByteCount, dataEnd - offset))
        buffer.count = 0
        buffer.reserve(wanted)
        let read: Int
        do throws(DiskError) {
            read = try table.file.read(
                at: offset, into: UnsafeMutableRawBufferPointer(start: buffer.start, count: wanted))
        } catch {
            throw .disk(error)
        }
        guard read >= needed else {
            throw StoredBlock.damage(table.path, table.entry(index).handle, "the file ends within a block")
        }
        counters.value.blockReads &+= 1
        counters.value.blockReadByteCount &+= read
        start = offset
        buffer.count = read
        buffer.shrink(to: Self.pieceByteCount)
    }
}
