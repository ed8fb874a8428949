import KernelStorage
import KernelStructures
import TimeSeriesEngine

// The log: what is written before it counts, and how it is read after a crash.
extension TimeSeriesStore {
    /// Samples of one record.
    private static let recordSamples = 10_000
    private static let recordSeries = 1000

    func log(_ batch: Batch) {
        let fresh = head.takeUnlogged()
        guard let wal = files?.wal else { return }
        do throws(DiskError) {
            try log(fresh, to: wal)
            let samples = batch.samples.map { (reference: $0.series.reference, time: $0.time, value: $0.value) }
            for start in stride(from: 0, to: samples.count, by: Self.recordSamples) {
                try wal.append(WALRecord.samples(samples[start..<min(samples.count, start + Self.recordSamples)]))
            }
            let histograms = batch.histograms.map { one -> WALRecord.LoggedHistogram in
                let isWhole = one.series.takesWholeCounts(one.value)
                return (one.series.reference, one.time, one.value, isWhole)
            }
            for record in WALRecord.histogramRecords(histograms) { try wal.append(record) }
            try wal.flush()
        } catch {
            failed("the log", error)
        }
    }

    /// Keeps exemplars that are new, and writes them to the log, but for those of series that nobody has any more.
    public func add(_ new: [Exemplar]) {
        let taken = new.filter { exemplars.add($0) }
        guard let wal = files?.wal, !taken.isEmpty else { return }
        do throws(DiskError) {
            try log(taken, to: wal)
            try wal.flush()
        } catch {
            failed("the log", error)
        }
    }

    /// Series come before what is said of them.
    func log(_ exemplars: [Exemplar], to wal: WAL) throws(DiskError) {
        let logged = exemplars.compactMap { exemplar in
            head.find(exemplar.series).map { series in
                WALRecord.LoggedExemplar(
                    reference: series.reference, time: exemplar.timestamp, value: exemplar.value,
                    labels: exemplar.labels)
            }
        }
        for start in stride(from: 0, to: logged.count, by: Self.recordSeries) {
            try wal.append(WALRecord.exemplars(logged[start..<min(logged.count, start + Self.recordSeries)]))
        }
    }

    private func log(_ fresh: [MemorySeries], to wal: WAL) throws(DiskError) {
        for start in stride(from: 0, to: fresh.count, by: Self.recordSeries) {
            let part = fresh[start..<min(fresh.count, start + Self.recordSeries)]
            try wal.append(WALRecord.series(part.map { ($0.reference, head.labels(of: $0)) }))
        }
    }

    /// Counts and tells what could not be written.
    public func failed(_ what: String, _ error: some Error) {
        statistics.failedWrites += 1
        note("\(what) could not be written: \(error)")
    }

    /// Remembers a problem, the first thousand of them.
    func note(_ text: String) {
        guard problems.last != text, problems.count < 1000 else { return }
        problems.append(text)
    }

    /// Whether something has been written to the log since it was last synced.
    public var needsSync: Bool { files?.wal?.isDirty ?? false }

    /// Makes durable what has been committed.
    ///
    /// - Throws: `DiskError`: what was committed since the last sync may be lost then.
    public func sync() throws(DiskError) { try files?.wal?.sync() }

    /// Makes everything durable; the store must not be used any more.
    public func close() throws(DiskError) {
        tierJob?.abandon()
        tierJob = nil
        blockJob = nil
        for tier in tiers { try tier.close() }
        guard let files, let wal = files.wal else { return }
        // Whoever reads the snapshot has to know the series of what the log says later.
        try log(head.takeUnlogged(), to: wal)
        try wal.close()
        if head.series.reduce(0, { $0 + $1.sampleCount }) >= settings.snapshotSamples {
            try HeadSnapshot.write(head, exemplars.inOrder, log: wal.end, to: files)
        }
    }

    // MARK: Recovery

    func recover() throws(DiskError) {
        guard let files else { return }
        try files.removeLeftovers()
        try openBlocks()
        if let last = blocks.map(\.meta.maxTime).max() { head.beginsAt(last) }
        let first = try files.checkpoint().map { $0.number + 1 } ?? 0
        let segments = try WAL.segments(files.disk, files.walDirectory)
        if try !readSnapshot(segments.last) { try replay(segments.filter { $0 >= first }) }
        files.wal = try WAL(
            files.disk, files.walDirectory, segment: max(first, (segments.last ?? -1) + 1),
            segmentBytes: settings.segmentBytes)
        // The log has a segment more now, and the snapshot fits it no longer.
        try HeadSnapshot.remove(files)
    }

