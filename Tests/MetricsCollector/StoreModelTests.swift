import KernelStorage
import KernelStructures
import TestSupport
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// A store beside a dictionary that does the same, through everything that a store does.
@Suite struct StoreModelTests {
    private typealias Model = [String: [Int64: Double]]

    /// What one has and the other has not, the first three of it.
    private static func difference(_ before: Model, _ after: Model) -> String {
        var lines: [String] = []
        for name in Set(before.keys).union(after.keys).sorted() {
            let (old, new) = (before[name] ?? [:], after[name] ?? [:])
            for time in Set(old.keys).union(new.keys).sorted() where old[time] != new[time] {
                lines.append("\(name) at \(time): \(old[time] ?? .nan), then \(new[time] ?? .nan)")
            }
        }
        return lines.prefix(3).joined(separator: "; ")
    }

    @Test(arguments: 0..<(isLong ? 60 : 8))
    func asADictionary(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var settings = StoreSettings()
        settings.blockMilliseconds = 20_000
        settings.longestBlockMilliseconds = 600_000
        settings.retentionMilliseconds = 0
        settings.outOfOrderMilliseconds = seed % 2 == 0 ? 0 : 15_000
        settings.segmentBytes = 64 * 1024
        settings.snapshotSamples = seed % 4 < 2 ? 0 : 1_000_000
        let disk = SimulatedDisk()
        func open() throws -> TimeSeriesStore {
            try TimeSeriesStore(
                settings: settings, disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: "/data",
                random: SeededRandom(seed: UInt64(seed)))
        }
        var store = try open()
        var model = Model()
        var now: Int64 = 0
        for step in 0..<600 {
            now += Int64(random.below(900))
            let name = "m\(random.below(5))"
            let lateness = random.chance(0.2) ? Int64(random.below(20_000)) : 0
            let value = Double(random.below(100))
            do throws(AppendError) {
                try store.append(["__name__": name, "x": "\(random.below(3))"], now - lateness, value)
            } catch {}
            if step % 50 == 49 {
                while store.maintain(now: now) {}
            }
            if random.chance(0.01) {
                let from = now - Int64(random.below(40_000))
                try store.delete([[.equal("__name__", name)]], from...from + 5000)
            }
            if step % 97 == 96 {
                let before = try store.contents()
                try store.close()
                store = try open()
                let after = try store.contents()
                #expect((before == after) == true, "seed \(seed), step \(step): \(Self.difference(before, after))")
                #expect(store.problems == [])
            }
        }
        model = try store.contents()
        while store.maintain(now: now) {}
        try store.cleanTombstones(now: now)
        #expect((try store.contents() == model) == true)
    }

    /// In order, the verdicts are exact: what is accepted is what can be read.
    @Test(arguments: 0..<(isLong ? 40 : 6))
    func whatIsAcceptedIsThere(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 1000)
        var settings = StoreSettings()
        settings.outOfOrderMilliseconds = seed % 2 == 0 ? 0 : 100_000
        let store = TimeSeriesStore(settings: settings)
        var model = Model()
        var now: Int64 = 1_000_000
        for _ in 0..<3000 {
            now += Int64(random.below(2000))
            let name = "m\(random.below(4))"
            // Some are of a time of which there is one already.
            let known = random.chance(0.1) ? model[name, default: [:]].keys.sorted().suffix(50).first : nil
            let time = known ?? now - (random.chance(0.3) ? Int64(random.below(200_000)) : 0)
            let value = Double(random.below(5))
            do throws(AppendError) {
                try store.append(["__name__": name], time, value)
                #expect(model[name]?[time] == nil || model[name]?[time] == value)
                model[name, default: [:]][time] = value
            } catch {
                let newest = model[name]?.keys.max() ?? .min
                #expect(time <= newest || time < now - 3_600_000, "\(error) for a newer sample")
                if settings.outOfOrderMilliseconds > 0, error == .outOfOrder { Issue.record("late samples are taken") }
            }
        }
        #expect((try store.contents() == model) == true)
    }
}

extension TimeSeriesStore {
    /// All samples of all series, by the metric's name where it is all that a series has.
    func contents() throws -> [String: [Int64: Double]] {
        var result: [String: [Int64: Double]] = [:]
        let selection = Selection(from: SampleTime.range.lowerBound, through: SampleTime.range.upperBound)
        var column = SampleColumn()
        for series in try select([try LabelMatcher("__name__", .matches, ".+")], selection) {
            column.removeAll()
            try series.read(into: &column)
            if column.count == 0 { continue }
            let key = series.labels.count == 1 ? series.labels.metricName : "\(series.labels)"
            result[key] = Dictionary(zip(column.timestamps, column.values)) { first, _ in first }
        }
        return result
    }
}
