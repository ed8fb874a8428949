import KernelConfiguration
import KernelStructures
import KernelWire
import RateLimiterEngine

extension RateLimiterConfiguration {
    private static let keys = [
        "rules", "upstream", "trusted_proxies", "ipv6_prefix", "exempt", "headers", "partition_key", "store", "lease",
        "store_timeout", "timeouts",
    ]

    /// Reads a configuration file.
    ///
    /// - Parameter file: the name that errors give.
    /// - Throws: `ConfigurationError` with line and column: malformed YAML, unknown keys, values out of range.
    public init(yaml: [UInt8], file: String) throws(ConfigurationError) {
        let root = try ConfigurationMapping(
            try YAML.parse(yaml, file: file), what: "the rate limiter", keys: Self.keys)
        guard let list = root["rules"] else {
            throw ConfigurationError(root.place, "there are no rules; add rules: [{algorithm: token-bucket, rate: 10}]")
        }
        self.init(rules: try Self.rules(try list.list(for: "rules"), at: list.place))
        if let value = root["upstream"] {
            let text = try value.text(for: "upstream")
            guard let place = HostPort(parsingServer: text) else {
                throw ConfigurationError(value.place, "upstream '\(text)' is neither a port nor host:port")
            }
            upstream = place
        }
        if let value = root["trusted_proxies"] { trustedProxies = try Self.networks(value) }
        ipv6Prefix = try root.integer("ipv6_prefix", in: 1...128) ?? ipv6Prefix
        if let value = root["exempt"] { exempt = try Self.paths(value, "exempt") }
        families = try root.choice("headers", RateLimitFields.Families.allCases.map { ($0.rawValue, $0) }) ?? families
        showsPartitionKey = try root.boolean("partition_key") ?? false
        if let value = root["store"] {
            let text = try value.text(for: "store")
            guard let place = StoreAddress(parsing: text) else {
                throw ConfigurationError(value.place, "store '\(text)' is neither redis://host:port nor host:port")
            }
            store = place
        }
        lease = try root.integer("lease", in: 1...1_000_000) ?? lease
        storeTimeout = try root.duration("store_timeout") ?? storeTimeout
        if let value = root["timeouts"] { timeouts = try Timeouts(value) }
    }

    private static func networks(_ value: ConfigurationValue) throws(ConfigurationError) -> TrustedProxies {
        var networks: [TrustedProxies.Network] = []
        for item in try value.oneOrMore() {
            let text = try item.text(for: "a trusted proxy")
            guard let network = TrustedProxies.Network(parsing: text) else {
                throw ConfigurationError(item.place, "'\(text)' is no network such as 10.0.0.0/8 or 2001:db8::/32")
            }
            networks.append(network)
        }
        return TrustedProxies(networks)
    }

    fileprivate static func paths(_ value: ConfigurationValue, _ key: String) throws(ConfigurationError) -> [String] {
        var paths: [String] = []
        for item in try value.oneOrMore() {
            let text = try item.text(for: key)
            guard text.hasPrefix("/") else {
                throw ConfigurationError(item.place, "\(key) '\(text)' must begin with /")
            }
            paths.append(text)
        }
        return paths
    }

    private static func rules(_ values: [ConfigurationValue], at place: ConfigurationPlace)
        throws(ConfigurationError) -> [RateLimitRule]
    {
        if values.isEmpty { throw ConfigurationError(place, "the list of rules is empty") }
        if values.count > ruleLimit { throw ConfigurationError(place, "more than \(ruleLimit) rules") }
        var rules: [RateLimitRule] = []
        var names: Set<String> = []
        for value in values {
            let rule = try RateLimitRule(value)
            if !names.insert(rule.policy.name).inserted {
                throw ConfigurationError(
                    value.place, "two rules are called \(rule.policy.name); give each a name of its own")
            }
            rules.append(rule)
        }
        return rules
    }
}

extension ConfigurationValue {
    /// A list, or a single value as a list of one.
    fileprivate func oneOrMore() throws(ConfigurationError) -> [ConfigurationValue] {
        if case .scalar = content { return [self] }
        return try list(for: "this")
    }
}

extension RateLimiterConfiguration.Timeouts {
    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "timeouts", keys: ["connect", "response", "idle"])
        connect = try mapping.duration("connect") ?? connect
        response = try mapping.duration("response") ?? response
        idle = try mapping.duration("idle") ?? idle
    }
}

