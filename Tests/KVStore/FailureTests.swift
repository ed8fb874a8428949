import KernelStorage
import KernelStructures
import Testing

@testable import KVStoreEngine

/// Disks that fill up and fail: the store says so, keeps what it promised, and never makes up for it in silence.
@Suite struct FailureTests {
    @Test("after a failed sync the store is read-only for good, and the write is taken back")
    func failedSync() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        try store.commit(sync: true)
        bench.node.faults.failingSyncs = 1
        try store.put("b", "2")
        #expect(throws: KVStoreError.self) { try store.commit(sync: true) }
        guard case .diskFailed = store.readOnlyReason else {
            Issue.record("read-only because of \(String(describing: store.readOnlyReason))")
            return
        }
        #expect(store.takeEvents().contains { if case .readOnly(.diskFailed) = $0 { true } else { false } })
        #expect(try store.value("a") == "1")
        #expect(try store.value("b") == nil)
        #expect(throws: KVStoreError.readOnly(store.readOnlyReason!)) { try store.put("c", "3") }
        #expect(throws: KVStoreError.self) { try store.commit(sync: true) }
        #expect(!store.resume())
        #expect(store.readOnlyReason!.description.contains("Input/output error"))
        _ = bench.disk.losePower(owner: bench.node.owner, policy: .dropAll)
        try bench.open()
        #expect(try bench.store.value("a") == "1")
        #expect(try bench.store.value("b") == nil)
    }

    @Test("a sync that fails in the background makes the store read-only, too", arguments: 1...6)
    func failedBackgroundSync(number: Int) throws {
        let bench = Bench()
        let store = try bench.open()
        for index in 0..<400 {
            try store.put("key\(index)", String(repeating: "x", count: 50))
            try store.commit(sync: true)
        }
        for _ in 0..<number { store.work(budgetByteCount: 1500, now: Bench.time) }
        bench.node.faults.failingSyncs = 1
        try store.requestCompaction()
        bench.workAll()
        #expect(store.readOnlyReason != nil)
        #expect(!store.needsWork)
        #expect(try store.value("key399") != nil)
        _ = bench.disk.losePower(owner: bench.node.owner, policy: .dropAll)
        try bench.open()
        #expect(try bench.contents().count == 400)
        try bench.store.checkInvariants()
    }

    @Test("a write that stops half way is no write, and what follows it is refused")
    func tornWrite() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        try store.commit(sync: false)
        bench.node.faults.tornWrites = 1
        try store.put("b", String(repeating: "2", count: 1000))
        #expect(throws: KVStoreError.self) { try store.commit(sync: false) }
        #expect(try store.value("b") == nil)
        try bench.open()
        #expect(try bench.contents() == ["a": "1"])
        #expect(bench.store.takeEvents().contains { if case .logTailDropped = $0 { true } else { false } })
    }

    @Test("a full disk: reads go on, writes are refused with the reason, and accepted again when there is space")
    func full() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        try store.commit(sync: true)
        bench.node.faults.isFull = true
        try store.put("b", "2")
        #expect(throws: KVStoreError.self) { try store.commit(sync: true) }
        #expect(store.readOnlyReason!.description.contains("No space left on device"))
        #expect(try store.value("a") == "1")
        #expect(try store.value("b") == nil)
        #expect(!store.resume())
        #expect(throws: KVStoreError.self) { try store.put("b", "2") }
        bench.node.faults.isFull = false
        #expect(store.resume())
        #expect(store.readOnlyReason == nil)
        try store.put("c", "3")
        try store.commit(sync: true)
        bench.workAll()
        try store.checkInvariants()
        try bench.open()
        #expect(try bench.contents() == ["a": "1", "c": "3"])
    }

    @Test("a disk that is full while the store opens: what it holds can be read", arguments: [1, 200])
    func fullAtOpening(count: Int) throws {
        let bench = Bench()
        var store = try bench.open()
        for index in 0..<count { try store.put("key\(index)", String(repeating: "x", count: 60)) }
        try store.commit(sync: true)
        bench.node.faults.isFull = true
        store = try bench.open()
        #expect(store.readOnlyReason != nil)
        #expect(try bench.contents().count == count)
        #expect(throws: KVStoreError.self) { try store.put("b", "2") }
        bench.node.faults.isFull = false
        #expect(store.resume())
        try store.put("later", "2")
        try store.commit(sync: true)
        try store.checkInvariants()
        try bench.open()
        #expect(try bench.contents().count == count + 1)
    }

    @Test("the disk fills up at any moment, and is emptied again: nothing acknowledged is lost", arguments: 0..<20)
    func fillsUp(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let bench = Bench()
        var store = try bench.open()
        var acknowledged: [String: String] = [:]
        for step in 0..<600 {
            let (key, value) = ("key\(random.below(100))", "value \(step) \(random.next())")
            do {
                try store.put(key, value)
                try store.commit(sync: true)
                acknowledged[key] = value
            } catch {
                bench.node.faults.isFull = false
                if random.chance(0.5) { #expect(store.resume()) } else { store = try bench.open() }
                #expect(try store.value(key) == acknowledged[key])
            }
            if random.chance(0.02) { bench.node.faults.isFull = true }
            store.work(budgetByteCount: random.below(2000), now: Bench.time)
        }
        bench.node.faults.isFull = false
        #expect(store.resume())
        bench.workAll()
        #expect(try bench.contents() == acknowledged)
        try store.checkInvariants()
        try bench.open()
        #expect(try bench.contents() == acknowledged)
    }

    @Test("two stores cannot have one directory, and the one that goes leaves it free")
    func locked() throws {
        let bench = Bench()
        try bench.open()
        let other = NodeDisk(base: bench.disk, owner: DiskOwner(2))
        #expect(throws: KVStoreError.locked(Bench.directory)) {
            try KVStore.open(disk: other, directory: Bench.directory, now: Bench.time)
        }
        try bench.store.close()
        _ = try KVStore.open(disk: other, directory: Bench.directory, now: Bench.time)
    }

    @Test("keys and values beyond the limits are refused by name")
    func limits() throws {
        let store = try Bench().open()
        let large = [UInt8](repeating: 0, count: KVStoreOptions.keyByteLimit + 1)
        #expect(throws: KVStoreError.self) { try store.put(large, []) }
        #expect(throws: KVStoreError.self) { try store.delete(large) }
        try store.put(large.dropLast(), "x".utf8)
        #expect(try store.get(large.dropLast())?.value == Array("x".utf8))
        try store.put("".utf8, "empty".utf8)
        #expect(try store.value("") == "empty")
    }
}
