import KernelStorage
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// What a clean stop leaves for the next start: the same as the log says, or nothing.
@Suite struct HeadSnapshotTests {
    private let disk = SimulatedDisk()

    private func open() throws -> TimeSeriesStore {
        var settings = StoreSettings()
        settings.snapshotSamples = 1
        settings.outOfOrderMilliseconds = 600_000
        return try TimeSeriesStore(
            settings: settings, disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: "/data",
            random: SeededRandom(seed: 1))
    }

    private func contents(_ store: TimeSeriesStore) throws -> [Labels: [Int64: Double]] {
        var found: [Labels: [Int64: Double]] = [:]
        let all = Selection(from: 0, through: SampleTime.range.upperBound)
        for series in try store.select([try LabelMatcher("__name__", .matches, ".+")], all) {
            var column = SampleColumn()
            try series.read(into: &column)
            found[series.labels] = Dictionary(uniqueKeysWithValues: zip(column.timestamps, column.values))
        }
        return found
    }

    /// Samples in order and late ones, deleted ones, histograms, exemplars, a series that nothing is said of.
    private func filled() throws -> TimeSeriesStore {
        let store = try open()
        var random = SeededRandom(seed: 4)
        var histogram = NativeHistogram()
        histogram.positiveSpans = [.init(offset: 0, length: 1)]
        for step in 0..<400 {
            let time = 1_000_000 + Int64(step) * 1000
            for name in ["a", "b", "größe"] where random.chance(0.8) {
                try? store.append(
                    ["__name__": name, "x": "\(step % 3)"], time - Int64(random.below(5000)), Double(step))
            }
            histogram.positiveBuckets = [Double(step)]
            histogram.count = Double(step)
            var batch = TimeSeriesStore.Batch()
            try store.add(time, histogram, to: try store.handle(["__name__": "h"]), &batch)
            store.commit(batch)
        }
        try store.delete([[.equal("__name__", "b")]], 1_100_000...1_120_000)
        store.add([Exemplar(series: ["__name__": "a", "x": "0"], labels: ["trace_id": "7"], value: 1, timestamp: 5)])
        _ = try store.handle(["__name__": "silent"])
        return store
    }

    @Test func theNextStartHasAllOfItWithoutTheLog() throws {
        let store = try filled()
        let before = try contents(store)
        try store.close()
        let next = try open()
        #expect(next.statistics.snapshotSeries == 11 && next.statistics.replayedSamples == 0 && next.problems == [])
        #expect((try contents(next) == before) == true)
        #expect(next.exemplars.inOrder == store.exemplars.inOrder)
        // It goes on as if nothing had been: the same once more is the same, another value is none.
        try next.append(["__name__": "silent"], 1_400_000, 3)
        var batch = TimeSeriesStore.Batch()
        let handle = try next.handle(["__name__": "silent"])
        try next.add(1_400_000, 3, to: handle, &batch)
        #expect(throws: AppendError.duplicate) { try next.add(1_400_000, 4, to: handle, &batch) }
        try next.sync()
        // A kill afterwards: what was left is out of date, and the log has everything.
        let last = try open()
        #expect(last.statistics.snapshotSeries == 0 && last.statistics.replayedSamples > 1000 && last.problems == [])
        var wanted = before
        wanted[["__name__": "silent"]] = [1_400_000: 3]
        #expect((try contents(last) == wanted) == true)
    }

    @Test func oneThatIsDamagedOrDoesNotFitIsPassedOver() throws {
        let store = try filled()
        let before = try contents(store)
        try store.close()
        let node = NodeDisk(base: disk, owner: DiskOwner(1))
        let whole = try node.contents(of: "/data/head.snapshot")
        let log = try node.contents(of: "/data/wal/00000000")
        for index in stride(from: 0, to: whole.count, by: whole.count / 50) {
            var bytes = whole
            bytes[index] ^= 0x10
            try node.store(bytes, at: "/data/head.snapshot")
            let next = try open()
            #expect(next.statistics.snapshotSeries == 0)
            #expect((try contents(next) == before) == true)
            // As it was left, for the next one.
            try node.remove("/data/wal/00000001")
        }
        try node.store(whole, at: "/data/head.snapshot")
        try node.store(log + [0], at: "/data/wal/00000000")
        #expect(try open().statistics.snapshotSeries == 0)
    }
}
