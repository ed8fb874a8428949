import KernelStorage

/// Writes a memtable to a table of level 0, a slice at a time.
final class FlushJob {
    let memtable: Memtable
    private let iterator: InternalIterator
    private let output: TableOutput
    private var filter: VersionFilter
    private(set) var doneByteCount = 0

    init(
        _ memtable: Memtable, number: UInt64, oldestSnapshot: UInt64, in directory: StoreDirectory,
        _ options: KVStoreOptions
    ) throws(KVStoreError) {
        self.memtable = memtable
        iterator = memtable.makeIterator()
        output = try TableOutput(number, in: directory, options)
        filter = VersionFilter(oldestSnapshot: oldestSnapshot)
        try iterator.seekToFirst()
    }

    var path: String { output.path }

    /// Goes on for about so many bytes. The table once it is finished; nil before.
    func step(_ budgetByteCount: Int) throws(KVStoreError) -> VersionEdit.NewFile? {
        var left = budgetByteCount
        while iterator.isValid {
            if left <= 0 { return nil }
            let size = iterator.key.count &+ iterator.value.count
            left &-= size
            doneByteCount &+= size
            if !filter.isHidden(iterator.key) { try output.add(iterator.key, iterator.value) }
            try iterator.next()
        }
        return try output.finish(level: 0)
    }

    func abandon() { output.close() }
}

/// Tells the versions of a key that nobody can see any more: those that have a newer one which the oldest snapshot sees
/// already.
struct VersionFilter {
    private let oldestSnapshot: UInt64
    private let lastUserKey = ByteBuffer(capacity: 64)
    private var hasKey = false
    private var lastSequence: UInt64 = .max
    /// Whether the last key asked about was the first of its user key.
    private(set) var isNewUserKey = false

    init(oldestSnapshot: UInt64) { self.oldestSnapshot = oldestSnapshot }

    /// To be asked about every key, in order.
    @inline(__always) mutating func isHidden(_ key: Bytes) -> Bool {
        let userKey = key.userKey
        isNewUserKey = !hasKey || !userKey.equals(lastUserKey.bytes)
        if isNewUserKey {
            lastUserKey.count = 0
            lastUserKey.append(userKey)
            hasKey = true
            lastSequence = .max
        }
        let isHidden = lastSequence <= oldestSnapshot
        lastSequence = key.sequence
        return isHidden
    }
}
