import KernelStructures
import Synchronization

/// What a program counts about itself, under names that a monitoring system reads: counters, gauges and histograms.
///
/// ## The problem
///
/// A service that is slow tonight was asked nothing yesterday. To know what changed, somebody must have counted all the
/// time: requests, failures, how long they took, how many wait now. Counting must cost next to nothing, because it is
/// done on the way of every request, and it must be possible from any thread.
///
/// ## An everyday picture
///
/// The electricity meter. It only turns; it knows nothing of days, tariffs or averages. Once a month somebody comes,
/// writes down what it says, and subtracts last month's figure. If nobody comes for a month nothing is lost, and the
/// meter never waits for the reader.
///
/// ## How
///
/// A *counter* only rises, a *gauge* is a value of the moment, a *histogram* counts observations by size, in buckets
/// with listed bounds or (`ExponentialHistogram`) in such that grow by a factor. Each is one or a few atomic words;
/// incrementing takes no lock and allocates nothing. (A *summary* shows quantiles of the last minutes, and takes one.)
/// A *family* is one name with label names, and a *series* one of its members, with values for the labels. The registry
/// knows all families, and writes them into a `MetricWriter` when somebody scrapes. What is counted elsewhere already
/// (an engine's own numbers) is not counted a second time: a *collector* is a function that adds samples while the page
/// is being written.
///
/// A bucket of a histogram says how many were slow, and never which. Whoever observes within a trace gives its id
/// along, and the newest of each bucket stands on the page as an *exemplar*: from the slow bucket to one slow request.
///
/// ## Where it is wrong
///
/// Numbers are lost with the process; whoever reads them must notice that they begin anew (`rate` in PromQL does). A
/// page is no snapshot: two counters of it may have been read a microsecond apart. Each label value makes a series for
/// ever, so labels must not have values that clients choose; `seriesLimit` keeps such a mistake from taking all memory.
/// And an exemplar is any of its kind, not a typical one; its trace may be one that nobody has kept.
public final class MetricRegistry: Sendable {
    private struct State {
        var families: [any CollectableFamily] = []
        var collectors: [@Sendable (inout MetricWriter) -> Void] = []
    }

    private let state = Mutex(State())
    /// Series of one family; beyond, all further ones are counted together (see `MetricFamily.with`).
    public let seriesLimit: Int

    /// As OpenTelemetry's SDKs have it.
    public static let defaultSeriesLimit = 2000

    public init(seriesLimit: Int = defaultSeriesLimit) { self.seriesLimit = max(1, seriesLimit) }

    // MARK: Registration

    /// The counter of that name, made if it is not there yet. By convention the name ends in `_total`.
    ///
    /// - Throws: `MetricError.clash` if the name belongs to a family of another kind, or with labels.
    public func counter(_ name: MetricName, _ help: String) throws(MetricError) -> Counter {
        try counters(name, help, labels: []).unlabelled
    }

    /// The family of counters of that name; each series has a value for every label.
    ///
    /// - Throws: `MetricError.clash` if the name belongs to a family of another kind, or with other labels.
    public func counters(_ name: MetricName, _ help: String, labels: [LabelName]) throws(MetricError)
        -> MetricFamily<Counter>
    {
        try family(name, help, labels) { Counter() }
    }

    /// The gauge of that name, made if it is not there yet.
    ///
    /// - Throws: as `counter`.
    public func gauge(_ name: MetricName, _ help: String) throws(MetricError) -> Gauge {
        try gauges(name, help, labels: []).unlabelled
    }

    /// - Throws: as `counters`.
    public func gauges(_ name: MetricName, _ help: String, labels: [LabelName]) throws(MetricError)
        -> MetricFamily<Gauge>
    {
        try family(name, help, labels) { Gauge() }
    }

    /// The histogram of that name, made if it is not there yet.
    ///
    /// - Throws: as `counter`.
    public func histogram(_ name: MetricName, _ help: String, buckets: HistogramBuckets = .seconds)
        throws(MetricError) -> Histogram
    {
        try histograms(name, help, labels: [], buckets: buckets).unlabelled
    }

    /// - Throws: as `counters`, and `MetricError.reservedLabel` for the label `le`.
    public func histograms(
        _ name: MetricName, _ help: String, labels: [LabelName], buckets: HistogramBuckets = .seconds
    ) throws(MetricError) -> MetricFamily<Histogram> {
        if labels.contains(where: { $0.text == "le" }) { throw .reservedLabel("le") }
        return try family(name, help, labels) { Histogram(buckets) }
    }

