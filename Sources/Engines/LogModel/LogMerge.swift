import KernelStructures
import TimeSeriesEngine

/// The entries of many chunks in one order of time, forward or backward.
///
/// A chunk is opened only when its time has come, and closed when its last entry has gone by: so as many are in memory
/// as overlap, which is about one a stream. Entries of one time come in the order of their streams' labels, those of
/// one stream as they stand there (backward: reversed).
public struct LogMerge {
    public enum Direction: Sendable { case forward, backward }

    private let source: any LogSource
    private let direction: Direction
    private let from: Int64
    private let through: Int64
    /// Those that are not open yet, the next one last.
    private var waiting: [Waiting]
    private var open = BinaryHeap<Cursor>()

    private struct Waiting {
        let chunk: LogChunk
        let place: Int
    }

    private struct Cursor: Comparable {
        let block: LogBlock
        var index: Int
        /// Where its chunk stands among all: decides between entries of one time.
        let place: Int
        let isBackward: Bool
        var time: Int64 { block.timestamps[index] }

        static func < (left: Cursor, right: Cursor) -> Bool {
            let isBefore = (left.time, left.place) < (right.time, right.place)
            return left.isBackward ? !isBefore && left != right : isBefore
        }

        static func == (left: Cursor, right: Cursor) -> Bool { left.time == right.time && left.place == right.place }
    }

    /// - Parameters:
    ///   - chunks: as `LogSource.select` has returned them.
    ///   - from: the first nanosecond that counts.
    ///   - through: the first that does not any more.
    public init(_ source: any LogSource, _ chunks: [LogChunk], _ direction: Direction, from: Int64, through: Int64) {
        self.source = source
        self.direction = direction
        self.from = from
        self.through = through
        let all = chunks.enumerated().map { Waiting(chunk: $1, place: $0) }
        switch direction {
        case .forward:
            waiting = all.sorted { ($0.chunk.first, $0.place) > ($1.chunk.first, $1.place) }
        case .backward:
            waiting = all.sorted { ($0.chunk.last, $0.place) < ($1.chunk.last, $1.place) }
        }
    }

    /// The next entry: a block, and where in it. Nil at the end.
    public mutating func next(_ statistics: inout LogStatistics) throws(LogSourceError) -> (
        block: LogBlock, index: Int
    )? {
        while let next = waiting.last, isDue(next.chunk) {
            waiting.removeLast()
            try openChunk(next, &statistics)
        }
        guard var cursor = open.removeFirst() else { return nil }
        let result = (cursor.block, cursor.index)
        switch direction {
        case .forward:
            cursor.index += 1
            if cursor.index < cursor.block.count, cursor.time < through { open.insert(cursor) }
        case .backward:
            cursor.index -= 1
            if cursor.index >= 0, cursor.time >= from { open.insert(cursor) }
        }
        return result
    }

    /// Whether a chunk may have the next entry.
    private func isDue(_ chunk: LogChunk) -> Bool {
        guard let first = open.first else { return true }
        return direction == .forward ? chunk.first <= first.time : chunk.last >= first.time
    }

    private mutating func openChunk(_ next: Waiting, _ statistics: inout LogStatistics) throws(LogSourceError) {
        let block = try source.read(next.chunk, &statistics)
        let start = block.firstIndex(notBefore: from)
        let end = block.firstIndex(notBefore: through)
        guard start < end else { return }
        open.insert(
            Cursor(
                block: block, index: direction == .forward ? start : end - 1, place: next.place,
                isBackward: direction == .backward))
    }
}
