import KernelStructures
import Testing
import TimeSeriesEngine

@testable import PromQLEngine

@Suite("Native histograms")
struct NativeHistogramTests {
    /// Three series, twenty samples each, begun anew at the thirteenth; sent to Prometheus 2.42 by remote write, too.
    static func store() -> MemorySeries {
        let store = MemorySeries()
        for series in 0..<3 {
            for index in 0..<20 {
                let k = Double(index < 12 ? index : index - 12)
                var histogram = NativeHistogram()
                histogram.schema = Int32(series)
                histogram.zeroThreshold = 0.001
                histogram.zeroCount = k
                histogram.positiveSpans = [.init(offset: 0, length: 4), .init(offset: 2, length: 2)]
                histogram.positiveBuckets = (0..<6).map { k * Double($0 + 1 + series) }
                if series == 2 {
                    histogram.negativeSpans = [.init(offset: 1, length: 2)]
                    histogram.negativeBuckets = [k, 2 * k]
                }
                histogram.count = k + (histogram.positiveBuckets + histogram.negativeBuckets).reduce(0, +)
                histogram.sum = k * 10 * Double(series + 1)
                store.append(
                    ["__name__": "h", "s": "\(series)"], 1_700_000_000_000 + Int64(index) * 15_000, histogram)
            }
        }
        return store
    }

