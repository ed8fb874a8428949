import KernelStructures
import TimeSeriesEngine

/// Thins one day of all series, some series at a time.
final class TierJob {
    private let tier: Tier
    private let range: ClosedRange<Int64>
    private let blocks: [Block]
    private var merge: BlockMerge
    private var writers: [Tier.Figure: BlockWriter] = [:]
    /// What counters have come to before that day, and their last values.
    private var counters: SeriesCursor
    private var lasts: SeriesCursor

    /// Series of one piece of work.
    private static let seriesTogether = 64

    /// - Parameters:
    ///   - from: where the first window begins, a multiple of its width; `through` is the end of the last one.
    ///   - blocks: those of the store that have something of it.
    /// - Throws: `DiskError`, `QueryableError`.
    init(_ tier: Tier, from: Int64, through: Int64, _ blocks: [Block], now: Int64) throws {
        self.tier = tier
        // A window has what follows its beginning, and its end.
        range = (from + 1)...through
        self.blocks = blocks
        merge = try BlockMerge(blocks)
        counters = try SeriesCursor(tier.archives[.counter]?.blocks.last { $0.meta.maxTime == from })
        lasts = try SeriesCursor(tier.archives[.last]?.blocks.last { $0.meta.maxTime == from })
        for (figure, archive) in tier.archives {
            guard let files = archive.files else { continue }
            let meta = BlockMeta(ulid: files.makeName(milliseconds: now), minTime: from, maxTime: through)
            writers[figure] = try BlockWriter(files.disk, files.directory, meta)
        }
    }

    /// Whether a block that it reads has been replaced meanwhile.
    var isOutdated: Bool { blocks.contains(where: \.isGone) }

    /// The next piece.
    ///
    /// - Returns: false once all of it is done and stands in the archives.
    func advance() throws -> Bool {
        for _ in 0..<Self.seriesTogether {
            guard let (labels, places) = merge.next() else {
                try finish()
                return false
            }
            var column = SampleColumn()
            try merge.read(places, range, into: &column)
            try write(labels, column)
        }
        return true
    }

    private func write(_ labels: Labels, _ column: SampleColumn) throws {
        var thinner = Thinner(tier.widthMilliseconds)
        if let adjusted = try counters.last(of: labels), let last = try lasts.last(of: labels) {
            thinner.goOn(adjusted, last)
        }
        for index in column.timestamps.indices where column.histograms.isEmpty || column.histograms[index] == nil {
            thinner.add(column.timestamps[index], column.values[index])
        }
        thinner.end()
        for (figure, own) in thinner.columns { try writers[figure]?.add(labels, ChunkPacker.chunks(of: own)) }
    }

    private func finish() throws {
        for figure in Tier.Figure.allCases { _ = try writers[figure]?.finish() }
        writers = [:]
        for archive in tier.archives.values { try archive.openBlocks() }
        tier.skip(to: range.upperBound)
    }

    func abandon() {
        for writer in writers.values { writer.abandon() }
        writers = [:]
    }
}

/// Makes windows of one series' samples.
struct Thinner {
    private let width: Int64
    private(set) var columns: [Tier.Figure: SampleColumn] = [:]
    private var windowEnd: Int64?
    private var least = 0.0
    private var greatest = 0.0
    private var sum = 0.0
    private var count = 0.0
    private var last: Double?
    private var adjusted = 0.0

    init(_ width: Int64) { self.width = width }

    /// What the counter has come to before, and its last value then.
    mutating func goOn(_ adjusted: Double, _ last: Double) {
        self.adjusted = adjusted
        self.last = last
    }

    /// The end of the window that a moment lies in.
    static func end(of time: Int64, _ width: Int64) -> Int64 { SampleTime.floor(time - 1, to: width) + width }

    mutating func add(_ time: Int64, _ value: Double) {
        if Staleness.isMarker(value) { return }
        let end = Self.end(of: time, width)
        if end != windowEnd {
            self.end()
            windowEnd = end
            (least, greatest, sum, count) = (value, value, 0, 0)
        }
        if value < least || least.isNaN { least = value }
        if value > greatest || greatest.isNaN { greatest = value }
        sum += value
        count += 1
        if let last { adjusted += value < last ? value : value - last } else { adjusted = value }
        last = value
    }

    mutating func end() {
        guard let windowEnd, let last else { return }
        for (figure, value) in [
            (Tier.Figure.min, least), (.max, greatest), (.sum, sum), (.count, count), (.last, last),
            (.counter, adjusted),
        ] {
            columns[figure, default: SampleColumn()].append(windowEnd - 1, value)
        }
        self.windowEnd = nil
    }
}

/// The series of a block in their order, each with its last value: asked for one series after another.
private struct SeriesCursor {
    private let block: Block?
    private let numbers: [UInt32]
    private var next = 0
    private var current: IndexReader.Series?

    init(_ block: Block?) throws(QueryableError) {
        self.block = block
        numbers = try block?.numbers([]) ?? []
    }

    /// Nil if it is not there. What is asked for rises.
    mutating func last(of labels: Labels) throws(QueryableError) -> Double? {
        guard let block else { return nil }
        while next < numbers.count {
            let series: IndexReader.Series
            if let current { series = current } else { series = try block.series(numbers[next]) }
            current = series
            if labels < series.labels { return nil }
            if series.labels == labels {
                guard let chunk = series.chunks.last else { return nil }
                var column = SampleColumn()
                try block.read(series, [], chunk.minTime...chunk.maxTime, into: &column)
                return column.values.last
            }
            next += 1
            current = nil
        }
        return nil
    }
}
