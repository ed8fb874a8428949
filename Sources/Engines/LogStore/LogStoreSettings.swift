import KernelStructures

/// How a store keeps what it has.
public struct LogStoreSettings: Equatable, Sendable {
    /// Bytes of lines in memory before they are packed; as much again may be waiting to be.
    public var headBytes = 16 << 20
    /// What is in memory for so long is packed, however little it is. Nanoseconds.
    public var headAgeNanoseconds: Int64 = 300_000_000_000
    /// Bytes of lines in a chunk: what is read at once.
    public var chunkBytes = 256 << 10
    /// Bytes of lines in a chunk of a day that is over.
    public var coldChunkBytes = 1 << 20
    /// Bytes of lines that are merged into one segment at most.
    public var mergeBytes = 128 << 20
    /// How hard chunks are packed, from 1 to 19: when they are made, and when their day is over.
    public var warmLevel = 3
    public var coldLevel = 12
    /// How long after its end a day is packed again. Nanoseconds.
    public var coldAfterNanoseconds: Int64 = 3600_000_000_000
    /// How long lines are kept, whole days; 0 for ever. Nanoseconds.
    public var retentionNanoseconds: Int64 = 31 * 86_400_000_000_000
    /// Of all segments together; the oldest days go first. 0 for no limit.
    public var retentionBytes = 0
    /// Bytes of tables and chunks that are kept at hand.
    public var cacheBytes = 64 << 20

    public init() {}

    /// Less than that is no help.
    public static let leastMemoryBytes = 1 << 20

    /// Has the store get along with so much memory, however much it keeps: an eighth for lines that come in, as much
    /// for those that are being packed, a quarter for what is read, and what is merged at a time is a quarter, which is
    /// there twice meanwhile.
    public mutating func bound(memoryBytes: Int) {
        let bytes = max(Self.leastMemoryBytes, memoryBytes)
        headBytes = min(headBytes, bytes / 8)
        cacheBytes = min(cacheBytes, bytes / 4)
        mergeBytes = min(mergeBytes, bytes / 4)
        chunkBytes = min(chunkBytes, headBytes / 2)
        coldChunkBytes = min(coldChunkBytes, mergeBytes / 2)
    }
}

/// What is refused, so that one sender cannot take what all need: Loki's limits, with its defaults.
public struct LogLimits: Equatable, Sendable {
    public var labelNames = 15
    public var labelNameBytes = 1024
    public var labelValueBytes = 2048
    public var lineBytes = 256 << 10
    /// Of names and values that come with one entry.
    public var metadataBytes = 64 << 10
    /// Streams that have had an entry within an hour.
    public var streams = 5000
    /// Bytes a second, and at once, of one stream; 0 for any number.
    public var streamBytesPerSecond = 3 << 20
    public var streamBurstBytes = 15 << 20
    /// Older entries are refused. Nanoseconds; 0 for any age.
    public var maxAgeNanoseconds: Int64 = 7 * 86_400_000_000_000
    /// How far ahead of the store's clock an entry may be. Nanoseconds; 0 for any time.
    public var creationGraceNanoseconds: Int64 = 600_000_000_000
    /// How far behind the newest entry of its stream an entry may be. Nanoseconds; 0 for any time.
    public var outOfOrderNanoseconds: Int64 = 3600_000_000_000

    public init() {}

    /// Only what memory needs: no limit of streams' rates, of order and of age.
    public static var none: LogLimits {
        var limits = LogLimits()
        limits.streams = 100_000
        limits.streamBytesPerSecond = 0
        limits.maxAgeNanoseconds = 0
        limits.creationGraceNanoseconds = 0
        limits.outOfOrderNanoseconds = 0
        return limits
    }
}

/// Why an entry was not taken.
public enum LogRefusal: Error, Equatable, Sendable {
    case noLabels
    case tooManyLabels(stream: String, count: Int, limit: Int)
    case labelNameTooLong(stream: String, name: String)
    case labelValueTooLong(stream: String, value: String)
    case labelNameInvalid(stream: String, name: String)
    case lineTooLong(stream: String, bytes: Int, limit: Int)
    case metadataTooLarge(stream: String, bytes: Int, limit: Int)
    /// All of a batch that can only be taken as a whole: more than its stream may have at once.
    case batchTooLarge(stream: String, bytes: Int, limit: Int)
    case tooOld(stream: String, time: Int64, oldest: Int64)
    case tooNew(stream: String, time: Int64)
    case tooFarBehind(stream: String, time: Int64, oldest: Int64)
    case tooManyStreams(stream: String, limit: Int)
    case rateLimited(stream: String, bytes: Int, limitBytesPerSecond: Int)
    /// Memory is full until what is there has been packed.
    case overloaded

