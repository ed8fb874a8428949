import CircuitBreakerEngine
import KernelConfiguration
import KernelStructures
import KernelWire
import LoadBalancerEngine

extension GatewayConfiguration.Service {
    private static let keys = [
        "url", "servers", "discover", "balance", "max_connections", "breaker", "outlier_ejection", "health_check",
        "connect_timeout", "tls", "tls_name", "base_path",
    ]

    /// A service that is known by its URL alone.
    init(name: String, url value: ConfigurationValue) throws(ConfigurationError) {
        let url = try value.url("url")
        guard url.user == nil, !url.target.contains("?") else {
            throw ConfigurationError(value.place, "a service's url has no user and no query")
        }
        self.init(
            name: name, source: .servers,
            balancing: Self.balancing([.init(name: url.destination.description, destination: url.destination)]))
        isSecure = url.scheme == .https
        basePath = Self.basePath(url.target)
    }

    private static func basePath(_ path: String) -> String { path.hasSuffix("/") ? String(path.dropLast()) : path }

    /// A balancer's settings for servers that are watched by what real requests meet, and by nobody else unless
    /// `health_check` says so.
    static func balancing(_ backends: [LoadBalancerConfiguration.Backend]) -> LoadBalancerConfiguration {
        var balancing = LoadBalancerConfiguration(backends: backends)
        balancing.healthCheck.kind = .off
        balancing.outlierEjection = .init()
        return balancing
    }

    /// `name: {…}` of the file's `services`.
    init(_ value: ConfigurationValue, name: String) throws(ConfigurationError) {
        // `user-service: http://users:8080` is enough.
        if case .scalar = value.content, !value.isNull {
            try self.init(name: name, url: value)
            return
        }
        let mapping = try ConfigurationMapping(value, what: "a service", keys: Self.keys)
        let ways = ["url", "servers", "discover"].filter { mapping[$0] != nil }
        guard ways.count == 1 else {
            throw ConfigurationError(
                value.place,
                ways.isEmpty
                    ? "a service needs a url, servers or discover" : "\(ways.joined(separator: " and "))? one of them")
        }
        if let url = mapping["url"] {
            try self.init(name: name, url: url)
        } else if let servers = mapping["servers"] {
            self.init(name: name, source: .servers, balancing: Self.balancing(try Self.backends(servers)))
        } else {
            self.init(
                name: name, source: .registry(try mapping.word("discover") ?? name), balancing: Self.balancing([]))
        }
        try readRest(mapping)
    }

    private mutating func readRest(_ mapping: ConfigurationMapping) throws(ConfigurationError) {
        let names = LoadBalancerConfiguration.Algorithm.allCases.filter { $0 != .hash && $0 != .maglev }
        balancing.algorithm =
            try mapping.choice("balance", names.map { ($0.rawValue, $0) }) ?? balancing.algorithm
        if let limit = try mapping.integer("max_connections", in: 1...1_000_000) {
            for index in balancing.backends.indices { balancing.backends[index].maxConnections = limit }
        }
        connectTimeout = try mapping.duration("connect_timeout") ?? connectTimeout
        isSecure = try mapping.boolean("tls") ?? isSecure
        tlsName = try mapping.word("tls_name")
        if let path = try mapping.word("base_path") {
            guard path.hasPrefix("/"), !path.contains("?") else {
                throw ConfigurationError(mapping["base_path"]!.place, "base_path '\(path)' must begin with /")
            }
            basePath = Self.basePath(path)
        }
        if try mapping.choice("outlier_ejection", [("false", false), ("true", true)]) == false {
            balancing.outlierEjection = nil
        }
        if let value = mapping["health_check"] { balancing.healthCheck = try .init(value) }
        if let value = mapping["breaker"] { breaker = try Self.breaker(value) }
    }

    private static func backends(_ value: ConfigurationValue) throws(ConfigurationError)
        -> [LoadBalancerConfiguration.Backend]
    {
        var backends: [LoadBalancerConfiguration.Backend] = []
        for item in try value.list(for: "servers") {
            let place = try item.endpoint("a server")
            guard !backends.contains(where: { $0.destination == place }) else {
                throw ConfigurationError(item.place, "\(place) stands here twice")
            }
            backends.append(.init(name: place.description, destination: place))
        }
        guard !backends.isEmpty, backends.count <= LoadBalancerConfiguration.backendLimit else {
            throw ConfigurationError(value.place, "servers: 1 to \(LoadBalancerConfiguration.backendLimit) of them")
        }
        return backends
    }

    /// `false`, or resilience4j's names: `{failureRateThreshold: 50, waitDurationInOpenState: 10s}`.
    private static func breaker(_ value: ConfigurationValue) throws(ConfigurationError)
        -> CircuitBreakerConfiguration?
    {
        if case .scalar(let text) = value.content {
            guard text == "false" || text == "true" else {
                throw ConfigurationError(value.place, "breaker is false, or a mapping of settings, not '\(text)'")
            }
            return text == "true" ? defaultBreaker : nil
        }
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "breaker is false, or a mapping of settings")
        }
        var breaker = defaultBreaker
        do {
            for (key, value) in pairs {
                let name = try key.text(for: "a setting of the breaker")
                try breaker.set(name, to: try value.text(for: name))
            }
            try breaker.validate()
        } catch let error as ConfigurationError {
            throw error
        } catch {
            throw ConfigurationError(value.place, "breaker: \(error)")
        }
        return breaker
    }
}
