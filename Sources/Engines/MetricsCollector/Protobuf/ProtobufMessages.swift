import KernelProtobuf
import TimeSeriesEngine

/// Messages that several formats have.
enum ProtobufMessages {
    /// Buckets of one side that are read.
    private static let bucketLimit = NativeHistogram.bucketLimit

    static func label(_ reader: inout ProtobufReader) throws(ProtobufError) -> (String, String) {
        var pair = ("", "")
        while let field = try reader.next() {
            if field.number == 1 { pair.0 = try field.validText() }
            if field.number == 2 { pair.1 = try field.validText() }
        }
        return pair
    }

    /// Labels of one series.
    static let labelLimit = 1024

    /// Adds a label to those that were read.
    ///
    /// - Returns: false if there is one of that name already.
    static func add(_ field: ProtobufField, to labels: inout [(String, String)]) throws(ProtobufError) -> Bool {
        guard labels.count < labelLimit else { throw .tooMany("labels", limit: labelLimit) }
        var message = try field.message()
        let new = try label(&message)
        defer { labels.append(new) }
        return !labels.contains { byteOrder($0.0, new.0) == 0 }
    }

    static func span(_ reader: inout ProtobufReader) throws(ProtobufError) -> NativeHistogram.Span {
        var offset: Int64 = 0
        var length: UInt64 = 0
        while let field = try reader.next() {
            if field.number == 1 { offset = try field.zigzag() }
            if field.number == 2 { length = try field.integer() }
        }
        return NativeHistogram.Span(offset: Int32(clamping: offset), length: UInt32(clamping: length))
    }

    /// Counts from differences: the first one is itself, each other one is added to the one before.
    struct Buckets {
        var deltas: [Int64] = []
        var counts: [Double] = []

        mutating func add(delta: Int64) { if deltas.count < bucketLimit { deltas.append(delta) } }
        mutating func add(count: Double) { if counts.count < bucketLimit { counts.append(count) } }

        var values: [Double] {
            if !counts.isEmpty || deltas.isEmpty { return counts }
            var total: Int64 = 0
            return deltas.map { delta in
                total = total &+ delta
                return Double(total)
            }
        }
    }

    /// `prompb.Histogram`, with its time.
    static func remoteHistogram(_ reader: inout ProtobufReader) throws(ProtobufError) -> (NativeHistogram, Int64) {
        var histogram = NativeHistogram()
        var positive = Buckets()
        var negative = Buckets()
        var time: Int64 = 0
        while let field = try reader.next() {
            switch field.number {
            case 1: histogram.count = Double(try field.integer())
            case 2: histogram.count = try field.double()
            case 3: histogram.sum = try field.double()
            case 4: histogram.schema = Int32(clamping: try field.zigzag())
            case 5: histogram.zeroThreshold = try field.double()
            case 6: histogram.zeroCount = Double(try field.integer())
            case 7: histogram.zeroCount = try field.double()
            case 8: try add(field, to: &histogram.negativeSpans)
            case 9: try field.forEachZigzag { negative.add(delta: $0) }
            case 10: try field.forEachDouble { negative.add(count: $0) }
            case 11: try add(field, to: &histogram.positiveSpans)
            case 12: try field.forEachZigzag { positive.add(delta: $0) }
            case 13: try field.forEachDouble { positive.add(count: $0) }
            case 14: histogram.counterReset = .init(rawValue: UInt8(clamping: try field.integer())) ?? .unknown
            case 15: time = try field.signed()
            default: break
            }
        }
        histogram.positiveBuckets = positive.values
        histogram.negativeBuckets = negative.values
        return (histogram, time)
    }

    /// As `remoteHistogram` reads it. Counts that are whole travel as whole numbers.
    static func write(_ histogram: NativeHistogram, _ time: Int64, to message: inout ProtobufWriter) {
        let areWhole = histogram.hasWholeCounts
        if areWhole {
            message.varint(1, UInt64(histogram.count), always: true)
            message.varint(6, UInt64(histogram.zeroCount), always: true)
        } else {
            message.double(2, histogram.count, always: true)
            message.double(7, histogram.zeroCount, always: true)
        }
        message.double(3, histogram.sum)
        message.zigzag(4, Int64(histogram.schema))
        message.double(5, histogram.zeroThreshold)
        write(8, histogram.negativeSpans, histogram.negativeBuckets, areWhole, to: &message)
        write(11, histogram.positiveSpans, histogram.positiveBuckets, areWhole, to: &message)
        message.varint(14, UInt64(histogram.counterReset.rawValue))
        message.varint(15, UInt64(bitPattern: time))
    }

    /// Spans in the field `number`, and buckets in one of the two behind it.
    private static func write(
        _ number: Int, _ spans: [NativeHistogram.Span], _ buckets: [Double], _ areWhole: Bool,
        to message: inout ProtobufWriter
    ) {
        for span in spans {
            message.message(number) {
                $0.zigzag(1, Int64(span.offset))
                $0.varint(2, UInt64(span.length))
            }
        }
        if areWhole {
            message.zigzags(number + 1, NativeHistogram.differences(buckets))
        } else {
            message.doubles(number + 2, buckets)
        }
    }

    static func add(_ field: ProtobufField, to spans: inout [NativeHistogram.Span]) throws(ProtobufError) {
        guard spans.count < bucketLimit else { throw .tooMany("spans", limit: bucketLimit) }
        var message = try field.message()
        spans.append(try span(&message))
    }
}
