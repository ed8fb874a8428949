import KernelClock
import KernelProtobuf
import KernelStorage
import KernelStructures
import PromQLEngine
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// What collectors that were written for an afternoon get wrong, one test for each of it. (Elsewhere: that scrapes are
/// neither one after the other nor all at once is `ProcessScrapeScaleTests`, that one long query does not keep
/// everybody waiting `ProcessCollectorLongTests`, and that a clock that goes back loses nothing else
/// `ScraperTests.aClockThatGoesBackLosesSamplesAndNothingElse`.)
@Suite struct ForbiddenToyTests {
    private let store = TimeSeriesStore()

    private func add(_ labels: Labels, _ values: [Double], every step: Int64 = 15_000) throws {
        for (index, value) in values.enumerated() { try store.append(labels, 1_000_000 + Int64(index) * step, value) }
    }

    private func ask(_ query: String, at time: Int64) throws -> [Labels: Double] {
        guard case .vector(let rows) = try PromQLExpression(parsing: query).evaluate(over: store, at: time).value
        else { return [:] }
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.labels, $0.value) })
    }

    @Test func aRateIsTheLastMinusTheFirst() throws {
        // A restart in the middle: 10 a step, then from 0 again.
        try add(["__name__": "c"], [100, 110, 120, 5, 15])
        #expect(try ask("increase(c[1m])", at: 1_060_000)[[:]] == 10 + 10 + 5 + 10)
        // The range is longer than what there is: it is extrapolated, not divided by its length.
        #expect(try ask("rate(c[1h])", at: 1_060_000)[[:]] ?? 1 < 35.0 / 60)
    }

    @Test func aSeriesThatHasEndedGoesOn() throws {
        try add(["__name__": "a"], [1, Staleness.marker])
        #expect(try ask("a", at: 1_014_999) == [["__name__": "a"]: 1])
        #expect(try ask("a", at: 1_015_000).isEmpty)
        // And one of which nothing more is known, after five minutes.
        try add(["__name__": "b"], [1])
        #expect(try ask("b", at: 1_300_000).count == 1 && ask("b", at: 1_300_001).isEmpty)
    }

    @Test func quantilesAreAveragedAndBoundsComparedAsText() throws {
        // Of one instance all are quick, of the other one all are slow, and there are nine times as many.
        for (instance, counts) in [("1", [90.0, 90, 90]), ("2", [0, 0, 10])] {
            for (bound, count) in zip(["9", "10", "100"], counts) {
                let labels: Labels = ["__name__": "d_bucket", "instance": instance, "le": bound]
                try add(labels, [count])
            }
            try add(["__name__": "d_bucket", "instance": instance, "le": "+Inf"], [counts[2]])
        }
        let all = try ask("histogram_quantile(0.8, sum by (le) (d_bucket))", at: 1_000_000)
        // Within the first bucket; sorted as text, 10 would come before 9, and 100 as well.
        #expect(all[[:]] == 8)
    }

    @Test func everyMetricHasAFile() throws {
        let disk = SimulatedDisk()
        let node = NodeDisk(base: disk, owner: DiskOwner(1))
        var settings = StoreSettings()
        settings.blockMilliseconds = 60_000
        let store = try TimeSeriesStore(
            settings: settings, disk: node, directory: "/data", random: SeededRandom(seed: 1))
        for step in 0..<8 {
            var batch = TimeSeriesStore.Batch()
            for number in 0..<5000 {
                let handle = try store.handle(["__name__": "m\(number)"])
                try store.add(Int64(step) * 30_000, 1, to: handle, &batch)
            }
            store.commit(batch)
            while store.maintain(now: Int64(step) * 30_000) {}
        }
        func files(_ path: String) throws -> Int {
            try node.list(path).reduce(0) { sum, name in sum + max(1, (try? files("\(path)/\(name)")) ?? 1) }
        }
        let count = try files("/data")
        #expect(store.blocks.count > 0 && count < 30)
    }

    @Test func theOrderOfLabelsMakesAnotherSeries() throws {
        try add(Labels([("__name__", "a"), ("x", "1"), ("b", "2")]), [1])
        try add(Labels([("b", "2"), ("x", "1"), ("__name__", "a")]), [1])
        #expect(store.cardinality(limit: 1).seriesCount == 1)
        // What only looks like one label: the ends of names and values are kept apart.
        try add(["__name__": "a", "b": "2x", "x": ""], [1])
        try add(["__name__": "a", "b": "2", "x1": "1"], [1])
        try add(["__name__": "a", "bx": "2", "x": "1"], [1])
        #expect(store.cardinality(limit: 1).seriesCount == 4)
    }

    /// Whoever keeps labels in a dictionary takes one of the two, and which one is chance.
    @Test func aLabelThatStandsThereTwiceIsOne() throws {
        let configuration = ScrapeConfiguration(job: "j")
        let target = try #require(Target("h:1", group: [:], configuration))
        let scraper = TargetScraper(target, configuration, store)
        var metric = ProtobufWriter()
        metric.text(1, "a")
        metric.message(4) { metric in
            for value in ["1", "2"] {
                metric.message(1) {
                    $0.text(1, "x")
                    $0.text(2, value)
                }
            }
            metric.message(2) { $0.double(1, 7) }
        }
        var page = ProtobufWriter()
        page.delimited(metric.bytes)
        for (bytes, format) in [
            (Array("a{x=\"1\",x=\"2\"} 7\n".utf8), TargetScraper.PageFormat.text),
            (Array("a{x=\"1\",x=\"2\"} 7\n# EOF\n".utf8), .openMetrics), (page.bytes, .protobuf),
        ] {
            let outcome = scraper.take(bytes, format, at: 1000, duration: .zero)
            #expect(!outcome.isUp && outcome.error?.contains("twice") == true)
        }
        // A series of a remote write: { labels }.
        var write = ProtobufWriter()
        write.message(1) { series in
            for value in ["1", "2"] {
                series.message(1) {
                    $0.text(1, "x")
                    $0.text(2, value)
                }
            }
        }
        #expect(try RemoteWriteRequest(plain: write.bytes).series.map(\.hasLabelTwice) == [true])
    }

    /// Labels of which Prometheus's own hash is the same.
    @Test func seriesWithOneHashAreOne() throws {
        try add(["__name__": "metric", "lbl1": "value", "lbl2": "l6CQ5y"], [1])
        try add(["__name__": "metric", "lbl1": "value", "lbl2": "v7uDlF"], [2])
        #expect(try ask("sum by (lbl2) (metric)", at: 1_000_000) == [["lbl2": "l6CQ5y"]: 1, ["lbl2": "v7uDlF"]: 2])
    }

    @Test func anExpressionTakesForEver() throws {
        let long = String(repeating: "a", count: 50_000)
        try add(["__name__": "m", "x": long], [1])
        let began = HostClock.threadProcessorTime
        // For those that try one way after the other this doubles with each letter.
        #expect(try ask("m{x=~\"(a|aa)+b\"}", at: 1_000_000).isEmpty)
        #expect(try ask("m{x=~\"(a*)*(a*)*c?\"}", at: 1_000_000).count == 1)
        #expect(HostClock.threadProcessorTime - began < .seconds(5))
    }

    @Test func seriesAreMadeWithoutEnd() throws {
        var settings = StoreSettings()
        settings.seriesLimit = 1000
        let small = TimeSeriesStore(settings: settings)
        var refused = 0
        for number in 0..<3000 {
            do throws(AppendError) { try small.append(["__name__": "m", "user": "\(number)"], 1000, 1) } catch {
                #expect(error == .full(limit: 1000))
                refused += 1
            }
        }
        #expect(refused == 2000 && small.cardinality(limit: 1).seriesCount == 1000)
    }

    @Test func aLogThatIsReadAgainDoublesSamples() throws {
        let disk = SimulatedDisk()
        for round in 0..<4 {
            let store = try TimeSeriesStore(
                settings: StoreSettings(), disk: NodeDisk(base: disk, owner: DiskOwner(1)), directory: "/data",
                random: SeededRandom(seed: 1))
            // The clock was set back: what is older than the newest sample is refused, and what is there stays.
            if round > 0 {
                #expect(throws: AppendError.outOfOrder) {
                    try store.append(["__name__": "a"], Int64(round) * 1000 - 500, 7)
                }
            }
            try store.append(["__name__": "a"], Int64(round + 1) * 1000, Double(round))
            var column = SampleColumn()
            let all = Selection(from: 0, through: 1_000_000)
            for series in try store.select([.equal("__name__", "a")], all) { try series.read(into: &column) }
            #expect(column.values == (0...round).map(Double.init))
            // Half of the lives end without a goodbye.
            if round % 2 == 0 { try store.close() } else { try store.sync() }
        }
    }
}