    /// Whether a clean stop has left what the log says.
    private func readSnapshot(_ segment: Int?) throws(DiskError) -> Bool {
        guard let files, let segment else { return false }
        let bytes = try files.disk.attributes("\(files.walDirectory)/\(WAL.name(segment))").size
        guard let content = HeadSnapshot.read(files, log: (segment, bytes)) else { return false }
        head.adopt(content)
        for exemplar in content.exemplars { exemplars.add(exemplar) }
        statistics.snapshotSeries = content.series.count
        return true
    }

    /// Reads the checkpoint and the segments behind it.
    private func replay(_ segments: [Int]) throws(DiskError) {
        guard let files else { return }
        var replay = Replay(store: self)
        if let checkpoint = try files.checkpoint() {
            for number in try WAL.segments(files.disk, checkpoint.path) {
                try replay.read("\(checkpoint.path)/\(WAL.name(number))", isLast: false)
            }
        }
        for number in segments {
            try replay.read("\(files.walDirectory)/\(WAL.name(number))", isLast: number == segments.last)
        }
        statistics.replayedSamples = replay.sampleCount
    }

    private struct Replay {
        let store: TimeSeriesStore
        var series: [UInt64: MemorySeries] = [:]
        var sampleCount = 0

        init(store: TimeSeriesStore) { self.store = store }

        /// Reads a segment. What a crash left at the end of the last one is cut off; elsewhere it is damage.
        mutating func read(_ path: String, isLast: Bool) throws(DiskError) {
            guard let files = store.files else { return }
            let bytes = try files.disk.contents(of: path, limit: 1 << 30)
            let (validBytes, damage) = bytes.withUnsafeBytes { raw -> (Int, String?) in
                var reader = WALReader(raw)
                while let record = reader.next() { take(record, path) }
                return (reader.validBytes, reader.damage)
            }
            guard let damage else { return }
            store.statistics.damagedSegments += isLast ? 0 : 1
            if !isLast {
                return store.note("\(path) is damaged, \(damage): \(bytes.count - validBytes) bytes are lost")
            }
            // A write that the crash interrupted: nobody was told that it had happened.
            let file = try files.disk.open(path, [.write])
            defer { file.close() }
            try file.truncate(to: validBytes)
            try file.sync()
        }

        mutating func take(_ bytes: [UInt8], _ path: String) {
            do throws(RecordReader.Malformed) {
                switch try WALRecord(bytes) {
                case .series(let all):
                    for (reference, labels) in all {
                        if let one = try? store.head.restore(labels, reference: reference) { series[reference] = one }
                    }
                case .samples(let all):
                    for (reference, time, value) in all {
                        guard let one = series[reference] else { continue }
                        store.head.replay(one, time, value)
                        sampleCount += 1
                    }
                case .histograms(let all):
                    for (reference, time, value, isWhole) in all {
                        guard let one = series[reference] else { continue }
                        if !isWhole { one.holdFractions() }
                        store.head.replay(one, time, value)
                        sampleCount += 1
                    }
                case .exemplars(let all): for exemplar in all { take(exemplar) }
                case .tombstones(let all): for (reference, range) in all { series[reference]?.delete(range) }
                case .other: break
                }
            } catch {
                store.note("\(path): a record that is none, \(error)")
            }
        }

        private func take(_ exemplar: WALRecord.LoggedExemplar) {
            guard let one = series[exemplar.reference] else { return }
            store.exemplars.add(
                Exemplar(
                    series: store.head.labels(of: one), labels: exemplar.labels, value: exemplar.value,
                    timestamp: exemplar.time))
        }
    }

    /// Opens all blocks, without those that a compaction has replaced and had no time to remove.
    func openBlocks() throws(DiskError) {
        guard let files else { return }
        var opened: [Block] = []
        for name in try files.blockNames() {
            if let present = blocks.first(where: { $0.meta.ulid == name }) {
                opened.append(present)
                continue
            }
            do throws(QueryableError) {
                opened.append(try Block(files.disk, "\(files.directory)/\(name)"))
            } catch {
                note("the block \(name) is left out: \(error)")
            }
        }
        let replaced = Set(opened.flatMap { $0.meta.parents.map(\.ulid) })
        for block in opened where replaced.contains(block.meta.ulid) { try files.removeBlock(block.meta.ulid) }
        blocks = opened.filter { !replaced.contains($0.meta.ulid) }.sorted {
            ($0.meta.minTime, $0.meta.maxTime, $0.meta.ulid) < ($1.meta.minTime, $1.meta.maxTime, $1.meta.ulid)
        }
    }
}
