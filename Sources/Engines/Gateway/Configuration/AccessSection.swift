import KernelConfiguration
import KernelCryptography
import KernelStructures
import KernelWire

extension GatewayConfiguration.JWTSettings {
    private static let keys = [
        "keys", "secret_file", "issuer", "audience", "algorithms", "leeway", "refresh", "stale", "headers", "forward",
        "cache",
    ]
    /// RFC 7518 and 8037, without HS: those need `secret_file`.
    public static let algorithmNames = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ]
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "jwt", keys: Self.keys)
        switch (mapping["keys"], try mapping.text("secret_file")) {
        case (let keys?, nil):
            let source = try keys.text(for: "keys")
            if source.contains("://") {
                _ = try keys.url("keys")
                self.init(keys: .url(source))
            } else {
                self.init(keys: .file(source))
            }
        case (nil, let file?): self.init(keys: .secret(file))
        case (nil, nil): self.init()
        case (.some, .some):
            throw ConfigurationError(value.place, "keys and secret_file? whoever can check by a secret can sign by it")
        }
        issuers = try mapping["issuer"]?.texts("issuer") ?? []
        audiences = try mapping["audience"]?.texts("audience") ?? []
        if let value = mapping["algorithms"] {
            for item in try value.oneOrMore("algorithms") {
                let name = try item.text(for: "an algorithm")
                guard Self.algorithmNames.contains(name) else {
                    let remedy =
                        name.hasPrefix("HS")
                        ? "; a secret that both sides know stands in secret_file"
                        : didYouMean(name, among: Self.algorithmNames)
                    throw ConfigurationError(item.place, "'\(name)' is no algorithm of tokens here\(remedy)")
                }
                algorithms.append(name)
            }
        }
        leeway = try mapping.duration("leeway", allowsZero: true) ?? leeway
        refreshInterval = try mapping.duration("refresh") ?? refreshInterval
        staleLimit = try mapping.duration("stale", allowsZero: true) ?? staleLimit
        if let value = mapping["headers"] { fields = try value.claimFields() }
        forwardsToken = try mapping.boolean("forward") ?? false
        cachedTokenLimit = try mapping.integer("cache", in: Self.cachedTokenRange) ?? cachedTokenLimit
    }
}

extension GatewayConfiguration.APIKeySettings {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        self.init()
        let mapping = try ConfigurationMapping(value, what: "api_keys", keys: ["header", "consumer_header", "keys"])
        if let value = mapping["header"] { field = try value.fieldName("header") }
        if let value = mapping["consumer_header"] { consumerField = try value.fieldName("consumer_header") }
        for item in try mapping["keys"]?.list(for: "keys") ?? [] {
            let key = try APIKey(item)
            guard !keys.contains(where: { $0.name == key.name || $0.digest == key.digest }) else {
                throw ConfigurationError(item.place, "'\(key.name)' or its key stands here twice")
            }
            keys.append(key)
            guard keys.count <= Self.keyLimit else {
                throw ConfigurationError(item.place, "more than \(Self.keyLimit) keys")
            }
        }
    }
}

extension APIKey {
    fileprivate init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "a key", keys: ["name", "sha256", "scopes", "expires"])
        guard let name = try mapping.word("name"), HTTPWriter.isSafeField(name: "X", value: name),
            name.utf8.count <= Identity.subjectLimit
        else { throw ConfigurationError(value.place, "a key needs a name, of whoever has it") }
        guard let text = try mapping.text("sha256") else {
            throw ConfigurationError(
                value.place, "a key needs sha256: its digest, in 64 hexadecimal digits; see gateway key")
        }
        guard let digest = Hexadecimal.decode(text), digest.count == 32 else {
            throw ConfigurationError(mapping["sha256"]!.place, "sha256 has 64 hexadecimal digits, not '\(text)'")
        }
        self.init(name: name, digest: digest)
        scopes = try mapping["scopes"]?.texts("scopes") ?? []
        expiresAt = try mapping.time("expires")
    }
}

extension GatewayConfiguration.IntrospectionSettings {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(
            value, what: "introspection", keys: ["url", "client", "secret_file", "timeout", "cache", "headers"])
        guard let url = mapping["url"] else {
            throw ConfigurationError(value.place, "introspection needs the url of whoever has issued the tokens")
        }
        self.init(url: try url.url("url").text)
        client = try mapping.word("client")
        secretFile = try mapping.text("secret_file")
        timeout = try mapping.duration("timeout") ?? timeout
        cacheTime = try mapping.duration("cache", allowsZero: true) ?? cacheTime
        if let value = mapping["headers"] { fields = try value.claimFields() }
    }
}

extension ConfigurationMapping {
    /// A date, or a date and a time: RFC 3339.
    func time(_ key: String) throws(ConfigurationError) -> LabTime? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: key)
        guard let time = LabTime(parsing: text) ?? LabTime(parsing: text + "T00:00:00Z") else {
            throw ConfigurationError(value.place, "\(key) must be a time such as 2027-01-31T00:00:00Z, not '\(text)'")
        }
        return time
    }
}

extension ConfigurationValue {
    /// `{sub: X-User-Id, email: X-User-Email}`
    fileprivate func claimFields() throws(ConfigurationError) -> [GatewayConfiguration.ClaimField] {
        guard case .mapping(let pairs) = content else {
            throw ConfigurationError(place, "headers must be a mapping of claims to fields: {sub: X-User-Id}")
        }
        var fields: [GatewayConfiguration.ClaimField] = []
        for (key, value) in pairs {
            fields.append(.init(claim: try key.text(for: "a claim"), field: try value.fieldName("a header")))
        }
        return fields
    }
}
