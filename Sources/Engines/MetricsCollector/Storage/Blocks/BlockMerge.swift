import TimeSeriesEngine

/// Several blocks read as one, series by series in the order of their labels.
struct BlockMerge {
    private let blocks: [Block]

    init(_ blocks: [Block]) { self.blocks = blocks }

    /// Where a series stands in one of the blocks.
    private struct Place {
        let labels: Labels
        let block: Int
        let number: UInt32
    }

    func write(to writer: inout BlockWriter) throws {
        var places: [Place] = []
        for (index, block) in blocks.enumerated() {
            // A condition that everything satisfies: all series.
            for number in try block.numbers([]) {
                places.append(Place(labels: try block.series(number).labels, block: index, number: number))
            }
        }
        places.sort { $0.labels != $1.labels ? $0.labels < $1.labels : $0.block < $1.block }
        var start = 0
        while start < places.count {
            var end = start + 1
            while end < places.count, places[end].labels == places[start].labels { end += 1 }
            try writer.add(places[start].labels, try chunks(places[start..<end]))
            start = end
        }
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
        for place in places {
            let block = blocks[place.block]
            try block.read(
                try block.series(place.number), block.deleted(place.number), SampleTime.range, into: &column)
        }
        column.sort(from: 0)
        return MemorySeries.packed(column)
    }
}

extension MemorySeries {
    /// What the series has of a time, as chunks of a block. `range` is a whole number of what chunks do not cross.
    func chunks(_ range: ClosedRange<Int64>) throws(QueryableError) -> [BlockWriter.Chunk] {
        let isPlain =
            deleted.isEmpty && !late.contains { range.contains($0.time) }
            && sealed.allSatisfy { range.contains($0.firstTime) == range.contains($0.lastTime) }
            && (open.count == 0 || range.contains(open.firstTime) == range.contains(open.lastTime))
        guard isPlain else {
            var column = SampleColumn()
            try read(range, into: &column)
            return Self.packed(column)
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

    /// Samples as chunks of 120.
    static func packed(_ column: SampleColumn) -> [BlockWriter.Chunk] {
        var chunks: [BlockWriter.Chunk] = []
        var chunk = XORChunk()
        func end() {
            guard chunk.count > 0 else { return }
            chunks.append(
                .init(
                    minTime: chunk.firstTime, maxTime: chunk.lastTime, encoding: XORChunk.encoding,
                    sampleCount: chunk.count, bytes: chunk.bytes))
            chunk = XORChunk()
        }
        for index in column.timestamps.indices where column.histograms.isEmpty || column.histograms[index] == nil {
            if chunk.count == samplesPerChunk { end() }
            chunk.append(column.timestamps[index], column.values[index])
        }
        end()
        return chunks
    }
}
