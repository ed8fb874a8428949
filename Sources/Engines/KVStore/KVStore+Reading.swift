import KernelStructures

extension KVStore {
    /// The value of a key, and where it was found; nil if it has none.
    ///
    /// - Throws: `.corruption` if a block on the way is damaged; nothing is guessed in its place.
    public func get(_ key: some Collection<UInt8>, at snapshot: Snapshot? = nil) throws(KVStoreError) -> Found? {
        try withBytes(of: key) { key throws(KVStoreError) in
            try find(key, snapshot?.sequence ?? versions.lastSequence) { Found(value: $0.array, place: $1) }
        }
    }

    /// The same without a copy: the value is valid during the call only.
    public func read<R>(
        _ key: UnsafeRawBufferPointer, at snapshot: Snapshot? = nil, _ body: (UnsafeRawBufferPointer, Place) -> R
    ) throws(KVStoreError) -> R? {
        try find(Bytes(key), snapshot?.sequence ?? versions.lastSequence) { body($0.raw, $1) }
    }

    /// What the last write at or before a sequence number left under a key.
    @inline(__always)
    func find<R>(_ key: Bytes, _ sequence: UInt64, _ body: (Bytes, Place) -> R) throws(KVStoreError) -> R? {
        counters.value.gets &+= 1
        if let (kind, value) = memtable.find(key, sequence) {
            counters.value.memtableHits &+= 1
            return kind == .value ? body(value, .memtable) : nil
        }
        if let immutable, let (kind, value) = immutable.find(key, sequence) {
            counters.value.memtableHits &+= 1
            return kind == .value ? body(value, .immutable) : nil
        }
        return try findInTables(key, sequence, body)
    }

    private func findInTables<R>(_ key: Bytes, _ sequence: UInt64, _ body: (Bytes, Place) -> R)
        throws(KVStoreError) -> R?
    {
        let tag = InternalKey.seekTag(sequence)
        let hash = BloomFilter.hash(key)
        let version = versions.current
        for level in 0..<version.levels.count where !version.levels[level].isEmpty {
            for index in candidates(version, level, key, tag) {
                let file = version.levels[level][index]
                if file.compareSmallest(key) > 0 || file.compareLargest(key) < 0 { continue }
                let answer = try tables.table(file).find(key, tag, hash: hash, &tables.cursor, counters)
                guard case .found(let kind, let value, let block, _) = answer else { continue }
                if kind == .deletion { return nil }
                return withExtendedLifetime(block) { body(value, .table(level: level, number: file.number)) }
            }
        }
        return nil
    }

    /// The tables of a level that could hold a key, in the order in which they are to be asked.
    @inline(__always)
    private func candidates(_ version: Version, _ level: Int, _ key: Bytes, _ tag: UInt64) -> Range<Int> {
        let files = version.levels[level]
        if level == 0 { return 0..<files.count }
        let index = Version.firstFile(files, atOrAfter: key, tag)
        return index..<min(files.count, index + 1)
    }

    /// What the store holds now, for reading later. Compaction keeps what it sees as long as it lives.
    public func snapshot() -> Snapshot { Snapshot(sequence: versions.lastSequence, list: snapshots) }
    public func release(_ snapshot: Snapshot) { snapshot.release() }

    /// Walks over what the store holds now, or held at a snapshot, whatever is written later. Tables that it reads stay
    /// on the disk as long as it lives.
    public func makeIterator(at snapshot: Snapshot? = nil) throws(KVStoreError) -> KVStoreIterator {
        let version = versions.current
        var sources = [memtable.makeIterator()]
        if let immutable { sources.append(immutable.makeIterator()) }
        for file in version.levels[0] { sources.append(TablesIterator([file], tables)) }
        for files in version.levels.dropFirst() where !files.isEmpty { sources.append(TablesIterator(files, tables)) }
        return KVStoreIterator(
            MergingIterator(sources), sequence: snapshot?.sequence ?? versions.lastSequence, version: version)
    }

    // MARK: Trace

    /// Where a read of this key looks, and what it learns there.
    public func trace(_ key: some Collection<UInt8>, at snapshot: Snapshot? = nil) throws(KVStoreError) -> ReadTrace {
        try withBytes(of: key) { key throws(KVStoreError) in try trace(key, snapshot) }
    }

    private func trace(_ key: Bytes, _ snapshot: Snapshot?) throws(KVStoreError) -> ReadTrace {
        let sequence = snapshot?.sequence ?? versions.lastSequence
        var trace = ReadTrace()
        for (memtable, place) in [(memtable, Place.memtable), (immutable, .immutable)] {
            guard let memtable else { continue }
            let found = memtable.find(key, sequence)
            if trace.note(place, found?.kind, found?.value) { return trace }
        }
        let tag = InternalKey.seekTag(sequence)
        let version = versions.current
        for level in 0..<version.levels.count {
            for (index, file) in version.levels[level].enumerated() {
                guard candidates(version, level, key, tag).contains(index), file.compareSmallest(key) <= 0,
                    file.compareLargest(key) >= 0
                else {
                    trace.tablesOutOfRange[level] += 1
                    continue
                }
                if try ask(file, level, key, tag, &trace) { return trace }
            }
        }
        return trace
    }

    /// Asks one table. True if its answer is final.
    private func ask(_ file: FileMetadata, _ level: Int, _ key: Bytes, _ tag: UInt64, _ trace: inout ReadTrace)
        throws(KVStoreError) -> Bool
    {
        let place = Place.table(level: level, number: file.number)
        let table = try tables.table(file)
        let first = table.firstBlock(atOrAfter: key, tag)
        let wasCached = first < table.count && table.isCached(first)
        switch try table.find(key, tag, hash: BloomFilter.hash(key), &tables.cursor, counters) {
        case .outsideIndex: trace.steps.append(.init(place: place, outcome: .outsideIndex))
        case .bloomNegative(let index):
            trace.steps.append(
                .init(place: place, outcome: .bloomNegative, blockOffset: table.entry(index).offset))
        case .absent(let index):
            trace.steps.append(
                .init(
                    place: place, outcome: .absent, blockOffset: table.entry(index).offset, blockWasCached: wasCached))
        case .found(let kind, let value, let block, let index):
            return withExtendedLifetime(block) {
                trace.note(place, kind, value, blockOffset: table.entry(index).offset, wasCached: wasCached)
            }
        }
        return false
    }
}

extension ReadTrace {
    /// Adds what one place said. True if that is final.
    fileprivate mutating func note(
        _ place: Place, _ kind: ValueKind?, _ value: Bytes?, blockOffset: Int? = nil, wasCached: Bool? = nil
    ) -> Bool {
        let outcome: Outcome = kind == nil ? .absent : kind == .value ? .found : .deleted
        steps.append(.init(place: place, outcome: outcome, blockOffset: blockOffset, blockWasCached: wasCached))
        if kind == .value { self.value = value?.array }
        return kind != nil
    }
}
