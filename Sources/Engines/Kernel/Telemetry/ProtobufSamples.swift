import KernelProtobuf

/// Buckets with listed bounds, not cumulated; the last count is for what exceeds every bound.
struct ClassicBuckets {
    let bounds: [Double]
    let counts: [UInt64]
    /// By bucket, or none at all.
    let exemplars: [HistogramExemplar?]
}

/// The metrics of one family in the protobuf exposition (client_model, `io/prometheus/client/metrics.proto`).
///
/// ```
/// page      = { length family }
/// family    = 1: name  2: help  3: type (0 counter, 1 gauge, 2 summary, 3 untyped, 4 histogram)  { 4: metric }
/// metric    = { 1: label }  ( 2: gauge | 3: counter | 4: summary | 5: untyped | 7: histogram )
/// label     = 1: name  2: value
/// gauge     = 1: number                                       ; counter and untyped are the same
/// summary   = 1: count  2: sum  { 3: { 1: quantile  2: value } }
/// histogram = 1: count  2: sum  { 3: bucket }                 ; cumulated, +Inf left out
///             5: schema  6: zero threshold  7: zero count
///             { 9: span } 10: differences  { 12: span } 13: differences    ; negative, positive
/// bucket    = 1: count  2: upper bound  [ 3: exemplar ]
/// span      = 1: buckets left out before it  2: length
/// exemplar  = { 1: label }  2: value  3: { 1: seconds  2: nanoseconds }
/// ```
struct ProtobufSamples {
    private var writer = ProtobufWriter()

    var bytes: [UInt8] { writer.bytes }

    /// What stands before the metrics of a family.
    static func head(_ name: String, _ kind: MetricKind, _ help: String) -> [UInt8] {
        let types: [MetricKind: UInt64] = [.counter: 0, .gauge: 1, .summary: 2, .unknown: 3, .histogram: 4]
        var writer = ProtobufWriter()
        writer.text(1, name)
        writer.text(2, help)
        writer.varint(3, types[kind] ?? 3, always: true)
        return writer.bytes
    }

    static func page(_ families: [[UInt8]]) -> [UInt8] {
        var writer = ProtobufWriter()
        for family in families { writer.delimited(family) }
        return writer.bytes
    }

    private mutating func metric(
        _ labels: [(String, String)], _ number: Int, _ body: (inout ProtobufWriter) -> Void
    ) {
        writer.message(4) { metric in
            for (name, value) in labels { Self.label(name, value, to: &metric) }
            metric.message(number, body)
        }
    }

    private static func label(_ name: String, _ value: String, to message: inout ProtobufWriter) {
        message.message(1) {
            $0.text(1, name)
            $0.text(2, value, always: true)
        }
    }

    mutating func append(_ value: Double, _ kind: MetricKind, _ labels: [(String, String)]) {
        let number = kind == .gauge ? 2 : kind == .counter ? 3 : 5
        metric(labels, number) { $0.double(1, value, always: true) }
    }

    mutating func append(
        _ quantiles: [(quantile: Double, value: Double)], count: UInt64, sum: Double, _ labels: [(String, String)]
    ) {
        metric(labels, 4) { summary in
            summary.varint(1, count, always: true)
            summary.double(2, sum, always: true)
            for (quantile, value) in quantiles {
                summary.message(3) {
                    $0.double(1, quantile, always: true)
                    $0.double(2, value, always: true)
                }
            }
        }
    }

    // MARK: Histograms

    mutating func append(
        _ classic: ClassicBuckets?, _ native: ExponentialBuckets?, sum: Double, _ labels: [(String, String)]
    ) {
        // A reader sees one count: that of the buckets which it takes, and those are the native ones if there are any.
        let count = native?.count ?? classic?.counts.reduce(0, &+) ?? 0
        metric(labels, 7) { histogram in
            histogram.varint(1, count, always: true)
            histogram.double(2, sum, always: true)
            if let classic { Self.append(classic, to: &histogram) }
            if let native { Self.append(native, to: &histogram) }
        }
    }

    private static func append(_ classic: ClassicBuckets, to histogram: inout ProtobufWriter) {
        var total: UInt64 = 0
        for (index, count) in classic.counts.enumerated() {
            total &+= count
            let exemplar = index < classic.exemplars.count ? classic.exemplars[index] : nil
            let bound = index < classic.bounds.count ? classic.bounds[index] : .infinity
            if bound == .infinity, exemplar == nil { continue }
            histogram.message(3) { bucket in
                bucket.varint(1, total, always: true)
                bucket.double(2, bound, always: true)
                if let exemplar { bucket.message(3) { append(exemplar, to: &$0) } }
            }
        }
    }

    private static func append(_ exemplar: HistogramExemplar, to message: inout ProtobufWriter) {
        label("trace_id", "\(exemplar.traceID)", to: &message)
        message.double(2, exemplar.value, always: true)
        let nanoseconds = exemplar.time.nanoseconds
        guard nanoseconds >= 0 else { return }
        message.message(3) {
            $0.varint(1, UInt64(nanoseconds / 1_000_000_000))
            $0.varint(2, UInt64(nanoseconds % 1_000_000_000))
        }
    }

    private static func append(_ native: ExponentialBuckets, to histogram: inout ProtobufWriter) {
        histogram.zigzag(5, Int64(native.schema), always: true)
        histogram.double(6, native.zeroThreshold, always: true)
        histogram.varint(7, native.zeroCount, always: true)
        append(native.negative, 9, to: &histogram)
        append(native.positive, 12, to: &histogram)
        // An empty span says that it is a native one, where nothing else does.
        if native.bucketCount == 0, native.zeroThreshold == 0, native.zeroCount == 0 { histogram.message(12) { _ in } }
    }

    /// Buckets that are left out between two others, at most; they are written as empty ones, which takes less than a
    /// span of its own.
    private static let gapLimit = 2

    /// Spans in the field `number`, and in the next one each bucket's difference to the one before.
    private static func append(
        _ buckets: [ExponentialBuckets.Bucket], _ number: Int, to histogram: inout ProtobufWriter
    ) {
        var spans: [(offset: Int, length: Int)] = []
        var differences: [Int64] = []
        var last: Int64 = 0
        var next = 0
        for bucket in buckets {
            let gap = bucket.index - next
            if spans.isEmpty || gap > gapLimit {
                spans.append((gap, 0))
            } else {
                for _ in 0..<gap {
                    differences.append(-last)
                    last = 0
                }
                spans[spans.count - 1].length += gap
            }
            let count = Int64(clamping: bucket.count)
            differences.append(count - last)
            last = count
            spans[spans.count - 1].length += 1
            next = bucket.index + 1
        }
        for span in spans {
            histogram.message(number) {
                $0.zigzag(1, Int64(span.offset))
                $0.varint(2, UInt64(span.length))
            }
        }
        histogram.zigzags(number + 1, differences)
    }
}
