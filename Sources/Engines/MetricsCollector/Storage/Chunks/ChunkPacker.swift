import TimeSeriesEngine

/// Samples of one series, in rising order, as chunks of a block: of 120 at most, each of one kind.
struct ChunkPacker {
    private var chunks: [BlockWriter.Chunk] = []
    private var floats = XORChunk()
    private var histograms: HistogramChunk?
    private var holdsFractions = false

    static func chunks(of column: SampleColumn) -> [BlockWriter.Chunk] {
        var packer = ChunkPacker()
        for index in column.timestamps.indices {
            if !column.histograms.isEmpty, let histogram = column.histograms[index] {
                packer.append(column.timestamps[index], histogram)
            } else {
                packer.append(column.timestamps[index], column.values[index])
            }
        }
        packer.endFloats()
        packer.endHistograms()
        return packer.chunks
    }

    private mutating func append(_ time: Int64, _ value: Double) {
        // Behind histograms the end of the series is one of them.
        if let histograms, histograms.last != nil, Staleness.isMarker(value) { return histograms.appendEnd(time) }
        endHistograms()
        if floats.count == MemorySeries.samplesPerChunk { endFloats() }
        floats.append(time, value)
    }

    private mutating func append(_ time: Int64, _ histogram: NativeHistogram) {
        endFloats()
        if let histograms, histograms.count < MemorySeries.samplesPerChunk, histograms.append(time, histogram) {
            return
        }
        if !histogram.hasWholeCounts { holdsFractions = true }
        let new = HistogramChunk(for: histogram, after: histograms, isWhole: !holdsFractions)
        endHistograms()
        _ = new.append(time, histogram)
        histograms = new
    }

    private mutating func endFloats() {
        guard floats.count > 0 else { return }
        chunks.append(
            .init(
                minTime: floats.firstTime, maxTime: floats.lastTime, encoding: XORChunk.encoding,
                sampleCount: floats.count, bytes: floats.bytes))
        floats = XORChunk()
    }

    private mutating func endHistograms() {
        guard let chunk = histograms else { return }
        chunks.append(
            .init(
                minTime: chunk.firstTime, maxTime: chunk.lastTime, encoding: chunk.encoding, sampleCount: chunk.count,
                bytes: chunk.bytes))
        histograms = nil
    }
}
