import KernelConfiguration
import KernelRegularExpressions
import KernelStructures
import KernelWire
import RateLimiterEngine

/// What routes have that do not say otherwise.
struct RouteDefaults {
    /// Nil: each route has to say who may use it, so that none is open because somebody forgot a line.
    let access: [Route.Access.Method]?
    let crossOrigin: Route.CrossOriginSettings?

    init(_ root: ConfigurationMapping, _ configuration: GatewayConfiguration) throws(ConfigurationError) {
        access = try root["auth"]?.accessMethods()
        if let value = root["cors"] {
            crossOrigin = try Route.CrossOriginSettings.read(value)
        } else {
            crossOrigin = nil
        }
    }
}

/// Reads one entry of `routes`.
struct RouteReader {
    private static let keys = [
        "name", "host", "path", "method", "headers", "query", "version", "service", "url", "split", "sticky", "auth",
        "scopes", "claims", "rate_limit", "rate_limit_by_address", "strip", "rewrite", "host_rewrite",
        "request_headers", "response_headers", "cors", "mirror", "max_body", "timeout", "response_timeout", "retries",
        "retry_on", "sunset", "aggregate", "redirect",
    ]

    private let value: ConfigurationValue
    private let mapping: ConfigurationMapping
    private let defaults: RouteDefaults

    init(_ value: ConfigurationValue, _ defaults: RouteDefaults) throws(ConfigurationError) {
        self.value = value
        self.defaults = defaults
        mapping = try ConfigurationMapping(value, what: "a route", keys: Self.keys)
    }

    var hasName: Bool { mapping["name"] != nil }

    /// - Parameter configuration: gets the services that the route describes or means.
    mutating func read(_ configuration: inout GatewayConfiguration) throws(ConfigurationError) -> Route {
        guard let path = mapping["path"] else {
            throw ConfigurationError(value.place, "a route needs a path: /api/users/* for all below, /health for one")
        }
        var paths: [PathPattern] = []
        for item in try path.oneOrMore("path") { paths.append(try PathPattern(item)) }
        guard !paths.isEmpty else { throw ConfigurationError(path.place, "a route needs a path") }
        let action = try action(&configuration)
        var route = Route(name: try name(paths), paths: paths, action: action, place: value.place)
        try readConditions(&route)
        try readAccess(&route)
        try readChanges(&route)
        try readLimits(&route)
        if let sticky = mapping["sticky"] { route.stickiness = try stickiness(sticky) }
        if let mirror = mapping["mirror"] { route.mirror = try self.mirror(mirror, &configuration) }
        return route
    }

    /// What it is called where nobody says: by the last word of its path, `users` for `/api/users/*`.
    private func name(_ paths: [PathPattern]) throws(ConfigurationError) -> String {
        if let value = mapping["name"] {
            let name = try value.text(for: "name")
            guard GatewayConfiguration.isName(name) else {
                throw ConfigurationError(
                    value.place, "'\(name)' cannot be a route's name: letters, digits, - _ . : only, at most 64")
            }
            return name
        }
        let words = paths[0].description.split { !$0.isASCII || !($0.isLetter || $0.isNumber || "-_.".contains($0)) }
        return words.last.map { String($0.prefix(60)) } ?? "root"
    }

    // MARK: Where to

    private func action(_ configuration: inout GatewayConfiguration) throws(ConfigurationError) -> Route.Action {
        let ways =
            ["split", "aggregate", "redirect"].filter { mapping[$0] != nil }
            + (mapping["service"] != nil || mapping["url"] != nil ? ["service"] : [])
        guard ways.count == 1 else {
            throw ConfigurationError(
                value.place,
                ways.isEmpty
                    ? "where does it lead? add service, url, split, aggregate or redirect"
                    : "\(ways.joined(separator: " and "))? one of them")
        }
        if let value = mapping["redirect"] { return .redirect(try RouteRedirection(value)) }
        if let value = mapping["aggregate"] { return .aggregate(try Aggregate(value, &configuration)) }
        if let value = mapping["split"] { return .forward(try shares(value, &configuration)) }
        let url = mapping["url"]
        let name: String
        if let value = mapping["service"] {
            name = try GatewayConfiguration.serviceName(value)
        } else {
            let place = try url!.url("url")
            name = place.destination.host + (place.port == place.scheme.defaultPort ? "" : ":\(place.port)")
        }
        try configuration.useService(name, url: url, at: value.place)
        return .forward([.init(service: name)])
    }

