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

    /// Does what is due: cuts a block, compacts, drops what is too old. A bounded piece at a time.
    ///
    /// - Parameter now: milliseconds since 1970, for the names of blocks.
    /// - Returns: whether something was done, and there may be more to do.
    public func maintain(now: Int64) -> Bool {
        guard files != nil else {
            trimMemory()
            return false
        }
        do {
            if needsCut {
                try cutBlock(now: now)
                return true
            }
            if tierJob == nil, let group = compactionPlan() {
                try compact(group, now: now)
                return true
            }
            if try maintainTiers(now: now) { return true }
            return try dropOld()
        } catch {
            failed("a block", error)
            return false
        }
    }

    /// A store without files keeps its samples for as long as the retention, at most a day, in memory.
    private func trimMemory() {
        guard let last = head.lastTime, let first = head.firstTime else { return }
        let kept = settings.retentionMilliseconds > 0 ? min(settings.retentionMilliseconds, 86_400_000) : 86_400_000
        if first < last - kept - settings.blockMilliseconds { head.truncate(before: last - kept) }
    }

    // MARK: Cutting

    /// Writes the oldest piece of the head as a block, and shortens head and log.
    func cutBlock(now: Int64) throws {
        guard let files, let first = head.firstTime else { return }
        let start = SampleTime.floor(first, to: settings.blockMilliseconds)
        let end = start + settings.blockMilliseconds
        // Times of samples that the head has not: it cannot take them any more, whatever comes while this goes on.
        let meta = BlockMeta(ulid: files.makeName(milliseconds: now), minTime: start, maxTime: end)
        try write(meta, start...(end - 1))
        head.truncate(before: end)
        statistics.cutBlocks += 1
        try openBlocks()
        try checkpoint()
    }

    /// Writes what the head has of a time as a block; nothing if it has nothing.
    private func write(_ meta: BlockMeta, _ range: ClosedRange<Int64>) throws {
        guard let files else { return }
        var writer = try BlockWriter(files.disk, files.directory, meta)
        do {
            let all = head.series.map { (labels: head.labels(of: $0), series: $0) }.sorted { $0.labels < $1.labels }
            for (labels, series) in all { try writer.add(labels, try series.chunks(range)) }
            _ = try writer.finish()
        } catch {
            writer.abandon()
            throw error
        }
    }

    // MARK: Checkpoints

    /// Writes the head to a log of its own, so that the segments before can go.
    private func checkpoint() throws(DiskError) {
        guard let files, let wal = files.wal else { return }
        try wal.cut()
        let number = wal.segment - 1
        let place = "\(files.walDirectory)/checkpoint.\(WAL.name(number))"
        let unfinished = place + ".tmp"
        BlockWriter.remove(files.disk, unfinished)
        try files.disk.makeDirectory(unfinished)
        let copy = try WAL(files.disk, unfinished, segment: 0, segmentBytes: settings.segmentBytes)
        try writeHead(to: copy)
        try copy.close()
        try files.disk.syncDirectory(unfinished)
        let old = try files.checkpoint()
        try files.disk.rename(unfinished, to: place)
        try files.disk.syncDirectory(files.walDirectory)
        try wal.removeSegments(before: wal.segment)
        if let old { BlockWriter.remove(files.disk, old.path) }
    }

    private func writeHead(to copy: WAL) throws(DiskError) {
        var column = SampleColumn()
        for series in head.series {
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

    /// Makes one block of several, without what was deleted.
    func compact(_ group: [Block], now: Int64) throws {
        guard let files, let first = group.first else { return }
        var meta = BlockMeta(
            ulid: files.makeName(milliseconds: now), minTime: group.map(\.meta.minTime).min() ?? first.meta.minTime,
            maxTime: group.map(\.meta.maxTime).max() ?? first.meta.maxTime)
        meta.level = (group.map(\.meta.level).max() ?? 0) + 1
        meta.sources = Array(Set(group.flatMap(\.meta.sources))).sorted()
        meta.parents = group.map { .init(ulid: $0.meta.ulid, minTime: $0.meta.minTime, maxTime: $0.meta.maxTime) }
        var writer = try BlockWriter(files.disk, files.directory, meta)
        do {
            var merge = try BlockMerge(group)
            try merge.write(to: &writer)
            let isWritten = try writer.finish() != nil
            for block in group { block.isGone = true }
            if isWritten { try openBlocks() } else { try remove(group) }
        } catch {
            writer.abandon()
            throw error
        }
        statistics.compactions += 1
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
    public func cleanTombstones(now: Int64) throws {
        for block in blocks where block.tombstones.count > 0 { try compact([block], now: now) }
    }
}
