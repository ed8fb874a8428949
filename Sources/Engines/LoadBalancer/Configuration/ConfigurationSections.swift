import KernelConfiguration
import KernelStructures
import KernelWire

extension LoadBalancerConfiguration.HealthCheckSettings {
    /// `health_check` of a file; what embeds a balancer has the same section.
    package init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.healthCheck.read(value, what: "health_check")
        interval = try mapping.duration("interval") ?? interval
        fastInterval = try mapping.duration("fast_interval")
        downInterval = try mapping.duration("down_interval")
        jitterPercent = try mapping.percent("jitter", in: 0...50) ?? jitterPercent
        timeout = try mapping.duration("timeout") ?? min(timeout, interval)
        kind = try mapping.choice("type", [("http", .http), ("tcp", .tcp), ("none", .off)])
        unhealthyAfter = try mapping.integer("unhealthy_after", in: 1...100) ?? unhealthyAfter
        healthyAfter = try mapping.integer("healthy_after", in: 1...100) ?? healthyAfter
        path = try mapping.word("path") ?? path
        guard path.hasPrefix("/") else {
            throw ConfigurationError(
                mapping["path"]!.place, "path must begin with / and have no blanks, not '\(path)'")
        }
        host = try mapping.word("host")
        if let expect = mapping["expect"] { try readExpectations(expect) }
    }

    private mutating func readExpectations(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.expect.read(value, what: "expect")
        expectedBody = try mapping.text("body")
        guard let status = mapping["status"] else { return }
        let text = try status.text(for: "status")
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last,
            (100...599).contains(first), (100...599).contains(last)
        else {
            throw ConfigurationError(
                status.place, "status must be one of 100 to 599, or a range such as 200-299, not '\(text)'")
        }
        expectedStatus = first...last
    }
}

extension LoadBalancerConfiguration.OutlierSettings {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.outlierEjection.read(value, what: "outlier_ejection")
        consecutive5xx = try mapping.integer("consecutive_5xx", in: 0...1000) ?? consecutive5xx
        consecutiveGatewayErrors =
            try mapping.integer("consecutive_gateway_errors", in: 0...1000) ?? consecutiveGatewayErrors
        // As with Envoy, 0 turns a criterion off.
        if consecutive5xx == 0 { consecutive5xx = nil }
        if consecutiveGatewayErrors == 0 { consecutiveGatewayErrors = nil }
        baseTime = try mapping.duration("base_time") ?? baseTime
        maxTime = try mapping.duration("max_time") ?? max(maxTime, baseTime)
        maxPercent = try mapping.percent("max_percent", in: 0...100) ?? maxPercent
    }
}

extension LoadBalancerConfiguration.StickySettings {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.sticky.read(value, what: "sticky")
        switch (try mapping.text("cookie"), try mapping.choice("by", [("source", true)])) {
        case (let name?, nil):
            guard HTTPToken.isValid(name) else {
                throw ConfigurationError(mapping["cookie"]!.place, "'\(name)' cannot be a cookie's name")
            }
            for key in ["size", "expire"] where mapping[key] != nil {
                throw ConfigurationError(mapping[key]!.place, "\(key) is for {by: source}; the client keeps a cookie")
            }
            self.init(.cookie(name))
        case (nil, _?):
            self.init(
                .source(
                    size: try mapping.integer("size", in: 1...10_000_000) ?? 100_000,
                    expire: try mapping.duration("expire") ?? .seconds(1800)))
        default:
            throw ConfigurationError(mapping.place, "sticky needs cookie: NAME or by: source, one of them")
        }
        redispatch = try mapping.boolean("redispatch") ?? redispatch
        onDrain = try mapping.choice("on_drain", [("move", .move), ("stay", .stay)]) ?? onDrain
    }
}

extension LoadBalancerConfiguration.RetryConditions {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        self.init(connectFailure: false, emptyResponse: false)
        for item in try value.list(for: "retry_on") {
            let text = try item.text(for: "a condition of retry_on")
            switch text {
            case "connect-failure", "conn-failure": connectFailure = true
            case "empty-response": emptyResponse = true
            case "response-timeout": responseTimeout = true
            default:
                guard let status = Int(text), (500...599).contains(status) else {
                    throw ConfigurationError(
                        item.place,
                        "'\(text)' is no condition: connect-failure, empty-response, response-timeout, 500 to 599")
                }
                statuses.insert(status)
            }
        }
    }
}

extension LoadBalancerConfiguration.RetryBudgetSettings {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.retryBudget.read(value, what: "retry_budget")
        percent = try mapping.percent("percent", in: 0...100) ?? percent
        minPerSecond = try mapping.integer("min_per_second", in: 0...100_000) ?? minPerSecond
    }
}

extension LoadBalancerConfiguration.QueueSettings {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try LoadBalancerConfiguration.queue.read(value, what: "queue")
        limit = try mapping.integer("limit", in: 0...100_000) ?? limit
        timeout = try mapping.duration("timeout") ?? timeout
    }
}

extension LoadBalancerConfiguration.Timeouts {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let section = LoadBalancerConfiguration.timeouts
        let mapping = try ConfigurationMapping(
            value, what: "timeouts", keys: section.keys + ["queue"], aliases: section.aliases)
        if let queue = mapping["queue"] {
            throw ConfigurationError(queue.place, "how long a request may wait is said by queue: {timeout: 5s}")
        }
        connect = try mapping.duration("connect") ?? connect
        request = try mapping.duration("request") ?? request
        response = try mapping.duration("response") ?? response
        idle = try mapping.duration("idle") ?? idle
        tunnel = try mapping.duration("tunnel") ?? tunnel
        shutdown = try mapping.duration("shutdown") ?? shutdown
    }
}
