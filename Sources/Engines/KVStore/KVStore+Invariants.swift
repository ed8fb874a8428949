import KernelStorage

extension KVStore {
    /// What must hold at any moment between two calls; a check for tests, which reads every table.
    ///
    /// - Throws: `.invalid` with what is wrong.
    func checkInvariants() throws(KVStoreError) {
        let version = versions.current
        for (level, files) in version.levels.enumerated() {
            for file in files { try check(file, level) }
            if level == 0 { continue }
            for (a, b) in zip(files, files.dropFirst())
            where !a.largestUserKey.lexicographicallyPrecedes(b.smallestUserKey) {
                throw .invalid("tables \(a.number) and \(b.number) of level \(level) overlap")
            }
        }
        if immutable == nil, flushJob != nil { throw .invalid("a flush of nothing") }
        if memtable.logNumber != log?.number, readOnlyReason == nil {
            throw .invalid("memtable and log do not belong together")
        }
        if tables.blocks.byteCount > tables.blocks.limitByteCount { throw .invalid("the cache is over its limit") }
        if tables.count > options.openTableLimit { throw .invalid("too many open tables") }
        try checkFiles()
    }

    /// A table's entries are in order, within its range, and as many as it says.
    private func check(_ file: FileMetadata, _ level: Int) throws(KVStoreError) {
        let iterator = TablesIterator([file], tables, readsAll: true)
        try iterator.seekToFirst()
        var last: [UInt8]?
        var count = 0
        while iterator.isValid {
            let key = iterator.key.array
            if let last, last.withUnsafeBytes({ InternalKey.compare(Bytes($0), iterator.key) }) >= 0 {
                throw .invalid("table \(file.number): entries out of order")
            }
            if count == 0, key != file.smallest { throw .invalid("table \(file.number): the smallest key is another") }
            if iterator.key.sequence > versions.lastSequence {
                throw .invalid("table \(file.number) has a later write")
            }
            last = key
            count += 1
            try iterator.next()
        }
        if last != file.largest { throw .invalid("table \(file.number): the largest key is another") }
        if count != file.entryCount { throw .invalid("table \(file.number): \(count) entries, not \(file.entryCount)") }
    }

    /// The directory holds what the store needs, and while nothing is being done nothing else.
    private func checkFiles() throws(KVStoreError) {
        let files: [StoreFile]
        do throws(DiskError) { files = try directory.files().map(\.file) } catch { throw .disk(error) }
        let live = Set(version.levels.joined().map(\.number))
        for number in live where !files.contains(.table(number)) { throw .invalid("table \(number) is missing") }
        if needsWork || readOnlyReason != nil { return }
        for case .table(let number) in files where !live.contains(number) && !isHeld(number) {
            throw .invalid("table \(number) is in no version")
        }
        let manifests = files.count { if case .manifest = $0 { true } else { false } }
        if manifests != 1 { throw .invalid("\(manifests) manifests") }
    }

    private var version: Version { versions.current }

    /// Whether an iterator may still need a table that is in the current version no more.
    private func isHeld(_ number: UInt64) -> Bool { versions.graveyard.livingVersions > 1 }
}
