import KernelStructures

/// Adds the samples of one family to a page.
public struct SampleWriter {
    private let name: String
    private let kind: MetricKind
    private let format: ExpositionFormat
    private(set) var bytes: [UInt8]
    private(set) var sampleCount: Int
    private(set) var droppedCount = 0

    init(name: String, kind: MetricKind, format: ExpositionFormat, bytes: [UInt8], sampleCount: Int) {
        self.name = name
        self.kind = kind
        self.format = format
        self.bytes = bytes
        self.sampleCount = sampleCount
    }

    /// - Parameter labels: names and values; the names are the program's own, the values may hold anything.
    public mutating func add(_ value: Int, _ labels: [(String, String)] = []) {
        if format == .protobuf { return addMetric { [kind] in $0.append(Double(value), kind, labels) } }
        add(value, labels, suffix: "", exemplar: nil)
    }

    public mutating func add(_ value: Double, _ labels: [(String, String)] = []) {
        if format == .protobuf { return addMetric { [kind] in $0.append(value, kind, labels) } }
        add(value, labels, suffix: "")
    }

    private mutating func add(
        _ value: Int, _ labels: [(String, String)], suffix: String, exemplar: HistogramExemplar?
    ) {
        guard begin(suffix, labels) else { return }
        bytes.append(contentsOf: String(value).utf8)
        if let exemplar, format == .openMetrics { append(exemplar) }
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func add(_ value: Double, _ labels: [(String, String)], suffix: String) {
        guard begin(suffix, labels) else { return }
        bytes.append(contentsOf: Self.text(of: value).utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// A whole metric in protobuf, which counts as one sample.
    private mutating func addMetric(_ body: (inout ProtobufSamples) -> Void) {
        guard hasRoom() else { return }
        var metric = ProtobufSamples()
        body(&metric)
        bytes.append(contentsOf: metric.bytes)
    }

    // MARK: Several samples

    /// A histogram: its buckets cumulated, the sum and the count.
    ///
    /// - Parameters:
    ///   - bounds: in rising order, without `+Inf`.
    ///   - counts: by bucket, not cumulated, one more than there are bounds.
    ///   - exemplars: by bucket, or none at all. The text format has no place for them.
    public mutating func histogram(
        bounds: [Double], counts: [UInt64], sum: Double, exemplars: [HistogramExemplar?] = [],
        _ labels: [(String, String)] = []
    ) {
        let classic = ClassicBuckets(bounds: bounds, counts: counts, exemplars: exemplars)
        if format == .protobuf { return addMetric { $0.append(classic, nil, sum: sum, labels) } }
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total &+= count
            let bound = index < bounds.count ? Self.boundText(of: bounds[index]) : "+Inf"
            let exemplar = index < exemplars.count ? exemplars[index] : nil
            add(Int(clamping: total), labels + [("le", bound)], suffix: "_bucket", exemplar: exemplar)
        }
        add(sum, labels, suffix: "_sum")
        add(Int(clamping: total), labels, suffix: "_count", exemplar: nil)
    }

    /// A native histogram. In the text formats, which have no place for it, its classic buckets, or count and sum
    /// alone.
    public mutating func histogram(
        _ native: ExponentialBuckets, classic: Histogram? = nil, _ labels: [(String, String)] = []
    ) {
        let exemplars = classic?.exemplars ?? []
        guard format == .protobuf else {
            let bounds = classic?.buckets.bounds ?? []
            let counts = classic?.bucketCounts ?? [native.count]
            return histogram(
                bounds: bounds, counts: counts, sum: classic?.sum ?? native.sum, exemplars: exemplars, labels)
        }
        let buckets = classic.map {
            ClassicBuckets(bounds: $0.buckets.bounds, counts: $0.bucketCounts, exemplars: exemplars)
        }
        addMetric { $0.append(buckets, native, sum: native.sum, labels) }
    }

    /// A summary: its quantiles, if there are any, the sum and the count.
    public mutating func summary(
        quantiles: [(quantile: Double, value: Double)] = [], count: UInt64, sum: Double,
        _ labels: [(String, String)] = []
    ) {
        if format == .protobuf { return addMetric { $0.append(quantiles, count: count, sum: sum, labels) } }
        for (quantile, value) in quantiles {
            add(value, labels + [("quantile", Self.boundText(of: quantile))], suffix: "")
        }
        add(sum, labels, suffix: "_sum")
        add(Int(clamping: count), labels, suffix: "_count", exemplar: nil)
    }

    private mutating func hasRoom() -> Bool {
        guard sampleCount < MetricWriter.sampleLimit else {
            droppedCount += 1
            return false
        }
        sampleCount += 1
        return true
    }

    private mutating func begin(_ suffix: String, _ labels: [(String, String)]) -> Bool {
        guard hasRoom() else { return false }
        bytes.append(contentsOf: name.utf8)
        bytes.append(contentsOf: suffix.utf8)
        if !labels.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            for (index, (label, value)) in labels.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(contentsOf: label.utf8)
                bytes.append(contentsOf: "=\"".utf8)
                Self.append(escaping: value, quotes: true, to: &bytes)
                bytes.append(UInt8(ascii: "\""))
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
        return true
    }

    private mutating func append(_ exemplar: HistogramExemplar) {
        bytes.append(utf8: " # {trace_id=\"\(exemplar.traceID)\"} \(Self.text(of: exemplar.value))")
        let milliseconds = Int(exemplar.time.nanoseconds / 1_000_000)
        if milliseconds >= 0 { bytes.append(utf8: " \(milliseconds / 1000).\(padded(milliseconds % 1000, 3))") }
    }

    // MARK: Text

    /// Escapes the backslash and the line end, and the quotation mark where one would end the text.
    static func append(escaping text: String, quotes: Bool, to bytes: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\"") where quotes: bytes.append(contentsOf: "\\\"".utf8)
            default: bytes.append(byte)
            }
        }
    }

    /// The shortest text that is read back as the same number; whole ones without a point.
    static func text(of value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 0x1p53 { return String(Int(value)) }
        return value.description
    }

    /// As OpenMetrics wants bounds: always with a point or an exponent.
    static func boundText(of value: Double) -> String { value.isFinite ? value.description : text(of: value) }
}
