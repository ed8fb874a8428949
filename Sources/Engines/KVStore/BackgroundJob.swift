import KernelStorage
import KernelStructures

/// A flush, a compaction or a sync that another thread does: `KVStore.takeJob` and `takeSync` give it out, the thread
/// calls `run`, and `KVStore.finish` takes it back.
///
/// The thread shares nothing with the store that changes meanwhile. What it reads is the memtable that takes no writes
/// any more, and tables, which never change, through files that it opens itself; what it writes are files that no
/// version knows before `finish`, and what it syncs are files that have a descriptor of its own. A crash at any moment
/// leaves what it would leave in the middle of the same job done in slices.
public final class BackgroundJob: @unchecked Sendable {
    // One owner at a time: the store, then the thread, then the store. Whoever carries it between them makes one's
    // writes visible to the other, as a mutex does.
    private enum Content {
        case flush(FlushJob, VersionEdit.NewFile?)
        case compaction(CompactionJob)
        case sync(LogSync)
        case manifest(any DiskFile, [FinishedWork])
    }
    private var content: Content?
    private var failure: KVStoreError?
    private let directory: StoreDirectory
    /// Of logs: other jobs can be begun again.
    fileprivate private(set) var isSync = false
    /// It may take seconds.
    public private(set) var isCompaction = false

    fileprivate init(flush: FlushJob, in directory: StoreDirectory) {
        content = .flush(flush, nil)
        self.directory = directory
    }

    fileprivate init(compaction: CompactionJob, in directory: StoreDirectory) {
        content = .compaction(compaction)
        isCompaction = true
        self.directory = directory
    }

    fileprivate init(sync: LogSync, in directory: StoreDirectory) {
        content = .sync(sync)
        isSync = true
        self.directory = directory
    }

    init(manifest: any DiskFile, of work: [FinishedWork], in directory: StoreDirectory) {
        content = .manifest(manifest, work)
        self.directory = directory
    }

    /// Does all of it. Once, on any thread.
    public func run() {
        do throws(KVStoreError) {
            switch content {
            case .flush(let job, _): content = .flush(job, try job.step(.max))
            case .compaction(let job): while try !job.step(.max) {}
            case .sync(let sync): return try disk { () throws(DiskError) in try sync.run(directory) }
            case .manifest(let file, _): return try disk { () throws(DiskError) in try file.sync() }
            case nil: return
            }
            try disk { () throws(DiskError) in try directory.sync() }
        } catch {
            failure = error
        }
    }

    private func disk(_ body: () throws(DiskError) -> Void) throws(KVStoreError) {
        do throws(DiskError) { try body() } catch { throw .disk(error) }
    }

    /// Brings its outcome into the store. What the thread held on to is let go of here, not there.
    fileprivate func finish(_ store: KVStore) throws(KVStoreError) {
        let done = content
        content = nil
        switch done {
        case .flush(_, let file):
            // A flush remains out until the manifest knows its table.
            if failure == nil, store.readOnlyReason == nil, let file {
                return store.pendingEdits.append(.flush(file))
            }
            store.isFlushOut = false
        case .compaction(let job):
            if failure == nil, store.readOnlyReason == nil { return store.pendingEdits.append(.compaction(job)) }
            store.isCompactionOut = false
        case .sync(let sync):
            store.isSyncOut = false
            if failure == nil { store.synced(sync) }
        case .manifest(_, let work):
            store.isManifestOut = false
            try store.installed(work, failure)
        case nil: return
        }
        if let failure { throw failure }
        // Something else has failed meanwhile: what was written is in vain.
        if store.readOnlyReason != nil { store.forget() }
    }
}

/// Logs that are to be made durable, the older one first: what is on the device is always a beginning of what was
/// written.
struct LogSync {
    /// With their names, as far as bytes were in them.
    let logs: [(writer: LogWriter, file: any DiskFile, byteCount: Int)]
    /// The newest log's name may not be on the device yet.
    let syncsDirectory: Bool
    /// The last write that is in them.
    let sequence: UInt64

