import KernelStructures

/// What the store has done since it was opened.
public struct KVStoreStatistics: Equatable, Sendable {
    /// Keys put or deleted, and the bytes of their keys and values.
    public var writes = 0
    public var writtenByteCount = 0
    /// Bytes appended to logs, written to tables by flushes, and by compactions.
    public var logByteCount = 0
    public var flushByteCount = 0
    public var compactionByteCount = 0
    public var compactionReadByteCount = 0
    public var syncs = 0
    public var flushes = 0
    public var compactions = 0
    public var trivialMoves = 0

    public var gets = 0
    /// Gets that the memtable or its twin answered.
    public var memtableHits = 0
    /// Tables asked, blocks read from the disk, and their bytes.
    public var tablesAsked = 0
    public var blockReads = 0
    public var blockReadByteCount = 0
    public var cacheHits = 0
    /// Bloom filters asked, those that said no, and those whose yes was wrong.
    public var bloomChecks = 0
    public var bloomNegatives = 0
    public var bloomFalsePositives = 0

    /// By cause: the memtable and its twin full; level 0 full; level 0 filling up.
    public var memtableStalls = 0
    public var level0Stops = 0
    public var level0Slowdowns = 0

    public init() {}

    /// Bytes written to tables and logs for each byte that was put; 0 before the first.
    public var writeAmplification: Double {
        ratio(logByteCount + flushByteCount + compactionByteCount, writtenByteCount)
    }
    /// The same without logs: what LevelDB and RocksDB call by this name.
    public var tableWriteAmplification: Double { ratio(flushByteCount + compactionByteCount, flushByteCount) }
    /// Tables asked for each get.
    public var readAmplification: Double { ratio(tablesAsked, gets) }
    public var cacheHitShare: Double { ratio(cacheHits, cacheHits + blockReads) }
    public var bloomFalsePositiveShare: Double { ratio(bloomFalsePositives, bloomFalsePositives + bloomNegatives) }
}

private func ratio(_ a: Int, _ b: Int) -> Double { b == 0 ? 0 : Double(a) / Double(b) }

/// The store's shape at one moment, for views.
public struct KVStoreDescription: Equatable, Sendable {
    public struct Table: Equatable, Sendable {
        public var number: UInt64
        public var level: Int
        public var byteCount: Int
        public var smallest: [UInt8]
        public var largest: [UInt8]
        /// Tables of the next level whose keys lie between these.
        public var overlaps: Int
        public var isBeingCompacted: Bool
        /// `L0_004`
        public var label: String { tableLabel(level: level, number: number) }
    }

    public struct Level: Equatable, Sendable {
        public var number: Int
        public var tables: [Table]
        public var byteCount: Int
        /// Bytes (tables, at level 0) from which on it is compacted.
        public var limit: Int
        /// 1 and more: it is due.
        public var score: Double
    }

    /// What runs in the background.
    public struct Work: Equatable, Sendable {
        /// `flush`, `compaction`
        public var kind: String
        public var level: Int
        public var tables: Int
        public var nextTables: Int
        public var doneByteCount: Int
        public var totalByteCount: Int
    }

    public var directory: String
    public var memtableEntries: Int
    public var memtableByteCount: Int
    public var memtableLimitByteCount: Int
    /// Nil while there is no twin.
    public var immutableEntries: Int?
    public var immutableByteCount: Int?
    public var levels: [Level]
    public var work: Work?
    public var stall: StallCause?
    public var readOnly: ReadOnlyReason?
    public var lastSequence: UInt64
    public var snapshots: Int
    public var logNumber: UInt64
    public var manifestNumber: UInt64
    public var tableCount: Int
    public var tableByteCount: Int
    public var openTables: Int
    public var cacheByteCount: Int
    public var cacheLimitByteCount: Int
    /// Bytes of all tables for each byte of the largest run of different keys: at most so much of the disk do old
    /// versions take.
    public var spaceAmplification: Double
    public var statistics: KVStoreStatistics
}

/// The name of a table in log lines and views. The file is `000004.sst`, at whatever level it is.
func tableLabel(level: Int, number: UInt64) -> String {
    let digits = String(number)
    return "L\(level)_" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
}
