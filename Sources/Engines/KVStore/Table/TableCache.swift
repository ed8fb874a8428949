import KernelStorage

/// The tables that are open. A descriptor, an index and the filters belong to each, so there are only so many; who was
/// not asked for longest is closed when another is to be opened (as in `BlockCache`, by the clock).
final class TableCache {
    private let directory: StoreDirectory
    private let limit: Int
    let blocks: BlockCache
    let counters: Counters
    /// Those that were opened, in order; some may have been closed since.
    private var queue: [FileMetadata] = []
    private(set) var count = 0
    /// For searching in blocks, one at a time.
    var cursor = BlockCursor()

    init(directory: StoreDirectory, options: KVStoreOptions, counters: Counters) {
        self.directory = directory
        limit = options.openTableLimit
        blocks = BlockCache(limitByteCount: options.blockCacheByteCount)
        self.counters = counters
    }

    @inline(__always) func table(_ file: FileMetadata) throws(KVStoreError) -> Table {
        if let table = file.table {
            file.wasUsed = true
            return table
        }
        return try openTable(file)
    }

    @inline(never) private func openTable(_ file: FileMetadata) throws(KVStoreError) -> Table {
        while count >= limit { closeOne() }
        let path: String
        let opened: any DiskFile
        do throws(DiskError) {
            path = try directory.tablePath(file.number)
            opened = try directory.disk.open(path, [])
        } catch {
            throw .disk(error)
        }
        let table: Table
        do throws(KVStoreError) {
            table = try Table(file: opened, path: path, size: file.byteCount, cache: blocks)
        } catch {
            opened.close()
            throw error
        }
        file.table = table
        file.wasUsed = true
        queue.append(file)
        count += 1
        return table
    }

    private func closeOne() {
        while !queue.isEmpty {
            let file = queue.removeFirst()
            if file.table == nil { continue }
            if file.wasUsed {
                file.wasUsed = false
                queue.append(file)
            } else {
                file.table = nil
                count -= 1
                return
            }
        }
        count = 0
    }

    /// Closes a table whose file is to be deleted. Whoever reads it goes on reading it.
    func close(_ file: FileMetadata) {
        guard file.table != nil else { return }
        file.table = nil
        count -= 1
        queue.removeAll { $0 === file }
    }

    func closeAll() {
        for file in queue { file.table = nil }
        queue.removeAll()
        count = 0
    }
}
