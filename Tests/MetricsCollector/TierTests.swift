import KernelConfiguration
import KernelStorage
import KernelStructures
import PromQLEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Thinned copies beside a calculation of the same from all samples.
@Suite struct TierTests {
    private static let owner = DiskOwner(1)

    private static func open(_ disk: any Disk, _ settings: StoreSettings) throws -> TimeSeriesStore {
        try TimeSeriesStore(
            settings: settings, disk: NodeDisk(base: disk, owner: owner), directory: "/data",
            random: SeededRandom(seed: 5))
    }

    /// Small days, so that there are many of them.
    private static var small: StoreSettings {
        var settings = StoreSettings()
        settings.blockMilliseconds = 10_000
        settings.longestBlockMilliseconds = 90_000
        settings.tierBlockMilliseconds = 30_000
        settings.retentionMilliseconds = 0
        settings.segmentBytes = 1
        settings.tiers = [
            .init(widthMilliseconds: 2000, retentionMilliseconds: 0),
            .init(widthMilliseconds: 6000, retentionMilliseconds: 0),
        ]
        return settings
    }

    /// What windows of a width have, by the definition: `(end - width, end]`.
    private static func windows(_ samples: [(time: Int64, value: Double)], _ width: Int64) -> [Int64: [Tier.Figure:
        Double]]
    {
        var found: [Int64: [Tier.Figure: Double]] = [:]
        var adjusted = 0.0
        var last: Double?
        for (time, value) in samples where !Staleness.isMarker(value) {
            adjusted += last.map { value < $0 ? value : value - $0 } ?? value
            last = value
            var end = width * (time / width)
            if end < time { end += width }
            let old = found[end]
            found[end] = [
                .min: min(old?[.min] ?? value, value), .max: max(old?[.max] ?? value, value),
                .sum: (old?[.sum] ?? 0) + value, .count: (old?[.count] ?? 0) + 1, .last: value, .counter: adjusted,
            ]
        }
        return found
    }

    private static func samples(_ store: TimeSeriesStore, _ name: String) throws -> [(time: Int64, value: Double)] {
        var column = SampleColumn()
        let selection = Selection(from: 0, through: SampleTime.range.upperBound)
        for series in try store.selectSamples([.equal("__name__", name)], selection) { try series.read(into: &column) }
        return Array(zip(column.timestamps, column.values)).map { ($0, $1) }
    }

