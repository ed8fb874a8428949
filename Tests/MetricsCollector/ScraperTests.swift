import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// One target, page after page.
@Suite struct ScraperTests {
    private final class Bench {
        let store = TimeSeriesStore()
        let scraper: TargetScraper
        var time: Int64 = 1_700_000_000_000

        init(_ change: (inout ScrapeConfiguration) -> Void = { _ in }) throws {
            var configuration = ScrapeConfiguration(job: "j")
            change(&configuration)
            let target = try #require(Target("h:1", group: [:], configuration))
            scraper = TargetScraper(target, configuration, store)
        }

        @discardableResult
        func page(_ text: String, openMetrics: Bool = false) -> TargetScraper.Outcome {
            time += 15_000
            return scraper.take(Array(text.utf8), isOpenMetrics: openMetrics, at: time, duration: .milliseconds(3))
        }

        /// The values of all series of a name, stale ones as nil.
        func values(_ name: String) throws -> [String: Double?] {
            var result: [String: Double?] = [:]
            for series in try store.select([.equal("__name__", name)], Selection(from: 0, through: time)) {
                var column = SampleColumn()
                try series.read(into: &column)
                guard let last = column.values.last else { continue }
                let rest = series.labels.filter { !$0.elementsEqual("job".utf8) && !$0.elementsEqual("instance".utf8) }
                result["\(rest.withoutMetricName)"] = .some(Staleness.isMarker(last) ? nil : last)
            }
            return result
        }
    }

    // @covers MET-H2
    @Test func whatIsNotOnTheNextPageIsStale() throws {
        let bench = try Bench()
        let first = bench.page("a{x=\"1\"} 1\na{x=\"2\"} 2\n")
        #expect(first.isUp && first.scrapedSamples == 2 && first.addedSeries == 2)
        #expect(bench.page("a{x=\"1\"} 5\n").addedSeries == 0)
        #expect(try bench.values("a") == ["{x=\"1\"}": 5, "{x=\"2\"}": nil])
        bench.page("a{x=\"2\"} 7\n")
        #expect(try bench.values("a") == ["{x=\"1\"}": nil, "{x=\"2\"}": 7])
        #expect(try bench.values("up") == ["{}": 1])
        #expect(try bench.values("scrape_samples_scraped") == ["{}": 1])
        bench.time += 15_000
        _ = bench.scraper.fail("gone", at: bench.time, duration: .zero)
        #expect(try bench.values("a") == ["{x=\"1\"}": nil, "{x=\"2\"}": nil])
        #expect(try bench.values("up") == ["{}": 0])
    }

    @Test func aPageWithAMistakeCountsAsNone() throws {
        let bench = try Bench()
        bench.page("a 1\n")
        let outcome = bench.page("a 2\nb{ 3\n")
        #expect(!outcome.isUp && outcome.error?.hasPrefix("line 2") == true)
        #expect(try bench.values("a") == ["{}": nil])
        #expect(try bench.values("b").isEmpty)
    }

    @Test func limitsRefuseTheWholePage() throws {
        let bench = try Bench { $0.sampleLimit = 2 }
        #expect(bench.page("a 1\nb 1\n").isUp)
        #expect(bench.page("a 1\nb 1\nc 1\n").error == "more than 2 samples")
        let labels = try Bench {
            $0.labelLimit = 4
            $0.labelValueLengthLimit = 8
        }
        #expect(labels.page("a{x=\"1\"} 1\n").isUp)
        #expect(!labels.page("a{x=\"1\",y=\"2\"} 1\n").isUp)
        #expect(!labels.page("a{x=\"123456789\"} 1\n").isUp)
    }