    /// The native histogram of that name, made if it is not there yet. Its buckets are seen by those who scrape in
    /// protobuf.
    ///
    /// - Throws: as `counter`.
    public func exponentialHistogram(
        _ name: MetricName, _ help: String, settings: ExponentialSettings = ExponentialSettings()
    ) throws(MetricError) -> ExponentialHistogram {
        try exponentialHistograms(name, help, labels: [], settings: settings).unlabelled
    }

    /// - Throws: as `histograms`.
    public func exponentialHistograms(
        _ name: MetricName, _ help: String, labels: [LabelName], settings: ExponentialSettings = ExponentialSettings()
    ) throws(MetricError) -> MetricFamily<ExponentialHistogram> {
        if labels.contains(where: { $0.text == "le" }) { throw .reservedLabel("le") }
        return try family(name, help, labels) { ExponentialHistogram(settings) }
    }

    /// The summary of that name, made if it is not there yet.
    ///
    /// - Throws: as `counter`.
    public func summary(_ name: MetricName, _ help: String, settings: SummarySettings) throws(MetricError) -> Summary {
        try summaries(name, help, labels: [], settings: settings).unlabelled
    }

    /// - Throws: as `counters`, and `MetricError.reservedLabel` for the label `quantile`.
    public func summaries(
        _ name: MetricName, _ help: String, labels: [LabelName], settings: SummarySettings
    ) throws(MetricError) -> MetricFamily<Summary> {
        if labels.contains(where: { $0.text == "quantile" }) { throw .reservedLabel("quantile") }
        return try family(name, help, labels) { Summary(settings) }
    }

    private func family<Metric: Collectable>(
        _ name: MetricName, _ help: String, _ labels: [LabelName], _ make: @escaping @Sendable () -> Metric
    ) throws(MetricError) -> MetricFamily<Metric> {
        if let twice = labels.indices.first(where: { labels[..<$0].contains(labels[$0]) }) {
            throw .duplicateLabel(labels[twice].text)
        }
        let new = MetricFamily(name, help, labels.map(\.text), seriesLimit: seriesLimit, make)
        let found: (any CollectableFamily)? = state.withLock { state in
            if let present = state.families.first(where: { $0.name == name.text }) { return present }
            state.families.append(new)
            return nil
        }
        guard let found else { return new }
        guard let same = found as? MetricFamily<Metric>, same.labelNames == new.labelNames else {
            throw .clash(name.text)
        }
        return same
    }

    /// Adds a function that is called at each scrape, on the scraper's thread, after the registry's own families.
    public func collect(_ collector: @escaping @Sendable (inout MetricWriter) -> Void) {
        state.withLock { $0.collectors.append(collector) }
    }

    // MARK: Reading

    /// Adds everything that is known to a page, families in the order of their registration.
    public func write(to writer: inout MetricWriter) {
        let (families, collectors) = state.withLock { ($0.families, $0.collectors) }
        for family in families { family.write(to: &writer) }
        for collector in collectors { collector(&writer) }
    }

    /// The whole page.
    public func page(_ format: ExpositionFormat = .text) -> [UInt8] {
        var writer = MetricWriter(format)
        write(to: &writer)
        return writer.finish()
    }
}

/// What cannot be registered.
public enum MetricError: Error, Equatable, Sendable, CustomStringConvertible {
    case badName(String)
    case badLabel(String)
    /// `le` and `quantile` are written by histograms and summaries themselves.
    case reservedLabel(String)
    case duplicateLabel(String)
    /// The name is taken by a family of another kind, or with other labels.
    case clash(String)

    public var description: String {
        switch self {
        case .badName(let name):
            "'\(name.prefix(64))' is no name of a metric: letters, digits, _ and :, and no digit first"
        case .badLabel(let name):
            "'\(name.prefix(64))' is no name of a label: letters, digits and _, no digit first, and not __ at its begin"
        case .reservedLabel(let name): "the label '\(name)' belongs to histograms and summaries themselves"
        case .duplicateLabel(let name): "the label '\(name)' stands there twice"
        case .clash(let name): "a metric '\(name)' exists, and is of another kind or has other labels"
        }
    }
}
