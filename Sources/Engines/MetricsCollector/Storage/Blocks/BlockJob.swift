import KernelStorage
import TimeSeriesEngine

/// A block in the making: what is new in memory written as one, or several made into a longer one.
///
/// It is written piece by piece, while samples come and queries are answered; nothing of it counts before the store
/// takes it (`TimeSeriesStore.take`). What is deleted meanwhile is not deleted in it: then it is outdated, and is made
/// anew.
public final class BlockJob {
    enum Source {
        /// What the head has of a time.
        case head(ClosedRange<Int64>)
        case blocks([Block])
    }

    /// Why a job has ended before it was through.
    enum Stop: Error {
        /// Nobody goes on with it, and its files must not be touched any more.
        case interrupted
        case outdated
    }

    let source: Source
    let meta: BlockMeta
    private let head: Head
    private var writer: BlockWriter
    /// Something was deleted that it has written, or may have.
    var isOutdated = false
    /// Whether there is a block: there is none without samples.
    private(set) var isWritten = false

    /// Series of one piece of work.
    private static let seriesTogether = 64

    /// - Throws: `DiskError`.
    init(_ source: Source, _ meta: BlockMeta, _ head: Head, _ files: StoreFiles) throws(DiskError) {
        self.source = source
        self.meta = meta
        self.head = head
        writer = try BlockWriter(files.disk, files.directory, meta)
    }

    /// Writes all of it.
    ///
    /// - Parameter giveWay: called after each piece of work, about a millisecond; with false it ends at once and
    ///   touches nothing any more.
    /// - Throws: `Stop`, `DiskError`, `QueryableError`.
    public func write(_ giveWay: () -> Bool) throws {
        func pause() throws {
            guard giveWay() else { throw Stop.interrupted }
            if isOutdated || head.isCutOverfull { throw Stop.outdated }
        }
        switch source {
        case .head(let range):
            for (index, (labels, series)) in try sortedSeries(pause).enumerated() {
                try writer.add(labels, try series.chunks(range))
                if index % Self.seriesTogether == Self.seriesTogether - 1 { try pause() }
            }
        case .blocks(let group):
            var merge = try BlockMerge(group, pause: pause)
            var count = 0
            while let (labels, chunks) = try merge.nextChunks() {
                try writer.add(labels, chunks)
                count += 1
                if count % Self.seriesTogether == 0 { try pause() }
            }
        }
        try pause()
        isWritten = try writer.finish(pause: pause) != nil
    }

    /// By their labels. Series that come meanwhile have no samples of that time, or such as come late.
    private func sortedSeries(_ pause: () throws -> Void) throws -> [(labels: Labels, series: MemorySeries)] {
        var runs: [[(labels: Labels, series: MemorySeries)]] = []
        let all = head.series
        for start in stride(from: 0, to: all.count, by: SortedRuns.pieceCount) {
            let piece = all[start..<min(all.count, start + SortedRuns.pieceCount)]
            runs.append(piece.map { (labels: head.labels(of: $0), series: $0) }.sorted { $0.labels < $1.labels })
            try pause()
        }
        return try SortedRuns.merged(runs, { $0.labels < $1.labels }, pause: pause)
    }

    /// Removes what has been written.
    func abandon() { writer.abandon() }
}
