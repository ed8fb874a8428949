import KernelStructures

/// A load balancer's configuration: every key, its default and its unit.
///
/// ```yaml
/// mode: http                     # http (a server for each request) or tcp (a server for each connection)
/// algorithm: round-robin         # round-robin, least-connections, random, hash, maglev
/// hash: {key: source, balance_factor: 125}           # key: source, uri, or header NAME; factor in percent, or none
/// backends: [8081, 8082, 8083]   # or {address: host:port, name: a, weight: 3, max_connections: 100,
///                                #     backup: true, state: drain, send_proxy: v2}
/// health_check:
///   interval: 5s                 # between two checks of a server
///   fast_interval: 1s            # while a row of results has begun that may change its state (interval)
///   down_interval: 10s           # while it is down (interval)
///   jitter: 0                    # percent by which an interval may be longer or shorter, 0 to 50
///   timeout: 2s                  # (at most interval)
///   type: http                   # http, tcp (a connection is enough) or none (as the mode)
///   path: /
///   host: example.org            # the Host field (the server's address)
///   expect: {status: 200-399, body: OK}              # (any 2xx or 3xx)
///   unhealthy_after: 3           # failures in a row that take a server out
///   healthy_after: 2             # successes in a row that bring it back
/// outlier_ejection:              # off, unless this section is there
///   consecutive_5xx: 5
///   consecutive_gateway_errors: 5                    # connection failures, timeouts, 502, 503, 504
///   base_time: 30s               # times the number of ejections so far
///   max_time: 300s
///   max_percent: 10              # of the servers; one always may be
/// slow_start: 0s                 # how long a server that returns takes to get its full share
/// panic_threshold: 0             # percent of servers up below which health is ignored
/// sticky: {cookie: SRV}          # or {by: source, size: 100000, expire: 30m}
/// #         redispatch: true     # a sticky client whose server is out goes to another
/// #         on_drain: move       # move: clients of a draining server go to another; stay: they stay
/// retries: 3                     # further attempts after one failed
/// retry_on: [connect-failure, empty-response]        # also: response-timeout, and statuses 500 to 599
/// retry_budget: {percent: 20, min_per_second: 10}    # none, unless this section is there
/// queue: {limit: 1000, timeout: 5s}                  # requests that wait for a server with max_connections
/// timeouts: {connect: 5s, request: 30s, response: 60s, idle: 75s, tunnel: 1h, shutdown: 30s}
/// forwarded: x-forwarded-for     # x-forwarded-for, forwarded (RFC 7239), both, none
/// accept_proxy: false            # each client's connection begins with a PROXY protocol header
/// ```
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

    /// What is tried again. Whether it *may* be is another question, which `ProxyExchange` answers.
    public struct RetryConditions: Equatable, Sendable {
        public var connectFailure = true
        public var emptyResponse = true
        public var responseTimeout = false
        public var statuses: Set<Int> = []
    }

    public struct RetryBudgetSettings: Equatable, Sendable {
        public var percent = 20
        public var minPerSecond = 10
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
