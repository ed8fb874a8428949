import KernelProtobuf
import TimeSeriesEngine

/// A family of metrics in the delimited protobuf exposition (`io.prometheus.client.MetricFamily`, each behind its
/// length), made into the samples that the text formats would have, and native histograms, which travel in no other
/// form.
struct MetricFamilyMessage {
    struct Sample {
        /// With `__name__`.
        let labels: [(String, String)]
        let value: SampleValue
        let timestamp: Int64?
        /// Of a counter or a bucket at most one; of a native histogram those of all its buckets.
        let exemplars: [Exemplar]
    }

    struct Exemplar {
        fileprivate(set) var labels: [(String, String)] = []
        fileprivate(set) var value = 0.0
        /// Milliseconds since 1970.
        fileprivate(set) var timestamp: Int64?
    }

    private(set) var name = ""
    private(set) var help = ""
    private(set) var type = MetricType.unknown
    private(set) var samples: [Sample] = []
    /// In one of its metrics.
    private(set) var hasLabelTwice = false

    /// Samples of one family.
    private static let sampleLimit = 10_000_000

    /// All families of a page.
    static func read(_ bytes: [UInt8]) throws(ProtobufError) -> [MetricFamilyMessage] {
        var reader = ProtobufReader(bytes[...])
        var families: [MetricFamilyMessage] = []
        while var message = try reader.nextDelimited() { families.append(try MetricFamilyMessage(&message)) }
        return families
    }

