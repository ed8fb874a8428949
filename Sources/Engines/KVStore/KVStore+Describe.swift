extension KVStore {
    /// The shape of the store at this moment.
    public func describe() -> KVStoreDescription {
        let version = versions.current
        let levels = version.levels.indices.map { describe(level: $0, version) }
        let total = levels.reduce(0) { $0 + $1.byteCount }
        // Within a table of level 0, and within each level below, no key stands twice.
        let largest = levels.map { $0.number > 0 ? $0.byteCount : $0.tables.map(\.byteCount).max() ?? 0 }.max() ?? 0
        return KVStoreDescription(
            directory: directory.path, memtableEntries: memtable.count, memtableByteCount: memtable.byteCount,
            memtableLimitByteCount: options.writeBufferByteCount, immutableEntries: immutable?.count,
            immutableByteCount: immutable?.byteCount, levels: levels, work: work, stall: stall,
            readOnly: readOnlyReason, lastSequence: versions.lastSequence, snapshots: snapshots.count,
            logNumber: memtable.logNumber, manifestNumber: versions.manifestNumber, tableCount: version.tableCount,
            tableByteCount: total, openTables: tables.count, cacheByteCount: tables.blocks.byteCount,
            cacheLimitByteCount: options.blockCacheByteCount,
            spaceAmplification: largest == 0 ? 0 : Double(total) / Double(largest), statistics: counters.value)
    }

    private func describe(level: Int, _ version: Version) -> KVStoreDescription.Level {
        let files = version.levels[level].map { file in
            let from = Array(file.smallestUserKey)
            let to = Array(file.largestUserKey)
            let next = level + 1 < version.levels.count ? version.levels[level + 1] : []
            return KVStoreDescription.Table(
                number: file.number, level: level, byteCount: file.byteCount, smallest: from, largest: to,
                overlaps: next.count { $0.overlaps(from, to) }, isBeingCompacted: file.isBeingCompacted)
        }
        return KVStoreDescription.Level(
            number: level, tables: files, byteCount: version.byteCounts[level],
            limit: CompactionPlan.limit(ofLevel: level, options),
            score: CompactionPlan.score(version, level: level, options))
    }

    private var work: KVStoreDescription.Work? {
        if let job = flushJob {
            return .init(
                kind: "flush", level: 0, tables: 1, nextTables: 0, doneByteCount: isFlushOut ? 0 : job.doneByteCount,
                totalByteCount: job.memtable.byteCount)
        }
        guard let job = compactionJob else { return nil }
        return .init(
            kind: "compaction", level: job.plan.level, tables: job.plan.inputs.count,
            nextTables: job.plan.nextInputs.count, doneByteCount: isCompactionOut ? 0 : job.doneByteCount,
            totalByteCount: job.plan.byteCount)
    }
}
