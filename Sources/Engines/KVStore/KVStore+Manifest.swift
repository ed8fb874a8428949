import KernelStorage

/// What a job has done, and the manifest does not know yet.
enum FinishedWork {
    case flush(VersionEdit.NewFile)
    case compaction(CompactionJob)
}

/// The manifest is synced by another thread, too, where jobs are done there: first the tables, then the edit that
/// makes them count, in the same order as on the loop. One write of it is under way at a time; what comes back
/// meanwhile waits and goes out with the next.
extension KVStore {
    /// Writes into the manifest what jobs have done, and gives out its sync. Until that is back the old version counts.
    func takeManifest(in place: StoreDirectory) throws(KVStoreError) -> BackgroundJob? {
        guard !isManifestOut, !pendingEdits.isEmpty else { return nil }
        let work = pendingEdits
        pendingEdits = []
        do throws(KVStoreError) {
            guard let file = try versions.write(work.map(edit), place.disk) else {
                // One that is begun anew is made at once.
                try apply(work)
                return nil
            }
            isManifestOut = true
            return BackgroundJob(manifest: file, of: work, in: place)
        } catch {
            takenBack(work)
            throw error
        }
    }

    /// Writes what jobs have done into the manifest, and syncs it here.
    func applyPendingEdits() throws(KVStoreError) {
        let work = pendingEdits
        pendingEdits = []
        do throws(KVStoreError) { try apply(work) } catch {
            takenBack(work)
            throw error
        }
    }

    private func apply(_ work: [FinishedWork]) throws(KVStoreError) {
        for item in work {
            try versions.apply(edit(item))
            tookEffect(item)
        }
    }

    private func edit(_ work: FinishedWork) -> VersionEdit {
        switch work {
        case .flush(let file): flushEdit(file)
        case .compaction(let job): job.edit
        }
    }

    /// The manifest's sync is back.
    func installed(_ work: [FinishedWork], _ failure: KVStoreError?) throws(KVStoreError) {
        do throws(KVStoreError) {
            try versions.written(work.map(edit), isDurable: failure == nil)
        } catch {
            takenBack(work)
            throw error
        }
        if failure != nil { return takenBack(work) }
        for item in work { tookEffect(item) }
    }

    private func tookEffect(_ work: FinishedWork) {
        switch work {
        case .flush(let file):
            isFlushOut = false
            flushed(file)
        case .compaction(let job):
            isCompactionOut = false
            compacted(job)
        }
    }

    /// What was out is so no more, and has come to nothing.
    private func takenBack(_ work: [FinishedWork]) {
        for item in work {
            switch item {
            case .flush: isFlushOut = false
            case .compaction: isCompactionOut = false
            }
        }
    }

    /// Nothing is out afterwards but syncs of logs.
    func settleJobs() {
        while isFlushOut || isCompactionOut, let waitForJob {
            if isManifestOut || pendingEdits.isEmpty {
                waitForJob()
            } else if readOnlyReason != nil {
                takenBack(pendingEdits)
                pendingEdits = []
            } else {
                do throws(KVStoreError) { try applyPendingEdits() } catch { workFailed(error) }
            }
        }
    }

    /// Nothing is written to the manifest here while a sync of it is out.
    func waitForManifest() { while isManifestOut, let waitForJob { waitForJob() } }
}
