import KernelJSON
import KernelStructures

/// Which figures of the metrics system say what an experiment did to users: the same queries for the time before it,
/// for its method, and for the time after.
///
/// Probes ask once a second and see one request; the collector has seen everybody's. The queries are PromQL, asked by
/// Prometheus's API (`/api/v1/query?time=`), so it may be the lab's collector or a Prometheus. `$window` stands for the
/// length of the phase.
public struct MetricsPlan: Sendable {
    public struct Query: Sendable, Equatable {
        public var name: String
        public var expression: String
        /// What follows the number: `ms`, `%`, or nothing.
        public var unit: String
    }

    /// The root of the API, `http://metrics:9090`.
    public var url: String
    /// How long is looked back from the beginning, and watched after the end.
    public var window: LabDuration
    public var queries: [Query]

    static let queryLimit = 50
    private static let windowLimit = LabDuration.seconds(86_400)
    private static let presetWindow = LabDuration.seconds(30)

    /// - Throws: `ExperimentError` that names the member.
    init(_ cursor: JSONCursor) throws(ExperimentError) {
        self = try reading { () throws(JSONTypeError) in
            try cursor.expectNoMembers(besides: ["url", "window", "latency", "errors", "queries"])
            let url = try cursor["url"].string()
            let window = try cursor["window"].lasting() ?? Self.presetWindow
            guard window >= .seconds(1), window <= Self.windowLimit else {
                throw cursor["window"].error("is not a time of 1s to 24h")
            }
            var queries: [Query] = []
            if let histogram = try cursor["latency"].ifPresent?.string() { queries = Self.quantiles(of: histogram) }
            if let errors = try cursor["errors"].ifPresent?.string() {
                queries.append(Query(name: "errors", expression: "100 * (\(errors))", unit: "%"))
            }
            for (name, value) in try cursor["queries"].ifPresent?.members() ?? [] {
                queries.append(Query(name: name, expression: try value.string(), unit: ""))
            }
            guard !queries.isEmpty else { throw cursor.error("asks nothing; give it latency, errors or queries") }
            guard queries.count <= Self.queryLimit else { throw cursor.error("more than \(Self.queryLimit) queries") }
            return MetricsPlan(
                url: url.hasSuffix("/") ? String(url.dropLast()) : url, window: window, queries: queries)
        }
    }

    private init(url: String, window: LabDuration, queries: [Query]) {
        self.url = url
        self.window = window
        self.queries = queries
    }

    /// The middle and the tail of a histogram of seconds, `NAME` or `NAME{label="…"}`.
    private static func quantiles(of histogram: String) -> [Query] {
        let name = histogram.prefix { $0 != "{" }
        let selector = histogram.dropFirst(name.count)
        return [("p50", "0.5"), ("p99", "0.99")].map { label, quantile in
            Query(
                name: label,
                expression:
                    "1000 * histogram_quantile(\(quantile), sum by (le) (rate(\(name)_bucket\(selector)[$window])))",
                unit: "ms")
        }
    }

    /// The request that asks for one figure of the time that ends at `end` and was `length` long.
    func activity(_ query: Query, until end: LabTime, length: LabDuration) -> Activity {
        let milliseconds = max(1000, length.nanoseconds / 1_000_000)
        let expression = query.expression.replacing("$window", with: "\(milliseconds)ms")
        let sinceEpoch = end.nanoseconds / 1_000_000
        let time = "\(sinceEpoch / 1000).\(padded(Int(sinceEpoch % 1000), 3))"
        var plan = HTTPRequestPlan(
            url: "\(url)/api/v1/query?query=\(FormText.encoded(expression))&time=\(time)")
        plan.timeout = .seconds(10)
        return Activity(kind: .probe, name: query.name, provider: .http(plan))
    }

    /// The first number of an answer; nil if there is none, or if it is not finite.
    static func value(_ observation: Observation) -> Double? {
        guard case .string(let text)? = observation.bodyValue?["data"]?["result"]?[0]?["value"]?[1],
            let number = Double(text), number.isFinite
        else { return nil }
        return number
    }
}

/// What one query said of the three phases; nil where nothing was known.
public struct MetricsFigure: Sendable, Equatable {
    public let name: String
    public let unit: String
    public var before: Double?
    public var during: Double?
    public var after: Double?
}
