import KernelConfiguration
import KernelStructures
import KernelWire

extension LoadBalancerConfiguration {
    /// Reads a configuration file.
    ///
    /// - Parameter file: the name that errors give.
    /// - Throws: `ConfigurationError` with line and column: malformed YAML, unknown keys, values out of range.
    public init(yaml: [UInt8], file: String) throws(ConfigurationError) {
        let root = try Self.root.read(try YAML.parse(yaml, file: file), what: "the load balancer")
        guard let list = root["backends"] else {
            throw ConfigurationError(root.place, "there are no backends; add backends: [8081, 8082]")
        }
        self.init(backends: try Self.backends(try list.list(for: "backends"), at: list.place))
        mode = try root.choice("mode", [("http", .http), ("tcp", .tcp)]) ?? mode
        if let value = root["tls"] { tls = try FrontTLS(value) }
        try readAlgorithm(root)
        if let value = root["health_check"] { healthCheck = try HealthCheckSettings(value) }
        if let value = root["outlier_ejection"] { outlierEjection = try OutlierSettings(value) }
        slowStart = try root.duration("slow_start", allowsZero: true) ?? slowStart
        panicThresholdPercent = try root.percent("panic_threshold", in: 0...100) ?? panicThresholdPercent
        if let value = root["sticky"] { sticky = try StickySettings(value) }
        retries = try root.integer("retries", in: 0...10) ?? retries
        if let value = root["retry_on"] { retryOn = try RetryConditions(value) }
        if let value = root["retry_budget"] { retryBudget = try RetryBudgetSettings(value) }
        if let value = root["queue"] { queue = try QueueSettings(value) }
        if let value = root["timeouts"] { timeouts = try Timeouts(value) }
        forwarded = try root.choice("forwarded", ForwardedFields.allCases.map { ($0.rawValue, $0) }) ?? forwarded
        acceptsProxyProtocol = try root.boolean("accept_proxy") ?? acceptsProxyProtocol
        logsRequests = try root.choice("log", [("none", false), ("requests", true)]) ?? logsRequests
        try refuseContradictions(root)
    }

    /// Each algorithm under its own name, and under the ones that users of HAProxy, nginx and Envoy know. What Envoy
    /// calls LEAST_REQUEST looks at two servers, not at all.
    private static let algorithmNames: [(String, (Algorithm, HashKey?))] =
        Algorithm.allCases.map { ($0.rawValue, ($0, nil)) } + [
            ("roundrobin", (.roundRobin, nil)), ("static-rr", (.roundRobin, nil)), ("ROUND_ROBIN", (.roundRobin, nil)),
            ("leastconn", (.leastConnections, nil)), ("least_conn", (.leastConnections, nil)),
            ("random(2)", (.random, nil)), ("LEAST_REQUEST", (.random, nil)), ("source", (.hash, .source)),
            ("uri", (.hash, .uri)), ("ip_hash", (.hash, .source)), ("consistent-hash", (.hash, nil)),
            ("RING_HASH", (.hash, nil)), ("MAGLEV", (.maglev, nil)),
        ]

    private mutating func readAlgorithm(_ root: ConfigurationMapping) throws(ConfigurationError) {
        var named: HashKey?
        if let field = try Self.headerOfHash(root) {
            (algorithm, named) = (.hash, .header(field))
        } else if let (algorithm, key) = try root.choice("algorithm", Self.algorithmNames) {
            self.algorithm = algorithm
            named = key
        }
        if let named { hashKey = named }
        guard let value = root["hash"] else { return }
        try readHash(value)
        if let named, hashKey != named {
            throw ConfigurationError(value.place, "the algorithm says already what it goes by; leave out key")
        }
    }