    /// Whether it would have been taken at another time than its own.
    public var isAboutTime: Bool {
        switch self {
        case .tooOld, .tooNew, .tooFarBehind: true
        default: false
        }
    }

    /// What HTTP calls it: 429 if it may be taken later, 400 if it never will, 413 if it would be in pieces.
    public var status: Int {
        switch self {
        case .tooManyStreams, .rateLimited, .overloaded: 429
        case .batchTooLarge: 413
        default: 400
        }
    }

    /// Loki's name for the reason, which its metrics count by.
    public var reason: String {
        switch self {
        case .noLabels: "missing_labels"
        case .tooManyLabels: "max_label_names_per_series"
        case .labelNameTooLong: "label_name_too_long"
        case .labelValueTooLong: "label_value_too_long"
        case .labelNameInvalid: "invalid_labels"
        case .lineTooLong: "line_too_long"
        case .metadataTooLarge: "structured_metadata_too_large"
        case .batchTooLarge: "batch_too_large"
        case .tooOld: "greater_than_max_sample_age"
        case .tooNew: "too_far_in_future"
        case .tooFarBehind: "too_far_behind"
        case .tooManyStreams: "stream_limit"
        case .rateLimited: "per_stream_rate_limit"
        case .overloaded: "overloaded"
        }
    }
}

extension LogRefusal: CustomStringConvertible {
    /// In Loki's words, which its clients' users search for.
    public var description: String {
        switch self {
        case .noLabels: "error at least one label pair is required per stream"
        case .tooManyLabels(let stream, let count, let limit):
            "entry for stream '\(stream)' has \(count) label names; limit \(limit)"
        case .labelNameTooLong(let stream, let name): "stream '\(stream)' has label name too long: '\(name)'"
        case .labelValueTooLong(let stream, let value): "stream '\(stream)' has label value too long: '\(value)'"
        case .labelNameInvalid(let stream, let name):
            "error parsing labels '\(stream)': a label's name is letters, digits and _, and no digit first: '\(name)'"
        case .metadataTooLarge(let stream, let bytes, let limit):
            "stream '\(stream)' has structured metadata too large: '\(bytes)' bytes, limit: '\(limit)' bytes"
        case .batchTooLarge(let stream, let bytes, let limit):
            "a batch with \(byteCountText(bytes)) of stream '\(stream)' can never be taken: a stream may have "
                + "\(byteCountText(limit)) at once; send smaller batches"
        case .lineTooLong(let stream, let bytes, let limit):
            "Max entry size '\(limit)' bytes exceeded for stream '\(stream)' while adding an entry with length "
                + "'\(bytes)' bytes"
        case .tooOld(let stream, let time, let oldest):
            "entry for stream '\(stream)' has timestamp too old: \(Self.text(time)), oldest acceptable timestamp is: "
                + Self.text(oldest)
        case .tooNew(let stream, let time):
            "entry for stream '\(stream)' has timestamp too new: \(Self.text(time))"
        case .tooFarBehind(let stream, let time, let oldest):
            "entry for stream '\(stream)' with timestamp \(Self.text(time)) ignored, reason: 'entry too far behind, "
                + "entry timestamp is: \(Self.text(time)), oldest acceptable timestamp is: \(Self.text(oldest))'"
        case .tooManyStreams(let stream, let limit):
            "Maximum active stream limit exceeded when trying to create stream \(stream), reduce the number of active "
                + "streams (reduce labels or reduce label values); there are \(limit)"
        case .rateLimited(let stream, let bytes, let limit):
            "Per stream rate limit exceeded (limit: \(byteCountText(limit))/sec) while attempting to ingest for stream "
                + "'\(stream)' totaling \(byteCountText(bytes)), consider splitting a stream via additional labels"
        case .overloaded: "ingestion is overloaded: what is in memory has to be packed first"
        }
    }

    private static func text(_ nanoseconds: Int64) -> String { "\(LabTime(nanoseconds: nanoseconds))" }
}

/// What a store has done since it was opened.
public struct LogStoreStatistics: Equatable, Sendable {
    public var entries = 0
    public var bytes = 0
    public var refused = 0
    public var duplicates = 0
    public var commits = 0
    /// Heads that were packed, and what came of them.
    public var flushes = 0
    public var packedLineBytes = 0
    public var packedBytes = 0
    /// Of these, bytes of indices.
    public var packedIndexBytes = 0
    public var merges = 0
    /// Entries that were read from the log when the store was opened.
    public var recoveredEntries = 0
    /// Segments that retention has removed.
    public var expiredSegments = 0

    public init() {}
}
