import KernelLog
import KernelStorage
import KernelStructures

/// What a member must not forget, on its node's disk: its log, its term and vote, and a snapshot.
///
/// Two files, `log` and `snapshot`. Each is replaced as a whole by writing `….new`, syncing it, renaming it over the
/// old one and syncing the directory; between that, batches are appended to the log, and everything that has come up to
/// then shares one sync. When a member starts, it writes its log anew: what it can read may be in the system's memory
/// only, left there by a sync that failed.
///
/// ## What is there after a power failure
///
/// A snapshot is on the disk before the log forgets what it covers, and the log before the first snapshot. So the log's
/// beginning is never behind the snapshot, and one file without the other is no accident of a power failure: something
/// else has taken it. A member whose files do not fit together has a hole in its state, or has forgotten whom it voted
/// for; it does not start (`RaftDiskError.damaged`).
///
/// ## Where it is wrong
///
/// A member both of whose files are gone looks like one that was never there, to itself. So each disk has an identity,
/// drawn when it is used first, by which the others know it from a new one under the same number.
///
/// After any error it is of no use any more: what a failed sync covered may be there or not, and nobody can tell.
public final class RaftDisk {
    private let disk: NodeDisk
    private let directory: String
    private let lock: DiskLock
    private var file: (any DiskFile)?
    private var content = RaftLogFile.Content()
    private var sizeBytes = 0
    private var syncedBytes = 0
    private var batchNumber = 0
    public private(set) var snapshotIndex = 0
    public private(set) var syncCount = 0

    /// What was there.
    public struct Recovered: Equatable, Sendable {
        /// nil on a disk that has never been used.
        public var snapshot: RaftSnapshot?
        public var base: LogPosition
        public var entries: [RaftEntry]
        public var hardState: HardState
        /// How often it was opened, this time included.
        public var lives: Int
        /// The disk's own, positive; 0 where none was given.
        public var identity: Int
        /// Bytes at the end of the log that nobody had been told of.
        public var tornBytes: Int
    }

    private init(disk: NodeDisk, directory: String, lock: DiskLock) {
        self.disk = disk
        self.directory = directory
        self.lock = lock
    }

    private var logPath: String { directory + "/log" }
    private var snapshotPath: String { directory + "/snapshot" }
    private static let snapshotMagic = Array("SDLABRS1".utf8)
    /// Bytes of either file.
    private static let sizeLimitBytes = 2 << 30

    private static func tried<R>(_ body: () throws(DiskError) -> R) throws(RaftDiskError) -> R {
        do throws(DiskError) { return try body() } catch { throw .disk(error) }
    }

    // MARK: Opening

    /// - Parameters:
    ///   - first: what a disk that has never been used begins with; nil for a member that is to be told.
    ///   - identity: of a disk that has none yet; positive, and drawn by chance.
    /// - Throws: `RaftDiskError`.
    public static func open(
        _ disk: NodeDisk, directory: String, first: RaftSnapshot?, identity: Int = 0
    ) throws(RaftDiskError) -> (disk: RaftDisk, recovered: Recovered) {
        let lock = try tried { () throws(DiskError) in
            try disk.makeDurableDirectory(directory)
            return try disk.lock(directory + "/lock")
        }
        let own = RaftDisk(disk: disk, directory: directory, lock: lock)
        do throws(RaftDiskError) {
            return (own, try own.recover(first: first, identity: identity))
        } catch {
            own.close()
            throw error
        }
    }

    private func recover(first: RaftSnapshot?, identity: Int) throws(RaftDiskError) -> Recovered {
        var snapshot = try readSnapshot()
        var torn = 0
        if let bytes = try contents(logPath) {
            (content, torn) = try RaftLogFile.read(bytes, path: logPath)
        } else {
            if snapshot != nil { throw missing(logPath, "there is a snapshot, and its vote stood in the log") }
            try rewriteLog()
        }
        if snapshot == nil {
            guard content.base == .start else { throw missing(snapshotPath, "the log begins behind it") }
            snapshot = first
            if let first { try storeSnapshot(first) }
        } else {
            // Its name may be in the system's memory only; nothing may be made durable that counts on it, before.
            try Self.tried { () throws(DiskError) in try disk.syncDirectory(directory) }
        }
        if let snapshot { try takeOver(snapshot) }
        guard content.hardState.commit <= content.lastIndex else {
            throw .damaged(
                path: logPath, offsetBytes: 0,
                "it ends at \(content.lastIndex), and entry \(content.hardState.commit) was agreed on")
        }
        content.lives += 1
        if content.identity == 0 { content.identity = min(max(0, identity), ByteReader.largestNumber) }
        try rewriteLog()
        return Recovered(
            snapshot: snapshot, base: content.base, entries: content.entries, hardState: content.hardState,
            lives: content.lives, identity: content.identity, tornBytes: torn)
    }

    private func missing(_ path: String, _ witness: String) -> RaftDiskError {
        .damaged(path: path, offsetBytes: 0, "it is missing, and \(witness)")
    }

