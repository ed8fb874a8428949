import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// Several segments of a day become one: larger chunks, packed harder, and one index instead of many.
///
/// The new segment says which ones it replaces. It counts as soon as it has its name; those that it replaces are
/// removed later, and if a crash comes before, when the store is opened.
final class SegmentMerge {
    let inputs: [SegmentEntry]
    let number: Int
    let isCold: Bool
    let rank: Int
    let writer: SegmentWriter
    private let segments: [Segment]
    private let chunkBytes: Int
    /// All streams of the inputs, the next one last.
    private var streams: [Labels]
    /// What is to be written next, the next one last.
    private var work: [Piece] = []
    /// What number the chunks that were copied have now, by segment; -1 for all others.
    private var places: [[Int]]
    /// Segments whose words are still to be taken over.
    private var untaken: Int

    private enum Piece {
        case block(LogBlock)
        /// As it is: of which segment, and which chunk in it.
        case copy(Int, Int)
    }

    init(_ inputs: [SegmentEntry], isCold: Bool, _ store: LogStore) throws {
        self.inputs = inputs
        self.isCold = isCold
        rank = inputs.map(\.rank).min() ?? 0
        chunkBytes = isCold ? store.settings.coldChunkBytes : store.settings.chunkBytes
        var segments: [Segment] = []
        for entry in inputs { segments.append(try Segment(store.disk, entry.path, identifier: entry.identifier)) }
        self.segments = segments
        places = segments.map { Array(repeating: -1, count: $0.table.count) }
        untaken = segments.count
        streams = Set(segments.flatMap(\.streams)).sorted(by: >)
        number = store.takeNumber()
        writer = try SegmentWriter(
            store.disk, LogStore.segmentPath(store.directory, inputs[0].day, number),
            level: isCold ? store.settings.coldLevel : store.settings.warmLevel)
    }

    /// A bounded piece of it: a stream is read, or a chunk written.
    ///
    /// - Returns: whether that was all.
    func step() throws -> Bool {
        if let piece = work.popLast() {
            try write(piece)
        } else if let labels = streams.popLast() {
            work = try pieces(of: labels).reversed()
        } else if untaken > 0 {
            untaken -= 1
            if places[untaken].contains(where: { $0 >= 0 }) {
                try writer.addTerms(of: segments[untaken], places: places[untaken])
            }
        } else {
            // A cold one has no other use for its own number in the list: it says that it is cold.
            try writer.finish(rank: rank, replacing: inputs.map(\.number) + (isCold ? [number] : []))
            return true
        }
        return false
    }

    private func write(_ piece: Piece) throws {
        switch piece {
        case .block(let block): try writer.add(block)
        case .copy(let segment, let index):
            let row = segments[segment].table[index]
            places[segment][index] = try writer.add(
                try segments[segment].packed(index), as: row, labels: segments[segment].streams[row.stream])
        }
    }

    /// Chunks of a day that is not over are copied, unless they are too small: packing them again would make them no
    /// smaller.
    private func pieces(of labels: Labels) throws(LogSourceError) -> [Piece] {
        var chunks: [(segment: Int, index: Int, row: SegmentTable.Row)] = []
        for (number, segment) in segments.enumerated() {
            guard let stream = segment.stream(of: labels) else { continue }
            for index in segment.chunks(of: stream) { chunks.append((number, index, segment.table[index])) }
        }
        chunks.sort { ($0.row.first, $0.segment, $0.index) < ($1.row.first, $1.segment, $1.index) }
        let bytes = chunks.reduce(0) { $0 + $1.row.byteCount }
        if !isCold, bytes >= chunks.count * chunkBytes / 2 { return chunks.map { .copy($0.segment, $0.index) } }
        var ignored = LogStatistics()
        var parts: [LogBlock] = []
        for chunk in chunks { parts.append(try segments[chunk.segment].read(chunk.index, &ignored)) }
        return LogBlock.cut(parts, chunkBytes: chunkBytes).map { .block($0.block) }
    }

    func abandon() { writer.abandon() }

    /// Small segments of one day are merged when there are so many of them.
    private static let smallCount = 8

    /// What should be merged next; nil if nothing has to be.
    static func choose(_ segments: [SegmentEntry], _ settings: LogStoreSettings, now: Int64)
        -> (segments: [SegmentEntry], isCold: Bool)?
    {
        var start = 0
        while start < segments.count {
            let end = segments[start...].firstIndex { $0.day != segments[start].day } ?? segments.count
            let day = Array(segments[start..<end])
            let dayEnd = Double(day[0].day + 1) * Double(LogStore.dayNanoseconds)
            let isOver = Double(now) - dayEnd >= Double(settings.coldAfterNanoseconds)
            if let found = isOver ? cold(day, settings) : small(day, settings) { return (found, isOver) }
            start = end
        }
        return nil
    }

    /// Of a day that is over: all that is not cold, as much as goes into one segment.
    private static func cold(_ day: [SegmentEntry], _ settings: LogStoreSettings) -> [SegmentEntry]? {
        let warm = day.filter { !$0.isCold }
        if warm.isEmpty { return nil }
        // What is small among the cold ones is packed again with what has come late.
        let small = day.filter { $0.isCold && $0.lineBytes < settings.mergeBytes / 4 }
        return prefix(small + warm, settings.mergeBytes)
    }

    private static func small(_ day: [SegmentEntry], _ settings: LogStoreSettings) -> [SegmentEntry]? {
        let small = day.filter { $0.lineBytes < settings.headBytes }
        guard small.count >= smallCount else { return nil }
        let chosen = prefix(small, settings.mergeBytes)
        return chosen.count > 1 ? chosen : nil
    }

    private static func prefix(_ segments: [SegmentEntry], _ limitBytes: Int) -> [SegmentEntry] {
        var total = 0
        var chosen: [SegmentEntry] = []
        for segment in segments {
            if !chosen.isEmpty, total + segment.lineBytes > limitBytes { break }
            total += segment.lineBytes
            chosen.append(segment)
        }
        return chosen
    }
}
