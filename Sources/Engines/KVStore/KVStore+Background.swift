import KernelStorage
import KernelStructures

/// A compaction that somebody asked for: level by level, from the top, over a range of keys.
struct ManualCompaction {
    let from: [UInt8]?
    let to: [UInt8]?
    var level = 0
    /// The deepest level that has tables in the range; known once the memtable is flushed.
    var deepest: Int?
}

extension KVStore {
    /// Whether there is a flush, a compaction or a deletion to do.
    public var needsWork: Bool {
        if readOnlyReason != nil { return false }
        return immutable != nil || compactionJob != nil || manual != nil || isFlushRequested
            || !versions.graveyard.files.isEmpty || CompactionPlan.dueLevel(versions.current, options) != nil
    }

    /// The same without what is being done elsewhere.
    public var needsWorkHere: Bool {
        if readOnlyReason != nil { return false }
        if !isManifestOut, !pendingEdits.isEmpty { return true }
        if !isFlushOut, immutable != nil || isFlushRequested { return true }
        if !versions.graveyard.files.isEmpty { return true }
        if isCompactionOut { return false }
        return compactionJob != nil || !isFlushOut && manual != nil
            || CompactionPlan.dueLevel(versions.current, options) != nil
    }

    /// Does about this many bytes of what there is to do, the most urgent first. True if there is more.
    ///
    /// A step never does less than one entry, and the end of a table comes with a sync. What fails becomes an event and
    /// the `readOnlyReason`.
    @discardableResult
    public func work(budgetByteCount: Int, now: LabTime) -> Bool {
        self.now = now
        var left = budgetByteCount
        while left > 0, readOnlyReason == nil {
            do throws(KVStoreError) {
                guard let done = try workOnce(left) else { return false }
                left -= max(1, done)
            } catch {
                workFailed(error)
                return false
            }
        }
        return needsWorkHere
    }

    /// Bytes done; nil if there was nothing to do.
    private func workOnce(_ budget: Int) throws(KVStoreError) -> Int? {
        if !isManifestOut, !pendingEdits.isEmpty {
            try applyPendingEdits()
            return 0
        }
        if !isFlushOut {
            if immutable != nil { return try flushStep(budget) }
            if isFlushRequested {
                isFlushRequested = false
                if !memtable.isEmpty { try switchMemtable(isFull: memtable.byteCount >= options.writeBufferByteCount) }
                return 0
            }
        }
        if compactionJob != nil, !isCompactionOut { return try compactionStep(budget) }
        if !versions.graveyard.files.isEmpty {
            deleteTables()
            return 0
        }
        return isCompactionOut ? nil : try beginNext()
    }

    /// Begins the next compaction. Nil if none is due.
    func beginNext() throws(KVStoreError) -> Int? {
        // What was asked for begins with the flush.
        if manual != nil { return isFlushOut ? nil : try continueManual() }
        guard let plan = CompactionPlan.next(versions, options) else { return nil }
        try begin(plan)
        return 0
    }

    // MARK: Requests

    /// Asks for the memtable to be written to a table, though it is not full.
    public func requestFlush() throws(KVStoreError) {
        if let readOnlyReason { throw .readOnly(readOnlyReason) }
        isFlushRequested = true
    }

    /// Asks for everything between two keys, both included (nil: from the first, to the last), to be merged down to the
    /// deepest level that has any of it. What is deleted or superseded gives its space back.
    public func requestCompaction(from: [UInt8]? = nil, to: [UInt8]? = nil) throws(KVStoreError) {
        if let readOnlyReason { throw .readOnly(readOnlyReason) }
        isFlushRequested = true
        manual = ManualCompaction(from: from, to: to)
    }

    /// True while a requested compaction is not finished.
    public var isCompactionRequested: Bool { manual != nil }

    // MARK: Flush

    private func flushStep(_ budget: Int) throws(KVStoreError) -> Int {
        let job = try beginFlush(in: directory)
        let before = job.doneByteCount
        guard let file = try job.step(budget) else { return job.doneByteCount - before }
        do throws(DiskError) { try directory.sync() } catch { throw .disk(error) }
        waitForManifest()
        try versions.apply(flushEdit(file))
        flushed(file)
        return job.doneByteCount - before
    }

    /// The flush of the immutable memtable, begun if it was not.
    func beginFlush(in directory: StoreDirectory) throws(KVStoreError) -> FlushJob {
        if let flushJob { return flushJob }
        let job = try FlushJob(
            immutable!, number: versions.takeFileNumber(), oldestSnapshot: snapshots.oldest ?? versions.lastSequence,
            in: directory, options)
        flushJob = job
        return job
    }

    /// The table is on the device, and so is its name.
    func flushEdit(_ file: VersionEdit.NewFile) -> VersionEdit {
        var edit = VersionEdit()
        edit.newFiles = [file]
        edit.logNumber = memtable.logNumber
        return edit
    }

    /// The manifest knows the table.
    func flushed(_ file: VersionEdit.NewFile) {
        // With the table's name, that of the log that was there before it.
        isLogNameSynced = true
        flushJob = nil
        flushedSequence = max(flushedSequence, immutable?.lastSequence ?? 0)
        immutable = nil
        counters.value.flushes += 1
        counters.value.flushByteCount += file.byteCount
        reportCreated(file)
        removeOldLog()
    }