extension RateLimitRule {
    private static let keys = [
        "name", "algorithm", "rate", "period", "burst", "key", "path", "method", "cost", "cost_header", "delay",
        "shadow", "log_size", "keys", "on_store_failure",
    ]

    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "a rule", keys: Self.keys)
        let name = try mapping.text("name") ?? "default"
        guard Self.isName(name) else {
            throw ConfigurationError(
                mapping["name"]?.place ?? value.place,
                "'\(name)' cannot be a rule's name: letters, digits, - _ . : only, at most 64")
        }
        let names = RateLimitPolicy.Algorithm.allCases.map { ($0.rawValue, $0) }
        let algorithm = try mapping.choice("algorithm", names) ?? .tokenBucket
        self.init(RateLimitPolicy(name, algorithm, try Self.quota(mapping, algorithm)))
        policy.isDelaying = try mapping.boolean("delay") ?? true
        policy.isShadow = try mapping.boolean("shadow") ?? false
        policy.logSize = try mapping.integer("log_size", in: 1...100_000) ?? policy.logSize
        policy.keyLimit = try mapping.integer("keys", in: 1...100_000_000) ?? policy.keyLimit
        if let value = mapping["key"] { key = try Self.key(value) }
        if let value = mapping["path"] { pathPrefixes = try RateLimiterConfiguration.paths(value, "path") }
        if let value = mapping["method"] { methods = try Self.methods(value) }
        cost = try mapping.integer("cost", in: 1...Self.costLimit) ?? cost
        costHeader = try mapping.word("cost_header")
        if let costHeader, !HTTPToken.isValid(costHeader) {
            throw ConfigurationError(mapping["cost_header"]!.place, "'\(costHeader)' is no name of a header field")
        }
        onStoreFailure =
            try mapping.choice("on_store_failure", StoreFailure.allCases.map { ($0.rawValue, $0) }) ?? onStoreFailure
    }

    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.:".contains($0)) }
    }

    private static func quota(_ mapping: ConfigurationMapping, _ algorithm: RateLimitPolicy.Algorithm)
        throws(ConfigurationError) -> Quota
    {
        let burst = try mapping.integer("burst", in: 1...Quota.countLimit)
        var period = try mapping.duration("period")
        var rate = 1
        if let value = mapping["rate"] {
            let text = try value.text(for: "rate")
            guard let parsed = RatePhrase(parsing: text) else {
                throw ConfigurationError(value.place, "rate must be a number, or one such as 600/minute, not '\(text)'")
            }
            if parsed.period != nil, period != nil {
                throw ConfigurationError(value.place, "rate '\(text)' has a period already; leave out one of the two")
            }
            rate = parsed.count
            period = parsed.period ?? period
        } else if algorithm != .concurrency {
            throw ConfigurationError(mapping.place, "a rule needs a rate: how many requests a period")
        } else if burst == nil {
            throw ConfigurationError(mapping.place, "how many at a time? add burst: 10")
        }
        if algorithm.isWindowed, burst != nil {
            throw ConfigurationError(
                mapping["burst"]!.place, "\(algorithm.rawValue) knows no burst: all of the rate may come at once")
        }
        do {
            return try Quota(rate, per: period ?? .seconds(1), burst: burst)
        } catch {
            throw ConfigurationError(mapping["rate"]?.place ?? mapping.place, error.description)
        }
    }

    private static func key(_ value: ConfigurationValue) throws(ConfigurationError) -> RequestKey {
        var parts: [RequestKey.Part] = []
        for item in try value.oneOrMore() {
            let text = try item.text(for: "key")
            guard let part = RequestKey.part(parsing: text) else {
                throw ConfigurationError(
                    item.place, "key '\(text)' is none of \(RequestKey.partNames.joined(separator: ", "))")
            }
            parts.append(part)
        }
        guard !parts.isEmpty else { throw ConfigurationError(value.place, "a key needs a part; global is one for all") }
        return RequestKey(parts)
    }

    private static func methods(_ value: ConfigurationValue) throws(ConfigurationError) -> [String] {
        var methods: [String] = []
        for item in try value.oneOrMore() {
            let text = try item.text(for: "method")
            guard HTTPToken.isValid(text) else { throw ConfigurationError(item.place, "'\(text)' is no method") }
            methods.append(text.uppercased())
        }
        return methods
    }
}
