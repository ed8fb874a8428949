import KernelLog
import KernelStorage
import KernelStructures

extension MessageLog {
    /// Opens the log in a directory, or begins one.
    ///
    /// - Parameter now: goes into what opening writes.
    /// - Throws: `MessageLogError`: `.damaged` if what was promised is not there.
    public static func open(
        _ disk: NodeDisk, directory: String, options: MessageLogOptions = MessageLogOptions(), now: LabTime
    ) throws(MessageLogError) -> MessageLog {
        let lock = try MessageLogError.tried { () throws(DiskError) in
            try disk.makeDurableDirectory(directory)
            return try disk.lock(directory + "/lock")
        }
        let log = MessageLog(disk: disk, directory: directory, options: options, lock: lock)
        log.now = now
        do throws(MessageLogError) {
            try log.recover()
        } catch {
            log.abandon()
            throw error
        }
        return log
    }

    private func recover() throws(MessageLogError) {
        let names = try MessageLogError.tried { () throws(DiskError) in try disk.list(directory) }
        let checkpoint = try readCheckpoint(isThere: names.contains("checkpoint"))
        let numbers = names.compactMap { LogSegment.number($0, "log") }.sorted()
        takeOver(checkpoint)
        let newer = try check(numbers, checkpoint)
        removeLeftovers(names, newer)
        if newer.isEmpty {
            try begin(segment: checkpoint.nextSegment)
        } else {
            for number in newer { try replay(number, isLast: number == newer.last) }
        }
        try dropTransient()
        syncedPosition = position
    }

    private func readCheckpoint(isThere: Bool) throws(MessageLogError) -> LogCheckpoint {
        guard isThere else { return LogCheckpoint() }
        let bytes = try MessageLogError.tried { () throws(DiskError) in
            try disk.contents(of: checkpointPath, limit: Int(UInt32.max))
        }
        guard let checkpoint = LogCheckpoint(bytes, directory: directory) else {
            throw .damaged(path: checkpointPath, offsetBytes: 0, "its checksum does not fit")
        }
        checkpointBytes = bytes.count
        return checkpoint
    }

    private func takeOver(_ checkpoint: LogCheckpoint) {
        for (key, value) in checkpoint.definitions { definitionTable[key] = value }
        for (number, lastSequence) in checkpoint.queues { takeQueue(number).lastSequence = lastSequence }
        segments = checkpoint.segments
        for segment in segments {
            for block in segment.blocks {
                let queue = takeQueue(block.queue)
                queue.add(block)
                queue.liveCount += block.liveCount
                queue.liveBodyBytes += block.liveBodyBytes
            }
        }
    }

    /// The segments that came after the checkpoint.
    ///
    /// - Throws: `.damaged` if one is missing.
    private func check(_ numbers: [UInt64], _ checkpoint: LogCheckpoint) throws(MessageLogError) -> [UInt64] {
        for segment in checkpoint.segments where !numbers.contains(segment.number) {
            throw .damaged(path: segment.path, offsetBytes: 0, "it is missing, and messages of it are still wanted")
        }
        let newer = numbers.filter { $0 >= checkpoint.nextSegment }
        // A log that has never had a checkpoint has its first segment, if it has any.
        if newer.isEmpty, numbers.isEmpty, checkpoint.nextSegment == 1 { return [] }
        var expected = checkpoint.nextSegment
        for number in newer + (newer.isEmpty ? [0] : []) {
            guard number == expected else {
                let missing = LogSegment(number: expected, directory: directory)
                throw .damaged(path: missing.path, offsetBytes: 0, "it is missing, and others of the log are there")
            }
            expected += 1
        }
        return newer
    }

    /// Files that were about to be removed, or to be put in another's place.
    private func removeLeftovers(_ names: [String], _ newer: [UInt64]) {
        let wanted = Set(segments.map(\.number) + newer)
        for name in names {
            let number = LogSegment.number(name, "log") ?? LogSegment.number(name, "index")
            if name.hasSuffix(".new") || number.map({ !wanted.contains($0) }) ?? false {
                _ = try? disk.remove(directory + "/" + name)
            }
        }
    }

    // MARK: Replay

    private func replay(_ number: UInt64, isLast: Bool) throws(MessageLogError) {
        let segment = LogSegment(number: number, directory: directory)
        let bytes = try contents(segment)
        segments.append(segment)
        var reader = SegmentReader(bytes, path: segment.path, number: number)
        let take = { [self] (record: LogRecord, _: Int) throws(MessageLogError) in
            try apply(record, bytes, segment.path)
        }
        if isLast { try reader.readSound(take) } else { try reader.readAll(take) }
        recovery.replayedSegments += 1
        recovery.replayedRecords += reader.recordCount
        segment.sizeBytes = reader.soundBytes
        segment.batchCount = reader.batchCount
        bytesSinceCheckpoint += segment.sizeBytes
        if isLast {
            try continueWriting(segment, bytes, reader)
        } else {
            segment.syncedBytes = segment.sizeBytes
            try seal(segment)
        }
    }

    /// What can be read of the last segment may be in the system's memory only, left there by a sync that failed: what
    /// no batch says was synced is written again before it counts.
    private func continueWriting(_ segment: LogSegment, _ bytes: [UInt8], _ reader: SegmentReader)
        throws(MessageLogError)
    {
        recovery.tornBytes = reader.tornBytes
        guard reader.batchCount > 0 else {
            // A segment appears under its name when its first batch is safe.
            throw .damaged(path: segment.path, offsetBytes: 0, "it does not begin as a segment does")
        }
        let isAllSynced = reader.recordsEndBytes <= reader.witnessedBytes && reader.tornBytes == 0
        try MessageLogError.tried { () throws(DiskError) in
            if isAllSynced {
                segment.file = try disk.open(segment.path, [.write])
            } else {
                segment.file = try disk.replace(segment.path, Array(bytes[..<reader.soundBytes]))
            }
        }
        segment.syncedBytes = isAllSynced ? reader.witnessedBytes : segment.sizeBytes
    }

    private func apply(_ record: LogRecord, _ bytes: [UInt8], _ path: String) throws(MessageLogError) {
        switch record {
        case .time, .segment: break
        case .message, .share:
            guard let (entry, number, deliveries) = try SegmentReader.entry(of: record, in: bytes, path: path) else {
                break
            }
            let queue = takeQueue(number)
            if entry.sequence <= queue.lastSequence { try settleIfThere(queue, entry.sequence) }
            add(entry, to: queue, deliveryCount: deliveries)
        case .settled(let number, let range):
            if let queue = queueTable[number] { try settle(queue, range, except: []) }
        case .delivered(let number, let range, let count):
            if let queue = queueTable[number] { try noteDelivered(queue, range, count: count) }
        case .purged(let number, let through, let except):
            if let queue = queueTable[number] { try settle(queue, 0...through, except: except) }
        case .deleted(let number): drop(queue: number)
        case .put(let key, let value): definitionTable[key] = value
        case .removed(let key): definitionTable[key] = nil
        }
    }

    /// Messages that were here for want of memory only: their queues knew them, and have forgotten them.
    private func dropTransient() throws(MessageLogError) {
        for queue in queueTable.values.sorted(by: { $0.number < $1.number }) {
            for block in queue.blocks where block.liveTransient > 0 {
                var next = try cursor(block, from: 0)
                while let found = next {
                    if found.entry.isTransient {
                        settle(found, of: queue)
                        recovery.droppedTransient += 1
                    }
                    next = try cursor(block, from: found.ordinal + 1)
                }
            }
        }
    }
}
