import KernelStructures
import TimeSeriesEngine

/// The entries of many chunks in one order of time, forward or backward.
///
/// A chunk is opened only when its time has come, and closed when its last entry has gone by: so as many are in memory
/// as overlap, which is about one a stream. Entries of one time come in the order of their streams' labels, those of
/// one stream as they stand there (backward: reversed). Of a chunk only those are offered that may be wanted, as far as
/// `LogSieve` can tell.
public struct LogMerge {
    public enum Direction: Sendable { case forward, backward }

    private let source: any LogSource
    private let direction: Direction
    private let from: Int64
    private let through: Int64
    private let hint: LogHint
    /// Those that are not open yet, the next one last.
    private var waiting: [Waiting]
    private var open = BinaryHeap<Cursor>()

    private struct Waiting {
        let chunk: LogChunk
        let place: Int
    }

    private struct Cursor: Comparable {
        let block: LogBlock
        /// The entries that are offered, rising.
        let lines: [Int]
        var line: Int
        var index: Int { lines[line] }
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
    ///   - hint: what every wanted entry fulfils.
    public init(
        _ source: any LogSource, _ chunks: [LogChunk], _ direction: Direction, from: Int64, through: Int64,
        hint: LogHint = .anything
    ) {
        self.source = source
        self.hint = hint
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
        while needsChunk { _ = try openChunk(&statistics) }
        guard var cursor = open.removeFirst() else { return nil }
        let result = (cursor.block, cursor.index)
        switch direction {
        case .forward:
            cursor.line += 1
            if cursor.line < cursor.lines.count { open.insert(cursor) }
        case .backward:
            cursor.line -= 1
            if cursor.line >= 0 { open.insert(cursor) }
        }
        return result
    }

    /// Whether a chunk may have the next entry.
    private func isDue(_ chunk: LogChunk) -> Bool {
        guard let first = open.first else { return true }
        return direction == .forward ? chunk.first <= first.time : chunk.last >= first.time
    }

    /// Whether a chunk has to be opened before the next entry is known. `next` does that by itself; whoever works in
    /// slices does it first, one by one.
    public var needsChunk: Bool { waiting.last.map { isDue($0.chunk) } ?? false }

    /// Opens the next chunk; there must be one.
    ///
    /// - Returns: how many entries it has.
    public mutating func openChunk(_ statistics: inout LogStatistics) throws(LogSourceError) -> Int {
        let next = waiting.removeLast()
        let block = try source.read(next.chunk, &statistics)
        let start = block.firstIndex(notBefore: from)
        let end = max(start, block.firstIndex(notBefore: through))
        let lines = LogSieve.lines(hint, block, in: start..<end)
        if !lines.isEmpty {
            open.insert(
                Cursor(
                    block: block, lines: lines, line: direction == .forward ? 0 : lines.count - 1, place: next.place,
                    isBackward: direction == .backward))
        }
        return block.count
    }
}
