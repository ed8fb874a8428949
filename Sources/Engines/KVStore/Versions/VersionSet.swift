import KernelStorage
import Synchronization

/// The current version, and the manifest that remembers it.
///
/// A new version counts from the moment at which its edit is on the device. Until then the old one does, and with it
/// its files: none is deleted before the edit that drops it has been synced.
///
/// One kind of edit is not worth a sync: a table that merely moves a level down. If it is forgotten, the older state
/// is as good. Such edits wait in memory and go out in one write with the next edit that matters. So at most one
/// write of the manifest is ever unsynced, a crash can only cut it short, and whatever else looks wrong in a manifest
/// is damage.
final class VersionSet {
    let directory: StoreDirectory
    let graveyard = Graveyard()
    private(set) var current: Version
    private(set) var logNumber: UInt64 = 0
    private(set) var manifestNumber: UInt64 = 0
    /// Jobs on other threads take numbers, too.
    private let fileNumbers = Atomic<UInt64>(2)
    private var nextFileNumber: UInt64 { fileNumbers.load(ordering: .relaxed) }
    var lastSequence: UInt64 = 0
    /// By level, the internal key after which the next compaction begins; empty at the beginning.
    private(set) var compactPointers = [[UInt8]](repeating: [], count: KVStoreOptions.levelCount)
    private var manifest: LogWriter?
    /// A write to the manifest is being synced elsewhere.
    private var isWriteUnsynced = false
    /// A manifest is written anew once it has this many bytes: most of it is history by then.
    private static let manifestByteLimit = 4 << 20
    /// Manifests that are not needed any more.
    private(set) var oldManifests: [UInt64] = []

    init(directory: StoreDirectory) {
        self.directory = directory
        current = Version(levels: Array(repeating: [], count: KVStoreOptions.levelCount), graveyard: graveyard)
    }

    func takeFileNumber() -> UInt64 { fileNumbers.wrappingAdd(1, ordering: .relaxed).oldValue }

    func note(fileNumber: UInt64) { reserve(before: fileNumber + 1) }

    /// Numbers below are taken.
    private func reserve(before number: UInt64) {
        if number > nextFileNumber { fileNumbers.store(number, ordering: .relaxed) }
    }
    func forgetOldManifests() { oldManifests = [] }

    // MARK: From the disk

    /// Takes over what a manifest said.
    func restore(_ state: ManifestState) throws(KVStoreError) {
        current = try version(after: state.edit, path: directory.path(.manifest(state.number)))
        logNumber = state.edit.logNumber ?? 0
        lastSequence = state.edit.lastSequence ?? 0
        reserve(before: state.edit.nextFileNumber ?? 0)
        for pointer in state.edit.compactPointers { compactPointers[pointer.level] = pointer.key }
        manifestNumber = state.number
        note(fileNumber: state.number)
        oldManifests = [state.number]
    }

    /// The current version with an edit applied. The files it adds are new objects, and are deleted if no version holds
    /// them any more: it is to be installed.
    private func version(after edit: VersionEdit, path: String) throws(KVStoreError) -> Version {
        Version(levels: try levels(after: edit, path: path), graveyard: graveyard)
    }

    private func levels(after edit: VersionEdit, path: String) throws(KVStoreError) -> [[FileMetadata]] {
        var levels = current.levels
        var moved: [UInt64: FileMetadata] = [:]
        for deleted in edit.deletedFiles {
            if let index = levels[deleted.level].firstIndex(where: { $0.number == deleted.number }) {
                moved[deleted.number] = levels[deleted.level].remove(at: index)
            }
        }
        for new in edit.newFiles {
            let file =
                moved[new.number]
                ?? FileMetadata(
                    number: new.number, byteCount: new.byteCount, smallest: new.smallest, largest: new.largest)
            if new.entryCount > 0 { file.entryCount = new.entryCount }
            levels[new.level].append(file)
        }
        for level in Set(edit.newFiles.map(\.level)).sorted() {
            if level == 0 {
                levels[0].sort { $0.number > $1.number }
            } else {
                levels[level].sort { precedes($0.smallest, $1.smallest) }
            }
        }
        for level in 1..<levels.count {
            for (a, b) in zip(levels[level], levels[level].dropFirst()) where !precedes(a.largest, b.smallest) {
                throw .corruption(
                    Corruption(
                        file: path, offset: nil,
                        detail: "tables \(a.number) and \(b.number) of level \(level) overlap"))
            }
        }
        return levels
    }

