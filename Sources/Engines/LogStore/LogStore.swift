import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

/// Keeps log lines: much is written, little is read, and nothing that was acknowledged is lost.
///
/// ## The problem
///
/// A hundred services write a hundred megabytes a minute, and hardly a line of it is ever read. But when one is wanted
/// it is wanted now, among all of last week's. Whoever sorts everything on arrival, as a library does with books, is
/// too slow for the arrivals. Whoever throws everything on a heap is too slow for the question.
///
/// ## An everyday picture
///
/// A newspaper's morgue. What comes in during the day lies in trays, one a subject, and the porter's book says what has
/// come, in case the building burns. When the trays are full their contents are bound into a volume, an index goes into
/// its back, and the page of the porter's book is torn out. Volumes of one day stand on one shelf. Last month's shelves
/// are put into the cellar, bound more tightly; last year's are pulped.
///
/// ## How
///
/// ```
///  entry ─▶ log (WAL), one sync for all of a turn ─▶ acknowledged
///    └───▶ head: open blocks in memory, one a stream                            hot
///            └─ full: ─▶ segment of a day: chunks │ words │ trigrams │ table    warm      2024-01-15/00000007.logs
///                           └─ the day is over: ─▶ merged, packed harder        cold
///                                                    └─ its time is over: ─▶ removed
/// ```
///
/// A *stream* is a set of labels; its entries lie together, because they resemble one another, and pack ten to one: a
/// line is cut into what its program's format has put there, which is kept once, and into values, which lie in columns.
/// A *segment* is never changed. Its *index* answers "which of my chunks may have this word", and by three-letter
/// pieces "which may have this part of a word". What is in memory has the same index as soon as a chunk is full; only
/// what lies in chunks that are not full is searched as it is.
///
/// A head and its log have one number. The log is removed when all of the head's segments are durable: that removal,
/// itself made durable, is the moment at which they count. What recovery finds of a number whose log is still there is
/// thrown away and made again. So a crash at any moment neither loses nor doubles a line.
///
/// A sender that repeats itself is recognized by where its lines came from: an agent's by file and offset, so that two
/// lines that are really equal stay two; those of Loki's push, which say no more, by stream, time and line.
///
/// ## Where it is wrong
///
/// A chunk is unpacked as a whole, though one line may be wanted. An entry that arrives late lies in a
/// segment of its own day, but of today's number, and overlaps others until they are merged. A line can be found before
/// its sync; a crash may then take it back, though nobody was told that it was stored.
public final class LogStore {
    public let settings: LogStoreSettings
    public let limits: LogLimits
    let disk: NodeDisk
    let directory: String
    var lock: DiskLock?

    /// What is being gathered.
    var active: LogHead
    /// What is being packed.
    var flush: LogFlush?
    /// What recovery found in logs and had no room to pack, oldest first; each in memory, and in its log.
    var unpacked: [LogHead] = []
    /// The head that was packed last: queries that began before may still ask for it.
    var retired: LogHead?
    var registry = StreamRegistry()
    var sources = SourceOffsets()
    /// By day, then number.
    var segments: [SegmentEntry] = []
    /// Segments that were merged into others, by their identifiers, until the given time: for queries that began
    /// before.
    var doomed: [(entry: SegmentEntry, due: Int64)] = []
    var cache: SegmentCache
    let packer: ChunkPacker
    var merge: SegmentMerge?
    var nextNumber = 1
    var nextSegmentIdentifier = 1
    /// Nothing is tried before, after the disk has refused.
    var retryTime = Int64.min
    var lastMergeTime = Int64.min

    var followers: [(id: Int, follower: LogFollower)] = []
    var nextFollower = 0
    /// What followers will hear of once it is durable; by stream, in order of arrival.
    var unheard: [LogBlock] = []
    var unheardPlaces: [Labels: Int] = [:]

    /// What a query is told while there is not a single line: who might send some.
    public var whenEmpty = LogStore.nothing
    public internal(set) var statistics = LogStoreStatistics()
    /// What is wrong with what is stored, or could not be done, in words; the latest ones.
    public internal(set) var problems: [String] = []
    /// Segments that cannot be read, or not all of them.
    public private(set) var damages: [LogDamage] = []

    /// Opens a store, or makes one; what a crash has left in the log is packed.
    ///
    /// - Parameter now: nanoseconds since 1970.
    /// - Throws: `DiskError`, or `LogSourceError.damaged` where the log has lost what was promised.
    public init(
        settings: LogStoreSettings = LogStoreSettings(), limits: LogLimits = LogLimits(), disk: NodeDisk,
        directory: String, now: Int64
    ) throws {
        self.settings = settings
        self.limits = limits
        self.disk = disk
        self.directory = directory
        cache = SegmentCache(limitBytes: settings.cacheBytes)
        packer = try ChunkPacker(level: settings.warmLevel)
        active = LogHead(number: 0, startTime: now)
        try disk.makeDurableDirectory(walDirectory)
        lock = try disk.lock(directory + "/lock")
        try recover(now: now)
    }

    var walDirectory: String { directory + "/wal" }

    // MARK: Taking in

    /// Whether nothing more can be taken until what is in memory has been packed: try again in a moment.
    public var isOverloaded: Bool { active.byteCount >= settings.headBytes && flush != nil }

