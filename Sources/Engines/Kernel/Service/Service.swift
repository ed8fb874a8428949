import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// What every running component is, beside what it is for.
///
/// ## The problem
///
/// Every server has to open its ports, say that it is ready, read its configuration again, answer the monitoring
/// system, and stop without losing what is under way. None of that is what the server is for, all of it is easy to get
/// almost right, and a dozen servers that each do it for themselves have a dozen different ways of being wrong.
///
/// ## An everyday picture
///
/// A shop. In the morning the shelves are filled before the doors open, and either all doors open or none. At closing
/// time nobody is let in any more, and those inside may pay; who has still not paid half an hour later is shown out.
/// Then the till is counted, and the lights go off. What is sold has nothing to do with any of it.
///
/// ## How
///
/// ```
/// starting ──prepare, all ports──▶ ready ──drain──▶ draining ──idle or deadline──▶ stop ──▶ stopped
///     └── a port is taken: nothing stays open        │ new clients are refused; /health says 503
///                                                    └ reload: only while ready; an error keeps the old
/// ```
///
/// The life is `ServiceRuntime`'s, which every service has one of. The service fills it with ports in `prepare` and
/// answers a few questions; every hook has a default that does nothing.
///
/// ## Where it is wrong
///
/// A drain counts connections, not work: what a service does without a connection (a compaction) it must finish in
/// `stop` by itself. And a reload is only as atomic as what the service does with it: a request must carry what it
/// began with, which no framework can see to.
public protocol Service: AnyObject {
    var runtime: ServiceRuntime { get }

    /// Opens what has to be open before anybody may connect (files, a store), and adds its ports to the runtime.
    ///
    /// - Throws: whatever keeps it from starting. Nothing of it may stay open then.
    func prepare() throws
    /// `prepare` went well, but a port could not be opened: closes what it opened.
    func abandonStart()
    /// All ports are open: its first log lines, its timers.
    func opened()
    /// Stopping has begun, and the ports are about to close.
    func willDrain()
    /// All connections are over, or were given up: makes everything durable, closes, says goodbye in the log, and calls
    /// `done` once, now or later.
    func stop(_ done: @escaping () -> Void)

    /// Why it cannot do its work at present, in words for an operator; empty when it can. `/health` shows them.
    var complaints: [String] { get }
    /// What it counts, for `stats`; those that have a metric stand on `/metrics`, too.
    var statistics: [Statistic] { get }
    /// Adds what `/metrics` shows beyond the statistics.
    func collect(into page: inout MetricWriter)
}

extension Service {
    public func prepare() throws {}
    public func abandonStart() {}
    public func opened() {}
    public func willDrain() {}
    public func stop(_ done: @escaping () -> Void) { done() }
    public var complaints: [String] { [] }
    public var statistics: [Statistic] { [] }
    public func collect(into page: inout MetricWriter) {}

    public var node: Node { runtime.node }

    /// Opens everything, or nothing.
    ///
    /// - Throws: what `prepare` throws, and `NetworkError`.
    public func start() throws { try runtime.start(self) }
    /// Stops in order: see `ServiceRuntime.drain`.
    public func drain(whenStopped: @escaping () -> Void) { runtime.drain(whenStopped: whenStopped) }
    /// Reads the configuration again: see `ServiceRuntime.reload`.
    public func reload() throws { try runtime.reload() }
}

/// One thing that a service counts or knows about itself.
public struct Statistic: Sendable {
    /// What programs call it: `table_bytes`. People see blanks instead of the underscores.
    public let key: String
    public let value: Value
    /// The family of `/metrics` that has the same number.
    public let metric: Metric?

    public enum Value: Sendable, Equatable {
        case integer(Int)
        /// Shown with so many digits after the point.
        case number(Double, places: Int)
        case text(String)
        case duration(LabDuration)
    }

    public struct Metric: Sendable {
        let name: MetricName
        let kind: MetricKind
        let help: String

        /// - Parameter name: ends in `_total`.
        public static func counter(_ name: MetricName, _ help: String) -> Metric {
            Metric(name: name, kind: .counter, help: help)
        }
        public static func gauge(_ name: MetricName, _ help: String) -> Metric {
            Metric(name: name, kind: .gauge, help: help)
        }
    }

    public init(_ key: String, _ value: Value, _ metric: Metric? = nil) {
        self.key = key
        self.value = value
        self.metric = metric
    }

    public init(_ key: String, _ value: Int, _ metric: Metric? = nil) { self.init(key, .integer(value), metric) }
    public init(_ key: String, _ value: String) { self.init(key, .text(value)) }

    func collect(into page: inout MetricWriter) {
        guard let metric else { return }
        page.family(metric.name.text, metric.kind, metric.help) { samples in
            switch value {
            case .integer(let number): samples.add(number)
            case .number(let number, _): samples.add(number)
            case .duration(let duration): samples.add(duration.seconds)
            case .text: break
            }
        }
    }
}

/// What is settled about a service when it is started, whatever it is for.
public struct ServiceOptions {
    /// Where a monitoring system finds `/metrics` and `/health`, beside the service's own HTTP port if it has one.
    public var metricsPort: UInt16?
    /// Whether the configuration is read again whenever its file has changed.
    public var watches = false
    /// What is under way has so much time to finish when the service stops; nil: as much as the service thinks right.
    public var drainTimeout: LabDuration?
    /// A collector for its spans, by OTLP/HTTP; nil: the lab's, if it has one.
    public var otlp: HTTPURL?
    /// The share of the traces that begin here which are kept, 0 to 1.
    public var traceShare = 1.0
    /// Makes TLS for the ports of clients; nil: none. Called for each server before it listens, with what it speaks.
    public var makeSecurity: ((Node, _ protocols: [String]) throws -> any StreamSecurity)?

    public init() {}
}
