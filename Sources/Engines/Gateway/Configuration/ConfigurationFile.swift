import KernelConfiguration
import KernelStructures
import KernelWire
import RateLimiterEngine

extension GatewayConfiguration {
    static let keys = [
        "routes", "services", "auth", "jwt", "api_keys", "introspection", "registry", "trusted_proxies",
        "version_header", "encoded_slashes", "max_head", "timeouts", "log", "server_timing", "cors",
    ]

    /// Reads a configuration file.
    ///
    /// - Parameter file: the name that errors give.
    /// - Throws: `ConfigurationError` with line and column: malformed YAML, unknown keys, values out of range, routes
    ///   that lead nowhere or that nobody may use.
    public init(yaml: [UInt8], file: String) throws(ConfigurationError) {
        self.init()
        let root = try ConfigurationMapping(try YAML.parse(yaml, file: file), what: "the gateway", keys: Self.keys)
        try readSettings(root)
        if let value = root["jwt"] { jwt = try JWTSettings(value) }
        if let value = root["api_keys"] { apiKeys = try APIKeySettings(value) }
        if let value = root["introspection"] { introspection = try IntrospectionSettings(value) }
        if let value = root["services"] { services = try Self.services(value) }
        guard let list = root["routes"] else {
            throw ConfigurationError(
                root.place, "there are no routes; add routes: [{path: /*, url: http://localhost:8081, auth: none}]")
        }
        try readRoutes(try list.list(for: "routes"), at: list.place, defaults: RouteDefaults(root, self))
        try refuseContradictions()
    }

    private mutating func readSettings(_ root: ConfigurationMapping) throws(ConfigurationError) {
        if let value = root["registry"] { registry = try value.endpoint("registry") }
        if let value = root["trusted_proxies"] {
            var networks: [TrustedProxies.Network] = []
            for item in try value.oneOrMore("trusted_proxies") {
                let text = try item.text(for: "a trusted proxy")
                guard let network = TrustedProxies.Network(parsing: text) else {
                    throw ConfigurationError(item.place, "'\(text)' is no network such as 10.0.0.0/8 or 2001:db8::/32")
                }
                networks.append(network)
            }
            trustedProxies = TrustedProxies(networks)
        }
        if let value = root["version_header"] { versionField = try value.fieldName("version_header") }
        allowsEncodedSlash =
            try root.choice("encoded_slashes", [("refuse", false), ("keep", true)]) ?? allowsEncodedSlash
        if let value = root["max_head"] {
            headLimitBytes = try value.byteCount("max_head", in: Self.headLimitRange)
        }
        if let value = root["timeouts"] {
            let mapping = try ConfigurationMapping(value, what: "timeouts", keys: ["request", "idle", "shutdown"])
            requestTimeout = try mapping.duration("request") ?? requestTimeout
            idleTimeout = try mapping.duration("idle") ?? idleTimeout
            shutdownTimeout = try mapping.duration("shutdown") ?? shutdownTimeout
        }
        logsRequests = try root.choice("log", [("requests", true), ("none", false)]) ?? logsRequests
        showsTiming = try root.boolean("server_timing") ?? showsTiming
    }

    // MARK: Services

