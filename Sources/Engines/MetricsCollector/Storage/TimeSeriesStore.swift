import KernelStorage
import KernelStructures
import TimeSeriesEngine

/// A database of series: what is new in memory and in a log, what is older in blocks on the disk.
///
/// ## The problem
///
/// A monitored system says a number a second for every thing that it counts, a million of them, for weeks. Nearly all
/// of it is never read; what is read is one series over a long time, or a thousand over a short one. A row in a table
/// for each number would take fifty bytes and an index entry; here it takes one and a half.
///
/// ## An everyday picture
///
/// An office with a day-book and an archive. What happens is written in the day-book at once, and noted on a card for
/// each customer on the desk, where it is found quickly. Every two hours the cards are bound into a folder, put into
/// the archive, and the pages of the day-book before are thrown away. After a fire in the office the day-book says what
/// was on the cards. Old folders are bound together to thicker ones, and burnt after some years.
///
/// ## How
///
/// ```
/// samples ──▶ log (wal/) ──▶ head: a chunk a series that grows, and finished ones
///                              └─ every two hours ──▶ block 01G…/ {chunks, index, meta.json, tombstones}
/// query   ──▶ head + all blocks of that time           └─ compaction ──▶ longer blocks ──▶ retention
/// ```
///
/// All files have Prometheus's formats (`tsdb/docs/format`), so `promtool tsdb` reads them, and we read Prometheus's.
///
/// ## Where it is wrong
///
/// What came since the last sync of the log is lost with the power: a second's worth. Numbers are floats: a counter
/// beyond 2^53 moves in steps.
public final class TimeSeriesStore {
    public let settings: StoreSettings
    let head: Head
    /// In the order of their times; empty for a store in memory.
    var blocks: [Block] = []
    /// Where it keeps everything; nil for a store in memory.
    let files: StoreFiles?
    public internal(set) var statistics = StoreStatistics()
    /// What an operator should know: damage that was found, what could not be written.
    public internal(set) var problems: [String] = []
    /// The newest exemplars of all series. They stand in the log as samples do, and in no block.
    public internal(set) var exemplars: ExemplarRing
    /// Thinned copies, by their widths, rising.
    var tiers: [Tier] = []
    var tierJob: TierJob?
    /// The block that is being written.
    var blockJob: BlockJob?
    /// The head has been shortened since the last checkpoint.
    var needsCheckpoint = false

    /// A store in memory, which a restart empties.
    public init(settings: StoreSettings = StoreSettings()) {
        self.settings = settings
        head = Head(settings)
        exemplars = ExemplarRing(limit: settings.exemplarLimit)
        files = nil
    }

    /// A store in a directory, as its log and its blocks have it.
    ///
    /// - Parameter random: for the names of blocks.
    /// - Throws: `DiskError`: also where another process has the directory. What is damaged is left out, and told in
    ///   `problems`.
    public init(settings: StoreSettings, disk: NodeDisk, directory: String, random: SeededRandom) throws(DiskError) {
        self.settings = settings
        head = Head(settings)
        exemplars = ExemplarRing(limit: settings.exemplarLimit)
        files = try StoreFiles(disk, directory, random: random)
        try recover()
        try openTiers()
    }

    /// A store of blocks that others write, without a log.
    ///
    /// - Throws: as the other one.
    init(
        archive settings: StoreSettings, disk: NodeDisk, directory: String, random: SeededRandom
    ) throws(DiskError) {
        self.settings = settings
        head = Head(settings)
        exemplars = ExemplarRing(limit: settings.exemplarLimit)
        files = try StoreFiles(disk, directory, hasLog: false, random: random)
        try files?.removeLeftovers()
        try openBlocks()
    }

    /// Told of every sample that is committed, before it counts; nil where nobody wants to know.
    public var onSample: ((Labels, _ time: Int64, _ value: SampleValue) -> Void)?

    // MARK: Writing

    /// Samples that are logged and added together.
    public struct Batch {
        var samples: [(series: MemorySeries, time: Int64, value: Double)] = []
        var histograms: [(series: MemorySeries, time: Int64, value: NativeHistogram)] = []
        public init() {}
        public var count: Int { samples.count + histograms.count }
        public mutating func reserve(_ count: Int) { samples.reserveCapacity(count) }
    }

    /// A series of the store that is written to again and again, so that its labels need not be looked up.
    public struct SeriesHandle {
        let series: MemorySeries
        /// False once the store has dropped the series, because it had no samples for hours.
        public var isValid: Bool { !series.isDropped }
    }

    /// - Throws: `AppendError`.
    public func handle(_ labels: Labels) throws(AppendError) -> SeriesHandle {
        SeriesHandle(series: try head.series(labels))
    }

    public func labels(of handle: SeriesHandle) -> Labels { head.labels(of: handle.series) }