    /// HAProxy's `hdr(NAME)`.
    private static func headerOfHash(_ root: ConfigurationMapping) throws(ConfigurationError) -> String? {
        guard let value = root["algorithm"], case .scalar(let text) = value.content, text.hasPrefix("hdr("),
            text.hasSuffix(")")
        else { return nil }
        let name = String(text.dropFirst(4).dropLast())
        guard HTTPToken.isValid(name) else {
            throw ConfigurationError(value.place, "'\(name)' cannot be a field's name; hdr(NAME) needs one")
        }
        return name
    }

    private mutating func readHash(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try Self.hash.read(value, what: "hash")
        hashBalanceFactorPercent = try mapping.percent("balance_factor", in: 101...10_000)
        guard let key = mapping["key"] else { return }
        let words = try key.text(for: "key").split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case ("source", 1): hashKey = .source
        case ("uri", 1): hashKey = .uri
        case ("header", 2) where HTTPToken.isValid(words[1]): hashKey = .header(words[1])
        default: throw ConfigurationError(key.place, "key must be source, uri or header NAME")
        }
    }

    private func refuseContradictions(_ root: ConfigurationMapping) throws(ConfigurationError) {
        guard mode == .tcp else { return }
        if case .cookie = sticky?.mark {
            throw ConfigurationError(root["sticky"]!.place, "in mode tcp nobody reads cookies; use {by: source}")
        }
        if hashKey != .source {
            let place = (root["hash"] ?? root["algorithm"])?.place ?? root.place
            throw ConfigurationError(place, "in mode tcp nobody reads requests; use key: source")
        }
        if healthCheck.expectedBody != nil, healthCheck.kind != .http {
            throw ConfigurationError(root["health_check"]!.place, "what is expected of a body needs type: http")
        }
    }

    private static func backends(_ values: [ConfigurationValue], at place: ConfigurationPlace)
        throws(ConfigurationError) -> [Backend]
    {
        if values.isEmpty { throw ConfigurationError(place, "the list of backends is empty") }
        if values.count > backendLimit { throw ConfigurationError(place, "more than \(backendLimit) backends") }
        var backends: [Backend] = []
        var names: Set<String> = []
        for value in values {
            let backend = try Backend(value)
            if !names.insert(backend.name).inserted {
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
            let destination = try Self.destination(text, at: value.place)
            self.init(name: Self.name(of: destination, text), destination: destination)
            return
        }
        let mapping = try LoadBalancerConfiguration.backend.read(value, what: "a backend")
        guard let address = try mapping.text("address") else {
            throw ConfigurationError(value.place, "a backend needs an address: {address: host:port}")
        }
        let destination = try Self.destination(address, at: mapping["address"]?.place ?? value.place)
        self.init(
            name: try mapping.text("name") ?? Self.name(of: destination, address), destination: destination,
            weight: try mapping.integer("weight", in: 0...256) ?? 1)
        guard Self.isName(name) else {
            throw ConfigurationError(
                mapping["name"]?.place ?? value.place,
                "'\(name)' cannot be a backend's name: letters, digits, - _ . : only, as it stands in cookies")
        }
        maxConnections = try mapping.integer("max_connections", in: 1...1_000_000)
        isBackup = try mapping.boolean("backup") ?? false
        state = try mapping.choice("state", Server.Administrative.allCases.map { ($0.rawValue, $0) }) ?? .ready
        sendProxy = try mapping.choice("send_proxy", [("v1", .v1), ("v2", .v2)])
        tls = try TLS(ofBackend: mapping)
    }

    /// Without another name it is called as its address is written; a unix socket as its file.
    public static func name(of destination: HostPort, _ text: String) -> String {
        destination.unixSocketPath?.split(separator: "/").last.map(String.init) ?? text
    }

    public static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 255
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.:".contains($0)) }
    }

    private static func destination(_ text: String, at place: ConfigurationPlace) throws(ConfigurationError) -> HostPort
    {
        guard let destination = HostPort(parsingServer: text) else {
            throw ConfigurationError(place, "'\(text)' is neither a port (1 to 65535) nor host:port")
        }
        return destination
    }
}
