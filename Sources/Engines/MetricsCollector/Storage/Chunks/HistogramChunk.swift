import TimeSeriesEngine

/// Native histograms of one series, packed, as Prometheus lays them out (`chunkenc/histogram.go` and
/// `float_histogram.go` of 2.42).
///
/// ## An everyday picture
///
/// A form with a column for each bucket is printed once, and filled in line by line: of whole numbers only by how much
/// each has grown more than the line before it had grown, which mostly is nothing, one bit. Where somebody needs a
/// column that the form has not, it is printed anew, and the lines that there are are copied.
///
/// ```
/// chunk     = count(2 bytes) reset(1) layout { line }
/// reset     = 00 unknown | 01 none | 10 the counts began anew with the first line | 11 gauges, 6 bits 0
/// layout    = threshold schema(varbit) spans spans                     ; those of the positive buckets first
/// threshold = 0(8) | 255(8) number(64) | exponent + 243 (8)            ; powers of two take a byte
/// spans     = count(varbit) { length(varbit) offset(varbit) }
/// line      = time count zeros sum { bucket }
/// ```
///
/// Times are `varbit`s, the first as it is, others as the change of their change. Whole counts (encoding 2) are so too,
/// buckets by their difference to the bucket before; other ones (encoding 3) are 64 bits in the first line, and then
/// `XORWindow`s as the sum always is. Counts never fall within a chunk but in one of gauges. The end of a series is a
/// line without buckets, the last one.
///
/// Where it is wrong: one bucket more has all lines packed again.
final class HistogramChunk {
    static let wholeEncoding: UInt8 = 2
    static let floatEncoding: UInt8 = 3

    /// What is known of the counts before the first line.
    enum Reset: UInt8 { case unknown = 0, none = 0x40, reset = 0x80, gauge = 0xC0 }

    let encoding: UInt8
    let reset: Reset
    private(set) var count = 0
    private(set) var firstTime: Int64 = 0
    private(set) var lastTime: Int64 = 0
    /// As it was given; nil at the beginning, and when the series has ended.
    private(set) var last: NativeHistogram?
    private var layout = HistogramLayout()
    private var writer = BitWriter([0, 0, 0])
    private var timeChange: Int64 = 0
    /// Of the last line: whole numbers and how they changed, or others and their windows; count and zeros come first.
    private var numbers: [Int64] = []
    private var changes: [Int64] = []
    private var values: [Double] = []
    private var windows: [XORWindow] = []
    private var sum = 0.0
    private var sumWindow = XORWindow()
    private var positive: [Double] = []
    private var negative: [Double] = []

    /// For a histogram that `previous`, the chunk before, could not take.
    ///
    /// - Parameter isWhole: whether it will have whole counts alone.
    init(for histogram: NativeHistogram, after previous: HistogramChunk?, isWhole: Bool = true) {
        encoding = isWhole && histogram.hasWholeCounts ? Self.wholeEncoding : Self.floatEncoding
        if histogram.counterReset == .gauge {
            reset = .gauge
        } else if histogram.counterReset == .reset {
            reset = .reset
        } else {
            reset = previous?.relation(to: histogram).reset ?? .unknown
        }
    }

    var byteCount: Int { writer.bytes.count }

    /// The chunk as it is stored.
    var bytes: [UInt8] {
        var all = writer.bytes
        all[0] = UInt8(truncatingIfNeeded: count >> 8)
        all[1] = UInt8(truncatingIfNeeded: count)
        all[2] = reset.rawValue
        return all
    }

    // MARK: Adding

    /// Adds a valid histogram. Its time is later than the last one's and within `SampleTime.range`, and there is room
    /// for it: the caller's promise.
    ///
    /// - Returns: false if it belongs into another chunk.
    func append(_ time: Int64, _ histogram: NativeHistogram) -> Bool {
        if count == 0 {
            layout = HistogramLayout(histogram)
        } else {
            let relation = relation(to: histogram)
            guard let wider = relation.layout, encoding == Self.floatEncoding || histogram.hasWholeCounts else {
                return false
            }
            if wider != layout { widen(to: wider) }
        }
        write(time, histogram)
        last = histogram
        return true
    }