    /// Adds a sample to a batch.
    ///
    /// - Throws: `AppendError` if it would be refused as things stand; the rest of the batch is not touched by that.
    public func add(_ time: Int64, _ value: Double, to handle: SeriesHandle, _ batch: inout Batch) throws(AppendError) {
        // The end of a series of histograms is one of them, in the log too: those who read it keep the two apart.
        if Staleness.isMarker(value), handle.series.endsInHistogram {
            return try add(time, .seriesEnd, to: handle, &batch)
        }
        switch head.verdict(handle.series, time, value) {
        case .inOrder, .late, .present: batch.samples.append((handle.series, time, value))
        case .refused(let error):
            statistics.refusedSamples += 1
            throw error
        }
    }

    /// Adds a native histogram to a batch. One whose sum is the marker of staleness says that the series has ended.
    ///
    /// - Throws: as with a number.
    public func add(
        _ time: Int64, _ value: NativeHistogram, to handle: SeriesHandle, _ batch: inout Batch
    ) throws(AppendError) {
        switch head.verdict(handle.series, time, value) {
        case .inOrder, .late, .present: batch.histograms.append((handle.series, time, value))
        case .refused(let error):
            statistics.refusedSamples += 1
            throw error
        }
    }

    /// Writes the batch to the log and adds it to the series. What the log cannot take is in memory all the same, and
    /// told in `problems`.
    public func commit(_ batch: Batch) {
        log(batch)
        if let onSample {
            for (series, time, value) in batch.samples { onSample(head.labels(of: series), time, .float(value)) }
            for (series, time, value) in batch.histograms { onSample(head.labels(of: series), time, .histogram(value)) }
        }
        for (series, time, value) in batch.samples {
            switch head.append(series, time, value) {
            case .inOrder, .late: statistics.appendedSamples += 1
            case .present: break
            case .refused: statistics.refusedSamples += 1
            }
        }
        for (series, time, value) in batch.histograms {
            if head.append(series, time, value) == .inOrder { statistics.appendedSamples += 1 }
        }
    }

    /// One sample by its labels.
    ///
    /// - Throws: `AppendError`.
    public func append(_ labels: Labels, _ time: Int64, _ value: Double) throws(AppendError) {
        var batch = Batch()
        try add(time, value, to: handle(labels), &batch)
        commit(batch)
    }
}

extension TimeSeriesStore: Queryable {
    public func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries] {
        if !tiers.isEmpty {
            let rawStart = [head.firstTime, blocks.map(\.meta.minTime).min()].compactMap { $0 }.min()
            if let plan = TierPlan(selection, tiers, rawStart: rawStart) {
                return try select(matchers, selection, plan)
            }
        }
        return try selectSamples(matchers, selection)
    }

    /// As `select`, of the samples themselves.
    func selectSamples(
        _ matchers: [LabelMatcher], _ selection: Selection
    ) throws(QueryableError) -> [SelectedSeries] {
        var sources: [[SelectedSeries]] = []
        for block in blocks {
            let found = try block.select(matchers, selection)
            if !found.isEmpty { sources.append(found) }
        }
        let found = try head.select(matchers, selection)
        if sources.isEmpty { return found }
        let merged = MergedSeries.merge(sources + [found])
        if merged.count > selection.seriesLimit { throw .tooManySeries(limit: selection.seriesLimit) }
        return merged
    }

    /// The names of labels of the series that satisfy one of the lists of conditions, sorted by their bytes; of all
    /// series if there is no list.
    public func labelNames(_ lists: [[LabelMatcher]], _ selection: Selection) throws(QueryableError) -> [String] {
        var names: Set<[UInt8]> = []
        for series in try series(lists, selection) { series.forEachBytes { name, _ in names.insert(Array(name)) } }
        return Self.sorted(names)
    }

    public func labelValues(
        _ name: String, _ lists: [[LabelMatcher]], _ selection: Selection
    ) throws(QueryableError) -> [String] {
        var values: Set<[UInt8]> = []
        for series in try series(lists, selection) {
            series.withValue(of: name) { if !$0.isEmpty { values.insert(Array($0)) } }
        }
        return Self.sorted(values)
    }

    private static func sorted(_ texts: Set<[UInt8]>) -> [String] {
        texts.sorted { $0.lexicographicallyPrecedes($1) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The labels of all series that satisfy one of the lists of conditions, each once, in order.
    public func series(_ lists: [[LabelMatcher]], _ selection: Selection) throws(QueryableError) -> [Labels] {
        var found: Set<Labels> = []
        for matchers in lists.isEmpty ? [[]] : lists {
            for series in try select(matchers, selection) { found.insert(series.labels) }
        }
        return found.sorted()
    }
}

/// What a store has done and has.
public struct StoreStatistics: Sendable {
    public var appendedSamples = 0
    public var refusedSamples = 0
    /// Blocks written from memory, and made of others.
    public var cutBlocks = 0
    public var compactions = 0
    public var deletedBlocks = 0
    /// Days of which a thinned copy was made.
    public var thinnedDays = 0
    /// Samples that the log gave back at the start.
    public var replayedSamples = 0
    /// Series that a clean stop has left, so that the log was not read.
    public var snapshotSeries = 0
    public var damagedSegments = 0
    public var failedWrites = 0
    public init() {}
}