    @Test("queries give what Prometheus 2.42 gives")
    func values() throws {
        let store = Self.store()
        for (line, expected) in PrometheusTexts.pairs(Self.answers) {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            let time = 1_700_000_000_000 + (Int64(words[0]) ?? 0) * 1000
            let result = try PromQLExpression(parsing: words[1]).evaluate(over: store, at: time)
            guard case .vector(let elements) = result.value else { continue }
            let wanted = expected.split(separator: " ").map { $0.split(separator: "=").map(String.init) }
            #expect(elements.count == wanted.count, "\(line)")
            for (element, pair) in zip(elements.sorted { $0.labels < $1.labels }, wanted) {
                #expect(element.labels["s"] == (pair[0] == "-" ? "" : pair[0]))
                let own = Self.numbers(element)
                let other = pair[1].split { "/,:".contains($0) }.map { ClassicHistogram.bound(String($0)) ?? 0 }
                #expect(own.count == other.count, "\(line)")
                for (a, b) in zip(own, other) { #expect(PromQLTestFile.areClose(a, b), "\(line): \(own)") }
            }
        }
    }

    private static func numbers(_ element: VectorElement) -> [Double] {
        guard let histogram = element.histogram else { return [element.value] }
        return [histogram.count, histogram.sum]
            + histogram.rawBuckets.filter { $0.count != 0 }.flatMap { [$0.lower, $0.upper, $0.count] }
    }

    @Test("sums keep every observation, whatever the schemas and zero buckets")
    func sums() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<500 {
            let a = Self.any(&random)
            let b = Self.any(&random)
            let sum = a.adding(b)
            #expect(sum.isValid)
            #expect(PromQLTestFile.areClose(sum.count, a.count + b.count))
            let inBuckets = sum.boundedBuckets.reduce(0) { $0 + $1.count }
            let before = (a.boundedBuckets + b.boundedBuckets).reduce(0) { $0 + $1.count }
            #expect(PromQLTestFile.areClose(inBuckets, before))
            #expect(sum.hasSameBuckets(as: b.adding(a)))
            #expect(sum.schema == min(a.schema, b.schema) && sum.zeroThreshold >= max(a.zeroThreshold, b.zeroThreshold))
            #expect(!sum.isReset(since: a) || sum.schema < a.schema)
            let bounds = sum.boundedBuckets
            #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0.upper <= $1.lower })
            let median = sum.quantile(0.5)
            if !median.isNaN { #expect((bounds.first?.lower ?? 0) <= median && median <= (bounds.last?.upper ?? 0)) }
        }
    }

    @Test("spans that fit nothing break nothing")
    func damage() {
        let store = Self.store()
        var broken = NativeHistogram()
        broken.schema = .min
        broken.count = 3
        broken.positiveSpans = [.init(offset: .max, length: .max), .init(offset: .max, length: 7)]
        broken.positiveBuckets = [1, 2]
        broken.negativeSpans = [.init(offset: .min, length: 1)]
        #expect(!broken.isValid)
        for schema in [Int32.min, -4, 0, 8, .max] {
            broken.schema = schema
            _ = broken.adding(broken).scaled(by: -1).quantile(0.5)
            _ = broken.isReset(since: store.anyHistogram)
            _ = store.anyHistogram.isReset(since: broken)
            _ = store.anyHistogram.adding(broken).text
            _ = broken.fraction(from: 0, to: 1)
        }
    }

    private static func any(_ random: inout SeededRandom) -> NativeHistogram {
        var histogram = NativeHistogram()
        histogram.schema = Int32(random.below(6)) - 2
        histogram.zeroThreshold = [0, 0.001, 0.5][random.below(3)]
        histogram.zeroCount = Double(random.below(3))
        for isPositive in [true, false] where random.below(3) > 0 {
            var spans: [NativeHistogram.Span] = []
            var counts: [Double] = []
            for index in 0..<(1 + random.below(3)) {
                let length = 1 + random.below(3)
                let offset = index == 0 ? Int32(1 + random.below(20)) : Int32(1 + random.below(4))
                spans.append(.init(offset: offset, length: UInt32(length)))
                for _ in 0..<length { counts.append(Double(random.below(5))) }
            }
            if isPositive {
                (histogram.positiveSpans, histogram.positiveBuckets) = (spans, counts)
            } else {
                (histogram.negativeSpans, histogram.negativeBuckets) = (spans, counts)
            }
        }
        histogram.count = (histogram.positiveBuckets + histogram.negativeBuckets).reduce(histogram.zeroCount, +)
        return histogram
    }

    /// Moment, query, and Prometheus's answer: series and value, or count, sum and buckets.
    private static let answers = #"""
        100 histogram_quantile(0, h)
            0=0 1=0 2=-1.414213562373095
        200 histogram_quantile(0, h)
            0=0 1=0 2=-1.414213562373095
        100 histogram_quantile(0.1, h)
            0=1.1 1=0.9707106781186547 2=0.00040000000000000105
        200 histogram_quantile(0.1, h)
            0=1.1 1=0.9707106781186547 2=0.0004000000000000004
        100 histogram_quantile(0.5, h)
            0=8 1=2.662741699796952 2=1.525704924095734
        200 histogram_quantile(0.5, h)
            0=8 1=2.662741699796952 2=1.525704924095734
        100 histogram_quantile(0.9, h)
            0=104.53333333333333 1=9.988225099390856 2=3.116074837990599
        200 histogram_quantile(0.9, h)
            0=104.53333333333333 1=9.988225099390855 2=3.116074837990599
        100 histogram_quantile(1, h)
            0=128 1=11.31370849898476 2=3.3635856610148576
        200 histogram_quantile(1, h)
            0=128 1=11.31370849898476 2=3.3635856610148576
        100 histogram_quantile(-1, h)
            0=-Inf 1=-Inf 2=-Inf
        200 histogram_quantile(-1, h)
            0=-Inf 1=-Inf 2=-Inf
        100 histogram_quantile(2, h)
            0=+Inf 1=+Inf 2=+Inf
        200 histogram_quantile(2, h)
            0=+Inf 1=+Inf 2=+Inf
        100 histogram_quantile(NaN, h)
            0=NaN 1=NaN 2=NaN
        200 histogram_quantile(NaN, h)
            0=NaN 1=NaN 2=NaN
        100 histogram_fraction(0, 1, h)
            0=0.09090909090909091 1=0.10714285714285714 2=0.0945945945945946
        200 histogram_fraction(0, 1, h)
            0=0.09090909090909091 1=0.10714285714285714 2=0.0945945945945946
        100 histogram_fraction(-Inf, +Inf, h)
            0=1 1=1 2=1
        200 histogram_fraction(-Inf, +Inf, h)
            0=1 1=1 2=1
        100 histogram_fraction(0.5, 3, h)
            0=0.20454545454545456 1=0.5 2=0.7449950182229688
        200 histogram_fraction(0.5, 3, h)
            0=0.20454545454545456 1=0.5 2=0.7449950182229688
        100 histogram_fraction(-2, 0, h)
            0=0 1=0 2=0.0945945945945946
        200 histogram_fraction(-2, 0, h)
            0=0 1=0 2=0.0945945945945946
        100 histogram_fraction(3, 1, h)
            0=0 1=0 2=0
        200 histogram_fraction(3, 1, h)
            0=0 1=0 2=0
        100 histogram_fraction(-1, 100, h)
            0=0.8806818181818182 1=1 2=0.918918918918919
        200 histogram_fraction(-1, 100, h)
            0=0.8806818181818182 1=1 2=0.918918918918919
        100 histogram_fraction(NaN, 1, h)
            0=NaN 1=NaN 2=NaN
        200 histogram_fraction(NaN, 1, h)
            0=NaN 1=NaN 2=NaN
        100 histogram_fraction(0, 0.0005, h)
            0=0.022727272727272728 1=0.017857142857142856 2=0.006756756756756757
        200 histogram_fraction(0, 0.0005, h)
            0=0.022727272727272728 1=0.017857142857142856 2=0.006756756756756757
        100 histogram_count(h)
            0=132 1=168 2=222
        200 histogram_count(h)
            0=22 1=28 2=37
        100 histogram_sum(h)
            0=60 1=120 2=180
        200 histogram_sum(h)
            0=10 1=20 2=30
        100 histogram_count(rate(h[2m]))
            0=1.3138888888888889 1=1.6722222222222223 2=2.209722222222222
        170 histogram_count(rate(h[2m]))
            0=1.4666666666666666 1=1.8666666666666665 2=2.4666666666666663
        200 histogram_count(rate(h[2m]))
            0=1.2571428571428571 1=1.5999999999999999 2=2.114285714285714
        290 histogram_count(rate(h[2m]))
            0=1.4666666666666666 1=1.8666666666666665 2=2.4666666666666663
        100 histogram_sum(rate(h[2m]))
            0=0.5972222222222222 1=1.1944444444444444 2=1.7916666666666667
        170 histogram_sum(rate(h[2m]))
            0=0.6666666666666666 1=1.3333333333333333 2=1.9999999999999998
        200 histogram_sum(rate(h[2m]))
            0=0.5714285714285714 1=1.1428571428571428 2=1.7142857142857142
        290 histogram_sum(rate(h[2m]))
            0=0.6666666666666666 1=1.3333333333333333 2=1.9999999999999998
        100 histogram_quantile(0.5, rate(h[2m]))
            0=8 1=2.6627416997969524 2=1.525704924095734
        170 histogram_quantile(0.5, rate(h[2m]))
            0=7.999999999999998 1=2.6627416997969515 2=1.5257049240957339
        200 histogram_quantile(0.5, rate(h[2m]))
            0=32.000000000000014 1=2.662741699796952 2=1.5257049240957339
        290 histogram_quantile(0.5, rate(h[2m]))
            0=7.999999999999998 1=2.6627416997969515 2=1.5257049240957339
        100 histogram_count(increase(h[1m]))
            0=88 1=112 2=148
        170 histogram_count(increase(h[1m]))
            0=88 1=112 2=148
        200 histogram_count(increase(h[1m]))
            0=58.666666666666664 1=74.66666666666666 2=98.66666666666666
        290 histogram_count(increase(h[1m]))
            0=88 1=112 2=148
        100 histogram_quantile(0.9, sum(h))
            -=46.72000000000001
        200 histogram_quantile(0.9, sum(h))
            -=46.719999999999985
        100 histogram_sum(sum(h))
            -=360
        200 histogram_sum(sum(h))
            -=60
        100 histogram_count(sum(h))
            -=522
        200 histogram_count(sum(h))
            -=87
        100 histogram_quantile(0.3, sum(rate(h[2m])))
            -=1.5875
        170 histogram_quantile(0.3, sum(rate(h[2m])))
            -=1.5874999999999995
        200 histogram_quantile(0.3, sum(rate(h[2m])))
            -=1.5875
        290 histogram_quantile(0.3, sum(rate(h[2m])))
            -=1.5874999999999995
        100 histogram_fraction(0, 2, sum(h))
            -=0.3620689655172414
        200 histogram_fraction(0, 2, sum(h))
            -=0.3620689655172414
        100 count(h)
            -=3
        200 count(h)
            -=3
        100 count_over_time(h[1m])
            0=4 1=4 2=4
        200 count_over_time(h[1m])
            0=4 1=4 2=4
        100 histogram_quantile(0.7, h + on() group_left() h{s="0"})
            0=60.15999999999999 1=11.428571428571429 2=3.6999999999999997
        200 histogram_quantile(0.7, h + on() group_left() h{s="0"})
            0=60.15999999999999 1=11.428571428571429 2=3.6999999999999997
        100 histogram_count(h{s="0"} + ignoring(s) h{s="1"})
            -=300
        200 histogram_count(h{s="0"} + ignoring(s) h{s="1"})
            -=50
        100 histogram_quantile(0.25, h{s="2"} + ignoring(s) h{s="1"})
            -=1.2157362304026536
        200 histogram_quantile(0.25, h{s="2"} + ignoring(s) h{s="1"})
            -=1.2157362304026536
        100 histogram_count(delta(h[1m]))
            0=88 1=112 2=148
        200 histogram_count(delta(h[1m]))
            0=-264 1=-336 2=-444
        100 present_over_time(h[1m])
            0=1 1=1 2=1
        200 present_over_time(h[1m])
            0=1 1=1 2=1
        100 h
            0=132/60/-0.001:0.001:6,0.5:1:6,1:2:12,2:4:18,4:8:24,32:64:30,64:128:36 \#
        1=168/120/-0.001:0.001:6,0.7071067811865475:1:12,1:1.414213562373095:18,1.414213562373095:2:24,\#
        2:2.82842712474619:30,5.65685424949238:8:36,8:11.31370849898476:42 \#
        2=222/180/-1.414213562373095:-1.189207115002721:12,-1.189207115002721:-1:6,-0.001:0.001:6,\#
        0.8408964152537144:1:18,1:1.189207115002721:24,1.189207115002721:1.414213562373095:30,\#
        1.414213562373095:1.6817928305074288:36,2.378414230005442:2.82842712474619:42,\#
        2.82842712474619:3.3635856610148576:48
        100 sum(h)
            -=522/360/-2:-1:18,-0.001:0.001:18,0.5:1:36,1:2:144,2:4:138,4:8:60,8:16:42,32:64:30,64:128:36
        100 rate(h[2m])
            0=1.3138888888888889/0.5972222222222222/-0.001:0.001:0.059722222222222225,\#
        0.5:1:0.059722222222222225,1:2:0.11944444444444445,2:4:0.17916666666666667,4:8:0.2388888888888889,\#
        32:64:0.2986111111111111,64:128:0.35833333333333334 \#
        1=1.6722222222222223/1.1944444444444444/-0.001:0.001:0.059722222222222225,\#
        0.7071067811865475:1:0.11944444444444445,1:1.414213562373095:0.17916666666666667,\#
        1.414213562373095:2:0.2388888888888889,2:2.82842712474619:0.2986111111111111,\#
        5.65685424949238:8:0.35833333333333334,8:11.31370849898476:0.41805555555555557 \#
        2=2.209722222222222/1.7916666666666667/-1.414213562373095:-1.189207115002721:0.11944444444444445,\#
        -1.189207115002721:-1:0.059722222222222225,-0.001:0.001:0.059722222222222225,\#
        0.8408964152537144:1:0.17916666666666667,1:1.189207115002721:0.2388888888888889,\#
        1.189207115002721:1.414213562373095:0.2986111111111111,\#
        1.414213562373095:1.6817928305074288:0.35833333333333334,\#
        2.378414230005442:2.82842712474619:0.41805555555555557,\#
        2.82842712474619:3.3635856610148576:0.4777777777777778
        100 absent(h)
            
        200 absent(h)
            
        100 h{s="2"} + ignoring(s) h{s="1"}
            -=390/300/-1.414213562373095:-1:18,-0.001:0.001:12,0.7071067811865475:1:30,\#
        1:1.414213562373095:72,1.414213562373095:2:60,2:2.82842712474619:72,2.82842712474619:4:48,\#
        5.65685424949238:8:36,8:11.31370849898476:42
        """#
}

extension MemorySeries {
    var anyHistogram: NativeHistogram {
        var column = SampleColumn()
        let all = try? select([.equal("__name__", "h")], Selection(from: 0, through: .max))
        _ = try? all?.last?.read(into: &column)
        return column.histograms.last.flatMap(\.self) ?? NativeHistogram()
    }
}