    private init(_ reader: inout ProtobufReader) throws(ProtobufError) {
        var metrics: [ProtobufReader] = []
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try field.validText()
            case 2: help = try field.validText()
            case 3: type = Self.type(try field.integer())
            case 4: metrics.append(try field.message())
            default: break
            }
        }
        for index in metrics.indices { try readMetric(&metrics[index]) }
    }

    private static func type(_ number: UInt64) -> MetricType {
        let types: [MetricType] = [.counter, .gauge, .summary, .unknown, .histogram, .gaugehistogram]
        return number < UInt64(types.count) ? types[Int(number)] : .unknown
    }

    private mutating func readMetric(_ reader: inout ProtobufReader) throws(ProtobufError) {
        var labels: [(String, String)] = []
        var body: (number: Int, reader: ProtobufReader)?
        var time: Int64?
        while let field = try reader.next() {
            switch field.number {
            case 1:
                if try !ProtobufMessages.add(field, to: &labels) { hasLabelTwice = true }
            case 6: time = try field.signed()
            case 2, 3, 4, 5, 7: body = (field.number, try field.message())
            default: break
            }
        }
        guard var body else { return }
        switch body.number {
        case 4: try readSummary(&body.reader, labels, time)
        case 7: try readHistogram(&body.reader, labels, time)
        default:
            var number = 0.0
            var exemplar: Exemplar?
            while let field = try body.reader.next() {
                if field.number == 1 { number = try field.double() }
                if field.number == 2, body.number == 3 { exemplar = try readExemplar(field) }
            }
            add("", labels, .float(number), time, exemplar)
        }
    }

    private mutating func add(
        _ suffix: String, _ labels: [(String, String)], _ value: SampleValue, _ time: Int64?,
        _ exemplar: Exemplar? = nil
    ) { add(suffix, labels, value, time, exemplar.map { [$0] } ?? []) }

    private mutating func add(
        _ suffix: String, _ labels: [(String, String)], _ value: SampleValue, _ time: Int64?, _ exemplars: [Exemplar]
    ) {
        guard samples.count < Self.sampleLimit else { return }
        samples.append(
            Sample(
                labels: [(Labels.metricNameLabel, name + suffix)] + labels, value: value, timestamp: time,
                exemplars: exemplars))
    }

    private mutating func readExemplar(_ field: ProtobufField) throws(ProtobufError) -> Exemplar {
        var exemplar = Exemplar()
        var message = try field.message()
        while let field = try message.next() {
            switch field.number {
            case 1: if try !ProtobufMessages.add(field, to: &exemplar.labels) { hasLabelTwice = true }
            case 2: exemplar.value = try field.double()
            case 3:
                var (seconds, nanoseconds): (Int64, Int64) = (0, 0)
                var moment = try field.message()
                while let field = try moment.next() {
                    if field.number == 1 { seconds = try field.signed() }
                    if field.number == 2 { nanoseconds = try field.signed() }
                }
                exemplar.timestamp = SampleTime.clamped(
                    SampleTime.clamped(seconds) * 1000 + SampleTime.clamped(nanoseconds / 1_000_000))
            default: break
            }
        }
        return exemplar
    }

    private mutating func readSummary(
        _ reader: inout ProtobufReader, _ labels: [(String, String)], _ time: Int64?
    ) throws(ProtobufError) {
        var count = 0.0
        var sum = 0.0
        while let field = try reader.next() {
            switch field.number {
            case 1: count = Double(try field.integer())
            case 2: sum = try field.double()
            case 3:
                var quantile = 0.0
                var amount = 0.0
                var message = try field.message()
                while let field = try message.next() {
                    if field.number == 1 { quantile = try field.double() }
                    if field.number == 2 { amount = try field.double() }
                }
                add("", labels + [("quantile", Self.bound(quantile))], .float(amount), time)
            default: break
            }
        }
        add("_sum", labels, .float(sum), time)
        add("_count", labels, .float(count), time)
    }

    private mutating func readHistogram(
        _ reader: inout ProtobufReader, _ labels: [(String, String)], _ time: Int64?
    ) throws(ProtobufError) {
        var histogram = NativeHistogram()
        var positive = ProtobufMessages.Buckets()
        var negative = ProtobufMessages.Buckets()
        var classic: [Bucket] = []
        var isNative = false
        while let field = try reader.next() {
            switch field.number {
            case 1: histogram.count = Double(try field.integer())
            case 2: histogram.sum = try field.double()
            case 3:
                let limit = NativeHistogram.bucketLimit
                guard classic.count < limit else { throw .tooMany("buckets", limit: limit) }
                var message = try field.message()
                classic.append(try readBucket(&message))
            case 4: histogram.count = try field.double()
            case 5: histogram.schema = Int32(clamping: try field.zigzag())
            case 6: histogram.zeroThreshold = try field.double()
            case 7: histogram.zeroCount = Double(try field.integer())
            case 8: histogram.zeroCount = try field.double()
            case 9: try ProtobufMessages.add(field, to: &histogram.negativeSpans)
            case 10: try field.forEachZigzag { negative.add(delta: $0) }
            case 11: try field.forEachDouble { negative.add(count: $0) }
            case 12: try ProtobufMessages.add(field, to: &histogram.positiveSpans)
            case 13: try field.forEachZigzag { positive.add(delta: $0) }
            case 14: try field.forEachDouble { positive.add(count: $0) }
            default: break
            }
            if (9...14).contains(field.number) || field.number == 6 { isNative = true }
        }
        if isNative {
            histogram.positiveBuckets = positive.values
            histogram.negativeBuckets = negative.values
            if type == .gaugehistogram { histogram.counterReset = .gauge }
            // In the order of their times, as the one series takes them.
            let exemplars = classic.compactMap(\.exemplar).sorted { $0.timestamp ?? .max < $1.timestamp ?? .max }
            return add("", labels, .histogram(histogram), time, exemplars)
        }
        for bucket in classic {
            add("_bucket", labels + [("le", Self.bound(bucket.bound))], .float(bucket.count), time, bucket.exemplar)
        }
        if classic.last?.bound != .infinity {
            add("_bucket", labels + [("le", "+Inf")], .float(histogram.count), time)
        }
        add("_sum", labels, .float(histogram.sum), time)
        add("_count", labels, .float(histogram.count), time)
    }

    private struct Bucket {
        var bound = 0.0
        var count = 0.0
        var exemplar: Exemplar?
    }

    private mutating func readBucket(_ reader: inout ProtobufReader) throws(ProtobufError) -> Bucket {
        var bucket = Bucket()
        while let field = try reader.next() {
            switch field.number {
            case 1: bucket.count = Double(try field.integer())
            case 2: bucket.bound = try field.double()
            case 3: bucket.exemplar = try readExemplar(field)
            case 4: bucket.count = try field.double()
            default: break
            }
        }
        return bucket
    }

    /// With a point, as the other formats have bounds, so that the series is the same.
    private static func bound(_ value: Double) -> String {
        let text = sampleText(value)
        return value.isFinite && !text.contains(".") && !text.contains("e") ? text + ".0" : text
    }
}
