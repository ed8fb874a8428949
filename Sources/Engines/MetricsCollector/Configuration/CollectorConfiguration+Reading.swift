import KernelConfiguration
import KernelCryptography
import KernelStructures
import TimeSeriesEngine

extension CollectorConfiguration {
    private static let keys = [
        "global", "scrape_configs", "rule_files", "alerting", "remote_write", "storage",
    ]
    static let jobLimit = 10_000

    /// Reads a configuration file.
    ///
    /// - Parameter file: the name that errors give.
    /// - Throws: `ConfigurationError` with line and column.
    public init(yaml: [UInt8], file: String) throws(ConfigurationError) {
        let root = try ConfigurationMapping(
            try YAML.parse(yaml, file: file), what: "the collector", keys: Self.keys)
        self.init()
        text = String(decoding: yaml, as: UTF8.self)
        if let global = root["global"] { try readGlobal(global) }
        ruleFiles = try root.texts("rule_files")
        if let value = root["scrape_configs"] {
            let list = try value.list(for: "scrape_configs")
            if list.count > Self.jobLimit { throw ConfigurationError(value.place, "more than \(Self.jobLimit) jobs") }
            for item in list {
                let scrape = try ScrapeConfiguration(item, self)
                if scrapes.contains(where: { byteOrder($0.job, scrape.job) == 0 }) {
                    throw ConfigurationError(item.place, "two jobs are called '\(scrape.job)'")
                }
                scrapes.append(scrape)
            }
        }
        if let value = root["alerting"] { try readAlerting(value) }
        if let value = root["remote_write"] { try readRemoteWrites(value) }
        if let value = root["storage"] { try readStorage(value) }
    }

    private mutating func readGlobal(_ value: ConfigurationValue) throws(ConfigurationError) {
        let global = try ConfigurationMapping(
            value, what: "global",
            keys: ["scrape_interval", "scrape_timeout", "evaluation_interval", "external_labels", "query_log_file"])
        scrapeInterval = try global.span("scrape_interval") ?? scrapeInterval
        let timeout = try global.span("scrape_timeout")
        if let timeout, timeout > scrapeInterval {
            throw ConfigurationError(value.place, "scrape_timeout is longer than scrape_interval")
        }
        scrapeTimeout = timeout ?? min(scrapeTimeout, scrapeInterval)
        evaluationInterval = try global.span("evaluation_interval") ?? evaluationInterval
        if let labels = global["external_labels"] { externalLabels = try ScrapeConfiguration.labels(labels) }
    }

    private mutating func readAlerting(_ value: ConfigurationValue) throws(ConfigurationError) {
        let alerting = try ConfigurationMapping(value, what: "alerting", keys: ["alertmanagers"])
        guard let list = alerting["alertmanagers"] else { return }
        for item in try list.list(for: "alertmanagers") {
            let manager = try ConfigurationMapping(
                item, what: "an alertmanager", keys: ["static_configs", "api_version", "scheme", "timeout"])
            guard let groups = manager["static_configs"] else { continue }
            for group in try groups.list(for: "static_configs") {
                for address in try ScrapeConfiguration.group(group).addresses {
                    guard let place = HostPort(parsing: address) else {
                        throw ConfigurationError(group.place, "'\(address)' is no host:port")
                    }
                    alertmanagers.append(place)
                }
            }
        }
    }

    private mutating func readRemoteWrites(_ value: ConfigurationValue) throws(ConfigurationError) {
        for item in try value.list(for: "remote_write") {
            let mapping = try ConfigurationMapping(
                item, what: "a remote_write", keys: ["url", "name", "remote_timeout"])
            guard let url = try mapping.word("url") else { throw ConfigurationError(item.place, "url is missing") }
            guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
                throw ConfigurationError(item.place, "url '\(url)' begins with neither http:// nor https://")
            }
            remoteWrites.append(RemoteWrite(url: url))
        }
    }

    private mutating func readStorage(_ value: ConfigurationValue) throws(ConfigurationError) {
        let storage = try ConfigurationMapping(value, what: "storage", keys: ["tsdb", "downsampling"])
        if let list = storage["downsampling"] { try readTiers(list) }
        guard let value = storage["tsdb"] else { return }
        let tsdb = try ConfigurationMapping(value, what: "tsdb", keys: ["out_of_order_time_window"])
        outOfOrderWindow = try tsdb.span("out_of_order_time_window", allowsZero: true) ?? .zero
    }
}

extension CollectorConfiguration {
    private static let dayMilliseconds = 86_400_000
    private static let tierLimit = 8

    /// `downsampling: [{resolution: 5m, retention: 90d}]`, which Prometheus has not.
    private mutating func readTiers(_ value: ConfigurationValue) throws(ConfigurationError) {
        for item in try value.list(for: "downsampling") {
            let mapping = try ConfigurationMapping(item, what: "downsampling", keys: ["resolution", "retention"])
            guard let resolution = try mapping.span("resolution") else {
                throw ConfigurationError(item.place, "resolution is missing; 5m is one")
            }
            let width = Int(resolution.nanoseconds / 1_000_000)
            guard width > 0, Self.dayMilliseconds % width == 0, width < Self.dayMilliseconds else {
                throw ConfigurationError(item.place, "resolution \(resolution) does not divide a day; 5m and 1h do")
            }
            if tiers.contains(where: { $0.widthMilliseconds == Int64(width) }) || tiers.count == Self.tierLimit {
                throw ConfigurationError(item.place, "resolution \(resolution) is there twice, or there are too many")
            }
            let retention = try mapping.span("retention", allowsZero: true) ?? .zero
            tiers.append(
                TierSettings(
                    widthMilliseconds: Int64(width), retentionMilliseconds: retention.nanoseconds / 1_000_000))
        }
    }
}

