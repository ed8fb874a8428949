import KernelStructures
import TimeSeriesEngine

// Native histograms in the log, with counts that may be fractions.
extension WALRecord {
    /// - Parameter all: at least one.
    static func histogramRecord(_ all: [(reference: UInt64, time: Int64, value: NativeHistogram)]) -> [UInt8] {
        var out = RecordWriter()
        out.append(byte: 8)
        guard let first = all.first else { return out.bytes }
        out.append(bigEndian: first.reference)
        out.append(bigEndian: UInt64(bitPattern: first.time))
        for one in all {
            out.append(Int64(bitPattern: one.reference &- first.reference))
            out.append(one.time - first.time)
            append(one.value, to: &out)
        }
        return out.bytes
    }

    private static func append(_ histogram: NativeHistogram, to out: inout RecordWriter) {
        out.append(byte: histogram.counterReset.rawValue)
        out.append(Int64(histogram.schema))
        for number in [histogram.zeroThreshold, histogram.zeroCount, histogram.count, histogram.sum] {
            out.append(bigEndian: number.bitPattern)
        }
        for spans in [histogram.positiveSpans, histogram.negativeSpans] {
            out.append(spans) { out, span in
                out.append(Int64(span.offset))
                out.append(UInt64(span.length))
            }
        }
        for buckets in [histogram.positiveBuckets, histogram.negativeBuckets] {
            out.append(buckets) { out, count in out.append(bigEndian: count.bitPattern) }
        }
    }

    static func readHistograms(_ reader: inout RecordReader) throws(RecordReader.Malformed)
        -> [(reference: UInt64, time: Int64, value: NativeHistogram)]
    {
        var all: [(reference: UInt64, time: Int64, value: NativeHistogram)] = []
        if reader.isAtEnd { return all }
        let reference = try reader.bigEndian()
        let time = Int64(bitPattern: try reader.bigEndian())
        while !reader.isAtEnd {
            let own = reference &+ UInt64(bitPattern: try reader.signed())
            let moment = time &+ (try reader.signed())
            all.append((own, moment, try histogram(&reader)))
        }
        return all
    }

    private static func histogram(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> NativeHistogram {
        var histogram = NativeHistogram()
        histogram.counterReset = .init(rawValue: try reader.byte()) ?? .unknown
        histogram.schema = Int32(clamping: try reader.signed())
        histogram.zeroThreshold = Double(bitPattern: try reader.bigEndian())
        histogram.zeroCount = Double(bitPattern: try reader.bigEndian())
        histogram.count = Double(bitPattern: try reader.bigEndian())
        histogram.sum = Double(bitPattern: try reader.bigEndian())
        histogram.positiveSpans = try reader.elements(span)
        histogram.negativeSpans = try reader.elements(span)
        histogram.positiveBuckets = try reader.elements(bucket)
        histogram.negativeBuckets = try reader.elements(bucket)
        return histogram
    }

    private static func span(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> NativeHistogram.Span {
        NativeHistogram.Span(
            offset: Int32(clamping: try reader.signed()), length: UInt32(clamping: try reader.unsigned()))
    }

    private static func bucket(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> Double {
        Double(bitPattern: try reader.bigEndian())
    }
}
