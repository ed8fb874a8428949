import KernelStorage
import KernelStructures
import TimeSeriesEngine

/// Thinned copies of all series: instead of every sample what a window of time has of them.
///
/// ## The problem
///
/// A year of one series every 15 seconds is two million samples. A drawing of it is a thousand points wide; to read
/// everything takes a thousand times as long as anybody can see. And nobody wants to keep it all for so long.
///
/// ## An everyday picture
///
/// The weather office keeps the minutes of this month, and of each day before that the lowest and the highest
/// temperature, the rain's sum and how often somebody looked. Who asks about a summer gets the days; nobody misses the
/// minutes.
///
/// ## How
///
/// ```
/// tiers/5m/min/01G…  tiers/5m/max/01G…  sum  count  last  counter     ; blocks as any others, in Prometheus's format
/// ```
///
/// A window is `(end - width, end]`, `end` a multiple of the width. What it has stands at `end - 1`, so that a block
/// holds whole windows. `counter` is a counter that never falls: what was lost at its resets has been added again, over
/// all blocks. Markers of staleness count for nothing. A day is thinned once all of it is in blocks, some series at a
/// time.
///
/// ## Where it is wrong
///
/// The ends of a range are rounded: of `min`, `max`, `sum`, `avg` and `count` by half a window at most, of an increase
/// by a window; a value is one window older at most. What comes late, after its day was thinned, is missing here, and
/// so are native histograms. Deletions are deletions of samples: a thinned copy does not know of later ones.
final class Tier {
    /// Of its windows.
    let widthMilliseconds: Int64
    let name: String
    /// A store of blocks alone for each figure.
    private(set) var archives: [Figure: TimeSeriesStore] = [:]

    enum Figure: String, CaseIterable { case min, max, sum, count, last, counter }

    /// - Throws: `DiskError`.
    init(
        _ settings: TierSettings, _ store: StoreSettings, disk: NodeDisk, directory: String, random: inout SeededRandom
    ) throws(DiskError) {
        widthMilliseconds = settings.widthMilliseconds
        name = settings.name
        var own = StoreSettings()
        own.blockMilliseconds = store.tierBlockMilliseconds
        own.longestBlockMilliseconds = store.tierBlockMilliseconds * 100
        own.retentionMilliseconds = settings.retentionMilliseconds
        for figure in Figure.allCases {
            archives[figure] = try TimeSeriesStore(
                archive: own, disk: disk, directory: "\(directory)/tiers/\(name)/\(figure.rawValue)",
                random: SeededRandom(seed: random.next()))
        }
        try removeUnpaired()
    }

    private var all: [TimeSeriesStore] { Figure.allCases.compactMap { archives[$0] } }

    /// A crash between two blocks of one day has left some of them: they are made again.
    private func removeUnpaired() throws(DiskError) {
        let ends = all.map { $0.blocks.map(\.meta.maxTime).max() ?? .min }
        guard let common = ends.min() else { return }
        for archive in all { try archive.remove(archive.blocks.filter { $0.meta.maxTime > common }) }
    }

    /// What was looked at and had nothing to be thinned.
    private var skipped: Int64?

    /// Up to where all is thinned; nil if nothing is.
    var covered: Int64? { [end, skipped].compactMap { $0 }.max() }

    func skip(to time: Int64) { skipped = max(time, skipped ?? time) }

    /// The end of the last window that is there; nil if none is.
    var end: Int64? { archives[.last]?.blocks.map(\.meta.maxTime).max() }
    /// Where the first window begins.
    var start: Int64? { archives[.last]?.blocks.map(\.meta.minTime).min() }

    /// Compacts or drops something; false if nothing was due.
    func maintain(now: Int64) -> Bool {
        for archive in all where archive.maintain(now: now) { return true }
        return false
    }

    var problems: [String] { all.flatMap(\.problems) }
    var byteCount: Int { all.reduce(0) { $0 + $1.blocks.reduce(0) { $0 + $1.byteCount } } }

    func close() throws(DiskError) { for archive in all { try archive.close() } }
}

/// One set of thinned copies.
public struct TierSettings: Equatable, Sendable {
    /// Of a window; it divides a day.
    public let widthMilliseconds: Int64
    /// How long they are kept; 0 for ever.
    public let retentionMilliseconds: Int64

    public init(widthMilliseconds: Int64, retentionMilliseconds: Int64) {
        self.widthMilliseconds = max(1, widthMilliseconds)
        self.retentionMilliseconds = retentionMilliseconds
    }

    /// `5m`, as its directory is called.
    public var name: String { PrometheusDuration.text(widthMilliseconds) }
}
