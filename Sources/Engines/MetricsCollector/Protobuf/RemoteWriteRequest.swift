import KernelCompression
import KernelProtobuf
import TimeSeriesEngine

/// What a remote write carries (Prometheus, `prompb/remote.proto`): series with samples, packed by snappy.
public struct RemoteWriteRequest: Equatable, Sendable {
    public struct Series: Equatable, Sendable {
        public var labels: Labels
        public var samples: [(time: Int64, value: Double)] = []
        public var histograms: [(time: Int64, value: NativeHistogram)] = []
        public var exemplars: [(labels: Labels, time: Int64, value: Double)] = []
        /// Nobody can say which of the two is meant.
        public var hasLabelTwice = false

        public init(labels: Labels) { self.labels = labels }

        public static func == (left: Series, right: Series) -> Bool {
            left.labels == right.labels && left.histograms.elementsEqual(right.histograms) { $0 == $1 }
                && left.samples.elementsEqual(right.samples) {
                    $0.time == $1.time && $0.value.bitPattern == $1.value.bitPattern
                }
                && left.exemplars.elementsEqual(right.exemplars) { $0 == $1 }
        }
    }

    public var series: [Series] = []

    public init() {}

    /// Why a request is none.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Series of one request.
    private static let seriesLimit = 1_000_000

    /// Whether the names of labels, and the metric's, are such.
    public static func isValid(_ labels: Labels) -> Bool {
        labels.has(Labels.metricNameLabel)
            && labels.pairs.allSatisfy { name, value in
                name == Labels.metricNameLabel ? isMetricName(value) : RelabelRule.isLabelName(name)
            }
    }

    static func isMetricName(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { ExpositionReader.isMetricName(UnsafeRawBufferPointer($0)) }
    }

    // MARK: Reading

    /// Bytes of one request, unpacked.
    private static let plainLimitBytes = 64 << 20

    /// - Throws: `Malformed`.
    public init(snappy bytes: [UInt8]) throws(Malformed) {
        guard let plain = try? SnappyBlock.decompress(bytes, limitBytes: Self.plainLimitBytes) else {
            throw Malformed(description: "the body is not packed by snappy")
        }
        try self.init(plain: plain)
    }

    init(plain: [UInt8]) throws(Malformed) {
        do throws(ProtobufError) {
            series = try Self.read(plain)
        } catch {
            throw Malformed(description: "the body is no message: \(error)")
        }
    }

    private static func read(_ plain: [UInt8]) throws(ProtobufError) -> [Series] {
        var reader = ProtobufReader(plain[...])
        var all: [Series] = []
        while let field = try reader.next() {
            guard field.number == 1, all.count < seriesLimit else { continue }
            var message = try field.message()
            all.append(try series(&message))
        }
        return all
    }

    private static func series(_ reader: inout ProtobufReader) throws(ProtobufError) -> Series {
        var pairs: [(String, String)] = []
        var series = Series(labels: Labels())
        while let field = try reader.next() {
            switch field.number {
            case 1:
                if try !ProtobufMessages.add(field, to: &pairs) { series.hasLabelTwice = true }
            case 2:
                var message = try field.message()
                series.samples.append(try sample(&message))
            case 3:
                var message = try field.message()
                series.exemplars.append(try exemplar(&message))
            case 4:
                var message = try field.message()
                let (histogram, time) = try ProtobufMessages.remoteHistogram(&message)
                series.histograms.append((time, histogram))
            default: break
            }
        }
        series.labels = Labels(pairs)
        return series
    }

    private static func sample(_ reader: inout ProtobufReader) throws(ProtobufError)
        -> (time: Int64, value: Double)
    {
        var sample: (time: Int64, value: Double) = (0, 0)
        while let field = try reader.next() {
            if field.number == 1 { sample.value = try field.double() }
            if field.number == 2 { sample.time = try field.signed() }
        }
        return sample
    }

    private static func exemplar(_ reader: inout ProtobufReader) throws(ProtobufError)
        -> (labels: Labels, time: Int64, value: Double)
    {
        var pairs: [(String, String)] = []
        var time: Int64 = 0
        var number = 0.0
        while let field = try reader.next() {
            switch field.number {
            case 1:
                var message = try field.message()
                pairs.append(try ProtobufMessages.label(&message))
            case 2: number = try field.double()
            case 3: time = try field.signed()
            default: break
            }
        }
        return (Labels(pairs), time, number)
    }

    // MARK: Writing

    var plainBytes: [UInt8] {
        var writer = ProtobufWriter()
        for one in series {
            writer.message(1) { message in
                for (name, value) in one.labels.pairs {
                    message.message(1) {
                        $0.text(1, name, always: true)
                        $0.text(2, value, always: true)
                    }
                }
                for sample in one.samples {
                    message.message(2) {
                        $0.double(1, sample.value)
                        $0.varint(2, UInt64(bitPattern: sample.time))
                    }
                }
                for sample in one.histograms {
                    message.message(4) { ProtobufMessages.write(sample.value, sample.time, to: &$0) }
                }
            }
        }
        return writer.bytes
    }

    /// As it is sent.
    public var bytes: [UInt8] { SnappyBlock.compress(plainBytes) }
}
