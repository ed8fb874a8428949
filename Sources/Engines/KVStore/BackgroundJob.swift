import KernelStorage
import KernelStructures

/// A flush or a compaction that another thread does: `KVStore.takeJob` gives it out, the thread calls `run`, and
/// `KVStore.finish` takes it back.
///
/// The thread shares nothing with the store that changes meanwhile. What it reads is the memtable that takes no writes
/// any more, and tables, which never change, through files that it opens itself; what it writes are files that no
/// version knows before `finish`. A crash at any moment leaves what it would leave in the middle of the same job done
/// in slices.
public final class BackgroundJob: @unchecked Sendable {
    // One owner at a time: the store, then the thread, then the store. Whoever carries it between them makes one's
    // writes visible to the other, as a mutex does.
    private enum Content {
        case flush(FlushJob, VersionEdit.NewFile?)
        case compaction(CompactionJob)
    }
    private var content: Content?
    private var failure: KVStoreError?
    private let directory: StoreDirectory

    fileprivate init(flush: FlushJob, in directory: StoreDirectory) {
        content = .flush(flush, nil)
        self.directory = directory
    }

    fileprivate init(compaction: CompactionJob, in directory: StoreDirectory) {
        content = .compaction(compaction)
        self.directory = directory
    }

    /// Does all of it. Once, on any thread.
    public func run() {
        do throws(KVStoreError) {
            switch content {
            case .flush(let job, _): content = .flush(job, try job.step(.max))
            case .compaction(let job): while try !job.step(.max) {}
            case nil: return
            }
            do throws(DiskError) { try directory.sync() } catch { throw .disk(error) }
        } catch {
            failure = error
        }
    }

    /// Brings its outcome into the store. What the thread held on to is let go of here, not there.
    fileprivate func finish(_ store: KVStore) throws(KVStoreError) {
        let done = content
        content = nil
        switch done {
        case .flush: store.isFlushOut = false
        case .compaction: store.isCompactionOut = false
        case nil: return
        }
        if let failure { throw failure }
        // Something else has failed meanwhile: what was written is in vain.
        if store.readOnlyReason != nil { return store.forget() }
        switch done {
        case .flush(_, let file?): try store.flushed(file)
        case .compaction(let job): try store.compacted(job)
        default: break
        }
    }
}

extension KVStore {
    /// Where jobs read and write that another thread may do; nil where the disk is not the host's.
    var jobDirectory: StoreDirectory? {
        guard waitForJob != nil, let disk = directory.disk.forWorker() else { return nil }
        return StoreDirectory(disk: disk, path: directory.path)
    }

    /// Gives out the most urgent flush or compaction, at most one of each at a time. Nil if there is none, if they are
    /// out already, or if the store's disk is not the host's; what remains is `work`'s.
    ///
    /// Whoever takes jobs sets `waitForJob` before.
    public func takeJob(now: LabTime) -> BackgroundJob? {
        self.now = now
        guard needsWorkHere, !isClosed, let place = jobDirectory else { return nil }
        do throws(KVStoreError) {
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

    /// Takes a job back that has been done.
    public func finish(_ job: BackgroundJob, now: LabTime) {
        self.now = now
        do throws(KVStoreError) { try job.finish(self) } catch { workFailed(error) }
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
