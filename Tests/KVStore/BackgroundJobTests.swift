import Foundation
import KernelStorage
import KernelStructures
import Testing

@testable import KVStoreEngine

/// Flushes and compactions that other threads do, on files of the host.
@Suite("Jobs on other threads", .serialized)
struct BackgroundJobTests {
    /// A store in a directory of its own, and threads for its jobs.
    private final class Place {
        let root: URL
        let node: NodeDisk
        var store: KVStore!
        private(set) var out: [(job: BackgroundJob, thread: Thread, done: DispatchSemaphore)] = []
        /// Jobs that came back.
        private(set) var finished = 0

        init() throws {
            root = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-jobs-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
            node = NodeDisk(base: try FileDisk(root: root.path), owner: DiskOwner(1))
        }

        deinit { try? FileManager.default.removeItem(at: root) }

        func open() throws {
            store = nil
            out = []
            store = try KVStore.open(
                disk: node, directory: Bench.directory, options: Bench.smallOptions, now: Bench.time)
            store.waitForJob = { [unowned self] in finishOne() }
        }

        /// Gives out what there is to do; it runs on threads from here on.
        func giveOut() {
            while let job = store.takeJob(now: Bench.time) { start(job) }
        }

        /// The same with what is to be made durable.
        func giveOutSync() throws { if let job = try store.takeSync(now: Bench.time) { start(job) } }

        private func start(_ job: BackgroundJob) {
            do {
                let done = DispatchSemaphore(value: 0)
                let thread = Thread {
                    job.run()
                    done.signal()
                }
                thread.start()
                out.append((job, thread, done))
            }
        }

        func finishOne() {
            guard !out.isEmpty else { return }
            let (job, _, done) = out.removeFirst()
            done.wait()
            store.finish(job, now: Bench.time)
            finished += 1
        }

        /// As `kill -9` does: nothing is closed, and what is out ends somewhere.
        func crash() {
            for (_, _, done) in out { done.wait() }
            store = nil
            out = []
        }

        func contents() throws -> [String: String] {
            var result: [String: String] = [:]
            let iterator = try store.makeIterator(at: nil)
            try iterator.seekToFirst()
            while iterator.isValid {
                result[text(iterator.key)] = text(iterator.value)
                try iterator.next()
            }
            return result
        }
    }

    @Test(
        "any order of writes, jobs, waits and crashes keeps every committed write",
        arguments: 1...6 as ClosedRange<UInt64>)
    func model(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let place = try Place()
        try place.open()
        var model: [String: String] = [:]
        for _ in 0..<4000 {
            switch random.below(100) {
            case 0..<80:
                let key = "key \(random.below(300))"
                if random.chance(0.2) {
                    try place.store.delete(Array(key.utf8))
                    model[key] = nil
                } else {
                    let value = String(repeating: "v\(random.below(1000)) ", count: 1 + random.below(20))
                    try place.store.put(Array(key.utf8), Array(value.utf8))
                    model[key] = value
                }
                try place.store.commit(sync: false)
            case 80..<90: place.giveOut()
            case 90..<92: try place.giveOutSync()
            case 92..<96: place.finishOne()
            case 96: try place.store.requestCompaction()
            case 97: _ = place.store.work(budgetByteCount: 4096, now: Bench.time)
            default:
                guard random.chance(0.1) else { continue }
                place.crash()
                try place.open()
                #expect(try place.contents() == model)
            }
        }
        #expect(place.finished > 10)
        while place.store.needsWork {
            place.giveOut()
            if place.store.needsWorkHere { place.store.work(budgetByteCount: 1 << 20, now: Bench.time) }
            place.finishOne()
        }
        try place.store.checkInvariants()
        #expect(try place.contents() == model)
        try place.store.close()
        try place.open()
        #expect(try place.contents() == model)
    }

    @Test("a writer that outruns its jobs waits for them, and closing does")
    func waits() throws {
        let place = try Place()
        try place.open()
        var model: [String: String] = [:]
        for number in 0..<3000 {
            let (key, value) = ("key \(number * 7919 % 3000)", String(repeating: "x", count: 100))
            try place.store.put(Array(key.utf8), Array(value.utf8))
            try place.store.commit(sync: false)
            model[key] = value
            if number % 16 == 0 { place.giveOut() }
        }
        #expect(place.finished > 0, "it had to wait")
        #expect(try place.contents() == model)
        try place.store.close()
        #expect(place.out.isEmpty)
        try place.open()
        #expect(try place.contents() == model)
    }

