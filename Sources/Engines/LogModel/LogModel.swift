import TimeSeriesEngine

/// Log lines as whoever searches them sees a store of them.
///
/// ## The problem
///
/// A store of logs and a language of queries change for different reasons, and each wants to be tried without the
/// other. Between them stands little: which chunks may hold what is wanted, and the lines of one chunk. The art is in
/// the *may*: reading is what costs, so most chunks must be left out without being read, and nobody may be left out by
/// mistake.
///
/// ## An everyday picture
///
/// A newspaper archive. Issues are bound in volumes by month, and each volume has an index at its back. Who looks for a
/// name asks for the volumes of the right years, has the archivist look into the indices, and reads only the volumes
/// that are left. That a name stands in the index does not say that it stands in the sentence that is wanted; that it
/// does *not* stand there settles the matter.
///
/// ## How
///
/// `select` leaves out chunks by their time, their stream's labels and a `LogHint`; `read` opens one. `LogMerge` puts
/// the chunks' lines into one order while it holds as few of them open as it can. Everybody counts what was looked at
/// and what was left out in one `LogStatistics`, so that a slow query can be explained.
///
/// ## Where it is wrong
///
/// A chunk is read as a whole, though one line may be wanted. Chunks are small enough (a quarter of a megabyte) for
/// that to be a millisecond.
public protocol LogSource: AnyObject {
    /// The chunks that may hold something of the selection, in the order of their streams' labels, then of their first
    /// entry's time. What is left out is counted in `statistics`.
    ///
    /// - Throws: `LogSourceError`, also if there are more than `LogSelection.chunkLimit`.
    func select(_ selection: LogSelection, _ statistics: inout LogStatistics) throws(LogSourceError) -> [LogChunk]

    /// All entries of a chunk, in rising time, neither cut to the selection's time nor filtered.
    ///
    /// - Throws: `LogSourceError.damaged`, and `.gone` for a chunk whose time of retention has come meanwhile.
    func read(_ chunk: LogChunk, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock

    /// The streams that satisfy all conditions and have entries in that time, in the order of their labels.
    func streams(_ matchers: [LabelMatcher], from: Int64, through: Int64) throws(LogSourceError) -> [Labels]

    /// What is missing of that time although it was stored, in words: an answer says so.
    func warnings(from: Int64, through: Int64) -> [String]

    /// Has `receive` called with what is taken in from here on, once it is durable, of streams that satisfy all
    /// conditions.
    ///
    /// - Returns: what ends it.
    func follow(
        _ matchers: [LabelMatcher], _ receive: @escaping (_ entries: LogBlock) -> Void
    ) -> any LogFollowing
}

extension LogSource {
    public func warnings(from: Int64, through: Int64) -> [String] { [] }
}

/// Somebody who follows a store.
public protocol LogFollowing: AnyObject {
    func cancel()
}

/// What is wanted of a store.
public struct LogSelection: Sendable {
    /// A stream satisfies all of them; none are satisfied by every stream.
    public var matchers: [LabelMatcher]
    /// Nanoseconds since 1970. The first counts, the second does not: `[from, through)`.
    public var from: Int64
    public var through: Int64
    /// What a line must have, as far as an index can know.
    public var hint = LogHint.anything
    /// More chunks are refused.
    public var chunkLimit = 1_000_000

    public init(_ matchers: [LabelMatcher], from: Int64, through: Int64, hint: LogHint = .anything) {
        self.matchers = matchers
        self.from = from
        self.through = through
        self.hint = hint
    }
}

/// What every wanted line fulfils: a promise of whoever asks, which a store may use to leave chunks out, and may
/// ignore.
public indirect enum LogHint: Equatable, Sendable {
    case anything
    case all([LogHint])
    case any([LogHint])
    /// These bytes stand somewhere in the line, in this case.
    case contains([UInt8])
    /// A whole word of the line, whatever its case: see `LogWords`.
    case word(String)
    /// The line is a JSON object and this one of its members, a text or a number, has this value exactly; or the
    /// stream's label or the entry's metadata has. Metadata called `ShortIdentifier.name` have the beginning that views
    /// show as well.
    case field(String, String)
}

/// Some consecutive entries of a stream, packed: what is read at once.
public struct LogChunk: Equatable, Sendable {
    public let labels: Labels
    /// The time of the first and of the last entry, both included.
    public let first: Int64
    public let last: Int64
    public let entryCount: Int
    /// Bytes of the lines.
    public let byteCount: Int
    /// Bytes as it is stored; 0 for one in memory.
    public let storedByteCount: Int
    /// For the source alone: which file, and which chunk in it.
    public let file: Int
    public let index: Int

    public init(
        labels: Labels, first: Int64, last: Int64, entryCount: Int, byteCount: Int, storedByteCount: Int, file: Int,
        index: Int
    ) {
        self.labels = labels
        self.first = first
        self.last = last
        self.entryCount = entryCount
        self.byteCount = byteCount
        self.storedByteCount = storedByteCount
        self.file = file
        self.index = index
    }
}

/// What a query looked at, and what it could leave out.
public struct LogStatistics: Equatable, Sendable {
    /// Streams whose labels satisfy the conditions.
    public var streams = 0
    /// Chunks that there are, before any is left out.
    public var chunks = 0
    public var skippedByTime = 0
    public var skippedByLabel = 0
    public var skippedByIndex = 0
    public var chunksRead = 0
    /// Of these, chunks that were in memory only.
    public var chunksInMemory = 0
    /// Bytes of chunks as they are stored, and of indices.
    public var storedBytesRead = 0
    public var indexBytesRead = 0
    /// What was looked at of the lines.
    public var lineBytes = 0
    public var lines = 0

    public init() {}

    public mutating func add(_ other: LogStatistics) {
        streams += other.streams
        chunks += other.chunks
        skippedByTime += other.skippedByTime
        skippedByLabel += other.skippedByLabel
        skippedByIndex += other.skippedByIndex
        chunksRead += other.chunksRead
        chunksInMemory += other.chunksInMemory
        storedBytesRead += other.storedBytesRead
        indexBytesRead += other.indexBytesRead
        lineBytes += other.lineBytes
        lines += other.lines
    }
}

public enum LogSourceError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooManyChunks(limit: Int)
    /// What is stored cannot be read: what and where.
    case damaged(String)
    /// It was there, and has been removed meanwhile.
    case gone
    case disk(String)

    public var description: String {
        switch self {
        case .tooManyChunks(let limit):
            "more than \(limit) chunks would have to be read; ask for less time, or add a condition"
        case .damaged(let what): "what is stored is damaged: \(what)"
        case .gone: "what was to be read has been removed meanwhile; ask again"
        case .disk(let what): what
        }
    }
}

extension LogSource {
    /// The names of labels of such streams, sorted by their bytes.
    public func labelNames(_ matchers: [LabelMatcher], from: Int64, through: Int64) throws(LogSourceError) -> [String] {
        var names: Set<String> = []
        for labels in try streams(matchers, from: from, through: through) {
            for (name, _) in labels.pairs { names.insert(name) }
        }
        return names.sorted { byteOrder($0, $1) < 0 }
    }

    /// The values of a label of such streams, sorted by their bytes.
    public func labelValues(_ name: String, _ matchers: [LabelMatcher], from: Int64, through: Int64)
        throws(LogSourceError) -> [String]
    {
        var values: Set<String> = []
        for labels in try streams(matchers, from: from, through: through) {
            let value = labels[name]
            if !value.isEmpty { values.insert(value) }
        }
        return values.sorted { byteOrder($0, $1) < 0 }
    }
}
