import KernelLog
import KernelStorage
import KernelStructures

extension MessageLog {
    // MARK: Definitions

    public func put(_ key: String, _ value: [UInt8]) {
        guard failure == nil else { return }
        begin(durably: true)
        batch.putDefinition(key, value)
        definitionTable[key] = value
        end()
    }

    public func remove(_ key: String) {
        guard failure == nil, definitionTable[key] != nil else { return }
        begin(durably: true)
        batch.putDefinition(key, nil)
        definitionTable[key] = nil
        end()
    }

    // MARK: Messages

    /// Puts a message into a queue. One that is there with the same number is replaced.
    ///
    /// - Parameters:
    ///   - sequence: its place in the queue; greater than 0.
    ///   - isDurable: false if it is here for want of memory only, and need not survive a restart.
    public func append(
        _ message: LoggedMessage, queue number: UInt64, sequence: UInt64, isDurable: Bool, deliveryCount: Int = 0
    ) {
        guard failure == nil, sequence > 0 else { return }
        let size = message.head.count + message.body.count
        if size > options.recordBytesLimit { return fail(.tooLarge(bytes: size, limit: options.recordBytesLimit)) }
        do throws(MessageLogError) {
            // Batches and segments have their limits, whenever the next commit comes.
            if size + batch.recordBytes > Int(UInt32.max) / 4 { try writeBatch() }
            if size + active.sizeBytes > Int(UInt32.max) / 2 { try commit() }
            let queue = takeQueue(number)
            if sequence <= queue.lastSequence {
                // What is to come about the old one must not be taken for the new one's.
                putPending()
                try settleIfThere(queue, sequence)
            }
            begin(durably: isDurable)
            let entry = write(message, number, sequence, isDurable, deliveryCount)
            add(entry, to: queue, deliveryCount: deliveryCount)
            end()
        } catch {
            fail(error)
        }
    }

    /// Writes the message's record, or where it stands already.
    private func write(
        _ message: LoggedMessage, _ queue: UInt64, _ sequence: UInt64, _ isDurable: Bool, _ deliveryCount: Int
    ) -> LogIndexEntry {
        let offset = active.sizeBytes + LogBatch.headerBytes + batch.recordBytes
        var entry = LogIndexEntry(
            sequence: sequence, offset: UInt32(clamping: offset), recordBytes: 0,
            bodyBytes: UInt32(clamping: message.body.count), flags: isDurable ? 0 : LogIndexEntry.transientFlag)
        if let lastPut, lastPut.segment == active.number, lastPut.message == message {
            batch.putShare(
                queue: queue, sequence: sequence, isDurable: isDurable, deliveryCount: deliveryCount,
                distance: offset - lastPut.offset)
            entry.offset = UInt32(clamping: lastPut.offset)
            entry.recordBytes = lastPutRecordBytes
            entry.flags |= LogIndexEntry.sharedFlag
        } else {
            let bytes = batch.put(
                message, queue: queue, sequence: sequence, isDurable: isDurable, deliveryCount: deliveryCount)
            entry.recordBytes = UInt32(clamping: bytes)
            lastPut = (message, active.number, offset)
            lastPutRecordBytes = entry.recordBytes
        }
        return entry
    }

    /// A message has been delivered for the `count`-th time. Goes into the log with what comes next.
    public func delivered(queue number: UInt64, sequence: UInt64, count: Int) {
        guard failure == nil, let queue = queueTable[number] else { return }
        do throws(MessageLogError) {
            guard let found = try locate(queue, sequence) else { return }
            position += 1
            found.block.noteDeliveries(found.ordinal, min(count, LogRecord.deliveryLimit))
            if found.entry.isTransient { return }
            if count == 1 {
                if pendingDeliveries.extend(queue: number, sequence: sequence) { return }
                putPending()
                _ = pendingDeliveries.extend(queue: number, sequence: sequence)
            } else {
                putPending()
                beginRecord()
                batch.putDelivered(
                    PendingRun(queue: number, first: sequence, last: sequence, isEmpty: false), count: count)
                end()
            }
        } catch {
            fail(error)
        }
    }

    /// A message is gone: acknowledged, expired, dropped or dead-lettered.
    public func settle(queue number: UInt64, sequence: UInt64) {
        guard failure == nil, let queue = queueTable[number] else { return }
        do throws(MessageLogError) {
            guard let found = try locate(queue, sequence) else { return }
            position += 1
            settle(found, of: queue)
            if found.entry.isTransient { return }
            needsSync = true
            if pendingSettles.extend(queue: number, sequence: sequence) { return }
            putPending()
            _ = pendingSettles.extend(queue: number, sequence: sequence)
        } catch {
            fail(error)
        }
    }