    /// `{users-v1: 90, users-v2: 10}`
    private func shares(_ value: ConfigurationValue, _ configuration: inout GatewayConfiguration)
        throws(ConfigurationError) -> [Route.Share]
    {
        guard case .mapping(let pairs) = value.content, !pairs.isEmpty else {
            throw ConfigurationError(value.place, "split must be a mapping of services to weights: {v1: 90, v2: 10}")
        }
        var shares: [Route.Share] = []
        for (key, value) in pairs {
            let name = try GatewayConfiguration.serviceName(key)
            let text = try value.text(for: "a weight")
            let digits = text.hasSuffix("%") ? String(text.dropLast()) : text
            guard let weight = Int(digits), (0...Route.Share.weightLimit).contains(weight) else {
                throw ConfigurationError(
                    value.place, "a weight must be a whole number of 0 to \(Route.Share.weightLimit), not '\(text)'")
            }
            try configuration.useService(name, url: nil, at: key.place)
            shares.append(.init(service: name, weight: weight))
        }
        guard shares.contains(where: { $0.weight > 0 }) else {
            throw ConfigurationError(value.place, "no share has a weight; nobody would get the requests")
        }
        return shares
    }

    /// `user`, `{header: X-Device}`, `{cookie: session}`.
    private func stickiness(_ value: ConfigurationValue) throws(ConfigurationError) -> Route.Stickiness {
        guard mapping["split"] != nil else {
            throw ConfigurationError(value.place, "sticky is for split: without one there is nothing to keep")
        }
        if case .scalar(let text) = value.content {
            guard text == "user" else {
                throw ConfigurationError(
                    value.place, "sticky is user, {header: NAME} or {cookie: NAME}, not '\(text)'")
            }
            return .user
        }
        let mapping = try ConfigurationMapping(value, what: "sticky", keys: ["header", "cookie"])
        switch (try mapping["header"]?.fieldName("header"), try mapping.text("cookie")) {
        case (let name?, nil): return .header(name)
        case (nil, let name?):
            guard HTTPToken.isValid(name) else {
                throw ConfigurationError(value.place, "'\(name)' cannot be a cookie's name")
            }
            return .cookie(name)
        default: throw ConfigurationError(value.place, "sticky has a header or a cookie, one of them")
        }
    }

    private func mirror(_ value: ConfigurationValue, _ configuration: inout GatewayConfiguration)
        throws(ConfigurationError) -> Route.Mirror
    {
        if case .scalar = value.content {
            let mirror = Route.Mirror(service: try GatewayConfiguration.serviceName(value))
            try configuration.useService(mirror.service, url: nil, at: value.place)
            return mirror
        }
        let mapping = try ConfigurationMapping(value, what: "a mirror", keys: ["service", "url", "percent"])
        guard let name = mapping["service"] else { throw ConfigurationError(value.place, "a mirror needs a service") }
        var mirror = Route.Mirror(service: try GatewayConfiguration.serviceName(name))
        mirror.percent = try mapping.percent("percent", in: 1...100) ?? mirror.percent
        try configuration.useService(mirror.service, url: mapping["url"], at: value.place)
        return mirror
    }

    // MARK: For whom

