import Synchronization

/// One name with label names; its series are made as their label values are first used.
///
/// ```
/// let requests = try registry.counters("http_requests_total", "Requests so far", labels: ["method", "code"])
/// requests.with("GET", "200").increment()
/// ```
///
/// `with` takes a lock and looks up a dictionary: on a hot path keep what it returns.
public final class MetricFamily<Metric: Collectable>: Sendable {
    public let name: String
    public let help: String
    public let labelNames: [String]
    private let seriesLimit: Int
    private let make: @Sendable () -> Metric

    private struct State {
        var byValues: [[String]: Metric] = [:]
        /// In the order in which they were first used.
        var series: [(values: [String], metric: Metric)] = []
        var overflow: Metric?
    }
    private let state = Mutex(State())

    /// Bytes of one label value; a longer one is counted with the overflow.
    private static var valueByteLimit: Int { 1024 }

    init(
        _ name: MetricName, _ help: String, _ labelNames: [String], seriesLimit: Int,
        _ make: @escaping @Sendable () -> Metric
    ) {
        self.name = name.text
        self.help = help
        self.labelNames = labelNames
        self.seriesLimit = seriesLimit
        self.make = make
        // A series without labels is there from the start, with 0: what never happened is seen not to have happened.
        if labelNames.isEmpty { _ = with([]) }
    }

    var unlabelled: Metric { with([]) }

    /// The series with these label values, in the order of the label names; made if it is not there yet.
    ///
    /// Past the limit, and for values longer than 1,024 bytes, all get one and the same series, which is marked
    /// `otel_metric_overflow="true"`, as OpenTelemetry does it: the total stays right, and memory stays bounded.
    public func with(_ values: String...) -> Metric { with(values) }

    public func with(_ values: [String]) -> Metric {
        precondition(values.count == labelNames.count, "\(name) has \(labelNames.count) labels, not \(values.count)")
        let isTooLong = values.contains { $0.utf8.count > Self.valueByteLimit }
        return state.withLock { state in
            if let present = state.byValues[values] { return present }
            if isTooLong || state.series.count >= seriesLimit {
                let overflow = state.overflow ?? make()
                state.overflow = overflow
                return overflow
            }
            let metric = make()
            state.byValues[values] = metric
            state.series.append((values, metric))
            return metric
        }
    }

    /// Forgets a series, when what it is about is gone for good.
    public func remove(_ values: String...) {
        state.withLock { state in
            guard state.byValues.removeValue(forKey: values) != nil else { return }
            state.series.removeAll { $0.values == values }
        }
    }

    public var seriesCount: Int { state.withLock { $0.series.count } }
}

/// A family that can be written to a page.
protocol CollectableFamily: Sendable {
    var name: String { get }
    func write(to writer: inout MetricWriter)
}

extension MetricFamily: CollectableFamily {
    func write(to writer: inout MetricWriter) {
        let (series, overflow) = state.withLock { ($0.series, $0.overflow) }
        writer.family(name, Metric.kind, help) { samples in
            for (values, metric) in series { metric.write(to: &samples, Array(zip(labelNames, values))) }
            overflow?.write(to: &samples, [("otel_metric_overflow", "true")])
        }
    }
}

/// What a family can be made of: `Counter`, `Gauge`, `Histogram`, `ExponentialHistogram`, `Summary`.
public protocol Collectable: AnyObject, Sendable {
    static var kind: MetricKind { get }
    func write(to samples: inout SampleWriter, _ labels: [(String, String)])
}

extension Counter: Collectable {
    public static var kind: MetricKind { .counter }
    public func write(to samples: inout SampleWriter, _ labels: [(String, String)]) { samples.add(value, labels) }
}

extension Gauge: Collectable {
    public static var kind: MetricKind { .gauge }
    public func write(to samples: inout SampleWriter, _ labels: [(String, String)]) { samples.add(value, labels) }
}

extension Histogram: Collectable {
    public static var kind: MetricKind { .histogram }
    public func write(to samples: inout SampleWriter, _ labels: [(String, String)]) {
        samples.histogram(bounds: buckets.bounds, counts: bucketCounts, sum: sum, exemplars: exemplars, labels)
    }
}
