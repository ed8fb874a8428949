import KernelStorage
import KernelStructures

extension KVStore {
    /// Opens the store in `directory`, replays its logs, and makes it if it is missing. `takeEvents` tells what was
    /// found.
    ///
    /// - Throws: `.locked` if it is open elsewhere, `.missing`, `.corruption` if what is there cannot be trusted,
    /// `.disk`.
    public static func open(
        disk: NodeDisk, directory: String, options: KVStoreOptions = KVStoreOptions(), now: LabTime
    ) throws(KVStoreError) -> KVStore {
        if let complaint = options.complaint { throw .invalid(complaint) }
        let place = StoreDirectory(disk: disk, path: DiskPath.normalized(directory))
        let store = KVStore(directory: place, options: options, now: now)
        try store.open()
        return store
    }

    private func open() throws(KVStoreError) {
        try takeDirectory()
        let state = try ManifestState.read(directory)
        let files: [StoreFile]
        do throws(DiskError) { files = try directory.files().map(\.file) } catch {
            if case .notFound = error { throw .missing(directory.path) }
            throw .disk(error)
        }
        noteNumbers(of: files)
        if let state {
            try versions.restore(state)
        } else {
            try checkThatNothingIsThere(files)
            // From here on there is a store, if an empty one. A log before that would be one that lost its CURRENT.
            var edit = VersionEdit()
            edit.logNumber = 0
            try versions.apply(edit)
        }
        let deletions = try checkTables()
        if options.isReadOnly { readOnlyReason = .asked }
        report(.walOpened(path: directory.path + "/wal.log"))
        report(
            .loaded(tables: versions.current.tableCount, entries: approximateKeyCount, deletions: deletions))
        let logs = files.compactMap { file -> UInt64? in
            if case .log(let number) = file, number >= versions.logNumber { number } else { nil }
        }
        try replay(logs.sorted())
        try finishOpening()
        report(.memtable(entries: memtable.count, limitByteCount: options.writeBufferByteCount))
    }

    private func takeDirectory() throws(KVStoreError) {
        do throws(DiskError) {
            if options.isReadOnly { return }
            if options.createIfMissing { try makeDirectory() }
            lock = try directory.disk.lock(directory.path(.lock))
        } catch {
            switch error {
            case .busy: throw .locked(directory.path)
            case .notFound: throw .missing(directory.path)
            // Reading may go on where nothing can be written.
            case .noSpace where (try? directory.disk.attributes(directory.path(.current))) != nil: return
            default: throw .disk(error)
            }
        }
    }

    /// The directory's own name must last as well.
    private func makeDirectory() throws(DiskError) {
        if (try? directory.disk.attributes(directory.path)) != nil { return }
        try directory.disk.makeDirectory(directory.path)
        var parent = DiskPath.parent(of: directory.path)
        while true {
            try directory.disk.syncDirectory(parent)
            if parent == "/" { return }
            parent = DiskPath.parent(of: parent)
        }
    }

    /// A number that any file has is never given to another.
    private func noteNumbers(of files: [StoreFile]) {
        for file in files {
            switch file {
            case .manifest(let number), .log(let number), .table(let number), .temporary(let number):
                versions.note(fileNumber: number)
            case .current, .lock, .information: break
            }
        }
    }

    /// A store without CURRENT is none, and may be made. But tables without CURRENT are a store that lost it.
    private func checkThatNothingIsThere(_ files: [StoreFile]) throws(KVStoreError) {
        for file in files {
            switch file {
            case .table, .log:
                throw .corruption(
                    Corruption(
                        file: directory.path(.current), offset: nil, detail: "missing, while \(file.name) is there"))
            case .current, .lock, .information, .manifest, .temporary: break
            }
        }
        if options.isReadOnly || !options.createIfMissing { throw .missing(directory.path) }
    }

    /// Every table of the manifest must be there and open. They also tell how many entries they hold.
    ///
    /// - Returns: how many of the entries delete a key.
    private func checkTables() throws(KVStoreError) -> Int {
        var deletions = 0
        for file in versions.current.levels.joined() {
            do throws(KVStoreError) {
                let table = try tables.table(file)
                file.entryCount = try table.entryCount(counters)
                deletions += max(0, min(table.properties.deletions, file.entryCount))
            } catch {
                guard case .disk(.notFound(let path)) = error else { throw error }
                throw .corruption(
                    Corruption(file: path, offset: nil, detail: "the manifest lists it, and it is missing"))
            }
        }
        counters.value = KVStoreStatistics()
        return deletions
    }

    // MARK: Replay

    /// Brings back what the logs hold. What is too much for one memtable goes into tables on the way.
    private func replay(_ logs: [UInt64]) throws(KVStoreError) {
        var replay = LogReplay(directory, lastSequence: versions.lastSequence)
        for number in logs {
            try replay.read(number) { sequence, entry throws(KVStoreError) in
                memtable.add(sequence, entry.kind, entry.key, entry.value)
                if memtable.byteCount > options.writeBufferByteCount, !options.isReadOnly, !isOpeningUnfinished {
                    try writeOverflow(sequence)
                }
            }
        }
        versions.lastSequence = max(versions.lastSequence, replay.lastSequence)
        committedSequence = versions.lastSequence
        if replay.operations > 0 { report(.replaying(operations: replay.operations)) }
        if let stop = replay.stop {
            report(
                .logTailDropped(
                    file: stop.file, offset: stop.offset, byteCount: stop.droppedByteCount, reason: stop.reason))
        }
        isRecovered = replay.operations > 0 || replay.stop != nil
    }

