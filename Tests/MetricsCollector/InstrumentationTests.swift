import Glibc
import KernelStructures
import KernelTelemetry
import Synchronization
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// The documentation's application, with the client library (product `Metrics`): counted by many threads, read by the
/// collector.
@Suite struct InstrumentationTests {
    /// As the documentation has it, in Swift.
    private final class App: Sendable {
        let registry = MetricRegistry()
        let requestCounter: MetricFamily<Counter>
        let requestDuration: Histogram

        init() throws {
            requestCounter = try registry.counters(
                "http_requests_total", "Total HTTP requests", labels: ["method", "path", "status"])
            requestDuration = try registry.histogram(
                "http_request_duration_seconds", "Request duration histogram",
                buckets: HistogramBuckets([0.01, 0.05, 0.1, 0.5, 1.0]))
        }

        func handler(took seconds: Double) {
            // … handle request …
            requestDuration.observe(seconds)
            requestCounter.with("GET", "/api/users", "200").increment()
        }
    }

    // @covers MET-C1 MET-H1
    @Test func nothingIsLostWhereManyThreadsCount() throws {
        let app = try App()
        let perThread = 20_000
        var threads: [pthread_t] = []
        for _ in 0..<4 {
            let box = Unmanaged.passRetained(app)
            var thread = pthread_t()
            let status = pthread_create(
                &thread, nil,
                { raw in
                    let app = Unmanaged<App>.fromOpaque(raw!).takeRetainedValue()
                    for index in 0..<20_000 { app.handler(took: index % 2 == 0 ? 0.25 : 0.03125) }
                    return nil
                }, box.toOpaque())
            #expect(status == 0)
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
        let page = String(decoding: app.registry.page(.text), as: UTF8.self)
        let lines = page.split(separator: "\n").map(String.init)
        let total = 4 * perThread
        #expect(lines.contains("http_requests_total{method=\"GET\",path=\"/api/users\",status=\"200\"} \(total)"))
        let buckets = [
            ("0.01", 0), ("0.05", total / 2), ("0.1", total / 2), ("0.5", total), ("1.0", total), ("+Inf", total),
        ]
        for (bound, count) in buckets {
            #expect(lines.contains("http_request_duration_seconds_bucket{le=\"\(bound)\"} \(count)"))
        }
        #expect(
            lines.contains("http_request_duration_seconds_sum \(Double(total / 2) * 0.28125 == 11250 ? "11250" : "?")"))
    }

    @Test(arguments: [ExpositionFormat.text, .openMetrics, .protobuf])
    func theCollectorReadsWhatTheLibraryWrites(format: ExpositionFormat) throws {
        let app = try App()
        for index in 0..<100 { app.handler(took: Double(index) / 100) }
        let store = TimeSeriesStore()
        let configuration = ScrapeConfiguration(job: "app")
        let target = try #require(Target("h:1", group: [:], configuration))
        let scraper = TargetScraper(target, configuration, store)
        let outcome = scraper.take(
            app.registry.page(format), .init(contentType: format.contentType), at: 1000, duration: .zero)
        #expect(outcome.error == nil && outcome.keptSamples == 9)
        #expect(scraper.metadata["http_request_duration_seconds"]?.type == .histogram)
        var column = SampleColumn()
        for series in try store.select([.equal("le", "0.5")], Selection(from: 0, through: 2000)) {
            try series.read(into: &column)
        }
        #expect(column.values == [51])
    }

    // From a bucket of the application's page to the trace of a request that fell into it.
    @Test func theCollectorReadsTheTracesOfBuckets() throws {
        let app = try App()
        let trace = try #require(TraceID(high: 3, low: 5))
        app.handler(took: 0.25)
        app.requestDuration.observe(0.375, in: trace, at: .documentedEpoch)
        let configuration = ScrapeConfiguration(job: "app")
        let target = try #require(Target("h:1", group: [:], configuration))
        let scraper = TargetScraper(target, configuration, TimeSeriesStore())
        var ring = ExemplarRing(limit: 10)
        for (format, count) in [(ExpositionFormat.text, 0), (.openMetrics, 1), (.protobuf, 1)] {
            let outcome = scraper.take(
                app.registry.page(format), .init(contentType: format.contentType),
                at: 1000 + LabTime.documentedEpoch.nanoseconds / 1_000_000, duration: .zero)
            #expect(outcome.error == nil && outcome.exemplars.count == count)
            for exemplar in outcome.exemplars { ring.add(exemplar) }
        }
        let found = ring.select([[.equal("le", "0.5")]], 0...Int64.max)
        let exemplar = try #require(found.first?.1.first)
        #expect(found.count == 1 && ring.select([[.equal("le", "0.1")]], 0...Int64.max).isEmpty)
        #expect(exemplar.labels["trace_id"] == "\(trace)" && exemplar.value == 0.375)
        #expect(exemplar.timestamp == LabTime.documentedEpoch.nanoseconds / 1_000_000)
    }
}
