import KernelStorage
import KernelStructures

/// What `repair` found.
public struct RepairReport: Equatable, Sendable {
    /// Tables that are part of the store again, those made of logs included, and the entries in them.
    public var tables = 0
    public var keys = 0
    /// Writes found in logs.
    public var logRecords = 0
    /// What could not be read, for people.
    public var losses: [String] = []
}

extension KVStore {
    /// Makes a store of whatever can still be read in a directory: every entry of every table whose block is sound, and
    /// every sound record of every log.
    ///
    /// No manifest is needed: the entries' sequence numbers say which version of a key counts, and all tables are
    /// merged into one level by them. The price: what had been deleted may come back if its tombstone was lost, and of
    /// damaged logs writes are kept that come after others which are lost. Damaged files are kept under `lost/`.
    public static func repair(disk: NodeDisk, directory: String, options: KVStoreOptions = KVStoreOptions())
        throws(KVStoreError) -> RepairReport
    {
        if let complaint = options.complaint { throw .invalid(complaint) }
        var repair = Repair(directory: StoreDirectory(disk: disk, path: DiskPath.normalized(directory)), options)
        return try repair.run()
    }
}

private struct Repair {
    private let directory: StoreDirectory
    private let options: KVStoreOptions
    private var report = RepairReport()
    private let versions: VersionSet

    init(directory: StoreDirectory, _ options: KVStoreOptions) {
        self.directory = directory
        self.options = options
        versions = VersionSet(directory: directory)
    }

    mutating func run() throws(KVStoreError) -> RepairReport {
        let lock: DiskLock
        do throws(DiskError) { lock = try directory.disk.lock(directory.path(.lock)) } catch {
            if case .busy = error { throw .locked(directory.path) }
            if case .notFound = error { throw .missing(directory.path) }
            throw .disk(error)
        }
        defer { lock.release() }
        let files: [(name: String, file: StoreFile)]
        do throws(DiskError) { files = try directory.files() } catch { throw .disk(error) }
        note(files)
        var edit = VersionEdit()
        for (name, file) in files {
            switch file {
            case .table(let number): try take(table: number, name, &edit)
            case .log(let number): try take(log: number, name, &edit)
            default: break
            }
        }
        try finish(&edit, files)
        report.tables = versions.current.tableCount
        report.keys = versions.current.levels.joined().reduce(0) { $0 + $1.entryCount }
        return report
    }

    private func note(_ files: [(name: String, file: StoreFile)]) {
        for (_, file) in files {
            switch file {
            case .table(let number), .log(let number), .manifest(let number), .temporary(let number):
                versions.note(fileNumber: number)
            case .current, .lock, .information: break
            }
        }
    }

    /// Writes the manifest, and removes what it replaces.
    private func finish(_ edit: inout VersionEdit, _ files: [(name: String, file: StoreFile)]) throws(KVStoreError) {
        edit.logNumber = versions.takeFileNumber()
        do throws(DiskError) { try directory.sync() } catch { throw .disk(error) }
        try versions.apply(edit)
        try mergeAll()
        versions.close()
        for (name, file) in files {
            switch file {
            case .manifest, .log, .temporary: _ = try? directory.disk.remove(directory.path + "/" + name)
            case .table, .current, .lock, .information: break
            }
        }
    }

    /// Which of two tables is the newer one nobody knows any more, so no level can hold them as they are.
    private func mergeAll() throws(KVStoreError) {
        let files = versions.current.levels[0]
        if files.count < 2 { return }
        let versions = versions
        let plan = CompactionPlan(level: 0, inputs: files, nextInputs: [], isManual: true)
        let job = try CompactionJob(
            plan, version: versions.current, oldestSnapshot: versions.lastSequence, directory: directory,
            options: options, startedAt: LabTime(nanoseconds: 0), takeNumber: { versions.takeFileNumber() })
        _ = try job.step(.max)
        do throws(DiskError) { try directory.sync() } catch { throw .disk(error) }
        var edit = plan.edit
        edit.newFiles = job.finished
        try versions.apply(edit)
        for file in files {
            if let path = try? directory.tablePath(file.number) { _ = try? directory.disk.remove(path) }
        }
    }

    /// Notes a loss, and keeps the damaged file where nobody reads it.
    private mutating func lose(_ name: String, _ reason: String) throws(KVStoreError) {
        report.losses.append(reason)
        do throws(DiskError) {
            try directory.disk.makeDirectory(directory.path + "/lost")
            try directory.disk.rename(directory.path + "/" + name, to: directory.path + "/lost/" + name)
        } catch {
            throw .disk(error)
        }
    }

    // MARK: Tables

