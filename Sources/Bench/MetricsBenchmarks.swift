import KernelStructures
import KernelTelemetry
import MetricsCollectorEngine
import TimeSeriesEngine

/// What it costs to be counted: paid at every request, by everybody.
let metricsBenchmarks: [Benchmark] = [
    Benchmark("metrics", "a counter's increment", barNanoseconds: 10, threads: [1]) {
        let counter = Counter()
        return { count, _ in for _ in 0..<count { counter.increment() } }
    },
    Benchmark("metrics", "a counter's increment, from two threads", barNanoseconds: 40, threads: [2]) {
        let counter = Counter()
        return { count, _ in for _ in 0..<count { counter.increment() } }
    },
    Benchmark("metrics", "a fraction added to a counter", barNanoseconds: 40, threads: [1]) {
        let counter = Counter()
        return { count, _ in for _ in 0..<count { counter.increment(by: 0.5) } }
    },
    Benchmark("metrics", "an observation of a histogram with 11 buckets", barNanoseconds: 100) {
        let histogram = Histogram()
        return { count, _ in for index in 0..<count { histogram.observe(Double(index & 15) * 0.7) } }
    },
    Benchmark(
        "metrics", "a sample of a series, taken by a store in memory", barNanoseconds: 2000, barAllocations: nil,
        threads: [1]
    ) {
        let store = TimeSeriesStore()
        guard let handle = try? store.handle(["__name__": "requests_total", "job": "node"]) else { return { _, _ in } }
        let clock = Moments()
        return { count, _ in
            for _ in 0..<count {
                var batch = TimeSeriesStore.Batch()
                try? store.add(clock.next(), 1, to: handle, &batch)
                store.commit(batch)
            }
        }
    },
    Benchmark(
        "metrics", "a page of 10,000 series, scraped again", barNanoseconds: 5_000_000, barAllocations: nil,
        threads: [1]
    ) {
        let store = TimeSeriesStore()
        let configuration = ScrapeConfiguration(job: "page")
        guard let target = Target("page:9100", group: [:], configuration) else { return { _, _ in } }
        let scraper = TargetScraper(target, configuration, store)
        var text = ""
        for item in 0..<10_000 {
            text += "page_total{instance_of=\"\(item / 100)\",item=\"\(item)\",method=\"GET\"} \(item)\n"
        }
        let page = Array(text.utf8)
        let clock = Moments()
        return { count, _ in
            for _ in 0..<count { keep(scraper.take(page, isOpenMetrics: false, at: clock.next(), duration: .zero)) }
        }
    },
]

/// Times 15 seconds apart.
private final class Moments {
    private var time: Int64 = 1_700_000_000_000

    func next() -> Int64 {
        time += 15_000
        return time
    }
}
