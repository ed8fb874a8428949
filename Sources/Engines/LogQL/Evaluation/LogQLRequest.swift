import LogModelEngine
import PromQLEngine
import TimeSeriesEngine

/// What is asked besides the expression.
public struct LogQLRequest: Sendable {
    /// Nanoseconds since 1970. Lines: the first counts, `through` does not. Numbers: the first and the last evaluation.
    public var from: Int64
    public var through: Int64
    /// Between two evaluations; 0 for a single one, at `through`.
    public var stepNanoseconds: Int64 = 0
    /// Of lines.
    public var limit = 100
    public var direction = LogMerge.Direction.backward
    /// Whether each line's labels are to be told apart by where they come from: see `LogQLEntry.parts`.
    public var isCategorized = false

    public init(from: Int64, through: Int64) {
        self.from = Self.clamped(from)
        self.through = Self.clamped(through)
    }

    /// No sum of a time, of an offset and of a range leaves 64 bits from here.
    static func clamped(_ time: Int64) -> Int64 {
        min(max(time, -4_000_000_000_000_000_000), 4_000_000_000_000_000_000)
    }
}

/// What a query may cost.
public struct LogQLLimits: Sendable {
    /// Lines of an answer, and their bytes.
    public var entries = 5_000
    public var resultBytes = 64 << 20
    /// Series of one range aggregation.
    public var series = 500
    /// Figures that range aggregations hold at a time; of quantiles every number is one.
    public var figures = 4_000_000
    /// Evaluations.
    public var steps = 11_000
    public var chunks = 1_000_000

    public init() {}
}

/// What a query has cost.
public struct LogQLStatistics: Equatable, Sendable {
    /// What the store has looked at and left out.
    public var source = LogStatistics()
    /// Lines that came through all stages.
    public var linesPassed = 0
    public var entriesReturned = 0

    public init() {}
}

/// The answer to a query.
public struct LogQLResult: Equatable, Sendable {
    public enum Value: Equatable, Sendable {
        /// In the order that was asked for.
        case lines([LogQLEntry])
        case numbers(QueryValue)
    }

    public var value: Value
    public var statistics: LogQLStatistics
}

/// A line that came through, with its labels by then.
public struct LogQLEntry: Hashable, Sendable {
    /// All of them; the stream's alone where `parts` has the others.
    public var labels: Labels
    /// Nanoseconds since 1970.
    public var timestamp: Int64
    public var line: [UInt8]
    /// Labels that are not the stream's, if that was asked for.
    public var parts: Parts?

    /// Labels of one line only.
    public struct Parts: Hashable, Sendable {
        /// What came with the entry beside its line.
        public var metadata: Labels
        /// What stages have read from the line, or set.
        public var parsed: Labels
    }

    public init(labels: Labels, timestamp: Int64, line: [UInt8]) {
        self.labels = labels
        self.timestamp = timestamp
        self.line = line
    }

    /// What has become of a line.
    init(_ state: LineState, isCategorized: Bool) {
        if isCategorized {
            let (stream, parts) = state.labelsByOrigin
            self.init(labels: stream, timestamp: state.timestamp, line: state.line)
            self.parts = parts
        } else {
            self.init(labels: state.labels, timestamp: state.timestamp, line: state.line)
        }
    }

    public var text: String { String(decoding: line, as: UTF8.self) }
}