extension ScrapeConfiguration {
    private static let keys = [
        "job_name", "scrape_interval", "scrape_timeout", "metrics_path", "scheme", "params", "honor_labels",
        "honor_timestamps", "basic_auth", "authorization", "bearer_token", "tls_config", "static_configs",
        "file_sd_configs", "dns_sd_configs", "consul_sd_configs", "relabel_configs", "metric_relabel_configs",
        "sample_limit", "target_limit", "label_limit", "label_name_length_limit", "label_value_length_limit",
        "body_size_limit", "follow_redirects", "enable_http2", "native_histograms",
    ]
    private static let limit = 0...1_000_000_000

    init(_ value: ConfigurationValue, _ whole: CollectorConfiguration) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "a scrape configuration", keys: Self.keys)
        guard let job = try mapping.text("job_name"), !job.isEmpty else {
            throw ConfigurationError(value.place, "job_name is missing")
        }
        self.init(job: job)
        fingerprint = Self.text(of: value)
        interval = try mapping.span("scrape_interval") ?? whole.scrapeInterval
        let own = try mapping.span("scrape_timeout")
        if let own, own > interval {
            throw ConfigurationError(value.place, "scrape_timeout of '\(job)' is longer than its scrape_interval")
        }
        timeout = own ?? min(whole.scrapeTimeout, interval)
        metricsPath = try mapping.word("metrics_path") ?? metricsPath
        scheme = try mapping.choice("scheme", [("http", "http"), ("https", "https")]) ?? scheme
        honorsLabels = try mapping.boolean("honor_labels") ?? false
        honorsTimestamps = try mapping.boolean("honor_timestamps") ?? true
        wantsNativeHistograms = try mapping.boolean("native_histograms") ?? false
        if let value = mapping["params"] { parameters = try Self.parameters(value) }
        try readCredentials(mapping)
        try readTargets(mapping)
        targetRules = try Self.rules(mapping["relabel_configs"])
        metricRules = try Self.rules(mapping["metric_relabel_configs"])
        sampleLimit = try mapping.integer("sample_limit", in: Self.limit) ?? 0
        targetLimit = try mapping.integer("target_limit", in: Self.limit) ?? 0
        labelLimit = try mapping.integer("label_limit", in: Self.limit) ?? 0
        labelNameLengthLimit = try mapping.integer("label_name_length_limit", in: Self.limit) ?? 0
        labelValueLengthLimit = try mapping.integer("label_value_length_limit", in: Self.limit) ?? 0
        if let value = mapping["body_size_limit"] {
            let text = try value.text(for: "body_size_limit")
            guard let size = parseByteCount(text) else {
                throw ConfigurationError(value.place, "body_size_limit must be a size such as 10MB, not '\(text)'")
            }
            bodySizeLimit = size
        }
    }

    /// All that stands in a value, to tell it from another one.
    private static func text(of value: ConfigurationValue) -> String {
        switch value.content {
        case .scalar(let text): "\"\(text)\""
        case .sequence(let items): "[\(items.map(text).joined(separator: ","))]"
        case .mapping(let pairs):
            "{\(pairs.map { "\(text(of: $0.key)):\(text(of: $0.value))" }.joined(separator: ","))}"
        }
    }

    private static func parameters(_ value: ConfigurationValue) throws(ConfigurationError)
        -> [(name: String, values: [String])]
    {
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "params must be a mapping of names to lists")
        }
        var parameters: [(name: String, values: [String])] = []
        for (key, list) in pairs {
            var values: [String] = []
            for item in try list.list(for: "params") { values.append(try item.text(for: "params")) }
            parameters.append((try key.text(for: "params"), values))
        }
        return parameters
    }

    private mutating func readCredentials(_ mapping: ConfigurationMapping) throws(ConfigurationError) {
        if let value = mapping["basic_auth"] {
            let basic = try ConfigurationMapping(value, what: "basic_auth", keys: ["username", "password"])
            basicAuthentication = (try basic.text("username") ?? "", try basic.text("password") ?? "")
        }
        if let value = mapping["authorization"] {
            let own = try ConfigurationMapping(value, what: "authorization", keys: ["type", "credentials"])
            authorization = "\(try own.word("type") ?? "Bearer") \(try own.word("credentials") ?? "")"
        }
        if let token = try mapping.word("bearer_token") { authorization = "Bearer \(token)" }
        if basicAuthentication != nil, authorization != nil {
            throw ConfigurationError(mapping.place, "basic_auth and authorization exclude one another")
        }
        if let value = mapping["tls_config"] {
            let tls = try ConfigurationMapping(
                value, what: "tls_config", keys: ["insecure_skip_verify", "server_name"])
            skipsVerification = try tls.boolean("insecure_skip_verify") ?? false
        }
    }

    /// The field that proves who asks; nil if none is sent.
    public var authorizationField: String? {
        if let basic = basicAuthentication {
            return "Basic " + Base64.standard.encode(Array("\(basic.user):\(basic.password)".utf8))
        }
        return authorization
    }
}
