import KernelStructures

/// What happened inside the store: for the log, and for whoever wants to know.
public enum KVStoreEvent: Equatable, Sendable {
    case walOpened(path: String)
    /// Entries in tables; deletions are among them, and keys that were written several times count as often.
    case loaded(tables: Int, entries: Int, deletions: Int)
    case memtable(entries: Int, limitByteCount: Int)
    case replaying(operations: Int)
    /// Bytes at the end of a log that a crash left unfinished. They were never acknowledged as synced.
    case logTailDropped(file: String, offset: Int, byteCount: Int, reason: String)
    case recoveryComplete
    case memtableFull(byteCount: Int)
    /// It is not full: somebody has asked for it.
    case flushing(entries: Int)
    case tableCreated(label: String, keys: Int, byteCount: Int, falsePositiveRate: Double?)
    case compacting(level: Int, tables: Int, nextLevel: Int, nextTables: Int, isManual: Bool)
    case merged(label: String, keys: Int, byteCount: Int)
    /// Tables that went one level down by a note in the manifest alone.
    case moved(label: String, toLevel: Int)
    case compacted(tables: Int, intoTables: Int, duration: LabDuration)
    case tablesDeleted(count: Int)
    case stalled(StallCause)
    case readOnly(ReadOnlyReason)
    case writableAgain
    case backgroundFailed(String)

    public var level: LogLevel {
        switch self {
        case .logTailDropped, .stalled: .warning
        case .readOnly, .backgroundFailed: .error
        case .moved, .compacted: .debug
        default: .info
        }
    }

    public var message: LogMessage {
        switch self {
        case .walOpened(let path): "WAL opened: \(path)"
        case .loaded(let tables, let entries, let deletions) where deletions == 0:
            "Loaded \(tables) SSTables, \(entries) keys"
        case .loaded(let tables, let entries, let deletions):
            "Loaded \(tables) SSTables, \(entries) entries, \(deletions) of them deletions"
        case .memtable(let entries, let limit): "Memtable: \(entries) entries (limit: \(megabytes(limit, places: 0)))"
        case .replaying(let operations): "Replaying WAL: \(operations) operations..."
        case .logTailDropped(let file, let offset, let byteCount, let reason):
            "\(file) ends unfinished at byte \(offset): \(byteCount) bytes dropped (\(reason))"
        case .recoveryComplete: "Recovery complete"
        case .memtableFull(let byteCount): "Memtable full (\(megabytes(byteCount))), flushing to SSTable..."
        case .flushing(let entries): "Flushing memtable (\(entries) entries) to SSTable..."
        case .tableCreated(let label, let keys, _, let rate):
            if let rate {
                "Created SSTable \(label).sst (\(keys) keys, bloom filter: \(fixedDecimal(rate, places: 2)) FP rate)"
            } else {
                "Created SSTable \(label).sst (\(keys) keys, no bloom filter)"
            }
        case .compacting(let level, let tables, let nextLevel, let nextTables, _):
            "Compacting L\(level) (\(tables) tables) + L\(nextLevel) (\(nextTables) tables)..."
        case .merged(let label, let keys, _): "Created \(label).sst (merged \(keys) keys)"
        case .moved(let label, let level): "Moved \(label) to L\(level)"
        case .compacted(let tables, let into, let duration):
            "Compacted \(tables) SSTables into \(into) in \(duration)"
        case .tablesDeleted(let count): "Deleted \(count) old SSTables"
        case .stalled(let cause): "Writes wait: \(cause.description)"
        case .readOnly(let reason): "Read-only: \(reason.description)"
        case .writableAgain: "Writes are accepted again"
        case .backgroundFailed(let reason): "Background work failed: \(reason)"
        }
    }
}

/// Why writers have to wait, or are slowed down.
public enum StallCause: Equatable, Sendable, CustomStringConvertible {
    /// The memtable is full, and its twin is still being written to a table.
    case memtablesFull(flushedByteCount: Int, ofByteCount: Int)
    /// Level 0 has as many tables as it may; every one costs each read.
    case level0Full(tables: Int, limit: Int, compaction: String?)
    /// Level 0 is filling up: each write does a little of the compaction's work.
    case level0Slow(tables: Int, limit: Int, compaction: String?)

    public var isStop: Bool { if case .level0Slow = self { false } else { true } }

    /// For counting: `memtable`, `level0-stop`, `level0-slowdown`.
    public var name: String {
        switch self {
        case .memtablesFull: "memtable"
        case .level0Full: "level0-stop"
        case .level0Slow: "level0-slowdown"
        }
    }

    public var description: String {
        func behind(_ compaction: String?) -> String { compaction.map { ", behind \($0)" } ?? "" }
        return switch self {
        case .memtablesFull(let done, let all):
            "both memtables are full; \(byteCountText(done)) of \(byteCountText(all)) are flushed"
        case .level0Full(let tables, let limit, let compaction):
            "level 0 has \(tables) tables, the limit is \(limit)\(behind(compaction))"
        case .level0Slow(let tables, let limit, let compaction):
            "level 0 has \(tables) tables, slowed from \(limit)\(behind(compaction))"
        }
    }
}

/// `4.1MB`: mebibytes, written as database logs do.
func megabytes(_ byteCount: Int, places: Int = 1) -> String {
    if byteCount < 1 << 20 { return "\((byteCount + 512) / 1024)KB" }
    return fixedDecimal(Double(byteCount) / 1_048_576, places: byteCount % (1 << 20) == 0 ? 0 : places) + "MB"
}