    /// Says that the series ends; afterwards no histogram belongs here any more. The chunk is not empty.
    func appendEnd(_ time: Int64) {
        write(time: time)
        if encoding == Self.wholeEncoding {
            writer.append(0, count: 2)
        } else {
            for index in 0..<2 {
                windows[index].append(0, after: values[index], to: &writer)
                values[index] = 0
            }
        }
        sumWindow.append(Staleness.marker, after: sum, to: &writer)
        sum = Staleness.marker
        last = nil
        count += 1
    }

    /// What a histogram is to the one before it: the layout that has room for both, nil where it begins a chunk of its
    /// own; and what is known of the counts then.
    private func relation(to histogram: NativeHistogram) -> (layout: HistogramLayout?, reset: Reset) {
        guard count > 0, let last, (reset == .gauge) == (histogram.counterReset == .gauge) else {
            return (nil, .unknown)
        }
        let isGauge = reset == .gauge
        if !isGauge, histogram.counterReset == .reset || histogram.count < last.count { return (nil, .reset) }
        guard histogram.schema == layout.schema, histogram.zeroThreshold == layout.zeroThreshold else {
            return (nil, .unknown)
        }
        let above = HistogramLayout.union(
            layout.positive, positive, with: histogram.positiveSpans, histogram.positiveBuckets)
        let below = HistogramLayout.union(
            layout.negative, negative, with: histogram.negativeSpans, histogram.negativeBuckets)
        if !isGauge, histogram.zeroCount < last.zeroCount || above.hasShrunk || below.hasShrunk { return (nil, .reset) }
        var wider = layout
        wider.positive = above.spans
        wider.negative = below.spans
        return (wider, .none)
    }

    /// Packs all lines again, with more buckets.
    private func widen(to wider: HistogramLayout) {
        var column = SampleColumn()
        let isWhole = bytes.withUnsafeBytes {
            Self.decode($0, encoding: encoding, in: SampleTime.range, into: &column)
        }
        precondition(isWhole, "a chunk of this process cannot be read")
        layout = wider
        writer = BitWriter([0, 0, 0])
        count = 0
        for (time, histogram) in zip(column.timestamps, column.histograms) {
            if let histogram { write(time, histogram) }
        }
    }

    // MARK: Lines

    private func write(time: Int64) {
        if count == 0 {
            firstTime = time
            timeChange = 0
            writer.append(varbit: time)
        } else {
            let change = time - lastTime
            writer.append(varbit: change - timeChange)
            timeChange = change
        }
        lastTime = time
    }

    private func write(_ time: Int64, _ histogram: NativeHistogram) {
        positive = HistogramLayout.spread(histogram.positiveBuckets, histogram.positiveSpans, over: layout.positive)
        negative = HistogramLayout.spread(histogram.negativeBuckets, histogram.negativeSpans, over: layout.negative)
        if count == 0 { layout.write(to: &writer) }
        write(time: time)
        if encoding == Self.wholeEncoding { writeWhole(histogram) } else { writeFloats(histogram) }
        sum = histogram.sum
        count += 1
    }

    private func write(sum new: Double) {
        if count == 0 {
            sumWindow = XORWindow()
            writer.append(new.bitPattern, count: 64)
        } else {
            sumWindow.append(new, after: sum, to: &writer)
        }
    }

    private func writeWhole(_ histogram: NativeHistogram) {
        let new =
            [Int64(histogram.count), Int64(histogram.zeroCount)] + NativeHistogram.differences(positive)
            + NativeHistogram.differences(negative)
        if count == 0 { changes = Array(repeating: 0, count: new.count) }
        for (index, number) in new.enumerated() {
            if index == 2 { write(sum: histogram.sum) }
            if count == 0 {
                if index < 2 { writer.append(varbit: UInt64(number)) } else { writer.append(varbit: number) }
            } else {
                let change = number - numbers[index]
                writer.append(varbit: change - changes[index])
                changes[index] = change
            }
        }
        if new.count == 2 { write(sum: histogram.sum) }
        numbers = new
    }

    private func writeFloats(_ histogram: NativeHistogram) {
        let new = [histogram.count, histogram.zeroCount] + positive + negative
        if count == 0 { windows = Array(repeating: XORWindow(), count: new.count) }
        for (index, value) in new.enumerated() {
            if index == 2 { write(sum: histogram.sum) }
            if count == 0 {
                writer.append(value.bitPattern, count: 64)
            } else {
                windows[index].append(value, after: values[index], to: &writer)
            }
        }
        if new.count == 2 { write(sum: histogram.sum) }
        values = new
    }
}