    /// A log that does not have the snapshot's place, or another entry there that nobody has agreed on, is older than
    /// it.
    private func takeOver(_ snapshot: RaftSnapshot) throws(RaftDiskError) {
        snapshotIndex = snapshot.index
        let place = snapshot.index - content.base.index
        guard place >= 0 else {
            throw .damaged(
                path: snapshotPath, offsetBytes: 0,
                "it ends at \(snapshot.index), and the log begins behind \(content.base.index)")
        }
        let term =
            place == 0
            ? content.base.term : content.entries.indices.contains(place - 1) ? content.entries[place - 1].term : nil
        if term != snapshot.term {
            guard snapshot.index > max(content.hardState.commit, content.base.index) else {
                throw .damaged(
                    path: snapshotPath, offsetBytes: 0,
                    "the log has another entry at \(snapshot.index), where it ends, and that was agreed on")
            }
            content.base = snapshot.position
            content.entries = []
        }
        content.hardState.commit = max(content.hardState.commit, snapshot.index)
        // It was about to hear of that term when it died.
        if content.hardState.term < snapshot.term {
            content.hardState = .init(term: snapshot.term, commit: snapshot.index)
        }
    }

    private func contents(_ path: String) throws(RaftDiskError) -> [UInt8]? {
        do throws(DiskError) {
            return try disk.contents(of: path, limit: Self.sizeLimitBytes)
        } catch .notFound {
            return nil
        } catch {
            throw .disk(error)
        }
    }

    private func readSnapshot() throws(RaftDiskError) -> RaftSnapshot? {
        guard let bytes = try contents(snapshotPath) else { return nil }
        var reader = ByteReader(bytes)
        guard reader.take(Self.snapshotMagic.count) == Self.snapshotMagic, let sum = reader.word(),
            CRC32C.of(reader.rest) == sum, let snapshot = RaftSnapshot(encoded: reader.rest)
        else { throw .damaged(path: snapshotPath, offsetBytes: 0, "its checksum does not fit") }
        return snapshot
    }

    // MARK: Writing

    /// Writes everything that was handed out, in order, and syncs once if anything of it has to be.
    ///
    /// - Throws: `RaftDiskError`; nothing may be done with it any more but to close it.
    public func write(_ appends: [Ready.Append]) throws(RaftDiskError) {
        var newest: RaftSnapshot?
        var records: [UInt8] = []
        for append in appends {
            if let snapshot = append.snapshot {
                newest = snapshot
                content.base = snapshot.position
                content.entries = []
            }
            guard content.put(append.entries) else {
                throw .damaged(path: logPath, offsetBytes: sizeBytes, "an entry would leave a gap")
            }
            if let hardState = append.hardState { content.hardState = hardState }
            records += RaftLogFile.records(append.hardState, append.entries)
        }
        if let newest {
            try storeSnapshot(newest)
            try rewriteLog()
        } else if !records.isEmpty {
            try add(records, sync: appends.contains(where: \.mustSync))
        }
    }

    private func add(_ records: [UInt8], sync: Bool) throws(RaftDiskError) {
        guard let file else { throw .disk(.closed(logPath)) }
        let bytes = LogBatch.encoded(records, number: batchNumber, syncedBytes: syncedBytes)
        try Self.tried { () throws(DiskError) in
            try file.write(bytes, at: sizeBytes)
            if sync { try file.sync() }
        }
        batchNumber += 1
        sizeBytes += bytes.count
        guard sync else { return }
        syncCount += 1
        syncedBytes = sizeBytes
    }

    /// Replaces the log up to a snapshot that this member has made; entries behind `keepFrom` stay, for members that
    /// are a little behind.
    ///
    /// - Throws: `RaftDiskError`; nothing may be done with it any more but to close it.
    public func compact(_ snapshot: RaftSnapshot, keepFrom base: LogPosition) throws(RaftDiskError) {
        try storeSnapshot(snapshot)
        let dropped = base.index - content.base.index
        if dropped > 0, dropped <= content.entries.count {
            content.base = content.entries[dropped - 1].position
            content.entries.removeFirst(dropped)
        }
        try rewriteLog()
    }

    private func storeSnapshot(_ snapshot: RaftSnapshot) throws(RaftDiskError) {
        var writer = ByteWriter()
        let bytes = snapshot.encoded
        writer.put(raw: Self.snapshotMagic)
        writer.put(word: CRC32C.of(bytes))
        writer.put(raw: bytes)
        try replace(snapshotPath, writer.bytes).close()
        snapshotIndex = snapshot.index
    }

    private func rewriteLog() throws(RaftDiskError) {
        let records = RaftLogFile.records(base: content)
        let bytes = RaftLogFile.magic + LogBatch.encoded(records, number: 0, syncedBytes: 0)
        file?.close()
        file = try replace(logPath, bytes)
        sizeBytes = bytes.count
        syncedBytes = sizeBytes
        batchNumber = 1
    }

    private func replace(_ path: String, _ bytes: [UInt8]) throws(RaftDiskError) -> any DiskFile {
        try Self.tried { () throws(DiskError) in
            let file = try disk.replace(path, bytes)
            syncCount += 1
            return file
        }
    }

    public func close() {
        file?.close()
        file = nil
        lock.release()
    }
}
