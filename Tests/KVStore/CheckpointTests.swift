import Foundation
import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

/// A checkpoint opens as a store, and holds what was written until its moment.
@Suite struct CheckpointTests {
    private static let path = Bench.directory + "/checkpoint"

    /// What a checkpoint holds, opened as a store of its own.
    private func contents(_ disk: any Disk, _ path: String = path) throws -> [String: String] {
        let store = try KVStore.open(
            disk: NodeDisk(base: disk, owner: DiskOwner(9)), directory: path, options: Bench.smallOptions,
            now: Bench.time)
        try store.checkInvariants()
        var result: [String: String] = [:]
        let iterator = try store.makeIterator()
        try iterator.seekToFirst()
        while iterator.isValid {
            result[text(iterator.key)] = text(iterator.value)
            try iterator.next()
        }
        try store.close()
        return result
    }

    private func write(_ store: KVStore, _ random: inout SeededRandom, _ model: inout [String: String]) throws {
        let key = "key\(random.below(60))"
        if random.chance(0.2) {
            try store.delete(key.utf8)
            model[key] = nil
        } else {
            let value = "\(random.below(1000))-" + String(repeating: "y", count: random.below(120))
            try store.put(key, value)
            model[key] = value
        }
        if random.chance(0.5) { try store.commit(sync: random.chance(0.3)) }
        if random.chance(0.4) { store.work(budgetByteCount: random.below(3000), now: Bench.time) }
    }

    @Test("of its moment, whatever is written and merged while it is made", arguments: 1...12 as ClosedRange<UInt64>)
    func moment(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let bench = Bench()
        let store = try bench.open()
        var model: [String: String] = [:]
        for _ in 0..<4 {
            for _ in 0..<random.below(300) { try write(store, &random, &model) }
            let expected = model
            let checkpoint = try store.makeCheckpoint(at: Self.path)
            while !checkpoint.step(1 + random.below(500)) {
                for _ in 0..<random.below(30) { try write(store, &random, &model) }
                if random.chance(0.1) { try store.requestCompaction() }
            }
            #expect(checkpoint.failure == nil)
            checkpoint.finish()
            let seen = try contents(bench.disk)
            #expect(seen == expected, "seed \(seed)")
        }
        #expect(try bench.contents() == model)
        bench.workAll()
        try store.checkInvariants()
        let seen = try bench.disk.list(Bench.directory)
        #expect(!seen.contains("checkpoint.tmp") && !seen.contains("checkpoint.old"))
        try store.commit(sync: false)
        try bench.open()
        #expect(try bench.contents() == model)
    }

    @Test("power lost at any operation leaves a whole checkpoint or none, and the store", arguments: 0..<3)
    func power(seed: Int) throws {
        var point = 0
        while true {
            var random = SeededRandom(seed: UInt64(seed))
            let disk = SimulatedDisk()
            let crash = CrashDisk(disk)
            let node = NodeDisk(base: crash, owner: DiskOwner(1))
            let store = try KVStore.open(
                disk: node, directory: Bench.directory, options: Bench.smallOptions, now: Bench.time)
            var model: [String: String] = [:]
            for _ in 0..<200 { try write(store, &random, &model) }
            try store.commit(sync: true)
            crash.crashAt = crash.operations + point
            let checkpoint = try? store.makeCheckpoint(at: Self.path)
            checkpoint?.run()
            if !crash.isDead { break }
            #expect(checkpoint?.failure != nil)
            _ = disk.losePower(
                owner: DiskOwner(1), policy: seed == 0 ? .dropAll : .random(seed: UInt64(seed * 1000 + point)))
            if (try? disk.attributes(Self.path)) != nil {
                let seen = try contents(disk)
                #expect(seen == model, "power lost at \(point)")
            }
            let bench = Bench(disk: disk)
            try bench.open()
            #expect(try bench.contents() == model)
            // What was left behind is in nobody's way.
            let again = try bench.store.makeCheckpoint(at: Self.path)
            again.run()
            #expect(again.failure == nil)
            let seen = try contents(disk)
            #expect(seen == model)
            point += 1
        }
        #expect(point > 10)
    }

    @Test("a disk without second names takes copies")
    func copies() throws {
        let crash = CrashDisk(SimulatedDisk())
        crash.hasLinks = false
        let store = try KVStore.open(
            disk: NodeDisk(base: crash, owner: DiskOwner(1)), directory: Bench.directory, options: Bench.smallOptions,
            now: Bench.time)
        var random = SeededRandom(seed: 1)
        var model: [String: String] = [:]
        for _ in 0..<300 { try write(store, &random, &model) }
        let checkpoint = try store.makeCheckpoint(at: Self.path)
        checkpoint.run()
        #expect(checkpoint.failure == nil && checkpoint.tableCount > 0 && checkpoint.copiedByteCount > 2000)
        #expect(try contents(crash.base) == model)
    }

    @Test("on a full disk it fails, and the one before stays")
    func full() throws {
        let bench = Bench()
        let store = try bench.open()
        try store.put("a", "1")
        let first = try store.makeCheckpoint(at: Self.path)
        first.run()
        try store.put("a", "2")
        try store.commit(sync: true)
        let second = try store.makeCheckpoint(at: Self.path)
        bench.node.faults.isFull = true
        second.run()
        #expect(second.failure != nil)
        bench.node.faults.isFull = false
        #expect(try contents(bench.disk) == ["a": "1"])
        #expect(throws: KVStoreError.self) {
            bench.node.faults.isFull = true
            try store.put("b", "1")
            try store.commit(sync: false)
        }
        #expect(throws: KVStoreError.self) { try store.makeCheckpoint(at: Self.path) }
    }

    @Test("on the host's files tables get a second name, on another thread as well")
    func hardLinks() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-check-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: root) }
        let disk = try FileDisk(root: root.path)
        let store = try KVStore.open(
            disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: Bench.directory, options: Bench.smallOptions,
            now: Bench.time)
        store.waitForJob = {}
        var random = SeededRandom(seed: 3)
        var model: [String: String] = [:]
        for _ in 0..<300 { try write(store, &random, &model) }
        let expected = model
        let checkpoint = try store.makeCheckpoint(at: Self.path)
        let done = DispatchSemaphore(value: 0)
        Thread {
            checkpoint.run()
            done.signal()
        }.start()
        for _ in 0..<300 { try write(store, &random, &model) }
        done.wait()
        checkpoint.finish()
        #expect(checkpoint.failure == nil && checkpoint.tableCount > 0)
        let directory = root.appendingPathComponent("data/checkpoint")
        for name in try disk.list(Self.path) where name.hasSuffix(".sst") {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: directory.appendingPathComponent(name).path)
            #expect((attributes[.referenceCount] as? Int ?? 0) >= 1)
        }
        #expect(try contents(disk) == expected)
        #expect(try contents(disk) == expected, "opened and closed, it is what it was")
    }
}