    private func readConditions(_ route: inout Route) throws(ConfigurationError) {
        for text in try mapping["host"]?.texts("host") ?? [] {
            guard let host = HostPattern(text) else {
                throw ConfigurationError(mapping["host"]!.place, "'\(text)' is neither a host nor *.suffix")
            }
            route.hosts.append(host)
        }
        for text in try mapping["method"]?.texts("method") ?? [] {
            guard HTTPToken.isValid(text) else {
                throw ConfigurationError(mapping["method"]!.place, "'\(text)' is no method")
            }
            route.methods.append(text.uppercased())
        }
        // What is put together is only read.
        if route.methods.isEmpty, case .aggregate = route.action { route.methods = ["GET", "HEAD"] }
        if let value = mapping["headers"] { route.fields = try value.matches("headers") }
        for match in route.fields where !HTTPToken.isValid(match.name) {
            throw ConfigurationError(mapping["headers"]!.place, "'\(match.name)' is no name of a header field")
        }
        if let value = mapping["query"] { route.query = try value.matches("query") }
        if let value = mapping["version"] {
            let text = try value.text(for: "version")
            let version = text.first?.isNumber == true ? "v" + text : text
            guard GatewayConfiguration.isName(version), !version.hasPrefix(".") else {
                throw ConfigurationError(value.place, "'\(text)' is no version such as v2 or 2024-05-01")
            }
            route.version = version
        }
    }

    private func readAccess(_ route: inout Route) throws(ConfigurationError) {
        guard let methods = try mapping["auth"]?.accessMethods() ?? defaults.access else {
            throw ConfigurationError(
                value.place, "who may use it? add auth: jwt, api-key, introspection or none, here or for all routes")
        }
        route.access.methods = methods
        route.access.scopes = try mapping["scopes"]?.texts("scopes") ?? []
        if let value = mapping["claims"] {
            guard case .mapping(let pairs) = value.content else {
                throw ConfigurationError(value.place, "claims must be a mapping of claims to values: {role: admin}")
            }
            for (key, value) in pairs {
                route.access.claims.append((try key.text(for: "a claim"), try value.text(for: "a claim's value")))
            }
        }
        if methods.isEmpty, !route.access.scopes.isEmpty || !route.access.claims.isEmpty {
            throw ConfigurationError(value.place, "scopes and claims need auth: nobody has any without")
        }
    }

    private func readLimits(_ route: inout Route) throws(ConfigurationError) {
        if let value = mapping["rate_limit"] { route.limit = try RateLimitPolicy(value, name: route.name) }
        if let value = mapping["rate_limit_by_address"] {
            route.addressLimit = try RateLimitPolicy(value, name: route.name + "/address")
        }
        if let value = mapping["max_body"] {
            route.bodyLimitBytes = try value.byteCount("max_body", in: 0...1 << 40)
        }
        route.timeout = try mapping.duration("timeout") ?? route.timeout
        route.responseTimeout = try mapping.duration("response_timeout") ?? route.responseTimeout
        route.retries = try mapping.integer("retries", in: 0...10) ?? route.retries
        for text in try mapping["retry_on"]?.texts("retry_on") ?? [] {
            guard let status = Int(text), (500...599).contains(status) else {
                throw ConfigurationError(
                    mapping["retry_on"]!.place, "retry_on lists statuses of 500 to 599, not '\(text)'")
            }
            route.retryStatuses.append(status)
        }
        route.sunset = try mapping.time("sunset")
    }

    private func readChanges(_ route: inout Route) throws(ConfigurationError) {
        if let value = mapping["strip"] {
            if mapping["rewrite"] != nil { throw ConfigurationError(value.place, "strip and rewrite? one of them") }
            route.rewrite = .strip(try value.path("strip"))
        }
        if let value = mapping["rewrite"] { route.rewrite = try PathRewrite(value) }
        route.hostRewrite = try mapping.word("host_rewrite")
        if let value = mapping["request_headers"] { route.requestEdits = try FieldEdits(value) }
        if let value = mapping["response_headers"] { route.responseEdits = try FieldEdits(value) }
        if let value = mapping["cors"] {
            route.crossOrigin = try Route.CrossOriginSettings.read(value)
        } else {
            route.crossOrigin = defaults.crossOrigin
        }
    }
}