    private func writeOverflow(_ sequence: UInt64) throws(KVStoreError) {
        versions.lastSequence = max(versions.lastSequence, sequence)
        do throws(KVStoreError) { try writeRecovered() } catch {
            guard case .disk(.noSpace) = error else { throw error }
            isOpeningUnfinished = true
        }
    }

    /// Writes the memtable to a table and empties it; where the disk is full it stays in memory. The table counts at
    /// once for readers, and for the next life with the manifest that `finishOpening` writes.
    private func writeRecovered() throws(KVStoreError) {
        if memtable.isEmpty { return }
        let number = versions.takeFileNumber()
        do throws(KVStoreError) {
            let job = try FlushJob(
                memtable, number: number, oldestSnapshot: versions.lastSequence, in: directory, options)
            guard let file = try job.step(.max) else { return }
            counters.value.flushes += 1
            counters.value.flushByteCount += file.byteCount
            var edit = VersionEdit()
            edit.newFiles = [file]
            try versions.applyLater(edit)
            recoveredTables.append(file)
            flushedSequence = max(flushedSequence, memtable.lastSequence)
            memtable = newMemtable(0)
        } catch {
            _ = try? directory.disk.remove(directory.path(.table(number)))
            throw error
        }
    }

    /// Writes what was recovered to a table, begins a log, and makes a manifest of it all. On a full disk the store can
    /// be read, and this is done later.
    func finishOpening() throws(KVStoreError) {
        if options.isReadOnly { return reportRecovery() }
        do throws(KVStoreError) {
            try writeRecovered()
            let number = versions.takeFileNumber()
            let writer = try makeLog(number)
            do throws(DiskError) {
                try writer.flush()
                try directory.sync()
            } catch {
                throw .disk(error)
            }
            var edit = VersionEdit()
            edit.logNumber = number
            try versions.apply(edit)
            log = writer
            isLogNameSynced = true
            memtable = newMemtable(number)
            readOnlyReason = nil
            isOpeningUnfinished = false
        } catch {
            guard case .disk(.noSpace(let path)) = error, versions.manifestNumber > 0 else { throw error }
            isOpeningUnfinished = true
            return stopWriting(.diskFull(.noSpace(path)))
        }
        removeLeftovers()
        reportRecovery()
    }

    private func reportRecovery() {
        for file in recoveredTables { reportCreated(file) }
        recoveredTables = []
        if isRecovered { report(.recoveryComplete) }
        isRecovered = false
    }

    func reportCreated(_ file: VersionEdit.NewFile) {
        let bits = options.bloomBitsPerKey
        report(
            .tableCreated(
                label: tableLabel(level: file.level, number: file.number), keys: file.entryCount,
                byteCount: file.byteCount,
                falsePositiveRate: bits > 0 ? BloomFilter.falsePositiveRate(bitsPerKey: bits) : nil))
    }

    /// Deletes files of earlier lives that nothing leads to: half-written tables, logs that were flushed, manifests.
    private func removeLeftovers() {
        let live = Set(versions.current.levels.joined().map(\.number))
        guard let files = try? directory.files() else { return }
        for (name, file) in files {
            let isWanted =
                switch file {
                case .current, .lock, .information: true
                case .manifest(let number): number == versions.manifestNumber
                case .log(let number): number >= versions.logNumber
                case .table(let number): live.contains(number)
                case .temporary: false
                }
            // What cannot be removed is tried again when the store is next opened.
            if !isWanted { _ = try? directory.disk.remove(directory.path + "/" + name) }
        }
        versions.forgetOldManifests()
    }

    // MARK: Closing

    /// Brings everything onto the device and gives the directory free. A store that is dropped without it is as after
    /// `kill -9`.
    public func close() throws(KVStoreError) {
        if isClosed { return }
        settleJobs()
        defer {
            isClosed = true
            flushJob?.abandon()
            compactionJob?.abandon()
            if let path = flushJob?.path { _ = try? directory.disk.remove(path) }
            for path in compactionJob?.paths ?? [] { _ = try? directory.disk.remove(path) }
            versions.close()
            log?.close()
            oldLog?.close()
            tables.closeAll()
            lock?.release()
            if readOnlyReason == nil { readOnlyReason = .asked }
        }
        guard readOnlyReason == nil else { return }
        try commit(sync: true)
        // The mark says that the end of the log is no accident.
        guard markSequence != nil else { return }
        appendMark()
        do throws(DiskError) { try log?.flush() } catch { throw .disk(error) }
    }
}

extension Table {
    /// Entries that it holds; where the table does not say, an estimate from its first block.
    func entryCount(_ counters: Counters) throws(KVStoreError) -> Int {
        if properties.entries > 0 || count == 0 { return properties.entries }
        var cursor = BlockCursor()
        let first = try block(0, counters)
        defer { withExtendedLifetime(first) {} }
        guard cursor.open(first.bytes) else { throw damaged(0) }
        cursor.seekToFirst()
        var entries = 0
        while cursor.isValid {
            entries += 1
            cursor.next()
        }
        return entries * count
    }
}
