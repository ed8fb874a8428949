import KernelStorage
import KernelStructures

/// A key-value store that never overwrites anything: a log-structured merge tree, in LevelDB's format.
///
/// ## The problem
///
/// Keys come in any order and must be found in order of keys, and what was promised must survive a crash. A tree on the
/// disk changes a page here and a page there for every write: thousands of seeks, and a crash in the middle leaves half
/// a tree. But a disk is fastest at the one thing that is useless for finding anything: writing on and on at the end.
///
/// ## An everyday picture
///
/// A busy office. Letters are noted in the day book as they come (the *log*), and a copy goes into the tray on the
/// desk, which is kept sorted (the *memtable*). When the tray is full it becomes a bound folder on the shelf (a
/// *table*), and the pages of the day book about it can go. Who looks for a letter looks into the tray, then into the
/// folders, newest first. A slip on each folder's back says which names are certainly not in it (the *Bloom filter*).
/// And somebody always sits in the back room, merging many thin folders into few thick ones and leaving out what has
/// been superseded (*compaction*).
///
/// ## How
///
///     write ── log ── memtable ──▸ immutable twin ──flush──▸ level 0 ──compaction──▸ level 1 … level 6
///     read     ──── 1 ───┴──────────── 2 ──────────────────── 3 ───────────────────── 4 …
///
/// Each write gets a sequence number, and a version of a key is never changed: the newest that a reader may see counts,
/// which makes a snapshot a single number. `write` puts a batch into the log's buffer and the memtable, `commit` brings
/// the buffer into the file and, if asked, onto the device. One commit serves whoever wrote since the last: a host that
/// commits once for all requests of a turn has group commit, and decides itself what `always` or `everysec` means.
///
/// Flushes and compactions are done in slices by `work`, whenever the host has time: there are no threads here, so that
/// the same store runs in a test, where time stands still, and in a process. Where a writer must wait for one
/// (`StallCause`), he does a part of the work himself.
///
/// Files: `Format/` what stands in logs and keys, `Memtable/`, `Table/` what stands in tables and how it is read,
/// `Versions/` which tables count, `Compaction/`, and around this file what a store does: `+Opening`, `+Writing`,
/// `+Reading`, `+Background`, `+Describe`.
///
/// ## Where it is wrong
///
/// Every byte is written many times (`writeAmplification`) so that it is written in order; where writes are few and
/// reads many, a B-tree does better. A read may have to ask a table a level. A deleted key takes more space than before
/// until its tombstone has sunk to the last level that holds it. And if writes come faster than compaction can merge,
/// there is no way out but to make writers wait.
public final class KVStore {
    public let options: KVStoreOptions
    let directory: StoreDirectory
    let counters = Counters()
    let versions: VersionSet
    let tables: TableCache
    var lock: DiskLock?
    var random: SeededRandom

    var memtable: Memtable
    var immutable: Memtable?
    /// Nil in a store that is only read.
    var log: LogWriter?
    /// The immutable memtable's, until that is a table.
    var oldLog: LogWriter?
    /// The current log's name is on the device, too.
    var isLogNameSynced = false
    /// The next write to the log is to say that every write before this one was synced.
    var markSequence: UInt64?
    /// The last write that `commit` brought into the log's file.
    var committedSequence: UInt64 = 0
    /// The last write that may be in a table. Every later one is in the memtable or its twin, all versions of it.
    var flushedSequence: UInt64 = 0
    /// How often writes were taken back.
    var branch = 0
    let markBatch = WriteBatch()
    /// For single writes.
    var scratch = WriteBatch()

    public internal(set) var readOnlyReason: ReadOnlyReason?
    /// Opening could not be finished because the disk was full.
    var isOpeningUnfinished = false
    /// Logs were replayed, and the host has not been told that this is done.
    var isRecovered = false
    /// Tables made of what the logs held.
    var recoveredTables: [VersionEdit.NewFile] = []
    var isClosed = false
    var lastStall: StallCause?

    var flushJob: FlushJob?
    var compactionJob: CompactionJob?
    /// The jobs that the host has taken to other threads: not to be touched until they are back.
    var isFlushOut = false
    var isCompactionOut = false
    /// So are syncs of the log, and of the manifest.
    var isSyncOut = false
    var isManifestOut = false
    /// What jobs have done that is to be written into the manifest.
    var pendingEdits: [FinishedWork] = []
    /// Waits until a job that is out is done, and hands it to `finish`. Set by a host that takes jobs: writers that can
    /// do nothing but wait call it.
    public var waitForJob: (() -> Void)?
    var manual: ManualCompaction?
    var isFlushRequested = false
    let snapshots = SnapshotList()
    var events: [KVStoreEvent] = []
    /// What the host last said.
    var now: LabTime

    init(directory: StoreDirectory, options: KVStoreOptions, now: LabTime) {
        self.directory = directory
        self.options = options
        self.now = now
        random = SeededRandom(seed: options.seed)
        versions = VersionSet(directory: directory)
        tables = TableCache(directory: directory, options: options, counters: counters)
        memtable = Memtable(logNumber: 0, random: random.fork("memtable"))
    }

    /// Events that nobody took are forgotten, the oldest first, beyond this many.
    private static let eventLimit = 10_000

    func report(_ event: KVStoreEvent) {
        if events.count >= Self.eventLimit { events.removeFirst(Self.eventLimit / 2) }
        events.append(event)
    }

    /// What happened since the last call.
    public func takeEvents() -> [KVStoreEvent] {
        defer { events.removeAll() }
        return events
    }
    /// Another thread is making the log durable.
    public var isSyncUnderWay: Bool { isSyncOut }
    public var hasEvents: Bool { !events.isEmpty }

    public var statistics: KVStoreStatistics { counters.value }
    /// The number of the last write that counts.
    public var lastSequence: UInt64 { versions.lastSequence }
    /// Keys in tables (every version and tombstone counted) and in memtables.
    public var approximateKeyCount: Int {
        versions.current.levels.joined().reduce(memtableEntryCount) { $0 + $1.entryCount }
    }
    public var memtableEntryCount: Int { memtable.count + (immutable?.count ?? 0) }

    func newMemtable(_ logNumber: UInt64) -> Memtable {
        Memtable(logNumber: logNumber, random: random.fork("memtable \(logNumber)"))
    }
}

/// A moment of the store that stays readable until nobody holds this object, or `release`.
public final class Snapshot {
    /// The last write that it sees.
    public let sequence: UInt64
    private var list: SnapshotList?

    init(sequence: UInt64, list: SnapshotList) {
        self.sequence = sequence
        self.list = list
        list.add(sequence)
    }

    /// From here on compaction may drop what only it could see.
    public func release() {
        list?.remove(sequence)
        list = nil
    }

    deinit { release() }
}

/// The sequence numbers of the snapshots there are, ascending.
final class SnapshotList {
    private var sequences: [UInt64] = []
    var count: Int { sequences.count }
    var oldest: UInt64? { sequences.first }

    func add(_ sequence: UInt64) {
        let place = sequences.lastIndex { $0 <= sequence }.map { $0 + 1 } ?? 0
        sequences.insert(sequence, at: place)
    }

    func remove(_ sequence: UInt64) {
        if let index = sequences.firstIndex(of: sequence) { sequences.remove(at: index) }
    }
}