    @Test func labelsOfThePageAndOfTheTarget() throws {
        #expect(try Bench().page("a{job=\"mine\"} 1\n").isUp)
        let bench = try Bench()
        bench.page("a{job=\"mine\",exported_job=\"other\"} 1\n")
        let series = try bench.store.series([[.equal("__name__", "a")]], Selection(from: 0, through: bench.time))
        #expect(series.first?["job"] == "j" && series.first?["exported_exported_job"] == "mine")
        let honest = try Bench { $0.honorsLabels = true }
        honest.page("a{job=\"mine\"} 1\n")
        #expect(try honest.store.series([[.equal("job", "mine")]], Selection(from: 0, through: honest.time)).count == 1)
    }

    @Test func samplesWithTimesOfTheirOwn() throws {
        let bench = try Bench()
        let old = bench.time - 60_000
        #expect(bench.page("a 1 \(old)\n").isUp)
        // Not tracked: no marker when it is gone.
        bench.page("b 1\n")
        #expect(try bench.values("a") == ["{}": 1])
        // An hour ahead of everything else would make the rest look old.
        #expect(bench.page("c 1 \(bench.time + 3_600_000)\nb 2\n").outOfBounds == 1)
        #expect(bench.page("a 2 \(old)\nb 3\n").duplicates == 1)
        #expect(bench.page("a 2 \(old - 5)\nb 4\n").outOfOrder == 1)
        let deaf = try Bench { $0.honorsTimestamps = false }
        deaf.page("a 1 5\n")
        #expect(try deaf.values("a") == ["{}": 1])
    }

    @Test func aClockThatGoesBackLosesSamplesAndNothingElse() throws {
        let bench = try Bench()
        bench.page("a 1\n")
        bench.time -= 60_000
        #expect(bench.page("a 2\n").isUp)
        #expect(try bench.values("a").isEmpty)
        bench.time += 60_000
        #expect(bench.page("a 3\n").isUp)
        #expect(try bench.values("a") == ["{}": 3])
    }

    /// Series are expected in the order of the page before, and found in any other.
    @Test func theOrderOfAPageDoesNotMatter() throws {
        let bench = try Bench()
        var random = SeededRandom(seed: 3)
        var known: Set<Int> = []
        for round in 0..<200 {
            var names = (0..<12).filter { _ in random.chance(0.8) }
            if random.chance(0.5) { names = names.map { ($0, random.next()) }.sorted { $0.1 < $1.1 }.map(\.0) }
            let outcome = bench.page(names.map { "a{n=\"\($0)\"} \(round * 100 + $0)\n" }.joined())
            #expect(outcome.addedSeries == Set(names).subtracting(known).count && outcome.keptSamples == names.count)
            known = Set(names)
            let values = try bench.values("a")
            for name in 0..<12 where values["{n=\"\(name)\"}"] != nil {
                let wanted = known.contains(name) ? Double(round * 100 + name) : nil
                #expect(values["{n=\"\(name)\"}"] == .some(wanted))
            }
        }
    }

    @Test func aCardinalityBombIsBounded() throws {
        var settings = StoreSettings()
        settings.seriesLimit = 100
        let store = TimeSeriesStore(settings: settings)
        let configuration = ScrapeConfiguration(job: "j")
        let target = try #require(Target("h:1", group: [:], configuration))
        let scraper = TargetScraper(target, configuration, store)
        let page = (0..<1000).map { "a{x=\"\($0)\"} 1\n" }.joined()
        let outcome = scraper.take(Array(page.utf8), isOpenMetrics: false, at: 1000, duration: .zero)
        #expect(!outcome.isUp && outcome.error?.contains("full") == true)
        #expect(store.cardinality(limit: 1).seriesCount == 100)
    }

    @Test func numbersAtTheEndsOfTheirRange() throws {
        let bench = try Bench()
        let values: [Double] = [.infinity, -.infinity, .greatestFiniteMagnitude, 5e-324, -0.0, 9_007_199_254_740_993]
        for value in values {
            bench.page("a \(value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)")\n")
            #expect(try bench.values("a")["{}"]??.bitPattern == value.bitPattern)
        }
        bench.page("a NaN\n")
        #expect(try bench.values("a")["{}"]??.bitPattern == Staleness.ordinaryNaN.bitPattern)
    }
}
