import KernelConfiguration

/// The keys of one section of a configuration file.
public struct ConfigurationSection: Sendable {
    /// The key that leads to it; empty for the file as a whole.
    public let name: String
    public let keys: [String]
    /// Names under which users of HAProxy, nginx and Envoy know some of the keys, and what they are here.
    public let aliases: [String: String]

    init(_ name: String, _ keys: [String], _ aliases: [String: String] = [:]) {
        self.name = name
        self.keys = keys
        self.aliases = aliases
    }

    func read(_ value: ConfigurationValue, what: String) throws(ConfigurationError) -> ConfigurationMapping {
        try ConfigurationMapping(value, what: what, keys: keys, aliases: aliases)
    }
}

extension LoadBalancerConfiguration {
    /// Every key there is: what is not here is refused, and what is here stands in `reference`.
    public static let sections: [ConfigurationSection] = [
        root, hash, tls, backend, healthCheck, expect, outlierEjection, sticky, retryBudget, queue, timeouts,
    ]

    static let root = ConfigurationSection(
        "",
        [
            "mode", "tls", "algorithm", "hash", "backends", "health_check", "outlier_ejection", "slow_start",
            "panic_threshold", "sticky", "retries", "retry_on", "retry_budget", "queue", "timeouts", "forwarded",
            "accept_proxy", "log",
        ],
        [
            "balance": "algorithm", "lb_policy": "algorithm", "servers": "backends", "slowstart": "slow_start",
            "timeout": "timeouts", "outlier_detection": "outlier_ejection",
            "healthy_panic_threshold": "panic_threshold", "retry-on": "retry_on", "accept-proxy": "accept_proxy",
        ])
    static let hash = ConfigurationSection(
        "hash", ["key", "balance_factor"], ["hash-balance-factor": "balance_factor"])
    static let tls = ConfigurationSection(
        "tls", ["certificates", "keys", "client_ca", "client", "alpn", "min_version", "max_version"],
        [
            "crt": "certificates", "ca-file": "client_ca", "verify": "client", "ssl-min-ver": "min_version",
            "ssl-max-ver": "max_version",
        ])
    static let backend = ConfigurationSection(
        "backends",
        [
            "address", "name", "weight", "max_connections", "backup", "state", "send_proxy", "tls", "verify", "sni",
            "ca", "cert", "key",
        ],
        [
            "maxconn": "max_connections", "max_conns": "max_connections", "send-proxy": "send_proxy", "ssl": "tls",
            "ca-file": "ca", "crt": "cert",
        ])
    static let healthCheck = ConfigurationSection(
        "health_check",
        [
            "type", "interval", "fast_interval", "down_interval", "jitter", "timeout", "path", "host", "expect",
            "unhealthy_after", "healthy_after",
        ],
        [
            "inter": "interval", "fastinter": "fast_interval", "downinter": "down_interval",
            "fall": "unhealthy_after", "rise": "healthy_after", "uri": "path",
            "unhealthy_threshold": "unhealthy_after", "healthy_threshold": "healthy_after",
        ])
    static let expect = ConfigurationSection("expect", ["status", "body"], ["string": "body"])
    static let outlierEjection = ConfigurationSection(
        "outlier_ejection",
        ["consecutive_5xx", "consecutive_gateway_errors", "base_time", "max_time", "max_percent"],
        [
            "consecutive_gateway_failure": "consecutive_gateway_errors", "base_ejection_time": "base_time",
            "max_ejection_time": "max_time", "max_ejection_percent": "max_percent",
        ])
    static let sticky = ConfigurationSection(
        "sticky", ["cookie", "by", "size", "expire", "redispatch", "on_drain"])
    static let retryBudget = ConfigurationSection(
        "retry_budget", ["percent", "min_per_second"], ["budget_percent": "percent"])
    static let queue = ConfigurationSection("queue", ["limit", "timeout"], ["maxqueue": "limit"])
    static let timeouts = ConfigurationSection(
        "timeouts", ["connect", "request", "response", "idle", "tunnel", "shutdown"],
        [
            "client": "idle", "http-keep-alive": "idle", "server": "response", "http-request": "request",
            "hard-stop-after": "shutdown",
        ])
}
