import KernelStorage
import KernelStructures
import TimeSeriesEngine

// From memory to blocks, from blocks to longer ones, and away.
extension TimeSeriesStore {
    /// Whether the head holds so much that its oldest two hours should become a block.
    public var needsCut: Bool {
        guard files != nil, let first = head.firstTime, let last = head.lastTime else { return false }
        let start = SampleTime.floor(first, to: settings.blockMilliseconds)
        return last - start > settings.blockMilliseconds / 2 * 3
    }

    /// Does what is due: cuts a block, compacts, drops what is too old. A piece at a time, of which a block is the
    /// largest; `nextJob` is for those who cannot wait so long.
    ///
    /// - Parameter now: milliseconds since 1970, for the names of blocks.
    /// - Returns: whether something was done, and there may be more to do.
    public func maintain(now: Int64) -> Bool {
        guard files != nil else {
            trimMemory()
            return false
        }
        do {
            if let job = try nextBlock(now: now) {
                try carryOut(job)
                return true
            }
            if try maintainTiers(now: now) { return true }
            return try dropOld()
        } catch {
            failed("a block", error)
            return false
        }
    }

    /// The block that is to be written next, if there is one; nil also where that fails, which `problems` tells.
    ///
    /// Whoever takes it calls its `write`, then `take`, then `checkpoint`; nothing else of the kind must go on
    /// meanwhile.
    public func nextJob(now: Int64) -> BlockJob? {
        do { return try nextBlock(now: now) } catch {
            failed("a block", error)
            return nil
        }
    }

    private func nextBlock(now: Int64) throws -> BlockJob? {
        guard files != nil, blockJob == nil else { return nil }
        if needsCut { return try cutJob(now: now) }
        guard tierJob == nil, let group = compactionPlan() else { return nil }
        return try compactionJob(group, now: now)
    }

    private func carryOut(_ job: BlockJob) throws {
        let written = Result { try job.write { true } }
        try take(job, written)
        try checkpoint { true }
    }

    /// Makes a written block part of the store, and takes what it has out of memory, or the blocks that it replaces.
    /// Queries that have selected series of the head must be through.
    ///
    /// - Parameter written: how `write` has ended.
    /// - Throws: `DiskError`, `QueryableError`.
    public func take(_ job: BlockJob, _ written: Result<Void, any Error>) throws {
        guard job === blockJob else { return }
        blockJob = nil
        do {
            try written.get()
            if job.isOutdated { throw BlockJob.Stop.outdated }
        } catch BlockJob.Stop.interrupted {
            return head.abandonCut()
        } catch {
            head.abandonCut()
            if job.isWritten, let files { try files.removeBlock(job.meta.ulid) } else { job.abandon() }
            // Done again, later.
            if case BlockJob.Stop.outdated = error { return }
            throw error
        }
        switch job.source {
        case .head:
            try openBlocks()
            head.endCut()
            statistics.cutBlocks += 1
            needsCheckpoint = true
        case .blocks(let group):
            for block in group { block.isGone = true }
            if job.isWritten { try openBlocks() } else { try remove(group) }
            statistics.compactions += 1
        }
    }

    /// A store without files keeps its samples for as long as the retention, at most a day, in memory.
    private func trimMemory() {
        guard let last = head.lastTime, let first = head.firstTime else { return }
        let kept = settings.retentionMilliseconds > 0 ? min(settings.retentionMilliseconds, 86_400_000) : 86_400_000
        if first < last - kept - settings.blockMilliseconds { head.truncate(before: last - kept) }
    }

    // MARK: Jobs

    /// Writes the oldest piece of the head as a block.
    private func cutJob(now: Int64) throws(DiskError) -> BlockJob? {
        guard let files, let first = head.firstTime else { return nil }
        let start = SampleTime.floor(first, to: settings.blockMilliseconds)
        let end = start + settings.blockMilliseconds
        let meta = BlockMeta(ulid: files.makeName(milliseconds: now), minTime: start, maxTime: end)
        let job = try BlockJob(.head(start...(end - 1)), meta, head, files)
        head.beginCut(end: end)
        blockJob = job
        return job
    }

