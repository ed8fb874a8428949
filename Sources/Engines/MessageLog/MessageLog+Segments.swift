import KernelLog
import KernelStorage
import KernelStructures

extension MessageLog {
    var checkpointPath: String { directory + "/checkpoint" }

    /// Ends the segment that is written to, which is synced, and begins another.
    func roll() throws(MessageLogError) {
        guard active.syncedBytes == active.sizeBytes, batch.recordBytes == 0 else { return }
        let full = active
        try begin(segment: full.number + 1)
        try seal(full)
        // In all, no more is written to checkpoints than to segments.
        if bytesSinceCheckpoint >= checkpointBytes { try checkpoint() }
    }

    /// A new segment exists whatever happens before it is written to.
    func begin(segment number: UInt64) throws(MessageLogError) {
        let segment = LogSegment(number: number, directory: directory)
        let bytes = Self.firstBytes(of: number, now)
        try failing { () throws(DiskError) in segment.file = try disk.replace(segment.path, bytes) }
        counters.syncs += 2
        segment.sizeBytes = bytes.count
        segment.syncedBytes = bytes.count
        segment.batchCount = 1
        segments.append(segment)
        lastPut = nil
    }

    private static func firstBytes(of number: UInt64, _ now: LabTime) -> [UInt8] {
        var writer = LogBatchWriter()
        writer.put(segment: number)
        writer.put(time: now)
        writer.seal(number: 0, syncedBytes: 0)
        return LogSegment.magic + writer.bytes
    }

    /// Writes a segment's index, and lets go of what was in memory for that.
    func seal(_ segment: LogSegment) throws(MessageLogError) {
        if segment.liveCount > 0 {
            let bytes = SegmentIndex.encoded(segment.blocks)
            try failing { () throws(DiskError) in try disk.store(bytes, at: segment.indexPath) }
        }
        finish(segment)
        segment.close()
    }

    /// From here on its blocks know their places in the index only.
    func finish(_ segment: LogSegment) {
        segment.isSealed = true
        segment.blocksByQueue = [:]
        var ordinal = 0
        for block in segment.blocks {
            block.firstOrdinal = ordinal
            ordinal += block.count
            block.entries = []
            if block.liveCount == 0 { queueTable[block.queue]?.remove(block) }
        }
    }

    /// Makes a segment's index again.
    func rebuildIndex(of segment: LogSegment) throws(MessageLogError) {
        counters.indexRebuilds += 1
        let copy = LogSegment(number: segment.number, directory: directory)
        let bytes = try contents(copy)
        var reader = SegmentReader(bytes, path: copy.path, number: copy.number)
        try reader.readAll { (record, _) throws(MessageLogError) in
            if let (entry, queue, _) = try SegmentReader.entry(of: record, in: bytes, path: copy.path) {
                copy.add(entry, queue: queue)
            }
        }
        let index = SegmentIndex.encoded(copy.blocks)
        segment.index?.close()
        segment.index = nil
        try MessageLogError.tried { () throws(DiskError) in try disk.store(index, at: segment.indexPath) }
    }

    func contents(_ segment: LogSegment) throws(MessageLogError) -> [UInt8] {
        try MessageLogError.tried { () throws(DiskError) in
            try disk.contents(of: segment.path, limit: Int(UInt32.max))
        }
    }

    // MARK: Checkpoint

    /// Says what is left of the segments before the one that is written to, which has just begun, and removes those of
    /// which nothing is.
    func checkpoint() throws(MessageLogError) {
        let older = segments.dropLast()
        let kept = older.filter { $0.liveCount > 0 }
        var checkpoint = LogCheckpoint()
        checkpoint.nextSegment = active.number
        checkpoint.definitions = definitions
        checkpoint.queues = queueTable.values.sorted { $0.number < $1.number }.map { ($0.number, $0.lastSequence) }
        checkpoint.segments = Array(kept)
        let bytes = checkpoint.encoded()
        try failing { () throws(DiskError) in try disk.replace(checkpointPath, bytes).close() }
        counters.syncs += 2
        counters.checkpoints += 1
        checkpointBytes = bytes.count
        bytesSinceCheckpoint = 0
        for segment in older where segment.liveCount == 0 { remove(segment) }
        segments = kept + [active]
    }

    private func remove(_ segment: LogSegment) {
        segment.close()
        openSegments.removeAll { $0 === segment }
        counters.removedSegments += 1
        // What cannot be removed now is removed when the log is opened again.
        for path in [segment.indexPath, segment.path] { _ = try? disk.remove(path) }
    }

    // MARK: Compaction

    /// Bytes of all segments, and of records that are still wanted.
    public var sizeBytes: Int { segments.reduce(0) { $0 + $1.sizeBytes } }
    public var liveBytes: Int { segments.reduce(0) { $0 + $1.liveRecordBytes } }

    /// Does a piece of what keeps the log small: moves messages out of the segment of which least is left, if more than
    /// half of the log is about messages that are gone.
    ///
    /// - Parameter budgetBytes: bytes of records to move.
    /// - Returns: whether there is more to do. What was moved needs a commit.
    public func maintain(budgetBytes: Int) -> Bool {
        guard failure == nil, let victim = victim() else { return false }
        var moved = 0
        while moved < budgetBytes, victim.liveCount > 0 {
            guard let block = victim.blocks.first(where: { $0.liveCount > 0 }) else { break }
            do throws(MessageLogError) {
                guard let next = try cursor(block, from: 0) else { break }
                let entry = try loaded(next)
                moved += Int(next.entry.recordBytes)
                counters.movedMessages += 1
                append(
                    entry.message, queue: block.queue, sequence: entry.sequence, isDurable: !next.entry.isTransient,
                    deliveryCount: entry.deliveryCount)
                if failure != nil { return false }
            } catch {
                victim.isUnreadable = true
                break
            }
        }
        return true
    }

    /// Whether `maintain` has something to do.
    public var needsMaintenance: Bool { failure == nil && victim() != nil }

    private func victim() -> LogSegment? {
        let garbage = sizeBytes - liveBytes
        guard garbage > liveBytes + options.garbageSegments * options.segmentBytes else { return nil }
        let candidates = segments.dropLast().filter { $0.liveCount > 0 && !$0.isUnreadable }
        // In whole numbers: a/b < c/d.
        let emptiest = candidates.min { one, other in
            one.liveRecordBytes * (other.sizeBytes >> 10) < other.liveRecordBytes * (one.sizeBytes >> 10)
        }
        guard let emptiest, emptiest.liveRecordBytes < emptiest.sizeBytes / 2 else { return nil }
        return emptiest
    }
}