    /// Every figure of every window that a tier has is what its samples say, and none is missing.
    private static func check(_ store: TimeSeriesStore, _ names: [String], _ place: String) throws {
        for tier in store.tiers {
            guard let end = tier.end else { continue }
            for name in names {
                let wanted = windows(try samples(store, name), tier.widthMilliseconds).filter { $0.key <= end }
                for figure in Tier.Figure.allCases {
                    var column = SampleColumn()
                    let all = Selection(from: -1, through: SampleTime.range.upperBound)
                    for series in try tier.select(figure, [.equal("__name__", name)], all) {
                        try series.read(into: &column)
                    }
                    let found = Dictionary(uniqueKeysWithValues: zip(column.timestamps.map { $0 + 1 }, column.values))
                    #expect(
                        (found == wanted.mapValues { $0[figure] ?? .nan }) == true,
                        "\(place): \(figure) of \(name) in \(tier.name)")
                }
            }
        }
    }

    @Test(arguments: 0..<(isLong ? 40 : 6)) func figuresAreThoseOfTheSamples(seed: Int) throws {
        let disk = SimulatedDisk()
        var random = SeededRandom(seed: UInt64(seed))
        var store = try Self.open(disk, Self.small)
        var counter = 0.0
        var time: Int64 = Int64(random.below(100_000))
        for step in 0..<1500 {
            time += Int64(1 + random.below(400))
            if random.chance(0.05) { time = (time / 2000 + 1) * 2000 }
            counter = random.chance(0.02) ? Double(random.below(5)) : counter + Double(random.below(9))
            try store.append(["__name__": "c"], time, counter)
            if random.chance(0.5) { try store.append(["__name__": "g"], time, Double(random.below(200)) - 100) }
            if step % 300 < 200 { try store.append(["__name__": "gone"], time, Double(step)) }
            if step % 300 == 200 { try store.append(["__name__": "gone"], time, Staleness.marker) }
            if random.chance(0.1) { while store.maintain(now: time) {} }
            if random.chance(0.01) {
                if random.chance(0.5) { try store.close() } else { try store.sync() }
                store = try Self.open(disk, Self.small)
            }
        }
        while store.maintain(now: time) {}
        #expect(store.problems == [] && store.tiers.allSatisfy { ($0.end ?? 0) > time - 60_000 })
        #expect(store.tiers[0].archives.values.allSatisfy { $0.blocks.count < 6 }, "they are compacted, too")
        try Self.check(store, ["c", "g", "gone"], "seed \(seed)")
    }

    /// The power fails at every operation; whoever goes on afterwards has whole days, none twice.
    @Test(arguments: 0..<(isLong ? 4 : 1)) func powerLoss(seed: Int) throws {
        func life(_ crashAt: Int) throws -> (SimulatedDisk, Int) {
            let disk = SimulatedDisk()
            let crash = CrashDisk(disk)
            crash.crashAt = crashAt
            var random = SeededRandom(seed: UInt64(seed))
            guard let store = try? Self.open(crash, Self.small) else { return (disk, crash.operations) }
            for step in 0..<160 {
                let time = Int64(step) * 600
                try? store.append(["__name__": "c"], time, Double(step % 50))
                if step % 3 == 0 { try? store.append(["__name__": "g"], time, Double(random.below(50))) }
                try? store.sync()
                if step % 20 == 19 { while store.maintain(now: time) {} }
                if store.statistics.failedWrites > 0 { break }
            }
            return (disk, crash.operations)
        }
        let (_, operations) = try life(.max)
        #expect(operations > 500)
        for point in stride(from: seed, to: operations, by: isLong ? 1 : 5) {
            let (disk, _) = try life(point)
            _ = disk.losePower(owner: Self.owner, policy: .random(seed: UInt64(point)))
            let store = try Self.open(disk, Self.small)
            while store.maintain(now: 1_000_000) {}
            #expect(store.problems == [], "operation \(point)")
            try Self.check(store, ["c", "g"], "operation \(point)")
        }
    }

    // MARK: Queries

    private static let minute: Int64 = 60_000
    private static let hour = 60 * minute
    private static let day = 24 * hour

    /// Fifty days of a sample a minute, of which ten are kept as they are.
    private func years(_ days: Int64, every interval: Int64, raw: Int64) throws -> (
        TimeSeriesStore, counter: [(time: Int64, value: Double)], gauge: [(time: Int64, value: Double)], end: Int64
    ) {
        var settings = StoreSettings()
        settings.retentionMilliseconds = raw
        settings.tiers = [
            .init(widthMilliseconds: 5 * Self.minute, retentionMilliseconds: 0),
            .init(widthMilliseconds: Self.hour, retentionMilliseconds: 0),
        ]
        let store = try Self.open(SimulatedDisk(), settings)
        var random = SeededRandom(seed: 9)
        var counter: [(time: Int64, value: Double)] = []
        var gauge: [(time: Int64, value: Double)] = []
        var value = 0.0
        let start = 1_700_000_000_000 / Self.day * Self.day
        let end = start + days * Self.day
        let handles = (try store.handle(["__name__": "c"]), try store.handle(["__name__": "g"]))
        for time in stride(from: start + 7000, to: end, by: Int64.Stride(interval)) {
            value = random.chance(0.001) ? 0 : value + Double(random.below(10))
            counter.append((time, value))
            gauge.append((time, Double(random.below(1000)) - 500))
            var batch = TimeSeriesStore.Batch()
            try store.add(time, value, to: handles.0, &batch)
            try store.add(time, gauge[gauge.count - 1].value, to: handles.1, &batch)
            store.commit(batch)
            if time % Self.hour < interval { while store.maintain(now: time) {} }
        }
        while store.maintain(now: end) {}
        return (store, counter, gauge, end)
    }

    private func ask(
        _ store: TimeSeriesStore, _ query: String, _ from: Int64, _ through: Int64, _ step: Int64
    ) throws -> (values: [Int64: Double], QueryStatistics) {
        let result = try PromQLExpression(parsing: query).evaluateRange(
            over: store, from: from, through: through, stepMilliseconds: step)
        guard case .matrix(let rows) = result.value else { return ([:], result.statistics) }
        var values: [Int64: Double] = [:]
        for sample in rows.first?.samples ?? [] { values[sample.timestamp] = sample.value }
        return (values, result.statistics)
    }

    @Test func queriesAreAnsweredWithinTheErrorThatIsStated() throws {
        let (store, counter, gauge, end) = try years(50, every: Self.minute, raw: 10 * Self.day)
        #expect((store.blocks.map(\.meta.minTime).min() ?? 0) > end - 20 * Self.day, "the samples themselves are gone")
        let from = end - 48 * Self.day
        func within(_ samples: [(time: Int64, value: Double)], _ time: Int64, _ range: Int64) -> [Double] {
            samples.filter { $0.time > time - range && $0.time <= time }.map(\.value)
        }
        // At the ends of windows there is no error at all.
        let (most, cost) = try ask(store, "max_over_time(g[1d])", from, end, Self.day)
        #expect(cost.tierMilliseconds == [Self.hour] && cost.samplesRead < 48 * 24 + 3 * 1440 && most.count == 49)
        let least = try ask(store, "min_over_time(g[1d])", from, end, Self.day).values
        let sum = try ask(store, "sum_over_time(g[1d])", from, end, Self.day).values
        let count = try ask(store, "count_over_time(g[1d])", from, end, Self.day).values
        let mean = try ask(store, "avg_over_time(g[1d])", from, end, Self.day).values
        let grown = try ask(store, "increase(c[1d])", from, end, Self.day).values
        let moments = try ask(store, "g", from, end, Self.hour)
        #expect(moments.1.tierMilliseconds == [Self.hour])
        for time in stride(from: from, through: end, by: Int64.Stride(Self.day)) {
            let own = within(gauge, time, Self.day)
            #expect(most[time] == own.max() && least[time] == own.min() && count[time] == Double(own.count))
            #expect(sum[time] == own.reduce(0, +) && mean[time] == own.reduce(0, +) / Double(own.count))
            #expect(moments.values[time] == own.last)
            // The samples themselves are extrapolated to the ends of the range: by less than a minute on each side.
            var increase = 0.0
            let counts = counter.filter { $0.time > time - Self.day - Self.minute && $0.time <= time }.map(\.value)
            for (one, next) in zip(counts, counts.dropFirst()) { increase += next < one ? next : next - one }
            #expect(abs((grown[time] ?? 0) - increase) <= 20, "\(time): \(grown[time] ?? 0), not \(increase)")
        }
        // Between them the ends are rounded: by half a window, an increase's by a window.
        for shift in [7 * Self.minute, 29 * Self.minute, 59 * Self.minute] {
            let sums = try ask(store, "count_over_time(g[1d])", from + shift, end - Self.day + shift, Self.day).values
            for (_, value) in sums { #expect(abs(value - 1440) <= 60) }
            let values = try ask(store, "g", from + shift, end - Self.day + shift, Self.day).values
            for (time, value) in values {
                #expect(
                    gauge.contains { $0.time > time - Self.hour - Self.minute && $0.time <= time && $0.value == value })
            }
            #expect(values.count == 48 && sums.count == 48)
        }
    }

    @Test func recentAndFineQuestionsAreAnsweredFromTheSamplesThemselves() throws {
        let (store, _, _, end) = try years(16, every: Self.minute, raw: 10 * Self.day)
        for (query, from, step) in [
            ("g", end - 6 * Self.hour, Self.minute), ("rate(c[5m])", end - 6 * Self.hour, Self.minute),
            ("max_over_time(g[1h])", end - 3 * Self.hour, Self.minute),
            // What a copy does not have.
            ("quantile_over_time(0.5, g[1d])", end - 8 * Self.day, Self.day),
            ("timestamp(g)", end - 8 * Self.day, Self.hour),
        ] {
            let (values, cost) = try ask(store, query, from, end, step)
            #expect(cost.tierMilliseconds.isEmpty && values.count > 7, "\(query)")
        }
        // Of a fine drawing of what is gone the copies give what they have, all the way to the newest sample.
        let (values, cost) = try ask(store, "g", end - 15 * Self.day, end - 1, 30 * Self.minute)
        #expect(cost.tierMilliseconds == [5 * Self.minute] && values.count == 15 * 48)
    }

    @Test func aYearIsReadInAMoment() throws {
        let (store, _, _, end) = try years(365, every: isLong ? 15_000 : 15 * Self.minute, raw: 3 * Self.day)
        let from = end - 364 * Self.day
        for query in ["max_over_time(g[1d])", "increase(c[1d])", "avg_over_time(g[1d])", "g"] {
            let (values, cost) = try ask(store, query, from, end, Self.day)
            #expect(values.count >= 364 && cost.tierMilliseconds == [Self.hour])
            // Windows of a year, and the days that are not thinned yet.
            #expect(cost.samplesRead < 365 * 24 + 4 * 5760)
        }
    }

    @Test func theConfigurationSaysWhichOnesThereAre() throws {
        func read(_ text: String) throws -> [TierSettings] {
            try CollectorConfiguration(yaml: Array(text.utf8), file: "c.yaml").tiers
        }
        let both = "storage: {downsampling: [{resolution: 5m, retention: 90d}, {resolution: 1h}]}"
        #expect(
            try read(both) == [
                TierSettings(widthMilliseconds: 300_000, retentionMilliseconds: 90 * Self.day),
                TierSettings(widthMilliseconds: Self.hour, retentionMilliseconds: 0),
            ])
        for wrong in ["{resolution: 7m}", "{retention: 1d}", "{resolution: 5m}, {resolution: 300s}"] {
            #expect(throws: ConfigurationError.self) { try read("storage: {downsampling: [\(wrong)]}") }
        }
    }
}
