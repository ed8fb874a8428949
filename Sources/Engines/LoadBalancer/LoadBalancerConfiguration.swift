import KernelConfiguration
import KernelStructures

/// A load balancer's configuration file.
///
/// ```yaml
/// mode: http                          # http or tcp
/// algorithm: round-robin
/// health_check: {interval: 5s, timeout: 2s, path: /, unhealthy_after: 3, healthy_after: 2}
/// timeouts: {connect: 5s, response: 60s, idle: 75s, shutdown: 30s}
/// retries: 3
/// backends: [8081, 8082, 8083]        # or {address: host:port, weight: 3, name: a}
/// ```
public struct LoadBalancerConfiguration: Equatable, Sendable {
    public enum Mode: String, Sendable { case http, tcp }

    public enum Algorithm: String, Sendable { case roundRobin = "round-robin" }

    public struct Backend: Equatable, Sendable {
        /// What log lines call it; as written, unless the file gives it a name.
        public var name: String
        public var destination: HostPort
        /// 1…256: its share of the requests.
        public var weight = 1

        public init(name: String, destination: HostPort, weight: Int = 1) {
            self.name = name
            self.destination = destination
            self.weight = weight
        }
    }

    public struct HealthCheckSettings: Equatable, Sendable {
        public var interval = LabDuration.seconds(5)
        /// A probe that takes longer has failed.
        public var timeout = LabDuration.seconds(2)
        /// What a probe asks for in HTTP mode; any 2xx or 3xx passes. In TCP mode a connection is enough.
        public var path = "/"
        /// Failures in a row that take a server out of the pool.
        public var unhealthyAfter = 3
        /// Successes in a row that bring it back.
        public var healthyAfter = 2
    }

    public struct Timeouts: Equatable, Sendable {
        public var connect = LabDuration.seconds(5)
        /// Without any byte from the server while it owes a response; then 504.
        public var response = LabDuration.seconds(60)
        /// For a client that asks nothing.
        public var idle = LabDuration.seconds(75)
        /// For what is still under way when the balancer is told to stop.
        public var shutdown = LabDuration.seconds(30)
    }

    public var mode = Mode.http
    public var algorithm = Algorithm.roundRobin
    public var healthCheck = HealthCheckSettings()
    public var timeouts = Timeouts()
    /// Servers that are tried after the first one failed, 0…10.
    public var retries = 3
    public var backends: [Backend]

    /// More backends than this are refused.
    public static let backendLimit = 1000

    public init(backends: [Backend]) { self.backends = backends }

    /// Reads a configuration file.
    ///
    /// - Parameter file: the name that errors give.
    /// - Throws: `ConfigurationError` with line and column: malformed YAML, unknown keys, values out of range.
    public init(yaml: [UInt8], file: String) throws(ConfigurationError) {
        let root = try ConfigurationMapping(
            try YAML.parse(yaml, file: file), what: "the load balancer",
            keys: ["mode", "algorithm", "health_check", "timeouts", "retries", "backends"])
        guard let list = root["backends"] else {
            throw ConfigurationError(root.place, "there are no backends; add backends: [8081, 8082]")
        }
        backends = try Self.backends(try list.list(for: "backends"), at: list.place)
        mode = try root.choice("mode", [("http", .http), ("tcp", .tcp)]) ?? mode
        algorithm =
            try root.choice("algorithm", [("round-robin", .roundRobin), ("roundrobin", .roundRobin)]) ?? algorithm
        retries = try root.integer("retries", in: 0...10) ?? retries
        if let value = root["health_check"] { healthCheck = try HealthCheckSettings(value) }
        if let value = root["timeouts"] { timeouts = try Timeouts(value) }
    }

    private static func backends(_ values: [ConfigurationValue], at place: ConfigurationPlace)
        throws(ConfigurationError) -> [Backend]
    {
        if values.isEmpty { throw ConfigurationError(place, "the list of backends is empty") }
        if values.count > backendLimit { throw ConfigurationError(place, "more than \(backendLimit) backends") }
        var backends: [Backend] = []
        for value in values {
            let backend = try Backend(value)
            if backends.contains(where: { $0.name == backend.name }) {
                throw ConfigurationError(value.place, "two backends are called \(backend.name); give one a name")
            }
            backends.append(backend)
        }
        return backends
    }
}

extension LoadBalancerConfiguration.Backend {
    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        guard case .mapping = value.content else {
            let text = try value.text(for: "a backend")
            self.init(name: text, destination: try Self.destination(text, at: value.place))
            return
        }
        let mapping = try ConfigurationMapping(value, what: "a backend", keys: ["address", "weight", "name"])
        guard let address = try mapping.text("address") else {
            throw ConfigurationError(value.place, "a backend needs an address: {address: host:port}")
        }
        self.init(
            name: try mapping.text("name") ?? address,
            destination: try Self.destination(address, at: mapping["address"]!.place),
            weight: try mapping.integer("weight", in: 1...256) ?? 1)
    }

    private static func destination(_ text: String, at place: ConfigurationPlace) throws(ConfigurationError) -> HostPort
    {
        guard let destination = HostPort(parsing: text) else {
            throw ConfigurationError(place, "'\(text)' is neither a port (1 to 65535) nor host:port")
        }
        return destination
    }
}

extension LoadBalancerConfiguration.HealthCheckSettings {
    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(
            value, what: "health_check", keys: ["interval", "timeout", "path", "unhealthy_after", "healthy_after"])
        interval = try mapping.duration("interval") ?? interval
        timeout = try mapping.duration("timeout") ?? min(timeout, interval)
        unhealthyAfter = try mapping.integer("unhealthy_after", in: 1...100) ?? unhealthyAfter
        healthyAfter = try mapping.integer("healthy_after", in: 1...100) ?? healthyAfter
        if let text = try mapping.text("path") {
            guard text.hasPrefix("/"), text.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else {
                throw ConfigurationError(
                    mapping["path"]!.place, "path must begin with / and have no blanks, not '\(text)'")
            }
            path = text
        }
    }
}

extension LoadBalancerConfiguration.Timeouts {
    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(
            value, what: "timeouts", keys: ["connect", "response", "idle", "shutdown"])
        connect = try mapping.duration("connect") ?? connect
        response = try mapping.duration("response") ?? response
        idle = try mapping.duration("idle") ?? idle
        shutdown = try mapping.duration("shutdown") ?? shutdown
    }
}
