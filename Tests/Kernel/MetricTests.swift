import KernelStructures
import KernelTelemetry
import Testing

@Suite("Counters, gauges and histograms")
struct MetricTests {
    private func page(_ registry: MetricRegistry) -> String { String(decoding: registry.page(), as: UTF8.self) }

    @Test("increments of several threads are all there")
    func threads() async throws {
        let counter = Counter()
        let gauge = Gauge()
        let histogram = Histogram(HistogramBuckets([1, 2, 3]))
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for step in 0..<10_000 {
                        counter.increment()
                        counter.increment(by: 0.5)
                        gauge.increment(by: worker % 2 == 0 ? 1 : -1)
                        histogram.observe(Double(step % 4))
                    }
                }
            }
        }
        #expect(counter.value == 60_000 && gauge.value == 0)
        #expect(histogram.bucketCounts == [20_000, 10_000, 10_000, 0] && histogram.sum == 60_000)
    }

    @Test("a counter never falls, whatever it is given")
    func counterOnlyRises() {
        let counter = Counter()
        counter.increment(by: 3)
        for amount in [-1, .min] { counter.increment(by: amount) }
        for amount in [-0.5, .nan, .infinity, -.infinity] { counter.increment(by: amount) }
        #expect(counter.value == 3)
    }

    @Test("an observation belongs to the first bound that it does not exceed")
    func buckets() {
        let histogram = Histogram(HistogramBuckets([0.1, 1, 10]))
        for value in [-1, 0.1, 0.100_000_1, 1, 10, 10.5, .infinity, .nan] { histogram.observe(value) }
        #expect(histogram.bucketCounts == [2, 2, 1, 2])
        let steps = HistogramBuckets.exponential(from: 1, factor: 2, count: 5)
        #expect(steps.bounds == [1, 2, 4, 8, 16])
    }

    @Test("a family has a series for each combination of values, and a limit to them")
    func families() throws {
        let registry = MetricRegistry(seriesLimit: 3)
        let family = try registry.counters("hits_total", "Hits", labels: ["who"])
        for number in 0..<10 { family.with("client \(number % 5)").increment() }
        family.with(String(repeating: "x", count: 2000)).increment()
        #expect(family.seriesCount == 3)
        #expect(
            page(registry) == """
                # HELP hits_total Hits
                # TYPE hits_total counter
                hits_total{who="client 0"} 2
                hits_total{who="client 1"} 2
                hits_total{who="client 2"} 2
                hits_total{otel_metric_overflow="true"} 5

                """)
        family.remove("client 1")
        family.with("client 9").increment(by: 7)
        #expect(page(registry).contains("{who=\"client 9\"} 7\n") && !page(registry).contains("client 1"))
    }

    @Test("the same name is the same family, and another kind under it is refused")
    func registration() throws {
        let registry = MetricRegistry()
        try registry.counter("a_total", "A").increment()
        try registry.counter("a_total", "A").increment()
        #expect(page(registry).hasSuffix("a_total 2\n"))
        #expect(throws: MetricError.clash("a_total")) { try registry.gauge("a_total", "A") }
        #expect(throws: MetricError.clash("a_total")) { try registry.counters("a_total", "A", labels: ["b"]) }
        #expect(throws: MetricError.duplicateLabel("b")) { try registry.gauges("c", "C", labels: ["b", "b"]) }
        #expect(throws: MetricError.reservedLabel("le")) { try registry.histograms("d", "D", labels: ["le"]) }
    }

    @Test("names from outside are checked")
    func names() throws {
        for good in ["a", "_", ":a:b", "http_requests_total", "A9"] { #expect(try MetricName(good).text == good) }
        for bad in ["", "9a", "a-b", "a b", "é", "a\n", String(repeating: "a", count: 256)] {
            #expect(throws: MetricError.badName(bad)) { try MetricName(bad) }
        }
        for bad in ["", "9", "a:b", "__name", "a\"", "a-b"] {
            #expect(throws: MetricError.badLabel(bad)) { try LabelName(bad) }
        }
        let name = "_a1"
        #expect(try LabelName(name).text == name)
    }

    @Test("collectors add what is counted elsewhere")
    func collectors() throws {
        let registry = MetricRegistry()
        registry.collect { $0.gauge("from_elsewhere", "Elsewhere", 5, [("a", "b")]) }
        #expect(page(registry).hasSuffix("from_elsewhere{a=\"b\"} 5\n"))
    }
}