    private mutating func take(table number: UInt64, _ name: String, _ edit: inout VersionEdit) throws(KVStoreError) {
        let path = directory.path + "/" + name
        let size: Int
        do throws(DiskError) { size = try directory.disk.attributes(path).size } catch { throw .disk(error) }
        let file = FileMetadata(number: number, byteCount: size, smallest: [], largest: [])
        let tables = TableCache(directory: directory, options: options, counters: Counters())
        do throws(KVStoreError) {
            let scan = TableScan(try tables.table(file))
            let found = try scan.run(versions)
            guard let (smallest, largest) = found.range, found.losses.isEmpty else {
                if found.losses.isEmpty { return }
                return try rescue(scan, found, name, &edit)
            }
            edit.newFiles.append(
                .init(
                    level: 0, number: number, byteCount: size, smallest: smallest, largest: largest,
                    entryCount: found.entries))
        } catch {
            guard case .corruption(let corruption) = error else { throw error }
            try lose(name, "\(name) is lost: \(corruption.detail)")
        }
    }

    /// Copies the sound blocks of a damaged table into a new one.
    private mutating func rescue(
        _ scan: TableScan, _ found: TableScan.Result, _ name: String, _ edit: inout VersionEdit
    ) throws(KVStoreError) {
        if found.entries > 0 {
            let output = try TableOutput(versions.takeFileNumber(), in: directory, options)
            _ = try scan.run(versions) { key, value throws(KVStoreError) in try output.add(key, value) }
            edit.newFiles.append(try output.finish(level: 0))
        }
        try lose(name, "\(name): " + found.losses.joined(separator: "; "))
    }

    // MARK: Logs

    /// Makes a table of what a log holds, record by record, whatever is wrong between them.
    private mutating func take(log number: UInt64, _ name: String, _ edit: inout VersionEdit) throws(KVStoreError) {
        let memtable = Memtable(logNumber: number, random: .init(seed: options.seed))
        var losses: [String] = []
        do throws(DiskError) {
            let file = try directory.disk.open(directory.path + "/" + name, [])
            defer { file.close() }
            let reader = LogReader(file: file)
            reading: while true {
                switch try reader.next() {
                case .end: break reading
                case .damage(let damage): losses.append("at byte \(damage.offset): \(damage.reason)")
                case .record(let bytes, let offset):
                    if !add(bytes, to: memtable) { losses.append("at byte \(offset): a record that is no batch") }
                }
            }
        } catch {
            throw .disk(error)
        }
        if !memtable.isEmpty {
            let job = try FlushJob(
                memtable, number: versions.takeFileNumber(), oldestSnapshot: 0, in: directory, options)
            if let file = try job.step(.max) { edit.newFiles.append(file) }
        }
        if !losses.isEmpty { try lose(name, "\(name): " + losses.joined(separator: "; ")) }
    }

    private mutating func add(_ bytes: Bytes, to memtable: Memtable) -> Bool {
        guard var batch = BatchReader(bytes), batch.isSound(),
            batch.sequence < InternalKey.sequenceLimit - UInt64(UInt32.max)
        else { return false }
        var sequence = batch.sequence
        while let entry = try? batch.next() {
            // A damaged directory may hold one log twice under two names, or one record twice.
            if memtable.find(entry.key, sequence) == nil || !memtable.holds(entry.key, sequence) {
                memtable.add(sequence, entry.kind, entry.key, entry.value)
                report.logRecords += 1
            }
            versions.lastSequence = max(versions.lastSequence, sequence)
            sequence += 1
        }
        return true
    }
}

/// Goes through all blocks of a table, past those that are damaged.
private struct TableScan {
    private let table: Table
    private let counters = Counters()

    struct Result {
        var entries = 0
        var range: (smallest: [UInt8], largest: [UInt8])?
        var losses: [String] = []
    }

    init(_ table: Table) { self.table = table }

    func run(_ versions: VersionSet, _ body: ((Bytes, Bytes) throws(KVStoreError) -> Void)? = nil)
        throws(KVStoreError) -> Result
    {
        var result = Result()
        var last: [UInt8] = []
        for index in 0..<table.count {
            do throws(KVStoreError) {
                let block = try table.block(index, counters)
                defer { withExtendedLifetime(block) {} }
                var cursor = BlockCursor()
                guard cursor.open(block.bytes) else { throw table.damaged(index) }
                cursor.seekToFirst()
                while cursor.isValid {
                    let isInOrder =
                        last.isEmpty || last.withUnsafeBytes { InternalKey.compare(Bytes($0), cursor.key) < 0 }
                    if isInOrder, cursor.key.kind != nil {
                        last = cursor.key.array
                        if result.range == nil { result.range = (last, last) }
                        result.range!.largest = last
                        result.entries += 1
                        versions.lastSequence = max(versions.lastSequence, cursor.key.sequence)
                        if let body { try body(cursor.key, cursor.value) }
                    }
                    cursor.next()
                }
                if cursor.isDamaged { throw table.damaged(index) }
            } catch {
                guard case .corruption(let corruption) = error else { throw error }
                result.losses.append("at byte \(corruption.offset ?? 0): \(corruption.detail)")
            }
        }
        return result
    }
}