    @Test("a job that fails stops writes, and what it wrote is removed when the store is opened again")
    func failure() throws {
        let place = try Place()
        try place.open()
        for number in 0..<40 {
            try place.store.put(Array("key \(number)".utf8), Array(String(repeating: "x", count: 100).utf8))
        }
        try place.store.commit(sync: false)
        try place.store.requestFlush()
        while place.store.immutable == nil { place.store.work(budgetByteCount: 1, now: Bench.time) }
        // The flush may have begun here; it is done here then.
        place.store.flushJob?.abandon()
        place.store.flushJob = nil
        let job = try #require(place.store.takeJob(now: Bench.time))
        #expect(place.store.takeJob(now: Bench.time) == nil, "it is out already")
        // The directory is gone when it wants to sync it.
        try FileManager.default.removeItem(at: place.root.appendingPathComponent("data"))
        job.run()
        place.store.finish(job, now: Bench.time)
        #expect(place.store.readOnlyReason != nil)
        #expect(throws: KVStoreError.self) { try place.store.put(Array("a".utf8), Array("b".utf8)) }
    }

    @Test("a sync on a thread makes durable what was written before it, and says so in the log")
    func sync() throws {
        let place = try Place()
        try place.open()
        try place.store.commit(sync: true)
        #expect(try place.store.takeSync(now: Bench.time) == nil, "there is nothing to sync")
        try place.store.put("a".utf8, "1".utf8)
        let job = try #require(try place.store.takeSync(now: Bench.time))
        #expect(place.store.isSyncUnderWay)
        #expect(try place.store.takeSync(now: Bench.time) == nil, "one at a time")
        try place.store.put("b".utf8, "1".utf8)
        try place.store.commit(sync: false)
        let syncs = place.store.statistics.syncs
        job.run()
        #expect(place.store.unsyncedByteCount > 0 && place.store.statistics.syncs == syncs)
        place.store.finish(job, now: Bench.time)
        #expect(!place.store.isSyncUnderWay && place.store.statistics.syncs == syncs + 1)
        #expect(place.store.unsyncedByteCount > 0, "what came meanwhile is not in it")
        #expect(place.store.markSequence == 2)
        try place.store.commit(sync: true)
        #expect(place.store.unsyncedByteCount == 0 && place.store.markSequence == 3)
        try place.open()
        #expect(try place.contents() == ["a": "1", "b": "1"])
    }

    @Test("a flush counts once the manifest is durable, which another thread sees to; closing waits for it")
    func manifest() throws {
        let place = try Place()
        try place.open()
        try place.store.put("a".utf8, "1".utf8)
        try place.store.requestFlush()
        place.store.work(budgetByteCount: 0, now: Bench.time)
        while place.store.immutable == nil { place.store.work(budgetByteCount: 1, now: Bench.time) }
        place.store.flushJob?.abandon()
        place.store.flushJob = nil
        let flush = try #require(place.store.takeJob(now: Bench.time))
        flush.run()
        place.store.finish(flush, now: Bench.time)
        #expect(place.store.immutable != nil && place.store.versions.current.tableCount == 0)
        #expect(place.store.needsWorkHere)
        let manifest = try #require(place.store.takeJob(now: Bench.time))
        #expect(!place.store.needsWorkHere && place.store.takeJob(now: Bench.time) == nil)
        try place.store.put("b".utf8, "1".utf8)
        manifest.run()
        #expect(place.store.immutable != nil)
        place.store.finish(manifest, now: Bench.time)
        #expect(place.store.immutable == nil && place.store.versions.current.tableCount == 1)
        try place.store.checkInvariants()
        try place.store.close()
        try place.open()
        #expect(try place.contents() == ["a": "1", "b": "1"])
    }

    @Test("a disk in memory, or one with troubles, gives no jobs to threads")
    func simulated() throws {
        let bench = Bench()
        try bench.open()
        bench.store.waitForJob = {}
        try bench.store.put(Array("a".utf8), Array("b".utf8))
        try bench.store.requestCompaction()
        #expect(bench.store.takeJob(now: Bench.time) == nil && bench.store.needsWorkHere)
        bench.workAll()
        let place = try Place()
        place.node.faults.delay = .seconds(1)
        #expect(place.node.forWorker() == nil)
        place.node.faults.delay = .zero
        #expect(place.node.forWorker() != nil)
    }
}