    /// Every message of a queue up to a number is gone.
    ///
    /// - Parameter except: ascending: what is still out.
    public func purge(queue number: UInt64, through sequence: UInt64, except: [UInt64]) {
        guard failure == nil, let queue = queueTable[number] else { return }
        putPending()
        begin(durably: true)
        batch.putPurged(queue: number, through: sequence, except: except)
        end()
        do throws(MessageLogError) {
            try settle(queue, 0...sequence, except: except)
        } catch {
            fail(error)
        }
    }

    /// A queue is gone, with all its messages.
    public func delete(queue number: UInt64) {
        guard failure == nil, queueTable[number] != nil else { return }
        putPending()
        begin(durably: true)
        batch.putDeleted(queue: number)
        drop(queue: number)
        end()
    }

    // MARK: Batches

    private func begin(durably: Bool) {
        position += 1
        if durably { needsSync = true }
        beginRecord()
    }

    private func beginRecord() { if batch.recordBytes == 0 { batch.put(time: now) } }

    private func end() { if batch.recordBytes >= options.batchBytes { writeOrFail() } }

    /// Runs that wait to be continued.
    func putPending() {
        if !pendingDeliveries.isEmpty {
            beginRecord()
            batch.putDelivered(pendingDeliveries, count: 1)
            pendingDeliveries.isEmpty = true
        }
        if !pendingSettles.isEmpty {
            beginRecord()
            batch.putSettled(pendingSettles)
            pendingSettles.isEmpty = true
        }
    }

    private func writeOrFail() { do throws(MessageLogError) { try writeBatch() } catch { fail(error) } }

    func fail(_ error: MessageLogError) { if failure == nil { failure = error } }

    /// Writes what is buffered. It survives `kill -9` from here on.
    func writeBatch() throws(MessageLogError) {
        if let failure { throw failure }
        putPending()
        if batch.recordBytes == 0 { return }
        batch.seal(number: active.batchCount, syncedBytes: active.syncedBytes)
        defer { batch.clear() }
        try writeBytes(batch.bytes)
        counters.batches += 1
    }

    private func writeBytes(_ bytes: [UInt8]) throws(MessageLogError) {
        guard let file = active.file else { throw .disk(.closed(active.path)) }
        // Places in a segment have 32 bits.
        guard active.sizeBytes + bytes.count <= Int(UInt32.max) else {
            throw .tooLarge(bytes: active.sizeBytes + bytes.count, limit: Int(UInt32.max))
        }
        try failing { () throws(DiskError) in try file.write(bytes, at: active.sizeBytes) }
        active.sizeBytes += bytes.count
        active.batchCount += 1
        counters.writtenBytes += bytes.count
        bytesSinceCheckpoint += bytes.count
    }

    /// After an error nothing can be put into it any more.
    func failing(_ body: () throws(DiskError) -> Void) throws(MessageLogError) {
        do throws(DiskError) {
            try body()
        } catch {
            fail(.disk(error))
            throw .disk(error)
        }
    }

    // MARK: Commit

    /// Bytes that a commit would write.
    public var uncommittedBytes: Int { batch.recordBytes }
    /// Whether there is anything to commit.
    public var needsCommit: Bool { syncedPosition < position }

    /// Brings everything onto the device that was put since the last commit, and begins a new segment where the last
    /// one is full. If it fails, nothing is promised, and nothing more is taken.
    ///
    /// - Throws: `MessageLogError`.
    public func commit() throws(MessageLogError) {
        let goal = position
        try writeBatch()
        if needsSync {
            try sync()
            needsSync = false
        }
        syncedPosition = goal
        if active.sizeBytes >= options.segmentBytes || active.entryCount >= options.segmentMessages {
            try roll()
        }
    }

    func sync() throws(MessageLogError) {
        guard let file = active.file else { throw .disk(.closed(active.path)) }
        try failing { () throws(DiskError) in try file.sync() }
        active.syncedBytes = active.sizeBytes
        counters.syncs += 1
    }

    /// An empty batch: what is before it is synced, it says.
    func writeMark() throws(MessageLogError) {
        guard active.syncedBytes == active.sizeBytes else { return }
        try writeBytes(LogBatch.encoded([], number: active.batchCount, syncedBytes: active.syncedBytes))
    }
}
