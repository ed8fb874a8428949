import KernelStorage
import KernelStructures
import TestSupport
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Blocks and checkpoints that are written in slices, while samples come, late ones among them, and others are deleted.
@Suite struct SlicedStoreTests {
    private typealias Model = [String: [Int64: Double]]

    private final class Bench {
        let disk = SimulatedDisk()
        var settings = StoreSettings()
        var store: TimeSeriesStore
        var model = Model()
        var random: SeededRandom
        var now: Int64 = 0
        var slices = 0
        /// By all lives.
        var blocks = 0

        init(seed: Int) throws {
            random = SeededRandom(seed: UInt64(seed))
            settings.blockMilliseconds = 20_000
            settings.longestBlockMilliseconds = 600_000
            settings.retentionMilliseconds = 0
            settings.outOfOrderMilliseconds = seed % 2 == 0 ? 0 : 25_000
            settings.segmentBytes = 64 * 1024
            settings.snapshotSamples = seed % 4 < 2 ? 0 : 1_000_000
            store = TimeSeriesStore()
            try open()
        }

        func open() throws {
            store = try TimeSeriesStore(
                settings: settings, disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: "/data",
                random: SeededRandom(seed: random.next()))
        }

        /// A sample whose value follows from its time, so that the same one twice is no contradiction.
        func append() {
            now += Int64(random.below(40))
            let name = "m\(random.below(300))"
            let time = now - (random.chance(0.3) ? Int64(random.below(30_000)) : 0)
            do throws(AppendError) {
                try store.append(["__name__": name], time, Double(time % 1009))
                model[name, default: [:]][time] = Double(time % 1009)
            } catch {}
        }

        func delete() throws {
            let name = "m\(random.below(300))"
            let range = (now - Int64(random.below(60_000)))...now
            try store.delete([[.equal("__name__", name)]], range)
            // Not what is still to come: nothing is newer than the newest.
            for time in model[name]?.keys.filter({ range.contains($0) }) ?? [] { model[name]?[time] = nil }
            if model[name]?.isEmpty == true { model[name] = nil }
        }

        /// What others do between two slices.
        func between() throws {
            slices += 1
            for _ in 0..<random.below(20) { append() }
            if random.chance(0.02) { try delete() }
        }

        func contents() throws -> Model { try store.contents() }
    }

    @Test(arguments: 0..<(isLong ? 40 : 8))
    func whatComesMeanwhileIsThere(seed: Int) throws {
        let bench = try Bench(seed: seed)
        for round in 0..<12 {
            for _ in 0..<800 { bench.append() }
            while let job = bench.store.nextJob(now: bench.now) {
                let written = Result {
                    try job.write {
                        try? bench.between()
                        return true
                    }
                }
                let (cuts, compactions) = (bench.store.statistics.cutBlocks, bench.store.statistics.compactions)
                try bench.store.take(job, written)
                bench.blocks += bench.store.statistics.cutBlocks - cuts
                bench.blocks += bench.store.statistics.compactions - compactions
                try bench.store.checkpoint {
                    try? bench.between()
                    return true
                }
            }
            #expect((try bench.contents() == bench.model) == true, "seed \(seed), round \(round)")
            if round % 3 == 2 {
                if bench.random.chance(0.5) { try bench.store.close() } else { try bench.store.sync() }
                try bench.open()
                #expect((try bench.contents() == bench.model) == true, "seed \(seed), round \(round), again")
                #expect(bench.store.problems == [])
            }
        }
        #expect(bench.slices > 50 && bench.blocks > 5)
    }

    /// The end of the node between two slices: nothing more is touched, and the next start finds all.
    @Test(arguments: 0..<6)
    func itEndsBetweenTwoSlices(seed: Int) throws {
        let bench = try Bench(seed: 2 * seed)
        var left = 2 + seed * 3
        for _ in 0..<8000 {
            bench.append()
            guard let job = bench.store.nextJob(now: bench.now) else { continue }
            let written = Result {
                try job.write {
                    left -= 1
                    return left > 0
                }
            }
            if left > 0 {
                try bench.store.take(job, written)
                try bench.store.checkpoint {
                    left -= 1
                    return left > 0
                }
            }
            if left <= 0 { break }
        }
        #expect(left <= 0)
        try bench.store.sync()
        try bench.open()
        #expect((try bench.contents() == bench.model) == true)
        #expect(bench.store.problems == [])
        while bench.store.maintain(now: bench.now) {}
        #expect((try bench.contents() == bench.model) == true)
    }

    /// What is deleted while a block is being written is not in it.
    @Test func aDeletionMeanwhile() throws {
        let bench = try Bench(seed: 1)
        for _ in 0..<4000 { bench.append() }
        let job = try #require(bench.store.nextJob(now: bench.now))
        #expect(bench.store.nextJob(now: bench.now) == nil)
        var hasDeleted = false
        let written = Result {
            try job.write {
                if !hasDeleted { try? bench.delete() }
                hasDeleted = true
                return true
            }
        }
        #expect(hasDeleted && hasFailed(written))
        try bench.store.take(job, written)
        #expect(bench.store.statistics.cutBlocks == 0)
        while bench.store.maintain(now: bench.now) {}
        #expect(bench.store.statistics.cutBlocks > 0)
        #expect((try bench.contents() == bench.model) == true)
    }

    private func hasFailed(_ result: Result<Void, any Error>) -> Bool {
        if case .failure = result { true } else { false }
    }

    /// A late sample into a time that was deleted before is there, and stays there after a checkpoint.
    @Test func whatComesAfterADeletionIsThere() throws {
        let bench = try Bench(seed: 1)
        let matcher = LabelMatcher.equal("__name__", "a")
        for time in stride(from: Int64(0), to: 31_000, by: 1000) {
            try bench.store.append(["__name__": "a"], time, Double(time))
        }
        try bench.store.append(["__name__": "a"], 15_500, 1)
        try bench.store.delete([[matcher]], 10_000...20_000)
        try bench.store.append(["__name__": "a"], 15_500, 2)
        try bench.store.append(["__name__": "a"], 16_000, 3)
        let wanted: [Int64: Double] = [15_500: 2, 16_000: 3]
        for _ in 0..<3 {
            let found = try bench.contents()["a"] ?? [:]
            #expect(found.filter { (10_000...20_000).contains($0.key) } == wanted)
            #expect(found.count == 22)
            try bench.store.close()
            try bench.open()
            while bench.store.maintain(now: 31_000) {}
        }
    }
}
