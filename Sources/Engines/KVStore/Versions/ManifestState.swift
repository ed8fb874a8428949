import KernelStorage

/// What a manifest amounts to: all its edits as one.
struct ManifestState {
    let number: UInt64
    private(set) var edit = VersionEdit()

    /// Reads the manifest that CURRENT names; nil if there is no CURRENT.
    ///
    /// An edit that a crash cut short at the end never counted, and is passed over. Anything else that is wrong means
    /// that tables are missing from the list or stand in it wrongly: an error.
    static func read(_ directory: StoreDirectory) throws(KVStoreError) -> ManifestState? {
        guard let number = try currentNumber(directory) else { return nil }
        let path = directory.path(.manifest(number))
        var state = ManifestState(number: number)
        let failure: (offset: Int, detail: String)?
        do throws(DiskError) {
            let file = try directory.disk.open(path, [])
            defer { file.close() }
            failure = try state.read(LogReader(file: file))
        } catch {
            if case .notFound = error {
                throw .corruption(Corruption(file: path, offset: nil, detail: "CURRENT names it, and it is missing"))
            }
            throw .disk(error)
        }
        if let failure {
            throw .corruption(Corruption(file: path, offset: failure.offset, detail: failure.detail))
        }
        try state.check(path)
        return state
    }

    private init(number: UInt64) { self.number = number }

    private static func currentNumber(_ directory: StoreDirectory) throws(KVStoreError) -> UInt64? {
        let path = directory.path(.current)
        let bytes: [UInt8]
        do throws(DiskError) {
            bytes = try directory.disk.contents(of: path, limit: 4096)
        } catch {
            if case .notFound = error { return nil }
            throw .disk(error)
        }
        let name = String(decoding: bytes.dropLast(), as: UTF8.self)
        guard bytes.last == UInt8(ascii: "\n"), case .manifest(let number) = StoreFile(name) else {
            throw .corruption(Corruption(file: path, offset: nil, detail: "does not name a manifest"))
        }
        return number
    }

    /// Returns what is wrong and where; nil if all is well.
    private mutating func read(_ reader: LogReader) throws(DiskError) -> (offset: Int, detail: String)? {
        var tail: LogReader.Damage?
        while true {
            switch try reader.next() {
            case .end:
                return tail.flatMap { $0.isCutShort ? nil : ($0.offset, $0.reason) }
            case .damage(let damage):
                if let tail, !tail.isCutShort || !damage.isCutShort { return (tail.offset, tail.reason) }
                tail = tail ?? damage
            case .record(let bytes, let offset):
                if let tail { return (tail.offset, tail.reason) }
                guard let next = VersionEdit(bytes) else {
                    return (offset, "an edit that is not LevelDB's")
                }
                add(next)
            }
        }
    }

    private mutating func add(_ next: VersionEdit) {
        edit.comparator = next.comparator ?? edit.comparator
        edit.logNumber = next.logNumber ?? edit.logNumber
        edit.previousLogNumber = next.previousLogNumber ?? edit.previousLogNumber
        edit.nextFileNumber = next.nextFileNumber ?? edit.nextFileNumber
        edit.lastSequence = next.lastSequence ?? edit.lastSequence
        edit.compactPointers += next.compactPointers
        for deleted in next.deletedFiles {
            edit.newFiles.removeAll { $0.level == deleted.level && $0.number == deleted.number }
        }
        edit.newFiles += next.newFiles
    }

    private func check(_ path: String) throws(KVStoreError) {
        func fail(_ detail: String) -> KVStoreError { .corruption(Corruption(file: path, offset: nil, detail: detail)) }
        if let name = edit.comparator, name != VersionEdit.comparatorName {
            throw .invalid("\(path): keys are ordered by \(name); this store orders them by bytes")
        }
        if edit.logNumber == nil || edit.nextFileNumber == nil || edit.lastSequence == nil {
            throw fail("no complete description of the store")
        }
        var seen: Set<UInt64> = []
        for file in edit.newFiles where !seen.insert(file.number).inserted {
            throw fail("table \(file.number) is listed twice")
        }
    }
}
