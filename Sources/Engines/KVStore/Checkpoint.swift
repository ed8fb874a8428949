import KernelStorage

/// A copy of the store as it is at one moment, in a directory of its own that opens as a store.
///
/// ## The problem
///
/// A copy of files that are being written is of no moment at all. To stop everybody while gigabytes are copied is no
/// answer either.
///
/// ## An everyday picture
///
/// A register of deeds. The bound volumes are never changed, so a second list of their numbers is as good as a second
/// set of volumes, as long as nobody pulps one that either list names. Only the last pages of the day book, which is
/// still being written, are copied by hand, up to a line drawn under the present entry.
///
/// ## How
///
/// Tables never change: each gets a second name (a hard link; where the disk has none, a copy). Logs are only written
/// at their end: what is committed of them is copied, at most as much as memtables hold. A manifest of its own says
/// which tables there are and which log comes first. All of it is made under another name, and takes its own in one
/// step once it is on the device: whoever finds the checkpoint finds all of it.
///
/// It is made in pieces (`step`), on the loop or on another thread; `finish` belongs to the loop.
public final class Checkpoint: @unchecked Sendable {
    // One owner at a time, as with `BackgroundJob`.
    private enum Piece {
        case clear
        case table(UInt64)
        case log(any DiskFile, number: UInt64, byteCount: Int)
        case manifest
        case name
    }

    private let source: StoreDirectory
    private let target: StoreDirectory
    private let finalPath: String
    private var pieces: [Piece]
    private let manifestNumber: UInt64
    private let manifest: VersionEdit
    /// Keeps the tables from being deleted.
    private var version: Version?
    private var copy: FileCopy?
    public let tableCount: Int
    /// Bytes that were copied; tables with a second name have none.
    public private(set) var copiedByteCount = 0
    public private(set) var failure: KVStoreError?

    fileprivate init(_ store: KVStore, _ path: String, in source: StoreDirectory) throws(KVStoreError) {
        self.source = source
        finalPath = path
        target = StoreDirectory(disk: source.disk, path: path + ".tmp")
        let version = store.versions.current
        self.version = version
        let tables = version.levels.joined().map(\.number)
        tableCount = tables.count
        manifestNumber = store.versions.takeFileNumber()
        manifest = store.versions.whole()
        pieces = [.clear] + tables.map { .table($0) }
        do throws(DiskError) {
            for log in [store.oldLog, store.log].compactMap({ $0 }) {
                // Opened now: it may be removed before it is its turn.
                let file = try source.disk.open(log.path, [])
                pieces.append(.log(file, number: log.number, byteCount: log.flushedByteCount))
            }
        } catch {
            throw .disk(error)
        }
        pieces += [.manifest, .name]
        pieces.reverse()
    }

    /// Does all of it.
    public func run() { while !step(.max) {} }

    /// Goes on, for about so many bytes of copies. True once it is complete, or has failed.
    public func step(_ budgetByteCount: Int) -> Bool {
        do throws(DiskError) {
            if let copy {
                copiedByteCount += try copy.step(budgetByteCount)
                if copy.isDone { self.copy = nil }
            } else if let piece = pieces.popLast() {
                try begin(piece)
            }
        } catch {
            failure = .disk(error)
            copy = nil
            pieces = []
        }
        return copy == nil && pieces.isEmpty
    }

    /// On the loop, after the last step: lets go of the tables.
    public func finish() { version = nil }

    private func begin(_ piece: Piece) throws(DiskError) {
        switch piece {
        case .clear:
            try source.disk.removeTree(target.path)
            try source.disk.makeDirectory(target.path)
        case .table(let number):
            let path = try source.tablePath(number)
            do throws(DiskError) {
                try source.disk.link(path, to: target.path(.table(number)))
            } catch {
                guard case .notPermitted = error else { throw error }
                let file = try source.disk.open(path, [])
                copy = try FileCopy(of: file, byteCount: file.size, to: target.path(.table(number)), on: source.disk)
            }
        case .log(let file, let number, let byteCount):
            copy = try FileCopy(of: file, byteCount: byteCount, to: target.path(.log(number)), on: source.disk)
        case .manifest:
            let path = target.path(.manifest(manifestNumber))
            let writer = LogWriter(
                file: try source.disk.open(path, [.write, .create, .truncate]), path: path, number: manifestNumber)
            defer { writer.close() }
            writer.append(manifest.encoded())
            try writer.flush()
            try writer.sync()
            try target.setCurrent(manifestNumber)
        case .name:
            try takeName()
        }
    }

    /// The one before makes room, and goes once the new one has its name.
    private func takeName() throws(DiskError) {
        let old = finalPath + ".old"
        try source.disk.removeTree(old)
        if (try? source.disk.attributes(finalPath)) != nil { try source.disk.rename(finalPath, to: old) }
        try source.disk.rename(target.path, to: finalPath)
        try source.disk.syncDirectory(DiskPath.parent(of: finalPath))
        try source.disk.removeTree(old)
    }
}

/// Copies the beginning of a file, a piece at a time, and syncs the copy.
private final class FileCopy {
    private let source: any DiskFile
    private let target: any DiskFile
    private let byteCount: Int
    private var doneByteCount = 0
    private(set) var isDone = false
    private static let pieceByteCount = 256 << 10

    init(of source: any DiskFile, byteCount: Int, to path: String, on disk: NodeDisk) throws(DiskError) {
        self.source = source
        self.byteCount = byteCount
        target = try disk.open(path, [.write, .create, .truncate])
    }

    /// Bytes copied.
    func step(_ budgetByteCount: Int) throws(DiskError) -> Int {
        let start = doneByteCount
        while doneByteCount < byteCount, doneByteCount - start < budgetByteCount {
            let bytes = try source.read(at: doneByteCount, count: min(Self.pieceByteCount, byteCount - doneByteCount))
            if bytes.isEmpty { break }
            try target.write(bytes, at: doneByteCount)
            doneByteCount += bytes.count
        }
        guard doneByteCount == byteCount || doneByteCount - start < budgetByteCount else {
            return doneByteCount - start
        }
        try target.sync()
        target.close()
        source.close()
        isDone = true
        return doneByteCount - start
    }
}

extension NodeDisk {
    /// Removes a directory with the files in it; does nothing where there is none.
    fileprivate func removeTree(_ path: String) throws(DiskError) {
        guard (try? attributes(path)) != nil else { return }
        for name in try list(path) { try remove(path + "/" + name) }
        try remove(path)
    }
}

extension KVStore {
    /// Begins a checkpoint of all that was written until now, in a directory that takes the place of one of that name.
    ///
    /// - Throws: `.readOnly`; `.disk` if what was written cannot be committed.
    public func makeCheckpoint(at path: String) throws(KVStoreError) -> Checkpoint {
        if let readOnlyReason { throw .readOnly(readOnlyReason) }
        try commit(sync: false)
        return try Checkpoint(self, DiskPath.normalized(path), in: jobDirectory ?? directory)
    }
}