    /// Makes one block of several, without what was deleted.
    private func compactionJob(_ group: [Block], now: Int64) throws(DiskError) -> BlockJob? {
        guard let files, let first = group.first else { return nil }
        var meta = BlockMeta(
            ulid: files.makeName(milliseconds: now), minTime: group.map(\.meta.minTime).min() ?? first.meta.minTime,
            maxTime: group.map(\.meta.maxTime).max() ?? first.meta.maxTime)
        meta.level = (group.map(\.meta.level).max() ?? 0) + 1
        meta.sources = Array(Set(group.flatMap(\.meta.sources))).sorted()
        meta.parents = group.map { .init(ulid: $0.meta.ulid, minTime: $0.meta.minTime, maxTime: $0.meta.maxTime) }
        let job = try BlockJob(.blocks(group), meta, head, files)
        blockJob = job
        return job
    }

    // MARK: Checkpoints

    /// Writes the head to a log of its own, so that the segments before can go; nothing if no cut has shortened it.
    ///
    /// Samples that come meanwhile are in the log as well, and whoever reads both takes them once.
    ///
    /// - Parameter giveWay: as for `BlockJob.write`.
    /// - Throws: `DiskError`; nothing where `giveWay` has ended it.
    public func checkpoint(_ giveWay: () -> Bool) throws(DiskError) {
        guard needsCheckpoint, let files, let wal = files.wal else { return }
        needsCheckpoint = false
        try wal.cut()
        let first = wal.segment
        let number = first - 1
        let place = "\(files.walDirectory)/checkpoint.\(WAL.name(number))"
        let unfinished = place + ".tmp"
        BlockWriter.remove(files.disk, unfinished)
        try files.disk.makeDirectory(unfinished)
        let copy = try WAL(files.disk, unfinished, segment: 0, segmentBytes: settings.segmentBytes)
        guard try writeHead(to: copy, giveWay) else { return }
        try copy.close()
        try files.disk.syncDirectory(unfinished)
        let old = try files.checkpoint()
        try files.disk.rename(unfinished, to: place)
        try files.disk.syncDirectory(files.walDirectory)
        try wal.removeSegments(before: first)
        if let old { BlockWriter.remove(files.disk, old.path) }
    }

    /// Series of one piece of work.
    private static let seriesTogether = 64

    /// - Returns: false if it was ended by `giveWay`.
    private func writeHead(to copy: WAL, _ giveWay: () -> Bool) throws(DiskError) -> Bool {
        var column = SampleColumn()
        var index = 0
        while index < head.series.count {
            let series = head.series[index]
            index += 1
            if index % Self.seriesTogether == 0, !giveWay() { return false }
            try copy.append(WALRecord.series([(series.reference, head.labels(of: series))]))
            column.removeAll()
            do throws(QueryableError) {
                try series.read(SampleTime.range, into: &column)
            } catch {
                throw .failed("\(error)", operation: "checkpoint")
            }
            // Deleted samples are not in the column, and need no tombstones.
            try log(column, of: series, to: copy)
            try copy.flush()
        }
        try log(exemplars.inOrder, to: copy)
        try copy.flush()
        return true
    }

    /// Numbers and histograms in the order of their times: what is read in another one would be refused.
    private func log(_ column: SampleColumn, of series: MemorySeries, to copy: WAL) throws(DiskError) {
        var floats: [(reference: UInt64, time: Int64, value: Double)] = []
        var histograms: [WALRecord.LoggedHistogram] = []
        func write() throws(DiskError) {
            if !floats.isEmpty { try copy.append(WALRecord.samples(floats[...])) }
            for record in WALRecord.histogramRecords(histograms) { try copy.append(record) }
            floats = []
            histograms = []
        }
        for (index, time) in column.timestamps.enumerated() {
            var histogram = column.histograms.isEmpty ? nil : column.histograms[index]
            if Staleness.isMarker(column.values[index]), !histograms.isEmpty { histogram = .seriesEnd }
            if let histogram {
                if !floats.isEmpty { try write() }
                histograms.append((series.reference, time, histogram, series.takesWholeCounts(histogram)))
            } else {
                if !histograms.isEmpty { try write() }
                floats.append((series.reference, time, column.values[index]))
            }
        }
        try write()
    }

