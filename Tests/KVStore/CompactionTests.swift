import KernelStorage
import KernelStructures
import Testing

@testable import KVStoreEngine

@Suite struct CompactionTests {
    private func flush(_ bench: Bench) throws {
        try bench.store.requestFlush()
        while bench.store.immutable != nil || bench.store.isFlushRequested {
            bench.store.work(budgetByteCount: 1, now: Bench.time)
        }
    }

    /// Entries of all tables, tombstones and old versions counted.
    private func entries(_ bench: Bench) -> Int {
        bench.store.versions.current.levels.joined().reduce(0) { $0 + $1.entryCount }
    }

    private func compactAll(_ bench: Bench) throws {
        try bench.store.requestCompaction()
        bench.workAll()
    }

    @Test("a tombstone stays as long as a deeper level holds what it hides, and goes with it")
    func tombstones() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        try store.put("k", "old")
        try store.put("z", "1")
        try compactAll(bench)
        #expect(store.versions.current.levels[1].count == 1)
        // Another level below, so that level 1 is not the last one.
        try bench.pushDown(level: 1)
        try store.delete("k".utf8)
        try flush(bench)
        try store.put("other", "1")
        try flush(bench)
        // Level 0 alone goes to level 1; level 2 still has "k".
        let plan = CompactionPlan.manual(store.versions.current, level: 0, from: nil, to: nil, store.options)!
        try bench.run(plan)
        #expect(try store.value("k") == nil)
        #expect(entries(bench) == 5)
        try compactAll(bench)
        #expect(try store.value("k") == nil)
        #expect(entries(bench) == 3)
    }

    @Test("old versions go, unless a snapshot sees them")
    func snapshots() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("k", "1")
        let snapshot = store.snapshot()
        for version in 2...9 { try store.put("k", "\(version)") }
        try store.delete("gone".utf8)
        try compactAll(bench)
        #expect(try store.value("k", at: snapshot) == "1")
        #expect(try store.value("k") == "9")
        #expect(entries(bench) >= 2)
        snapshot.release()
        try store.put("k", "10")
        try compactAll(bench)
        #expect(try store.value("k") == "10")
        #expect(entries(bench) == 1)
    }

    @Test("a snapshot does not see what is written later, and is let go of when nobody holds it")
    func isolation() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        var snapshot: Snapshot? = store.snapshot()
        try store.put("a", "2")
        try store.put("b", "2")
        #expect(try bench.contents(at: snapshot) == ["a": "1"])
        try flush(bench)
        #expect(try bench.contents(at: snapshot) == ["a": "1"])
        #expect(store.describe().snapshots == 1)
        snapshot = nil
        #expect(store.describe().snapshots == 0)
    }

    @Test("tables that an iterator reads stay on the disk until it goes")
    func iteratorKeepsFiles() throws {
        let bench = Bench()
        let store = try bench.open()
        for index in 0..<200 { try store.put("key\(1000 + index)", "first") }
        try flush(bench)
        var iterator: KVStoreIterator? = try store.makeIterator()
        try iterator!.seekToFirst()
        let before = Set(bench.files.filter { $0.hasSuffix(".sst") })
        for index in 0..<200 { try store.put("key\(1000 + index)", "second") }
        try compactAll(bench)
        #expect(before.isSubset(of: bench.files))
        var count = 0
        while iterator!.isValid {
            #expect(text(iterator!.value) == "first")
            count += 1
            try iterator!.next()
        }
        #expect(count == 200)
        iterator = nil
        #expect(store.needsWork)
        bench.workAll()
        #expect(before.isDisjoint(with: bench.files))
        try store.checkInvariants()
    }

    @Test("keys in ascending order are written once: their tables only move")
    func trivialMoves() throws {
        let bench = Bench()
        let store = try bench.open()
        for index in 0..<3000 {
            try store.put("key\(10_000 + index)", "value")
            if index % 50 == 0 { bench.workAll() }
        }
        bench.workAll()
        #expect(store.statistics.trivialMoves > 10)
        #expect(store.statistics.compactions == 0)
        #expect(try bench.contents().count == 3000)
        try store.checkInvariants()
        try store.close()
        try bench.open()
        #expect(try bench.contents().count == 3000)
    }

    @Test("level 0 never has more tables than the stop trigger, and every stall names its cause")
    func level0Limit() throws {
        let bench = Bench()
        bench.options.writeBufferByteCount = 64 << 10
        let store = try bench.open()
        var random = SeededRandom(seed: 5)
        var most = 0
        for _ in 0..<20_000 {
            try store.put("key\(random.below(100_000))", String(repeating: "x", count: 60))
            most = max(most, store.versions.current.levels[0].count)
        }
        #expect(most <= bench.options.level0StopTrigger)
        #expect(store.statistics.level0Slowdowns > 0)
        let stalls = store.takeEvents().compactMap { event in
            if case .stalled(let cause) = event { cause.description } else { nil }
        }
        #expect(!stalls.isEmpty)
        #expect(stalls.allSatisfy { $0.contains("level 0 has") || $0.contains("both memtables are full") })
        bench.workAll()
        try store.checkInvariants()
    }

    @Test("levels stay within their limits, and deeper ones fill up")
    func levels() throws {
        let bench = Bench()
        let store = try bench.open()
        var random = SeededRandom(seed: 6)
        for _ in 0..<8000 {
            try store.put("key\(random.below(1_000_000))", String(repeating: "x", count: 60))
            store.work(budgetByteCount: 1000, now: Bench.time)
        }
        bench.workAll()
        let description = store.describe()
        for level in description.levels { #expect(level.score < 1) }
        #expect(description.levels[2].tables.count > 5 && description.levels[3].tables.count > 5)
        #expect(description.spaceAmplification < 2)
        #expect(store.statistics.tableWriteAmplification > 2)
        try store.checkInvariants()
    }

    @Test("a level's compactions go round: each begins behind where the one before ended")
    func roundRobin() throws {
        let bench = Bench()
        let versions = try bench.open().versions
        func key(_ name: String) -> [UInt8] {
            Array(name.utf8).withUnsafeBytes { InternalKey.make(Bytes($0), 0x0501) }
        }
        func begin(after pointer: String?) throws -> UInt64? {
            var edit = VersionEdit()
            if let pointer { edit.compactPointers = [.init(level: 1, key: key(pointer))] }
            try versions.apply(edit)
            return CompactionPlan.next(versions, bench.options)?.inputs.first?.number
        }
        var tables = VersionEdit()
        tables.newFiles = [("a", "c", 100), ("e", "g", 101), ("i", "k", 102)].map {
            .init(level: 1, number: $2, byteCount: 9_000, smallest: key($0), largest: key($1))
        }
        try versions.apply(tables)
        #expect(try begin(after: nil) == 100)
        #expect(try begin(after: "c") == 101 && begin(after: "f") == 101 && begin(after: "g") == 102)
        #expect(try begin(after: "k") == 100, "and begins anew")
    }

    @Test("a range can be compacted alone")
    func range() throws {
        let bench = Bench()
        let store = try bench.open()
        for round in 0..<3 {
            for index in 0..<100 { try store.put("\(index % 2 == 0 ? "a" : "b")\(index)", "\(round)") }
            try flush(bench)
        }
        try store.requestCompaction(from: Array("zz".utf8), to: nil)
        bench.workAll()
        #expect(store.versions.current.levels[0].count == 3)
        #expect(!store.isCompactionRequested)
        try store.requestCompaction(from: Array("a".utf8), to: Array("b".utf8))
        bench.workAll()
        #expect(store.versions.current.levels[0].isEmpty)
        #expect(entries(bench) == 100)
    }

    @Test("a damaged table stops the compaction that reads it, and nothing is lost with it")
    func damage() throws {
        let bench = Bench()
        let store = try bench.open()
        for round in 0..<2 {
            for index in 0..<40 { try store.put("key\(index)", "\(round)") }
            try flush(bench)
        }
        let name = bench.files.last { $0.hasSuffix(".sst") }!
        let file = try bench.disk.open(bench.path(name), [.write], owner: .lab)
        try file.write([0xAA, 0x55], at: 20)
        try compactAll(bench)
        guard case .damaged(let corruption) = store.readOnlyReason else {
            Issue.record("the damage went unnoticed")
            return
        }
        #expect(corruption.file == bench.path(name))
        #expect(bench.files.count { $0.hasSuffix(".sst") } >= 2)
        #expect(throws: KVStoreError.self) { try store.put("a", "1") }
    }
}

extension Bench {
    /// Runs one compaction to its end.
    func run(_ plan: CompactionPlan) throws {
        let versions = store.versions
        let job = try CompactionJob(
            plan, version: versions.current, oldestSnapshot: store.snapshots.oldest ?? versions.lastSequence,
            directory: store.directory, options: options, startedAt: Bench.time,
            takeNumber: { versions.takeFileNumber() })
        #expect(try job.step(.max))
        var edit = plan.edit
        edit.newFiles = job.finished
        try versions.apply(edit)
    }

    /// Moves the tables of a level one down, whatever is there.
    func pushDown(level: Int) throws {
        var edit = VersionEdit()
        for file in store.versions.current.levels[level] {
            edit.deletedFiles.append(.init(level: level, number: file.number))
            edit.newFiles.append(
                .init(
                    level: level + 1, number: file.number, byteCount: file.byteCount, smallest: file.smallest,
                    largest: file.largest, entryCount: file.entryCount))
        }
        try store.versions.apply(edit)
    }
}
