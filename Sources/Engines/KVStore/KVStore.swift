import KernelStorage
import KernelStructures

/// The public shape of the store; the bodies follow.
public final class KVStore {
    public let options: KVStoreOptions

    /// Opens the store in `directory`, replays its logs, and makes it if it is missing. What happened on the way is in `takeEvents`.
    public static func open(disk: NodeDisk, directory: String, options: KVStoreOptions = KVStoreOptions(), now: LabTime)
        throws(KVStoreError) -> KVStore
    { fatalError("not yet") }

    init() { options = KVStoreOptions() }

    /// Appends what is buffered (without a sync) and gives the directory free. A store that is dropped without it is as after `kill -9`.
    public func close() throws(KVStoreError) { fatalError() }

    // MARK: Writing

    /// Puts a batch into the log's buffer and the memtable: visible at once, in the file with the next `commit`.
    /// May do background work first where writers have to wait (`stall`).
    public func write(_ batch: WriteBatch) throws(KVStoreError) { fatalError() }
    public func put(_ key: some Collection<UInt8>, _ value: some Collection<UInt8>) throws(KVStoreError) {
        fatalError()
    }
    public func delete(_ key: some Collection<UInt8>) throws(KVStoreError) { fatalError() }
    /// Appends everything buffered in one write (from here on it survives kill -9) and, if asked, syncs (survives power loss).
    /// If it fails, none of what was buffered counts: it is gone from the memtable too, and the store is read-only.
    public func commit(sync: Bool) throws(KVStoreError) { fatalError() }
    /// Bytes written since the last commit / appended but not synced.
    public var uncommittedByteCount: Int { fatalError() }
    public var unsyncedByteCount: Int { fatalError() }
    public var readOnlyReason: ReadOnlyReason? { fatalError() }
    /// Tries to leave the read-only state that a full disk brought; true if writes are accepted.
    public func resume() -> Bool { fatalError() }
    /// Why writers wait or are slowed at this moment.
    public var stall: StallCause? { fatalError() }

    // MARK: Reading

    public func get(_ key: some Collection<UInt8>, at snapshot: Snapshot? = nil) throws(KVStoreError) -> Found? {
        fatalError()
    }
    /// The value without a copy: valid only during the call.
    public func read<R>(
        _ key: UnsafeRawBufferPointer, at snapshot: Snapshot? = nil, _ body: (UnsafeRawBufferPointer, Place) -> R
    ) throws(KVStoreError) -> R? { fatalError() }
    public func trace(_ key: some Collection<UInt8>, at snapshot: Snapshot? = nil) throws(KVStoreError) -> ReadTrace {
        fatalError()
    }
    /// What the store holds now; kept readable until it is released.
    public func snapshot() -> Snapshot { fatalError() }
    public func release(_ snapshot: Snapshot) { fatalError() }
    /// Sees what the store holds now, or the snapshot, whatever is written later. Costs the disk old tables while it lives.
    public func makeIterator(at snapshot: Snapshot? = nil) throws(KVStoreError) -> KVStoreIterator { fatalError() }
    /// Keys in tables (versions and tombstones counted) and in memtables.
    public var approximateKeyCount: Int { fatalError() }
    public var memtableEntryCount: Int { fatalError() }

    // MARK: Background work

    /// Whether there is a flush, a compaction or a deletion to do.
    public var needsWork: Bool { fatalError() }
    /// Does about this many bytes of it, in the order of urgency. True if more is to be done. Failures become events and `readOnlyReason`.
    @discardableResult
    public func work(budgetByteCount: Int, now: LabTime) -> Bool { fatalError() }
    /// Asks for the memtable to be flushed, even if it is not full.
    public func requestFlush() throws(KVStoreError) { fatalError() }
    /// Asks for all levels between two keys (nil: from the first, to the last) to be merged downwards; `work` does it.
    public func requestCompaction(from: [UInt8]? = nil, to: [UInt8]? = nil) throws(KVStoreError) { fatalError() }
    /// True while a requested compaction is not finished.
    public var isCompactionRequested: Bool { fatalError() }

    // MARK: Views

    /// What happened since the last call.
    public func takeEvents() -> [KVStoreEvent] { fatalError() }
    public var hasEvents: Bool { fatalError() }
    public var statistics: KVStoreStatistics { fatalError() }
    public func describe() -> KVStoreDescription { fatalError() }

    // MARK: Repair

    /// Builds a new manifest from whatever tables and logs can be read.
    public static func repair(disk: NodeDisk, directory: String, options: KVStoreOptions = KVStoreOptions())
        throws(KVStoreError) -> RepairReport
    { fatalError() }
}

/// A moment of the store that stays readable.
public final class Snapshot {
    /// The last write that it sees.
    public let sequence: UInt64
    init(sequence: UInt64) { self.sequence = sequence }
}

/// Walks over the store in the order of keys, both ways. Newly made it is at no entry: seek first.
public final class KVStoreIterator {
    init() {}
    /// Whether it is at an entry.
    public var isValid: Bool { fatalError() }
    /// Valid until the iterator moves.
    public var key: UnsafeRawBufferPointer { fatalError() }
    public var value: UnsafeRawBufferPointer { fatalError() }
    public func seekToFirst() throws(KVStoreError) { fatalError() }
    public func seekToLast() throws(KVStoreError) { fatalError() }
    /// To the first entry at or after `key`.
    public func seek(_ key: some Collection<UInt8>) throws(KVStoreError) { fatalError() }
    public func next() throws(KVStoreError) { fatalError() }
    public func previous() throws(KVStoreError) { fatalError() }
}

/// What `repair` found.
public struct RepairReport: Equatable, Sendable {
    public var tables = 0
    public var keys = 0
    public var logRecords = 0
    /// What could not be read, for people.
    public var losses: [String] = []
    public init() {}
}