    private func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.withUnsafeBytes { a in b.withUnsafeBytes { InternalKey.compare(Bytes(a), Bytes($0)) } } < 0
    }

    // MARK: To the disk

    /// Makes an edit durable, and the version after it the current one.
    ///
    /// - Throws: the disk's error; the current version is the old one then. After a failed sync nobody knows which of
    ///   the two is on the device.
    func apply(_ edit: VersionEdit) throws(KVStoreError) {
        precondition(!isWriteUnsynced, "a write to the manifest while another is not on the device")
        let next = try version(after: edit, path: path)
        let record = record(edit)
        do throws(DiskError) {
            if manifest == nil || manifest!.flushedByteCount > Self.manifestByteLimit {
                try createManifest(with: record)
            } else {
                manifest!.append(record.encoded())
                try manifest!.flush()
                try manifest!.sync()
            }
        } catch {
            // What the file ends with now is uncertain: the next edit begins a new one.
            abandonManifest()
            throw .disk(error)
        }
        install(next, edit)
    }

    /// The record of an edit, with the numbers of now.
    private func record(_ edit: VersionEdit) -> VersionEdit {
        var record = edit
        record.nextFileNumber = nextFileNumber
        record.lastSequence = lastSequence
        record.logNumber = edit.logNumber ?? logNumber
        record.previousLogNumber = 0
        return record
    }

    /// Writes edits into the manifest, for another thread to sync. They count once `written` is told so; nothing else
    /// is written to the manifest before.
    ///
    /// - Returns: what is to be synced; nil, with nothing written, where the manifest has to be begun anew.
    func write(_ edits: [VersionEdit], _ disk: NodeDisk) throws(KVStoreError) -> (any DiskFile)? {
        guard let manifest, manifest.flushedByteCount <= Self.manifestByteLimit else { return nil }
        for edit in edits { _ = try levels(after: edit, path: path) }
        do throws(DiskError) {
            let file = try manifest.fileForWorker(disk)
            for edit in edits { manifest.append(record(edit).encoded()) }
            try manifest.flush()
            isWriteUnsynced = true
            return file
        } catch {
            abandonManifest()
            throw .disk(error)
        }
    }

    /// What `write` wrote is on the device, or may not be.
    func written(_ edits: [VersionEdit], isDurable: Bool) throws(KVStoreError) {
        isWriteUnsynced = false
        if !isDurable { return abandonManifest() }
        for edit in edits { install(try version(after: edit, path: path), edit) }
    }

    private var path: String { directory.path(.manifest(manifestNumber)) }

    /// Makes an edit count that may be forgotten. It reaches the disk with the next one that `apply` writes.
    func applyLater(_ edit: VersionEdit) throws(KVStoreError) {
        let next = try version(after: edit, path: path)
        manifest?.append(edit.encoded())
        install(next, edit)
    }

    private func install(_ next: Version, _ edit: VersionEdit) {
        current = next
        if let number = edit.logNumber { logNumber = number }
        for pointer in edit.compactPointers { compactPointers[pointer.level] = pointer.key }
    }

    private func abandonManifest() {
        manifest?.close()
        manifest = nil
        if manifestNumber > 0, !oldManifests.contains(manifestNumber) { oldManifests.append(manifestNumber) }
    }

    /// Writes a manifest with everything up to now and one edit, and makes it the one that counts.
    private func createManifest(with edit: VersionEdit) throws(DiskError) {
        let number = takeFileNumber()
        let path = directory.path(.manifest(number))
        let writer = LogWriter(
            file: try directory.disk.open(path, [.write, .create, .truncate]), path: path, number: number)
        writer.append(snapshot().encoded())
        var last = edit
        last.nextFileNumber = nextFileNumber
        writer.append(last.encoded())
        do throws(DiskError) {
            try writer.flush()
            try writer.sync()
            try directory.sync()
            try directory.setCurrent(number)
        } catch {
            writer.close()
            throw error
        }
        abandonManifest()
        manifest = writer
        manifestNumber = number
    }

    /// Everything as one edit.
    private func snapshot() -> VersionEdit {
        var edit = VersionEdit()
        edit.comparator = VersionEdit.comparatorName
        for (level, key) in compactPointers.enumerated() where !key.isEmpty {
            edit.compactPointers.append(.init(level: level, key: key))
        }
        for (level, files) in current.levels.enumerated() {
            for file in files {
                edit.newFiles.append(
                    .init(
                        level: level, number: file.number, byteCount: file.byteCount, smallest: file.smallest,
                        largest: file.largest))
            }
        }
        return edit
    }

    /// The store as it is now, for a manifest of its own.
    func whole() -> VersionEdit {
        var edit = snapshot()
        edit.nextFileNumber = nextFileNumber
        edit.lastSequence = lastSequence
        edit.logNumber = logNumber
        edit.previousLogNumber = 0
        return edit
    }

    /// Writes what `applyLater` left in memory. Losing it would do no harm.
    func close() {
        if !isWriteUnsynced { _ = try? manifest?.flush() }
        manifest?.close()
        manifest = nil
    }
}

extension StoreDirectory {
    /// Makes a manifest the one that counts, in one step: whoever reads CURRENT finds the old name or the new one.
    func setCurrent(_ manifest: UInt64) throws(DiskError) {
        let temporary = path(.temporary(manifest))
        let file = try disk.open(temporary, [.write, .create, .truncate])
        defer { file.close() }
        try file.write(Array("\(StoreFile.manifest(manifest).name)\n".utf8), at: 0)
        try file.sync()
        try disk.rename(temporary, to: path(.current))
        try sync()
    }
}