    func run(_ directory: StoreDirectory) throws(DiskError) {
        for (index, log) in logs.enumerated() {
            if index == logs.count - 1, syncsDirectory { try directory.sync() }
            try log.file.sync()
        }
    }
}

extension KVStore {
    /// Where jobs read and write that another thread may do; nil where the disk is not the host's.
    var jobDirectory: StoreDirectory? {
        guard waitForJob != nil, let disk = directory.disk.forWorker() else { return nil }
        return StoreDirectory(disk: disk, path: directory.path)
    }

    /// Gives out the most urgent flush, compaction or sync of the manifest, at most one of each at a time. Nil if there
    /// is none, if they are out already, or if the store's disk is not the host's; what remains is `work`'s.
    ///
    /// Whoever takes jobs sets `waitForJob` before.
    public func takeJob(now: LabTime) -> BackgroundJob? {
        self.now = now
        guard needsWorkHere, !isClosed, let place = jobDirectory else { return nil }
        do throws(KVStoreError) {
            if let job = try takeManifest(in: place) { return job }
            if immutable != nil, flushJob == nil {
                let job = try beginFlush(in: place)
                isFlushOut = true
                return BackgroundJob(flush: job, in: place)
            }
            // Moves and the steps of what was asked for are edits only, done at once.
            while compactionJob == nil, !isFlushRequested || isFlushOut, try beginNext() != nil {}
            if let job = compactionJob, !isCompactionOut, job.directory.disk !== directory.disk {
                isCompactionOut = true
                return BackgroundJob(compaction: job, in: place)
            }
        } catch {
            workFailed(error)
        }
        return nil
    }

    /// Commits, and gives out the sync of all that is not on the device yet. Nil where there is nothing to sync, a sync
    /// is out already, or the disk is not the host's.
    public func takeSync(now: LabTime) throws(KVStoreError) -> BackgroundJob? {
        self.now = now
        guard !isSyncOut, !isClosed, let place = jobDirectory else { return nil }
        try commit(sync: false)
        var logs: [(writer: LogWriter, file: any DiskFile, byteCount: Int)] = []
        do throws(DiskError) {
            for log in [oldLog, log].compactMap({ $0 }) where log.unsyncedByteCount > 0 {
                logs.append((log, try log.fileForWorker(place.disk), log.flushedByteCount))
            }
        } catch {
            // No descriptor is left, perhaps: the caller has another way.
            return nil
        }
        guard let last = logs.last else { return nil }
        isSyncOut = true
        let sync = LogSync(
            logs: logs, syncsDirectory: last.writer === log && !isLogNameSynced, sequence: committedSequence)
        return BackgroundJob(sync: sync, in: place)
    }

    fileprivate func synced(_ sync: LogSync) {
        for (writer, _, byteCount) in sync.logs { writer.noteSynced(byteCount) }
        counters.value.syncs += sync.logs.count
        if sync.syncsDirectory, sync.logs.last?.writer === log { isLogNameSynced = true }
        // Says less than a sync of everything, which may have come meanwhile.
        markSequence = max(markSequence ?? 0, sync.sequence + 1)
    }

    /// Takes a job back that has been done.
    public func finish(_ job: BackgroundJob, now: LabTime) {
        self.now = now
        do throws(KVStoreError) { try job.finish(self) } catch {
            guard job.isSync, case .disk(let reason) = error else { return workFailed(error) }
            // What it was to make durable was acknowledged, as `everysec` has it; what came since has not been.
            takeBack()
            stopWriting(for: reason)
        }
    }

    /// Lets go of jobs that came back in vain, and of what they wrote.
    func forget() {
        if !isFlushOut, let job = flushJob {
            job.abandon()
            _ = try? directory.disk.remove(job.path)
            flushJob = nil
        }
        if !isCompactionOut, let job = compactionJob {
            job.abandon()
            for path in job.paths { _ = try? directory.disk.remove(path) }
            for file in job.plan.inputs + job.plan.nextInputs { file.isBeingCompacted = false }
            compactionJob = nil
        }
    }
}