    /// The log of what is in a table now.
    private func removeOldLog() {
        guard let old = oldLog else { return }
        old.close()
        oldLog = nil
        // If it stays it is passed over by the next life, which knows its number to be too low, and removes it.
        _ = try? directory.disk.remove(old.path)
        for number in versions.oldManifests { _ = try? directory.disk.remove(directory.path(.manifest(number))) }
        versions.forgetOldManifests()
    }

    // MARK: Compaction

    func begin(_ plan: CompactionPlan) throws(KVStoreError) {
        if plan.isTrivialMove(options) { return try move(plan) }
        let versions = versions
        compactionJob = try CompactionJob(
            plan, version: versions.current, oldestSnapshot: snapshots.oldest ?? versions.lastSequence,
            directory: jobDirectory ?? directory, options: options, startedAt: now,
            takeNumber: { versions.takeFileNumber() })
        for file in plan.inputs + plan.nextInputs { file.isBeingCompacted = true }
        report(
            .compacting(
                level: plan.level, tables: plan.inputs.count, nextLevel: plan.level + 1,
                nextTables: plan.nextInputs.count, isManual: plan.isManual))
    }

    private func move(_ plan: CompactionPlan) throws(KVStoreError) {
        let file = plan.inputs[0]
        var edit = plan.edit
        edit.newFiles = [
            .init(
                level: plan.level + 1, number: file.number, byteCount: file.byteCount, smallest: file.smallest,
                largest: file.largest, entryCount: file.entryCount)
        ]
        try versions.applyLater(edit)
        counters.value.trivialMoves += 1
        report(.moved(label: tableLabel(level: plan.level, number: file.number), toLevel: plan.level + 1))
    }

    private func compactionStep(_ budget: Int) throws(KVStoreError) -> Int {
        let job = compactionJob!
        let before = job.doneByteCount
        guard try job.step(budget) else { return job.doneByteCount - before }
        do throws(DiskError) { try directory.sync() } catch { throw .disk(error) }
        waitForManifest()
        try versions.apply(job.edit)
        compacted(job)
        return job.doneByteCount - before
    }

    /// The manifest knows the tables.
    func compacted(_ job: CompactionJob) {
        compactionJob = nil
        let plan = job.plan
        counters.value.compactions += 1
        counters.value.compactionReadByteCount += plan.byteCount
        for file in job.finished {
            counters.value.compactionByteCount += file.byteCount
            report(
                .merged(
                    label: tableLabel(level: file.level, number: file.number), keys: file.entryCount,
                    byteCount: file.byteCount))
        }
        report(
            .compacted(
                tables: plan.inputs.count + plan.nextInputs.count, intoTables: job.finished.count,
                duration: now - job.startedAt))
    }

    /// The next step of what was asked for, once everything it builds upon is done.
    private func continueManual() throws(KVStoreError) -> Int {
        guard var request = manual else { return 0 }
        let version = versions.current
        if request.deepest == nil {
            request.deepest =
                version.levels.lastIndex { $0.contains { $0.overlaps(request.from, request.to) } } ?? 0
        }
        while request.level < max(1, request.deepest!) {
            let level = request.level
            // Level 0 once: while writes go on it would never be empty.
            let plan = CompactionPlan.manual(version, level: level, from: request.from, to: request.to, options)
            if level == 0 || plan == nil { request.level += 1 }
            guard let plan else { continue }
            manual = request
            try begin(plan)
            return 0
        }
        manual = nil
        return 0
    }

    // MARK: Deletion

    /// Deletes the tables that no version holds any more. The edits that dropped them are on the device by now.
    private func deleteTables() {
        let files = versions.graveyard.files
        versions.graveyard.files = []
        for file in files {
            tables.close(file)
            // What cannot be removed is tried again when the store is next opened.
            if let path = try? directory.tablePath(file.number) { _ = try? directory.disk.remove(path) }
        }
        report(.tablesDeleted(count: files.count))
    }

    // MARK: Failure

    func workFailed(_ error: KVStoreError) {
        // What is out is told apart when it comes back.
        let flushJob = isFlushOut ? nil : flushJob
        let compactionJob = isCompactionOut ? nil : compactionJob
        var vain: [String] = []
        if let job = flushJob { vain.append(job.path) }
        if let job = compactionJob {
            vain += job.paths
            for file in job.plan.inputs + job.plan.nextInputs { file.isBeingCompacted = false }
        }
        flushJob?.abandon()
        compactionJob?.abandon()
        if !isFlushOut { self.flushJob = nil }
        if !isCompactionOut { self.compactionJob = nil }
        report(.backgroundFailed(error.description))
        switch error {
        case .disk(.noSpace(let path)):
            // None of these is in the manifest: its edit would have been the last step.
            for path in vain { _ = try? directory.disk.remove(path) }
            stopWriting(.diskFull(.noSpace(path)))
        case .disk(let reason): stopWriting(.diskFailed(reason))
        case .corruption(let corruption): stopWriting(.damaged(corruption))
        case .readOnly, .locked, .missing, .invalid: break
        }
    }
}

extension CompactionPlan {
    /// What leaves the levels, and where the next compaction of this one begins.
    var edit: VersionEdit {
        var edit = VersionEdit()
        edit.deletedFiles =
            inputs.map { .init(level: level, number: $0.number) }
            + nextInputs.map { .init(level: level + 1, number: $0.number) }
        if level > 0, let last = inputs.last { edit.compactPointers = [.init(level: level, key: last.largest)] }
        return edit
    }
}
