import TimeSeriesEngine

/// The native histograms of one series in memory: finished chunks, and the one that grows.
final class HistogramSeries {
    /// In the order of their times, without overlaps.
    private(set) var sealed: [Chunk] = []
    private(set) var open: HistogramChunk?
    /// A histogram from here on begins a new chunk.
    private var openEnd = Int64.min
    /// Whether counts have been others than whole ones: then no chunk says any more that they are, so that a series is
    /// of one kind but for its beginning, to others who read it as well.
    var holdsFractions = false

    struct Chunk {
        let firstTime: Int64
        let lastTime: Int64
        let encoding: UInt8
        let bytes: [UInt8]

        init(firstTime: Int64, lastTime: Int64, encoding: UInt8, bytes: [UInt8]) {
            self.firstTime = firstTime
            self.lastTime = lastTime
            self.encoding = encoding
            self.bytes = bytes
        }

        init(_ chunk: HistogramChunk) {
            firstTime = chunk.firstTime
            lastTime = chunk.lastTime
            encoding = chunk.encoding
            bytes = chunk.bytes
        }

        var count: Int { Int(bytes[0]) << 8 | Int(bytes[1]) }
    }

    init(_ sealed: [Chunk] = []) {
        self.sealed = sealed
        holdsFractions = sealed.last?.encoding == HistogramChunk.floatEncoding
    }

    var isEmpty: Bool { sealed.isEmpty && open == nil }
    var firstTime: Int64? { sealed.first?.firstTime ?? open?.firstTime }
    var lastTime: Int64? { open?.lastTime ?? sealed.last?.lastTime }
    /// The last one, where nothing came behind it.
    var last: NativeHistogram? { open?.last }
    var sampleCount: Int { sealed.reduce(open?.count ?? 0) { $0 + $1.count } }
    var chunkCount: Int { sealed.count + (open == nil ? 0 : 1) }
    var byteCount: Int { sealed.reduce(open?.byteCount ?? 0) { $0 + $1.bytes.count } }
    /// All, the one that grows as it is now.
    var chunks: [Chunk] { sealed + (open.map { [Chunk($0)] } ?? []) }

    /// Adds a valid histogram that is later than all others.
    ///
    /// - Parameter range: chunks do not cross its multiples.
    func append(_ time: Int64, _ histogram: NativeHistogram, chunkRange range: Int64) {
        let fits = open.map { !holdsFractions || $0.encoding == HistogramChunk.floatEncoding } ?? false
        if let open, fits, time < openEnd, open.count < 2 * MemorySeries.samplesPerChunk,
            open.append(time, histogram)
        {
            if open.count == MemorySeries.samplesPerChunk / 4 {
                openEnd = MemorySeries.evenEnd(from: open.firstTime, through: openEnd, now: time)
            }
            return
        }
        if !histogram.hasWholeCounts { holdsFractions = true }
        let new = HistogramChunk(for: histogram, after: open, isWhole: !holdsFractions)
        if let open { sealed.append(Chunk(open)) }
        _ = new.append(time, histogram)
        open = new
        openEnd = SampleTime.floor(time, to: range) + range
    }

    /// Says that the series ends.
    ///
    /// - Returns: false if there is no chunk for that.
    func appendEnd(_ time: Int64) -> Bool {
        guard let open, time < openEnd, open.count < 2 * MemorySeries.samplesPerChunk else { return false }
        open.appendEnd(time)
        return true
    }

    func drop(before time: Int64) {
        sealed.removeAll { $0.lastTime < time }
        if let last = open?.lastTime, last < time { open = nil }
    }

    func read(_ range: ClosedRange<Int64>, into column: inout SampleColumn) throws(QueryableError) {
        for chunk in chunks where chunk.lastTime >= range.lowerBound && chunk.firstTime <= range.upperBound {
            column.chunksRead += 1
            column.bytesRead += chunk.bytes.count
            let isWhole = chunk.bytes.withUnsafeBytes {
                HistogramChunk.decode($0, encoding: chunk.encoding, in: range, into: &column)
            }
            if !isWhole { throw .damaged("a chunk of histograms in memory") }
        }
    }

    /// The chunks of a time as they are; nil if one lies across its end.
    func chunks(_ range: ClosedRange<Int64>) -> [BlockWriter.Chunk]? {
        let all = chunks
        guard all.allSatisfy({ range.contains($0.firstTime) == range.contains($0.lastTime) }) else { return nil }
        return all.filter { range.contains($0.firstTime) }.map {
            BlockWriter.Chunk(
                minTime: $0.firstTime, maxTime: $0.lastTime, encoding: $0.encoding, sampleCount: $0.count,
                bytes: $0.bytes)
        }
    }
}
