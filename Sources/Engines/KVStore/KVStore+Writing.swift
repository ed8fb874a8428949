import KernelStorage
import KernelStructures

extension KVStore {
    // MARK: Writes

    /// Puts a batch into the log's buffer and the memtable: visible at once, in the file with the next `commit`. Where
    /// writers have to wait (`stall`), a part of the work they wait for is done first.
    ///
    /// - Throws: `.invalid` beyond the limits of `KVStoreOptions`; `.readOnly`; `.disk` if the log cannot be changed.
    public func write(_ batch: WriteBatch) throws(KVStoreError) {
        if batch.count == 0 { return }
        if let complaint = batch.complaint { throw .invalid(complaint) }
        try makeRoom(batch.byteCount)
        var sequence = append(batch)
        // The records were made by this module: they can be read.
        var reader = BatchReader(batch.buffer.bytes)!
        while let entry = try? reader.next() {
            memtable.add(sequence, entry.kind, entry.key, entry.value)
            sequence &+= 1
            counters.value.writtenByteCount &+= entry.key.count &+ entry.value.count
        }
    }

    public func put(_ key: some Collection<UInt8>, _ value: some Collection<UInt8>) throws(KVStoreError) {
        try withBytes(of: key) { key throws(KVStoreError) in
            try withBytes(of: value) { value throws(KVStoreError) in try writeOne(.value, key, value) }
        }
    }

    public func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(KVStoreError) {
        try writeOne(.value, Bytes(key), Bytes(value))
    }

    public func delete(_ key: some Collection<UInt8>) throws(KVStoreError) {
        try withBytes(of: key) { key throws(KVStoreError) in try writeOne(.deletion, key, .empty) }
    }

    private func writeOne(_ kind: ValueKind, _ key: Bytes, _ value: Bytes) throws(KVStoreError) {
        scratch.clear()
        if kind == .value { scratch.put(key, value) } else { scratch.delete(key) }
        if let complaint = scratch.complaint { throw .invalid(complaint) }
        try makeRoom(scratch.byteCount)
        memtable.add(append(scratch), kind, key, value)
        counters.value.writtenByteCount &+= key.count &+ value.count
    }

    /// Adds a batch to the log's buffer. Returns the sequence number of its first write.
    @inline(__always) private func append(_ batch: WriteBatch) -> UInt64 {
        if markSequence != nil { appendMark() }
        let first = versions.lastSequence &+ 1
        log!.append(batch.seal(sequence: first))
        versions.lastSequence &+= UInt64(batch.count)
        counters.value.writes &+= batch.count
        return first
    }

    func appendMark() {
        log!.append(markBatch.seal(sequence: markSequence ?? versions.lastSequence + 1))
        markSequence = nil
    }

    // MARK: Commit

    /// Brings everything buffered into the log's file with one write: from here on it survives `kill -9`. With `sync`
    /// it is on the device afterwards, and survives a power failure, it and all that was committed before.
    ///
    /// If it fails the store accepts no writes any more, and those since the last commit are taken back: readers do not
    /// see them. Whether they are on the device, only opening the store again can tell.
    public func commit(sync: Bool) throws(KVStoreError) {
        guard readOnlyReason == nil, let log else {
            throw .readOnly(readOnlyReason ?? .asked)
        }
        do throws(DiskError) {
            if log.bufferedByteCount > 0 {
                counters.value.logByteCount &+= log.bufferedByteCount
                try log.flush()
            }
            if sync { try syncLogs(log) }
        } catch {
            takeBack()
            stopWriting(for: error)
            throw .disk(error)
        }
        committedSequence = versions.lastSequence
    }

    /// Older first: what is on the device is always a beginning of what was written.
    private func syncLogs(_ log: LogWriter) throws(DiskError) {
        if let oldLog, oldLog.unsyncedByteCount > 0 {
            try oldLog.sync()
            counters.value.syncs += 1
        }
        if log.unsyncedByteCount == 0 { return }
        if !isLogNameSynced {
            try directory.sync()
            isLogNameSynced = true
        }
        try log.sync()
        counters.value.syncs += 1
        markSequence = versions.lastSequence + 1
    }

    /// Bytes written since the last commit.
    public var uncommittedByteCount: Int { log?.bufferedByteCount ?? 0 }
    /// Bytes committed that a power failure could still take.
    public var unsyncedByteCount: Int { (log?.unsyncedByteCount ?? 0) + (oldLog?.unsyncedByteCount ?? 0) }

    /// Forgets the writes since the last commit.
    func takeBack() {
        if versions.lastSequence == committedSequence { return }
        memtable = memtable.copy(upTo: committedSequence, random: random.fork("again \(versions.lastSequence)"))
        versions.lastSequence = committedSequence
        branch += 1
    }

    // MARK: Read-only

    func stopWriting(for error: DiskError) {
        if case .noSpace = error { stopWriting(.diskFull(error)) } else { stopWriting(.diskFailed(error)) }
    }

    func stopWriting(_ reason: ReadOnlyReason) {
        if case .diskFailed = readOnlyReason { return }
        if readOnlyReason == reason { return }
        readOnlyReason = reason
        report(.readOnly(reason))
    }

    /// Tries to leave the state that a full disk brought. True if writes are accepted now.
    @discardableResult
    public func resume() -> Bool {
        if readOnlyReason == nil { return true }
        guard case .diskFull = readOnlyReason, !isClosed, hasSpace() else { return false }
        do throws(KVStoreError) {
            if isOpeningUnfinished {
                if lock == nil { lock = try? directory.disk.lock(directory.path(.lock)) }
                try finishOpening()
                if isOpeningUnfinished { return false }
            } else {
                do throws(DiskError) { try log?.mend() } catch { throw .disk(error) }
                readOnlyReason = nil
            }
        } catch {
            if case .disk(let reason) = error { stopWriting(for: reason) }
            return false
        }
        report(.writableAgain)
        return true
    }

