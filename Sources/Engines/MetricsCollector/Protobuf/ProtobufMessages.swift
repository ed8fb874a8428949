import TimeSeriesEngine

/// Messages that several formats have.
enum ProtobufMessages {
    typealias Malformed = ProtobufReader.Malformed

    /// Buckets of one side that are read.
    private static let bucketLimit = NativeHistogram.bucketLimit

    static func label(_ reader: inout ProtobufReader) throws(Malformed) -> (String, String) {
        var pair = ("", "")
        while let (number, value) = try reader.next() {
            if number == 1 { pair.0 = try value.text() }
            if number == 2 { pair.1 = try value.text() }
        }
        return pair
    }

    static func span(_ reader: inout ProtobufReader) throws(Malformed) -> NativeHistogram.Span {
        var offset: Int64 = 0
        var length: UInt64 = 0
        while let (number, value) = try reader.next() {
            if number == 1 { offset = try value.zigzag() }
            if number == 2 { length = try value.unsigned() }
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
    static func remoteHistogram(_ reader: inout ProtobufReader) throws(Malformed) -> (NativeHistogram, Int64) {
        var histogram = NativeHistogram()
        var positive = Buckets()
        var negative = Buckets()
        var time: Int64 = 0
        while let (number, value) = try reader.next() {
            switch number {
            case 1: histogram.count = Double(try value.unsigned())
            case 2: histogram.count = try value.double()
            case 3: histogram.sum = try value.double()
            case 4: histogram.schema = Int32(clamping: try value.zigzag())
            case 5: histogram.zeroThreshold = try value.double()
            case 6: histogram.zeroCount = Double(try value.unsigned())
            case 7: histogram.zeroCount = try value.double()
            case 8: try add(value, to: &histogram.negativeSpans)
            case 9: try value.zigzags { negative.add(delta: $0) }
            case 10: try value.doubles { negative.add(count: $0) }
            case 11: try add(value, to: &histogram.positiveSpans)
            case 12: try value.zigzags { positive.add(delta: $0) }
            case 13: try value.doubles { positive.add(count: $0) }
            case 14: histogram.counterReset = .init(rawValue: UInt8(clamping: try value.unsigned())) ?? .unknown
            case 15: time = try value.signed()
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
            message.append(1, UInt64(histogram.count))
            message.append(6, UInt64(histogram.zeroCount))
        } else {
            message.append(2, histogram.count)
            message.append(7, histogram.zeroCount)
        }
        message.append(3, histogram.sum)
        message.append(4, zigzag: Int64(histogram.schema))
        message.append(5, histogram.zeroThreshold)
        write(8, histogram.negativeSpans, histogram.negativeBuckets, areWhole, to: &message)
        write(11, histogram.positiveSpans, histogram.positiveBuckets, areWhole, to: &message)
        message.append(14, UInt64(histogram.counterReset.rawValue))
        message.append(15, time)
    }

    /// Spans in the field `number`, and buckets in one of the two behind it.
    private static func write(
        _ number: Int, _ spans: [NativeHistogram.Span], _ buckets: [Double], _ areWhole: Bool,
        to message: inout ProtobufWriter
    ) {
        for span in spans {
            message.append(number) {
                $0.append(1, zigzag: Int64(span.offset))
                $0.append(2, UInt64(span.length))
            }
        }
        if buckets.isEmpty { return }
        if areWhole {
            message.append(number + 1) { for one in NativeHistogram.differences(buckets) { $0.append(folded: one) } }
        } else {
            message.append(number + 2) { for one in buckets { $0.append(fixed: one) } }
        }
    }

    static func add(_ value: ProtobufReader.Value, to spans: inout [NativeHistogram.Span]) throws(Malformed) {
        guard spans.count < bucketLimit else { throw Malformed(position: 0) }
        var message = try value.message()
        spans.append(try span(&message))
    }
}