    // MARK: Compaction

    /// Blocks that should become one, in the order of their times; nil if there are none.
    ///
    /// Blocks of two hours make one of six, three of those one of eighteen, and so on (Prometheus, `LeveledCompactor`).
    /// The newest is left alone, and so is a piece of time that is not over. Blocks that overlap are joined at once.
    func compactionPlan() -> [Block]? {
        let candidates = blocks.dropLast()
        if let pair = zip(blocks, blocks.dropFirst()).first(where: { $0.meta.maxTime > $1.meta.minTime }) {
            return [pair.0, pair.1]
        }
        var width = settings.blockMilliseconds * 3
        while width <= settings.longestBlockMilliseconds {
            var groups: [Int64: [Block]] = [:]
            for block in candidates {
                let start = SampleTime.floor(block.meta.minTime, to: width)
                if block.meta.maxTime <= start + width { groups[start, default: []].append(block) }
            }
            let newest = blocks.last?.meta.minTime ?? .min
            for (start, group) in groups.sorted(by: { $0.key < $1.key }) where group.count > 1 {
                let isWhole = (group.last?.meta.maxTime ?? 0) - group[0].meta.minTime == width
                if isWhole || start + width <= newest { return group }
            }
            if width > .max / 3 { break }
            width *= 3
        }
        return nil
    }

    func remove(_ group: [Block]) throws(DiskError) {
        guard let files else { return }
        for block in group {
            block.isGone = true
            try files.removeBlock(block.meta.ulid)
            blocks.removeAll { $0 === block }
        }
    }

    // MARK: Retention

    /// Drops blocks that are too old, or of which there are too many bytes.
    private func dropOld() throws(DiskError) -> Bool {
        var doomed: [Block] = []
        if settings.retentionMilliseconds > 0, let newest = blocks.last?.meta.maxTime {
            let limit = newest - settings.retentionMilliseconds
            // But for what is still to be thinned.
            doomed = blocks.filter { $0.meta.maxTime < limit && $0.meta.maxTime <= thinnedThrough }
        }
        if settings.retentionBytes > 0 {
            var total = 0
            for block in blocks.reversed() {
                total += block.byteCount
                if total > settings.retentionBytes, !doomed.contains(where: { $0 === block }) { doomed.append(block) }
            }
        }
        if doomed.isEmpty { return false }
        try remove(doomed)
        statistics.deletedBlocks += doomed.count
        return true
    }

    // MARK: Deletion

    /// Deletes samples of the series that satisfy one of the lists of conditions.
    ///
    /// - Throws: `DiskError`, `QueryableError`.
    public func delete(_ lists: [[LabelMatcher]], _ range: ClosedRange<Int64>) throws {
        blockJob?.isOutdated = true
        for matchers in lists {
            var stones: [(UInt64, ClosedRange<Int64>)] = []
            for number in try head.select(matchers) {
                let series = head.series[Int(number)]
                // Not what is still to come.
                guard let first = series.firstTime, let last = series.lastTime, first <= range.upperBound,
                    last >= range.lowerBound
                else { continue }
                let own = range.clamped(to: first...last)
                series.delete(own)
                stones.append((series.reference, own))
            }
            if let wal = files?.wal, !stones.isEmpty {
                try wal.append(WALRecord.tombstones(stones))
                try wal.sync()
            }
            for block in blocks where block.meta.minTime <= range.upperBound && block.meta.maxTime > range.lowerBound {
                let numbers = try block.numbers(matchers)
                if !numbers.isEmpty { try block.delete(numbers, range) }
            }
        }
    }

    /// Rewrites the blocks of which something was deleted, so that it is gone from the disk.
    ///
    /// Nothing where another block is being written; once that is through it can be done.
    public func cleanTombstones(now: Int64) throws {
        for block in blocks where block.tombstones.count > 0 && blockJob == nil {
            if let job = try compactionJob([block], now: now) { try carryOut(job) }
        }
    }
}
