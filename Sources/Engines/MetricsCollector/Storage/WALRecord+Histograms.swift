import KernelStructures
import TimeSeriesEngine

// Native histograms in the log: those with whole counts in one kind of record, others in another.
extension WALRecord {
    /// `isWhole`: whether the series has whole counts; one that ever had others stays with those.
    typealias LoggedHistogram = (reference: UInt64, time: Int64, value: NativeHistogram, isWhole: Bool)

    /// Histograms of one record.
    private static let recordHistograms = 500

    /// As records, in an order in which those of a series stay in that of their times: a series changes from one kind
    /// to the other between two records, never within one.
    static func histogramRecords(_ all: [LoggedHistogram]) -> [[UInt8]] {
        var records: [[UInt8]] = []
        var start = 0
        while start < all.count {
            let areWhole = all[start].isWhole
            var end = start + 1
            while end < all.count, end - start < recordHistograms, all[end].isWhole == areWhole {
                end += 1
            }
            records.append(record(all[start..<end], areWhole: areWhole))
            start = end
        }
        return records
    }

    private static func record(_ all: ArraySlice<LoggedHistogram>, areWhole: Bool) -> [UInt8] {
        var out = RecordWriter()
        out.append(byte: areWhole ? 7 : 8)
        guard let first = all.first else { return out.bytes }
        out.append(bigEndian: first.reference)
        out.append(bigEndian: UInt64(bitPattern: first.time))
        for one in all {
            out.append(Int64(bitPattern: one.reference &- first.reference))
            out.append(one.time - first.time)
            append(one.value, areWhole: areWhole, to: &out)
        }
        return out.bytes
    }

    private static func append(_ histogram: NativeHistogram, areWhole: Bool, to out: inout RecordWriter) {
        out.append(byte: histogram.counterReset.rawValue)
        out.append(Int64(histogram.schema))
        out.append(bigEndian: histogram.zeroThreshold.bitPattern)
        for number in [histogram.zeroCount, histogram.count] {
            if areWhole { out.append(UInt64(number)) } else { out.append(bigEndian: number.bitPattern) }
        }
        out.append(bigEndian: histogram.sum.bitPattern)
        for spans in [histogram.positiveSpans, histogram.negativeSpans] {
            out.append(spans) { out, span in
                out.append(Int64(span.offset))
                out.append(UInt64(span.length))
            }
        }
        for buckets in [histogram.positiveBuckets, histogram.negativeBuckets] {
            if areWhole {
                out.append(NativeHistogram.differences(buckets)) { out, difference in out.append(difference) }
            } else {
                out.append(buckets) { out, count in out.append(bigEndian: count.bitPattern) }
            }
        }
    }

    static func readHistograms(_ reader: inout RecordReader, areWhole: Bool) throws(RecordReader.Malformed)
        -> [LoggedHistogram]
    {
        var all: [LoggedHistogram] = []
        if reader.isAtEnd { return all }
        let reference = try reader.bigEndian()
        let time = Int64(bitPattern: try reader.bigEndian())
        while !reader.isAtEnd {
            let own = reference &+ UInt64(bitPattern: try reader.signed())
            let moment = time &+ (try reader.signed())
            all.append((own, moment, try histogram(&reader, areWhole: areWhole), areWhole))
        }
        return all
    }

    private static func histogram(_ reader: inout RecordReader, areWhole: Bool) throws(RecordReader.Malformed)
        -> NativeHistogram
    {
        var histogram = NativeHistogram()
        histogram.counterReset = .init(rawValue: try reader.byte()) ?? .unknown
        histogram.schema = Int32(clamping: try reader.signed())
        histogram.zeroThreshold = Double(bitPattern: try reader.bigEndian())
        histogram.zeroCount = areWhole ? Double(try reader.unsigned()) : Double(bitPattern: try reader.bigEndian())
        histogram.count = areWhole ? Double(try reader.unsigned()) : Double(bitPattern: try reader.bigEndian())
        histogram.sum = Double(bitPattern: try reader.bigEndian())
        histogram.positiveSpans = try reader.elements(span)
        histogram.negativeSpans = try reader.elements(span)
        if areWhole {
            histogram.positiveBuckets = NativeHistogram.counts(try reader.elements(difference))
            histogram.negativeBuckets = NativeHistogram.counts(try reader.elements(difference))
        } else {
            histogram.positiveBuckets = try reader.elements(bucket)
            histogram.negativeBuckets = try reader.elements(bucket)
        }
        return histogram
    }

    private static func span(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> NativeHistogram.Span {
        NativeHistogram.Span(
            offset: Int32(clamping: try reader.signed()), length: UInt32(clamping: try reader.unsigned()))
    }

    private static func difference(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> Int64 {
        try reader.signed()
    }

    private static func bucket(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> Double {
        Double(bitPattern: try reader.bigEndian())
    }
}