    private static func services(_ value: ConfigurationValue) throws(ConfigurationError) -> [Service] {
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "services must be a mapping of names to services")
        }
        guard pairs.count <= serviceLimit else {
            throw ConfigurationError(value.place, "more than \(serviceLimit) services")
        }
        var services: [Service] = []
        for (key, value) in pairs { services.append(try Service(value, name: try serviceName(key))) }
        return services
    }

    /// - Throws: for what cannot stand in a log line, a label and a registry's path.
    static func serviceName(_ value: ConfigurationValue) throws(ConfigurationError) -> String {
        let name = try value.text(for: "a service's name")
        guard isName(name) else {
            throw ConfigurationError(
                value.place, "'\(name)' cannot be a service's name: letters, digits, - _ . : only, at most 64")
        }
        return name
    }

    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.:".contains($0)) }
    }

    /// The service that a route means, which may be described there; one that is described nowhere is the registry's.
    ///
    /// - Parameter url: what the route says of its address.
    mutating func useService(_ name: String, url: ConfigurationValue?, at place: ConfigurationPlace)
        throws(ConfigurationError)
    {
        let known = service(named: name)
        if let url {
            let new = try Service(name: name, url: url)
            if let known {
                guard known.isReached(as: new) else {
                    throw ConfigurationError(url.place, "\(name) has another url already; give one of the two a name")
                }
                return
            }
            services.append(new)
        } else if known == nil {
            services.append(Service(name: name, source: .registry(name), balancing: Service.balancing([])))
        }
        if services.count > Self.serviceLimit {
            throw ConfigurationError(place, "more than \(Self.serviceLimit) services")
        }
    }

    // MARK: Routes

    private mutating func readRoutes(
        _ values: [ConfigurationValue], at place: ConfigurationPlace, defaults: RouteDefaults
    ) throws(ConfigurationError) {
        if values.isEmpty { throw ConfigurationError(place, "the list of routes is empty") }
        if values.count > Self.routeLimit { throw ConfigurationError(place, "more than \(Self.routeLimit) routes") }
        for value in values {
            var reader = try RouteReader(value, defaults)
            var route = try reader.read(&self)
            if routes.contains(where: { $0.name == route.name }) {
                guard !reader.hasName else {
                    throw ConfigurationError(
                        value.place, "two routes are called \(route.name); give each a name of its own")
                }
                let names = (2...Self.routeLimit + 1).lazy.map { "\(route.name)-\($0)" }
                route.name = names.first { name in !self.routes.contains { $0.name == name } } ?? route.name
            }
            routes.append(route)
        }
    }

    /// Routes that get no request, because one before them is about the same requests: nobody's wish, and no error,
    /// since the file's order decides between equals.
    public var hiddenRoutes: [(name: String, by: String)] {
        var first: [[String]: String] = [:]
        return routes.compactMap { route in
            guard route.fields.isEmpty, route.query.isEmpty else { return nil }
            let requests =
                route.paths.map(\.description).sorted() + [""] + route.hosts.map(\.description).sorted() + [""]
                + route.methods.sorted() + ["", route.version ?? ""]
            if let other = first[requests] { return (route.name, other) }
            first[requests] = route.name
            return nil
        }
    }

    private func refuseContradictions() throws(ConfigurationError) {
        for route in routes {
            for method in route.access.methods {
                switch method {
                // Without a section the keys are looked for where `jwt jwks` puts them.
                case .jwt: break
                case .apiKey where apiKeys == nil:
                    throw ConfigurationError(route.place, "auth: api-key needs api_keys: {keys: [{name, sha256}]}")
                case .introspection where introspection == nil:
                    throw ConfigurationError(route.place, "auth: introspection needs introspection: {url: http://…}")
                case .introspection where route.access.methods.contains(.jwt):
                    throw ConfigurationError(
                        route.place, "jwt and introspection? a Bearer token is either read here or by its issuer")
                case .apiKey, .introspection: break
                }
            }
        }
    }
}

extension GatewayConfiguration.Service {
    /// Whether two descriptions lead to the same place.
    fileprivate func isReached(as other: Self) -> Bool {
        source == other.source && basePath == other.basePath && isSecure == other.isSecure
            && balancing.backends.map(\.destination) == other.balancing.backends.map(\.destination)
    }
}

extension ConfigurationValue {
    /// A list, or a single value as a list of one. An empty list is nobody's wish: some would read it as none, and some
    /// as any.
    func oneOrMore(_ what: String) throws(ConfigurationError) -> [ConfigurationValue] {
        if case .scalar = content { return [self] }
        let items = try list(for: what)
        // What is taken away is the exception: nothing is nothing.
        if items.isEmpty, what != "remove" {
            let remedy = what == "auth" ? "write none if anybody may come" : "name one, or leave the key out"
            throw ConfigurationError(place, "\(what) is an empty list; \(remedy)")
        }
        return items
    }

    /// The texts of a list, or of a single value.
    func texts(_ what: String) throws(ConfigurationError) -> [String] {
        var texts: [String] = []
        for item in try oneOrMore(what) { texts.append(try item.text(for: what)) }
        return texts
    }

    func fieldName(_ what: String) throws(ConfigurationError) -> String {
        let text = try text(for: what)
        guard HTTPToken.isValid(text) else { throw ConfigurationError(place, "'\(text)' is no name of a header field") }
        return text
    }

    func byteCount(_ what: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
        let text = try text(for: what)
        guard let count = parseByteCount(text), range.contains(count) else {
            throw ConfigurationError(
                place,
                "\(what) must be \(byteCountText(range.lowerBound)) to \(byteCountText(range.upperBound)), not '\(text)'"
            )
        }
        return count
    }

    func endpoint(_ what: String) throws(ConfigurationError) -> HostPort {
        let text = try text(for: what)
        do throws(HostPort.Malformed) {
            return try HostPort(reading: text)
        } catch {
            throw ConfigurationError(place, "\(what): \(error)")
        }
    }

    func url(_ what: String) throws(ConfigurationError) -> HTTPURL {
        let text = try text(for: what)
        do throws(HTTPURL.Malformed) {
            return try HTTPURL(text)
        } catch {
            throw ConfigurationError(place, "\(what) '\(text)': \(error)")
        }
    }
}
