import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

@Suite struct RecoveryTests {
    private func messages(_ store: KVStore) -> [String] { store.takeEvents().map(\.message.description) }

    @Test("the log lines of the documented session")
    func lines() throws {
        let bench = Bench(KVStoreOptions())
        var store = try bench.open()
        #expect(
            messages(store) == [
                "WAL opened: /data/wal.log", "Loaded 0 SSTables, 0 keys", "Memtable: 0 entries (limit: 4MB)",
            ])
        let value = String(repeating: "v", count: 256)
        for index in 0..<15_000 { try store.put("key\(1_000_000_000_000 + index)", value) }
        try store.commit(sync: false)
        bench.workAll()
        let full = messages(store)
        #expect(full.first == "Memtable full (4.0MB), flushing to SSTable...")
        #expect(full.last!.hasPrefix("Created SSTable L0_") && full.last!.hasSuffix("bloom filter: 0.01 FP rate)"))
        store = try bench.open()
        let again = messages(store)
        #expect(again[0] == "WAL opened: /data/wal.log")
        #expect(again[1].hasPrefix("Loaded 1 SSTables, "))
        #expect(again[2].hasPrefix("Replaying WAL: ") && again[2].hasSuffix(" operations..."))
        #expect(again[3].hasPrefix("Created SSTable L0_"))
        #expect(again[4] == "Recovery complete")
        #expect(again[5] == "Memtable: 0 entries (limit: 4MB)")
        #expect(store.approximateKeyCount == 15_000)
        try store.requestCompaction()
        bench.workAll()
        let merged = messages(store)
        #expect(merged[0] == "Compacting L0 (2 tables) + L1 (0 tables)...")
        #expect(merged[1].hasPrefix("Created L1_") && merged[1].contains(".sst (merged "))
        #expect(merged.last == "Deleted 2 old SSTables")
    }

    @Test("entries that delete a key are not counted as keys that were loaded")
    func deletions() throws {
        let bench = Bench(KVStoreOptions())
        var store = try bench.open()
        for key in ["a", "b", "c"] { try store.put(key, "1") }
        try store.requestFlush()
        bench.workAll()
        for key in ["a", "b"] { try store.delete(key.utf8) }
        try store.requestFlush()
        bench.workAll()
        store = try bench.open()
        #expect(messages(store)[1] == "Loaded 2 SSTables, 5 entries, 2 of them deletions")
    }

    @Test("where a value was found, and where a read looked")
    func places() throws {
        let bench = Bench(KVStoreOptions())
        let store = try bench.open()
        try store.put("user:1", "Alice")
        #expect(try store.get("user:1".utf8)?.place.description == "memtable")
        try store.requestFlush()
        bench.workAll()
        let place = try store.get("user:1".utf8)?.place
        #expect(place?.description.hasPrefix("L0_") == true)
        try store.put("user:2", "Bob")
        let trace = try store.trace("user:1".utf8)
        #expect(trace.steps.map(\.outcome) == [.absent, .found])
        #expect(trace.steps[1].blockOffset == 0)
        #expect(trace.value == Array("Alice".utf8))
        #expect(try store.trace("zzz".utf8).tablesOutOfRange[0] == 1)
        // Within the table's range, and not in it: the filter says so.
        try store.put("user:9", "Zoe")
        try store.requestFlush()
        bench.workAll()
        let missing = try store.trace("user:5".utf8)
        #expect(missing.steps.last?.outcome == .bloomNegative)
        #expect(missing.value == nil)
        try store.delete("user:1".utf8)
        #expect(try store.trace("user:1".utf8).steps.map(\.outcome) == [.deleted])
    }

    @Test("damage in the middle of a synced log is an error, and not the end of the log")
    func middleOfLog() throws {
        let bench = Bench()
        let store = try bench.open()
        for index in 0..<20 {
            try store.put("key\(index)", "value")
            try store.commit(sync: true)
        }
        let name = bench.files.first { $0.hasSuffix(".log") }!
        let file = try bench.disk.open(bench.path(name), [.write], owner: .lab)
        try file.write([0xFF], at: file.size / 2)
        #expect {
            try bench.open()
        } throws: { error in
            guard case .corruption(let corruption) = error as? KVStoreError else { return false }
            return corruption.file == bench.path(name)
                && corruption.detail.contains("writes that were promised are lost")
        }
    }

    @Test("a log whose predecessor is gone is an error: what was written in between is missing")
    func missingLog() throws {
        let bench = Bench()
        let store = try bench.open()
        var count = 0
        while store.immutable == nil {
            try store.put("key\(count)", String(repeating: "v", count: 100))
            count += 1
        }
        for key in ["x", "y"] {
            try store.put(key, "value")
            try store.commit(sync: true)
        }
        let logs = bench.files.filter { $0.hasSuffix(".log") }
        #expect(logs.count == 2)
        try bench.disk.remove(bench.path(logs[0]), owner: .lab)
        #expect {
            try bench.open()
        } throws: { error in
            guard case .corruption(let corruption) = error as? KVStoreError else { return false }
            return corruption.file == bench.path(logs[1]) && corruption.detail.contains("are missing")
        }
    }

    @Test("tables of a level that overlap are refused, whoever lists them; in level 0 they may")
    func overlap() throws {
        let store = try Bench().open()
        func key(_ name: String) -> [UInt8] {
            Array(name.utf8).withUnsafeBytes { InternalKey.make(Bytes($0), 0x0501) }
        }
        func edit(_ level: Int) -> VersionEdit {
            var edit = VersionEdit()
            edit.newFiles = [
                .init(level: level, number: 100, byteCount: 9, smallest: key("a"), largest: key("m")),
                .init(level: level, number: 101, byteCount: 9, smallest: key("k"), largest: key("z")),
            ]
            return edit
        }
        #expect {
            try store.versions.apply(edit(1))
        } throws: {
            guard case .corruption(let corruption) = $0 as? KVStoreError else { return false }
            return corruption.detail == "tables 100 and 101 of level 1 overlap"
        }
        #expect(store.versions.current.levels[1].isEmpty)
        #expect(throws: Never.self) { try store.versions.apply(edit(0)) }
    }

    @Test("repair brings back what can be read: without a manifest, with damaged tables and logs")
    func repair() throws {
        let bench = Bench()
        let store = try bench.open()
        for index in 0..<300 { try store.put("key\(1000 + index)", "value \(index)") }
        try store.requestCompaction()
        bench.workAll()
        for index in 0..<10 { try store.put("key\(1000 + index)", "newer") }
        try store.commit(sync: true)
        for name in bench.files where name.hasPrefix("MANIFEST") || name == "CURRENT" {
            try bench.node.remove(bench.path(name))
        }
        bench.store = nil
        #expect(throws: KVStoreError.self) { try bench.open() }
        var report = try KVStore.repair(disk: bench.node, directory: Bench.directory, options: bench.options)
        #expect(report.losses == [] && report.logRecords == 10)
        try bench.open()
        var contents = try bench.contents()
        #expect(contents.count == 300 && contents["key1003"] == "newer" && contents["key1200"] == "value 200")
        try bench.store.checkInvariants()
        try bench.store.close()
        bench.store = nil

        let name = bench.files.first { $0.hasSuffix(".sst") }!
        let file = try bench.disk.open(bench.path(name), [.write], owner: .lab)
        try file.write([0xFF, 0xFF], at: 300)
        report = try KVStore.repair(disk: bench.node, directory: Bench.directory, options: bench.options)
        #expect(report.losses.count == 1 && report.losses[0].contains("checksum mismatch"))
        try bench.open()
        contents = try bench.contents()
        #expect(contents.count < 300 && contents.count > 200)
        #expect(contents.allSatisfy { $0.value == "newer" || $0.value == "value \(Int($0.key.dropFirst(3))! - 1000)" })
        #expect(bench.files.contains("lost"))
    }

    @Test("what stands elsewhere is said to be missing, and nothing is made where nothing shall be")
    func missing() throws {
        let bench = Bench()
        bench.options.createIfMissing = false
        #expect(throws: KVStoreError.missing(Bench.directory)) { try bench.open() }
        bench.options.isReadOnly = true
        #expect(throws: (any Error).self) { try bench.open() }
        #expect(bench.files == [])
    }

    @Test("options out of range are refused by name")
    func options() {
        for change in [
            { $0.writeBufferByteCount = 1 }, { $0.blockByteCount = 1 }, { $0.restartInterval = 0 },
            { $0.bloomBitsPerKey = 65 }, { $0.openTableLimit = 0 }, { $0.level0StopTrigger = 1 },
        ] as [(inout KVStoreOptions) -> Void] {
            let bench = Bench()
            change(&bench.options)
            #expect(throws: KVStoreError.invalid(bench.options.complaint ?? "")) { try bench.open() }
        }
    }

    @Test("memory follows memtable and cache, not the number of keys", .timeLimit(.minutes(30)))
    func memory() throws {
        let count = isLong ? 10_000_000 : 100_000
        let bench = Bench(KVStoreOptions())
        bench.options.writeBufferByteCount = 1 << 20
        bench.options.blockCacheByteCount = 1 << 20
        bench.options.openTableLimit = 20
        let store = try bench.open()
        var random = SeededRandom(seed: 9)
        for index in 0..<count {
            try store.put("key\(random.below(count * 10))", "value \(index)")
            if index % 100 == 0 {
                try store.commit(sync: false)
                store.work(budgetByteCount: 64 << 10, now: Bench.time)
            }
            if index % 1000 == 0 {
                _ = try store.value("key\(random.below(count * 10))")
                let description = store.describe()
                #expect(description.memtableByteCount <= 1 << 20 + 4096)
                #expect(description.immutableByteCount ?? 0 <= 1 << 20 + 4096)
                #expect(description.cacheByteCount <= 1 << 20)
                #expect(description.openTables <= 20)
            }
        }
    }

    @Test("a mark that covers a part proves that part, and no more")
    func partialMarks() throws {
        /// The log after writes of which another thread has synced the first two, with a byte of one of them changed.
        func open(damaging value: String) throws -> (contents: [String: String]?, error: KVStoreError?) {
            let bench = Bench()
            let store = try bench.open()
            for name in ["first", "second", "third"] {
                try store.put(name, "value of \(name)")
                try store.commit(sync: false)
            }
            store.markSequence = 3
            try store.put("fourth", "value of fourth")
            try store.commit(sync: false)
            let name = try #require(bench.files.last { $0.hasSuffix(".log") })
            var bytes = try bench.node.contents(of: bench.path(name))
            let target = Array("value of \(value)".utf8)
            let place = try #require(bytes.indices.first { bytes[$0...].starts(with: target) })
            bytes[place] ^= 1
            try bench.node.store(bytes, at: bench.path(name))
            do {
                try bench.open()
                return (try bench.contents(), nil)
            } catch let error as KVStoreError {
                return (nil, error)
            }
        }
        for value in ["first", "second"] {
            guard case .corruption = try open(damaging: value).error else {
                Issue.record("\(value) was promised")
                continue
            }
        }
        #expect(try open(damaging: "third").contents?.keys.sorted() == ["first", "second"])
        #expect(try open(damaging: "fourth").contents?.keys.sorted() == ["first", "second", "third"])
    }
}
