import Foundation
import KernelStructures
import TimeSeriesEngine

@testable import PromQLEngine

/// Series by chance for both: counters that begin anew, gauges, gaps, infinities, buckets; scraped at uneven moments.
struct OracleData {
    static let startMilliseconds: Int64 = 1_700_000_000_000
    static let endMilliseconds: Int64 = startMilliseconds + 3_600_000
    let store = MemorySeries()
    /// The same as OpenMetrics text, with times.
    private(set) var openMetrics = ""
    private var random: SeededRandom

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        family("requests", "counter", "requests_total") { $0.counter(largest: 40) }
        family("errors", "counter", "errors_total") { $0.counter(largest: 2) }
        family("temperature", "gauge", "temperature") { $0.gauge(around: 20) }
        family("memory", "gauge", "memory") { $0.gauge(around: 1e9) }
        family("flaky", "gauge", "flaky") { $0.flaky() }
        family("odd", "unknown", "odd") { $0.odd() }
        latency()
        openMetrics += "# EOF\n"
    }

    /// A value a scrape; nil where there is none.
    private typealias Values = [Double?]

    private static let scrapes = 241

    private mutating func family(
        _ family: String, _ type: String, _ name: String, _ values: (inout OracleData) -> [Double?]
    ) {
        openMetrics += "# TYPE \(family) \(type)\n"
        for job in ["api", "db", "cache"] {
            for instance in 0..<(job == "cache" ? 1 : 4) {
                var labels = [("__name__", name), ("job", job), ("instance", "\(instance)")]
                if job != "db" { labels.append(("zone", instance % 2 == 0 ? "a" : "b")) }
                add(Labels(labels), values(&self))
            }
        }
    }

    private mutating func add(_ labels: Labels, _ values: [Double?]) {
        let phase = Int64(random.below(15_000))
        for (index, value) in values.enumerated() {
            guard let value else { continue }
            let jitter = random.below(4) == 0 ? Int64(random.below(300)) : 0
            let time = Self.startMilliseconds + phase + Int64(index) * 15_000 + jitter
            store.append(labels, time, value)
            let milliseconds = String(time % 1000)
            let fraction = String(repeating: "0", count: 3 - milliseconds.utf8.count) + milliseconds
            openMetrics += "\(Self.text(labels)) \(GoFormat.plain(value)) \(time / 1000).\(fraction)\n"
        }
    }

    private static func text(_ labels: Labels) -> String {
        labels.metricName + "{"
            + labels.withoutMetricName.pairs.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ",") + "}"
    }

    private mutating func counter(largest: Int) -> [Double?] {
        var value = Double(random.below(1000))
        return (0..<Self.scrapes).map { _ in
            if random.below(60) == 0 { value = 0 }
            value += Double(random.below(largest + 1))
            return random.below(40) == 0 ? nil : value
        }
    }

    private mutating func gauge(around middle: Double) -> [Double?] {
        var value = middle
        return (0..<Self.scrapes).map { _ in
            value += middle * 0.01 * (Double(random.below(2001)) / 1000 - 1)
            return random.below(30) == 0 ? nil : value
        }
    }

    /// There for a while, then not for longer than five minutes.
    private mutating func flaky() -> [Double?] {
        var isThere = true
        return (0..<Self.scrapes).map { _ in
            if random.below(20) == 0 { isThere.toggle() }
            return isThere ? Double(random.below(5)) : nil
        }
    }

    private mutating func odd() -> [Double?] {
        (0..<Self.scrapes).map { _ in
            switch random.below(12) {
            case 0: .nan
            case 1: .infinity
            case 2: -.infinity
            case 3: nil
            case 4: -0.0
            case 5: 1e300
            default: Double(random.below(7)) - 3
            }
        }
    }

    private mutating func latency() {
        openMetrics += "# TYPE latency_bucket unknown\n"
        for instance in 0..<3 {
            let bounds = ["0.1", "0.5", "1", "5", "+Inf"]
            var counts = Array(repeating: 0.0, count: bounds.count)
            var columns = Array(repeating: [Double?](), count: bounds.count)
            for _ in 0..<Self.scrapes {
                if random.below(100) == 0 { counts = counts.map { _ in 0 } }
                let place = random.below(bounds.count)
                for index in place..<bounds.count { counts[index] += Double(random.below(5)) }
                for index in bounds.indices { columns[index].append(random.below(50) == 0 ? nil : counts[index]) }
            }
            for (bound, column) in zip(bounds, columns) {
                let labels = [
                    ("__name__", "latency_bucket"), ("job", "api"), ("instance", "\(instance)"), ("le", bound),
                ]
                add(Labels(labels), column)
            }
        }
    }
}