    /// Takes an entry, which is durable after the next `commit`.
    ///
    /// - Parameters:
    ///   - timestamp: nanoseconds since 1970.
    ///   - duplicates: what to do with an entry that is there already.
    ///   - isAdmitted: it is one of a batch that `admit` has let in.
    ///   - now: nanoseconds since 1970.
    /// - Returns: why it was refused; nil if it was taken, or is there already.
    public func append(
        _ labels: Labels, _ timestamp: Int64, _ line: UnsafeRawBufferPointer, metadata: Labels = Labels(),
        duplicates: DuplicatePolicy = .kept, isAdmitted: Bool = false, now: Int64
    ) -> LogRefusal? {
        let number: Int
        switch registry.stream(labels, limits, now: now) {
        case .success(let found): number = found
        case .failure(let refusal): return refuse(refusal)
        }
        if let refusal = registry.check(number, timestamp, line.count, metadata, limits, now: now) {
            return refuse(refusal)
        }
        if isOverloaded, !isAdmitted { return refuse(.overloaded) }
        if duplicates == .ignored, registry.mayBeKnown(number, timestamp), isKnown(number, labels, timestamp, line) {
            statistics.duplicates += 1
            return nil
        }
        // What is there already costs its stream nothing: whoever sends all of it again gets on.
        if !isAdmitted, let refusal = registry.charge(number, line.count, limits, now: now) { return refuse(refusal) }
        registry.took(number, timestamp, now: now)
        active.append(number, labels, timestamp, line, metadata, chunkBytes: settings.chunkBytes)
        if duplicates == .ignored { active.remember(number, timestamp, line) }
        if !followers.isEmpty { keepForFollowers(labels, timestamp, line, metadata) }
        statistics.entries += 1
        statistics.bytes += line.count
        return nil
    }

    /// Whether all lines of a batch can be taken now, or none: a sender that cannot say which of its lines it sends
    /// again must not be told that some of them were not taken. If so they are charged, and go to `append` with
    /// `isAdmitted`.
    ///
    /// - Parameter batch: bytes of lines by stream.
    /// - Returns: why it cannot be taken, now or ever; nil if it can.
    public func admit(_ batch: [Labels: Int], now: Int64) -> LogRefusal? {
        if isOverloaded { return refuse(.overloaded) }
        return registry.admit(batch, limits, now: now).map { refuse($0) }
    }

    private func refuse(_ refusal: LogRefusal) -> LogRefusal {
        statistics.refused += 1
        return refusal
    }

    /// Whether the store has an entry of that stream, time and line.
    private func isKnown(
        _ number: Int, _ labels: Labels, _ timestamp: Int64, _ line: UnsafeRawBufferPointer
    ) -> Bool {
        if active.has(number, timestamp, line) || flush?.head.has(number, timestamp, line) == true { return true }
        if heads.contains(where: { $0.isRecovered && $0.has(labels, timestamp, line) }) { return true }
        let time = LogSelection([], from: timestamp, through: timestamp &+ 1)
        var ignored = LogStatistics()
        for entry in segments where entry.mayHave(time) {
            guard let segment = try? segment(of: entry), let stream = segment.stream(of: labels) else { continue }
            for index in segment.chunks(of: stream) {
                let row = segment.table[index]
                guard row.first <= timestamp, timestamp <= row.last,
                    let block = try? cache.block(segment, index, &ignored)
                else { continue }
                if block.has(timestamp, line) { return true }
            }
        }
        return false
    }

    // MARK: Sources

    /// How far a file of an agent has been taken in: bytes from its beginning; nil where nothing is known of it.
    public func offset(of source: LogFileSource) -> Int? { sources.offset(of: source) }

    /// All before `offset` has been taken in, as soon as the next commit is done.
    public func note(_ source: LogFileSource, offset: Int, now: Int64) {
        sources.note(source, offset: offset, now: now)
        active.append(source, offset: offset, now: now)
    }

    // MARK: Durability

    public var needsCommit: Bool { active.needsCommit }

    /// Makes durable what was taken since the last time, with one write and one sync.
    ///
    /// - Throws: `DiskError.noSpace` if the disk is full: nothing is lost, and the next call tries again. Any other
    ///   error means that what was promised may be gone: whoever runs the store must end.
    public func commit(now: Int64) throws(DiskError) {
        try active.commit(disk, walDirectory)
        statistics.commits += 1
        tellFollowers()
    }

    /// Closes what is open; what is not durable yet is made so.
    public func close(now: Int64) throws(DiskError) {
        defer {
            active.closeFile()
            flush?.head.closeFile()
            lock?.release()
        }
        if needsCommit { try commit(now: now) }
    }

    private static let damageLimit = 1000

    /// A segment cannot be read.
    func noteDamage(_ path: String, day: Int64, _ problem: String, isLeftOut: Bool) {
        guard damages.count < Self.damageLimit, !damages.contains(where: { $0.path == path }) else { return }
        damages.append(LogDamage(path: path, day: day, problem: problem, isLeftOut: isLeftOut))
        note(
            problem: "\(problem); put a copy in its place and start again, or remove the file to go on without its "
                + "lines")
    }

    func note(problem: String) {
        if problems.last == problem { return }
        problems.append(problem)
        if problems.count > 100 { problems.removeFirst() }
    }
}

/// A segment that cannot be read, or not all of it.
public struct LogDamage: Equatable, Sendable {
    public let path: String
    /// Days since 1970.
    public let day: Int64
    /// With the file's name.
    public let problem: String
    /// Answers do without all of it; otherwise a query that needs what is damaged fails.
    public let isLeftOut: Bool
}

/// What becomes of an entry that is there already.
public enum DuplicatePolicy: Sendable {
    case kept
    /// The second one of a stream, time and line is not taken: somebody has repeated himself.
    case ignored
}
