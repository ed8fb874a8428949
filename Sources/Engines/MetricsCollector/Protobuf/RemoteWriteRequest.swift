import KernelCompression
import TimeSeriesEngine

/// What a remote write carries (Prometheus, `prompb/remote.proto`): series with samples, packed by snappy.
public struct RemoteWriteRequest: Equatable, Sendable {
    public struct Series: Equatable, Sendable {
        public var labels: Labels
        public var samples: [(time: Int64, value: Double)] = []
        public var histograms: [(time: Int64, value: NativeHistogram)] = []
        public var exemplars: [(labels: Labels, time: Int64, value: Double)] = []

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
        let read = plain.withUnsafeBytes { raw -> Result<[Series], ProtobufReader.Malformed> in
            do throws(ProtobufReader.Malformed) {
                return .success(try Self.read(raw))
            } catch {
                return .failure(error)
            }
        }
        switch read {
        case .success(let series): self.series = series
        case .failure(let error): throw Malformed(description: "the message is malformed at byte \(error.position)")
        }
    }

    private static func read(_ raw: UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) -> [Series] {
        var reader = ProtobufReader(raw)
        var all: [Series] = []
        while let (number, value) = try reader.next() {
            guard number == 1, all.count < seriesLimit else { continue }
            var message = try value.message()
            all.append(try series(&message))
        }
        return all
    }

    private static func series(_ reader: inout ProtobufReader) throws(ProtobufReader.Malformed) -> Series {
        var pairs: [(String, String)] = []
        var series = Series(labels: Labels())
        while let (number, value) = try reader.next() {
            switch number {
            case 1:
                var message = try value.message()
                pairs.append(try ProtobufMessages.label(&message))
            case 2:
                var message = try value.message()
                series.samples.append(try sample(&message))
            case 3:
                var message = try value.message()
                series.exemplars.append(try exemplar(&message))
            case 4:
                var message = try value.message()
                let (histogram, time) = try ProtobufMessages.remoteHistogram(&message)
                series.histograms.append((time, histogram))
            default: break
            }
        }
        series.labels = Labels(pairs)
        return series
    }

    private static func sample(_ reader: inout ProtobufReader) throws(ProtobufReader.Malformed)
        -> (time: Int64, value: Double)
    {
        var sample: (time: Int64, value: Double) = (0, 0)
        while let (number, value) = try reader.next() {
            if number == 1 { sample.value = try value.double() }
            if number == 2 { sample.time = try value.signed() }
        }
        return sample
    }

    private static func exemplar(_ reader: inout ProtobufReader) throws(ProtobufReader.Malformed)
        -> (labels: Labels, time: Int64, value: Double)
    {
        var pairs: [(String, String)] = []
        var time: Int64 = 0
        var number = 0.0
        while let (field, value) = try reader.next() {
            switch field {
            case 1:
                var message = try value.message()
                pairs.append(try ProtobufMessages.label(&message))
            case 2: number = try value.double()
            case 3: time = try value.signed()
            default: break
            }
        }
        return (Labels(pairs), time, number)
    }

    // MARK: Writing

    var plainBytes: [UInt8] {
        var writer = ProtobufWriter()
        for one in series {
            writer.append(1) { message in
                for (name, value) in one.labels.pairs {
                    message.append(1) {
                        $0.append(1, name)
                        $0.append(2, value)
                    }
                }
                for sample in one.samples {
                    message.append(2) {
                        $0.append(1, sample.value)
                        $0.append(2, sample.time)
                    }
                }
                for sample in one.histograms {
                    message.append(4) { ProtobufMessages.write(sample.value, sample.time, to: &$0) }
                }
            }
        }
        return writer.bytes
    }

    /// As it is sent.
    public var bytes: [UInt8] { SnappyBlock.compress(plainBytes) }
}