    /// Tries it out, with more than the next few writes need.
    private func hasSpace() -> Bool {
        let path = directory.path(.temporary(versions.takeFileNumber()))
        let isThere = (try? directory.disk.store([UInt8](repeating: 0, count: 64 << 10), at: path)) != nil
        _ = try? directory.disk.remove(path)
        return isThere
    }

    // MARK: Room

    /// Why writers wait at this moment, or are slowed down.
    public var stall: StallCause? {
        let tables = versions.current.levels[0].count
        if memtable.byteCount >= options.writeBufferByteCount {
            if let immutable {
                return .memtablesFull(
                    flushedByteCount: isFlushOut ? 0 : flushJob?.doneByteCount ?? 0, ofByteCount: immutable.byteCount)
            }
            if tables >= options.level0StopTrigger {
                return .level0Full(
                    tables: tables, limit: options.level0StopTrigger, compaction: compactionText)
            }
        }
        if tables >= options.level0SlowdownTrigger {
            return .level0Slow(
                tables: tables, limit: options.level0SlowdownTrigger, compaction: compactionText)
        }
        return nil
    }

    private var compactionText: String? {
        compactionJob.map { job in
            "the compaction of L\(job.plan.level) (\(byteCountText(isCompactionOut ? 0 : job.doneByteCount)) of "
                + "\(byteCountText(job.plan.byteCount)) done)"
        }
    }

    /// Bytes that the log's buffer may take before it is written without being asked.
    private static let bufferByteLimit = 4 << 20
    /// A slowed writer does this much background work for each byte that it writes.
    private static let slowdownFactor = 8
    /// A stopped writer works in pieces of this size, and looks after each whether it may go on.
    private static let stopSliceByteCount = 16 << 10

    /// Makes sure that the memtable takes a batch.
    @inline(__always) private func makeRoom(_ byteCount: Int) throws(KVStoreError) {
        if readOnlyReason != nil || log == nil { throw .readOnly(readOnlyReason ?? .asked) }
        if memtable.byteCount >= options.writeBufferByteCount || log!.bufferedByteCount > Self.bufferByteLimit
            || versions.current.levels[0].count >= options.level0SlowdownTrigger || lastStall != nil
        {
            try makeRoomSlowly(byteCount)
        }
    }

    @inline(never) private func makeRoomSlowly(_ byteCount: Int) throws(KVStoreError) {
        if log!.bufferedByteCount > Self.bufferByteLimit { try commit(sync: false) }
        while true {
            let cause = stall
            noteStall(cause)
            if let cause, cause.isStop {
                if !workInline(Self.stopSliceByteCount, for: cause) {
                    throw readOnlyReason.map { .readOnly($0) } ?? .invalid("\(cause)")
                }
                continue
            }
            if memtable.byteCount < options.writeBufferByteCount {
                if let cause { _ = workInline(byteCount * Self.slowdownFactor, for: cause) }
                break
            }
            try switchMemtable()
        }
        if let readOnlyReason { throw .readOnly(readOnlyReason) }
    }

    /// Does a part of what a writer waits for; where that is out, waits for it, or lets it be if writers are only to be
    /// slowed down. True as long as there is hope.
    private func workInline(_ budget: Int, for cause: StallCause) -> Bool {
        let isOut =
            switch cause {
            case .memtablesFull: isFlushOut
            case .level0Full, .level0Slow: isCompactionOut
            }
        // What is done, and only has to be noted in the manifest, is quicker noted here.
        let isNoteDue = !pendingEdits.isEmpty && !isManifestOut
        if !isOut || isNoteDue {
            work(budgetByteCount: budget, now: now)
        } else if cause.isStop {
            waitForJob?()
        }
        return readOnlyReason == nil
    }

    private func noteStall(_ cause: StallCause?) {
        defer { lastStall = cause }
        guard let cause, lastStall?.name != cause.name else { return }
        switch cause {
        case .memtablesFull: counters.value.memtableStalls += 1
        case .level0Full: counters.value.level0Stops += 1
        case .level0Slow: counters.value.level0Slowdowns += 1
        }
        report(.stalled(cause))
    }

    /// Makes the memtable the immutable one, and begins a new one with a log of its own.
    ///
    /// - Parameter isFull: that is why; otherwise somebody has asked for it.
    func switchMemtable(isFull: Bool = true) throws(KVStoreError) {
        precondition(immutable == nil, "two memtables at a time")
        // What was synced stays provably so: nothing more is written to this log.
        if markSequence != nil { appendMark() }
        try commit(sync: false)
        let number = versions.takeFileNumber()
        let next: LogWriter
        do throws(KVStoreError) {
            next = try makeLog(number)
        } catch {
            if case .disk(let reason) = error { stopWriting(for: reason) }
            throw error
        }
        report(isFull ? .memtableFull(byteCount: memtable.byteCount) : .flushing(entries: memtable.count))
        oldLog = log
        log = next
        isLogNameSynced = false
        immutable = memtable
        memtable = newMemtable(number)
    }

    /// A log that begins with a mark.
    func makeLog(_ number: UInt64) throws(KVStoreError) -> LogWriter {
        let path = directory.path(.log(number))
        do throws(DiskError) {
            let file = try directory.disk.open(path, [.write, .create, .truncate])
            let writer = LogWriter(file: file, path: path, number: number)
            writer.append(markBatch.seal(sequence: versions.lastSequence + 1))
            markSequence = nil
            return writer
        } catch {
            throw .disk(error)
        }
    }
}
