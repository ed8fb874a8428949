import KernelProtobuf
import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Remote writes and pages in protobuf.
@Suite struct ProtobufTests {
    private func request(_ random: inout SeededRandom) -> RemoteWriteRequest {
        var request = RemoteWriteRequest()
        for index in 0..<random.below(5) {
            var series = RemoteWriteRequest.Series(labels: ["__name__": "m\(index)", "ü": "\"\n"])
            for _ in 0..<random.below(10) {
                series.samples.append((Int64(bitPattern: random.next() >> 20), Double(bitPattern: random.next())))
            }
            request.series.append(series)
        }
        return request
    }

    @Test func whatIsWrittenIsRead() throws {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            let request = request(&random)
            #expect(try RemoteWriteRequest(snappy: request.bytes) == request)
        }
    }

    /// Whatever the bytes are: an error, or series whose numbers the bytes could hold.
    @Test func anyBytes() {
        var random = SeededRandom(seed: 8)
        for _ in 0..<4000 {
            var bytes = request(&random).plainBytes
            for _ in 0..<1 + random.below(6) where !bytes.isEmpty {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(random.below(256))
                case 1: bytes.remove(at: random.below(bytes.count))
                default: bytes.insert(UInt8(random.below(256)), at: random.below(bytes.count))
                }
            }
            if let read = try? RemoteWriteRequest(plain: bytes) {
                #expect(read.series.reduce(0) { $0 + $1.samples.count + $1.histograms.count } <= bytes.count)
            }
            if let families = try? MetricFamilyMessage.read(bytes) {
                #expect(families.reduce(0) { $0 + $1.samples.count } <= 4 * bytes.count)
            }
            #expect(throws: RemoteWriteRequest.Malformed.self) {
                try RemoteWriteRequest(snappy: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1])
            }
        }
    }

    private static func exemplar(
        _ trace: String, _ value: Double, seconds: Int64?, nanoseconds: UInt64 = 0, to message: inout ProtobufWriter
    ) {
        message.message(1) {
            $0.text(1, "trace_id")
            $0.text(2, trace)
        }
        message.double(2, value)
        guard let seconds else { return }
        message.message(3) {
            $0.varint(1, UInt64(bitPattern: seconds))
            $0.varint(2, nanoseconds)
        }
    }

    /// A page of three families, as a client library writes it.
    private var page: [UInt8] {
        var counter = ProtobufWriter()
        counter.text(1, "jobs_total")
        counter.text(2, "Jobs")
        counter.varint(3, 0, always: true)
        counter.message(4) { metric in
            metric.message(1) {
                $0.text(1, "queue")
                $0.text(2, "a")
            }
            metric.message(3) {
                $0.double(1, 7.5)
                $0.message(2) { Self.exemplar("c", 0.5, seconds: 1, nanoseconds: 234_000_000, to: &$0) }
            }
        }
        var histogram = ProtobufWriter()
        histogram.text(1, "latency")
        histogram.varint(3, 4)
        histogram.message(4) { metric in
            metric.message(7) { body in
                body.varint(1, 6)
                body.double(2, 12.5)
                body.zigzag(5, 1)
                body.double(6, 0.001)
                body.varint(7, 1)
                body.message(12) {
                    $0.zigzag(1, -1)
                    $0.varint(2, 3)
                }
                // The younger one first.
                for (trace, seconds) in [("n2", Int64(2)), ("n1", 1)] {
                    body.message(3) { bucket in
                        bucket.varint(1, 3)
                        bucket.double(2, Double(seconds))
                        bucket.message(3) { Self.exemplar(trace, 1, seconds: seconds, nanoseconds: 0, to: &$0) }
                    }
                }
                // One by one instead of packed.
                for delta: Int64 in [1, 1, -1] { body.zigzag(13, delta) }
            }
        }
        var old = ProtobufWriter()
        old.text(1, "old")
        old.varint(3, 4)
        old.message(4) { metric in
            metric.message(7) { body in
                body.varint(1, 3)
                body.double(2, 4.0)
                body.message(3) {
                    $0.varint(1, 2)
                    $0.double(2, 1.0)
                    $0.message(3) { Self.exemplar("b", 0.75, seconds: nil, to: &$0) }
                }
            }
        }
        var page = ProtobufWriter()
        for family in [counter, histogram, old] { page.delimited(family.bytes) }
        return page.bytes
    }

    @Test func aPageInProtobuf() throws {
        let store = TimeSeriesStore()
        let configuration = ScrapeConfiguration(job: "j")
        let target = try #require(Target("h:1", group: [:], configuration))
        let scraper = TargetScraper(target, configuration, store)
        let outcome = scraper.take(page, .protobuf, at: 1000, duration: .zero)
        #expect(outcome.isUp && outcome.error == nil && outcome.keptSamples == 6)
        func column(_ name: String, _ label: String = "job", _ value: String = "j") throws -> SampleColumn {
            var column = SampleColumn()
            for series in try store.select(
                [.equal("__name__", name), .equal(label, value)], Selection(from: 0, through: 2000))
            {
                try series.read(into: &column)
            }
            return column
        }
        #expect(try column("jobs_total", "queue", "a").values == [7.5])
        #expect(try column("old_bucket", "le", "1.0").values == [2])
        #expect(try column("old_bucket", "le", "+Inf").values == [3])
        let native = try #require(try column("latency").histograms.first ?? nil)
        #expect(native.isValid && native.count == 6 && native.sum == 12.5 && native.schema == 1)
        #expect(native.positiveBuckets == [1, 2, 1] && native.positiveSpans == [.init(offset: -1, length: 3)])
        #expect(scraper.metadata["jobs_total"]?.type == .counter)
        var ring = ExemplarRing(limit: 10)
        for exemplar in outcome.exemplars { ring.add(exemplar) }
        let exemplars = ring.inOrder.map {
            "\($0.series.metricName)\($0.series["le"]) \($0.labels["trace_id"]) \($0.value) \($0.timestamp)"
        }
        #expect(
            exemplars == [
                "jobs_total c 0.5 1234", "latency n1 1.0 1000", "latency n2 1.0 2000", "old_bucket1.0 b 0.75 1000",
            ])
        #expect(scraper.take(Array(page.dropLast()), .protobuf, at: 2000, duration: .zero).error != nil)
    }
}
