import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWorld

/// A small web application that counts its requests with the client library: what the documentation's handler does.
///
/// ```
/// let requests = try metrics.counters("http_requests_total", "Total HTTP requests", labels: ["method", "status"])
/// let duration = try metrics.histogram("http_request_duration_seconds", "Request duration histogram", buckets: …)
/// …
/// duration.observe(now - start)
/// requests.with("GET", "/api/users", "200").increment()
/// ```
public final class InstrumentedApp: Service {
    public struct Settings: Sendable {
        public var port: UInt16 = 8080
        /// How long a request takes, at the median.
        public var latency = LabDuration.milliseconds(8)
        /// Requests that it has served already when it starts, by method.
        public var served: [(method: String, count: Int)] = []

        public init() {}

        /// Requests served already that can be asked for.
        public static let servedRange = 0...10_000_000
    }

    public let runtime: ServiceRuntime
    private let settings: Settings
    private let router = HTTPRouter()
    private var server: HTTPServer!
    private let requests: MetricFamily<Counter>
    private let duration: ExponentialHistogram

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) throws {
        runtime = ServiceRuntime(node: node, tag: nil, options: options)
        self.settings = settings
        let metrics = runtime.metrics
        requests = try metrics.counters(
            "http_requests_total", "Total HTTP requests", labels: ["method", "path", "status"])
        // Both kinds in one: whoever scrapes in protobuf sees native buckets, everybody else these five.
        var buckets = ExponentialSettings()
        buckets.classic = HistogramBuckets([0.01, 0.05, 0.1, 0.5, 1.0])
        duration = try metrics.exponentialHistogram(
            "http_request_duration_seconds", "Request duration histogram", settings: buckets)
        server = HTTPServer(node: node, service: router)
        for (method, status) in [("GET", 200), ("POST", 201)] {
            router.on(method, "/api/users") { [unowned self] exchange in serve(exchange, method, status) }
        }
        runtime.mount(on: router)
    }

    public func prepare() throws { runtime.add(server, on: settings.port) }

    public func opened() {
        for (method, count) in settings.served {
            for index in 0..<count { note(method, status: method == "POST" ? 201 : 200, Self.time(index, of: count)) }
        }
    }

    /// The handler. Its time is drawn, so that there is something to see.
    private func serve(_ exchange: HTTPExchange, _ method: String, _ status: Int) {
        let start = node.world.now
        let share = node.draw { $0.unit() }
        let wait = LabDuration(nanoseconds: Int64(Double(settings.latency.nanoseconds) * (0.5 + share * share * 4)))
        node.after(wait) { [self] in
            exchange.answer(status, text: "{\"users\": []}\n", type: "application/json")
            note(method, status: status, node.world.now - start, within: exchange.span)
        }
    }

    private func note(_ method: String, status: Int, _ time: LabDuration, within span: ActiveSpan? = nil) {
        duration.observe(time, within: span)
        requests.with(method, "/api/users", "\(status)").increment()
    }

    /// The time of one of `count` requests, so that about two thirds took up to 10 ms, and one in forty more than 100.
    private static func time(_ index: Int, of count: Int) -> LabDuration {
        let place = (Double(index) + 0.5) / Double(count)
        switch place {
        case ..<0.65: return .milliseconds(7)
        case ..<0.9475: return .milliseconds(25)
        case ..<0.9746: return .milliseconds(75)
        default: return .milliseconds(400)
        }
    }
}
