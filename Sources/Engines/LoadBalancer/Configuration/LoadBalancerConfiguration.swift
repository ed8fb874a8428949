import KernelStructures

/// A load balancer's configuration. `reference` shows the file it is read from, with every key, its default and its
/// unit.
public struct LoadBalancerConfiguration: Equatable, Sendable {
    public enum Mode: String, Sendable { case http, tcp }

    public enum Algorithm: String, Sendable, CaseIterable {
        case roundRobin = "round-robin"
        case leastConnections = "least-connections"
        case random
        case hash
        case maglev
    }

    /// What the hashing algorithms know a request by.
    public enum HashKey: Equatable, Sendable {
        case source, uri
        /// A header field's value; requests without it are known by their source.
        case header(String)
    }

    public enum ForwardedFields: String, Sendable, CaseIterable {
        case xForwardedFor = "x-forwarded-for"
        case forwarded, both, none
    }

    public var mode = Mode.http
    /// Between clients and the balancer; nil: none.
    public var tls: FrontTLS?
    public var algorithm = Algorithm.roundRobin
    public var hashKey = HashKey.source
    /// How much more than its share a server may have before the hash algorithm passes on to the next, in percent.
    public var hashBalanceFactorPercent: Int?
    public var backends: [Backend]
    public var healthCheck = HealthCheckSettings()
    public var outlierEjection: OutlierSettings?
    public var slowStart = LabDuration.zero
    public var panicThresholdPercent = 0
    public var sticky: StickySettings?
    /// Attempts after the first one failed, 0…10.
    public var retries = 3
    public var retryOn = RetryConditions()
    public var retryBudget: RetryBudgetSettings?
    public var queue = QueueSettings()
    public var timeouts = Timeouts()
    public var forwarded = ForwardedFields.xForwardedFor
    public var acceptsProxyProtocol = false
    /// A log line for each request, in HAProxy's format: see `RequestLog`.
    public var logsRequests = false

    /// More backends than this are refused.
    public static let backendLimit = 1000

    public init(backends: [Backend]) { self.backends = backends }
}

extension LoadBalancerConfiguration {
    public struct Backend: Equatable, Sendable {
        /// What log lines call it; as written, unless the file gives it a name.
        public var name: String
        public var destination: HostPort
        /// 0…256: its share of the requests. One with 0 only gets those that stick to it.
        public var weight = 1
        /// Requests or connections at a time; further ones wait. Nil: as many as come.
        public var maxConnections: Int?
        /// Gets requests only when no other server can.
        public var isBackup = false
        public var state = Server.Administrative.ready
        public var sendProxy: ProxyVersion?
        /// nil: none.
        public var tls: TLS?

        public enum ProxyVersion: String, Sendable { case v1, v2 }

        public init(name: String, destination: HostPort, weight: Int = 1) {
            self.name = name
            self.destination = destination
            self.weight = weight
        }
    }

    public struct HealthCheckSettings: Equatable, Sendable {
        public enum Kind: String, Sendable {
            case http, tcp
            case off = "none"
        }

        public var interval = LabDuration.seconds(5)
        /// Nil: as `interval`.
        public var fastInterval: LabDuration?
        public var downInterval: LabDuration?
        public var jitterPercent = 0
        /// A probe that takes longer has failed.
        public var timeout = LabDuration.seconds(2)
        /// Nil: as the balancer's mode.
        public var kind: Kind?
        public var path = "/"
        /// The Host field; nil for the server's address.
        public var host: String?
        /// Statuses that pass.
        public var expectedStatus = 200...399
        /// Text that the first 64 KB of the body must contain.
        public var expectedBody: String?
        /// Failures in a row that take a server out of the pool.
        public var unhealthyAfter = 3
        /// Successes in a row that bring it back.
        public var healthyAfter = 2
    }

    public struct OutlierSettings: Equatable, Sendable {
        /// Nil: not looked at.
        public var consecutive5xx: Int? = 5
        public var consecutiveGatewayErrors: Int? = 5
        public var baseTime = LabDuration.seconds(30)
        public var maxTime = LabDuration.seconds(300)
        public var maxPercent = 10

        public init() {}
    }

    public struct StickySettings: Equatable, Sendable {
        public enum Mark: Equatable, Sendable {
            case cookie(String)
            /// The client's address, remembered in a table of so many entries for so long after its last request.
            case source(size: Int, expire: LabDuration)
        }
        public enum OnDrain: String, Sendable { case move, stay }

        public var mark: Mark
        public var redispatch = true
        public var onDrain = OnDrain.move

        public init(_ mark: Mark) { self.mark = mark }
    }

    /// What is tried again. Whether it *may* be is another question, which `UpstreamExchange` answers.
    public struct RetryConditions: Equatable, Sendable {
        public var connectFailure = true
        public var emptyResponse = true
        public var responseTimeout = false
        public var statuses: Set<Int> = []
    }

    public struct RetryBudgetSettings: Equatable, Sendable {
        public var percent = 20
        public var minPerSecond = 10

        public init() {}
    }

    public struct QueueSettings: Equatable, Sendable {
        public var limit = 1000
        public var timeout = LabDuration.seconds(5)
    }

    public struct Timeouts: Equatable, Sendable {
        public var connect = LabDuration.seconds(5)
        /// For a client to send a request's head; then 408.
        public var request = LabDuration.seconds(30)
        /// Without any byte from the server while it owes a response; then 504.
        public var response = LabDuration.seconds(60)
        /// For a client that asks nothing.
        public var idle = LabDuration.seconds(75)
        /// For a connection in TCP mode, or one that has switched protocols, on which neither side says anything.
        public var tunnel = LabDuration.seconds(3600)
        /// For what is still under way when the balancer is told to stop.
        public var shutdown = LabDuration.seconds(30)
    }
}
