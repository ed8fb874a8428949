import TimeSeriesEngine

extension HistogramChunk {
    /// Adds the histograms of a stored chunk whose times lie in `range` to `column`; the end of a series is a marker of
    /// staleness.
    ///
    /// - Parameter encoding: one of the two.
    /// - Returns: false if the chunk is damaged; what comes before the damage has been added.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, encoding: UInt8, in range: ClosedRange<Int64>, into column: inout SampleColumn
    ) -> Bool {
        guard bytes.count >= 3, let reset = Reset(rawValue: bytes[2] & 0xC0) else { return false }
        let count = Int(bytes[0]) << 8 | Int(bytes[1])
        if count == 0 { return true }
        var reader = BitReader(bytes, fromByte: 3)
        guard let layout = HistogramLayout(&reader) else { return false }
        var line = HistogramLine(layout, isWhole: encoding == wholeEncoding)
        for index in 0..<count {
            guard line.read(&reader), !reader.isBeyondEnd else { return false }
            if line.time > range.upperBound { return true }
            guard line.time >= range.lowerBound else { continue }
            if line.isEnd {
                column.append(line.time, Staleness.marker)
            } else {
                var histogram = line.histogram
                if reset == .gauge { histogram.counterReset = .gauge }
                if reset == .reset, index == 0 { histogram.counterReset = .reset }
                column.append(line.time, histogram)
            }
        }
        return true
    }
}

/// One line after the other of a stored chunk.
private struct HistogramLine {
    private let layout: HistogramLayout
    private let isWhole: Bool
    private let positiveCount: Int
    private(set) var time: Int64 = 0
    private var timeChange: Int64 = 0
    private var isFirst = true
    private var numbers: [Int64]
    private var changes: [Int64]
    /// Bits of floats.
    private var values: [UInt64]
    private var windows: [XORWindow]
    private var sum: UInt64 = 0
    private var sumWindow = XORWindow()

    init(_ layout: HistogramLayout, isWhole: Bool) {
        self.layout = layout
        self.isWhole = isWhole
        positiveCount = layout.positive.reduce(0) { $0 + Int($1.length) }
        let size = 2 + positiveCount + layout.negative.reduce(0) { $0 + Int($1.length) }
        numbers = Array(repeating: 0, count: isWhole ? size : 0)
        changes = numbers
        values = Array(repeating: 0, count: isWhole ? 0 : size)
        windows = Array(repeating: XORWindow(), count: values.count)
    }

    var isEnd: Bool { Staleness.isMarker(Double(bitPattern: sum)) }

    var histogram: NativeHistogram {
        var histogram = NativeHistogram()
        histogram.schema = layout.schema
        histogram.zeroThreshold = layout.zeroThreshold
        histogram.positiveSpans = layout.positive
        histogram.negativeSpans = layout.negative
        histogram.sum = Double(bitPattern: sum)
        if isWhole {
            histogram.count = Double(UInt64(bitPattern: numbers[0]))
            histogram.zeroCount = Double(UInt64(bitPattern: numbers[1]))
            histogram.positiveBuckets = NativeHistogram.counts(numbers[2..<2 + positiveCount])
            histogram.negativeBuckets = NativeHistogram.counts(numbers[(2 + positiveCount)...])
        } else {
            histogram.count = Double(bitPattern: values[0])
            histogram.zeroCount = Double(bitPattern: values[1])
            histogram.positiveBuckets = values[2..<2 + positiveCount].map { Double(bitPattern: $0) }
            histogram.negativeBuckets = values[(2 + positiveCount)...].map { Double(bitPattern: $0) }
        }
        return histogram
    }

    /// - Returns: false if it is damaged. What lies beyond the end is zeros, and for the reader to say.
    mutating func read(_ reader: inout BitReader) -> Bool {
        let change = reader.varbit()
        if isFirst {
            time = change
        } else {
            timeChange = timeChange &+ change
            time = time &+ timeChange
        }
        defer { isFirst = false }
        guard readNumbers(0..<2, &reader), readSum(&reader) else { return false }
        return isEnd || readNumbers(2..<max(numbers.count, values.count), &reader)
    }

    private mutating func readSum(_ reader: inout BitReader) -> Bool {
        guard isFirst else { return sumWindow.read(&sum, &reader) }
        sum = reader.bits(64)
        return true
    }

    private mutating func readNumbers(_ range: Range<Int>, _ reader: inout BitReader) -> Bool {
        for index in range {
            switch (isWhole, isFirst) {
            case (true, true):
                numbers[index] = index < 2 ? Int64(bitPattern: reader.unsignedVarbit()) : reader.varbit()
            case (true, false):
                changes[index] = changes[index] &+ reader.varbit()
                numbers[index] = numbers[index] &+ changes[index]
            case (false, true): values[index] = reader.bits(64)
            case (false, false): if !windows[index].read(&values[index], &reader) { return false }
            }
        }
        return true
    }
}

extension HistogramLayout {
    /// Numbers of the exponent that stand for themselves in a byte.
    private static let exponents = -242...11

    func write(to writer: inout BitWriter) {
        if zeroThreshold == 0 {
            writer.append(0, count: 8)
        } else if zeroThreshold > 0, zeroThreshold.isNormal, zeroThreshold.significand == 1,
            // Of a fraction of a half, as in C, not of one.
            Self.exponents.contains(Int(zeroThreshold.exponent) + 1)
        {
            writer.append(UInt64(Int(zeroThreshold.exponent) + 1 + 243), count: 8)
        } else {
            writer.append(255, count: 8)
            writer.append(zeroThreshold.bitPattern, count: 64)
        }
        writer.append(varbit: Int64(schema))
        for spans in [positive, negative] {
            writer.append(varbit: UInt64(spans.count))
            for span in spans {
                writer.append(varbit: UInt64(span.length))
                writer.append(varbit: Int64(span.offset))
            }
        }
    }

    /// Nil for one that is none.
    init?(_ reader: inout BitReader) {
        let threshold = reader.bits(8)
        switch threshold {
        case 0: zeroThreshold = 0
        case 255: zeroThreshold = Double(bitPattern: reader.bits(64))
        default: zeroThreshold = Double(sign: .plus, exponent: Int(threshold) - 244, significand: 1)
        }
        schema = Int32(clamping: reader.varbit())
        guard let above = Self.spans(&reader), let below = Self.spans(&reader), !reader.isBeyondEnd else { return nil }
        positive = above
        negative = below
        // As many buckets as the spans say: then all else of validity is about the spans.
        var model = NativeHistogram()
        model.schema = schema
        model.positiveSpans = positive
        model.negativeSpans = negative
        guard Self.areFew(positive), Self.areFew(negative) else { return nil }
        model.positiveBuckets = Array(repeating: 0, count: positive.reduce(0) { $0 + Int($1.length) })
        model.negativeBuckets = Array(repeating: 0, count: negative.reduce(0) { $0 + Int($1.length) })
        guard model.isValid else { return nil }
    }

    private static func areFew(_ spans: [NativeHistogram.Span]) -> Bool {
        spans.reduce(0) { $0 + Int($1.length) } <= NativeHistogram.bucketLimit
    }

    private static func spans(_ reader: inout BitReader) -> [NativeHistogram.Span]? {
        let count = reader.unsignedVarbit()
        guard count <= UInt64(NativeHistogram.bucketLimit) else { return nil }
        var spans: [NativeHistogram.Span] = []
        for _ in 0..<count where !reader.isBeyondEnd {
            let length = UInt32(clamping: reader.unsignedVarbit())
            spans.append(.init(offset: Int32(clamping: reader.varbit()), length: length))
        }
        return spans
    }
}
