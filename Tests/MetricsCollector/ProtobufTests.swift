import KernelStructures
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// The wire format, remote writes, and pages in protobuf.
@Suite struct ProtobufTests {
    @Test func theBytesOfTheDocumentation() throws {
        var writer = ProtobufWriter()
        writer.append(1, UInt64(150))
        writer.append(2, "testing")
        writer.append(3) { $0.append(1, UInt64(150)) }
        #expect(
            writer.bytes == [0x08, 0x96, 0x01, 0x12, 0x07] + Array("testing".utf8) + [0x1A, 0x03, 0x08, 0x96, 0x01])
        var folded = ProtobufWriter()
        for number: Int64 in [0, -1, 1, -2, 2_147_483_647, -2_147_483_648] { folded.append(1, zigzag: number) }
        #expect(
            folded.bytes
                == [8, 0, 8, 1, 8, 2, 8, 3, 8, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])
    }

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
            bytes.withUnsafeBytes { raw in
                guard let families = try? MetricFamilyMessage.read(raw) else { return }
                #expect(families.reduce(0) { $0 + $1.samples.count } <= 4 * bytes.count)
            }
            #expect(throws: RemoteWriteRequest.Malformed.self) {
                try RemoteWriteRequest(snappy: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1])
            }
        }
    }

    /// A page of two families, as a client library writes it.
    private var page: [UInt8] {
        var counter = ProtobufWriter()
        counter.append(1, "jobs_total")
        counter.append(2, "Jobs")
        counter.append(3, UInt64(0))
        counter.append(4) { metric in
            metric.append(1) {
                $0.append(1, "queue")
                $0.append(2, "a")
            }
            metric.append(3) { $0.append(1, 7.5) }
        }
        var histogram = ProtobufWriter()
        histogram.append(1, "latency")
        histogram.append(3, UInt64(4))
        histogram.append(4) { metric in
            metric.append(7) { body in
                body.append(1, UInt64(6))
                body.append(2, 12.5)
                body.append(5, zigzag: 1)
                body.append(6, 0.001)
                body.append(7, UInt64(1))
                body.append(12) {
                    $0.append(1, zigzag: -1)
                    $0.append(2, UInt64(3))
                }
                for delta: Int64 in [1, 1, -1] { body.append(13, zigzag: delta) }
            }
        }
        var summary = ProtobufWriter()
        summary.append(1, "old")
        summary.append(3, UInt64(4))
        summary.append(4) { metric in
            metric.append(7) { body in
                body.append(1, UInt64(3))
                body.append(2, 4.0)
                body.append(3) {
                    $0.append(1, UInt64(2))
                    $0.append(2, 1.0)
                }
            }
        }
        return [counter, histogram, summary].flatMap { family -> [UInt8] in
            var length = ProtobufWriter()
            length.append(varint: UInt64(family.bytes.count))
            return length.bytes + family.bytes
        }
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
        #expect(scraper.take(Array(page.dropLast()), .protobuf, at: 2000, duration: .zero).error != nil)
    }
}
