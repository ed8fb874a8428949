import TimeSeriesEngine

/// Several blocks read as one, series by series in the order of their labels.
struct BlockMerge {
    private let blocks: [Block]
    private var places: [Place] = []
    private var start = 0

    /// Where a series stands in one of the blocks.
    struct Place {
        let labels: Labels
        fileprivate let block: Int
        fileprivate let number: UInt32
    }

    /// - Parameter pause: called after each piece of work.
    /// - Throws: `QueryableError`, and what `pause` throws.
    init(_ blocks: [Block], pause: () throws -> Void = {}) throws {
        self.blocks = blocks
        var runs: [[Place]] = []
        for (index, block) in blocks.enumerated() {
            var own: [Place] = []
            // A condition that everything satisfies: all series.
            for number in try block.numbers([]) {
                own.append(Place(labels: try block.series(number).labels, block: index, number: number))
                if own.count % SortedRuns.pieceCount == 0 { try pause() }
            }
            // They are in the order of labels, in files that are not damaged.
            let isSorted = zip(own, own.dropFirst()).allSatisfy { !($1.labels < $0.labels) }
            if !isSorted { own.sort { $0.labels < $1.labels } }
            runs.append(own)
        }
        places = try SortedRuns.merged(runs, { $0.labels < $1.labels }, pause: pause)
    }

    /// The next series, and where it stands.
    mutating func next() -> (labels: Labels, places: ArraySlice<Place>)? {
        guard start < places.count else { return nil }
        var end = start + 1
        while end < places.count, places[end].labels == places[start].labels { end += 1 }
        defer { start = end }
        return (places[start].labels, places[start..<end])
    }

    /// The next series with all that the blocks have of it.
    mutating func nextChunks() throws -> (labels: Labels, chunks: [BlockWriter.Chunk])? {
        guard let (labels, places) = next() else { return nil }
        return (labels, try chunks(places))
    }

    /// The samples of one series in a time, in rising order.
    func read(
        _ places: ArraySlice<Place>, _ range: ClosedRange<Int64>, into column: inout SampleColumn
    ) throws(QueryableError) {
        for place in places {
            let block = blocks[place.block]
            try block.read(try block.series(place.number), block.deleted(place.number), range, into: &column)
        }
        column.sort(from: 0)
    }

    /// The chunks as they are, where they follow one another and nothing was deleted; otherwise packed anew.
    private func chunks(_ places: ArraySlice<Place>) throws -> [BlockWriter.Chunk] {
        var chunks: [BlockWriter.Chunk] = []
        var isPlain = true
        for place in places {
            let block = blocks[place.block]
            if !block.deleted(place.number).isEmpty { isPlain = false }
            for chunk in try block.series(place.number).chunks {
                let (encoding, bytes) = try block.chunk(chunk.reference)
                let count = bytes.count < 2 ? 0 : Int(bytes[0]) << 8 | Int(bytes[1])
                if let last = chunks.last, last.maxTime >= chunk.minTime { isPlain = false }
                chunks.append(
                    .init(
                        minTime: chunk.minTime, maxTime: chunk.maxTime, encoding: encoding, sampleCount: count,
                        bytes: bytes))
            }
        }
        if isPlain { return chunks }
        var column = SampleColumn()
        try read(places, SampleTime.range, into: &column)
        return ChunkPacker.chunks(of: column)
    }
}

extension MemorySeries {
    /// What the series has of a time, as chunks of a block. `range` is a whole number of what chunks do not cross.
    func chunks(_ range: ClosedRange<Int64>) throws(QueryableError) -> [BlockWriter.Chunk] {
        let hasFloats = !sealed.isEmpty || open.count > 0 || !late.isEmpty
        if deleted.isEmpty, !hasFloats, let chunks = histograms?.chunks(range) { return chunks }
        let isPlain =
            deleted.isEmpty && histograms == nil && !late.contains { range.contains($0.time) }
            && sealed.allSatisfy { range.contains($0.firstTime) == range.contains($0.lastTime) }
            && (open.count == 0 || range.contains(open.firstTime) == range.contains(open.lastTime))
        guard isPlain else {
            var column = SampleColumn()
            try read(range, into: &column)
            return ChunkPacker.chunks(of: column)
        }
        var chunks = sealed.filter { range.contains($0.firstTime) }.map {
            BlockWriter.Chunk(
                minTime: $0.firstTime, maxTime: $0.lastTime, encoding: XORChunk.encoding, sampleCount: $0.count,
                bytes: $0.bytes)
        }
        if open.count > 0, range.contains(open.firstTime) {
            chunks.append(
                .init(
                    minTime: open.firstTime, maxTime: open.lastTime, encoding: XORChunk.encoding,
                    sampleCount: open.count, bytes: open.bytes))
        }
        return chunks
    }
}
