/// Series and their samples, as whoever evaluates queries sees a store of them.
///
/// ## The problem
///
/// A language of queries and a store are two large things that change for different reasons, and each wants to be tried
/// without the other: the language on a dozen samples that a test writes down, the store with a million that nobody
/// queries. Between them stands what both agree on: which series there are, and the samples of one of them.
///
/// ## An everyday picture
///
/// A reading room. The reader fills in a slip (subject, from when, to when) and gets a list of boxes; then he asks for
/// one box after another, copies what he needs on his own sheet, and gives it back. He never walks among the shelves,
/// and the librarian never reads his sheet.
///
/// ## How
///
/// `select` finds the series by conditions on their labels. `read` decodes a series' samples of that time into a
/// `SampleColumn`, two plain arrays over which the evaluation walks with indices: no call a sample, and nothing is kept
/// that was not asked for.
///
/// ## Where it is wrong
///
/// A column holds all samples of a series in the query's time at once. A year of one series every 15 seconds is two
/// million, 32 MB; the evaluation's limit on samples keeps more from being asked.
public protocol Queryable {
    /// The series that satisfy all conditions and may have samples in that time, in the order of their labels.
    ///
    /// - Parameters:
    ///   - matchers: at least one; a series satisfies all of them.
    ///   - selection: the time, and what the samples are for.
    /// - Throws: `QueryableError`.
    func select(_ matchers: [LabelMatcher], _ selection: Selection) throws(QueryableError) -> [SelectedSeries]
}

/// What is wanted of the series, beside their names.
public struct Selection: Sendable {
    /// The first and the last millisecond since 1970 whose samples count, both included.
    public var from: Int64
    public var through: Int64
    /// Milliseconds between evaluations; 0 for a single one. A store that keeps thinned copies may use it.
    public var stepMilliseconds: Int64 = 0
    /// The innermost function around the selector (`rate`), empty for none; and its range in milliseconds, 0 for none.
    public var function = ""
    public var rangeMilliseconds: Int64 = 0
    /// How much earlier than the first evaluation `from` is, where the last sample before each is wanted.
    public var lookbackMilliseconds: Int64 = 0
    /// Series; a selection of more is refused.
    public var seriesLimit = Int.max

    public init(from: Int64, through: Int64) {
        self.from = from
        self.through = through
    }
}

/// One series of a selection.
public struct SelectedSeries {
    public let labels: Labels
    private let source: any SampleSource

    public init(labels: Labels, source: any SampleSource) {
        self.labels = labels
        self.source = source
    }

    /// Adds the samples of the selection's time (nothing before, nothing after) to `column`, in rising order.
    ///
    /// - Throws: `QueryableError.damaged`.
    public func read(into column: inout SampleColumn) throws(QueryableError) { try source.read(into: &column) }
}

/// Where the samples of a selected series come from.
public protocol SampleSource {
    func read(into column: inout SampleColumn) throws(QueryableError)
}

public enum QueryableError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooManySeries(limit: Int)
    /// What is stored cannot be read: what it says and where.
    case damaged(String)

    public var description: String {
        switch self {
        case .tooManySeries(let limit):
            "the selection has more than \(limit) series; add a condition, or raise the limit"
        case .damaged(let what): "what is stored is damaged: \(what)"
        }
    }
}
