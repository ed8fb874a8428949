import Glibc
import KernelStructures
import KernelTelemetry
import Testing

@Suite("Native histograms and summaries")
struct ExponentialHistogramTests {
    @Test("a bucket holds what is above its lower bound and not above its upper one", arguments: -4...8)
    func bounds(_ schema: Int) {
        for (value, index) in [(1.0, 0), (2, schema >= 0 ? 1 << schema : 1), (0.5, schema >= 0 ? -(1 << schema) : 0)] {
            #expect(ExponentialScale.index(of: value, schema: schema) == index, "\(value)")
        }
        var random = SeededRandom(seed: UInt64(schema + 4))
        for _ in 0..<2000 {
            let value = Double(bitPattern: random.next() & ~(1 << 63))
            guard value.isFinite, value > 0 else { continue }
            let index = ExponentialScale.index(of: value, schema: schema)
            #expect(value <= ExponentialScale.upperBound(of: index, schema: schema), "\(value)")
            #expect(value > ExponentialScale.upperBound(of: index - 1, schema: schema), "\(value)")
        }
        let bound = ExponentialScale.upperBound(of: 3, schema: schema)
        #expect(ExponentialScale.index(of: bound, schema: schema) == 3)
        #expect(ExponentialScale.index(of: bound.nextUp, schema: schema) == 4)
        #expect(
            ExponentialScale.index(of: .infinity, schema: 8)
                == ExponentialScale.index(of: .greatestFiniteMagnitude, schema: 8) + 1)
        #expect(ExponentialScale.index(of: .leastNonzeroMagnitude, schema: 8) == -1074 * 256)
    }

    @Test("the schema is the coarsest whose buckets grow by no more than is asked")
    func schemas() {
        let cases: [(Double, Int)] = [
            (1.1, 3), (2, 0), (1.5, 1), (1.0027, 8), (1.0001, 8), (4, -1), (65_536, -4), (1e300, -4), (1, 8), (.nan, 8),
        ]
        for (growth, schema) in cases { #expect(ExponentialScale.schema(growth: growth) == schema, "\(growth)") }
    }

    @Test("observations are counted by sign and size; what is no number is left out")
    func counts() {
        var settings = ExponentialSettings()
        settings.growth = 2
        settings.zeroThreshold = 0.25
        let histogram = ExponentialHistogram(settings)
        for value in [0, 0.25, -0.25, 0.5, 1, 1.5, 2, -3, .nan] { histogram.observe(value) }
        let found = histogram.buckets
        #expect(found.schema == 0 && found.zeroCount == 3 && found.count == 8 && found.sum == 2)
        #expect(found.positive == [.init(index: -1, count: 1), .init(index: 0, count: 1), .init(index: 1, count: 2)])
        #expect(found.negative == [.init(index: 2, count: 1)])
        histogram.observe(1)
        #expect(histogram.buckets.count == 9 && histogram.buckets.sum == 3)
    }

    @Test("what several threads observe is all there, while others read and buckets become wider")
    func threads() async {
        var settings = ExponentialSettings()
        settings.growth = 1.01
        settings.bucketLimit = 20
        let histogram = ExponentialHistogram(settings)
        let count = 20_000
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<3 {
                group.addTask {
                    // Wider and wider, so that there are too many buckets again and again.
                    for step in 1...count {
                        let size = exp2(Double(step % (1 + step / 500)) / 4)
                        histogram.observe(worker == 0 ? -size : size)
                    }
                }
            }
            group.addTask {
                var last: UInt64 = 0
                for _ in 0..<300 {
                    let found = histogram.buckets
                    #expect(found.count >= last && found.count <= UInt64(3 * count))
                    last = found.count
                }
            }
        }
        histogram.observe(1)
        let found = histogram.buckets
        #expect(found.count == UInt64(3 * count + 1) && found.bucketCount <= 20)
        var sum = 1.0
        for step in 1...count { sum += exp2(Double(step % (1 + step / 500)) / 4) }
        #expect(abs(found.sum - sum) <= 1e-9 * sum)
    }

    @Test("too many buckets: each two become one, and nothing is lost; by the coarsest schema there may be more")
    func halving() {
        var settings = ExponentialSettings()
        settings.growth = 1.001
        settings.bucketLimit = 10
        let histogram = ExponentialHistogram(settings)
        for step in 1...1000 { histogram.observe(Double(step)) }
        let found = histogram.buckets
        #expect(found.count == 1000 && found.bucketCount <= 10 && found.sum == 500_500)
        // 1 to 1000 is ten powers of two: by schema 0 there are eleven buckets with the one of 1.
        #expect(found.schema == -1)
        for bucket in found.positive {
            let upper = ExponentialScale.upperBound(of: bucket.index, schema: found.schema)
            let lower = ExponentialScale.upperBound(of: bucket.index - 1, schema: found.schema)
            let wanted = (1...1000).count { Double($0) > lower && Double($0) <= upper }
            #expect(bucket.count == UInt64(wanted))
        }
        settings.bucketLimit = 1
        let wide = ExponentialHistogram(settings)
        for exponent in -1074...1023 { wide.observe(exp2(Double(exponent))) }
        #expect(wide.buckets.schema == -4 && wide.buckets.count == 2098 && wide.buckets.bucketCount > 60)
    }

    @Test("too many buckets: the zero bucket takes the smallest, as far as it may")
    func widening() {
        var settings = ExponentialSettings()
        settings.growth = 2
        settings.zeroThreshold = 0
        settings.bucketLimit = 4
        settings.widestZeroThreshold = 0.01
        let histogram = ExponentialHistogram(settings)
        for value in [0.001, -0.002, 0.005, 1, 2, 4] { histogram.observe(value) }
        let found = histogram.buckets
        #expect(found.schema == 0 && found.zeroThreshold == 0x1p-8 && found.zeroCount == 2 && found.count == 6)
        // 0.005 is above 2^-8, and with 2^-7 the zero bucket suffices for one more.
        histogram.observe(8)
        #expect(histogram.buckets.zeroThreshold == 0x1p-7 && histogram.buckets.zeroCount == 3)
        for value in [16.0, 32] { histogram.observe(value) }
        #expect(histogram.buckets.schema < 0 && histogram.buckets.count == 9)
    }

    @Test("too many buckets: all is forgotten, if that was long ago")
    func reset() {
        let clock = HandClock()
        var settings = ExponentialSettings()
        settings.growth = 2
        settings.bucketLimit = 3
        settings.reset = (.seconds(60), { clock.now })
        let histogram = ExponentialHistogram(settings)
        for value in [1.0, 2, 4, 8] { histogram.observe(value) }
        #expect(histogram.buckets.schema == -1 && histogram.buckets.count == 4)
        clock.advance(.seconds(61))
        for value in [100.0, 1000, 10_000] { histogram.observe(value) }
        #expect(histogram.buckets.schema == 0 && histogram.buckets.count == 3)
    }

    // MARK: Summaries

    @Test("a quantile is within the accuracy of an observed value, whatever the sizes", arguments: 0..<8)
    func quantiles(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let clock = HandClock()
        var settings = SummarySettings { clock.now }
        settings.quantiles = [0, 0.01, 0.5, 0.9, 0.99, 1]
        let summary = Summary(settings)
        var all: [Double] = []
        for _ in 0..<3000 {
            let value = exp2(random.unit() * 8 - 4) * (random.chance(0.2) ? -1 : 1)
            all.append(random.chance(0.05) ? 0 : value)
            summary.observe(all[all.count - 1])
        }
        all.sort()
        for (quantile, value) in summary.quantiles {
            let exact = all[Int((quantile * Double(all.count - 1)).rounded(.down))]
            #expect(abs(value - exact) <= 0.01 * abs(exact), "\(quantile): \(value), \(exact)")
        }
        #expect(summary.count == 3000)
    }

    @Test("quantiles forget what is older than the window; count and sum do not; its memory is bounded")
    func window() {
        let clock = HandClock()
        var settings = SummarySettings { clock.now }
        settings.quantiles = [0.5]
        settings.window = .seconds(10)
        let summary = Summary(settings)
        #expect(summary.quantiles[0].value.isNaN)
        for _ in 0..<10 { summary.observe(100) }
        clock.advance(.seconds(5))
        for _ in 0..<30 { summary.observe(1) }
        #expect(abs(summary.quantiles[0].value - 1) < 0.01)
        clock.advance(.seconds(6))
        for _ in 0..<5 { summary.observe(50) }
        // The 100s are gone, the 1s are not yet.
        #expect(abs(summary.quantiles[0].value - 1) < 0.01)
        clock.advance(.seconds(5))
        #expect(abs(summary.quantiles[0].value - 50) < 0.5)
        clock.advance(.seconds(1000))
        #expect(summary.quantiles[0].value.isNaN)
        #expect(summary.count == 45 && summary.sum == 1280)
    }

    @Test("the text formats show a summary's quantiles, and of a native histogram the classic buckets or none")
    func text() throws {
        let registry = MetricRegistry()
        let clock = HandClock()
        let summary = try registry.summary("took_seconds", "Took", settings: SummarySettings { clock.now })
        for _ in 0..<4 { summary.observe(2) }
        var settings = ExponentialSettings()
        try registry.exponentialHistogram("plain", "Plain", settings: settings).observe(3)
        settings.classic = HistogramBuckets([1, 5])
        try registry.exponentialHistogram("both", "Both", settings: settings).observe(3)
        let page = String(decoding: registry.page(), as: UTF8.self).split(separator: "\n").map(String.init)
        let value = try #require(page.first { $0.hasPrefix("took_seconds{quantile=\"0.5\"} ") })
        #expect(abs(try #require(Double(value.split(separator: " ")[1])) - 2) < 0.02)
        #expect(page.contains("# TYPE took_seconds summary") && page.contains("took_seconds_count 4"))
        #expect(page.contains("took_seconds_sum 8"))
        #expect(
            page.suffix(11)
                == [
                    "# HELP plain Plain", "# TYPE plain histogram", "plain_bucket{le=\"+Inf\"} 1", "plain_sum 3",
                    "plain_count 1", "# HELP both Both", "# TYPE both histogram", "both_bucket{le=\"1.0\"} 0",
                    "both_bucket{le=\"5.0\"} 1", "both_bucket{le=\"+Inf\"} 1", "both_sum 3", "both_count 1",
                ].suffix(11))
        #expect(throws: MetricError.reservedLabel("quantile")) {
            try registry.summaries("x", "X", labels: ["quantile"], settings: SummarySettings { clock.now })
        }
        #expect(throws: MetricError.clash("plain")) { try registry.histogram("plain", "Plain") }
    }
}

/// A clock that somebody turns by hand.
private final class HandClock: @unchecked Sendable {
    private(set) var now = LabTime.documentedEpoch
    func advance(_ duration: LabDuration) { now = now + duration }
}
